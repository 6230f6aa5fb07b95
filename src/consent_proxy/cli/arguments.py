"""What commands take, held to the API's own shapes: what is told here may stand in append-only rows too."""

import re
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from consent_proxy.adapters.manifest_files import ModelName
from consent_proxy.api.schemas import Country, Label, LocaleTag, Moment, Name
from consent_proxy.domain.subjects import MAX_IDENTIFIER_BYTES, SubjectIdentifier, SubjectInvalid, identifier_from_text

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Shaped(click.ParamType[str]):
    """A text of one of the API's shapes; ``told`` says in words what it is."""

    def __init__(self, name: str, *, shape: Any, told: str) -> None:
        self.name = name
        self._adapter: TypeAdapter[Any] = TypeAdapter(shape)
        self._told = told

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if it has the shape; wrong usage otherwise."""
        try:
            text: str = self._adapter.validate_python(value)
        except ValidationError:
            self.fail(f"is not {self._told}.", param, ctx)
        return text


class OneOf(click.Choice[str]):
    """One of a closed list of texts. click would take an enum's names for its values."""

    def __init__(self, values: Iterable[str]) -> None:
        super().__init__([str(value) for value in values])

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's
        """One line, as all that goes wrong."""
        return f"Choose from {', '.join(self.choices)}."


class MomentOrDate(click.ParamType[datetime]):
    """A moment with its offset, or a date, which begins at 00:00 UTC."""

    name = "moment"
    _adapter: TypeAdapter[datetime] = TypeAdapter(Moment)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment; wrong usage where it is none."""
        if isinstance(value, datetime):
            return value
        text = f"{value}T00:00:00Z" if _DATE.fullmatch(str(value)) else value
        try:
            return self._adapter.validate_python(text)
        except ValidationError:
            self.fail("is no moment: write 2026-11-01 (00:00 UTC) or 2026-11-01T09:30:00+01:00.", param, ctx)


NAME = Shaped("name", shape=Name, told="a name: small letters, digits, '.', '_' and '-', at most 64")
LABEL = Shaped("label", shape=Label, told="an id: letters, digits, blanks and . _ : / # -, at most 200")
MODEL = Shaped("model", shape=ModelName, told="a model's id: two to eight parts joined by '/', as in fal-ai/flux/dev")
COUNTRY = Shaped("country", shape=Country, told="a country: two capital letters, as in US")
LOCALE = Shaped("locale", shape=LocaleTag, told="a language as BCP 47 has it, as in en or pt-BR")
MOMENT = MomentOrDate()


def read_subject(*, kind: str) -> SubjectIdentifier:
    """A person's identifier, typed at a prompt or read as the one line of standard input; never an argument, since
    arguments stay in the shell's history and stand in process lists. Raises ``click.UsageError``.
    """
    stream = sys.stdin.buffer
    if sys.stdin.isatty():
        click.echo("The person's identifier: ", err=True, nl=False)
    line = stream.readline(MAX_IDENTIFIER_BYTES + 3)
    if not line.endswith(b"\n") and len(line) > MAX_IDENTIFIER_BYTES:
        raise click.UsageError(f"the subject has to be 1 to {MAX_IDENTIFIER_BYTES} bytes long")
    try:
        return identifier_from_text(line.removesuffix(b"\n").removesuffix(b"\r").decode(), kind=kind)
    except UnicodeDecodeError:
        raise click.UsageError("the subject is not UTF-8") from None
    except SubjectInvalid as error:
        raise click.UsageError(str(error)) from None
