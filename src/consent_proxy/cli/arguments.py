"""What commands take, held to the API's own shapes: what is told here may stand in append-only rows too."""

from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from consent_proxy.adapters.manifest_files import ModelName
from consent_proxy.api.schemas import Country, Label, Name


class Shaped(click.ParamType[str]):
    """A text of one of the API's shapes."""

    def __init__(self, name: str, *, shape: Any) -> None:
        self.name = name
        self._adapter: TypeAdapter[Any] = TypeAdapter(shape)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if it has the shape; wrong usage otherwise."""
        try:
            text: str = self._adapter.validate_python(value)
        except ValidationError as error:
            self.fail(error.errors(include_input=False, include_url=False)[0]["msg"], param, ctx)
        return text


NAME = Shaped("name", shape=Name)
LABEL = Shaped("label", shape=Label)
MODEL = Shaped("model", shape=ModelName)
COUNTRY = Shaped("country", shape=Country)
