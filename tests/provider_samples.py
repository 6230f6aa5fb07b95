"""Providers pointed at a stub or at the sandbox, and recorded intents to hand them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from consent_proxy.adapters.http import Outbound
from consent_proxy.adapters.providers.fal import FalProvider
from consent_proxy.adapters.providers.replicate import ReplicateProvider
from consent_proxy.application.ports.providers import Provider
from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.minimise import MinimisedPayload
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectKind
from consent_proxy.domain.transfers import Answer, Dispatch, Job, ProviderCall, ProviderJob, RecordedIntent
from consent_proxy.sandbox.server import Sandbox
from tests.builders import CALLER, SUBJECT, a_manifest
from tests.transfer_samples import an_intent

KEY = "key-id:key-secret"
TOKEN = "r8_of_the_operator"
REPLICATE_MODEL = "black-forest-labs/flux-schnell"
VERSION = "0123456789abcdef" * 4


class Stub:
    """A provider's host that answers as it is told and keeps what it was asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response] | httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self.outbound = Outbound(httpx.MockTransport(self._answer))
        self._given = answer

    @property
    def request(self) -> httpx.Request:
        """The only request there was."""
        (request,) = self.requests
        return request

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self._given, Exception):
            raise self._given
        return self._given if isinstance(self._given, httpx.Response) else self._given(request)


def a_fal(outbound: Outbound, sandbox: Sandbox | None = None, **overrides: Any) -> FalProvider:
    """fal, with addresses that have a path before the ids unless it is the sandbox."""
    values: dict[str, Any] = {
        "key": sandbox.fal_key if sandbox is not None else KEY,
        "run_url": sandbox.fal_run_url if sandbox is not None else "https://gateway.test/run",
        "queue_url": sandbox.fal_queue_url if sandbox is not None else "https://gateway.test/queue",
        "rest_url": sandbox.fal_rest_url if sandbox is not None else "https://gateway.test/rest",
        "cdn_url": sandbox.fal_cdn_url if sandbox is not None else "https://v3.fal.media",
        "output_hosts": [sandbox.fal_output_host] if sandbox is not None else ["v3.fal.media", "*.cdn.test"],
        "output_ttl": timedelta(hours=1),
        "timeout": timedelta(seconds=5),
    }
    return FalProvider(outbound, **{**values, **overrides})


def a_replicate(outbound: Outbound, sandbox: Sandbox | None = None, **overrides: Any) -> ReplicateProvider:
    """Replicate, with an address that has a path before the API's own unless it is the sandbox."""
    values: dict[str, Any] = {
        "token": sandbox.replicate_token if sandbox is not None else TOKEN,
        "api_url": sandbox.replicate_api_url if sandbox is not None else "https://gateway.test/replicate/v1",
        "delivery_hosts": [sandbox.replicate_delivery_host] if sandbox is not None else ["replicate.delivery"],
        "timeout": timedelta(seconds=5),
    }
    return ReplicateProvider(outbound, **{**values, **overrides})


def a_payload(body: dict[str, Json] | None = None) -> MinimisedPayload:
    """What is left of an input."""
    return MinimisedPayload(
        body=body or {"prompt": "a boat"},
        fields_sent=("prompt",),
        fields_dropped=(),
        categories=frozenset({DataCategory.PROMPT}),
    )


def a_replicate_manifest(**overrides: Any) -> Manifest:
    """A model at Replicate."""
    values: dict[str, Any] = {"provider": "replicate", "recipient": "replicate", "id": REPLICATE_MODEL}
    return a_manifest(**{**values, **overrides})


async def send(
    provider: Provider,
    *,
    call: ProviderCall,
    manifest: Manifest | None = None,
    body: dict[str, Json] | None = None,
    within: float = 60.0,
) -> Answer:
    """Draft and send, as the walk does after the intent was recorded; the send may begin for ``within`` seconds."""
    known = manifest or (a_manifest() if provider.name == "fal" else a_replicate_manifest())
    dispatch = draft(provider, a_payload(body), manifest=known, call=call)
    intent = an_intent(SUBJECT, permit={"manifest": known}, dispatch=dispatch)
    recorded = RecordedIntent(intent=intent, intent_at=datetime.now(UTC), begin_by=time.monotonic() + within)
    answer = await provider.send(recorded, dispatch)
    assert not isinstance(answer, Dispatch)
    return answer


def draft(provider: Provider, payload: MinimisedPayload, *, manifest: Manifest, call: ProviderCall) -> Dispatch:
    """A dispatch of a payload that is not too large."""
    dispatch = provider.draft(payload, manifest=manifest, call=call)
    assert isinstance(dispatch, Dispatch)
    return dispatch


def a_job(provider: str = "fal", *, job_id: str = "provider-id-1", **overrides: Any) -> Job:
    """A job that the provider goes on with."""
    at_fal = provider == "fal"
    values: dict[str, Any] = {
        "id": uuid4(),
        "caller_id": CALLER,
        "subject_ref": SUBJECT,
        "subject_kind": SubjectKind.ACCOUNT,
        "provider": provider,
        "recipient": provider,
        "model": "fal-ai/flux/dev" if at_fal else REPLICATE_MODEL,
        "purpose": "generation",
        "provider_job": ProviderJob(id=job_id, address="fal-ai/flux" if at_fal else ""),
        "operation": "submit" if at_fal else "prediction",
        "version": None,
        "created_at": datetime.now(UTC),
    }
    return Job(**{**values, **overrides})


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to have something made: a provider and the call that does it."""

    name: str
    provider: str
    call: ProviderCall
    reply: Callable[[], httpx.Response]

    def build(self, outbound: Outbound, sandbox: Sandbox | None = None, **overrides: Any) -> Provider:
        """The provider, pointed at a stub or at the sandbox."""
        make = a_fal if self.provider == "fal" else a_replicate
        return make(outbound, sandbox, **overrides)

    def manifest(self, model: str) -> Manifest:
        """A manifest of a model of that provider."""
        return a_manifest(id=model) if self.provider == "fal" else a_replicate_manifest(id=model)


def _made() -> httpx.Response:
    return httpx.Response(200, json={"images": [{"url": "https://v3.fal.media/files/b/x/out.png"}], "seed": 1})


def _submitted() -> httpx.Response:
    return httpx.Response(200, json={"status": "IN_QUEUE", "request_id": "5f1c-1", "queue_position": 0})


def _predicted() -> httpx.Response:
    return httpx.Response(201, json={"id": "rm0abc", "status": "starting", "input": {}, "output": None})


WAYS = (
    Way(name="fal-run", provider="fal", call=ProviderCall(operation="run"), reply=_made),
    Way(name="fal-submit", provider="fal", call=ProviderCall(operation="submit"), reply=_submitted),
    Way(name="replicate", provider="replicate", call=ProviderCall(operation="prediction"), reply=_predicted),
)
