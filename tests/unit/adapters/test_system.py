"""The clock is UTC-aware, and new ids are UUIDv7 that never go back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from uuid import RFC_4122

from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.adapters.system import SystemClock, Uuid7Identifiers


def test_the_wall_clock_is_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_the_monotonic_clock_does_not_go_back() -> None:
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()


def test_an_id_carries_its_millisecond_version_and_variant() -> None:
    made = Uuid7Identifiers(clock_ns=lambda: 1_700_000_000_123_999_999).new_id()
    assert made.int >> 80 == 1_700_000_000_123
    assert made.version == 7
    assert made.variant == RFC_4122


@given(st.lists(st.integers(min_value=0, max_value=2**47), min_size=2, max_size=200))
def test_ids_rise_whatever_the_clock_does(milliseconds: list[int]) -> None:
    moments = iter(milliseconds)
    ids = Uuid7Identifiers(clock_ns=lambda: next(moments) * 1_000_000)
    made = [ids.new_id() for _ in milliseconds]
    assert all(earlier < later for earlier, later in pairwise(made))
    assert all(one.version == 7 and one.variant == RFC_4122 for one in made)


def test_a_millisecond_that_runs_out_of_room_borrows_the_next() -> None:
    ids = Uuid7Identifiers(clock_ns=lambda: 5_000_000, random_bytes=lambda size: b"\xff" * size)
    ids._tail, ids._milliseconds = 2**74 - 1, 5
    assert ids.new_id().int >> 80 == 6


def test_threads_never_get_the_same_id() -> None:
    ids = Uuid7Identifiers()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: ids.new_id(), range(4_000)))
    assert len(set(made)) == len(made)


def test_neighbouring_ids_are_not_guessable_from_one_another() -> None:
    ids = Uuid7Identifiers(clock_ns=lambda: 5_000_000)
    steps = {later.int - earlier.int for earlier, later in pairwise(ids.new_id() for _ in range(50))}
    assert len(steps) == 49
