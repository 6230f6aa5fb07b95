"""The table of wrapped secrets: made on the first start, opened on every start, wrapped anew after a rotation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from consent_proxy.adapters.postgres.connections import Connection, Database
from consent_proxy.adapters.postgres.schema import check_revision, read_revision
from consent_proxy.adapters.secrets import Keyring, Secret, SecretName, SecretsLocked, WrappingKey, new_secret
from consent_proxy.application.ports.platform import Finding, LedgerHealth, Readiness
from consent_proxy.application.ports.transfers import LedgerUnavailable

_READ = "select name, version, wrapped, retired_at from secrets order by name, version"
_ADD = """
insert into secrets (name, version, wrapped, created_at) values ($1, $2, $3, clock_timestamp()) on conflict do nothing
"""
_WRAP_ANEW = "update secrets set wrapped = $3 where name = $1 and version = $2 and wrapped = $4"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A secret, the bytes it was kept as, and whether a previous key had wrapped it."""

    secret: Secret
    wrapped: bytes
    outdated: bool


class HealthWithKeptSecrets:
    """Fulfils ``LedgerHealth`` for whoever looks and does not serve: tries every kept secret and changes none."""

    def __init__(self, health: LedgerHealth, *, database: Database, keys: Sequence[str]) -> None:
        """``keys``: the one in use, then previous ones."""
        self._health, self._database, self._keys = health, database, keys

    async def check(self) -> Readiness:
        """See ``LedgerHealth``."""
        found = await self._health.check()
        if not found.ready:
            return found
        try:
            async with self._database.acquire() as connection:
                opened = await _open_all(connection, [WrappingKey(text) for text in self._keys])
        except LedgerUnavailable:
            return Readiness(ready=False, warnings=(Finding("database-away", "the database does not answer"),))
        except SecretsLocked as error:
            return Readiness(ready=False, warnings=(Finding("secrets-locked", str(error)), *found.warnings))
        return replace(found, warnings=(*found.warnings, *self._rotation(opened)))

    def _rotation(self, opened: Iterable[_Opened]) -> Iterable[Finding]:
        if outdated := [entry.secret.name for entry in opened if entry.outdated]:
            message = (
                f"a previous key still wraps {len(outdated)} of the database's secrets: start the service once with"
                " both keys set, and it wraps them anew"
            )
            yield Finding("secrets-not-rewrapped", message, grave=False)
        elif len(self._keys) > 1:
            message = "nothing is wrapped by a previous key any more: take CONSENT_PROXY_SECRET_KEYS_PREVIOUS out"
            yield Finding("previous-keys-unneeded", message, grave=False)


async def load_keyring(database: Database, *, secret_key: str, previous: Iterable[str] = ()) -> Keyring:
    """Read the secrets; make those that are missing; wrap anew what ``previous`` keys had wrapped.

    Any number of processes may start at once: they end up with the same secrets. Raises ``SecretsLocked`` where one
    does not open, before anything is written, ``SchemaUnfit``, and ``LedgerUnavailable``.
    """
    keys = [WrappingKey(text) for text in (secret_key, *previous)]
    async with database.transaction() as connection:
        check_revision(await read_revision(connection))
        opened = await _open_all(connection, keys)
        if missing := _missing(opened):
            for secret in missing:
                await connection.execute(_ADD, secret.name, secret.version, keys[0].wrap(secret))
            opened = await _open_all(connection, keys)
        for entry in opened:
            if entry.outdated:
                wrapped = keys[0].wrap(entry.secret)
                await connection.execute(_WRAP_ANEW, entry.secret.name, entry.secret.version, wrapped, entry.wrapped)
    return Keyring(entry.secret for entry in opened)


async def _open_all(connection: Connection, keys: Sequence[WrappingKey]) -> list[_Opened]:
    rows = await connection.fetch(_READ)
    opened: list[_Opened] = []
    locked: list[str] = []
    for row in rows:
        name, version = row["name"], row["version"]
        values = (key.unwrap(row["wrapped"], name=name, version=version) for key in keys)
        place, value = next(((place, value) for place, value in enumerate(values) if value is not None), (0, None))
        if value is None:
            locked.append(f"{name}/{version}")
            continue
        secret = Secret(name=name, version=version, value=value, retired_at=row["retired_at"])
        opened.append(_Opened(secret=secret, wrapped=row["wrapped"], outdated=place > 0))
    if locked:
        raise SecretsLocked(
            f"the database's secrets ({', '.join(locked)}) do not open with CONSENT_PROXY_SECRET_KEY: start with the"
            " key that wrapped them or, if it was replaced, name it in CONSENT_PROXY_SECRET_KEYS_PREVIOUS too;"
            " without it neither subjects nor records can be told apart, so the service does not start"
        )
    return opened


def _missing(opened: Iterable[_Opened]) -> list[Secret]:
    """One new secret for each name without one in use, in an order that two starts at once share."""
    secrets = [entry.secret for entry in opened]
    in_use = {secret.name for secret in secrets if secret.retired_at is None}
    return [
        new_secret(name, version=1 + max((secret.version for secret in secrets if secret.name == name), default=0))
        for name in sorted(SecretName)
        if name not in in_use
    ]
