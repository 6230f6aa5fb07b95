"""The table of wrapped secrets: made once, the same for every process, opened by the right key alone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.adapters.secrets import Keyring, Secret, SecretName, SecretsLocked, WrappingKey, new_secret
from tests.postgres import LedgerDatabase

FIRST, SECOND = "the first key", "the second key"


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


def values(keyring: Keyring) -> dict[str, bytes]:
    return {name.value: keyring.current(name).value for name in SecretName}


async def wrapped(database: Database) -> dict[tuple[str, int], bytes]:
    rows = await database.fetch("select name, version, wrapped from secrets")
    return {(row["name"], row["version"]): row["wrapped"] for row in rows}


async def test_the_first_start_makes_every_secret(database: Database) -> None:
    made = values(await load_keyring(database, secret_key=FIRST))
    assert set(made) == {
        *("pepper", "token-signing", "receipt-signing", "pseudonym", "capability", "idempotency"),
        *("media", "checkpoint-signing"),
    }
    assert {len(value) for value in made.values()} == {32}
    assert len(set(made.values())) == len(SecretName)
    kept = await wrapped(database)
    assert set(kept) == {(name, 1) for name in made}
    assert not any(value in bytes_kept for value in made.values() for bytes_kept in kept.values())


async def test_later_starts_find_the_same_secrets_and_write_nothing(database: Database) -> None:
    made = values(await load_keyring(database, secret_key=FIRST))
    kept = await wrapped(database)
    assert values(await load_keyring(database, secret_key=FIRST)) == made
    assert await wrapped(database) == kept


async def test_processes_that_start_at_once_agree(ledger_database: LedgerDatabase, database: Database) -> None:
    other = await open_database(ledger_database.service_url)
    starting = (load_keyring(one, secret_key=FIRST) for one in (database, other) * 3)
    made = [values(keyring) for keyring in await asyncio.gather(*starting)]
    await other.aclose()
    assert all(one == made[0] for one in made)
    assert len(await wrapped(database)) == len(SecretName)


async def test_of_two_first_starts_with_different_keys_one_is_refused(database: Database) -> None:
    told = await asyncio.gather(
        load_keyring(database, secret_key=FIRST), load_keyring(database, secret_key=SECOND), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in told) == ["Keyring", "SecretsLocked"]
    assert len(await wrapped(database)) == len(SecretName)


async def test_another_key_opens_nothing_says_what_to_do_and_changes_nothing(database: Database) -> None:
    await load_keyring(database, secret_key=FIRST)
    kept = await wrapped(database)
    with pytest.raises(SecretsLocked, match="CONSENT_PROXY_SECRET_KEYS_PREVIOUS") as raised:
        await load_keyring(database, secret_key=SECOND, previous=["a third key"])
    assert "pepper/1" in str(raised.value)
    assert SECOND not in str(raised.value)
    assert await wrapped(database) == kept


async def test_a_replaced_key_still_opens_them_and_they_are_wrapped_anew(database: Database) -> None:
    made = values(await load_keyring(database, secret_key=FIRST))
    kept = await wrapped(database)
    starting = [load_keyring(database, secret_key=SECOND, previous=["a third key", FIRST]) for _ in range(3)]
    for keyring in await asyncio.gather(*starting):
        assert values(keyring) == made
    assert not set(kept.values()) & set((await wrapped(database)).values())
    assert values(await load_keyring(database, secret_key=SECOND)) == made
    with pytest.raises(SecretsLocked):
        await load_keyring(database, secret_key=FIRST)


async def test_one_secret_that_does_not_open_is_enough_to_refuse(database: Database) -> None:
    await load_keyring(database, secret_key=FIRST)
    stray = WrappingKey(SECOND).wrap(new_secret("media"))
    await database.execute("update secrets set wrapped = $1 where name = 'media'", stray)
    with pytest.raises(SecretsLocked, match=r"\(media/1\)"):
        await load_keyring(database, secret_key=FIRST)


async def test_a_secret_put_in_anothers_place_does_not_open(database: Database) -> None:
    await load_keyring(database, secret_key=FIRST)
    await database.execute(
        "update secrets set wrapped = (select wrapped from secrets where name = 'media') where name = 'pepper'"
    )
    with pytest.raises(SecretsLocked, match=r"\(pepper/1\)"):
        await load_keyring(database, secret_key=FIRST)


async def test_where_every_version_is_retired_a_new_one_is_made(database: Database) -> None:
    made = values(await load_keyring(database, secret_key=FIRST))
    await database.execute("update secrets set retired_at = now() where name = 'token-signing'")
    keyring = await load_keyring(database, secret_key=FIRST)
    assert [secret.version for secret in keyring.versions(SecretName.TOKEN_SIGNING)] == [2, 1]
    assert keyring.current(SecretName.TOKEN_SIGNING).version == 2
    assert values(keyring) | {"token-signing": made["token-signing"]} == made


async def test_a_secret_of_a_newer_release_is_kept_and_wrapped_anew_too(database: Database) -> None:
    await load_keyring(database, secret_key=FIRST)
    newer = Secret(name="from-the-future", version=1, value=b"f" * 32)
    await database.execute(
        "insert into secrets (name, version, wrapped, created_at) values ($1, 1, $2, now())",
        newer.name,
        WrappingKey(FIRST).wrap(newer),
    )
    await load_keyring(database, secret_key=SECOND, previous=[FIRST])
    kept = (await wrapped(database))["from-the-future", 1]
    assert WrappingKey(SECOND).unwrap(kept, name="from-the-future", version=1) == newer.value
