"""What stands, read from Postgres through a cache that correctness never rests on."""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Connection, Database, Row
from consent_proxy.adapters.postgres.rows import (
    contract_from_row,
    disclosure_from_row,
    key_from_row,
    standing_from_detail,
)
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.decide import Facts
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectRef

SALT_BYTES = 32
CACHED_STANDINGS = 50_000
#: Seconds that remembered rules are good for where no commit checks them: a revoked key must not poll for ever.
RULES_LIFE = 1.0

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_READ = """select g.edition, s.version, s.detail, t.salt, p.linked_into from rules g
  left join standings s on s.subject_ref = $1 and s.purpose = $2
  left join salts t on t.subject_ref = $1
  left join subjects p on p.subject_ref = $1"""
_EDITION = "select edition from rules"
_NEW_SALT = """with made as (
    insert into salts (subject_ref, salt, created_at) values ($1, $2, now()) on conflict do nothing returning salt)
  select salt from made union all select salt from salts where subject_ref = $1 limit 1"""
_SALT = "select salt from salts where subject_ref = $1"
_KEYS = """select k.id, k.caller_id, c.name as caller, k.digest, k.roles, k.created_at, k.expires_at, k.revoked_at
  from keys k join callers c on c.id = k.caller_id"""

_Place = tuple[SubjectRef, Purpose]


class SharedReads(Generic[Key, Value]):
    """One read for all who ask for the same at once. Who asks while a read is under way shares the next one, since
    the one under way may have looked before the asking.
    """

    def __init__(self, read: Callable[[Key], Awaitable[Value]]) -> None:
        self._read = read
        self._running: dict[Key, asyncio.Task[Value]] = {}
        self._next: dict[Key, asyncio.Task[Value]] = {}

    async def read(self, key: Key) -> Value:
        """The value as it stood at some moment after this call. Raises what the read raises."""
        task = self._next.get(key)
        if task is None:
            running = self._running.get(key)
            task = asyncio.create_task(self._after(running, key))
            if running is None:
                self._running[key] = task
            else:
                self._next[key] = task
        return await asyncio.shield(task)

    async def _after(self, running: "asyncio.Task[Value] | None", key: Key) -> Value:
        me = asyncio.current_task()
        assert me is not None
        if running is not None:
            await asyncio.wait({running})
            self._running[key] = self._next.pop(key)
        try:
            return await self._read(key)
        finally:
            if self._running.get(key) is me:
                del self._running[key]


class PostgresFactsSource:
    """Fulfils ``FactsSource``. ``bootstrap_caller`` is the caller whose key stands in the settings, not in a table."""

    def __init__(
        self,
        database: Database,
        *,
        bootstrap_caller: UUID | None = None,
        cached: int = CACHED_STANDINGS,
        rules_life: float = RULES_LIFE,
    ) -> None:
        self._database, self._bootstrap_caller, self._limit = database, bootstrap_caller, cached
        self._rules: Rules | None = None
        self._rules_life, self._rules_read_at = rules_life, 0.0
        self._known: OrderedDict[_Place, tuple[Standing, bytes]] = OrderedDict()
        self._fresh_facts: SharedReads[_Place, Facts] = SharedReads(self._read_facts)
        self._fresh_rules: SharedReads[None, Rules] = SharedReads(self._read_rules)

    async def facts(self, subject_ref: SubjectRef, *, purpose: Purpose, fresh: bool) -> Facts:
        """See ``FactsSource``."""
        place = (subject_ref, purpose)
        known = self._known.get(place)
        if fresh or known is None or self._rules is None:
            return await self._fresh_facts.read(place)
        self._known.move_to_end(place)
        standing, salt = known
        return Facts(rules=self._rules, standing=standing, salt=salt, fresh=False)

    async def rules(self, *, fresh: bool) -> Rules:
        """See ``FactsSource``."""
        if fresh or self._rules is None or time.monotonic() - self._rules_read_at > self._rules_life:
            return await self._fresh_rules.read(None)
        return self._rules

    def last_rules(self) -> Rules | None:
        """See ``FactsSource``."""
        return self._rules

    async def _read_facts(self, place: _Place) -> Facts:
        subject_ref, purpose = place
        asked_at = time.monotonic()
        row = await self._database.fetchrow(_READ, subject_ref, purpose.value)
        rules = self._rules
        if row is None or rules is None or row["edition"] != rules.edition:
            async with self._database.transaction(snapshot=True) as connection:
                row = await connection.fetchrow(_READ, subject_ref, purpose.value)
                rules = self._take(await _load_rules(connection, self._bootstrap_caller))
        assert row is not None
        self._rules_read_at = asked_at
        if row["linked_into"] is not None:
            return await self._of_who_stays(place, SubjectRef(row["linked_into"]))
        salt = row["salt"] or await self._make_salt(subject_ref)
        standing = _standing(row, subject_ref, purpose)
        self._remember(place, standing, salt)
        return Facts(rules=rules, standing=standing, salt=salt, fresh=True)

    async def _of_who_stays(self, place: _Place, subject_ref: SubjectRef) -> Facts:
        """What stands under the reference that another one was linked into; a link is never taken back."""
        found = await self._read_facts((subject_ref, place[1]))
        self._remember(place, found.standing, found.salt)
        return found

    async def _read_rules(self, _key: None) -> Rules:
        asked_at = time.monotonic()
        edition = await self._database.fetchval(_EDITION)
        rules = self._rules
        if rules is None or edition != rules.edition:
            async with self._database.transaction(snapshot=True) as connection:
                rules = self._take(await _load_rules(connection, self._bootstrap_caller))
        self._rules_read_at = asked_at
        return rules

    def _take(self, rules: Rules) -> Rules:
        """Keep the newest reading; hand back this one, which belongs to what was read with it."""
        if self._rules is None or rules.edition >= self._rules.edition:
            self._rules = rules
        return rules

    def _remember(self, place: _Place, standing: Standing, salt: bytes) -> None:
        known = self._known.get(place)
        if known is None or known[0].subject_ref != standing.subject_ref or known[0].version <= standing.version:
            self._known[place] = (standing, salt)
        self._known.move_to_end(place)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    async def _make_salt(self, subject_ref: SubjectRef) -> bytes:
        """A salt of the subject's own, made on first sight; two who make one at once get the same."""
        salt: Any = await self._database.fetchval(_NEW_SALT, subject_ref, os.urandom(SALT_BYTES))
        if salt is None:  # made by somebody between this statement's snapshot and its insert
            salt = await self._database.fetchval(_SALT, subject_ref)
        assert isinstance(salt, bytes)
        return salt


def _standing(row: Row, subject_ref: SubjectRef, purpose: Purpose) -> Standing:
    if row["version"] is None:
        return Standing(subject_ref=subject_ref, purpose=purpose)
    return standing_from_detail(row["detail"], subject_ref=subject_ref, purpose=purpose, version=row["version"])


async def _load_rules(connection: Connection, bootstrap_caller: UUID | None) -> Rules:
    """Every rule, inside a transaction that sees one moment."""
    keys = [key_from_row(row) for row in await connection.fetch(_KEYS)]
    cutoffs = await connection.fetch("select subject_ref, issued_before from token_cutoffs")
    return Rules(
        edition=await connection.fetchval(_EDITION),
        disclosures=tuple(map(disclosure_from_row, await connection.fetch("select * from disclosures"))),
        contracts=tuple(map(contract_from_row, await connection.fetch("select * from contracts"))),
        keys={key.digest: key for key in keys},
        revoked_tokens=frozenset(
            row["token_id"] for row in await connection.fetch("select token_id from token_revocations")
        ),
        tokens_revoked_before={SubjectRef(row["subject_ref"]): row["issued_before"] for row in cutoffs},
        bootstrap_caller=bootstrap_caller,
    )
