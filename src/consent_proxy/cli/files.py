"""Documents that commands take from files: read, parsed strictly, checked against the API's own shape."""

import json
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel, ValidationError

from consent_proxy.api.problems import Problem
from consent_proxy.api.requests import parse_json

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
