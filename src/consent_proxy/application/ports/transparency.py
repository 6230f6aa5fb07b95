"""The log that nobody can change unseen: its checkpoints, its proofs, and its rows with what opens them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from consent_proxy.domain.payloads import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointKey:
    """A public key in signed-note's form, and the size of the first checkpoint it signed."""

    key: str
    first_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """That a row has a place in the log of a size; ``checkpoint`` is the signed note of that size, where there is one.

    ``proof`` goes from the leaf to the root.
    """

    index: int
    size: int
    leaf: bytes
    root: bytes
    proof: Sequence[bytes]
    checkpoint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenRow:
    """A row of the log with its proof. ``record`` is ``None`` where the row is gone, ``salt`` where it was erased."""

    kind: str
    id: UUID
    seq: int
    index: int
    leaf: bytes
    record: Mapping[str, Json] | None
    salt: bytes | None
    proof: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """Rows under one checkpoint, and the keys it may be verified with."""

    checkpoint: str
    keys: Sequence[str]
    rows: Sequence[ProvenRow]


class NotInLog(LookupError):
    """The log has no such row, or no such size; a row of the last seconds may still get its place."""


class TransparencyLog(Protocol):
    """Reads the log. Everything raises ``LedgerUnavailable``. Sizes count rows; a row's index is the size before it."""

    async def checkpoint(self) -> str:
        """The newest checkpoint as a signed note. Raises ``NotInLog`` while the log is empty."""
        ...

    async def keys(self) -> Sequence[CheckpointKey]:
        """Every key that ever signed a checkpoint, in the order of their first."""
        ...

    async def inclusion(self, index: int, *, size: int | None) -> Inclusion:
        """That the log of a size, of now by default, has the row of that index. Raises ``NotInLog``."""
        ...

    async def find(self, row_id: UUID, *, kind: str, seq: int) -> int:
        """The index of a row. Raises ``NotInLog``."""
        ...

    async def consistency(self, first: int, second: int | None) -> tuple[int, Sequence[bytes]]:
        """The second size, of now by default, and the proof that it begins with the first. Raises ``NotInLog``."""
        ...

    async def evidence(self, transfer_id: UUID) -> Proven:
        """The rows a transfer or refusal is shown by, all as of one checkpoint: itself, its outcomes, and the consent
        event, the disclosure and the contract it cites. Raises ``NotInLog``.
        """
        ...

    def export(self) -> AsyncGenerator[str, None]:
        """The whole log as lines of JSON, as of one moment, with flat memory: what `log verify` reads."""
        ...
