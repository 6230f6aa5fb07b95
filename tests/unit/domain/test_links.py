"""What the standings of two references of one person add up to, where the order of long ago decides."""

from datetime import timedelta

from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import ConsentEvent, ConsentState, Granted, Standing, apply_event
from consent_proxy.domain.links import Carry, Linked, join_standings, leave_standing
from tests.builders import HOUR, NOW, SUBJECT, a_decline, a_grant, a_withdrawal, event_id

MINUTE = timedelta(minutes=1)
LINK = Linked(event_id=event_id(99), received_at=NOW, carry=Carry.ALL)
NOBODY_ASKED = Standing(subject_ref=SUBJECT, purpose=Purpose.GENERATION)
FAL = {"fal": [DataCategory.PROMPT]}


def after(*events: ConsentEvent) -> Standing:
    standing = NOBODY_ASKED
    for event in events:
        standing = apply_event(standing, event).standing
    return standing


def a_late_yes(*, given: timedelta) -> Granted:
    return a_grant(50, covers=FAL, received_at=NOW + MINUTE, occurred_at=NOW - given)


def test_of_a_lifted_no_the_memory_stays_though_the_other_sides_yes_counts() -> None:
    lifted = after(a_withdrawal(1, received_at=NOW - 3 * HOUR), a_grant(2, covers=FAL, received_at=NOW - 2 * HOUR))
    other = after(a_grant(3, covers=FAL, received_at=NOW - HOUR))

    for joined in (join_standings(lifted, other, link=LINK), join_standings(other, lifted, link=LINK)):
        assert joined.recipients["fal"].event_id == event_id(3)
        assert joined.recipients["fal"].last_no_at == NOW - 3 * HOUR
        assert not apply_event(joined, a_late_yes(given=4 * HOUR)).effective
        assert apply_event(joined, a_late_yes(given=2 * HOUR)).effective


def test_a_no_that_holds_remembers_the_later_one_that_was_lifted() -> None:
    lifted = after(a_withdrawal(1, received_at=NOW - 2 * HOUR), a_grant(2, covers=FAL, received_at=NOW - HOUR))
    refused = after(a_decline(3, received_at=NOW - 3 * HOUR))

    joined = join_standings(lifted, refused, link=LINK)
    assert joined.recipients["fal"].state is ConsentState.DECLINED
    assert not apply_event(joined, a_late_yes(given=2 * HOUR + MINUTE)).effective


def test_of_two_noes_the_later_is_told() -> None:
    declined, withdrawn = after(a_decline(1, received_at=NOW - HOUR)), after(a_withdrawal(2, received_at=NOW))

    for joined in (join_standings(declined, withdrawn, link=LINK), join_standings(withdrawn, declined, link=LINK)):
        assert joined.everyone is not None
        assert (joined.everyone.state, joined.everyone.event_id) == (ConsentState.WITHDRAWN, event_id(2))


def test_a_yes_that_arrived_before_the_other_sides_no_does_not_come_back() -> None:
    old = after(a_grant(1, received_at=NOW - 3 * HOUR))
    lifted = after(a_withdrawal(2, received_at=NOW - 2 * HOUR), a_grant(3, covers=FAL, received_at=NOW - HOUR))
    joined = join_standings(old, lifted, link=Linked(event_id=event_id(99), received_at=NOW, carry=Carry.REFUSALS))

    assert joined.recipients["fal"].state is ConsentState.WITHDRAWN
    assert joined.recipients["fal"].event_id == event_id(99)
    assert joined.recipients["replicate"].event_id == event_id(2)
    assert not joined.granted_to_any


def test_a_reference_that_goes_leaves_nothing_granted_and_no_version_that_was_decided_on() -> None:
    left = leave_standing(after(a_grant(), a_decline(2, recipients=frozenset({"fal"}))))

    assert (left.version, left.granted_to_any, left.entry("fal")) == (3, False, None)
