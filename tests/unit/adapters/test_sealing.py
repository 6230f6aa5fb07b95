"""Bytes at rest: sealed ones come back whole or not at all."""

import os
from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from consent_proxy.adapters.media.sealing import PIECE_BYTES, SealBroken, seal, unseal, unwrap_key, wrap_key

KEY, NAME = bytes(range(32)), b"the medium's id."
HEAD, FRAME = 17, PIECE_BYTES + 16


async def pieces_of(content: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def sealed(content: bytes, *, key: bytes = KEY, name: bytes = NAME, size: int = 10_000) -> bytes:
    return await joined(seal(pieces_of(content, size), key=key, name=name))


async def unsealed(content: bytes, *, key: bytes = KEY, name: bytes = NAME, size: int = 10_000) -> bytes:
    return await joined(unseal(pieces_of(content, size), key=key, name=name))


@pytest.mark.parametrize("length", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 200_001])
@pytest.mark.parametrize("size", [7_919, 1_000_000])
async def test_what_was_sealed_comes_back_however_it_is_cut(length: int, size: int) -> None:
    content = os.urandom(length)
    kept = await sealed(content, size=size)
    assert await unsealed(kept, size=size) == content
    assert await unsealed(kept, size=max(1, size // 3)) == content


async def test_nothing_of_it_can_be_read_and_no_two_seals_are_alike() -> None:
    content = b"Mia-Mustermann-4711" * 5_000
    first, second = await sealed(content), await sealed(content)
    assert b"Mia" not in first
    assert first != second
    assert first[HEAD:200] != second[HEAD:200]


#: What may have been done to three whole pieces and a rest, each frame sealed as it was.
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut off behind a piece": lambda kept: kept[: HEAD + FRAME],
    "cut off in a piece": lambda kept: kept[: HEAD + FRAME + 100],
    "without its end": lambda kept: kept[: HEAD + 3 * FRAME],
    "two pieces changed places": lambda kept: (
        kept[:HEAD] + kept[HEAD + FRAME : HEAD + 2 * FRAME] + kept[HEAD : HEAD + FRAME] + kept[HEAD + 2 * FRAME :]
    ),
    "a piece is missing": lambda kept: kept[: HEAD + FRAME] + kept[HEAD + 2 * FRAME :],
    "a piece comes twice": lambda kept: kept[: HEAD + FRAME] + kept[HEAD:],
    "a bit is wrong": lambda kept: kept[:5_000] + bytes([kept[5_000] ^ 1]) + kept[5_001:],
    "a bit of the salt is wrong": lambda kept: kept[:5] + bytes([kept[5] ^ 1]) + kept[6:],
    "something follows": lambda kept: kept + b"x",
    "another layout": lambda kept: b"\x02" + kept[1:],
    "nothing": lambda _: b"",
    "the head alone": lambda kept: kept[:HEAD],
}


@pytest.mark.parametrize("harm", BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_not_what_was_sealed_does_not_open(harm: Callable[[bytes], bytes]) -> None:
    kept = await sealed(os.urandom(3 * PIECE_BYTES + 500))
    with pytest.raises(SealBroken):
        await unsealed(harm(kept))


async def test_another_key_or_name_does_not_open_it() -> None:
    kept = await sealed(b"pixels")
    with pytest.raises(SealBroken):
        await unsealed(kept, key=bytes(32))
    with pytest.raises(SealBroken):
        await unsealed(kept, name=b"another's id")


def test_a_wrapped_key_opens_under_its_secret_and_name_only() -> None:
    wrapped = wrap_key(KEY, under=bytes(32), name=NAME)
    assert unwrap_key(wrapped, under=bytes(32), name=NAME) == KEY
    others: Iterable[tuple[bytes, bytes, bytes]] = (
        (wrapped, KEY, NAME),
        (wrapped, bytes(32), b"other"),
        (wrapped[:-1], bytes(32), NAME),
        (b"\x02" + wrapped[1:], bytes(32), NAME),
        (b"", bytes(32), NAME),
    )
    for kept, under, name in others:
        assert unwrap_key(kept, under=under, name=name) is None
    assert KEY not in wrapped
