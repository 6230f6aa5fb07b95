"""A link is answered when no send against it can begin any more."""

from consent_proxy.application.link_subjects import link_subjects
from consent_proxy.domain.categories import Purpose
from tests.conformance.samples import decision, link, new_ref, no
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeConsentLedger


async def test_a_link_waits_for_what_may_still_leave_for_either_side() -> None:
    ledger = FakeConsentLedger(FakeClock())
    guest, account = new_ref(), new_ref()
    await ledger.decide(decision(guest, no()))
    await link_subjects(link(guest, into=account), ledger=ledger)
    assert ledger.waited == [(account, frozenset(Purpose))]
