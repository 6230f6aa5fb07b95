"""What a person reads at the end, and what a program reads."""

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.load import UNLISTED_FIELD
from benchmarks.photos import PER_SECOND, PHOTO_BYTES, Beside
from benchmarks.rounds import CONNECTIONS, PASS_THROUGH, SERVICE, STUB, Comparison, Row, Spread
from benchmarks.service import Record

#: What this project aims for (README.md beside this file); nothing fails where it is missed.
LEAST_RATIO = 3.0
MOST_ADDED_MS = 4.0
MOST_RISE = 0.5

_VERDICT = {True: ": met", False: ": not met", None: ""}
_TITLES = {
    STUB: "the stub, directly",
    PASS_THROUGH: "a hand-written pass-through",
    SERVICE: "consent-proxy, in full",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One benchmark: how it was run, what was measured, and what was counted at both ends."""

    rounds: int
    seconds: int
    request_bytes: int
    answer_bytes: int
    rows: list[Row]
    comparison: Comparison
    beside: Beside
    received: int
    record: Record

    @property
    def flaws(self) -> list[str]:
        """Why the numbers do not hold, if they do not."""
        found = [
            f"{_TITLES[row.target]} at {row.connections}: {row.failed} answers of 400 and above, {row.broken} broken"
            for row in self.rows
            if row.failed or row.broken
        ]
        if self.beside.failed:
            found.append(f"{self.beside.failed} photos, or small requests beside them, were not taken")
        if self.record.transfers != self.received:
            found.append(f"{self.record.transfers:,} transfers are on record, {self.received:,} requests went out")
        if self.record.outcomes["delivered"] != self.record.transfers:
            states = ", ".join(f"{count:,} {state}" for state, count in sorted(self.record.outcomes.items()))
            found.append(f"not every outcome is delivered: {states}")
        if self.record.narrowed != self.record.transfers:
            found.append(f"only {self.record.narrowed:,} of {self.record.transfers:,} transfers say what was dropped")
        return found


def as_text(report: Report) -> str:
    """The whole report, at most 110 columns wide."""
    each = f"{report.rounds} rounds of {report.seconds} s" if report.rounds > 1 else f"1 round of {report.seconds} s"
    return "\n".join(
        [
            f"One worker, one wrk thread, {each} each, interleaved: the median (lowest-highest).",
            f"{report.request_bytes:,} bytes in, {report.answer_bytes:,} out. {_machine()}",
            "",
            *_measurements(report.rows),
            *_comparison(report.comparison),
            "",
            *_beside(report.beside),
            "",
            *_counted(report),
        ]
    )


def as_document(report: Report) -> dict[str, Any]:
    """The same as JSON."""
    comparison = report.comparison
    return {
        "machine": {"system": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()},
        "workers": 1,
        "rounds": report.rounds,
        "seconds": report.seconds,
        "request_bytes": report.request_bytes,
        "answer_bytes": report.answer_bytes,
        "rows": [asdict(row) for row in report.rows],
        "service_through_pass_through": {str(count): asdict(spread) for count, spread in comparison.ratio.items()},
        "added_ms_at_one_connection": {target: asdict(spread) for target, spread in comparison.added_ms.items()},
        "beside_photos": asdict(report.beside),
        "aims": {
            "median_rise_beside_photos": MOST_RISE,
            "service_through_pass_through": LEAST_RATIO,
            "added_ms_at_one_connection": MOST_ADDED_MS,
        },
        "record": {
            "requests_received": report.received,
            "transfers": report.record.transfers,
            "outcomes": dict(report.record.outcomes),
            "narrowed": report.record.narrowed,
        },
        "flaws": report.flaws,
    }


def _measurements(rows: list[Row]) -> list[str]:
    lines = []
    for connections in CONNECTIONS:
        at = f"{connections} connection{'s' if connections > 1 else ''}"
        lines.append(f"{at:<28}{'requests/s':>26}{'p50 ms':>24}{'p99 ms':>26}")
        lines += [
            f"  {_TITLES[row.target]:<27}"
            f"{_cell(row.per_second, digits=0):>25}{_cell(row.p50_ms):>24}{_cell(row.p99_ms):>26}"
            for row in rows
            if row.connections == connections
        ]
        lines.append("")
    return lines


def _comparison(comparison: Comparison) -> list[str]:
    many, one = (comparison.ratio[connections] for connections in CONNECTIONS)
    ours, theirs = comparison.added_ms[SERVICE], comparison.added_ms[PASS_THROUGH]
    told = [
        ("requests/s at 32 connections ÷ the pass-through's", _cell(many), f"at least {LEAST_RATIO:.0f}"),
        ("requests/s at 1 connection ÷ the pass-through's", _cell(one), ""),
        ("p50 at 1 connection, ms over the stub's", _cell(ours), f"below {MOST_ADDED_MS:.0f}"),
        ("the pass-through's p50, ms over the stub's", _cell(theirs), ""),
    ]
    met = [many.median >= LEAST_RATIO, None, ours.median < MOST_ADDED_MS, None]
    return [
        f"{'consent-proxy beside the others':<53}{'':>25}  aim",
        *(
            f"  {what:<51}{cell:>25}  {aim}{_VERDICT[reached]}".rstrip()
            for (what, cell, aim), reached in zip(told, met, strict=True)
        ),
    ]


def _beside(beside: Beside) -> list[str]:
    rise = Spread.of([100 * share for share in (beside.rise.lowest, beside.rise.median, beside.rise.highest)])
    verdict = _VERDICT[beside.rise.median < MOST_RISE]
    return [
        f"small requests at 1 connection, beside photos of {PHOTO_BYTES // 1_000_000} MB, {PER_SECOND} a second",
        f"  {'p50 ms by themselves':<51}{_cell(beside.alone_ms):>25}",
        f"  {f'p50 ms beside {beside.photos} photos':<51}{_cell(beside.beside_ms):>25}",
        f"  {'rise of the median, %':<51}{_cell(rise, digits=0):>25}  below {MOST_RISE:.0%}{verdict}",
    ]


def _counted(report: Report) -> list[str]:
    if report.flaws:
        return ["These numbers do not hold:", *(f"  - {flaw}" for flaw in report.flaws)]
    return [
        f"Counted at both ends, warm-up included: the stub received {report.received:,} requests from the service;",
        f"read back as the auditor, the record holds {report.record.transfers:,} transfers, each of them delivered and",
        f'without "{UNLISTED_FIELD}", which the model does not take. So every check was on for every request.',
    ]


def _cell(spread: Spread, *, digits: int = 2) -> str:
    if spread.lowest == spread.highest:
        return f"{spread.median:,.{digits}f}"
    return f"{spread.median:,.{digits}f} ({spread.lowest:,.{digits}f}-{spread.highest:,.{digits}f})"


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}."
