"""Taking consent back, as easily as it was given (GDPR Art. 7(3))."""

import logging

from consent_proxy.application.ports.consent import ConsentLedger, RecordedEvent, WithdrawalToRecord
from consent_proxy.application.ports.media import HeldMedia
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.subjects import SubjectRef

logger = logging.getLogger(__name__)


async def withdraw(withdrawal: WithdrawalToRecord, *, ledger: ConsentLedger, held: HeldMedia) -> RecordedEvent:
    """Record a withdrawal. Once this returns no send for it begins, on any replica.

    Where it leaves no consent standing at all, what is held of the subject's media has no use left and is destroyed.

    Raises ``IdempotencyKeyReused`` and ``LedgerUnavailable``; never refused for what the subject decided before.
    """
    recorded = await ledger.withdraw(withdrawal)
    await ledger.wait_for_open_intents(
        withdrawal.subject_ref,
        purposes=withdrawal.purposes if withdrawal.purposes is not None else frozenset(Purpose),
    )
    await _forget(withdrawal.subject_ref, ledger=ledger, held=held)
    return recorded


async def _forget(subject_ref: SubjectRef, *, ledger: ConsentLedger, held: HeldMedia) -> None:
    """What cannot be destroyed now expires by itself; the withdrawal stands all the same."""
    try:
        standings = await ledger.standings(subject_ref)
        if not any(standing.granted_to_any for standing in standings.values()):
            await held.forget(subject_ref)
    except LedgerUnavailable:
        logger.warning("held media could not be destroyed at a withdrawal; they expire by themselves")
