"""The auditor's own reading of consent, held to the service's; and what only a long story would show."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.adapters.postgres.events import arrive
from consent_proxy.adapters.postgres.writing import event_to_json
from consent_proxy.adapters.verifier.promises import Promises
from consent_proxy.adapters.verifier.proofs import Wrong
from consent_proxy.application.ports.consent import DecisionToRecord, WithdrawalToRecord
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import ConsentState, Standing
from tests.builders import CALLER, NOW, SUBJECT
from tests.conformance.samples import COVERED, decision, disclosure, no, withdrawal, yes

_names = st.lists(st.sampled_from(["fal", "replicate"]), min_size=1, unique=True)
_purposes = st.sampled_from(list(Purpose))
_given = st.none() | st.integers(-40 * 24, 0).map(lambda hours: timedelta(hours=hours))
_yes = st.builds(lambda purpose, to, given: ("yes", purpose, to, given), _purposes, _names, _given)
_no = st.builds(lambda purpose, to: ("no", purpose, to, None), _purposes, st.none() | _names)
_withdrawal = st.builds(lambda to: ("withdrawal", None, to, None), st.none() | _names)
STORIES = st.lists(st.tuples(st.integers(1, 20 * 24), _yes | _no | _withdrawal), max_size=8)


def asked(
    what: str, purpose: Purpose | None, to: list[str] | None, **more: Any
) -> DecisionToRecord | WithdrawalToRecord:
    named = frozenset(to) if to is not None else None
    if what == "withdrawal":
        return withdrawal(SUBJECT, recipients=named)
    assert purpose is not None
    answer = yes(purpose, to=to or ()) if what == "yes" else no(purpose, to=named)
    return decision(SUBJECT, answer, **more)


@given(STORIES)
def test_what_stands_is_what_the_service_says_stands(story: list[tuple[int, tuple[Any, ...]]]) -> None:
    promises, standings = Promises(), dict[Purpose, Standing]()
    at = NOW
    for hours, (what, purpose, to, given_before) in story:
        at += timedelta(hours=hours)
        more = {"occurred_at": at + given_before} if given_before is not None else {}
        arrived = arrive(asked(what, purpose, to, **more), received_at=at, standings=standings)
        standings |= arrived.standings
        promises.take("consent", event_to_json(arrived.event, caller_id=CALLER))
    for purpose, standing in standings.items():
        history = promises.stands[str(SUBJECT), purpose.value]
        assert len(history) - 1 == standing.version
        for recipient in ("fal", "replicate"):
            entry, read = standing.entry(recipient), history[-1].recipients.get(recipient)
            if entry is None or entry.state is not ConsentState.GRANTED:
                assert read is None
            else:
                assert read is not None
                assert (read.event, read.categories) == (str(entry.event_id), frozenset(map(str, entry.categories)))


SHOWN = disclosure(valid_for=timedelta(days=10))
CONTRACT = {
    "id": "c",
    "recipient": "fal",
    "valid_from": "2020-01-01T00:00:00Z",
    "valid_until": None,
    "document": {"purposes": ["generation"], "categories": [*COVERED]},
}


def published(version: str, **document: Any) -> dict[str, Any]:
    return {
        "version": version,
        "published_at": "2026-01-01T00:00:00+00:00",
        "document": {**SHOWN.document, "version": version, **document},
    }


@pytest.fixture
def story() -> tuple[Promises, dict[str, Any]]:
    """A disclosure, a contract, and a yes of now that lasts ten days; and what a transfer on it looks like."""
    promises = Promises()
    promises.take("disclosure", published(SHOWN.version))
    promises.take("contract", CONTRACT)
    arrived = arrive(decision(SUBJECT, yes(), shown=SHOWN), received_at=NOW, standings={})
    promises.take("consent", event_to_json(arrived.event, caller_id=CALLER))
    return promises, {
        "id": "t",
        "intent_at": (NOW + timedelta(hours=1)).isoformat(),
        "subject_ref": str(SUBJECT),
        "purpose": "generation",
        "recipient": "fal",
        "standing_version": 1,
        "categories": ["prompt"],
        "contract_id": "c",
        "details": {"consent": {"event_id": str(arrived.event.id)}},
    }


Story = tuple[Promises, Mapping[str, Any]]


def test_a_transfer_on_what_stands_holds(story: Story) -> None:
    promises, intent = story
    promises.take("intent", dict(intent))
    promises.take("outcome", {"transfer_id": "t"})
    assert promises.counts["transfers"] == promises.counts["outcomes"] == 1


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"intent_at": (NOW + timedelta(days=10)).isoformat()}, "had expired"),
        ({"standing_version": 0}, "nobody gave"),
        ({"standing_version": 2}, "nobody gave"),
        ({"purpose": "training"}, "nobody gave"),
        ({"recipient": "replicate"}, "contract with its recipient"),
        ({"categories": ["prompt", "video"]}, "does not cover: video"),
        ({"details": {"consent": {"event_id": "another"}}}, "did not stand"),
    ],
)
def test_a_transfer_on_what_does_not_stand_is_wrong(story: Story, changed: dict[str, Any], what: str) -> None:
    promises, intent = story
    with pytest.raises(Wrong, match=what):
        promises.take("intent", {**intent, **changed})


def test_a_later_material_disclosure_outdates_a_yes_from_its_day_on(story: Story) -> None:
    promises, intent = story
    day = NOW + timedelta(days=3)
    promises.take(
        "disclosure", published("next", effective_at=NOW.isoformat(), material=True, outdates_at=day.isoformat())
    )
    promises.take("disclosure", published("small", effective_at=NOW.isoformat(), material=False))
    promises.take("intent", {**intent, "intent_at": (day - timedelta(seconds=1)).isoformat()})
    with pytest.raises(Wrong, match="outdated"):
        promises.take("intent", {**intent, "intent_at": day.isoformat()})


def test_for_joined_identifiers_the_consent_cited_has_to_have_been_given(story: Story) -> None:
    promises, intent = story
    promises.take("consent", {"kind": "link", "subject_ref": "the one that stays", "answers": []})
    joined = {**intent, "subject_ref": "the one that stays", "standing_version": 9}
    promises.take("intent", joined)
    assert promises.counts["held to the event alone"] == 1
    with pytest.raises(Wrong, match="did not stand"):
        promises.take("intent", {**joined, "details": {"consent": {"event_id": "another"}}})


def test_so_it_is_after_an_answer_that_this_reading_does_not_know(story: Story) -> None:
    promises, intent = story
    arrived = arrive(decision(SUBJECT, yes()), received_at=NOW, standings={})
    event = event_to_json(arrived.event, caller_id=CALLER)
    told: Any = event["answers"]
    promises.take("consent", {**event, "answers": [{**told[0], "reason": "imported"}]})
    promises.take("intent", {**intent, "standing_version": 9})
    assert promises.counts["held to the event alone"] == 1


def test_a_kind_of_row_that_is_not_known_is_told() -> None:
    with pytest.raises(Wrong, match="too old to know"):
        Promises().take("retention", {})
