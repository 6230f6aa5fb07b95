"""The consent events we keep and the events of the domain they stand for: made, applied in order, replayed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from consent_proxy.adapters.postgres.rows import moment_from_json, moment_to_json
from consent_proxy.application.ports.consent import (
    DecisionToRecord,
    LinkToRecord,
    StoredEvent,
    WithdrawalToRecord,
)
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import Applied, ConsentEvent, Declined, Granted, Standing, Withdrawn, apply_event
from consent_proxy.domain.links import Linked, join_standings
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectRef

#: One answer: which purpose's standing it is about, and what happened to that.
Step = tuple[Purpose, ConsentEvent]
ToRecord = DecisionToRecord | WithdrawalToRecord

#: Who decided, where a withdrawal's reason says that it was not the person.
_ACTORS = {"guardian": "guardian", "operator": "operator"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """An event as it is kept, and the standings it led to."""

    event: StoredEvent
    standings: Mapping[Purpose, Standing]


def arrive(asked: ToRecord, *, received_at: datetime, standings: Mapping[Purpose, Standing]) -> Arrived:
    """Take a screen's answers, or a withdrawal, into what stands. Raises ``TimeNotAllowed``."""
    event = _event(asked, received_at=received_at)
    after, answers = _take(_steps(asked, received_at=received_at), event.subject_ref, standings)
    without_effect = next((str(answer["reason"]) for answer in answers if answer["reason"] is not None), None)
    event = replace(
        event,
        answers=answers,
        effective=all(answer["effective"] is True for answer in answers),
        reason=event.reason if event.reason is not None else without_effect,
    )
    return Arrived(event=event, standings=after)


def arrive_link(
    asked: LinkToRecord,
    *,
    received_at: datetime,
    kept: Mapping[Purpose, Standing],
    taken: Mapping[Purpose, Standing],
) -> Arrived:
    """Take a link into what stands under the reference that stays. It answers nothing itself, and has no answers.

    Of the reference that goes, ``domain.links.leave_standing`` says what is left.
    """
    link = Linked(event_id=asked.event_id, received_at=received_at, carry=asked.carry)
    standings = _joined(kept, taken, link=link, subject_ref=asked.kept)
    event = StoredEvent(
        id=asked.event_id,
        kind="link",
        subject_ref=asked.kept,
        subject_kind=asked.kept_kind,
        received_at=received_at,
        occurred_at=None,
        disclosure=None,
        disclosure_sha256=None,
        locale=None,
        answers=(),
        effective=True,
        reason=None,
        actor="operator",
        evidence={},
        caller=asked.credential.caller,
        credential={"kind": asked.credential.kind.value, "id": asked.credential.id},
        environment=asked.environment,
        linked_from=asked.taken,
        carry=asked.carry,
    )
    return Arrived(event=event, standings=standings)


def purposes_of(asked: ToRecord) -> frozenset[Purpose]:
    """The purposes whose standings it may move; a withdrawal that names none is about every one there is."""
    if isinstance(asked, DecisionToRecord):
        return frozenset(answer.purpose for answer in asked.answers)
    return asked.purposes if asked.purposes is not None else frozenset(Purpose)


def replay(events: Iterable[StoredEvent], *, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
    """The standings of a reference that the events of its person, in the order of arrival, add up to."""
    people: dict[SubjectRef, Mapping[Purpose, Standing]] = {}
    for event in events:
        mine = people.get(event.subject_ref, {})
        if event.linked_from is not None and event.carry is not None:
            link = Linked(event_id=event.id, received_at=event.received_at, carry=event.carry)
            taken = people.pop(event.linked_from, {})
            people[event.subject_ref] = _joined(mine, taken, link=link, subject_ref=event.subject_ref)
        else:
            people[event.subject_ref], _ = _take(_steps_again(event), event.subject_ref, mine)
    return decided(people.get(subject_ref, {}))


def decided(standings: Mapping[Purpose, Standing]) -> Mapping[Purpose, Standing]:
    """Without those that no answer has moved yet."""
    return {purpose: standing for purpose, standing in standings.items() if standing.version > 0}


def _joined(
    kept: Mapping[Purpose, Standing], taken: Mapping[Purpose, Standing], *, link: Linked, subject_ref: SubjectRef
) -> Mapping[Purpose, Standing]:
    kept, taken = decided(kept), decided(taken)

    def nothing(purpose: Purpose) -> Standing:
        return Standing(subject_ref=subject_ref, purpose=purpose)

    return {
        purpose: join_standings(kept.get(purpose, nothing(purpose)), taken.get(purpose, nothing(purpose)), link=link)
        for purpose in sorted(kept.keys() | taken.keys())
    }


def _event(asked: ToRecord, *, received_at: datetime) -> StoredEvent:
    """The event without what its answers lead to."""
    decision = asked if isinstance(asked, DecisionToRecord) else None
    reason = None if isinstance(asked, DecisionToRecord) else asked.reason
    return StoredEvent(
        id=asked.event_id,
        kind="decision" if decision is not None else "withdrawal",
        subject_ref=asked.subject_ref,
        subject_kind=asked.subject_kind,
        received_at=received_at,
        occurred_at=asked.occurred_at,
        disclosure=decision.disclosure.version if decision is not None else None,
        disclosure_sha256=decision.disclosure_sha256 if decision is not None else None,
        locale=decision.locale if decision is not None else None,
        answers=(),
        effective=True,
        reason=reason,
        actor=decision.actor if decision is not None else _ACTORS.get(reason or "", "self"),
        evidence=asked.evidence,
        caller=asked.credential.caller,
        credential={"kind": asked.credential.kind.value, "id": asked.credential.id},
        environment=asked.environment,
    )


def _steps(asked: ToRecord, *, received_at: datetime) -> list[Step]:
    if isinstance(asked, WithdrawalToRecord):
        event = Withdrawn(event_id=asked.event_id, received_at=received_at, recipients=asked.recipients)
        return [(purpose, event) for purpose in sorted(purposes_of(asked))]
    shown: dict[str, Any] = {
        "event_id": asked.event_id,
        "received_at": received_at,
        "disclosure": asked.disclosure.version,
        "disclosure_sha256": asked.disclosure_sha256,
        "locale": asked.locale,
    }
    given: dict[str, Any] = {"occurred_at": asked.occurred_at, "valid_for": asked.disclosure.consent_valid_for}
    return [
        (
            answer.purpose,
            Granted(**shown, **given, covers=answer.covers)
            if answer.granted
            else Declined(**shown, recipients=answer.recipients),
        )
        for answer in asked.answers
    ]


def _take(
    steps: Iterable[Step], subject_ref: SubjectRef, standings: Mapping[Purpose, Standing]
) -> tuple[Mapping[Purpose, Standing], tuple[Mapping[str, Json], ...]]:
    after = dict(standings)
    answers: list[Mapping[str, Json]] = []
    for purpose, event in steps:
        before = after.get(purpose) or Standing(subject_ref=subject_ref, purpose=purpose)
        applied = apply_event(before, event)
        after[purpose] = applied.standing
        answers.append(_answer(purpose, event, applied))
    return after, tuple(answers)


def _answer(purpose: Purpose, event: ConsentEvent, applied: Applied) -> Mapping[str, Json]:
    recipients = event.covers if isinstance(event, Granted) else event.recipients
    return {
        "purpose": purpose.value,
        "decision": _DECISIONS[type(event)],
        "recipients": [*sorted(recipients)] if recipients is not None else None,
        "categories": _categories(event),
        "valid_until": _valid_until(event),
        "effective": applied.effective,
        "reason": applied.reason,
    }


_DECISIONS: Mapping[type[ConsentEvent], str] = {Granted: "granted", Declined: "declined", Withdrawn: "withdrawn"}


def _categories(event: ConsentEvent) -> Json:
    """By recipient, since a disclosure may name more for one than for another; ``None`` of a no."""
    if not isinstance(event, Granted):
        return None
    return {recipient: [*sorted(categories)] for recipient, categories in sorted(event.covers.items())}


def _valid_until(event: ConsentEvent) -> str | None:
    if not isinstance(event, Granted) or event.valid_for is None:
        return None
    return moment_to_json((event.occurred_at or event.received_at) + event.valid_for)


def _steps_again(event: StoredEvent) -> Iterator[Step]:
    for answer in event.answers:
        yield Purpose(str(answer["purpose"])), _event_again(event, answer)


def _event_again(event: StoredEvent, answer: Mapping[str, Any]) -> ConsentEvent:
    named = answer["recipients"]
    recipients = frozenset(named) if named is not None else None
    if answer["decision"] == "withdrawn":
        return Withdrawn(event_id=event.id, received_at=event.received_at, recipients=recipients)
    shown: dict[str, Any] = {
        "event_id": event.id,
        "received_at": event.received_at,
        "disclosure": event.disclosure,
        "disclosure_sha256": event.disclosure_sha256,
        "locale": event.locale,
    }
    if answer["decision"] == "declined":
        return Declined(**shown, recipients=recipients)
    until = moment_from_json(answer["valid_until"])
    given_at = event.occurred_at or event.received_at
    return Granted(
        **shown,
        occurred_at=event.occurred_at,
        covers={name: frozenset(map(DataCategory, kinds)) for name, kinds in answer["categories"].items()},
        valid_for=until - given_at if until is not None else None,
    )
