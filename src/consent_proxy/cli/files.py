"""Files that commands read and write: documents checked against the API's own shape, results whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, TypeVar

import click
from pydantic import BaseModel, ValidationError

from consent_proxy.adapters.input_schemas import SchemaFile, open_schema
from consent_proxy.adapters.schema_alternatives import SchemaUnreadable
from consent_proxy.api.problems import Problem
from consent_proxy.api.requests import parse_json
from consent_proxy.api.routing import CONTROL_BODY_LIMIT
from consent_proxy.cli.exits import Unavailable
from consent_proxy.cli.output import printable

#: The largest schema of fal's or Replicate's has some hundreds of kilobytes.
LARGEST_SCHEMA = 32_000_000

Shape = TypeVar("Shape", bound=BaseModel)

#: Where a document is read from.
DOCUMENT = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
_FAULTS_TOLD = 5


def read_document(path: Path, *, shape: type[Shape]) -> tuple[dict[str, Any], Shape]:
    """The document as written and as validated; ``-`` is standard input. Raises ``Unavailable``, naming the faults."""
    name = "standard input" if str(path) == "-" else str(path)
    try:
        with click.open_file(str(path), "rb") as file:
            body = file.read(CONTROL_BODY_LIMIT + 1)
        if len(body) > CONTROL_BODY_LIMIT:
            raise Unavailable(f"{name} is larger than the {CONTROL_BODY_LIMIT:,} bytes a document may have")
        parse_json(body)
        return json.loads(body), shape.model_validate_json(body)
    except OSError as error:
        raise Unavailable(f"{name} cannot be read: {error.strerror}") from None
    except Problem as problem:
        raise Unavailable(f"{name} is not JSON as it has to be: {problem.detail}") from None
    except ValidationError as error:
        raise Unavailable(f"{name} is not what is expected: {_faults(error)}") from None


def _faults(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)
    told = "; ".join(map(_fault, found[:_FAULTS_TOLD]))
    return told + (f"; and {len(found) - _FAULTS_TOLD} more" if len(found) > _FAULTS_TOLD else "")


def _fault(found: Any) -> str:
    place = ".".join(str(part) for part in found["loc"]) or "the document"
    return f"{printable(place)}: {str(found['msg']).removeprefix('Value error, ')}"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name once it is complete; until then, and where anything goes wrong, there is none of it.

    What was there before stays until then. Only its owner may read it. Raises ``Unavailable``.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise Unavailable(f"{path} is not a file: leave --output out and send standard output there")
    part: Path | None = None
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False) as file:
            part = Path(file.name)
            yield file  # type: ignore[misc]
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        part = None
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSchema:
    """A provider's schema as it lay in a file, and the digest of that file."""

    path: Path
    sha256: str
    file: SchemaFile


def read_schema(path: Path, *, model: str = "") -> ReadSchema:
    """A schema document, at most ``LARGEST_SCHEMA`` bytes; of a list of models, the one of ``model``.

    Raises ``Unavailable`` that says what is wrong with it.
    """
    try:
        if (size := path.stat().st_size) > LARGEST_SCHEMA:
            raise Unavailable(f"{path} has {size:,} bytes, and a schema may have {LARGEST_SCHEMA:,}")
        body = path.read_bytes()
        return ReadSchema(path=path, sha256=sha256(body).hexdigest(), file=open_schema(parse_json(body), model=model))
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from None
    except Problem as problem:
        raise Unavailable(f"{path}: {problem.detail}") from None
    except SchemaUnreadable as error:
        raise Unavailable(f"{path} is no schema that can be used: {error}") from None
