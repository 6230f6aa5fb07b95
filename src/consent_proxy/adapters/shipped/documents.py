"""Reading the shipped documents. They are published with the embedded database only; see the README."""

import json
from importlib.resources import files
from typing import Any


def shipped_disclosure() -> dict[str, Any]:
    """The disclosure ``2026-03-03``, as ``POST /v1/disclosures`` takes it."""
    return _read("disclosure-2026-03-03.json")


def shipped_contracts() -> dict[str, dict[str, Any]]:
    """Sample contracts by recipient, as ``PUT /v1/contracts/{recipient}`` takes them. Their references say SAMPLE."""
    return _read("contracts.json")


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(files(__package__).joinpath(name).read_text("utf-8"))
    return document
