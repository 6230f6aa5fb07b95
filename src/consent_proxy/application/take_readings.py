"""Reading what operators watch and no counter holds: whether the database works, and how long the contracts last."""

from datetime import datetime, timedelta

from consent_proxy.application.ports.observation import Readings
from consent_proxy.application.ports.platform import Clock, LedgerHealth
from consent_proxy.application.ports.providers import ManifestCatalogue
from consent_proxy.application.ports.transfers import FactsSource, LedgerUnavailable
from consent_proxy.domain.rules import Rules

_DAY = timedelta(days=1)


async def take_readings(
    *, health: LedgerHealth, facts: FactsSource, manifests: ManifestCatalogue, clock: Clock
) -> Readings:
    """Never raises: while the database is away, the contracts are told by the rules that were read last."""
    found = await health.check()
    rules = await _rules(facts)
    recipients = sorted({manifest.recipient for manifest in manifests.all()})
    now = clock.now()
    days = {recipient: days_left(rules, recipient, at=now) for recipient in recipients} if rules is not None else {}
    return Readings(database_up=found.ready, warnings=len(found.warnings), contract_days=days)


async def _rules(facts: FactsSource) -> Rules | None:
    try:
        return await facts.rules(fresh=True)
    except LedgerUnavailable:
        return facts.last_rules()


def days_left(rules: Rules, recipient: str, *, at: datetime) -> float:
    """Days until no contract with a recipient is in force: 0 if none is now, infinite without an end."""
    moment = at
    while (contract := rules.contract(recipient, at=moment)) is not None:
        if contract.ends_at is None:
            return float("inf")
        moment = contract.ends_at
    return (moment - at) / _DAY
