"""What stands for a subject, recipient by recipient, and whether the app has to ask."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from consent_proxy.application.show_disclosure import ShownDisclosure, show_disclosure
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import ConsentState, RecipientStanding, Standing
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRow:
    """What holds for one purpose and recipient.

    ``deadline`` is when a standing yes will be outdated by the disclosure in force; ``added`` are the categories that
    this disclosure names and the yes does not.
    """

    purpose: Purpose
    recipient: str
    state: ConsentState
    disclosure: str | None = None
    categories: frozenset[DataCategory] = frozenset()
    decided_at: datetime | None = None
    valid_until: datetime | None = None
    deadline: datetime | None = None
    added: frozenset[DataCategory] = frozenset()

    @property
    def must_ask(self) -> bool:
        """There is no valid decision for all of it, or there soon will be none."""
        return self.state.must_ask or self.deadline is not None or bool(self.added)

    @property
    def may_ask(self) -> bool:
        """The person said no and may be offered the choice again."""
        return self.state.may_ask


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingView:
    """All that an app needs to know before it uses an AI feature."""

    subject_ref: SubjectRef | None
    rows: tuple[StandingRow, ...]
    disclosure: ShownDisclosure | None

    @property
    def must_ask(self) -> bool:
        """Whether any part has no valid decision."""
        return any(row.must_ask for row in self.rows)

    @property
    def ai_features(self) -> str:
        """``available`` where anything at all is granted."""
        granted = any(row.state is ConsentState.GRANTED for row in self.rows)
        return "available" if granted else "unavailable"


def read_standing(
    standings: Mapping[Purpose, Standing],
    *,
    subject_ref: SubjectRef | None,
    rules: Rules,
    at: datetime,
    locale: str | None,
    purpose: Purpose | None = None,
) -> StandingView:
    """Lay a subject's standings out against the disclosure in force at a moment."""
    current = rules.current(at=at)
    pairs = [pair for pair in _pairs(standings, current) if purpose is None or pair[0] is purpose]
    rows = tuple(_row(standings.get(asked), asked, recipient, rules=rules, at=at) for asked, recipient in pairs)
    incomplete = any(row.state is not ConsentState.GRANTED or row.must_ask for row in rows)
    shown = show_disclosure(current, locale=locale) if current is not None and incomplete else None
    return StandingView(subject_ref=subject_ref, rows=rows, disclosure=shown)


def _pairs(standings: Mapping[Purpose, Standing], current: Disclosure | None) -> list[tuple[Purpose, str]]:
    """What the disclosure in force names or, where none is, what was decided on before."""
    if current is None:
        return [(purpose, recipient) for purpose, standing in standings.items() for recipient in standing.recipients]
    return [
        (purpose, named.id)
        for purpose in current.purposes
        for named in current.recipients
        if current.covers(recipient=named.id, purpose=purpose) is not None
    ]


def _row(standing: Standing | None, purpose: Purpose, recipient: str, *, rules: Rules, at: datetime) -> StandingRow:
    entry = standing.entry(recipient) if standing is not None else None
    if standing is None or entry is None:
        return StandingRow(purpose=purpose, recipient=recipient, state=ConsentState.NEVER_ASKED)
    row = StandingRow(
        purpose=purpose,
        recipient=recipient,
        state=standing.state(recipient, disclosures=rules.disclosures, at=at),
        disclosure=entry.disclosure,
        categories=entry.categories,
        decided_at=entry.decided_at,
        valid_until=entry.valid_until,
    )
    if row.state is not ConsentState.GRANTED:
        return row
    return replace(
        row,
        deadline=_deadline(standing, recipient, rules=rules, at=at),
        added=_added(entry, purpose, recipient, current=rules.current(at=at)),
    )


def _deadline(standing: Standing, recipient: str, *, rules: Rules, at: datetime) -> datetime | None:
    """From when there is something newer to show: asking before would show what was granted already."""
    in_force = [disclosure for disclosure in rules.disclosures if disclosure.effective_at <= at]
    return standing.outdated_at(recipient, disclosures=in_force)


def _added(
    entry: RecipientStanding, purpose: Purpose, recipient: str, *, current: Disclosure | None
) -> frozenset[DataCategory]:
    disclosed = current.covers(recipient=recipient, purpose=purpose) if current is not None else None
    return (disclosed or frozenset()) - entry.categories
