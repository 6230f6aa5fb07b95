"""How the service is watched: numbers for its operators and the steps of single walks, with nothing of a person."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from consent_proxy.domain.decide import TransferRequest
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import OutcomeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What is read afresh when somebody looks. ``contract_days`` is by recipient: 0 without a contract in force.

    ``warnings`` counts what the database's health has to say.
    """

    database_up: bool
    warnings: int
    contract_days: Mapping[str, float]


class Meter(Protocol):
    """Counts what happens. No method raises, waits, or takes more than microseconds; labels come from closed lists."""

    def answered(self, surface: str, *, status: int) -> None:
        """A request got its answer. ``surface`` is one of ours, never a path."""
        ...

    def refused(self, reason: Reason, *, provider: str) -> None:
        """A refusal was recorded."""
        ...

    def transferred(self, state: OutcomeState, *, provider: str) -> None:
        """The first outcome of a transfer is known."""
        ...

    def dropped(self, *, model: str, fields: int) -> None:
        """So many fields of a request stayed here. ``model`` is a manifest's id."""
        ...

    def delayed(self, seconds: float) -> None:
        """A request that went through the door took so long here, the provider's own time left out."""
        ...

    def exposition(self, readings: Readings, *, accept: str) -> tuple[bytes, str]:
        """The numbers of every process of this service, for the one that asks, and their media type."""
        ...


class Trail(Protocol):
    """The course of one walk. No method raises or waits."""

    def step(self, name: str, **slugs: str | int) -> None:
        """A step was taken; with ids and slugs, never a value of the request."""
        ...


class Tracer(Protocol):
    """Where the courses of walks are reported to, if anywhere."""

    def walk(self, request: TransferRequest, *, traceparent: str | None) -> AbstractContextManager[Trail]:
        """A trail from here to the end of the block. ``traceparent`` is the caller's, whose trace it continues."""
        ...
