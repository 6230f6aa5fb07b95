"""A small memory forgets what is old, and what was not used when it is full."""

from datetime import timedelta

import pytest

from consent_proxy.adapters.postgres.remembered import Remembered

SECOND = timedelta(seconds=1)


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


def test_what_was_put_is_remembered_until_it_is_old(ticks: Ticks) -> None:
    memory: Remembered[str, int] = Remembered(size=2, life=SECOND, monotonic=ticks)
    assert memory.put("a", 1) == 1
    ticks.now = 0.999
    assert memory.get("a") == 1
    ticks.now = 1.0
    assert memory.get("a") is None


def test_being_used_does_not_make_it_younger(ticks: Ticks) -> None:
    memory: Remembered[str, int] = Remembered(size=2, life=SECOND, monotonic=ticks)
    memory.put("a", 1)
    ticks.now = 0.9
    memory.get("a")
    ticks.now = 1.1
    assert memory.get("a") is None


def test_putting_it_again_does(ticks: Ticks) -> None:
    memory: Remembered[str, int] = Remembered(size=2, life=SECOND, monotonic=ticks)
    memory.put("a", 1)
    ticks.now = 0.9
    memory.put("a", 2)
    ticks.now = 1.5
    assert memory.get("a") == 2


def test_the_one_used_longest_ago_makes_room(ticks: Ticks) -> None:
    memory: Remembered[str, int] = Remembered(size=2, life=SECOND, monotonic=ticks)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.get("a")
    memory.put("c", 3)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (1, None, 3)


def test_what_was_never_put_is_unknown(ticks: Ticks) -> None:
    memory: Remembered[str, int] = Remembered(size=2, life=SECOND, monotonic=ticks)
    assert memory.get("a") is None
