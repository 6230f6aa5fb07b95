"""The table says what was measured, and says so when the numbers do not hold."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load import Measured
from benchmarks.photos import PHOTO_BYTES, Beside, photo
from benchmarks.rounds import MANY, ONE, PASS_THROUGH, SERVICE, STUB, Runs, Spread, compare, measure, order, rows
from benchmarks.service import Record, count_transfers
from benchmarks.table import Report, as_document, as_text
from consent_proxy.adapters.media.stripping import TagGroup, strip_file

PER_SECOND = {STUB: 40_000, PASS_THROUGH: 400, SERVICE: 1_600}


def measured(per_second: float, *, p50_ms: float, failed: int = 0) -> Measured:
    return Measured(
        requests=round(per_second * 5), seconds=5, p50_ms=p50_ms, p99_ms=p50_ms * 3, failed=failed, broken=0
    )


def three_rounds(*, failed: int = 0) -> Runs:
    at_one = {STUB: 0.02, PASS_THROUGH: 1.5, SERVICE: 3.02}
    runs: Runs = {}
    for target, per_second in PER_SECOND.items():
        runs[target, MANY] = [measured(per_second * factor, p50_ms=9) for factor in (1, 1.25, 0.75)]
        runs[target, ONE] = [measured(300, p50_ms=at_one[target], failed=failed) for _ in range(3)]
    return runs


def beside_photos(*, rises: Sequence[float] = (0.1, 0.2, 0.3), failed: int = 0) -> Beside:
    medians = [3 * (1 + rise) for rise in rises]
    return Beside(
        alone_ms=Spread.of([3.0, 3.0, 3.0]),
        beside_ms=Spread.of(medians),
        rise=Spread.of(list(rises)),
        photos=150,
        failed=failed,
    )


def report(
    runs: Runs,
    *,
    beside: Beside | None = None,
    received: int = 7_000,
    states: Sequence[tuple[str, int]] = (("delivered", 7_000),),
) -> Report:
    record = Record(outcomes=Counter(dict(states)), narrowed=sum(count for _, count in states))
    return Report(
        rounds=3,
        seconds=5,
        request_bytes=955,
        answer_bytes=186,
        rows=rows(runs),
        comparison=compare(runs),
        beside=beside or beside_photos(),
        received=received,
        record=record,
    )


def test_the_table_holds_each_number_with_its_range() -> None:
    text = as_text(report(three_rounds()))
    assert "1,600 (1,200-2,000)" in text
    assert "40,000 (30,000-50,000)" in text
    assert "7,000 requests" in text
    assert "7,000 transfers" in text
    assert all(len(line) <= 110 for line in text.splitlines())


def test_a_ratio_is_taken_within_each_round() -> None:
    comparison = compare(three_rounds())
    assert (comparison.ratio[MANY].lowest, comparison.ratio[MANY].highest) == (4, 4)
    assert round(comparison.added_ms[SERVICE].median, 6) == 3


def test_the_table_says_whether_each_aim_is_met() -> None:
    assert "at least 3: met" in as_text(report(three_rounds()))
    slower = three_rounds()
    slower[SERVICE, MANY] = slower[PASS_THROUGH, MANY]
    slower[SERVICE, ONE] = [measured(100, p50_ms=9) for _ in range(3)]
    assert "at least 3: not met" in as_text(report(slower))
    assert "below 4: not met" in as_text(report(slower))


def test_the_table_says_what_photos_cost_the_small_requests_beside_them() -> None:
    text = as_text(report(three_rounds()))
    assert "beside 150 photos" in text
    assert "20 (10-30)  below 50%: met" in text
    slower = report(three_rounds(), beside=beside_photos(rises=(0.4, 0.6, 0.8)))
    assert "below 50%: not met" in as_text(slower)
    assert json.loads(json.dumps(as_document(slower)))["beside_photos"]["photos"] == 150


def test_photos_that_were_not_taken_spoil_the_numbers() -> None:
    assert report(three_rounds(), beside=beside_photos(failed=2)).flaws == [
        "2 photos, or small requests beside them, were not taken"
    ]


def test_a_photo_of_the_benchmark_is_taken_and_loses_what_names_its_camera(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(photo(seed=1))
    stripped = strip_file(tmp_path / "photo", tmp_path / "clean")
    assert stripped.removed == (TagGroup.CAMERA,)
    assert stripped.bytes_after > PHOTO_BYTES


def test_a_transfer_that_is_missing_or_not_delivered_spoils_the_numbers() -> None:
    assert report(three_rounds()).flaws == []
    missing = report(three_rounds(), received=7_001)
    assert "7,000 transfers are on record, 7,001 requests went out" in as_text(missing)
    pending = report(three_rounds(), states=(("delivered", 6_999), ("pending", 1)))
    assert "6,999 delivered, 1 pending" in as_text(pending)


def test_answers_that_are_errors_spoil_the_numbers() -> None:
    assert len(report(three_rounds(failed=2)).flaws) == 3


def test_a_program_can_read_the_same() -> None:
    document = json.loads(json.dumps(as_document(report(three_rounds()))))
    assert document["service_through_pass_through"]["32"]["median"] == 4
    assert document["rows"][0]["per_second"] == {"median": 40_000, "lowest": 30_000, "highest": 50_000}
    assert document["flaws"] == []


def test_the_rounds_are_interleaved_and_no_target_is_always_first() -> None:
    turns = list(order(3))
    assert len(turns) == len(set(turns)) == 18
    assert {target for _, target, connections in turns[::3] if connections == MANY} == {STUB, PASS_THROUGH, SERVICE}


def test_the_warm_up_is_not_measured() -> None:
    loads: list[tuple[str, int, int]] = []

    def load(target: str, connections: int, seconds: int) -> Measured:
        loads.append((target, connections, seconds))
        return measured(1 if seconds < 5 else 2, p50_ms=1)

    runs = measure(load, rounds=2, seconds=5, warm_up=3, say=lambda _: None)
    assert len(loads) == 6 + 12
    assert {run.per_second for several in runs.values() for run in several} == {2}


def test_transfers_are_counted_by_outcome_and_by_what_was_dropped() -> None:
    dropped = {"path": "device", "reason": "not-listed"}
    lines = [
        {"outcome": {"state": "delivered"}, "fields_dropped": [dropped]},
        {"outcome": {"state": "delivered"}, "fields_dropped": [{"path": "~", "reason": "more"}, dropped]},
        {"outcome": {"state": "indeterminate"}, "fields_dropped": []},
    ]
    record = count_transfers(json.dumps(line) for line in lines)
    assert (record.transfers, record.outcomes["delivered"], record.narrowed) == (3, 2, 2)
