"""Recording what a person answered, and taking it back: held against the disclosure, waited out after a no."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from consent_proxy.application.ports.consent import RecordedEvent
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.application.record_decision import AnswerGiven, DecisionGiven, record_decision
from consent_proxy.application.show_disclosure import show_disclosure
from consent_proxy.application.withdraw import withdraw
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import ConsentState
from consent_proxy.domain.disclosures import disclosure_sha256
from consent_proxy.domain.media import MediaOwner
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectKind, SubjectRef
from tests.builders import CALLER, NOW, SUBJECT, a_credential, a_medium, a_recipient
from tests.conformance.samples import disclosure, withdrawal
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeConsentLedger
from tests.fakes.media import FakeHeldMedia

SHOWN = disclosure()
RULES = Rules(edition=1, disclosures=(SHOWN,))


@pytest.fixture
def ledger() -> FakeConsentLedger:
    return FakeConsentLedger(FakeClock(NOW))


def given(**overrides: Any) -> DecisionGiven:
    """A yes to everything the disclosure names."""
    values: dict[str, Any] = {
        "event_id": uuid4(),
        "subject_ref": SUBJECT,
        "subject_kind": SubjectKind.ACCOUNT,
        "credential": a_credential(),
        "disclosure": SHOWN.version,
        "disclosure_sha256": None,
        "locale": "en",
        "answers": None,
        "granted": True,
        "occurred_at": None,
        "evidence": {},
        "actor": "self",
        "environment": "test",
        "idempotency": None,
        "request_sha256": b"a body",
    }
    return DecisionGiven(**{**values, **overrides})


async def record(ledger: FakeConsentLedger, *, rules: Rules = RULES, **overrides: Any) -> RecordedEvent | Refusal:
    return await record_decision(given(**overrides), rules=rules, ledger=ledger, at=NOW)


def states(recorded: RecordedEvent | Refusal, rules: Rules = RULES) -> dict[tuple[Purpose, str], ConsentState]:
    assert isinstance(recorded, RecordedEvent), recorded
    return {
        (purpose, recipient): standing.state(recipient, disclosures=rules.disclosures, at=NOW)
        for purpose, standing in recorded.standings.items()
        for recipient in ("fal", "replicate")
    }


def reason_of(recorded: RecordedEvent | Refusal) -> Reason:
    assert isinstance(recorded, Refusal), recorded
    return recorded.reason


async def test_one_decision_answers_for_every_purpose_and_recipient_shown(ledger: FakeConsentLedger) -> None:
    assert set(states(await record(ledger)).values()) == {ConsentState.GRANTED}
    assert len(states(await record(ledger))) == 4


async def test_a_no_to_everything_is_a_no_everywhere(ledger: FakeConsentLedger) -> None:
    assert set(states(await record(ledger, granted=False)).values()) == {ConsentState.DECLINED}


async def test_answers_may_differ_by_purpose_and_by_recipient(ledger: FakeConsentLedger) -> None:
    answers = [
        AnswerGiven(purpose=Purpose.GENERATION, granted=True, recipients=frozenset({"fal"})),
        AnswerGiven(purpose=Purpose.TRAINING, granted=False),
    ]
    assert states(await record(ledger, answers=answers)) == {
        (Purpose.GENERATION, "fal"): ConsentState.GRANTED,
        (Purpose.GENERATION, "replicate"): ConsentState.NEVER_ASKED,
        (Purpose.TRAINING, "fal"): ConsentState.DECLINED,
        (Purpose.TRAINING, "replicate"): ConsentState.DECLINED,
    }


async def test_a_yes_covers_exactly_the_categories_that_were_shown_for_the_recipient(ledger: FakeConsentLedger) -> None:
    narrow = a_recipient("fal", categories=frozenset({DataCategory.PROMPT}))
    shown = replace(SHOWN, recipients=(narrow, a_recipient("replicate")))
    recorded = await record(ledger, rules=Rules(edition=1, disclosures=(shown,)))
    assert isinstance(recorded, RecordedEvent)
    covered = recorded.standings[Purpose.GENERATION].recipients
    assert covered["fal"].categories == {DataCategory.PROMPT}
    assert covered["replicate"].categories == {DataCategory.PROMPT, DataCategory.SETTING}


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ({"disclosure": "2020-01-01"}, "a version nobody published"),
        ({"disclosure_sha256": "0" * 64}, "another text"),
        (
            {"disclosure_sha256": disclosure_sha256(SHOWN.document, locale="de")},
            "the text of another language",
        ),
        (
            {"answers": [AnswerGiven(purpose=Purpose.GENERATION, granted=True, recipients=frozenset({"acme"}))]},
            "a recipient it does not name",
        ),
    ],
)
async def test_an_answer_to_something_else_than_was_published_is_a_mismatch(
    ledger: FakeConsentLedger, overrides: dict[str, Any], why: str
) -> None:
    assert reason_of(await record(ledger, **overrides)) is Reason.DISCLOSURE_MISMATCH, why
    assert await ledger.standings(SUBJECT) == {}


async def test_a_purpose_the_disclosure_does_not_name_is_a_mismatch(ledger: FakeConsentLedger) -> None:
    only_generation = replace(SHOWN, purposes={Purpose.GENERATION: frozenset({DataCategory.PROMPT})})
    answers = [AnswerGiven(purpose=Purpose.TRAINING, granted=True)]
    recorded = await record(ledger, rules=Rules(edition=1, disclosures=(only_generation,)), answers=answers)
    assert reason_of(recorded) is Reason.DISCLOSURE_MISMATCH


async def test_a_disclosure_that_is_not_in_force_yet_cannot_have_been_shown(ledger: FakeConsentLedger) -> None:
    later = replace(SHOWN, effective_at=NOW + timedelta(seconds=1))
    recorded = await record(ledger, rules=Rules(edition=1, disclosures=(later,)))
    assert reason_of(recorded) is Reason.DISCLOSURE_MISMATCH


async def test_the_digest_of_what_was_shown_is_recorded_in_the_language_it_was_shown_in(
    ledger: FakeConsentLedger,
) -> None:
    digest = disclosure_sha256(SHOWN.document, locale="de")
    recorded = await record(ledger, locale="de-AT", disclosure_sha256=digest)
    assert isinstance(recorded, RecordedEvent)
    assert (recorded.event.locale, recorded.event.disclosure_sha256) == ("de", digest)


async def test_a_yes_from_the_future_is_an_error(ledger: FakeConsentLedger) -> None:
    late = timedelta(minutes=5, seconds=1)
    assert reason_of(await record(ledger, occurred_at=NOW + late)) is Reason.TIME_NOT_ALLOWED
    assert isinstance(await record(ledger, occurred_at=NOW + timedelta(minutes=5)), RecordedEvent)


async def test_after_a_no_the_answer_waits_for_what_may_still_leave(ledger: FakeConsentLedger) -> None:
    await record(ledger)
    assert ledger.waited == []
    answers = [
        AnswerGiven(purpose=Purpose.GENERATION, granted=True),
        AnswerGiven(purpose=Purpose.TRAINING, granted=False),
    ]
    await record(ledger, answers=answers)
    assert ledger.waited == [(SUBJECT, frozenset({Purpose.TRAINING}))]


async def test_a_withdrawal_waits_for_everything_it_takes_back(ledger: FakeConsentLedger) -> None:
    await withdraw(withdrawal(SUBJECT), ledger=ledger, held=FakeHeldMedia(FakeClock(NOW)))
    await withdraw(
        withdrawal(SUBJECT, purposes=frozenset({Purpose.TRAINING})), ledger=ledger, held=FakeHeldMedia(FakeClock(NOW))
    )
    assert ledger.waited == [(SUBJECT, frozenset(Purpose)), (SUBJECT, frozenset({Purpose.TRAINING}))]


async def test_a_withdrawal_is_never_refused_for_what_was_decided_before(ledger: FakeConsentLedger) -> None:
    for _ in range(2):
        recorded = await withdraw(withdrawal(SUBJECT), ledger=ledger, held=FakeHeldMedia(FakeClock(NOW)))
        assert set(states(recorded).values()) == {ConsentState.WITHDRAWN}


async def held_after(ledger: FakeConsentLedger, purposes: frozenset[Purpose] | None) -> bool:
    """Whether a photo that was held is still there after a withdrawal."""
    held, owner = FakeHeldMedia(FakeClock(NOW)), MediaOwner(caller_id=CALLER, subject_ref=SUBJECT)
    photo = await held.keep(a_medium(), owner=owner)
    await withdraw(withdrawal(SUBJECT, purposes=purposes), ledger=ledger, held=held)
    return await held.find(photo.id, owner=owner) is not None


async def test_the_withdrawal_that_ends_the_last_consent_destroys_what_is_held(ledger: FakeConsentLedger) -> None:
    await record(ledger)
    assert await held_after(ledger, frozenset({Purpose.TRAINING}))
    assert not await held_after(ledger, None)


async def test_a_withdrawal_stands_where_nothing_can_be_destroyed_now(ledger: FakeConsentLedger) -> None:
    class Away(FakeHeldMedia):
        async def forget(self, subject_ref: SubjectRef) -> None:
            raise LedgerUnavailable

    recorded = await withdraw(withdrawal(SUBJECT), ledger=ledger, held=Away(FakeClock(NOW)))
    assert set(states(recorded).values()) == {ConsentState.WITHDRAWN}


@pytest.mark.parametrize(("wanted", "shown"), [("de-AT", "de"), ("fr", "en"), ("en-GB", "en"), ("DE", "de")])
@pytest.mark.parametrize("granted", [True, False])
async def test_an_answer_in_another_language_is_recorded_with_the_one_that_was_shown(
    ledger: FakeConsentLedger, wanted: str, shown: str, *, granted: bool
) -> None:
    recorded = await record(ledger, locale=wanted, granted=granted)
    assert isinstance(recorded, RecordedEvent)
    assert recorded.event.locale == shown == show_disclosure(SHOWN, locale=wanted).locale
    assert recorded.event.disclosure_sha256 == disclosure_sha256(SHOWN.document, locale=shown)
