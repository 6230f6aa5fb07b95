"""Held media: kept for one caller and subject, readable until they expire, and gone for good when forgotten."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from consent_proxy.adapters.media.stores import FolderStore, MediaStore, open_media_store
from consent_proxy.adapters.media.vault import SWEEP_AFTER, SealedMedia
from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.adapters.postgres.held_media import PostgresMediaRows
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.adapters.system import Uuid7Identifiers
from consent_proxy.application.ports.media import HeldMedia, MediaUnreadable
from consent_proxy.domain.media import CleanMedium, MediaOwner
from consent_proxy.domain.subjects import SubjectRef
from tests.bucket import serving_bucket
from tests.builders import NOW, PiecedContent, a_medium
from tests.fakes.clock import FakeClock
from tests.fakes.media import FakeHeldMedia

TTL = timedelta(hours=24)
PIXELS = bytes(range(256)) * 2_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def sealed(database: Database, tmp_path: Path, clock: FakeClock) -> SealedMedia:
    keyring = await load_keyring(database, secret_key="wraps the secrets")
    rows, store = PostgresMediaRows(database), FolderStore(tmp_path / "held")
    return SealedMedia(rows, store=store, keys=keyring, clock=clock, ids=Uuid7Identifiers(), ttl=TTL)


@pytest.fixture
def held(which: str, request: pytest.FixtureRequest, clock: FakeClock) -> HeldMedia:
    return FakeHeldMedia(clock, ttl=TTL) if which == "fake" else request.getfixturevalue("sealed")


def an_owner() -> MediaOwner:
    return MediaOwner(caller_id=uuid4(), subject_ref=SubjectRef(uuid4()))


async def read(medium: CleanMedium) -> bytes:
    return b"".join([piece async for piece in medium.content.pieces()])


async def test_what_is_kept_is_found_as_it_was(held: HeldMedia) -> None:
    owner, medium = an_owner(), a_medium(content=PIXELS, removed=("location", "camera"))
    kept = await held.keep(medium, owner=owner)
    assert (kept.owner, kept.created_at, kept.expires_at) == (owner, NOW, NOW + TTL)
    found = await held.find(kept.id, owner=owner)
    assert found == kept
    assert [await read(found.medium) for _ in range(2)] == [PIXELS, PIXELS]


@pytest.mark.parametrize("length", [0, 65_536, 1_000_001])
async def test_it_comes_back_whole_whatever_its_size(held: HeldMedia, length: int) -> None:
    owner, content = an_owner(), (PIXELS * 2)[:length]
    kept = await held.keep(replace(a_medium(), bytes=length, content=PiecedContent(content)), owner=owner)
    found = await held.find(kept.id, owner=owner)
    assert found is not None
    assert await read(found.medium) == content


async def test_nobody_else_finds_it_or_drops_it(held: HeldMedia) -> None:
    owner = an_owner()
    kept = await held.keep(a_medium(), owner=owner)
    for other in (
        MediaOwner(caller_id=uuid4(), subject_ref=owner.subject_ref),
        MediaOwner(caller_id=owner.caller_id, subject_ref=SubjectRef(uuid4())),
    ):
        assert await held.find(kept.id, owner=other) is None
        assert not await held.drop(kept.id, owner=other)
    assert await held.find(kept.id, owner=owner) is not None


async def test_what_is_dropped_is_gone(held: HeldMedia) -> None:
    owner = an_owner()
    kept = await held.keep(a_medium(), owner=owner)
    assert await held.drop(kept.id, owner=owner)
    assert not await held.drop(kept.id, owner=owner)
    assert await held.find(kept.id, owner=owner) is None


async def test_what_has_expired_is_neither_found_nor_dropped(held: HeldMedia, clock: FakeClock) -> None:
    owner = an_owner()
    kept = await held.keep(a_medium(), owner=owner)
    clock.advance(TTL)
    assert await held.find(kept.id, owner=owner) is None
    assert not await held.drop(kept.id, owner=owner)


async def test_forgetting_a_subject_takes_what_every_caller_holds_for_them_and_nothing_else(held: HeldMedia) -> None:
    owner, other = an_owner(), an_owner()
    another_callers = MediaOwner(caller_id=uuid4(), subject_ref=owner.subject_ref)
    theirs = [(await held.keep(a_medium(), owner=by), by) for by in (owner, another_callers)]
    others = await held.keep(a_medium(), owner=other)
    await held.forget(owner.subject_ref)
    assert [await held.find(kept.id, owner=by) for kept, by in theirs] == [None, None]
    assert await held.find(others.id, owner=other) is not None
    again = await held.keep(a_medium(), owner=owner)
    assert await held.find(again.id, owner=owner) is not None


async def test_nothing_of_it_can_be_read_at_rest(sealed: SealedMedia, tmp_path: Path) -> None:
    await sealed.keep(a_medium(content=b"Mia-Mustermann-4711" * 5_000), owner=an_owner())
    [file] = (tmp_path / "held").iterdir()
    assert b"Mia" not in file.read_bytes()


async def test_what_was_changed_at_rest_is_not_handed_out(sealed: SealedMedia, tmp_path: Path) -> None:
    owner = an_owner()
    kept = await sealed.keep(a_medium(content=PIXELS), owner=owner)
    [file] = (tmp_path / "held").iterdir()
    content = file.read_bytes()
    found = await sealed.find(kept.id, owner=owner)
    assert found is not None
    for harmed in (content[:-1], content[:1_000] + b"x" + content[1_001:], content[: 17 + 65_552]):
        file.write_bytes(harmed)
        with pytest.raises(MediaUnreadable):
            await read(found.medium)
    file.unlink()
    with pytest.raises(MediaUnreadable):
        await read(found.medium)


async def test_one_medium_cannot_stand_in_anothers_place(sealed: SealedMedia, tmp_path: Path) -> None:
    owner = an_owner()
    await sealed.keep(a_medium(content=b"first"), owner=owner)
    [first] = (tmp_path / "held").iterdir()
    kept = await sealed.keep(a_medium(content=b"other"), owner=owner)
    [second] = set((tmp_path / "held").iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    found = await sealed.find(kept.id, owner=owner)
    assert found is not None
    with pytest.raises(MediaUnreadable):
        await read(found.medium)


async def test_the_key_is_what_opens_it_and_forgetting_destroys_the_key(
    sealed: SealedMedia, database: Database, tmp_path: Path
) -> None:
    owner = an_owner()
    await sealed.keep(a_medium(content=PIXELS), owner=owner)
    [file] = (tmp_path / "held").iterdir()
    left = file.read_bytes()
    await sealed.forget(owner.subject_ref)
    assert await database.fetchval("select count(*) from media_keys") == 0
    assert await database.fetchval("select count(*) from held_media") == 0
    assert list((tmp_path / "held").iterdir()) == []
    assert PIXELS[:100] not in left


async def test_uploads_of_one_subject_at_once_share_a_key(sealed: SealedMedia, database: Database) -> None:
    owner = an_owner()
    kept = await asyncio.gather(*(sealed.keep(a_medium(content=PIXELS), owner=owner) for _ in range(6)))
    assert await database.fetchval("select count(*) from media_keys") <= 6
    for one in kept:
        found = await sealed.find(one.id, owner=owner)
        assert found is not None
        assert await read(found.medium) == PIXELS


async def test_a_medium_that_comes_while_its_subject_is_forgotten_is_kept_under_a_new_key(sealed: SealedMedia) -> None:
    owner = an_owner()
    await sealed.keep(a_medium(), owner=owner)
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(PiecedContent):
        async def pieces(self) -> AsyncIterator[bytes]:
            begun.set()
            await go_on.wait()
            async for piece in super().pieces():
                yield piece

    medium = replace(a_medium(), bytes=len(PIXELS), content=Slow(PIXELS))
    keeping = asyncio.create_task(sealed.keep(medium, owner=owner))
    await begun.wait()
    await sealed.forget(owner.subject_ref)
    go_on.set()
    kept = await keeping
    found = await sealed.find(kept.id, owner=owner)
    assert found is not None
    assert await read(found.medium) == PIXELS


async def test_a_sweep_takes_what_has_expired_and_nothing_that_lives(
    sealed: SealedMedia, clock: FakeClock, tmp_path: Path
) -> None:
    owner = an_owner()
    await sealed.keep(a_medium(), owner=owner)
    old = set((tmp_path / "held").iterdir())
    clock.advance(TTL)
    lives = await sealed.keep(a_medium(), owner=owner)
    assert await sealed.sweep() == 1
    assert set((tmp_path / "held").iterdir()).isdisjoint(old)
    assert await sealed.find(lives.id, owner=owner) is not None


async def test_a_sweep_takes_bytes_that_no_row_knows_once_they_are_old(
    sealed: SealedMedia, clock: FakeClock, tmp_path: Path
) -> None:
    owner, folder = an_owner(), tmp_path / "held"
    kept = await sealed.keep(a_medium(), owner=owner)
    known = set(folder.iterdir())
    young, old, unfinished = folder / uuid4().hex, folder / uuid4().hex, folder / f"{uuid4().hex}.part"
    for stray in (young, old, unfinished):
        stray.write_bytes(b"its row was never written")
    too_old = (clock.now() - TTL - SWEEP_AFTER).timestamp() - 1
    for path in (old, unfinished, *known):
        os.utime(path, (too_old, too_old))
    os.utime(young, (too_old + 2, too_old + 2))
    assert await sealed.sweep() == 2
    assert set(folder.iterdir()) == {young, *known}
    assert await sealed.find(kept.id, owner=owner) is not None


async def test_replicas_share_what_lies_in_a_bucket_that_their_environment_leads_to(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keyring = await load_keyring(database, secret_key="wraps the secrets")

    def replica(store: MediaStore) -> SealedMedia:
        rows = PostgresMediaRows(database)
        return SealedMedia(rows, store=store, keys=keyring, clock=clock, ids=Uuid7Identifiers(), ttl=TTL)

    with serving_bucket() as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        first, second = (replica(open_media_store("s3://held/a/prefix", default=tmp_path)) for _ in range(2))
        owner = an_owner()
        kept = await first.keep(a_medium(content=PIXELS), owner=owner)
        found = await second.find(kept.id, owner=owner)
        assert found is not None
        assert await read(found.medium) == PIXELS
        [(key, (sealed, _))] = bucket.objects.items()
        assert key.startswith("a/prefix/")
        assert PIXELS[:1_000] not in sealed
        await second.forget(owner.subject_ref)
        assert bucket.objects == {}
