"""Two references of one person become one: what the standings of both add up to."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from consent_proxy.domain.consent import ConsentState, RecipientStanding, Standing


class Carry(StrEnum):
    """What the reference that stays takes over: every answer, or only the noes."""

    ALL = "all"
    REFUSALS = "refusals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """That a link was made, and when it arrived, UTC."""

    event_id: UUID
    received_at: datetime
    carry: Carry


def join_standings(kept: Standing, taken: Standing, *, link: Linked) -> Standing:
    """What stands for one purpose after a link: the standing of the reference that stays, moved by one version.

    A no that stands on either side holds, whichever came first, until a yes that comes after the link: nobody who said
    no anywhere is sent for because two identifiers turned out to be one person. Of two yeses the later counts, and
    one that was given before the other side's last no, on whichever device, does not. Of noes that a later yes took
    the place of, the memory stays, so that what an offline queue still holds does not reopen the door.
    """
    named = kept.recipients.keys() | taken.recipients.keys()
    entries = {recipient: _join(kept, taken, recipient, link=link) for recipient in sorted(named)}
    everyone = [entry for entry in (kept.everyone, taken.everyone) if entry is not None]
    return replace(
        kept,
        version=kept.version + 1,
        recipients={recipient: entry for recipient, entry in entries.items() if entry is not None},
        everyone=_latest(everyone) if everyone else None,
    )


def leave_standing(taken: Standing) -> Standing:
    """What stands under the reference that goes: nothing, of a version that no intent was decided on."""
    return replace(taken, version=taken.version + 1, recipients={}, everyone=None)


def _join(kept: Standing, taken: Standing, recipient: str, *, link: Linked) -> RecipientStanding | None:
    ours, theirs = kept.entry(recipient), taken.entry(recipient)
    our_no_at, their_no_at = kept.last_no_at(recipient), taken.last_no_at(recipient)
    last_no_at = max((at for at in (our_no_at, their_no_at) if at is not None), default=None)
    noes = [entry for entry in (ours, theirs) if entry is not None and entry.state is not ConsentState.GRANTED]
    if noes:
        return replace(_latest(noes), last_no_at=last_no_at)
    carried = theirs if link.carry is Carry.ALL else None
    yeses = [
        entry
        for entry, no_at in ((ours, their_no_at), (carried, our_no_at))
        if entry is not None and entry.came_after(no_at)
    ]
    if yeses:
        return replace(_latest(yeses), last_no_at=last_no_at)
    if last_no_at is None:
        return None
    # There was a no, and the yes that came after it stays behind: the no is what is left.
    return RecipientStanding(
        state=ConsentState.WITHDRAWN, event_id=link.event_id, decided_at=link.received_at, last_no_at=last_no_at
    )


def _latest(entries: list[RecipientStanding]) -> RecipientStanding:
    return max(entries, key=lambda entry: entry.decided_at)
