"""Damaged copies of files, the same ones in every run."""

import random

_ODD_NUMBERS = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00")


def mutated(content: bytes, dice: random.Random) -> bytes:
    """A few changes, most where the structure is: bits, numbers, and pieces lost, doubled or cut off."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.choice(
            (
                dice.randrange(len(changed)),
                dice.randrange(min(len(changed), 4000)),
                len(changed) - 1 - dice.randrange(min(len(changed), 4000)),
            )
        )
        match dice.randrange(6):
            case 0:
                changed[at] ^= 1 << dice.randrange(8)
            case 1:
                changed[at : at + 4] = dice.randbytes(4)
            case 2:
                changed[at : at + 4] = dice.choice(_ODD_NUMBERS)
            case 3:
                del changed[at : at + dice.randrange(1, 200)]
            case 4:
                start = dice.randrange(len(changed))
                changed[at:at] = changed[start : start + dice.randrange(1, 400)]
            case _:
                del changed[max(at, 400) :]
    return bytes(changed)
