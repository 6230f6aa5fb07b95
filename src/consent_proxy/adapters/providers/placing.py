"""Putting media into a provider's request: written out where they are small, else by the address of an upload."""

import json
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from consent_proxy.adapters.http import Timeouts
from consent_proxy.adapters.providers.replies import compact_json
from consent_proxy.domain.media import CarriedMedium, CleanMedium
from consent_proxy.domain.minimise import MinimisedPayload
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.transfers import Dispatch, Upload

#: An upload may take a minute, and longer the larger it is: nobody's line is slower than so many bytes a second.
_UPLOAD_SECONDS = 60.0
_SLOWEST_LINE = 250_000
_MARK_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much a provider takes: bytes written into one request in all, and bytes of one upload."""

    inline: int
    upload: int


def place(payload: MinimisedPayload, *, room: Room) -> tuple[Upload, ...] | Refusal:
    """The media that have to be uploaded: those for which the request has no room left, in their order."""
    left, uploads = room.inline, dict[str, Upload]()
    for carried in payload.media:
        medium = carried.medium
        if carried.name in uploads:
            continue
        if medium.content.at_hand is not None and medium.bytes <= left:
            left -= medium.bytes
        elif medium.bytes > room.upload:
            detail = (
                f"{carried.path} names a file of {medium.bytes} bytes, and the provider takes {room.upload} at most"
            )
            return Refusal(reason=Reason.BODY_TOO_LARGE, detail=detail, paths=(carried.path,))
        else:
            uploads[carried.name] = Upload(name=carried.name, medium=medium)
    return tuple(uploads.values())


def write_body(
    body: dict[str, Json],
    media: Sequence[CarriedMedium],
    *,
    below: tuple[str, ...] = (),
    waiting: Sequence[Upload] = (),
    uploaded: Sequence[Upload] = (),
) -> bytes:
    """The JSON of a body with its media in their places; ``below`` is where in it the payload begins.

    What is ``uploaded`` stands there by its address, what is ``waiting`` by its neutral name, and the rest is written
    out. The files do not go through the JSON encoder: they take the places of marks that nobody can guess.
    """
    if not media:
        return compact_json(body)
    urls = {upload.name: upload.url for upload in uploaded} | {upload.name: upload.name for upload in waiting}
    texts = {secrets.token_hex(_MARK_BYTES): _text(carried.medium, urls.get(carried.name)) for carried in media}
    marked = _with_marks(body, {(*below, *carried.at): mark for carried, mark in zip(media, texts, strict=True)})
    content = compact_json(marked)
    for mark, text in texts.items():
        before, after = content.split(f'"{mark}"'.encode())
        content = b"".join((before, text, after))
    return content


def passed_on(dispatch: Dispatch, upload: Upload) -> Dispatch:
    """The dispatch after the first of the uploads that wait became this."""
    return replace(dispatch, waiting=(upload, *dispatch.waiting[1:]))


def moved_on(dispatch: Dispatch, upload: Upload) -> Dispatch:
    """The dispatch after the first of the uploads that wait is there, as this."""
    return replace(dispatch, waiting=dispatch.waiting[1:], uploaded=(*dispatch.uploaded, upload))


def neutral_name(upload: Upload) -> str:
    """What the file is called at the provider: nothing that it was ever called here."""
    return f"{upload.name}.{upload.medium.extension}"


def upload_timeouts(medium: CleanMedium, *, connect: float) -> Timeouts:
    """How long the bytes of a medium may take."""
    return Timeouts(connect=connect, read=_UPLOAD_SECONDS, total=_UPLOAD_SECONDS + medium.bytes / _SLOWEST_LINE)


async def framed(before: bytes, medium: CleanMedium, after: bytes) -> AsyncIterator[bytes]:
    """A medium's bytes between what a form has around them."""
    yield before
    async for piece in medium.content.pieces():
        yield piece
    yield after


async def between(medium: CleanMedium, start: int, end: int) -> AsyncIterator[bytes]:
    """The bytes of a medium from ``start`` to before ``end``."""
    at = 0
    async for piece in medium.content.pieces():
        if wanted := piece[max(0, start - at) : max(0, end - at)]:
            yield wanted
        at += len(piece)
        if at >= end:
            return


def _text(medium: CleanMedium, url: str | None) -> bytes:
    if url is not None:
        return json.dumps(url).encode()
    content = medium.content.at_hand
    assert content is not None  # or it would have to be uploaded
    return b'"data:%b;base64,%b"' % (medium.media_type.encode(), b64encode(content))


def _with_marks(value: Json, marks: Mapping[tuple[str | int, ...], str], at: tuple[str | int, ...] = ()) -> Json:
    if at in marks:
        return marks[at]
    match value:
        case dict():
            return {key: _with_marks(held, marks, (*at, key)) for key, held in value.items()}
        case list():
            return [_with_marks(held, marks, (*at, index)) for index, held in enumerate(value)]
        case _:
            return value
