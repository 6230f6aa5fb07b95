"""The service's numbers in Prometheus' form, right for all of its processes whichever of them is asked.

With one process they are kept in its memory. With several, each keeps its own in files of a folder that they share
(`PROMETHEUS_MULTIPROC_DIR`, the library's own way), and whoever is asked adds them up.
"""

import asyncio
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, multiprocess
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from consent_proxy.application.ports.observation import Readings
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import OutcomeState

#: How often each process notes how much is open and waiting; on every change would be on the path of every request.
SAMPLE_EVERY = 1.0
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_DELAYS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one process has under way: intents that wait for a batch, intents without an outcome, outcomes that wait
    for the database, and the transfers of dead workers that it settled since it started.
    """

    waiting: int
    open: int
    kept: int
    settled: int


class _Source(Protocol):
    def collect(self) -> Iterable[Metric]: ...


class PrometheusMeter:
    """Fulfils ``Meter``. The child of each set of labels is bound once; ``load`` is asked for the gauges."""

    def __init__(self, *, providers: Iterable[str], load: Callable[[], Load]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._load, self._settled = load, 0
        self._requests = self._counter("requests", "Requests, by surface and status.", "surface", "status")
        self._refusals = self._counter("refusals", "Refusals on the record, by reason.", "provider", "reason")
        self._fields = self._counter("dropped_fields", "Fields of requests that stayed here, by model.", "model")
        self._transfers = self._counter("transfers", "Transfers, by their first outcome.", "provider", "outcome")
        self._answered: dict[tuple[str, int], Counter] = {}
        self._refused: dict[tuple[str, Reason], Counter] = {}
        self._dropped: dict[str, Counter] = {}
        self._ended: dict[tuple[str, OutcomeState], Counter] = {}
        for provider in providers:  # there from the first look on, so that a first failure is an increase of something
            for state in (OutcomeState.DELIVERED, OutcomeState.NOT_DELIVERED, OutcomeState.INDETERMINATE):
                self._ended[provider, state] = self._transfers.labels(provider, state.value)
        self._delay = Histogram(
            "consent_proxy_added_delay_seconds",
            "Time that a transfer's request took here, without the provider's and without waiting for its body.",
            buckets=_DELAYS,
            registry=self._registry,
        )
        self._waiting = self._gauge("queue_depth", "Intents that wait for a batch.")
        self._open = self._gauge("open_intents", "Intents without an outcome.")
        self._kept = self._gauge("kept_outcomes", "Outcomes that wait for the database.")
        self._closed = self._counter("settled_intents", "Intents of dead workers that were closed as indeterminate.")

    def answered(self, surface: str, *, status: int) -> None:
        """See ``Meter``."""
        child = self._answered.get((surface, status))
        if child is None:
            child = self._answered[surface, status] = self._requests.labels(surface, str(status))
        child.inc()

    def refused(self, reason: Reason, *, provider: str) -> None:
        """See ``Meter``."""
        child = self._refused.get((provider, reason))
        if child is None:
            child = self._refused[provider, reason] = self._refusals.labels(provider, reason.value)
        child.inc()

    def transferred(self, state: OutcomeState, *, provider: str) -> None:
        """See ``Meter``."""
        child = self._ended.get((provider, state))
        if child is None:
            child = self._ended[provider, state] = self._transfers.labels(provider, state.value)
        child.inc()

    def dropped(self, *, model: str, fields: int) -> None:
        """See ``Meter``."""
        child = self._dropped.get(model)
        if child is None:
            child = self._dropped[model] = self._fields.labels(model)
        child.inc(fields)

    def delayed(self, seconds: float) -> None:
        """See ``Meter``."""
        self._delay.observe(seconds)

    def exposition(self, readings: Readings, *, accept: str) -> tuple[bytes, str]:
        """See ``Meter``."""
        self.sample()
        encode, media_type = choose_encoder(accept)
        folder = os.environ.get(_FOLDER)
        kept: _Source = _Shared(Path(folder)) if folder is not None else self._registry
        return encode(_Seen(kept, readings)), media_type

    def sample(self) -> None:
        """Note how much is open and waiting in this process now."""
        load = self._load()
        self._waiting.set(load.waiting)
        self._open.set(load.open)
        self._kept.set(load.kept)
        self._closed.inc(load.settled - self._settled)
        self._settled = load.settled

    async def keep_sampling(self) -> None:
        """Note it every second, for ever: another process may be the one that is asked."""
        while True:
            self.sample()
            await asyncio.sleep(SAMPLE_EVERY)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"consent_proxy_{name}", says, labels, registry=self._registry)

    def _gauge(self, name: str, says: str) -> Gauge:
        return Gauge(f"consent_proxy_{name}", says, registry=self._registry, multiprocess_mode="livesum")


class _Seen:
    """What was kept, and what was read for this look alone."""

    def __init__(self, kept: _Source, readings: Readings) -> None:
        self._kept, self._readings = kept, readings

    def collect(self) -> Iterator[Metric]:
        yield from self._kept.collect()
        built = GaugeMetricFamily("consent_proxy_build_info", "What runs here.", labels=["version", "python"])
        built.add_metric([version("consent-proxy"), platform.python_version()], 1)
        yield built
        yield GaugeMetricFamily(
            "consent_proxy_database_up",
            "1 where the database answers with a schema that fits and the secrets are open.",
            value=float(self._readings.database_up),
        )
        yield GaugeMetricFamily(
            "consent_proxy_warnings", "What /readyz has to say of the database.", value=self._readings.warnings
        )
        days = GaugeMetricFamily(
            "consent_proxy_contract_days_left",
            "Days until no contract with a recipient is in force; 0 if none is, +Inf without an end.",
            labels=["recipient"],
        )
        for recipient, left in self._readings.contract_days.items():
            days.add_metric([recipient], left)
        yield days


@contextmanager
def numbers_shared_by(processes: int) -> Iterator[None]:
    """Before any of them is started: several processes share their numbers in a folder, gone in the end."""
    if processes == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="consent-proxy-numbers-") as folder:
        os.environ[_FOLDER] = folder
        yield


class _Shared:
    """What every process keeps in the folder, added up. What a killed one had open is not open any more; what it
    counted stays counted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        for file in self._folder.glob("gauge_livesum_*.db"):
            if not _is_alive(int(file.stem.rpartition("_")[2])):
                file.unlink(missing_ok=True)
        files = [str(file) for file in self._folder.glob("*.db") if _has_begun(file)]
        merged: Iterable[Metric] = multiprocess.MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _has_begun(file: Path) -> bool:
    """A process that is starting makes its files empty, and the library cannot read one that is."""
    with suppress(FileNotFoundError):
        return file.stat().st_size > 0
    return False
