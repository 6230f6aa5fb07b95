"""From a row of the record to its leaf in the log, and JSON as both of them take it."""

import json
from hashlib import sha256
from hmac import digest as hmac_digest
from typing import Any

Row = dict[str, Any]

PLAIN = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def parse(text: str) -> Any:
    """JSON in which a fraction counts as the text it is written as, so that nobody rounds it."""
    return json.loads(text, parse_float=str)


def canonical(value: Any) -> str:
    """RFC 8785 of what `parse` gives: keys in the order of UTF-16, no blanks."""
    text = PLAIN.encode(value)  # in the order of code points, which is the same for as long as it is all ASCII
    return text if text.isascii() else _canonical(value)


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join([f"{PLAIN.encode(key)}:{_canonical(value[key])}" for key in keys]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([_canonical(item) for item in value]) + "]"
    return PLAIN.encode(value)


def commitment(kind: str, record: Row, *, salt: bytes) -> bytes:
    """What the log holds of a row: with row and salt anyone can compute it, without the salt it says nothing."""
    return hmac_digest(salt, f"{kind}\n{canonical(record)}".encode(), "sha256")


def leaf_hash(data: bytes) -> bytes:
    """RFC 9162 §2.1.1."""
    return sha256(b"\x00" + data).digest()
