"""A service made of fakes, in which one person has said yes to fal and everything else is in order."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from consent_proxy.adapters.metrics import Load, PrometheusMeter
from consent_proxy.adapters.tracing import NoTracer
from consent_proxy.application.forward import Forwarded, Walk, forward
from consent_proxy.application.refuse import Refused
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import ConsentState, Standing
from consent_proxy.domain.decide import TransferRequest
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import Job, ProviderCall, ProviderJob
from tests.builders import CALLER, NOW, SUBJECT, a_recipient_standing, a_request, a_standing, some_rules
from tests.fakes.clock import FakeClock
from tests.fakes.digests import FakeDigests
from tests.fakes.facts import FakeFactsSource
from tests.fakes.identifiers import FakeIdentifiers
from tests.fakes.jobs import FakeJobs
from tests.fakes.media import a_media_room
from tests.fakes.provider import FakeProvider
from tests.fakes.transfer_log import FakeTransferLog

OUTPUT_TTL = timedelta(hours=1)


class World:
    """The fakes, joined as bootstrap joins the real ones; ``rules`` and ``standing`` are what the database holds."""

    def __init__(self) -> None:
        self.rules: Rules = some_rules()
        self.standing: Standing = a_standing()
        self.clock = FakeClock(NOW)
        self.digests = FakeDigests()
        self.jobs = FakeJobs()
        self.facts = FakeFactsSource(rules=lambda: self.rules, standings=self._standings)
        self.log = FakeTransferLog(facts=self.facts, clock=self.clock, jobs=self.jobs)
        self.provider = FakeProvider()
        self.media = a_media_room(clock=self.clock, jobs=self.jobs)
        self.meter = PrometheusMeter(providers=["fal"], load=lambda: Load(waiting=0, open=0, kept=0, settled=0))
        self.walk = Walk(
            facts=self.facts,
            log=self.log,
            digests=self.digests,
            clock=self.clock,
            ids=FakeIdentifiers(),
            media=self.media,
            meter=self.meter,
            tracer=NoTracer(),
            environment="test",
            output_ttl=OUTPUT_TTL,
        )

    async def forward(self, request: TransferRequest | None = None, **call: Any) -> Forwarded | Refused:
        """Bring a request through the door."""
        asked = ProviderCall(**{"operation": "run", **call})
        return await forward(request or a_request(), provider=self.provider, call=asked, walk=self.walk)

    def answer(self, state: ConsentState) -> None:
        """What the person said last about fal."""
        recipients = {"fal": a_recipient_standing(state=state)}
        self.standing = a_standing(version=self.standing.version + 1, recipients=recipients)

    def start_job(self, **overrides: Any) -> Job:
        """Work that a transfer of this person's, by this caller, has started at fal."""
        values: dict[str, Any] = {
            "id": self.walk.ids.new_id(),
            "caller_id": CALLER,
            "subject_ref": SUBJECT,
            "subject_kind": "account",
            "provider": "fal",
            "recipient": "fal",
            "model": "fal-ai/flux/dev",
            "purpose": "generation",
            "provider_job": ProviderJob(id="theirs-1", address="fal-ai/flux"),
            "operation": "submit",
            "version": None,
            "created_at": NOW,
        }
        job = Job(**{**values, **overrides})
        self.jobs.add(job)
        return job

    async def _standings(self, _: SubjectRef) -> Mapping[Purpose, Standing]:
        return {Purpose.GENERATION: self.standing}
