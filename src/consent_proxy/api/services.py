"""Everything the edge is handed: values it answers with, and the ports its routes call."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from consent_proxy.api.auth import Door
from consent_proxy.application.forward import Walk
from consent_proxy.application.hold_media import MediaRoom
from consent_proxy.application.ports.consent import ConsentLedger, Subjects
from consent_proxy.application.ports.observation import Meter
from consent_proxy.application.ports.platform import (
    Clock,
    Digests,
    Identifiers,
    LedgerHealth,
    ReceiptSigner,
    TokenSigner,
)
from consent_proxy.application.ports.providers import DeploymentDirectory, ManifestCatalogue, Provider
from consent_proxy.application.ports.records import AccessLog, TransferReader
from consent_proxy.application.ports.rules import Rulebook
from consent_proxy.application.ports.transfers import FactsSource, Jobs
from consent_proxy.application.ports.transparency import TransparencyLog
from consent_proxy.application.readiness import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Built once by bootstrap. ``public_url`` has no trailing slash; limits are in bytes."""

    public_url: str
    environment: str
    body_limit: int
    late_results: Literal["withhold", "deliver"]
    output_ttl: timedelta
    walk: Walk
    door: Door
    facts: FactsSource
    media: MediaRoom
    jobs: Jobs
    manifests: ManifestCatalogue
    providers: Mapping[str, Provider]
    deployments: DeploymentDirectory
    ledger: ConsentLedger
    subjects: Subjects
    rulebook: Rulebook
    reader: TransferReader
    access_log: AccessLog
    transparency: TransparencyLog
    health: LedgerHealth
    setup: Setup
    clock: Clock
    ids: Identifiers
    digests: Digests
    signer: TokenSigner
    receipts: ReceiptSigner
    meter: Meter
