"""How far the ledger has come, remembered outside of it: so that an older copy in its place is noticed, and said.

What is remembered is this machine's own sight, in a small file and in each process: what nobody saw here, or was lost
before the next look, is not missed. A ledger is known by the moment its pepper was made, which every copy of it shares.
"""

import asyncio
import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.application.ports.platform import Finding, LedgerHealth, Readiness
from consent_proxy.application.ports.transfers import LedgerUnavailable

_log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
#: Entries are not quite in the order of their times: an id is made before its row is, by another clock.
_OUT_OF_ORDER = timedelta(minutes=1)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

_READ = """select r.edition,
  (select min(created_at) from secrets where name = 'pepper') as ledger,
  coalesce((select max(seq) from consent_events), 0) as events,
  greatest((select received_at from consent_events order by seq desc limit 1),
           (select intent_at from transfers order by id desc limit 1)) as newest_at
from rules r"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The highest edition, the number of the last consent event, the time of the newest entry, and what was amiss."""

    edition: int = 0
    events: int = 0
    newest_at: datetime = _NEVER
    behind: str | None = None

    def up_to(self, other: "Mark") -> "Mark":
        """The higher of each; what was amiss stays."""
        return Mark(
            edition=max(self.edition, other.edition),
            events=max(self.events, other.events),
            newest_at=max(self.newest_at, other.newest_at),
            behind=self.behind or other.behind,
        )

    def missing_in(self, found: "Mark") -> str | None:
        """How far a reading of the ledger is behind this mark, in words; ``None`` where it is not."""
        late = self.newest_at - found.newest_at
        parts = []
        if found.edition < self.edition:
            parts.append(f"its rules are at edition {found.edition} and were at {self.edition}")
        if found.events < self.events:
            parts.append(f"up to {self.events - found.events} consent events are missing")
        if parts or late > _OUT_OF_ORDER:
            seen = f"an entry of {_shown(self.newest_at)} was seen here"
            parts.append(f"its newest entry is of {_shown(found.newest_at)}, and {seen}")
        return "; ".join(parts) or None


class LedgerMark:
    """The mark of one database, kept in a folder. Reads and writes small files in place: they are of one line."""

    def __init__(self, database: Database, *, folder: Path) -> None:
        self._database, self._folder = database, folder
        self._seen: dict[str, Mark] = {}
        self._complained = False

    async def look(self, *, remember: bool) -> str | None:
        """What to tell an operator if this is an older copy; raises ``LedgerUnavailable``. ``remember`` keeps what is
        seen, and that something was amiss, until somebody takes the file away.
        """
        row = await self._database.fetchrow(_READ)
        if row is None or row["ledger"] is None:
            return None
        file = self._folder / f"ledger-{row['ledger'].astimezone(UTC):%Y%m%dT%H%M%S%f}.json"
        found = Mark(edition=row["edition"], events=row["events"], newest_at=row["newest_at"] or _NEVER)
        known = self._seen.get(file.name, Mark()).up_to(_read(file))
        missing = known.missing_in(found) if known.behind is None else None
        if missing is not None:
            known = replace(known, behind=missing)
            _log.error("%s", _advice(missing, file))
        known = known.up_to(found)
        if remember:
            self._seen[file.name] = known
            self._keep(file, known)
        return _advice(known.behind, file) if known.behind is not None else None

    async def keep_looking(self) -> None:
        """Look and remember, for ever, the last time when it is stopped."""
        try:
            while True:
                await self._try()
                await asyncio.sleep(LOOK_EVERY)
        finally:
            await self._try()

    async def _try(self) -> None:
        try:
            await self.look(remember=True)
        except LedgerUnavailable:
            return
        except Exception as error:  # noqa: BLE001 - without this task nobody looks any more
            _log.warning("how far the ledger has come could not be read (%s)", type(error).__name__)

    def _keep(self, file: Path, mark: Mark) -> None:
        if mark == _read(file):
            return
        passing = file.with_suffix(f".{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            passing.write_text(json.dumps({**asdict(mark), "newest_at": mark.newest_at.isoformat()}) + "\n", "utf-8")
            passing.replace(file)
        except OSError as error:
            if not self._complained:
                _log.warning(
                    "CONSENT_PROXY_DATA_DIR cannot be written (%s): no restored backup is noticed after a restart",
                    error.strerror,
                )
            self._complained = True


class HealthWithMark:
    """Fulfils ``LedgerHealth``, and says where the database is an older copy of what was seen here."""

    def __init__(self, health: LedgerHealth, *, mark: LedgerMark) -> None:
        self._health, self._mark = health, mark

    async def check(self) -> Readiness:
        """See ``LedgerHealth``."""
        found = await self._health.check()
        if not found.ready:
            return found
        try:
            behind = await self._mark.look(remember=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest of what was found stands
            behind = f"how far the ledger has come could not be read ({type(error).__name__})"
        if behind is None:
            return found
        return replace(found, warnings=(Finding("older-copy", behind), *found.warnings))


def _advice(missing: str, file: Path) -> str:
    return (
        f"this database is an older copy of what was seen here, such as a restored backup ({missing}): bring in the"
        " decisions and withdrawals made since, see docs/operating.md, then delete"
        f" {file.name} in CONSENT_PROXY_DATA_DIR"
    )


def _read(file: Path) -> Mark:
    """What is kept; nothing where there is no file, or one that nobody can read."""
    try:
        kept: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return Mark(**{**kept, "newest_at": datetime.fromisoformat(kept["newest_at"])})
    except (OSError, ValueError, TypeError, KeyError):
        return Mark()


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment > _NEVER else "no time at all"
