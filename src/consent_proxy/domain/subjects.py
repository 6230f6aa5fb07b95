"""The data subject: an identifier as callers write it, made canonical, and the opaque reference used inside."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType
from urllib.parse import unquote_to_bytes
from uuid import UUID

#: The person, inside this service: random, and useless once its mapping is erased.
SubjectRef = NewType("SubjectRef", UUID)

MAX_IDENTIFIER_BYTES = 256
#: Values that only a bug sends; taken as identifiers they would let one person's yes stand for everyone.
BUG_IDENTIFIERS = frozenset(
    {
        *("null", "undefined", "none", "nil", "nan", "0", "-1", "anonymous", "guest", "unknown"),
        *("{}", "[]", "[object object]"),
    }
)


class SubjectKind(StrEnum):
    """What the identifier identifies; part of the identity, so an account ``7`` is not the session ``7``."""

    ACCOUNT = "account"
    SESSION = "session"


class SubjectInvalid(ValueError):
    """An identifier that cannot name one person; the message says why and never repeats the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectIdentifier:
    """A canonical identifier. It is hashed on arrival and never stored, logged or sent."""

    kind: SubjectKind
    value: str

    def __repr__(self) -> str:
        return f"SubjectIdentifier(kind={self.kind.value!r}, value=<hidden>)"


def identifier_from_header(raw: bytes, *, kind: str | None = None) -> SubjectIdentifier:
    """Read the ``Consent-Subject`` header: percent-decoded exactly once, then as ``identifier_from_text``."""
    if _has_broken_escape(raw):
        raise SubjectInvalid("the subject has a '%' that two hexadecimal digits do not follow: percent-encode it once")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SubjectInvalid("the subject is not UTF-8 after percent-decoding") from error
    return identifier_from_text(text, kind=kind)


def identifier_from_text(text: str, *, kind: str | None = None) -> SubjectIdentifier:
    """Make an identifier canonical: NFC, case kept, 1 to 256 bytes of UTF-8, no control characters or outer blanks.

    Raises ``SubjectInvalid``.
    """
    value = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in value):
        raise SubjectInvalid("the subject has a control character or a lone surrogate in it")
    if value != value.strip():
        raise SubjectInvalid("the subject begins or ends with a blank")
    if not 1 <= len(value.encode()) <= MAX_IDENTIFIER_BYTES:
        raise SubjectInvalid(f"the subject has to be 1 to {MAX_IDENTIFIER_BYTES} bytes long")
    if value.casefold() in BUG_IDENTIFIERS:
        raise SubjectInvalid("the subject is a placeholder that only a bug sends, such as 'null' or 'undefined'")
    return SubjectIdentifier(kind=_kind(kind), value=value)


def _kind(kind: str | None) -> SubjectKind:
    try:
        return SubjectKind(kind) if kind is not None else SubjectKind.ACCOUNT
    except ValueError as error:
        raise SubjectInvalid("the subject's kind has to be 'account' or 'session'") from error


def _has_broken_escape(raw: bytes) -> bool:
    digits = b"0123456789abcdefABCDEF"
    return any(
        len(part) < 2 or part[0] not in digits or part[1] not in digits  # noqa: PLR2004 - two hexadecimal digits
        for part in raw.split(b"%")[1:]
    )
