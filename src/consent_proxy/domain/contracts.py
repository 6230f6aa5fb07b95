"""The agreement between controller and processor that a transfer needs (GDPR Art. 28(3)), and which one is in force."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consent_proxy.domain.categories import DataCategory, Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class SubProcessor:
    """A maker of models behind a hosting provider that the contract lets the recipient use."""

    id: str
    legal_entity: str
    country: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One version as it was put. The period is from ``valid_from`` to before ``valid_until``, or open; UTC."""

    id: UUID
    recipient: str
    legal_entity: str
    reference: str
    purposes: frozenset[Purpose]
    categories: frozenset[DataCategory]
    countries: tuple[str, ...]
    sub_processors: tuple[SubProcessor, ...]
    transfer_mechanism: str | None
    equal_protection: bool
    own_purposes_excluded: bool
    valid_from: datetime
    valid_until: datetime | None
    put_at: datetime
    ended_at: datetime | None = None

    @property
    def ends_at(self) -> datetime | None:
        """The earlier of the term's end and an ending that was declared."""
        ends = [moment for moment in (self.valid_until, self.ended_at) if moment is not None]
        return min(ends, default=None)

    def has_ended(self, at: datetime) -> bool:
        """Whether the period was over at the moment."""
        return self.ends_at is not None and self.ends_at <= at

    def in_force_at(self, at: datetime) -> bool:
        """Whether the period contains the moment."""
        return self.valid_from <= at and not self.has_ended(at)

    def promises(self) -> bool:
        """Whether it holds the two promises the policy makes: equal protection, and no purposes of their own."""
        return self.equal_protection and self.own_purposes_excluded


def contract_in_force(contracts: Iterable[Contract], *, recipient: str, at: datetime) -> Contract | None:
    """The latest put whose period contains the moment."""
    in_force = [contract for contract in contracts if contract.recipient == recipient and contract.in_force_at(at)]
    return max(in_force, key=lambda contract: (contract.put_at, contract.id), default=None)


def next_contract_change(contracts: Iterable[Contract], *, recipient: str, at: datetime) -> datetime | None:
    """The next moment at which another version, or none, may be in force."""
    moments = (
        moment
        for contract in contracts
        if contract.recipient == recipient
        for moment in (contract.valid_from, contract.ends_at)
        if moment is not None and moment > at
    )
    return min(moments, default=None)


def next_lapse(contracts: Iterable[Contract], *, recipient: str, at: datetime) -> datetime | None:
    """The next moment from which no contract with a recipient is in force; ``None`` where one always follows."""
    ours = [contract for contract in contracts if contract.recipient == recipient]
    ends = sorted(end for contract in ours if (end := contract.ends_at) is not None and end > at)
    return next((end for end in ends if contract_in_force(ours, recipient=recipient, at=end) is None), None)
