"""The record as an auditor reads it, kept in memory; a test puts it there."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_proxy.application.ports.pages import PageOf
from consent_proxy.application.ports.records import TransferQuery
from consent_proxy.domain.payloads import Json


class FakeTransferReader:
    """Fulfils ``TransferReader`` over ``records``, each in the contract's shape."""

    def __init__(self, *records: Mapping[str, Json]) -> None:
        self.records: list[Mapping[str, Json]] = list(records)

    async def page(self, query: TransferQuery) -> PageOf[Mapping[str, Json]]:
        found = self._found(query)
        page = query.page
        if page.cursor is not None:
            after = str(UUID(page.cursor))
            found = [record for record in found if (str(record["id"]) < after) == page.descending]
            found = [record for record in found if record["id"] != after]
        items = found[: page.limit]
        more = len(found) > page.limit
        return PageOf(items=tuple(items), next_cursor=str(items[-1]["id"]) if more else None)

    async def stream(self, query: TransferQuery) -> AsyncGenerator[Mapping[str, Json], None]:
        for record in self._found(query):
            yield record

    async def one(self, transfer_id: UUID) -> Mapping[str, Json] | None:
        return next((record for record in self.records if record["id"] == str(transfer_id)), None)

    def _found(self, query: TransferQuery) -> list[Mapping[str, Json]]:
        filters = {name: wanted for name, wanted in (query.filters or {}).items() if wanted}
        if unknown := filters.keys() - _FILTERS.keys():
            raise ValueError(f"there is no filter {', '.join(sorted(unknown))}")
        found = [
            record
            for record in self.records
            if query.subject_ref in {None, UUID(str(record["subject_ref"]))}
            and _in_period(record, query.page.from_at, query.page.to_at)
            and all(set(wanted) & _values(record, name) for name, wanted in filters.items())
        ]
        return sorted(found, key=lambda record: str(record["id"]), reverse=query.page.descending)


_FILTERS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("kind", "recipient", "provider", "model", "purpose", "caller", "reason")},
    "category": ("categories",),
    "contract": ("contract", "id"),
    "country": ("contract", "country"),
    "job": ("job_id",),
    "outcome": ("outcome", "state"),
}


def _values(record: Mapping[str, Any], name: str) -> set[str]:
    value: Any = record
    for key in _FILTERS[name]:
        value = value[key] if value is not None else None
    return set(value) if isinstance(value, list) else {value} - {None}


def _in_period(record: Mapping[str, Any], from_at: datetime | None, to_at: datetime | None) -> bool:
    at = datetime.fromisoformat(record["intent_at"])
    return (from_at is None or at >= from_at) and (to_at is None or at < to_at)
