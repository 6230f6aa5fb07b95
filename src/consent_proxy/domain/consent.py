"""What the person decided: events, the standing they lead to, and the order in which they count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.disclosures import Disclosure, outdated_from
from consent_proxy.domain.subjects import SubjectRef

#: How far ahead of us a phone's clock may say that a yes was given.
CLOCK_TOLERANCE = timedelta(minutes=5)
#: How long a yes may wait in an app's offline queue and still count.
OFFLINE_LIMIT = timedelta(days=30)


class ConsentState(StrEnum):
    """What holds for subject × purpose × recipient at a moment. Only ``granted`` permits anything."""

    NEVER_ASKED = "never-asked"
    GRANTED = "granted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    OUTDATED = "outdated"
    EXPIRED = "expired"

    @property
    def must_ask(self) -> bool:
        """There is no valid decision: the app has to show the disclosure before it uses the feature."""
        return self in {ConsentState.NEVER_ASKED, ConsentState.OUTDATED, ConsentState.EXPIRED}

    @property
    def may_ask(self) -> bool:
        """The person said no; the app may offer the choice again where the person looks for it."""
        return self in {ConsentState.DECLINED, ConsentState.WITHDRAWN}


class TimeNotAllowed(ValueError):
    """A yes that says it was given in the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientStanding:
    """The last effective answer about one recipient. ``decided_at`` is when it arrived here, UTC.

    ``given_at`` is when the app says that a yes was given, where it does; ``last_no_at`` when the last no arrived.
    """

    state: ConsentState
    event_id: UUID
    decided_at: datetime
    disclosure: str | None = None
    disclosure_sha256: str | None = None
    locale: str | None = None
    categories: frozenset[DataCategory] = frozenset()
    valid_until: datetime | None = None
    last_no_at: datetime | None = None
    given_at: datetime | None = None

    def came_after(self, no_at: datetime | None) -> bool:
        """Whether this answer both arrived and was given after a no that arrived at a moment; no no is no bar."""
        return no_at is None or min(self.decided_at, self.given_at or self.decided_at) > no_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the events of subject × purpose add up to. ``version`` moves with every change.

    ``everyone`` is the last no that named no recipient: it holds for recipients that ``recipients`` does not list.
    """

    subject_ref: SubjectRef
    purpose: Purpose
    version: int = 0
    recipients: Mapping[str, RecipientStanding] = field(default_factory=dict)
    everyone: RecipientStanding | None = None

    @property
    def granted_to_any(self) -> bool:
        """Whether any recipient has a yes that was not taken back; the column the database's last guard reads."""
        return any(entry.state is ConsentState.GRANTED for entry in self.recipients.values())

    def entry(self, recipient: str) -> RecipientStanding | None:
        """What stands about a recipient, named or covered by a no to everyone."""
        return self.recipients.get(recipient, self.everyone)

    def state(self, recipient: str, *, disclosures: Iterable[Disclosure], at: datetime) -> ConsentState:
        """What holds for a recipient at a moment, given every published disclosure."""
        entry = self.entry(recipient)
        if entry is None:
            return ConsentState.NEVER_ASKED
        if entry.state is not ConsentState.GRANTED:
            return entry.state
        if entry.valid_until is not None and at >= entry.valid_until:
            return ConsentState.EXPIRED
        outdated_at = self.outdated_at(recipient, disclosures=disclosures)
        return ConsentState.OUTDATED if outdated_at is not None and at >= outdated_at else ConsentState.GRANTED

    def outdated_at(self, recipient: str, *, disclosures: Iterable[Disclosure]) -> datetime | None:
        """When the yes to a recipient stops or stopped counting because a material disclosure came after it."""
        known = tuple(disclosures)
        entry = self.entry(recipient)
        if entry is None or entry.state is not ConsentState.GRANTED:
            return None
        granted = next((disclosure for disclosure in known if disclosure.version == entry.disclosure), None)
        return outdated_from(granted, disclosures=known) if granted is not None else entry.decided_at

    def last_no_at(self, recipient: str) -> datetime | None:
        """When the last no arrived that was about a recipient, by name or with everyone."""
        moments = [entry.last_no_at for entry in (self.recipients.get(recipient), self.everyone) if entry is not None]
        return max((moment for moment in moments if moment is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A yes: ``covers`` has the categories of each recipient, as disclosed. ``occurred_at`` is the app's."""

    event_id: UUID
    received_at: datetime
    occurred_at: datetime | None
    disclosure: str
    disclosure_sha256: str
    locale: str
    covers: Mapping[str, frozenset[DataCategory]]
    valid_for: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """A no to a disclosure; ``recipients`` ``None`` means everyone."""

    event_id: UUID
    received_at: datetime
    disclosure: str
    disclosure_sha256: str
    locale: str
    recipients: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A yes taken back (GDPR Art. 7(3)); ``recipients`` ``None`` means everyone. Earlier transfers stay lawful."""

    event_id: UUID
    received_at: datetime
    recipients: frozenset[str] | None = None


ConsentEvent = Granted | Declined | Withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an event led to. ``reason`` says why it changed nothing, where it did not: ``superseded`` or ``too-old``."""

    standing: Standing
    effective: bool
    reason: str | None = None


def apply_event(standing: Standing, event: ConsentEvent) -> Applied:
    """Take an event into a standing, in the order of arrival.

    A no takes effect on arrival. A yes that was given no later than the last no arrived is recorded and changes
    nothing, so that a phone's offline queue cannot reopen the door. Raises ``TimeNotAllowed``.
    """
    match event:
        case Granted():
            return _apply_grant(standing, event)
        case Declined():
            entry = RecipientStanding(
                state=ConsentState.DECLINED,
                event_id=event.event_id,
                decided_at=event.received_at,
                disclosure=event.disclosure,
                disclosure_sha256=event.disclosure_sha256,
                locale=event.locale,
                last_no_at=event.received_at,
            )
            return _apply_no(standing, entry, event.recipients)
        case Withdrawn():
            entry = RecipientStanding(
                state=ConsentState.WITHDRAWN,
                event_id=event.event_id,
                decided_at=event.received_at,
                last_no_at=event.received_at,
            )
            return _apply_no(standing, entry, event.recipients)


def _apply_no(standing: Standing, entry: RecipientStanding, recipients: frozenset[str] | None) -> Applied:
    if recipients is None:
        changed = replace(standing, version=standing.version + 1, recipients={}, everyone=entry)
    else:
        named = dict(standing.recipients) | dict.fromkeys(recipients, entry)
        changed = replace(standing, version=standing.version + 1, recipients=named)
    return Applied(standing=changed, effective=True)


def _apply_grant(standing: Standing, event: Granted) -> Applied:
    occurred_at = event.occurred_at or event.received_at
    if occurred_at > event.received_at + CLOCK_TOLERANCE:
        raise TimeNotAllowed("occurred_at is more than 5 minutes ahead of this service's clock")
    if occurred_at < event.received_at - OFFLINE_LIMIT:
        return Applied(standing=standing, effective=False, reason="too-old")
    named = dict(standing.recipients)
    superseded = False
    for recipient, categories in event.covers.items():
        last_no_at = standing.last_no_at(recipient)
        if last_no_at is not None and event.occurred_at is not None and event.occurred_at <= last_no_at:
            superseded = True
            continue
        named[recipient] = RecipientStanding(
            state=ConsentState.GRANTED,
            event_id=event.event_id,
            decided_at=event.received_at,
            disclosure=event.disclosure,
            disclosure_sha256=event.disclosure_sha256,
            locale=event.locale,
            categories=categories,
            valid_until=occurred_at + event.valid_for if event.valid_for is not None else None,
            last_no_at=last_no_at,
            given_at=event.occurred_at,
        )
    changed = replace(standing, version=standing.version + 1, recipients=named)
    return Applied(standing=changed, effective=not superseded, reason="superseded" if superseded else None)
