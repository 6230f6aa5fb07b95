"""What stands, read from other fakes through a cache as stale as a real one may be."""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256

from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.decide import Facts
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectRef


class FakeFactsSource:
    """Fulfils ``FactsSource`` over ``rules()`` and ``standings(subject_ref)``, such as a fake rulebook's and ledger's.

    While ``away`` is true it is unavailable, cached or not. ``fresh_reads`` counts the readings of now.
    """

    def __init__(
        self,
        *,
        rules: Callable[[], Rules],
        standings: Callable[[SubjectRef], Awaitable[Mapping[Purpose, Standing]]],
    ) -> None:
        self._rules, self._standings = rules, standings
        self._cached: dict[tuple[SubjectRef, Purpose], Facts] = {}
        self._cached_rules: Rules | None = None
        self.away = False
        self.fresh_reads = 0

    async def facts(self, subject_ref: SubjectRef, *, purpose: Purpose, fresh: bool) -> Facts:
        place = (subject_ref, purpose)
        if fresh or place not in self._cached:
            self._cached[place] = await self._read(subject_ref, purpose)
            return self._cached[place]
        known = self._cached[place]
        return Facts(rules=await self.rules(fresh=False), standing=known.standing, salt=known.salt, fresh=False)

    async def rules(self, *, fresh: bool) -> Rules:
        if self.away:
            raise LedgerUnavailable
        if fresh or self._cached_rules is None:
            self._cached_rules = self._rules()
        return self._cached_rules

    def last_rules(self) -> Rules | None:
        return self._cached_rules

    async def standing_now(self, subject_ref: SubjectRef, *, purpose: Purpose) -> Standing:
        """What the last guard compares with: never cached."""
        standings = await self._standings(subject_ref)
        return standings.get(purpose) or Standing(subject_ref=subject_ref, purpose=purpose)

    def edition_now(self) -> int:
        """What the last guard compares with: never cached."""
        return self._rules().edition

    async def _read(self, subject_ref: SubjectRef, purpose: Purpose) -> Facts:
        self.fresh_reads += 1
        return Facts(
            rules=await self.rules(fresh=True),
            standing=await self.standing_now(subject_ref, purpose=purpose),
            salt=sha256(subject_ref.bytes).digest(),
            fresh=True,
        )
