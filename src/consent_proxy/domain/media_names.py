"""How a request names a medium: as one of ours, as an earlier result, written out, or by an address. Pure."""

import re
from dataclasses import dataclass
from uuid import UUID

_HEX = "[0-9a-fA-F]"
_ID = rf"({_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}})"
_HELD = re.compile(_ID)
_CAPABILITY = re.compile(r"[A-Za-z0-9_-]{16,128}")
#: What a data URI says before its bytes (RFC 2397); of it nothing is believed.
_DATA_HEAD = re.compile(r"data:[a-z0-9!#$&^_.+/;= \"-]{0,200}?;base64,", re.IGNORECASE)
#: Printable ASCII, and no longer than fal's own limit on an address.
_ADDRESS = re.compile(r"https?://[!-~]{1,2040}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldName:
    """A medium that is held here."""

    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputName:
    """An earlier result, by the capability its address on our host ends in."""

    capability: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenOut:
    """The medium itself, as base64 in a data URI."""

    base64: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressName:
    """An address somewhere else."""

    url: str


MediaName = HeldName | OutputName | WrittenOut | AddressName


def read_media_name(text: str, *, public_url: str) -> MediaName | None:
    """What a text in a field of media names, or ``None`` where it is no name of a medium.

    ``public_url`` is our own address without a slash at its end. Whether what is named is there, and whose it is, is
    not looked at.
    """
    if _HELD.fullmatch(text):
        return HeldName(id=UUID(text))
    if text[:5].lower() == "data:":
        head = _DATA_HEAD.match(text)
        return WrittenOut(base64=text[head.end() :]) if head is not None else None
    if text.startswith(f"{public_url}/"):
        return _ours(text.removeprefix(f"{public_url}/"))
    return AddressName(url=text) if _ADDRESS.fullmatch(text) else None


def held_media_url(media_id: UUID, *, public_url: str) -> str:
    """What a caller puts into a field of media; nothing answers there."""
    return f"{public_url}/v1/media/{media_id}"


def _ours(path: str) -> MediaName | None:
    room, _, name = path.rpartition("/")
    if room == "v1/media" and _HELD.fullmatch(name):
        return HeldName(id=UUID(name))
    if room == "v1/files" and _CAPABILITY.fullmatch(name):
        return OutputName(capability=name)
    return None
