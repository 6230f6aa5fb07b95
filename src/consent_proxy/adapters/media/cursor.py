"""Numbers and bytes read one after the other from a structure that has to be used up."""

from consent_proxy.adapters.media.tags import not_clean


class Cursor:
    """Reads big-endian from ``data``. Whatever goes beyond its end refuses the file, naming ``what`` it was."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, length: int) -> bytes:
        if length > self.left:
            raise self.unclear()
        taken = self._data[self._at : self._at + length]
        self._at += length
        return taken

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def rest(self) -> bytes:
        return self.take(self.left)

    def finish(self) -> None:
        if self.left:
            raise self.unclear()

    def unclear(self) -> Exception:
        return not_clean(f"{self._what} is not built as its format says")
