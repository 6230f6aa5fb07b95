"""What stands for a person: every state, whether to ask, until when, and the text to show."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consent_proxy.application.read_standing import StandingRow, StandingView, read_standing
from consent_proxy.domain.categories import GRANTABLE, DataCategory, Purpose
from consent_proxy.domain.consent import ConsentState, Standing
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.rules import Rules
from tests.builders import DAY, NOW, SUBJECT, a_disclosure, a_recipient, a_recipient_standing, a_standing
from tests.conformance.samples import disclosure

SHOWN = replace(
    disclosure(),
    effective_at=NOW - 2 * DAY,
    published_at=NOW - 2 * DAY,
    purposes={Purpose.GENERATION: GRANTABLE},
)


def newer(version: str = "2026-11-22", **overrides: object) -> Disclosure:
    """A disclosure in force since yesterday."""
    document = {**SHOWN.document, "version": version}
    values: dict[str, object] = {"version": version, "effective_at": NOW - DAY, "document": document}
    return replace(SHOWN, **{**values, **overrides})  # type: ignore[arg-type]


def view_of(standing: Standing | None, *later: Disclosure, locale: str | None = None) -> StandingView:
    rules = Rules(edition=1, disclosures=(SHOWN, *later))
    standings = {Purpose.GENERATION: standing} if standing is not None else {}
    return read_standing(standings, subject_ref=SUBJECT, rules=rules, at=NOW, locale=locale)


def at_fal(view: StandingView) -> StandingRow:
    return next(row for row in view.rows if row.recipient == "fal")


def granted(**overrides: object) -> Standing:
    """A yes to fal and Replicate."""
    entry = a_recipient_standing(**{"disclosure": SHOWN.version, **overrides})
    return a_standing(recipients={"fal": entry, "replicate": entry})


def said(state: ConsentState) -> Standing:
    entry = a_recipient_standing(state=state, categories=frozenset())
    return a_standing(recipients={"fal": entry, "replicate": entry})


def test_a_person_never_asked_has_to_be_asked_and_is_shown_what() -> None:
    view = view_of(None)
    assert [row.recipient for row in view.rows] == ["fal", "replicate"]
    assert {row.state for row in view.rows} == {ConsentState.NEVER_ASKED}
    assert (view.must_ask, view.ai_features) == (True, "unavailable")
    assert view.disclosure is not None
    assert (view.disclosure.version, view.disclosure.locale) == (SHOWN.version, "en")


def test_a_whole_yes_leaves_nothing_to_ask_and_nothing_to_show() -> None:
    view = view_of(granted())
    assert {row.state for row in view.rows} == {ConsentState.GRANTED}
    assert (view.must_ask, view.ai_features, view.disclosure) == (False, "available", None)


@pytest.mark.parametrize("state", [ConsentState.DECLINED, ConsentState.WITHDRAWN])
def test_a_no_may_be_offered_again_and_need_not_be(state: ConsentState) -> None:
    view = view_of(said(state))
    row = at_fal(view)
    assert (row.state, row.must_ask, row.may_ask) == (state, False, True)
    assert (view.must_ask, view.ai_features) == (False, "unavailable")
    assert view.disclosure is not None


def test_a_yes_to_one_recipient_makes_features_available_and_asks_for_the_other() -> None:
    view = view_of(a_standing(recipients={"fal": a_recipient_standing(disclosure=SHOWN.version)}))
    assert [row.state for row in view.rows] == [ConsentState.GRANTED, ConsentState.NEVER_ASKED]
    assert (view.must_ask, view.ai_features) == (True, "available")


def test_a_yes_expires_to_the_moment() -> None:
    assert at_fal(view_of(granted(valid_until=NOW))).state is ConsentState.EXPIRED
    assert at_fal(view_of(granted(valid_until=NOW + timedelta(microseconds=1)))).state is ConsentState.GRANTED
    assert view_of(granted(valid_until=NOW)).must_ask


def test_a_material_change_outdates_older_answers() -> None:
    row = at_fal(view_of(granted(), newer(material=True)))
    assert (row.state, row.must_ask, row.deadline) == (ConsentState.OUTDATED, True, None)


def test_a_material_change_with_a_date_asks_before_it_with_a_deadline() -> None:
    deadline = NOW + 7 * DAY
    view = view_of(granted(), newer(material=True, outdates_at=deadline))
    row = at_fal(view)
    assert (row.state, row.must_ask, row.deadline) == (ConsentState.GRANTED, True, deadline)
    assert (view.must_ask, view.ai_features) == (True, "available")
    assert view.disclosure is not None
    assert view.disclosure.version == "2026-11-22"


def test_nobody_is_asked_for_a_change_that_cannot_be_shown_yet() -> None:
    view = view_of(granted(), newer(material=True, effective_at=NOW + DAY))
    assert (view.must_ask, at_fal(view).deadline, view.disclosure) == (False, None, None)


def test_a_change_that_is_not_material_asks_nobody() -> None:
    assert not view_of(granted(), newer()).must_ask


def test_what_a_newer_disclosure_adds_has_not_been_asked() -> None:
    with_acme = newer(recipients=(*SHOWN.recipients, a_recipient("acme")))
    view = view_of(granted(), with_acme)
    assert [row.state for row in view.rows] == [ConsentState.GRANTED, ConsentState.GRANTED, ConsentState.NEVER_ASKED]
    assert view.must_ask


def test_a_category_that_a_newer_disclosure_adds_has_not_been_asked() -> None:
    some = GRANTABLE - {DataCategory.VOICE}
    row = at_fal(view_of(granted(categories=some), newer()))
    assert (row.state, row.must_ask, row.categories) == (ConsentState.GRANTED, True, some)


def test_a_no_to_everyone_holds_for_recipients_that_came_later() -> None:
    standing = a_standing(recipients={}, everyone=a_recipient_standing(state=ConsentState.WITHDRAWN))
    view = view_of(standing, newer(recipients=(a_recipient("acme"),)))
    assert [(row.recipient, row.state) for row in view.rows] == [("acme", ConsentState.WITHDRAWN)]
    assert not view.must_ask


def test_only_the_purpose_asked_for_is_shown() -> None:
    rules = Rules(edition=1, disclosures=(a_disclosure(document=SHOWN.document),))
    view = read_standing({}, subject_ref=SUBJECT, rules=rules, at=NOW, locale=None, purpose=Purpose.TRAINING)
    assert {row.purpose for row in view.rows} == {Purpose.TRAINING}


def test_without_a_disclosure_in_force_nothing_can_be_asked() -> None:
    view = read_standing({}, subject_ref=SUBJECT, rules=Rules(edition=1), at=NOW, locale=None)
    assert (view.rows, view.must_ask, view.ai_features, view.disclosure) == ((), False, "unavailable", None)


def test_the_text_comes_in_the_language_asked_for() -> None:
    shown = view_of(None, locale="de-CH").disclosure
    assert shown is not None
    assert shown.locale == "de"
