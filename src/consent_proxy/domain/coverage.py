"""Whether what a manifest sends was told to anybody, and stands in a contract; pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.rules import Rules


class GapKind(StrEnum):
    """What a manifest asks for and the rules do not give."""

    NO_DISCLOSURE = "no-disclosure"
    PURPOSE_NOT_DISCLOSED = "purpose-not-disclosed"
    CATEGORY_NOT_DISCLOSED = "category-not-disclosed"
    NO_CONTRACT = "no-contract"
    CONTRACT_PROMISES_TOO_LITTLE = "contract-promises-too-little"
    CONTRACT_DOES_NOT_COVER = "contract-does-not-cover"
    SUB_PROCESSOR_NOT_IN_CONTRACT = "sub-processor-not-in-contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One thing missing. ``missing`` names categories, sub-processors or a purpose."""

    kind: GapKind
    missing: tuple[str, ...] = ()


def is_in_use(recipient: str, rules: Rules, *, at: datetime) -> bool:
    """Whether anybody means to send there: the disclosure in force names the recipient, or a contract is in force.

    Manifests for both platforms come with the service; whoever uses one of them lacks nothing at the other.
    """
    current = rules.current(at=at)
    disclosed = current is not None and current.recipient(recipient) is not None
    return disclosed or rules.contract(recipient, at=at) is not None


def gaps(manifest: Manifest, rules: Rules, *, at: datetime) -> tuple[Gap, ...]:
    """Everything that a manifest sends beyond the disclosure and the contract in force at a moment.

    Optional fields count too: where nobody was told of a category, the fields of it never leave, and whoever listed
    them thought otherwise. What passes data onward does not count, for nothing permits it.
    """
    return (*_disclosure_gaps(manifest, rules, at=at), *_contract_gaps(manifest, rules, at=at))


def _disclosure_gaps(manifest: Manifest, rules: Rules, *, at: datetime) -> Iterator[Gap]:
    current = rules.current(at=at)
    if current is None:
        yield Gap(kind=GapKind.NO_DISCLOSURE)
        return
    told = current.covers(recipient=manifest.recipient, purpose=manifest.purpose)
    if told is None:
        yield Gap(kind=GapKind.PURPOSE_NOT_DISCLOSED, missing=(manifest.purpose,))
    elif untold := _sent(manifest) - told:
        yield Gap(kind=GapKind.CATEGORY_NOT_DISCLOSED, missing=tuple(sorted(untold)))


def _contract_gaps(manifest: Manifest, rules: Rules, *, at: datetime) -> Iterator[Gap]:
    contract = rules.contract(manifest.recipient, at=at)
    if contract is None:
        yield Gap(kind=GapKind.NO_CONTRACT)
        return
    if not contract.promises():
        yield Gap(kind=GapKind.CONTRACT_PROMISES_TOO_LITTLE)
    if manifest.purpose not in contract.purposes:
        yield Gap(kind=GapKind.CONTRACT_DOES_NOT_COVER, missing=(manifest.purpose,))
    elif uncovered := _sent(manifest) - contract.categories:
        yield Gap(kind=GapKind.CONTRACT_DOES_NOT_COVER, missing=tuple(sorted(uncovered)))
    named = {processor.id for processor in contract.sub_processors}
    if unnamed := [name for name in manifest.sub_processors if name not in named]:
        yield Gap(kind=GapKind.SUB_PROCESSOR_NOT_IN_CONTRACT, missing=tuple(unnamed))


def _sent(manifest: Manifest) -> frozenset[DataCategory]:
    return manifest.categories() - {DataCategory.ONWARD}
