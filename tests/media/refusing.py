"""How tests strip bytes, and see them refused without a trace."""

from pathlib import Path

import pytest

from consent_proxy.adapters.media.stripping import MediaRefused, Stripped, strip_file
from tests.media.tells import MARKS


def stripped(folder: Path, content: bytes) -> tuple[bytes, Stripped]:
    (folder / "in").write_bytes(content)
    result = strip_file(folder / "in", folder / "out")
    return (folder / "out").read_bytes(), result


def refused(folder: Path, content: bytes) -> str:
    """Why the file is refused; nothing of it is quoted, and nothing is left behind."""
    (folder / "in").write_bytes(content)
    with pytest.raises(MediaRefused) as caught:
        strip_file(folder / "in", folder / "out")
    assert not any(mark.decode("latin-1") in str(caught.value) for mark in MARKS)
    assert [path.name for path in folder.iterdir()] == ["in"]
    return caught.value.detail
