"""GIF: screen, colour tables, frames, their timing and the number of rounds are kept, and all else stays behind."""

from consent_proxy.adapters.media.pieces import Cleaned
from consent_proxy.adapters.media.tags import TagGroup, not_clean
from consent_proxy.adapters.media.trailers import trailer_group

_SCREEN_END = 13
_IMAGE, _EXTENSION, _END, _STRAY = 0x2C, 0x21, 0x3B, 0x00
_CONTROL, _COMMENT, _PLAIN_TEXT, _APPLICATION = 0xF9, 0xFE, 0x01, 0xFF
_ROUNDS = (b"\x0bNETSCAPE2.0\x03\x01", b"\x0bANIMEXTS1.0\x03\x01")
_ROUNDS_END = 17
_MOST_PARTS, _MOST_BLOCKS = 100_000, 2_000_000


class _Gif:
    """A walk over the blocks; ``at`` never leaves the file."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = 0
        self._blocks_left = _MOST_BLOCKS
        self._control: bytes | None = None  # the timing of the frame to come
        self._frames = 0
        self._count: bytes | None = None  # how often they go round
        self.cleaned = Cleaned()

    def clean(self) -> Cleaned:
        screen = self._take(_SCREEN_END)
        self._keep(screen, self._colour_table(screen[10]))
        for _ in range(_MOST_PARTS):
            if not self._goes_on():
                break
        else:
            raise not_clean("the GIF has more parts than any picture needs")
        if not self._frames:
            raise not_clean("the GIF holds no picture")
        if self._control is not None:
            self.cleaned.removed.add(TagGroup.TECHNICAL)
        self._keep(b"\x3b")
        if rest := self._content[self._at :]:
            self.cleaned.removed.add(trailer_group(rest))
        return self.cleaned

    def _goes_on(self) -> bool:
        """Read a part; False when it was the end."""
        kind = self._take(1)[0]
        if kind == _IMAGE:
            self._image()
        elif kind == _EXTENSION:
            self._extension(self._take(1)[0])
        elif kind == _STRAY:
            self.cleaned.removed.add(TagGroup.TRAILER)
        elif kind != _END:
            raise not_clean("the GIF has a block that is not known")
        return kind != _END

    def _image(self) -> None:
        if self._control is not None:
            self._keep(b"\x21\xf9\x04", self._control, b"\x00")
            self._control = None
        start = self._at - 1
        descriptor = self._take(9)
        self._colour_table(descriptor[8])
        if not 1 <= self._take(1)[0] <= 11:  # noqa: PLR2004 - bits of a code
            raise not_clean("a frame of the GIF cannot be read")
        self._step_over_blocks()
        self._keep(self._content[start : self._at])
        self._frames += 1

    def _extension(self, label: int) -> None:
        start = self._at
        self._step_over_blocks()
        body = self._content[start : self._at]
        if label == _CONTROL:
            if len(body) != 6 or body[0] != 4:  # noqa: PLR2004 - length, four bytes, end
                raise not_clean("a frame's timing in the GIF cannot be read")
            if self._control is not None:
                self.cleaned.removed.add(TagGroup.TECHNICAL)
            self._control = bytes(body[1:5])
        elif label == _APPLICATION and bytes(body[:14]) in _ROUNDS:
            self._rounds(bytes(body[14:16]), is_all=len(body) == _ROUNDS_END)
        else:
            self.cleaned.removed.add(_group(label, bytes(body[1:12])))

    def _rounds(self, count: bytes, *, is_all: bool) -> None:
        """Keep how often the frames go round, once."""
        if self._count is None:
            self._keep(b"\x21\xff" + _ROUNDS[0] + count + b"\x00")
        elif self._count != count:
            raise not_clean("the GIF says in two ways how often its frames go round")
        if self._count is not None or not is_all:
            self.cleaned.removed.add(TagGroup.TECHNICAL)
        self._count = count

    def _step_over_blocks(self) -> None:
        """Go to behind the empty block that ends a row of blocks."""
        content, at = self._content, self._at
        size, left = len(content), self._blocks_left
        while at < size and left:
            length = content[at]
            at += length + 1
            left -= 1
            if not length:
                self._at, self._blocks_left = at, left
                return
        raise not_clean("the GIF ends early" if left else "the GIF is cut into more blocks than any picture needs")

    def _colour_table(self, flags: int) -> memoryview:
        return self._take(3 * (2 << (flags & 7)) if flags & 0x80 else 0)

    def _take(self, count: int) -> memoryview:
        taken = self._content[self._at : self._at + count]
        if len(taken) < count:
            raise not_clean("the GIF ends early")
        self._at += count
        return taken

    def _keep(self, *pieces: bytes | memoryview) -> None:
        self.cleaned.pieces += pieces


def clean_gif(content: memoryview) -> Cleaned:
    """Keep the frames and their timing, up to the end. Raises `MediaRefused` where a block is not understood."""
    return _Gif(content).clean()


def _group(label: int, name: bytes) -> TagGroup:
    """What an extension that is not kept was."""
    if label in {_COMMENT, _PLAIN_TEXT}:
        return TagGroup.COMMENT
    if label == _APPLICATION:
        named = {
            b"XMP DataXMP": TagGroup.EDITING,
            b"ICCRGBG1012": TagGroup.TECHNICAL,
            b"C2PA_GIF\x01\x00\x00": TagGroup.PROVENANCE,
        }
        return named.get(name, TagGroup.UNKNOWN)
    return TagGroup.UNKNOWN
