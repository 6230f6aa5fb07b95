"""The rounds: every target in turn, at each number of connections, again and again, and what they come to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.load import Measured

#: The keys under which each target is counted, measured and shown.
STUB, PASS_THROUGH, SERVICE = "stub", "pass-through", "service"
TARGETS = (STUB, PASS_THROUGH, SERVICE)
MANY, ONE = 32, 1
CONNECTIONS = (MANY, ONE)

#: Loads a target: (target, connections, seconds) to what was measured.
Load = Callable[[str, int, int], Measured]
Runs = dict[tuple[str, int], list[Measured]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A number over the rounds: the median, and the range it lay in."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        return cls(median=median(numbers), lowest=min(numbers), highest=max(numbers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one target did at one number of connections."""

    target: str
    connections: int
    per_second: Spread
    p50_ms: Spread
    p99_ms: Spread
    failed: int
    broken: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The numbers that mean the same on every machine, or nearly: each is taken within a round, then over the rounds.

    ``ratio`` is the service's requests per second through the pass-through's, by number of connections; ``added_ms``
    what a target's median delay at one connection has over the stub's.
    """

    ratio: dict[int, Spread]
    added_ms: dict[str, Spread]


def measure(load: Load, *, rounds: int, seconds: int, warm_up: int, say: Callable[[str], None]) -> Runs:
    """Warm every target up, then run the rounds; the order turns, so that no target always has the best place."""
    for target in TARGETS:
        say(f"warming up: {target} …")
        load(target, MANY, warm_up)
        load(target, ONE, 1)
    runs: Runs = {(target, connections): [] for connections in CONNECTIONS for target in TARGETS}
    for number, target, connections in order(rounds):
        measured = load(target, connections, seconds)
        runs[target, connections].append(measured)
        at = f"{connections} connection{'s' if connections > 1 else ''}"
        say(f"round {number} of {rounds} · {at:<14} · {target:<12} {measured.per_second:>9,.0f} requests/s")
    return runs


def order(rounds: int) -> Iterator[tuple[int, str, int]]:
    """Each run's round (from 1), target and connections."""
    for number in range(rounds):
        first = number % len(TARGETS)
        for connections in CONNECTIONS:
            for target in TARGETS[first:] + TARGETS[:first]:
                yield number + 1, target, connections


def rows(runs: Runs) -> list[Row]:
    """One row a target and number of connections, in the order they are shown."""
    return [
        Row(
            target=target,
            connections=connections,
            per_second=Spread.of([run.per_second for run in measured]),
            p50_ms=Spread.of([run.p50_ms for run in measured]),
            p99_ms=Spread.of([run.p99_ms for run in measured]),
            failed=sum(run.failed for run in measured),
            broken=sum(run.broken for run in measured),
        )
        for (target, connections), measured in runs.items()
    ]


def compare(runs: Runs) -> Comparison:
    """Hold the service against the pass-through, and both against the stub."""
    return Comparison(
        ratio={
            connections: Spread.of(
                [
                    ours.per_second / theirs.per_second
                    for ours, theirs in zip(runs[SERVICE, connections], runs[PASS_THROUGH, connections], strict=True)
                ]
            )
            for connections in CONNECTIONS
        },
        added_ms={
            target: Spread.of(
                [run.p50_ms - bare.p50_ms for run, bare in zip(runs[target, ONE], runs[STUB, ONE], strict=True)]
            )
            for target in (PASS_THROUGH, SERVICE)
        },
    )
