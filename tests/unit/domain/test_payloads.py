"""One value has one canonical form, and it is everybody's: RFC 8785."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.domain.payloads import Json, canonical_json

whole = st.integers(-(2**53) + 1, 2**53 - 1)
text = st.text(st.characters(codec="utf-8"), max_size=20)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | whole | text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5),
    max_leaves=20,
)


@given(value=values)
def test_the_canonical_form_is_that_of_rfc_8785(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


def test_keys_are_ordered_by_utf_16_and_not_by_code_point() -> None:
    keys: dict[str, Json] = {"\U0001f600": 1, "\ufb33": 2, "€": 3, "\r": 4, "1": 5}

    assert canonical_json(keys) == rfc8785.dumps(keys)
    assert list(map(ord, "".join(sorted(keys)))) != [
        ord(key) for key in sorted(keys, key=lambda key: key.encode("utf-16-be"))
    ]


@pytest.mark.parametrize(
    "value", [0.5, 1.0, float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {"\ud800": 1}, [[0.5]]]
)
def test_what_has_no_canonical_form_here_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - every one of its messages will do
        canonical_json(value)
