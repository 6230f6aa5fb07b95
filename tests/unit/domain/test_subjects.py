"""One person has one canonical identifier, and a bug's placeholder is nobody."""

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.domain.subjects import (
    MAX_IDENTIFIER_BYTES,
    SubjectIdentifier,
    SubjectInvalid,
    SubjectKind,
    identifier_from_header,
    identifier_from_text,
)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"user-7", "user-7"),
        (b"User-7", "User-7"),
        (b"jane%40example.com", "jane@example.com"),
        (b"%C3%A9", "é"),
        ("é".encode(), "é"),
        (b"e%CC%81", "é"),
        (b"a%20b", "a b"),
        (b"a+b", "a+b"),
        (b"100%25", "100%"),
        (b"%2525", "%25"),
        (b"a" * 256, "a" * 256),
    ],
)
def test_a_header_is_percent_decoded_exactly_once_and_made_nfc(raw: bytes, value: str) -> None:
    assert identifier_from_header(raw) == SubjectIdentifier(kind=SubjectKind.ACCOUNT, value=value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"%",
        b"%4",
        b"%zz",
        b"100%",
        b"a%b",
        b"%FF",
        b"\xff",
        b"%ED%A0%80",
        b"%C0%AF",
        b"%00",
        b"a%0Ab",
        b"%7F",
        b"%C2%85",
        b"%E2%80%A8",
        b" a",
        b"a ",
        b"%20a",
        b"a%C2%A0",
        b"a" * 257,
        b"%C3%A9" * 129,
    ],
)
def test_what_cannot_name_one_person_is_refused(raw: bytes) -> None:
    with pytest.raises(SubjectInvalid):
        identifier_from_header(raw)


@pytest.mark.parametrize(
    "placeholder",
    [
        "null",
        "undefined",
        "none",
        "nil",
        "nan",
        "0",
        "-1",
        "anonymous",
        "guest",
        "unknown",
        "{}",
        "[]",
        "[object Object]",
    ],
)
def test_a_placeholder_that_only_a_bug_sends_is_nobody_in_any_case(placeholder: str) -> None:
    for spelling in (placeholder, placeholder.upper(), placeholder.title()):
        for kind in SubjectKind:
            with pytest.raises(SubjectInvalid):
                identifier_from_text(spelling, kind=kind)
        with pytest.raises(SubjectInvalid):
            identifier_from_header(quote(spelling).encode())


@pytest.mark.parametrize("text", ["null1", "00", "1", "nobody", "guest-7", "{ }"])
def test_an_identifier_that_only_resembles_a_placeholder_is_somebody(text: str) -> None:
    assert identifier_from_text(text).value == text


def test_the_kind_is_part_of_the_identity() -> None:
    assert identifier_from_text("7") == identifier_from_text("7", kind="account")
    assert identifier_from_text("7", kind="session") != identifier_from_text("7")
    with pytest.raises(SubjectInvalid):
        identifier_from_text("7", kind="device")


@given(text=st.text(max_size=80))
def test_a_header_and_a_body_come_to_the_same_person_or_to_none(text: str) -> None:
    def read(source: str, *, header: bool) -> SubjectIdentifier | None:
        try:
            return (
                identifier_from_header(quote(source, errors="surrogatepass").encode())
                if header
                else identifier_from_text(source)
            )
        except SubjectInvalid:
            return None

    found = read(text, header=False)

    assert read(text, header=True) == found
    if found is not None:
        assert identifier_from_text(found.value) == found
        assert unicodedata.is_normalized("NFC", found.value)
        assert 1 <= len(found.value.encode()) <= MAX_IDENTIFIER_BYTES


@given(raw=st.binary(max_size=40))
def test_any_header_gets_an_answer_that_does_not_repeat_it(raw: bytes) -> None:
    try:
        told = repr(identifier_from_header(b"jane-roe" + raw))
    except SubjectInvalid as error:
        told = str(error)

    assert "jane" not in told
