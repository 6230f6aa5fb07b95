"""Our ids as Replicate writes ids: 26 digits and small letters for the 16 bytes of a UUID."""

from uuid import UUID

# Crockford's base 32: no i, l, o, u. https://www.crockford.com/base32.html
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_LETTERS)}
_LENGTH = 26
_LARGEST = (1 << 128) - 1


def replicate_id(job_id: UUID) -> str:
    """The one way to write a job's id; ids keep their order."""
    return "".join(_LETTERS[job_id.int >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))


def job_id_of(text: str) -> UUID | None:
    """The job an id means, or ``None`` where it is none of ours."""
    if len(text) != _LENGTH or any(letter not in _VALUES for letter in text):
        return None
    value = 0
    for letter in text:
        value = value << 5 | _VALUES[letter]
    return UUID(int=value) if value <= _LARGEST else None
