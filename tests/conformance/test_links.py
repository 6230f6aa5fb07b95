"""What every ``ConsentLedger`` does with links: one standing, no no lost, one history, one answer for one key."""

from datetime import UTC, datetime, timedelta

import pytest

from consent_proxy.application.ports.consent import ConsentLedger, IdempotencyKeyReused, NothingToLink
from consent_proxy.application.ports.pages import Page
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.links import Carry
from consent_proxy.domain.subjects import SubjectRef
from tests.conformance.samples import decision, disclosure, link, new_ref, no, withdrawal, yes

MINUTE = timedelta(minutes=1)


def now() -> datetime:
    return datetime.now(UTC)


def state(standing: Standing | None, recipient: str = "fal") -> str:
    entry = standing.entry(recipient) if standing is not None else None
    return entry.state.value if entry is not None else "never-asked"


async def stands(ledger: ConsentLedger, ref: SubjectRef, recipient: str = "fal") -> str:
    return state((await ledger.standings(ref)).get(Purpose.GENERATION), recipient)


async def test_a_guest_who_signs_up_keeps_the_yes(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    asked = decision(guest, yes(to=["fal"]))
    await ledger.decide(asked)
    recorded = await ledger.link(link(guest, into=account))
    assert recorded.standings == await ledger.standings(account) == await ledger.standings(guest)
    standing = recorded.standings[Purpose.GENERATION]
    assert (standing.subject_ref, state(standing)) == (account, "granted")
    assert standing.recipients["fal"].event_id == asked.event_id
    assert state(standing, "replicate") == "never-asked"


async def test_a_guest_who_signs_up_after_declining_has_declined(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    await ledger.decide(decision(guest, no()))
    await ledger.link(link(guest, into=account))
    assert await stands(ledger, account) == await stands(ledger, account, "anyone") == "declined"


@pytest.mark.parametrize("carry", Carry)
@pytest.mark.parametrize("guest_first", [True, False])
@pytest.mark.parametrize("guest_says_no", [True, False])
async def test_a_no_on_either_side_holds_until_a_later_yes(
    ledger: ConsentLedger, carry: Carry, *, guest_first: bool, guest_says_no: bool
) -> None:
    guest, account = new_ref(), new_ref()
    answers = [decision(guest, no() if guest_says_no else yes()), decision(account, yes() if guest_says_no else no())]
    for answer in answers if guest_first else reversed(answers):
        await ledger.decide(answer)
    await ledger.link(link(guest, into=account, carry=carry))
    assert await stands(ledger, account) == await stands(ledger, guest) == "declined"
    await ledger.decide(decision(account, yes()))
    assert await stands(ledger, account) == await stands(ledger, guest) == "granted"


async def test_refusals_alone_leave_the_yes_behind(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    await ledger.decide(decision(guest, yes(), no(Purpose.TRAINING)))
    recorded = await ledger.link(link(guest, into=account, carry=Carry.REFUSALS))
    assert state(recorded.standings.get(Purpose.GENERATION)) == "never-asked"
    assert state(recorded.standings.get(Purpose.TRAINING)) == "declined"
    assert await ledger.standings(guest) == await ledger.standings(account)


async def test_a_no_to_one_recipient_leaves_the_other_sides_yes_to_the_other(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    await ledger.decide(decision(guest, no(to=frozenset({"fal"}))))
    await ledger.decide(decision(account, yes()))
    await ledger.link(link(guest, into=account))
    assert await stands(ledger, account, "fal") == "declined"
    assert await stands(ledger, account, "replicate") == "granted"


async def test_of_two_yeses_the_later_counts(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    later = decision(guest, yes(to=["fal"]))
    await ledger.decide(decision(account, yes()))
    await ledger.decide(later)
    standing = (await ledger.link(link(guest, into=account))).standings[Purpose.GENERATION]
    assert standing.recipients["fal"].event_id == later.event_id
    assert state(standing, "replicate") == "granted"


async def test_a_yes_given_before_the_other_sides_no_stays_behind_even_where_that_no_was_lifted(
    ledger: ConsentLedger,
) -> None:
    guest, account = new_ref(), new_ref()
    given = now() - MINUTE
    await ledger.withdraw(withdrawal(guest))
    lifted = decision(guest, yes(to=["fal"]))
    await ledger.decide(lifted)
    await ledger.decide(decision(account, yes(), occurred_at=given))
    standing = (await ledger.link(link(guest, into=account))).standings[Purpose.GENERATION]
    assert standing.recipients["fal"].event_id == lifted.event_id
    assert state(standing, "replicate") == "withdrawn"


async def test_the_memory_of_a_no_keeps_an_offline_queue_from_reopening_the_door(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    queued = now() - MINUTE
    await ledger.decide(decision(guest, no()))
    await ledger.decide(decision(guest, yes()))
    await ledger.link(link(guest, into=account, carry=Carry.REFUSALS))
    late = await ledger.decide(decision(account, yes(), occurred_at=queued))
    assert (late.event.effective, late.event.reason) == (False, "superseded")
    assert await stands(ledger, account) == "withdrawn"


async def test_every_standing_of_both_moves(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    await ledger.decide(decision(guest, yes()))
    before = (await ledger.decide(decision(account, yes(), yes(Purpose.TRAINING)))).standings
    after = (await ledger.link(link(guest, into=account))).standings
    assert {purpose: standing.version for purpose, standing in after.items()} == {
        purpose: standing.version + 1 for purpose, standing in before.items()
    }


async def test_what_comes_in_under_the_old_reference_counts_for_the_one_that_stays(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    await ledger.decide(decision(account, yes()))
    await ledger.link(link(guest, into=account))
    taken_back = await ledger.withdraw(withdrawal(guest))
    assert taken_back.event.subject_ref == account
    assert await stands(ledger, account) == "withdrawn"
    again = await ledger.decide(decision(guest, yes()))
    assert (again.event.subject_ref, await stands(ledger, account)) == (account, "granted")


async def test_history_is_one_and_the_rows_stay_as_they_were_written(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    first = (await ledger.decide(decision(guest, no()))).event
    second = (await ledger.decide(decision(account, yes()))).event
    third = (await ledger.link(link(guest, into=account))).event
    fourth = (await ledger.withdraw(withdrawal(guest))).event
    for ref in (guest, account):
        assert (await ledger.events(ref, page=Page(descending=False))).items == (first, second, third, fourth)
    assert [event.subject_ref for event in (first, second, third, fourth)] == [guest, account, account, account]
    assert (third.kind, third.linked_from, third.carry, third.actor) == ("link", guest, Carry.ALL, "operator")
    assert await ledger.event(third.id) == third


async def test_the_past_of_a_linked_person_is_replayed_with_its_links(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    await ledger.decide(decision(guest, no(to=frozenset({"fal"})), occurred_at=now() - MINUTE))
    asked = await ledger.decide(decision(account, yes(), occurred_at=now() - MINUTE))
    linked = await ledger.link(link(guest, into=account))
    answered = await ledger.decide(decision(guest, yes(to=["fal"])))
    for recorded in (asked, linked, answered):
        past = await ledger.standings_at(account, at=recorded.event.received_at)
        assert past == recorded.standings
        assert await ledger.standings_at(guest, at=recorded.event.received_at) == past


async def test_what_an_event_came_after_does_not_change_with_later_links(ledger: ConsentLedger) -> None:
    guest, account, other = new_ref(), new_ref(), new_ref()
    first = (await ledger.decide(decision(guest, yes()))).event
    elsewhere = (await ledger.decide(decision(account, yes()))).event
    second = (await ledger.decide(decision(guest, no()))).event
    linked = (await ledger.link(link(guest, into=account))).event
    third = (await ledger.decide(decision(account, yes()))).event
    await ledger.link(link(account, into=other))
    assert await ledger.event_before(first) is None
    assert await ledger.event_before(elsewhere) is None
    assert await ledger.event_before(second) == first
    assert await ledger.event_before(linked) == elsewhere
    assert await ledger.event_before(third) == linked


async def test_linking_again_is_answered_with_the_link_that_was_made(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    first = await ledger.link(link(guest, into=account))
    await ledger.decide(decision(account, yes()))
    for again in (link(guest, into=account), link(account, into=guest), link(guest, into=guest)):
        answered = await ledger.link(again)
        assert (answered.replayed, answered.event) == (True, first.event)
        assert state(answered.standings[Purpose.GENERATION]) == "granted"
    assert len((await ledger.events(account, page=Page())).items) == 2


async def test_a_reference_cannot_be_linked_to_itself(ledger: ConsentLedger) -> None:
    ref = new_ref()
    with pytest.raises(NothingToLink):
        await ledger.link(link(ref, into=ref, idempotency_digest=b"self"))
    await ledger.decide(decision(ref, yes()))
    other = new_ref()
    await ledger.link(link(other, into=ref, idempotency_digest=b"self"))


async def test_links_lead_on_to_the_last_one(ledger: ConsentLedger) -> None:
    guest, phone, account, other = new_ref(), new_ref(), new_ref(), new_ref()
    await ledger.decide(decision(guest, no()))
    await ledger.link(link(guest, into=phone))
    await ledger.link(link(phone, into=account))
    await ledger.decide(decision(other, yes()))
    # The guest's old reference stands for the whole person: account goes with it.
    await ledger.link(link(guest, into=other))
    for ref in (guest, phone, account, other):
        standing = (await ledger.standings(ref))[Purpose.GENERATION]
        assert (standing.subject_ref, state(standing)) == (other, "declined")
        assert len((await ledger.events(ref, page=Page())).items) == 5


async def test_two_that_nobody_asked_are_linked_all_the_same(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    recorded = await ledger.link(link(guest, into=account))
    assert recorded.standings == {}
    await ledger.decide(decision(guest, yes()))
    assert await stands(ledger, account) == "granted"


async def test_a_retry_from_before_the_link_is_no_new_answer(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    asked = decision(guest, yes(), idempotency_digest=b"tap-1")
    first = await ledger.decide(asked)
    await ledger.withdraw(withdrawal(guest))
    await ledger.link(link(guest, into=account))
    for ref in (guest, account):
        again = await ledger.decide(decision(ref, yes(), idempotency_digest=b"tap-1"))
        assert (again.replayed, again.event, again.standings) == (True, first.event, first.standings)
        with pytest.raises(IdempotencyKeyReused):
            await ledger.decide(decision(ref, yes(), idempotency_digest=b"tap-1", request=b"another body"))
    assert await stands(ledger, account) == "withdrawn"


async def test_a_link_counts_once_for_its_key(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    await ledger.decide(decision(guest, yes()))
    first = await ledger.link(link(guest, into=account, idempotency_digest=b"sign-up"))
    await ledger.withdraw(withdrawal(account))
    again = await ledger.link(link(guest, into=account, idempotency_digest=b"sign-up"))
    assert (again.replayed, again.event, again.standings) == (True, first.event, first.standings)
    with pytest.raises(IdempotencyKeyReused):
        await ledger.link(link(guest, into=account, idempotency_digest=b"sign-up", request=b"another"))


async def test_a_yes_is_carried_with_its_end(ledger: ConsentLedger) -> None:
    guest, account = new_ref(), new_ref()
    given = await ledger.decide(decision(guest, yes(), shown=disclosure(valid_for=MINUTE)))
    standing = (await ledger.link(link(guest, into=account))).standings[Purpose.GENERATION]
    assert standing.recipients == given.standings[Purpose.GENERATION].recipients
    assert standing.recipients["fal"].valid_until == given.event.received_at + MINUTE
