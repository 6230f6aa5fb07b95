"""The courses of walks as OpenTelemetry spans, where its standard variables ask for them and the extra is installed."""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING

from consent_proxy.application.ports.observation import Trail
from consent_proxy.domain.decide import TransferRequest

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span

_log = logging.getLogger(__name__)

#: OpenTelemetry's own variables: one that says where to, and one that says no. The SDK reads them and the rest itself.
_WHERE_TO = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_OFF = "OTEL_SDK_DISABLED"


class _Untraced:
    """Fulfils ``Trail`` by forgetting."""

    def step(self, name: str, **slugs: str | int) -> None:
        """See ``Trail``."""


_UNTRACED = nullcontext(_Untraced())


class NoTracer:
    """Fulfils ``Tracer`` where nobody asked for traces."""

    def close(self) -> None:
        """There is nothing to hand on."""

    def walk(self, _request: TransferRequest, *, traceparent: str | None) -> AbstractContextManager[Trail]:  # noqa: ARG002
        """See ``Tracer``."""
        return _UNTRACED


class _SpanTrail:
    """Fulfils ``Trail``: each step is an event of the walk's span, and what it tells stands on the span."""

    def __init__(self, span: "Span") -> None:
        self._span = span

    def step(self, name: str, **slugs: str | int) -> None:
        """See ``Trail``."""
        told = {f"consent_proxy.{key}": value for key, value in slugs.items()}
        self._span.add_event(name, told)
        self._span.set_attributes(told)


class OpenTelemetryTracer:
    """Fulfils ``Tracer`` with one span a walk."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._provider = provider
        self._tracer = provider.get_tracer("consent_proxy", version("consent-proxy"))
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def walk(self, request: TransferRequest, *, traceparent: str | None) -> Iterator[Trail]:
        """See ``Tracer``. What breaks a walk is told by its type alone: a message may quote what was sent."""
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

        asked = {
            "consent_proxy.provider": request.provider,
            "consent_proxy.model": request.manifest.id if request.manifest is not None else "unknown",
        }
        with self._tracer.start_as_current_span(
            "walk",
            context=self._propagator.extract({"traceparent": traceparent} if traceparent is not None else {}),
            kind=SpanKind.SERVER,
            attributes=asked,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _SpanTrail(span)
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def close(self) -> None:
        """Hand on what is still here. Blocking, for seconds at most."""
        self._provider.shutdown()


def open_tracer(*, environment: str, processor: "SpanProcessor | None" = None) -> "OpenTelemetryTracer | NoTracer":
    """A tracer by the standard `OTEL_…` variables; ``processor`` takes the place of the exporter they name."""
    if processor is None and not _is_asked_for():
        return NoTracer()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        _log.warning("%s asks for traces, and there are none without consent-proxy[otel]", _named())
        return NoTracer()
    ours = {"service.version": version("consent-proxy"), "deployment.environment.name": environment}
    if "OTEL_SERVICE_NAME" not in os.environ and "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        ours["service.name"] = "consent-proxy"
    provider = TracerProvider(resource=Resource.create(ours), shutdown_on_exit=False)
    provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetryTracer(provider)


def _is_asked_for() -> bool:
    return bool(_named()) and os.environ.get(_OFF, "").strip().lower() != "true"


def _named() -> str:
    return next((name for name in _WHERE_TO if os.environ.get(name)), "")
