"""Bytes at rest: sealed piece by piece, so that none can be read, changed, moved, left out or cut off unnoticed."""

import os
from collections.abc import AsyncIterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
#: The bytes of one piece before it is sealed; only the last may have fewer.
PIECE_BYTES = 65_536

#: Opens every sealed file, so that another layout can be told from this one.
_LAYOUT = b"\x01"
_SALT_BYTES = 16
_TAG_BYTES = 16
_COUNTER_BYTES = 11
_SEALED_BYTES = PIECE_BYTES + _TAG_BYTES


class SealBroken(Exception):
    """These are not the bytes that were sealed under this key and name, or not all of them."""


async def seal(pieces: AsyncIterator[bytes], *, key: bytes, name: bytes) -> AsyncIterator[bytes]:
    """The sealed form: layout, salt, and each piece under AES-256-GCM (the STREAM construction).

    The key of a file is its own, of ``key`` and a random salt. A piece's nonce is its number and whether it is the
    last one; ``name`` is bound to each, so that one file cannot stand in another's place.
    """
    salt = os.urandom(_SALT_BYTES)
    cipher = _cipher(key, salt)
    yield _LAYOUT + salt
    held, number = bytearray(), 0
    async for piece in pieces:
        held += piece
        while len(held) > PIECE_BYTES:
            yield cipher.encrypt(_nonce(number, last=False), bytes(held[:PIECE_BYTES]), name)
            del held[:PIECE_BYTES]
            number += 1
    yield cipher.encrypt(_nonce(number, last=True), bytes(held), name)


async def unseal(pieces: AsyncIterator[bytes], *, key: bytes, name: bytes) -> AsyncIterator[bytes]:
    """The bytes that were sealed. Raises ``SealBroken``; pieces given out before are as they were sealed."""
    held, number, cipher = bytearray(), 0, None
    async for piece in pieces:
        held += piece
        if cipher is None and len(held) >= len(_LAYOUT) + _SALT_BYTES:
            cipher = _opened(held, key)
        while cipher is not None and len(held) > _SEALED_BYTES:
            yield _decrypt(cipher, bytes(held[:_SEALED_BYTES]), _nonce(number, last=False), name)
            del held[:_SEALED_BYTES]
            number += 1
    if cipher is None:
        raise SealBroken
    yield _decrypt(cipher, bytes(held), _nonce(number, last=True), name)


def wrap_key(key: bytes, *, under: bytes, name: bytes) -> bytes:
    """A key as it may be kept, bound to its name."""
    nonce = os.urandom(_COUNTER_BYTES + 1)
    return _LAYOUT + nonce + AESGCM(under).encrypt(nonce, key, name)


def unwrap_key(wrapped: bytes, *, under: bytes, name: bytes) -> bytes | None:
    """The key, or ``None`` where another key wrapped it, or wrapped it for another name."""
    nonce, sealed = wrapped[1 : _COUNTER_BYTES + 2], wrapped[_COUNTER_BYTES + 2 :]
    if wrapped[:1] != _LAYOUT:
        return None
    try:
        return AESGCM(under).decrypt(nonce, sealed, name)
    except (InvalidTag, ValueError):  # ValueError: too short to have been wrapped by us
        return None


def _opened(held: bytearray, key: bytes) -> AESGCM:
    """The cipher of a file whose head has come; what follows the head stays."""
    head = len(_LAYOUT) + _SALT_BYTES
    if held[: len(_LAYOUT)] != _LAYOUT:
        raise SealBroken
    cipher = _cipher(key, bytes(held[len(_LAYOUT) : head]))
    del held[:head]
    return cipher


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"consent-proxy/held-medium").derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES) + bytes([last])


def _decrypt(cipher: AESGCM, sealed: bytes, nonce: bytes, name: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, sealed, name)
    except (InvalidTag, ValueError) as error:
        raise SealBroken from error
