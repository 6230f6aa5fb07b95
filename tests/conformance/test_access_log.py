"""What every ``AccessLog`` does: it keeps who read what, and shows it in parts."""

from datetime import timedelta
from typing import Any

from consent_proxy.adapters.system import Uuid7Identifiers
from consent_proxy.application.ports.pages import Page
from consent_proxy.application.ports.records import Access, AccessLog
from consent_proxy.domain.subjects import SubjectRef
from tests.conformance.samples import LONG_AGO, credential, new_ref

IDS = Uuid7Identifiers()


def access(*, minute: int = 0, subject_ref: SubjectRef | None = None, **changed: Any) -> Access:
    usual: dict[str, Any] = {
        "id": IDS.new_id(),
        "at": LONG_AGO + timedelta(minutes=minute),
        "credential": credential("auditor-tool"),
        "resource": "/v1/transfers",
        "subject_ref": subject_ref,
        "object_id": None,
        "filters": {"recipient": ["fal"], "limit": 100},
        "items": 3,
    }
    return Access(**(usual | changed))


async def test_nothing_read_is_nothing_recorded(access_log: AccessLog) -> None:
    part = await access_log.page(Page())
    assert (part.items, part.next_cursor) == ((), None)


async def test_an_access_is_shown_as_it_was_recorded(access_log: AccessLog) -> None:
    ref = new_ref()
    read = access(subject_ref=ref, object_id="one-of-them")
    await access_log.record(read)
    assert (await access_log.page(Page())).items == (
        {
            "id": str(read.id),
            "at": "2026-01-01T00:00:00Z",
            "caller": "auditor-tool",
            "credential": {"kind": "service-key", "id": read.credential.id},
            "resource": "/v1/transfers",
            "subject_ref": str(ref),
            "object_id": "one-of-them",
            "filters": {"recipient": ["fal"], "limit": 100},
            "items": 3,
        },
    )


async def test_what_is_not_known_of_an_access_is_null(access_log: AccessLog) -> None:
    await access_log.record(access(filters={}, items=None))
    (shown,) = (await access_log.page(Page())).items
    assert (shown["subject_ref"], shown["object_id"], shown["filters"], shown["items"]) == (None, None, {}, None)


async def test_recording_one_access_twice_keeps_it_once(access_log: AccessLog) -> None:
    read = access()
    await access_log.record(read)
    await access_log.record(read)
    assert len((await access_log.page(Page())).items) == 1


async def test_the_log_comes_in_parts_newest_first(access_log: AccessLog) -> None:
    recorded = [access(minute=minute) for minute in range(5)]
    for read in recorded:
        await access_log.record(read)
    for descending in (True, False):
        seen, cursor = [], None
        for size in (2, 2, 1):
            part = await access_log.page(Page(limit=2, cursor=cursor, descending=descending))
            assert len(part.items) == size
            seen += [item["id"] for item in part.items]
            cursor = part.next_cursor
        assert cursor is None
        expected = [str(read.id) for read in recorded]
        assert seen == (expected[::-1] if descending else expected)


async def test_a_period_of_the_log_ends_before_its_last_moment(access_log: AccessLog) -> None:
    recorded = [access(minute=minute) for minute in range(4)]
    for read in recorded:
        await access_log.record(read)
    part = await access_log.page(Page(from_at=recorded[1].at, to_at=recorded[3].at, descending=False))
    assert [item["id"] for item in part.items] == [str(read.id) for read in recorded[1:3]]
