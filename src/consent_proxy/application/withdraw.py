"""Taking consent back, as easily as it was given (GDPR Art. 7(3))."""

from consent_proxy.application.ports.consent import ConsentLedger, RecordedEvent, WithdrawalToRecord
from consent_proxy.domain.categories import Purpose


async def withdraw(withdrawal: WithdrawalToRecord, *, ledger: ConsentLedger) -> RecordedEvent:
    """Record a withdrawal. Once this returns no send for it begins, on any replica.

    Raises ``IdempotencyKeyReused`` and ``LedgerUnavailable``; never refused for what the subject decided before.
    """
    recorded = await ledger.withdraw(withdrawal)
    await ledger.wait_for_open_intents(
        withdrawal.subject_ref,
        purposes=withdrawal.purposes if withdrawal.purposes is not None else frozenset(Purpose),
    )
    return recorded
