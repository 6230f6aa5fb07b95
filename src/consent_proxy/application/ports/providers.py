"""The platforms models run on, and the reviewed manifests of their models."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.minimise import MinimisedPayload
from consent_proxy.domain.refusals import Refusal
from consent_proxy.domain.transfers import Answer, Dispatch, Job, ProviderCall, RecordedIntent


class OutputUnavailable(Exception):
    """A result that cannot be relayed: its host is not on the list, away, or sends us elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStream:
    """A result on its way through: the status (200 or 206), the headers that may pass, the bytes in bounded chunks."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Provider(Protocol):
    """One platform, spoken to for one recipient. The only way out for a subject's data is ``send``."""

    @property
    def name(self) -> str:
        """The system's name: ``fal``, ``replicate``."""
        ...

    @property
    def recipient(self) -> str:
        """The id of the legal entity that contracts and disclosures name."""
        ...

    @property
    def configured(self) -> bool:
        """Whether there is a credential to call it with."""
        ...

    def draft(self, payload: MinimisedPayload, *, manifest: Manifest, call: ProviderCall) -> Dispatch | Refusal:
        """Lay out the request: host and path from the manifest's id, the bytes, the privacy switches. Sends nothing.

        Media go in the way that keeps least behind: written into the request where they are small enough for that,
        else uploaded under a neutral name, with an expiry. Refuses a medium that is too large for either.
        """
        ...

    async def send(self, recorded: RecordedIntent, dispatch: Dispatch) -> Answer | Dispatch:
        """Send the next request of a dispatch, once, its first byte before ``recorded.begin_by``.

        A dispatch comes back where more is left to send, and its intent has to be affirmed before. Never raises for
        what a provider does: a transport error is an ``Unanswered`` and a useless reply an ``Answered`` with a problem.
        """
        ...

    async def status(self, job: Job, *, logs: bool) -> Answer:
        """Ask how a job is doing. Carries nothing but the provider's own ids."""
        ...

    async def result(self, job: Job) -> Answer:
        """Ask for a finished job's result."""
        ...

    async def cancel(self, job: Job) -> Answer:
        """Ask the provider to stop a job."""
        ...

    async def open_output(self, url: str, *, headers: Mapping[str, str]) -> OutputStream:
        """Open a result for relaying, without our key, following no redirect. ``headers`` holds ``Range`` at most.

        Raises ``OutputUnavailable``.
        """
        ...


class DeploymentDirectory(Protocol):
    """Which model a Replicate deployment runs, asked of the provider (a catalogue read) and remembered for a minute."""

    async def model_of(self, owner: str, name: str) -> tuple[str, str | None] | None:
        """``(owner/model, version or None)``, or ``None`` where there is no such deployment."""
        ...


class ManifestCatalogue(Protocol):
    """The reviewed manifests in force, and apart from them the drafts that nobody has reviewed."""

    def find(self, provider: str, model: str, *, purpose: Purpose | None = None) -> Manifest | None:
        """The manifest of exactly that model; ``purpose`` tells two of one id apart."""
        ...

    def find_version(self, provider: str, version: str, *, purpose: Purpose | None = None) -> Manifest | None:
        """The manifest that pins this version (64 hex digits); ``purpose`` tells two of one id apart."""
        ...

    def find_deployment(self, provider: str, deployment: str) -> Manifest | None:
        """The manifest that lists this deployment (``owner/name``)."""
        ...

    def all(self) -> tuple[Manifest, ...]:
        """Every manifest in force, in a stable order."""
        ...

    def drafts(self) -> tuple[Manifest, ...]:
        """Every manifest that nobody has reviewed: of no force, and never found by the methods above."""
        ...
