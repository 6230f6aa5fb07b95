"""Whether the service can do its work, and what would keep the door shut, or the record from being safe, although it
can.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consent_proxy.application.ports.platform import Clock, Finding, LedgerHealth, Readiness
from consent_proxy.application.ports.providers import ManifestCatalogue
from consent_proxy.application.ports.transfers import FactsSource, LedgerUnavailable
from consent_proxy.domain.contracts import next_lapse
from consent_proxy.domain.coverage import Gap, GapKind, gaps, is_in_use
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.rules import Rules

#: How long before a contract's end it is warned of.
CONTRACT_ENDS_WITHIN = timedelta(days=30)
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How the service is set up, as far as its readiness goes.

    ``public_url`` is where callers reach it; ``is_local`` says that only this machine can. ``missing_credentials``
    names, for each recipient that cannot be called, the setting to set.
    """

    public_url: str | None = None
    is_local: bool = True
    environment: str = "development"
    missing_credentials: Mapping[str, str] = field(default_factory=dict)


async def readiness(
    *, health: LedgerHealth, facts: FactsSource, manifests: ManifestCatalogue, clock: Clock, setup: Setup
) -> Readiness:
    """Ask the database, then look the rules, the manifests and the setup through. Cheap: a load balancer asks often.

    What is missing is a warning and never "not ready": the door is shut, not broken.
    """
    found = await health.check()
    if not found.ready:
        return found
    try:
        rules = await facts.rules(fresh=True)
    except LedgerUnavailable:
        return Readiness(ready=False, warnings=(Finding("database-away", "the database does not answer"),))
    now = clock.now()
    return Readiness(
        ready=True,
        warnings=(
            *found.warnings,
            *_of_rules(rules, manifests.all(), setup, at=now),
            *_of_drafts(manifests.drafts()),
            *_of_address(setup),
        ),
    )


def _of_rules(rules: Rules, manifests: Iterable[Manifest], setup: Setup, *, at: datetime) -> Iterator[Finding]:
    if rules.current(at=at) is None:
        yield Finding("disclosure-missing", "no disclosure is in force: publish one, nothing is sent before")
        return
    in_use = [manifest for manifest in manifests if is_in_use(manifest.recipient, rules, at=at)]
    for recipient in sorted({manifest.recipient for manifest in in_use}):
        yield from _of_contract(recipient, rules, at=at)
        if (name := setup.missing_credentials.get(recipient)) is not None:
            yield Finding(
                "credential-missing", f"'{recipient}' has no credential: set {name}, or nothing is sent there"
            )
    yield from _of_coverage(in_use, rules, at=at)


def _of_contract(recipient: str, rules: Rules, *, at: datetime) -> Iterator[Finding]:
    contract = rules.contract(recipient, at=at)
    if contract is None:
        message = f"no contract with '{recipient}' is in force: put one, nothing is sent there before"
        yield Finding("contract-missing", message)
    elif not contract.promises():
        message = (
            f"the contract with '{recipient}' lacks equal protection or allows purposes of its own: put one that holds"
            " both promises, nothing is sent there before"
        )
        yield Finding("contract-promises-too-little", message)
    elif (lapse := next_lapse(rules.contracts, recipient=recipient, at=at)) and lapse <= at + CONTRACT_ENDS_WITHIN:
        message = (
            f"the contract with '{recipient}' ends on {lapse:%Y-%m-%d}, in {(lapse - at).days} days, and no other is"
            " put for then: put its successor, or nothing is sent there any more"
        )
        yield Finding("contract-ending", message)


_ADVICE = {
    GapKind.PURPOSE_NOT_DISCLOSED: (
        "the disclosure in force does not say that data goes to '{recipient}' for {missing}: publish one that does, or"
        " take the manifests out; all calls are refused"
    ),
    GapKind.CATEGORY_NOT_DISCLOSED: (
        "manifests for '{recipient}' list {missing}, which the disclosure in force tells nobody of: publish one that"
        " does, or take those fields out; they never leave"
    ),
    GapKind.CONTRACT_DOES_NOT_COVER: (
        "manifests for '{recipient}' list {missing}, which its contract does not cover: put one that does, or take"
        " those out; they never leave"
    ),
    GapKind.SUB_PROCESSOR_NOT_IN_CONTRACT: (
        "the contract with '{recipient}' does not name {missing}, who stand behind models in use: put one that does,"
        " or take the manifests out; all their calls are refused"
    ),
}


def _of_coverage(manifests: Iterable[Manifest], rules: Rules, *, at: datetime) -> Iterator[Finding]:
    """One finding a recipient and gap, however many models have it. Missing contracts are told apart from here."""
    models: defaultdict[tuple[str, Gap], list[str]] = defaultdict(list)
    for manifest in manifests:
        for gap in gaps(manifest, rules, at=at):
            models[manifest.recipient, gap].append(manifest.id)
    for (recipient, gap), ids in models.items():
        if (advice := _ADVICE.get(gap.kind)) is not None:
            message = advice.format(recipient=recipient, missing=", ".join(gap.missing))
            yield Finding(gap.kind, f"{message} ({_named(ids)})")


def _of_drafts(drafts: tuple[Manifest, ...]) -> Iterator[Finding]:
    if drafts:
        count = "1 manifest is a draft" if len(drafts) == 1 else f"{len(drafts)} manifests are drafts"
        message = (
            f"{count} that nobody has reviewed, and of no force: review and fill in reviewed_by, or take out"
            f" ({_named([draft.id for draft in drafts])})"
        )
        yield Finding("manifests-unreviewed", message, grave=False)


def _of_address(setup: Setup) -> Iterator[Finding]:
    if setup.environment == "production" and setup.is_local:
        message = (
            "CONSENT_PROXY_PUBLIC_URL is this machine's own address, and this is production: set the https:// address"
            " callers reach the service at, or what it hands out leads nowhere"
        )
        yield Finding("public-url-local", message)
    elif not setup.is_local and not (setup.public_url or "").startswith("https://"):
        message = (
            "CONSENT_PROXY_PUBLIC_URL is not https: callers' keys and people's data would travel in the open; put TLS"
            " in front and set the https:// address"
        )
        yield Finding("public-url-not-https", message)


def _named(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
