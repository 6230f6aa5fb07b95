"""Linking two references of one person: a guest who signs up, accounts that merge."""

from consent_proxy.application.ports.consent import ConsentLedger, LinkToRecord, RecordedEvent
from consent_proxy.domain.categories import Purpose


async def link_subjects(link: LinkToRecord, *, ledger: ConsentLedger) -> RecordedEvent:
    """Make two references one, for good. A no of either holds for both: once this returns no send against it begins.

    Raises ``NothingToLink``, ``IdempotencyKeyReused`` and ``LedgerUnavailable``.
    """
    recorded = await ledger.link(link)
    await ledger.wait_for_open_intents(recorded.event.subject_ref, purposes=frozenset(Purpose))
    return recorded
