"""Spans of walks: one each, with ids and slugs, in the caller's trace; and nothing where nobody asked."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consent_proxy.adapters.tracing import NoTracer, OpenTelemetryTracer, open_tracer
from consent_proxy.application.forward import forward
from consent_proxy.domain.consent import ConsentState
from consent_proxy.domain.transfers import ProviderCall
from tests.builders import SUBJECT, a_request
from tests.unit.application.world import World

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
PROMPT = "a fox that nobody may read of"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(exporter: InMemorySpanExporter) -> Iterator[World]:
    """A service whose walks are traced into memory."""
    tracer = open_tracer(environment="test", processor=SimpleSpanProcessor(exporter))
    assert isinstance(tracer, OpenTelemetryTracer)
    world = World()
    world.walk = replace(world.walk, tracer=tracer)
    yield world
    tracer.close()


async def walk(world: World, *, traceparent: str | None = None) -> None:
    request = a_request(payload={"prompt": PROMPT, "email": "mia@example.org"})
    await forward(
        request, provider=world.provider, call=ProviderCall(operation="run"), walk=world.walk, traceparent=traceparent
    )


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    [span] = exporter.get_finished_spans()
    return span


async def test_a_walk_is_one_span_with_its_steps(traced: World, exporter: InMemorySpanExporter) -> None:
    await walk(traced)
    span = only(exporter)
    assert span.name == "walk"
    steps = [event.name for event in span.events]
    assert steps == ["facts", "permit", "minimised", "intent", "answer", "outcome"]
    told = dict(span.attributes or {})
    assert told["consent_proxy.model"] == "fal-ai/flux/dev"
    assert told["consent_proxy.outcome"] == "delivered"
    assert told["consent_proxy.transfer_id"] == str(traced.provider.sent[0][0].intent.id)
    assert told["consent_proxy.dropped"] == 1
    assert span.resource.attributes["service.name"] == "consent-proxy"
    assert span.resource.attributes["deployment.environment.name"] == "test"


async def test_a_refusal_tells_its_reason(traced: World, exporter: InMemorySpanExporter) -> None:
    traced.answer(ConsentState.WITHDRAWN)
    await walk(traced)
    span = only(exporter)
    assert span.events[-1].name == "refused"
    assert dict(span.attributes or {})["consent_proxy.reason"] == "consent-withdrawn"


async def test_a_span_belongs_to_the_callers_trace(traced: World, exporter: InMemorySpanExporter) -> None:
    await walk(traced, traceparent=TRACEPARENT)
    span = only(exporter)
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == SPAN


async def test_nothing_of_the_person_stands_in_a_span(traced: World, exporter: InMemorySpanExporter) -> None:
    async def burst(_: object) -> None:
        raise RuntimeError(PROMPT)

    traced.provider.during = burst
    with pytest.raises(RuntimeError):
        await walk(traced)
    traced.provider.during = None
    await walk(traced)
    assert len(exporter.get_finished_spans()) == 2
    for span in exporter.get_finished_spans():
        for needle in (PROMPT, "mia@example.org", "email", str(SUBJECT)):
            assert needle not in span.to_json()
    assert exporter.get_finished_spans()[0].status.description == "RuntimeError"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nobody_who_did_not_ask_for_traces_gets_any(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert isinstance(open_tracer(environment="test"), NoTracer)


def test_the_frameworks_own_spans_which_tell_urls_are_off() -> None:
    code = """
import asyncio, httpx
from types import SimpleNamespace
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
from consent_proxy.adapters.metrics import Load, PrometheusMeter
from consent_proxy.api.app import create_app
app = create_app()
meter = PrometheusMeter(providers=[], load=lambda: Load(waiting=0, open=0, kept=0, settled=0))
app.state.services = SimpleNamespace(meter=meter)
async def ask():
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        return (await http.get("/healthz")).status_code
print(asyncio.run(ask()), len(exporter.get_finished_spans()))
"""
    variables = {"FASTAPI_OTEL_AUTO_CONFIGURE": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    told = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert (told.stdout, told.stderr) == ("200 0\n", "")


def test_the_service_starts_without_the_extra_and_says_what_is_missing() -> None:
    code = """
import logging, sys
logging.basicConfig(format="%(message)s")
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import consent_proxy.bootstrap.service
from consent_proxy.adapters.tracing import open_tracer
print(type(open_tracer(environment="test")).__name__, "opentelemetry.sdk" in sys.modules)
"""
    where = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}
    told = subprocess.run([sys.executable, "-c", code], env=where, capture_output=True, text=True, check=True)
    assert told.stdout == "NoTracer False\n"
    assert told.stderr == (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT asks for traces, and there are none without consent-proxy[otel]\n"
    )
