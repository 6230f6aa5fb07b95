"""Documents that commands take from files: read, parsed strictly, checked against the API's own shape."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel, ValidationError

from consent_proxy.adapters.input_schemas import SchemaFile, open_schema
from consent_proxy.adapters.schema_alternatives import SchemaUnreadable
from consent_proxy.api.problems import Problem
from consent_proxy.api.requests import parse_json

#: The largest schema of fal's or Replicate's has some hundreds of kilobytes.
LARGEST_SCHEMA = 32_000_000

Shape = TypeVar("Shape", bound=BaseModel)


def read_document(path: Path, *, shape: type[Shape]) -> tuple[dict[str, Any], Shape]:
    """The document as written and as validated. Raises ``click.UsageError`` that names each fault's place."""
    try:
        body = path.read_bytes()
        parse_json(body)
        return json.loads(body), shape.model_validate_json(body)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from None
    except Problem as problem:
        raise click.UsageError(f"{path}: {problem.detail}") from None
    except ValidationError as error:
        places = [
            f"  {'.'.join(str(part) for part in found['loc']) or 'document'}: {found['msg']}"
            for found in error.errors(include_input=False, include_url=False)
        ]
        raise click.UsageError("\n".join([f"{path} is not what is expected:", *places])) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSchema:
    """A provider's schema as it lay in a file, and the digest of that file."""

    path: Path
    sha256: str
    file: SchemaFile


def read_schema(path: Path, *, model: str = "") -> ReadSchema:
    """A schema document, at most ``LARGEST_SCHEMA`` bytes; of a list of models, the one of ``model``.

    Raises ``click.UsageError`` that says what is wrong with it.
    """
    try:
        if (size := path.stat().st_size) > LARGEST_SCHEMA:
            raise click.UsageError(f"{path} has {size:,} bytes, and a schema may have {LARGEST_SCHEMA:,}")
        body = path.read_bytes()
        return ReadSchema(path=path, sha256=sha256(body).hexdigest(), file=open_schema(parse_json(body), model=model))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from None
    except Problem as problem:
        raise click.UsageError(f"{path}: {problem.detail}") from None
    except SchemaUnreadable as error:
        raise click.UsageError(f"{path} is no schema that can be used: {error}") from None
