"""Small requests beside large media: what photos that are handed over do to the median of everybody else."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import httpx

from benchmarks.load import Measured
from benchmarks.processes import BenchmarkFailed
from benchmarks.rounds import Spread
from benchmarks.service import ADMIN_KEY

PHOTO_BYTES = 5_000_000
PER_SECOND = 10
#: More than that at once, and photos are handed over faster than they are taken.
_SENDERS = 4
_SUBJECT = "bench-photographer"

#: A baseline picture of 4000 × 3000 grey pixels up to its scan; the stripper reads the structure and decodes nothing.
_HEAD = b"".join(
    (
        b"\xff\xd8",
        (
            b"\xff\xe1\x00\x2aExif\x00\x00II\x2a\x00\x08\x00\x00\x00\x01\x00\x0f\x01\x02\x00\x08\x00\x00\x00"
            b"\x1a\x00\x00\x00\x00\x00\x00\x00A camera"
        ),
        b"\xff\xdb\x00\x43\x00" + bytes(range(1, 65)),
        b"\xff\xc0\x00\x0b\x08\x0b\xb8\x0f\xa0\x01\x01\x11\x00",
        b"\xff\xc4\x00\x14\x00\x01" + bytes(16),
        b"\xff\xc4\x00\x14\x10\x01" + bytes(16),
        b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Medians of small requests in ms at one connection, by themselves and beside photos; and what became of those."""

    alone_ms: Spread
    beside_ms: Spread
    rise: Spread
    photos: int
    failed: int


@dataclass(slots=True)
class Photographers:
    """Hand photos over at a steady rate until the block ends."""

    url: str
    taken: int = 0
    failed: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._hand_over, args=(turn,)) for turn in range(_SENDERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _hand_over(self, turn: int) -> None:
        each = _SENDERS / PER_SECOND
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Consent-Subject": _SUBJECT, "Content-Type": "image/jpeg"}
        content = photo(seed=turn)
        with httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False) as http:
            due = time.monotonic() + each * turn / _SENDERS
            while not self._over.wait(max(0.0, due - time.monotonic())):
                due += each
                answer = http.post("/v1/media", content=content)
                self.taken += answer.is_success
                self.failed += not answer.is_success


def photo(*, seed: int) -> bytes:
    """A JPEG of about ``PHOTO_BYTES`` with a camera's name in it; its scan is noise."""
    scan = random.Random(seed).randbytes(PHOTO_BYTES).replace(b"\xff", b"\xff\x00")
    return _HEAD + scan + b"\xff\xd9"


def measure_beside(load: Callable[[], Measured], *, url: str, rounds: int, say: Callable[[str], None]) -> Beside:
    """By turns alone and beside photos, ``rounds`` times. Raises ``BenchmarkFailed`` where no photo was taken."""
    alone, beside, taken, failed = [], [], 0, 0
    for number in range(rounds):
        alone.append(load())
        with Photographers(url) as photographers:
            beside.append(load())
        taken, failed = taken + photographers.taken, failed + photographers.failed
        say(
            f"round {number + 1} of {rounds} · beside photos  · p50 {alone[-1].p50_ms:.2f} ms alone,"
            f" {beside[-1].p50_ms:.2f} ms beside {photographers.taken} photos"
        )
    if not taken:
        raise BenchmarkFailed("not one photo was taken")
    return Beside(
        alone_ms=Spread.of([run.p50_ms for run in alone]),
        beside_ms=Spread.of([run.p50_ms for run in beside]),
        rise=Spread.of([after.p50_ms / before.p50_ms - 1 for before, after in zip(alone, beside, strict=True)]),
        photos=taken,
        failed=failed + sum(run.failed + run.broken for run in (*alone, *beside)),
    )
