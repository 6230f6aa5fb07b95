"""A store of sealed bytes: a folder of this machine's, and a bucket that replicas share."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from consent_proxy.adapters.media.stores import BucketStore, FolderStore, MediaStore
from consent_proxy.application.ports.media import MediaStoreUnavailable
from tests.bucket import Bucket, serving_bucket

LARGE = 20_000_000  # more than one part of an upload to a bucket


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with serving_bucket() as bucket:
        yield bucket


@pytest.fixture(params=["folder", "bucket", "bucket below a prefix"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MediaStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "held")
    found: Bucket = request.getfixturevalue("bucket")
    found.objects.clear()
    found.away = False
    return BucketStore(found.store(prefix="a/prefix" if "prefix" in request.param else None))


def a_name() -> str:
    return uuid4().hex


async def pieces_of(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 100_003):
        yield content[at : at + 100_003]


async def read(store: MediaStore, name: str) -> bytes:
    return b"".join([piece async for piece in store.get(name)])


async def names(store: MediaStore) -> list[str]:
    return sorted(await store.names(older_than=datetime.now(UTC) + timedelta(minutes=1)))


@pytest.mark.parametrize("length", [0, 1, 100_003, 9_000_000, LARGE])
async def test_what_was_put_can_be_read_whole(store: MediaStore, length: int) -> None:
    name, content = a_name(), bytes(range(251)) * (length // 251 + 1)
    await store.put(name, pieces_of(content[:length]))
    assert await read(store, name) == content[:length]
    assert await read(store, name) == content[:length]


async def test_what_is_deleted_is_gone_and_may_be_deleted_again(store: MediaStore) -> None:
    name = a_name()
    await store.put(name, pieces_of(b"sealed"))
    for _ in range(2):
        await store.delete(name)
    with pytest.raises(FileNotFoundError):
        await read(store, name)
    assert await names(store) == []


async def test_what_does_not_come_whole_is_not_there(store: MediaStore) -> None:
    async def breaking_off() -> AsyncIterator[bytes]:
        yield bytes(100)
        raise RuntimeError("the caller hung up")

    name = a_name()
    with pytest.raises(RuntimeError, match="hung up"):
        await store.put(name, breaking_off())
    with pytest.raises(FileNotFoundError):
        await read(store, name)


async def test_the_old_are_named_and_the_new_are_not(store: MediaStore) -> None:
    name = a_name()
    await store.put(name, pieces_of(b"sealed"))
    assert await names(store) == [name]
    assert await store.names(older_than=datetime.now(UTC) - timedelta(minutes=1)) == []


async def test_many_at_once_do_not_mix(store: MediaStore) -> None:
    contents = {a_name(): bytes([number]) * 300_000 for number in range(8)}
    await asyncio.gather(*(store.put(name, pieces_of(content)) for name, content in contents.items()))
    assert {name: await read(store, name) for name in contents} == contents
    assert await names(store) == sorted(contents)


async def test_a_folder_is_nobody_elses_and_leaves_no_half_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "held"
    store = FolderStore(folder)
    assert await names(store) == []
    name = a_name()
    await store.put(name, pieces_of(b"sealed"))
    assert (folder.stat().st_mode & 0o777, (folder / name).stat().st_mode & 0o777) == (0o700, 0o600)
    (folder / f"{a_name()}.part").write_bytes(b"left by a process that was killed")
    (folder / "somebody-elses.txt").write_bytes(b"kept")
    [left] = set(await names(store)) - {name}
    await store.delete(left)
    assert sorted(path.name for path in folder.iterdir()) == sorted([name, "somebody-elses.txt"])


async def test_a_folder_that_cannot_be_written_is_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "held").write_text("a file stands there")
    with pytest.raises(MediaStoreUnavailable):
        await FolderStore(tmp_path / "held").put(a_name(), pieces_of(b"sealed"))


async def test_a_bucket_that_does_not_answer_is_a_store_that_is_away(bucket: Bucket) -> None:
    store = BucketStore(bucket.store())
    name = a_name()
    await store.put(name, pieces_of(b"sealed"))
    bucket.away = True
    try:
        with pytest.raises(MediaStoreUnavailable):
            await store.put(a_name(), pieces_of(b"sealed"))
        with pytest.raises(MediaStoreUnavailable):
            await read(store, name)
        with pytest.raises(MediaStoreUnavailable):
            await names(store)
    finally:
        bucket.away = False
    assert await read(store, name) == b"sealed"


async def test_requests_to_a_bucket_are_signed(bucket: Bucket) -> None:
    bucket.credentials.clear()
    await BucketStore(bucket.store()).put(a_name(), pieces_of(b"sealed"))
    assert bucket.credentials == {"AWS4-HMAC-SHA256 Credential=AKIATEST"}
