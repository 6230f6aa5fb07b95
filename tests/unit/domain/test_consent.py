"""What people decide counts in the order in which it reaches us; after a no, only a later yes opens the door."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Queue
from hypothesis.stateful import RuleBasedStateMachine, consumes, initialize, invariant, rule

from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import (
    CLOCK_TOLERANCE,
    OFFLINE_LIMIT,
    ConsentEvent,
    ConsentState,
    Granted,
    Standing,
    TimeNotAllowed,
    apply_event,
)
from tests.builders import (
    DAY,
    HOUR,
    NOW,
    SUBJECT,
    a_decline,
    a_disclosure,
    a_grant,
    a_recipient_standing,
    a_standing,
    a_withdrawal,
)

NOBODY_ASKED = Standing(subject_ref=SUBJECT, purpose=Purpose.GENERATION)
DISCLOSURES = (a_disclosure(),)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def after(*events: ConsentEvent, standing: Standing = NOBODY_ASKED) -> Standing:
    for event in events:
        standing = apply_event(standing, event).standing
    return standing


def state(standing: Standing, recipient: str = "fal", at: datetime = NOW) -> ConsentState:
    return standing.state(recipient, disclosures=DISCLOSURES, at=at)


def test_a_person_nobody_asked_has_never_been_asked() -> None:
    assert state(NOBODY_ASKED) is ConsentState.NEVER_ASKED
    assert not NOBODY_ASKED.granted_to_any


def test_a_yes_covers_exactly_the_recipients_and_categories_it_named() -> None:
    standing = after(a_grant(covers={"fal": [DataCategory.PROMPT]}))

    assert state(standing) is ConsentState.GRANTED
    assert standing.recipients["fal"].categories == {DataCategory.PROMPT}
    assert state(standing, "replicate") is ConsentState.NEVER_ASKED


@pytest.mark.parametrize(
    ("no", "expected"), [(a_decline(2), ConsentState.DECLINED), (a_withdrawal(2), ConsentState.WITHDRAWN)]
)
def test_a_no_to_everyone_holds_even_for_those_never_named(no: ConsentEvent, expected: ConsentState) -> None:
    standing = after(a_grant(), no)

    assert [state(standing, recipient) for recipient in ("fal", "replicate", "new")] == [expected] * 3
    assert not standing.granted_to_any


def test_a_no_to_one_recipient_leaves_the_others_as_they_were() -> None:
    standing = after(a_grant(), a_withdrawal(2, recipients=frozenset({"fal"})))

    assert state(standing) is ConsentState.WITHDRAWN
    assert state(standing, "replicate") is ConsentState.GRANTED
    assert standing.granted_to_any


def test_a_withdrawal_counts_whatever_was_before() -> None:
    assert state(after(a_withdrawal())) is ConsentState.WITHDRAWN
    assert state(after(a_decline(), a_withdrawal(2))) is ConsentState.WITHDRAWN


@pytest.mark.parametrize("occurred_at", [None, NOW + 2 * SECOND, NOW + HOUR])
def test_a_yes_given_after_the_no_arrived_opens_the_door_again(occurred_at: datetime | None) -> None:
    yes = a_grant(2, received_at=NOW + HOUR, occurred_at=occurred_at)

    assert state(after(a_withdrawal(), yes)) is ConsentState.GRANTED


@pytest.mark.parametrize("no", [a_decline(), a_withdrawal(), a_withdrawal(recipients=frozenset({"fal"}))])
@pytest.mark.parametrize("occurred_at", [NOW - DAY, NOW - SECOND, NOW])
def test_a_queued_yes_that_is_not_later_than_the_no_changes_nothing(no: ConsentEvent, occurred_at: datetime) -> None:
    before = after(no)

    late = apply_event(before, a_grant(2, covers={"fal": []}, received_at=NOW + HOUR, occurred_at=occurred_at))

    assert (late.effective, late.reason) == (False, "superseded")
    assert (late.standing.recipients, late.standing.everyone) == (before.recipients, before.everyone)


def test_a_yes_remembers_the_no_before_it_so_that_an_older_yes_stays_shut_out() -> None:
    standing = after(
        a_withdrawal(received_at=NOW),
        a_grant(2, received_at=NOW + HOUR),
        a_withdrawal(3, received_at=NOW + 2 * HOUR, recipients=frozenset({"fal"})),
    )

    late = apply_event(standing, a_grant(4, received_at=NOW + 3 * HOUR, occurred_at=NOW + HOUR))

    assert state(late.standing) is ConsentState.WITHDRAWN
    assert state(late.standing, "replicate") is ConsentState.GRANTED
    assert not late.effective


def test_a_yes_older_than_thirty_days_is_too_old() -> None:
    on_time = apply_event(NOBODY_ASKED, a_grant(occurred_at=NOW - OFFLINE_LIMIT))
    late = apply_event(NOBODY_ASKED, a_grant(occurred_at=NOW - OFFLINE_LIMIT - SECOND))

    assert on_time.effective
    assert (late.standing, late.effective, late.reason) == (NOBODY_ASKED, False, "too-old")


def test_a_yes_from_the_future_is_an_error() -> None:
    assert apply_event(NOBODY_ASKED, a_grant(occurred_at=NOW + CLOCK_TOLERANCE)).effective
    with pytest.raises(TimeNotAllowed):
        apply_event(NOBODY_ASKED, a_grant(occurred_at=NOW + CLOCK_TOLERANCE + SECOND))


EVENTS: tuple[ConsentEvent, ...] = (a_grant(1), a_decline(2), a_grant(3), a_withdrawal(4))


def test_every_change_moves_the_version() -> None:
    standing = NOBODY_ASKED
    for number, event in enumerate(EVENTS, start=1):
        standing = apply_event(standing, event).standing
        assert standing.version == number


def test_a_yes_runs_out_when_its_disclosure_says_counted_from_when_it_was_given() -> None:
    standing = after(a_grant(occurred_at=NOW - HOUR, valid_for=DAY))

    assert state(standing, at=NOW + DAY - HOUR - SECOND) is ConsentState.GRANTED
    assert state(standing, at=NOW + DAY - HOUR) is ConsentState.EXPIRED


def test_a_material_disclosure_outdates_the_yes_before_it_from_the_day_it_says() -> None:
    later = a_disclosure("2", effective_at=NOW - HOUR, material=True, outdates_at=NOW + HOUR)
    standing, disclosures = a_standing(), (*DISCLOSURES, later)

    assert standing.outdated_at("fal", disclosures=disclosures) == NOW + HOUR
    assert standing.state("fal", disclosures=disclosures, at=NOW) is ConsentState.GRANTED
    assert standing.state("fal", disclosures=disclosures, at=NOW + HOUR) is ConsentState.OUTDATED


def test_a_yes_to_a_disclosure_nobody_knows_does_not_count() -> None:
    standing = a_standing(recipients={"fal": a_recipient_standing(disclosure="lost")})

    assert state(standing) is ConsentState.OUTDATED


def test_a_no_is_neither_outdated_nor_expired() -> None:
    later = a_disclosure("2", effective_at=NOW, material=True)
    standing = after(a_decline())

    assert standing.state("fal", disclosures=(*DISCLOSURES, later), at=NOW + 400 * DAY) is ConsentState.DECLINED
    assert standing.outdated_at("fal", disclosures=(*DISCLOSURES, later)) is None


def test_the_app_must_ask_where_there_is_no_decision_and_may_where_there_was_a_no() -> None:
    assert {one for one in ConsentState if one.must_ask} == {
        ConsentState.NEVER_ASKED,
        ConsentState.OUTDATED,
        ConsentState.EXPIRED,
    }
    assert {one for one in ConsentState if one.may_ask} == {ConsentState.DECLINED, ConsentState.WITHDRAWN}


RECIPIENTS = ("fal", "replicate")
some_recipients = st.sampled_from([None, frozenset({"fal"}), frozenset({"replicate"}), frozenset(RECIPIENTS)])


@dataclass
class Remembered:
    """What the test itself remembers of one recipient."""

    last_no_at: datetime | None = None
    granted: bool = False


class PeopleDeciding(RuleBasedStateMachine):
    """Yeses, noes and withdrawals from several devices, some of them offline: after every step the standing says what
    the plain reading of the rules says.
    """

    offline = Queue("offline")

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.number = 0
        self.standing = NOBODY_ASKED
        self.known = {recipient: Remembered() for recipient in RECIPIENTS}

    def next_number(self) -> int:
        self.number += 1
        return self.number

    @rule(step=st.sampled_from([timedelta(0), SECOND, MINUTE, HOUR, DAY, 31 * DAY]))
    def time_passes(self, step: timedelta) -> None:
        self.now += step

    @rule(target=offline, recipients=some_recipients, ahead=st.sampled_from([timedelta(0), SECOND, CLOCK_TOLERANCE]))
    def somebody_says_yes_offline(self, recipients: frozenset[str] | None, ahead: timedelta) -> Granted:
        return self.yes(recipients, occurred_at=self.now + ahead)

    @rule(queued=consumes(offline))
    def a_queued_yes_arrives(self, queued: Granted) -> None:
        self.take(replace(queued, received_at=self.now))

    @rule(queued=offline)
    def a_queued_yes_arrives_and_stays_in_the_queue(self, queued: Granted) -> None:
        self.take(replace(queued, received_at=self.now))

    @rule(recipients=some_recipients)
    def somebody_says_yes(self, recipients: frozenset[str] | None) -> None:
        self.take(self.yes(recipients, occurred_at=None))

    @rule(recipients=some_recipients)
    def somebody_says_no(self, recipients: frozenset[str] | None) -> None:
        event = a_decline(self.next_number(), received_at=self.now, recipients=recipients)
        assert apply_event(self.standing, event).effective
        self.standing = after(event, standing=self.standing)
        self.remember_no(recipients)

    @rule(recipients=some_recipients)
    def somebody_takes_it_back(self, recipients: frozenset[str] | None) -> None:
        event = a_withdrawal(self.next_number(), received_at=self.now, recipients=recipients)
        assert apply_event(self.standing, event).effective
        self.standing = after(event, standing=self.standing)
        self.remember_no(recipients)

    def yes(self, recipients: frozenset[str] | None, *, occurred_at: datetime | None) -> Granted:
        covers = {recipient: [DataCategory.PROMPT] for recipient in recipients or RECIPIENTS}
        return a_grant(self.next_number(), covers=covers, received_at=self.now, occurred_at=occurred_at)

    def take(self, event: Granted) -> None:
        applied = apply_event(self.standing, event)
        late = {
            recipient
            for recipient in event.covers
            if (last := self.known[recipient].last_no_at) is not None
            and event.occurred_at is not None
            and event.occurred_at <= last
        }
        too_old = event.occurred_at is not None and event.occurred_at < self.now - OFFLINE_LIMIT
        for recipient in set() if too_old else set(event.covers) - late:
            self.known[recipient].granted = True
        assert applied.effective is not (too_old or bool(late))
        self.standing = applied.standing

    def remember_no(self, recipients: frozenset[str] | None) -> None:
        for recipient in recipients or RECIPIENTS:
            self.known[recipient] = Remembered(last_no_at=self.now)

    @invariant()
    def the_standing_says_what_was_decided(self) -> None:
        for recipient, remembered in self.known.items():
            told = self.standing.state(recipient, disclosures=DISCLOSURES, at=self.now)
            assert (told is ConsentState.GRANTED) is remembered.granted
            if remembered.last_no_at is None and not remembered.granted:
                assert told is ConsentState.NEVER_ASKED
        assert self.standing.granted_to_any is any(one.granted for one in self.known.values())

    @invariant()
    def a_granted_door_was_opened_by_a_yes_later_than_every_no(self) -> None:
        for recipient, entry in self.standing.recipients.items():
            no_at = self.known[recipient].last_no_at
            if entry.state is ConsentState.GRANTED and no_at is not None:
                assert entry.decided_at >= no_at


PeopleDeciding.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestPeopleDeciding = PeopleDeciding.TestCase
