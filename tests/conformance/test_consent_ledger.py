"""What every ``ConsentLedger`` does: the order of answers, what each leads to, idempotency, history."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from consent_proxy.application.ports.consent import ConsentLedger, IdempotencyKeyReused, StoredEvent
from consent_proxy.application.ports.pages import Page
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import ConsentState, Standing, TimeNotAllowed
from tests.builders import KEY
from tests.conformance.samples import COVERED, decision, disclosure, new_ref, no, withdrawal, yes

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def now() -> datetime:
    return datetime.now(UTC)


def states(standing: Standing) -> dict[str, str]:
    return {name: entry.state.value for name, entry in sorted(standing.recipients.items())}


async def test_a_subject_nobody_asked_has_no_standing(ledger: ConsentLedger) -> None:
    assert await ledger.standings(new_ref()) == {}


async def test_a_yes_covers_exactly_what_it_named(ledger: ConsentLedger) -> None:
    ref, shown = new_ref(), disclosure()
    asked = decision(ref, yes(to=["fal"]), shown=shown)
    recorded = await ledger.decide(asked)
    standing = (await ledger.standings(ref))[Purpose.GENERATION]
    assert recorded.standings == {Purpose.GENERATION: standing}
    assert set(standing.recipients) == {"fal"}
    entry = standing.recipients["fal"]
    assert entry.state is ConsentState.GRANTED
    assert entry.categories == COVERED
    assert (entry.disclosure, entry.disclosure_sha256, entry.locale) == ("2026-03-03", asked.disclosure_sha256, "en")
    assert entry.event_id == asked.event_id
    assert entry.decided_at == recorded.event.received_at
    assert standing.granted_to_any
    assert standing.version == 1


async def test_an_event_is_kept_as_it_was_given(ledger: ConsentLedger) -> None:
    ref, occurred_at = new_ref(), now() - MINUTE
    asked = decision(ref, yes(to=["fal"]), no(Purpose.TRAINING), occurred_at=occurred_at)
    recorded = await ledger.decide(asked)
    event = recorded.event
    assert await ledger.event(asked.event_id) == event
    assert (event.id, event.kind, event.subject_ref) == (asked.event_id, "decision", ref)
    assert (event.occurred_at, event.actor, event.environment) == (occurred_at, "self", "test")
    assert (event.disclosure, event.locale, event.disclosure_sha256) == ("2026-03-03", "en", asked.disclosure_sha256)
    assert event.evidence == {"surface": "ios", "control": "button"}
    assert (event.caller, event.credential) == ("web-backend", {"kind": "service-key", "id": str(KEY)})
    assert (event.effective, event.reason) == (True, None)
    assert event.answers == (
        {
            "purpose": "generation",
            "decision": "granted",
            "recipients": ["fal"],
            "categories": {"fal": ["prompt", "setting"]},
            "valid_until": None,
            "effective": True,
            "reason": None,
        },
        {
            "purpose": "training",
            "decision": "declined",
            "recipients": None,
            "categories": None,
            "valid_until": None,
            "effective": True,
            "reason": None,
        },
    )


async def test_an_event_nobody_recorded_is_none(ledger: ConsentLedger) -> None:
    assert await ledger.event(new_ref()) is None


async def test_one_screen_is_one_event_and_moves_each_purpose(ledger: ConsentLedger) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes(), no(Purpose.TRAINING)))
    standings = await ledger.standings(ref)
    assert states(standings[Purpose.GENERATION]) == {"fal": "granted", "replicate": "granted"}
    assert not standings[Purpose.TRAINING].granted_to_any
    everyone = standings[Purpose.TRAINING].everyone
    assert everyone is not None
    assert everyone.state is ConsentState.DECLINED
    assert len((await ledger.events(ref, page=Page())).items) == 1


async def test_two_answers_about_one_purpose_count_in_their_order(ledger: ConsentLedger) -> None:
    ref = new_ref()
    recorded = await ledger.decide(decision(ref, yes(to=["fal"]), no(to=frozenset({"replicate"}))))
    standing = recorded.standings[Purpose.GENERATION]
    assert states(standing) == {"fal": "granted", "replicate": "declined"}


async def test_a_no_that_names_nobody_is_a_no_to_everyone(ledger: ConsentLedger) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes()))
    await ledger.decide(decision(ref, no()))
    standing = (await ledger.standings(ref))[Purpose.GENERATION]
    assert standing.recipients == {}
    assert standing.entry("anyone") is standing.everyone
    assert not standing.granted_to_any


async def test_a_withdrawal_takes_back_every_purpose_unless_it_names_one(ledger: ConsentLedger) -> None:
    ref, other = new_ref(), new_ref()
    for one in (ref, other):
        await ledger.decide(decision(one, yes(), yes(Purpose.TRAINING)))
    await ledger.withdraw(withdrawal(ref))
    await ledger.withdraw(withdrawal(other, purposes=frozenset({Purpose.TRAINING})))
    assert not any(standing.granted_to_any for standing in (await ledger.standings(ref)).values())
    kept = await ledger.standings(other)
    assert kept[Purpose.GENERATION].granted_to_any
    assert not kept[Purpose.TRAINING].granted_to_any


async def test_a_withdrawal_from_one_recipient_leaves_the_others(ledger: ConsentLedger) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes()))
    await ledger.withdraw(withdrawal(ref, recipients=frozenset({"fal"})))
    standing = (await ledger.standings(ref))[Purpose.GENERATION]
    assert states(standing) == {"fal": "withdrawn", "replicate": "granted"}


async def test_a_withdrawal_is_never_refused_for_what_the_subject_decided(ledger: ConsentLedger) -> None:
    ref = new_ref()
    first = await ledger.withdraw(withdrawal(ref))
    again = await ledger.withdraw(withdrawal(ref, reason="guardian"))
    assert first.event.kind == "withdrawal"
    assert first.event.effective
    assert (first.event.actor, first.event.reason) == ("self", "user-request")
    assert (again.event.actor, again.event.reason) == ("guardian", "guardian")
    assert [answer["purpose"] for answer in first.event.answers] == ["generation", "training"]
    assert {answer["decision"] for answer in first.event.answers} == {"withdrawn"}
    assert (await ledger.standings(ref))[Purpose.GENERATION].version == 2


async def test_an_old_queued_yes_does_not_reopen_the_door(ledger: ConsentLedger) -> None:
    ref = new_ref()
    before = now() - MINUTE
    await ledger.withdraw(withdrawal(ref))
    late = await ledger.decide(decision(ref, yes(), occurred_at=before))
    assert (late.event.effective, late.event.reason) == (False, "superseded")
    assert not late.standings[Purpose.GENERATION].granted_to_any


async def test_a_yes_without_a_time_counts_from_its_arrival(ledger: ConsentLedger) -> None:
    ref = new_ref()
    await ledger.withdraw(withdrawal(ref))
    assert (await ledger.decide(decision(ref, yes()))).standings[Purpose.GENERATION].granted_to_any


async def test_a_screen_is_effective_only_if_each_answer_is(ledger: ConsentLedger) -> None:
    ref = new_ref()
    before = now() - MINUTE
    await ledger.withdraw(withdrawal(ref, purposes=frozenset({Purpose.TRAINING})))
    recorded = await ledger.decide(decision(ref, yes(), yes(Purpose.TRAINING), occurred_at=before))
    assert (recorded.event.effective, recorded.event.reason) == (False, "superseded")
    assert [answer["effective"] for answer in recorded.event.answers] == [True, False]
    assert recorded.standings[Purpose.GENERATION].granted_to_any


async def test_a_yes_older_than_thirty_days_is_recorded_and_changes_nothing(ledger: ConsentLedger) -> None:
    ref = new_ref()
    recorded = await ledger.decide(decision(ref, yes(), occurred_at=now() - 31 * DAY))
    assert (recorded.event.effective, recorded.event.reason) == (False, "too-old")
    assert recorded.standings == {}
    assert await ledger.standings(ref) == {}
    assert await ledger.event(recorded.event.id) == recorded.event


async def test_a_yes_from_the_future_leaves_nothing_behind(ledger: ConsentLedger) -> None:
    ref = new_ref()
    asked = decision(ref, no(Purpose.TRAINING), yes(), occurred_at=now() + 6 * MINUTE, idempotency_digest=b"future")
    with pytest.raises(TimeNotAllowed):
        await ledger.decide(asked)
    assert await ledger.standings(ref) == {}
    assert (await ledger.events(ref, page=Page())).items == ()
    mended = decision(ref, yes(), occurred_at=now(), idempotency_digest=b"future", request=b"mended")
    assert not (await ledger.decide(mended)).replayed


async def test_a_yes_runs_out_when_its_disclosure_says(ledger: ConsentLedger) -> None:
    ref, occurred_at = new_ref(), now() - MINUTE
    recorded = await ledger.decide(decision(ref, yes(), shown=disclosure(valid_for=DAY), occurred_at=occurred_at))
    entry = recorded.standings[Purpose.GENERATION].recipients["fal"]
    assert entry.valid_until == occurred_at + DAY
    until = recorded.event.answers[0]["valid_until"]
    assert isinstance(until, str)
    assert datetime.fromisoformat(until) == occurred_at + DAY


async def test_the_same_key_and_body_is_answered_as_before_without_a_new_effect(ledger: ConsentLedger) -> None:
    ref = new_ref()
    first = await ledger.decide(decision(ref, yes(), idempotency_digest=b"key of a yes"))
    await ledger.withdraw(withdrawal(ref))
    again = await ledger.decide(decision(ref, yes(), idempotency_digest=b"key of a yes"))
    assert not first.replayed
    assert again.replayed
    assert again.event == first.event
    assert (again.standings, again.stood_at) == (first.standings, first.stood_at)
    assert not (await ledger.standings(ref))[Purpose.GENERATION].granted_to_any
    assert len((await ledger.events(ref, page=Page())).items) == 2


async def test_the_same_key_with_another_body_is_refused(ledger: ConsentLedger) -> None:
    ref = new_ref()
    await ledger.withdraw(withdrawal(ref, idempotency_digest=b"reused", request=b"one"))
    with pytest.raises(IdempotencyKeyReused):
        await ledger.withdraw(withdrawal(ref, idempotency_digest=b"reused", request=b"other"))
    assert len((await ledger.events(ref, page=Page())).items) == 1


async def test_two_requests_at_once_with_one_key_have_one_effect(ledger: ConsentLedger) -> None:
    ref = new_ref()
    both = await asyncio.gather(*(ledger.decide(decision(ref, yes(), idempotency_digest=b"twice")) for _ in range(4)))
    assert sorted(recorded.replayed for recorded in both) == [False, True, True, True]
    assert len({recorded.event.id for recorded in both}) == 1
    assert (await ledger.standings(ref))[Purpose.GENERATION].version == 1


async def test_answers_at_once_are_all_counted_in_the_order_of_arrival(ledger: ConsentLedger) -> None:
    ref = new_ref()
    asked = [ledger.decide(decision(ref, yes() if turn % 3 else no())) for turn in range(9)]
    asked += [ledger.withdraw(withdrawal(ref)) for _ in range(3)]
    await asyncio.gather(*asked)
    standing = (await ledger.standings(ref))[Purpose.GENERATION]
    assert standing.version == 12
    events = (await ledger.events(ref, page=Page(descending=False))).items
    assert len(events) == 12
    assert [event.received_at for event in events] == sorted(event.received_at for event in events)
    last_is_yes = events[-1].answers[0]["decision"] == "granted"
    assert standing.granted_to_any == last_is_yes


async def test_the_past_is_what_the_events_up_to_then_add_up_to(ledger: ConsentLedger) -> None:
    ref = new_ref()
    asked = [
        ledger.decide(decision(ref, yes(), shown=disclosure(valid_for=DAY), occurred_at=now() - MINUTE)),
        ledger.withdraw(withdrawal(ref, recipients=frozenset({"fal"}))),
        ledger.decide(decision(ref, yes(), occurred_at=now() - MINUTE)),
        ledger.decide(decision(ref, yes(Purpose.TRAINING), no(to=frozenset({"replicate"})))),
        ledger.withdraw(withdrawal(ref)),
    ]
    for coming in asked:
        recorded = await coming
        at = recorded.event.received_at
        assert await ledger.standings_at(ref, at=at) == recorded.standings == await ledger.standings(ref)
        await asyncio.sleep(0.002)
    first = (await ledger.events(ref, page=Page(descending=False))).items[0]
    assert await ledger.standings_at(ref, at=first.received_at - timedelta(microseconds=1)) == {}
    assert (await ledger.standings_at(ref, at=first.received_at))[Purpose.GENERATION].granted_to_any


async def test_history_comes_in_parts(ledger: ConsentLedger) -> None:
    ref, other = new_ref(), new_ref()
    recorded = []
    for _ in range(5):
        recorded.append((await ledger.withdraw(withdrawal(ref))).event)
        await ledger.withdraw(withdrawal(other))
        await asyncio.sleep(0.002)
    for descending, expected in ((True, recorded[::-1]), (False, recorded)):
        seen: list[StoredEvent] = []
        cursor = None
        for size in (2, 2, 1):
            part = await ledger.events(ref, page=Page(limit=2, cursor=cursor, descending=descending))
            assert len(part.items) == size
            seen += part.items
            cursor = part.next_cursor
        assert seen == expected
        assert cursor is None


async def test_history_of_a_period_begins_with_its_first_moment_and_ends_before_its_last(ledger: ConsentLedger) -> None:
    ref = new_ref()
    recorded = []
    for _ in range(4):
        recorded.append((await ledger.withdraw(withdrawal(ref))).event)
        await asyncio.sleep(0.002)
    page = Page(from_at=recorded[1].received_at, to_at=recorded[3].received_at, descending=False)
    assert list((await ledger.events(ref, page=page)).items) == recorded[1:3]


async def test_a_cursor_that_is_none_of_ours_is_a_value_error(ledger: ConsentLedger) -> None:
    for cursor in ("", "x", "%%%", "A" * 500):
        with pytest.raises(ValueError):  # noqa: PT011 - the message is the adapter's own
            await ledger.events(new_ref(), page=Page(cursor=cursor))


async def test_waiting_where_nothing_is_open_returns(ledger: ConsentLedger) -> None:
    await ledger.wait_for_open_intents(new_ref(), purposes=frozenset(Purpose))
