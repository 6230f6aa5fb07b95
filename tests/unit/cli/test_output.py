"""Tables that a person can read on the terminal they have, and that cannot give it orders."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from consent_proxy.cli.output import print_json, print_prose, print_rows

ID = "01a213e9-2b25-76ee-83d5-0095450011df"
ROWS: list[dict[str, str | None]] = [
    {"model": "acme/a-model-with-a-rather-long-name", "reason": "consent-never-asked", "id": ID},
    {"model": "short", "reason": None, "id": ID},
]


def table(capsys: pytest.CaptureFixture[str], room: int | None) -> list[str]:
    print_rows(ROWS, columns=("model", "reason", "id"), empty="none", cut=("model", "reason"), room=room)
    return capsys.readouterr().out.splitlines()


def test_a_table_that_fits_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    for room in (None, 96):
        assert table(capsys, room)[1] == f"acme/a-model-with-a-rather-long-name  consent-never-asked  {ID}"


def test_the_widest_column_gives_way_first_and_an_id_never(capsys: pytest.CaptureFixture[str]) -> None:
    assert table(capsys, 80)[1:] == [
        f"acme/a-model-with-a-…  consent-never-asked  {ID}",
        f"short                  -                    {ID}",
    ]
    assert table(capsys, 20)[1] == f"acme/a-mo…  consent-n…  {ID}"


def test_moments_are_told_in_utc_whatever_their_offset(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 11, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    print_rows([{"at": at, "all": [at, True, None]}], columns=("at", "all"), empty="none")
    assert capsys.readouterr().out.splitlines()[1] == "2026-10-31 23:30:00Z  2026-10-31 23:30:00Z, yes, -"
    print_json({"at": at, "id": UUID(ID), "roles": frozenset({"b", "a"}), "none": None})
    assert json.loads(capsys.readouterr().out) == {
        "at": "2026-10-31T23:30:00Z",
        "id": ID,
        "roles": ["a", "b"],
        "none": None,
    }


def test_nothing_that_is_shown_orders_the_terminal_about(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"reference": "\x1b[2J\x9b\u202eDPA\n1"}], columns=("reference",), empty="none")
    print_prose("One\x1b]0;x\x07\nTwo")
    assert capsys.readouterr().out.splitlines()[1:] == ["\ufffd[2J\ufffd\ufffdDPA\ufffd1", "One\ufffd]0;x\ufffd", "Two"]


def test_no_rows_are_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], columns=("x",), empty="Nothing matches.")
    assert capsys.readouterr().out == "Nothing matches.\n"


def test_the_day_ends_where_utc_says(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"at": datetime(2026, 1, 1, tzinfo=UTC)}], columns=("at",), empty="none")
    assert "2026-01-01 00:00:00Z" in capsys.readouterr().out
