"""Whether the service can do its work, and what would keep the door shut although it can."""

from consent_proxy.application.ports.platform import Clock, LedgerHealth, Readiness
from consent_proxy.application.ports.providers import ManifestCatalogue
from consent_proxy.application.ports.transfers import FactsSource, LedgerUnavailable
from consent_proxy.domain.rules import Rules


async def readiness(
    *, health: LedgerHealth, facts: FactsSource, manifests: ManifestCatalogue, clock: Clock
) -> Readiness:
    """Ask the database, then look the rules through. Missing rules are warnings: the door is shut, not broken."""
    found = await health.check()
    if not found.ready:
        return found
    try:
        rules = await facts.rules(fresh=True)
    except LedgerUnavailable:
        return Readiness(ready=False, warnings=("the database does not answer",))
    recipients = sorted({manifest.recipient for manifest in manifests.all()})
    return Readiness(ready=True, warnings=(*found.warnings, *_missing(rules, recipients, clock)))


def _missing(rules: Rules, recipients: list[str], clock: Clock) -> list[str]:
    now = clock.now()
    if rules.current(at=now) is None:
        return ["no disclosure is in force: publish one, nothing is sent before"]
    return [
        f"no contract with '{recipient}' is in force: put one, nothing is sent there before"
        for recipient in recipients
        if rules.contract(recipient, at=now) is None
    ]
