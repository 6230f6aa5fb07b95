"""A contract permits within its term, and the latest put one counts."""

from dataclasses import replace
from datetime import datetime

import pytest

from consent_proxy.domain.contracts import contract_in_force, next_contract_change, next_lapse
from tests.builders import DAY, HOUR, NOW, a_contract, event_id

FIRST = a_contract(valid_from=NOW, valid_until=NOW + DAY, put_at=NOW - DAY)
OPEN = replace(FIRST, id=event_id(2), valid_until=None, put_at=NOW - HOUR)


@pytest.mark.parametrize(
    ("at", "expected"), [(NOW - HOUR, False), (NOW, True), (NOW + DAY - HOUR, True), (NOW + DAY, False)]
)
def test_the_term_has_its_first_moment_and_not_its_last(at: datetime, expected: bool) -> None:
    assert FIRST.in_force_at(at) is expected


def test_a_contract_without_an_end_goes_on() -> None:
    assert OPEN.ends_at is None
    assert OPEN.in_force_at(NOW + 10_000 * DAY)


def test_a_contract_that_was_ended_is_over_before_its_term() -> None:
    ended = replace(FIRST, ended_at=NOW + HOUR)

    assert ended.ends_at == NOW + HOUR
    assert ended.in_force_at(NOW)
    assert not ended.in_force_at(NOW + HOUR)
    assert replace(FIRST, ended_at=NOW + 2 * DAY).ends_at == NOW + DAY


def test_of_two_contracts_in_force_the_latest_put_counts() -> None:
    assert contract_in_force((OPEN, FIRST), recipient="fal", at=NOW) is OPEN
    assert contract_in_force((FIRST, OPEN), recipient="fal", at=NOW) is OPEN


def test_a_contract_that_is_over_does_not_hide_one_that_is_not() -> None:
    over = replace(OPEN, put_at=NOW, valid_until=NOW + HOUR)

    assert contract_in_force((FIRST, over), recipient="fal", at=NOW + HOUR) is FIRST


def test_contracts_of_others_count_for_nothing() -> None:
    assert contract_in_force((FIRST,), recipient="replicate", at=NOW) is None
    assert next_contract_change((FIRST,), recipient="replicate", at=NOW) is None


def test_the_next_change_is_the_next_beginning_or_end() -> None:
    later = replace(OPEN, valid_from=NOW + HOUR)

    assert next_contract_change((FIRST, later), recipient="fal", at=NOW - HOUR) == NOW
    assert next_contract_change((FIRST, later), recipient="fal", at=NOW) == NOW + HOUR
    assert next_contract_change((FIRST, later), recipient="fal", at=NOW + HOUR) == NOW + DAY
    assert next_contract_change((FIRST, later), recipient="fal", at=NOW + DAY) is None


@pytest.mark.parametrize(
    ("equal_protection", "own_purposes_excluded", "promises"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_both_promises_have_to_be_made(equal_protection: bool, own_purposes_excluded: bool, promises: bool) -> None:
    contract = replace(FIRST, equal_protection=equal_protection, own_purposes_excluded=own_purposes_excluded)

    assert contract.promises() is promises


def test_a_lapse_is_the_first_moment_without_a_contract() -> None:
    first = a_contract(valid_until=NOW + DAY)
    second = replace(first, valid_from=NOW + DAY / 2, valid_until=NOW + 3 * DAY)
    other = replace(first, recipient="replicate", valid_until=None)
    assert next_lapse([first, other], recipient="fal", at=NOW) == NOW + DAY
    assert next_lapse([first, second], recipient="fal", at=NOW) == NOW + 3 * DAY
    assert next_lapse([first, replace(second, valid_until=None)], recipient="fal", at=NOW) is None
    assert next_lapse([replace(first, ended_at=NOW - DAY)], recipient="fal", at=NOW) is None
