"""Reading an uploaded file off a request, piece by piece: the body itself, or the one file of a form."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from consent_proxy.api.problems import Problem
from consent_proxy.api.requests import RequestHead
from consent_proxy.application.ports.media import MediaTooLarge
from consent_proxy.domain.refusals import Reason

if TYPE_CHECKING:  # it exists for type checkers only
    from python_multipart.multipart import MultipartCallbacks

#: What a form may hold around its file.
_FRAME_BYTES = 65_536


async def read_upload(body: AsyncIterator[bytes], head: RequestHead, *, limit: int) -> AsyncIterator[bytes]:
    """The file's bytes as they come. Raises ``MediaTooLarge``, as soon as it is plain, and ``Problem``."""
    declared = head.get("content-length") or ""
    kind, options = parse_options_header(head.get("content-type"))
    is_form = kind == b"multipart/form-data"
    if declared.isdecimal() and int(declared) > limit + (_FRAME_BYTES if is_form else 0):
        raise MediaTooLarge(limit)
    pieces = _file_of_form(body, boundary=options.get(b"boundary", b"")) if is_form else body
    async for piece in pieces:
        if piece:
            yield piece


async def _file_of_form(body: AsyncIterator[bytes], *, boundary: bytes) -> AsyncIterator[bytes]:
    if not boundary:
        raise _bad_form("the form has no boundary")
    reading = _Reading()
    try:
        parser = MultipartParser(boundary, reading.callbacks())
        async for piece in body:
            parser.write(piece)
            for part in reading.take():
                yield part
        parser.finalize()
    except FormParserError:
        raise _bad_form("the form cannot be read") from None
    for part in reading.take():
        yield part
    if not reading.ended or reading.files != 1:
        raise _bad_form("the form has to hold one file, whole")


class _Reading:
    """What the parser said since it was asked last. Every part with a file name is a file; other parts are left out."""

    def __init__(self) -> None:
        self.files, self.ended = 0, False
        self._held: list[bytes] = []
        self._in_file = False
        self._header, self._value, self._frame = b"", b"", 0

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._text,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def take(self) -> list[bytes]:
        held, self._held = self._held, []
        return held

    def _begin(self) -> None:
        self._in_file = False

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._counted(end - start)

    def _text(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._counted(end - start)

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            if b"filename" in options:
                self._in_file, self.files = True, self.files + 1
        self._header, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file and self.files == 1:
            self._held.append(data[start:end])
        else:
            self._counted(end - start)

    def _end(self) -> None:
        self.ended = True

    def _counted(self, count: int) -> None:
        self._frame += count
        if self._frame > _FRAME_BYTES:
            raise _bad_form("the form holds more than its file")


def _bad_form(detail: str) -> Problem:
    return Problem(Reason.BODY_INVALID, detail)
