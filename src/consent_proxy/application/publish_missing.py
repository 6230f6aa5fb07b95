"""Publishing what comes along with the service, where there is nothing of that kind yet."""

from collections.abc import Iterable

from consent_proxy.application.ports.rules import Rulebook
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.rules import Rules

PUBLISHER = "shipped"


async def publish_missing(
    disclosure: Disclosure, contracts: Iterable[Contract], *, rules: Rules, rulebook: Rulebook
) -> None:
    """Publish the disclosure if there is none, and put each contract whose recipient has none."""
    if not rules.disclosures:
        await rulebook.publish(disclosure, by=PUBLISHER)
    for contract in contracts:
        if not any(known.recipient == contract.recipient for known in rules.contracts):
            await rulebook.put_contract(contract, by=PUBLISHER)
