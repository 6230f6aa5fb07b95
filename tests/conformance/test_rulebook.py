"""What every ``Rulebook`` does: each change moves the edition and is read back as it was written."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from consent_proxy.application.ports.rules import VersionTaken
from consent_proxy.domain.callers import Credential, CredentialKind, Role
from tests.conformance.at_hand import RulesAtHand
from tests.conformance.samples import LONG_AGO, contract, disclosure, new_ref, service_key

MINUTE = timedelta(minutes=1)
LATER = LONG_AGO + timedelta(days=30)


async def test_a_published_disclosure_is_read_back_as_it_was(rules: RulesAtHand) -> None:
    published = disclosure(valid_for=timedelta(days=365))
    assert await rules.book.publish(published, by="admin")
    assert (await rules.read()).disclosures == (published,)


async def test_publishing_the_same_again_changes_nothing(rules: RulesAtHand) -> None:
    await rules.book.publish(disclosure(), by="admin")
    before = await rules.read()
    assert not await rules.book.publish(replace(disclosure(), published_at=LATER), by="somebody else")
    assert await rules.read() == before


async def test_a_version_is_never_published_with_another_text(rules: RulesAtHand) -> None:
    await rules.book.publish(disclosure(), by="admin")
    before = await rules.read()
    with pytest.raises(VersionTaken):
        await rules.book.publish(disclosure(title="Something else"), by="admin")
    shown = disclosure()
    with pytest.raises(VersionTaken):
        await rules.book.publish(replace(shown, document={**shown.document, "material": 0}), by="admin")
    assert await rules.read() == before


async def test_the_order_of_a_documents_keys_is_no_difference(rules: RulesAtHand) -> None:
    shown = disclosure()
    await rules.book.publish(shown, by="admin")
    turned = replace(shown, document=dict(reversed([*shown.document.items()])))
    assert not await rules.book.publish(turned, by="admin")


async def test_publishing_at_once_publishes_once(rules: RulesAtHand) -> None:
    told = await asyncio.gather(*(rules.book.publish(disclosure(), by="admin") for _ in range(4)))
    assert sorted(told) == [False, False, False, True]
    assert len((await rules.read()).disclosures) == 1


async def test_a_contract_is_read_back_as_it_was_put(rules: RulesAtHand) -> None:
    put = contract(valid_until=LATER)
    await rules.book.put_contract(put, by="admin")
    assert (await rules.read()).contracts == (put,)


async def test_the_contract_put_last_is_in_force(rules: RulesAtHand) -> None:
    first, second = contract(), contract(put_at=LONG_AGO + MINUTE, reference="DPA-2")
    await rules.book.put_contract(second, by="admin")
    await rules.book.put_contract(first, by="admin")
    assert (await rules.read()).contract("fal", at=LATER) == second


async def test_ending_a_contract_ends_every_version_put_so_far_and_no_other(rules: RulesAtHand) -> None:
    for put in (contract(), contract(), contract("replicate")):
        await rules.book.put_contract(put, by="admin")
    assert await rules.book.end_contract("fal", at=LATER, by="admin")
    read = await rules.read()
    assert [known.ended_at for known in read.contracts if known.recipient == "fal"] == [LATER, LATER]
    assert read.contract("fal", at=LATER) is None
    assert read.contract("fal", at=LATER - MINUTE) is not None
    assert read.contract("replicate", at=LATER) is not None


async def test_a_contract_put_after_the_end_is_in_force(rules: RulesAtHand) -> None:
    await rules.book.put_contract(contract(), by="admin")
    await rules.book.end_contract("fal", at=LATER, by="admin")
    renewed = contract(put_at=LATER + MINUTE)
    await rules.book.put_contract(renewed, by="admin")
    assert (await rules.read()).contract("fal", at=LATER + MINUTE) == renewed


async def test_an_end_can_come_earlier_but_never_later(rules: RulesAtHand) -> None:
    await rules.book.put_contract(contract(), by="admin")
    for at in (LATER, LATER + MINUTE, LATER - MINUTE):
        assert await rules.book.end_contract("fal", at=at, by="admin")
    assert [known.ended_at for known in (await rules.read()).contracts] == [LATER - MINUTE]


async def test_a_contract_that_is_not_there_cannot_be_ended(rules: RulesAtHand) -> None:
    await rules.book.put_contract(contract("replicate"), by="admin")
    assert not await rules.book.end_contract("fal", at=LATER, by="admin")


async def test_a_key_is_read_back_as_it_was_made(rules: RulesAtHand) -> None:
    made = await rules.book.create_key(service_key(expires_at=LATER, roles=frozenset({Role.ADMIN, Role.AUDITOR})))
    assert (await rules.read()).keys == {made.digest: made}


async def test_keys_of_one_caller_share_its_id(rules: RulesAtHand) -> None:
    first = await rules.book.create_key(service_key("web-backend"))
    second = await rules.book.create_key(service_key("web-backend"))
    other = await rules.book.create_key(service_key("mobile-backend"))
    assert first.caller_id == second.caller_id != other.caller_id
    assert first.id != second.id


async def test_two_first_keys_of_a_caller_at_once_make_one_caller(rules: RulesAtHand) -> None:
    made = await asyncio.gather(*(rules.book.create_key(service_key("web-backend")) for _ in range(4)))
    assert len({key.caller_id for key in made}) == 1
    assert len((await rules.read()).keys) == 4


async def test_a_revoked_key_opens_nothing_and_stays_revoked(rules: RulesAtHand) -> None:
    made = await rules.book.create_key(service_key())
    credential = Credential(
        kind=CredentialKind.SERVICE_KEY,
        id=str(made.id),
        caller_id=made.caller_id,
        caller=made.caller,
        roles=made.roles,
    )
    assert (await rules.read()).stands(credential, at=LATER)
    assert await rules.book.revoke_key(made.id, at=LATER)
    assert await rules.book.revoke_key(made.id, at=LATER + MINUTE)
    read = await rules.read()
    assert not read.stands(credential, at=LATER)
    assert read.keys[made.digest].revoked_at == LATER


async def test_a_key_that_is_not_there_cannot_be_revoked(rules: RulesAtHand) -> None:
    assert not await rules.book.revoke_key(UUID(int=1), at=LATER)


async def test_a_revoked_token_is_known_to_be_revoked(rules: RulesAtHand) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    await rules.book.revoke_token("first", expires_at=expires_at)
    await rules.book.revoke_token("first", expires_at=expires_at - MINUTE)
    await rules.book.revoke_token("second", expires_at=expires_at)
    assert (await rules.read()).revoked_tokens == {"first", "second"}


async def test_the_latest_cut_off_of_a_subjects_tokens_holds(rules: RulesAtHand) -> None:
    ref, other = new_ref(), new_ref()
    for moment in (LONG_AGO, LATER, LONG_AGO + MINUTE):
        await rules.book.revoke_tokens_of(ref, issued_before=moment)
    await rules.book.revoke_tokens_of(other, issued_before=LONG_AGO)
    assert (await rules.read()).tokens_revoked_before == {ref: LATER, other: LONG_AGO}


async def test_every_change_moves_the_edition(rules: RulesAtHand) -> None:
    book = rules.book
    made = await book.create_key(service_key())
    editions = [(await rules.read()).edition]
    for change in (
        book.publish(disclosure(), by="admin"),
        book.put_contract(contract(), by="admin"),
        book.end_contract("fal", at=LATER, by="admin"),
        book.create_key(service_key()),
        book.revoke_key(made.id, at=LATER),
        book.revoke_token("token", expires_at=datetime.now(UTC) + MINUTE),
        book.revoke_tokens_of(new_ref(), issued_before=LATER),
    ):
        await change
        editions.append((await rules.read()).edition)
    assert editions == list(range(editions[0], editions[0] + 8))


async def test_the_use_of_a_key_is_noted_and_is_no_change_of_the_rules(rules: RulesAtHand) -> None:
    used, unused = await rules.book.create_key(service_key()), await rules.book.create_key(service_key())
    before = await rules.read()
    await rules.book.note_key_used(used.id, at=LATER)
    await rules.book.note_key_used(used.id, at=LATER + timedelta(seconds=30))
    assert await rules.book.last_used() == {used.id: LATER}
    assert unused.id not in await rules.book.last_used()
    assert await rules.read() == before


async def test_the_use_of_a_key_nobody_made_is_not_noted(rules: RulesAtHand) -> None:
    await rules.book.note_key_used(UUID(int=1), at=LATER)
    assert await rules.book.last_used() == {}
