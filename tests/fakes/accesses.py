"""The access log, kept in memory."""

from collections.abc import Mapping
from uuid import UUID

from consent_proxy.application.ports.pages import Page, PageOf
from consent_proxy.application.ports.records import Access
from consent_proxy.domain.payloads import Json
from tests.fakes.pages import part_of


class FakeAccessLog:
    """Fulfils ``AccessLog``."""

    def __init__(self) -> None:
        self.recorded: dict[UUID, Access] = {}

    async def record(self, access: Access) -> None:
        self.recorded.setdefault(access.id, access)

    async def page(self, page: Page) -> PageOf[Mapping[str, Json]]:
        ordered = sorted(self.recorded.values(), key=lambda access: access.id)
        part = part_of(ordered, page, key=lambda access: access.id, at=lambda access: access.at)
        return PageOf(items=tuple(map(_shown, part.items)), next_cursor=part.next_cursor)


def _shown(access: Access) -> Mapping[str, Json]:
    return {
        "id": str(access.id),
        "at": access.at.isoformat().replace("+00:00", "Z"),
        "caller": access.credential.caller,
        "credential": {"kind": access.credential.kind.value, "id": access.credential.id},
        "resource": access.resource,
        "subject_ref": str(access.subject_ref) if access.subject_ref is not None else None,
        "object_id": access.object_id,
        "filters": dict(access.filters),
        "items": access.items,
    }
