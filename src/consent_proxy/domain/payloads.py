"""JSON as the house passes it around, and its one canonical form."""

import json
from collections.abc import Mapping

#: A parsed JSON value: dict with string keys, list, str, int, float, bool or None.
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

#: A JSON object that nobody means to change.
JsonObject = Mapping[str, Json]


_LARGEST_INTEGER = 2**53 - 1


def canonical_json(value: Json) -> bytes:
    """Encode as RFC 8785 does for values without fractions: keys in UTF-16 order, no blanks, UTF-8.

    Raises ``ValueError`` for a float, since its shortest form is not ours to define here, for an integer that a float
    cannot hold (RFC 8785 §3.2.2.3), and for lone surrogates.
    """
    return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _ordered(value: Json) -> Json:
    match value:
        case dict():
            return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
        case list():
            return [_ordered(item) for item in value]
        case float():
            raise ValueError("a fraction has no canonical form here: use an integer or a string")
        case int() if not -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:
            raise ValueError("an integer of more than 53 bits has no canonical form: use a string")
        case _:
            return value
