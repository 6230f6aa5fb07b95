"""The door opens only where everything is in order, and a no has one reason: the first in the order of the checks."""

from dataclasses import replace
from typing import Any

import pytest

from consent_proxy.domain.callers import CredentialKind, Role, Scope
from consent_proxy.domain.categories import GRANTABLE, DataCategory, Purpose
from consent_proxy.domain.consent import ConsentState
from consent_proxy.domain.decide import FAR_FUTURE, Permit, decide
from consent_proxy.domain.refusals import Reason, Refusal
from tests.builders import (
    CALLER,
    DAY,
    HOUR,
    NOW,
    PROMPT,
    a_contract,
    a_credential,
    a_disclosure,
    a_field,
    a_manifest,
    a_recipient,
    a_recipient_standing,
    a_request,
    a_service_key,
    a_standing,
    a_subject_token,
    some_facts,
    some_rules,
)


def permitted(request: Any = None, facts: Any = None) -> Permit:
    decision = decide(request or a_request(), facts or some_facts(), at=NOW)
    assert isinstance(decision, Permit), decision
    return decision


def refused(request: Any = None, facts: Any = None) -> Refusal:
    decision = decide(request or a_request(), facts or some_facts(), at=NOW)
    assert isinstance(decision, Refusal), decision
    return decision


def facts_with(**rules: Any) -> Any:
    return some_facts(rules=some_rules(**rules))


def facts_standing(**overrides: Any) -> Any:
    return some_facts(standing=a_standing(recipients={"fal": a_recipient_standing(**overrides)}))


def test_where_everything_is_in_order_there_is_a_permit() -> None:
    permit = permitted()

    assert (permit.recipient, permit.purpose) == ("fal", Purpose.GENERATION)
    assert permit.categories == GRANTABLE
    assert (permit.standing_version, permit.edition) == (1, 7)


def test_a_permit_is_for_what_was_granted_and_is_in_the_contract() -> None:
    granted = frozenset({DataCategory.PROMPT, DataCategory.PHOTO, DataCategory.ONWARD})
    contract = a_contract(categories=frozenset({DataCategory.PROMPT, DataCategory.TEXT, DataCategory.ONWARD}))
    standing = a_standing(recipients={"fal": a_recipient_standing(categories=granted)})

    permit = permitted(facts=some_facts(rules=some_rules(contracts=(contract,)), standing=standing))

    assert permit.categories == {DataCategory.PROMPT}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (ConsentState.DECLINED, Reason.CONSENT_DECLINED),
        (ConsentState.WITHDRAWN, Reason.CONSENT_WITHDRAWN),
    ],
)
def test_a_persons_no_permits_nothing_and_asking_does_not_help(state: ConsentState, reason: Reason) -> None:
    refusal = refused(facts=facts_standing(state=state))

    assert (refusal.reason, refusal.must_ask, refusal.disclosure) == (reason, False, None)


def test_a_no_to_everyone_permits_nothing() -> None:
    no = a_recipient_standing(state=ConsentState.WITHDRAWN)

    assert refused(facts=some_facts(standing=a_standing(recipients={}, everyone=no))).reason is Reason.CONSENT_WITHDRAWN


def test_a_person_who_was_not_asked_has_to_be_asked() -> None:
    refusal = refused(facts=some_facts(standing=a_standing(recipients={})))

    assert (refusal.reason, refusal.must_ask, refusal.disclosure) == (Reason.CONSENT_NEVER_ASKED, True, "2026-03-03")


def test_a_yes_to_another_recipient_is_not_a_yes_to_this_one() -> None:
    refusal = refused(facts=some_facts(standing=a_standing(recipients={"replicate": a_recipient_standing()})))

    assert (refusal.reason, refusal.must_ask) == (Reason.RECIPIENT_NOT_GRANTED, True)


def test_a_yes_that_ran_out_permits_nothing() -> None:
    refusal = refused(facts=facts_standing(valid_until=NOW))

    assert (refusal.reason, refusal.must_ask) == (Reason.CONSENT_EXPIRED, True)


def test_a_yes_from_before_a_material_change_permits_nothing() -> None:
    later = a_disclosure("2", effective_at=NOW - HOUR, material=True)

    refusal = refused(facts=facts_with(disclosures=(a_disclosure(), later)))

    assert (refusal.reason, refusal.disclosure) == (Reason.CONSENT_OUTDATED, "2")


@pytest.mark.parametrize(
    "disclosures",
    [
        (),
        (a_disclosure(effective_at=NOW + HOUR),),
        (a_disclosure(recipients=(a_recipient("replicate"),)),),
        (a_disclosure(recipients=(a_recipient("fal", purposes=frozenset({Purpose.TRAINING})),)),),
        (a_disclosure(purposes={Purpose.TRAINING: GRANTABLE}),),
    ],
    ids=["none", "not yet in force", "another recipient", "another purpose of it", "another purpose"],
)
def test_a_recipient_that_no_disclosure_in_force_names_gets_nothing(disclosures: Any) -> None:
    assert refused(facts=facts_with(disclosures=disclosures)).reason is Reason.RECIPIENT_NOT_DISCLOSED


@pytest.mark.parametrize(
    ("contracts", "reason"),
    [
        ((), Reason.CONTRACT_MISSING),
        ((a_contract(recipient="replicate"),), Reason.CONTRACT_MISSING),
        ((a_contract(valid_from=NOW + HOUR),), Reason.CONTRACT_MISSING),
        ((a_contract(valid_until=NOW),), Reason.CONTRACT_EXPIRED),
        ((a_contract(ended_at=NOW),), Reason.CONTRACT_EXPIRED),
        ((a_contract(equal_protection=False),), Reason.CONTRACT_DOES_NOT_COVER),
        ((a_contract(own_purposes_excluded=False),), Reason.CONTRACT_DOES_NOT_COVER),
        ((a_contract(purposes=frozenset({Purpose.TRAINING})),), Reason.CONTRACT_DOES_NOT_COVER),
        ((a_contract(categories=GRANTABLE - {DataCategory.PROMPT}),), Reason.CONTRACT_DOES_NOT_COVER),
    ],
)
def test_without_a_contract_that_covers_it_nothing_leaves(contracts: Any, reason: Reason) -> None:
    assert refused(facts=facts_with(contracts=contracts)).reason is reason


def test_a_contract_need_not_cover_what_a_request_can_do_without() -> None:
    permitted(facts=facts_with(contracts=(a_contract(categories=frozenset({DataCategory.PROMPT})),)))


def test_the_maker_behind_a_model_has_to_stand_in_the_contract() -> None:
    permitted(a_request(manifest=a_manifest(sub_processors=("google",))))

    refusal = refused(a_request(manifest=a_manifest(sub_processors=("google", "kuaishou"))))
    assert refusal.reason is Reason.SUB_PROCESSOR_NOT_COVERED
    assert "kuaishou" in refusal.detail
    assert "google" not in refusal.detail


def test_a_model_nobody_reviewed_is_unknown() -> None:
    assert refused(a_request(manifest=None)).reason is Reason.MODEL_UNKNOWN


@pytest.mark.parametrize("nobody", ["", "  "])
def test_a_manifest_that_nobody_reviewed_opens_no_door(nobody: str) -> None:
    assert refused(a_request(manifest=a_manifest(reviewed_by=nobody))).reason is Reason.MODEL_UNKNOWN


def test_a_stated_purpose_may_only_repeat_the_manifests() -> None:
    permitted(a_request(stated_purpose="generation"))
    assert refused(a_request(stated_purpose="training")).reason is Reason.PURPOSE_MISMATCH
    assert refused(a_request(stated_purpose="anything")).reason is Reason.PURPOSE_MISMATCH


def test_a_token_serves_only_its_purposes() -> None:
    only = a_subject_token(purposes=frozenset({Purpose.GENERATION}))

    permitted(a_request(credential=only))
    other = replace(only, purposes=frozenset({Purpose.TRAINING}))
    assert refused(a_request(credential=other)).reason is Reason.PURPOSE_MISMATCH


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        (a_credential(roles=frozenset(Role) - {Role.GATEWAY}), Reason.ROLE_MISSING),
        (a_credential(id="another"), Reason.CREDENTIAL_INVALID),
        (a_credential(expires_at=NOW), Reason.CREDENTIAL_EXPIRED),
        (a_subject_token(scopes=frozenset({Scope.CONSENT})), Reason.ROLE_MISSING),
        (a_subject_token(scopes=frozenset(), roles=frozenset(Role)), Reason.ROLE_MISSING),
        (a_subject_token(expires_at=NOW), Reason.CREDENTIAL_EXPIRED),
        (a_credential(kind=CredentialKind.BOOTSTRAP, id="bootstrap"), Reason.CREDENTIAL_INVALID),
    ],
)
def test_a_credential_has_to_stand_and_to_be_for_this(credential: Any, reason: Reason) -> None:
    assert refused(a_request(credential=credential)).reason is reason


@pytest.mark.parametrize("key", [a_service_key(revoked_at=NOW), a_service_key(expires_at=NOW)])
@pytest.mark.parametrize("credential", [a_credential(), a_subject_token()])
def test_a_token_ends_with_its_callers_last_key(key: Any, credential: Any) -> None:
    request = a_request(credential=credential)

    permitted(request)
    assert refused(request, facts_with(keys={b"digest": key})).reason is Reason.CREDENTIAL_INVALID


def test_a_revoked_key_opens_nothing_although_its_caller_has_another() -> None:
    other = a_service_key(id=CALLER, digest=b"other")
    keys = {b"digest": a_service_key(revoked_at=NOW), b"other": other}

    assert refused(facts=facts_with(keys=keys)).reason is Reason.CREDENTIAL_INVALID
    permitted(a_request(credential=a_subject_token()), facts_with(keys=keys))


def test_a_revoked_token_opens_nothing() -> None:
    token = a_subject_token()

    for revoked in (
        facts_with(revoked_tokens=frozenset({token.id})),
        facts_with(tokens_revoked_before={token.subject_ref: token.issued_at}),
    ):
        assert refused(a_request(credential=token), revoked).reason is Reason.CREDENTIAL_INVALID


def test_the_bootstrap_key_stands_as_long_as_the_setting_does() -> None:
    credential = a_credential(kind=CredentialKind.BOOTSTRAP, id="bootstrap")

    permitted(a_request(credential=credential), facts_with(keys={}, bootstrap_caller=CALLER))


def test_the_reason_is_the_first_in_the_order_of_the_checks() -> None:
    standing = a_standing(recipients={"fal": a_recipient_standing(state=ConsentState.DECLINED)})
    facts = some_facts(rules=some_rules(contracts=(), disclosures=(), keys={}), standing=standing)
    request = a_request(manifest=None, stated_purpose="training")
    reasons = []
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({}, {"keys": some_rules().keys}),
        ({"manifest": a_manifest()}, {}),
        ({"stated_purpose": None}, {}),
        ({}, {"disclosures": (a_disclosure(),)}),
    ]
    for mended_request, mended_rules in steps:
        request = replace(request, **mended_request)
        facts = replace(facts, rules=replace(facts.rules, **mended_rules))
        reasons.append(refused(request, facts).reason)
    reasons.append(refused(request, replace(facts, standing=a_standing())).reason)

    assert reasons == [
        Reason.CREDENTIAL_INVALID,
        Reason.MODEL_UNKNOWN,
        Reason.PURPOSE_MISMATCH,
        Reason.RECIPIENT_NOT_DISCLOSED,
        Reason.CONSENT_DECLINED,
        Reason.CONTRACT_MISSING,
    ]


def test_a_permit_ends_with_the_first_thing_that_ends() -> None:
    moments = [NOW + hours * HOUR for hours in range(1, 7)]
    endless = a_contract(valid_until=None)

    def not_after(**changed: Any) -> Any:
        rules = {"contracts": (endless,), "disclosures": (a_disclosure(),), **changed.get("rules", {})}
        standing = a_standing(recipients={"fal": a_recipient_standing(**changed.get("consent", {}))})
        request = a_request(credential=changed.get("credential", a_credential()))
        return permitted(request, some_facts(rules=some_rules(**rules), standing=standing)).not_after

    material = a_disclosure("2", effective_at=NOW + 3 * HOUR, material=True)
    outdating = a_disclosure("2", effective_at=NOW - HOUR, material=True, outdates_at=NOW + 4 * HOUR)
    assert not_after() == FAR_FUTURE
    assert not_after(rules={"contracts": (replace(endless, valid_until=moments[0]),)}) == moments[0]
    assert not_after(rules={"contracts": (replace(endless, ended_at=moments[0]),)}) == moments[0]
    assert not_after(consent={"valid_until": moments[1]}) == moments[1]
    assert not_after(rules={"disclosures": (a_disclosure(), material)}) == moments[2]
    assert not_after(rules={"disclosures": (a_disclosure(), outdating)}) == moments[3]
    assert not_after(credential=a_subject_token(expires_at=moments[4])) == moments[4]
    assert not_after(credential=a_credential(expires_at=moments[5]), consent={"valid_until": moments[1]}) == moments[1]


def test_a_contract_of_another_recipient_does_not_end_a_permit() -> None:
    other = a_contract(recipient="replicate", valid_until=NOW + HOUR)

    assert permitted(facts=facts_with(contracts=(a_contract(), other))).not_after == NOW + DAY


def test_no_refusal_repeats_what_the_caller_wrote() -> None:
    request = a_request(stated_purpose="jane@example.com", payload={"prompt": "jane@example.com"})

    assert "jane" not in repr(refused(request))


def test_the_required_categories_are_those_of_the_fields_a_request_cannot_do_without() -> None:
    manifest = a_manifest(
        PROMPT,
        a_field("story", category=DataCategory.TEXT, required=False),
        a_field("captions[].text", category=DataCategory.TRAINING_METADATA),
        a_field("lines[]", category=DataCategory.TEXT),
    )

    assert manifest.categories(required_only=True) == {DataCategory.PROMPT, DataCategory.TEXT}
    assert manifest.categories() == {DataCategory.PROMPT, DataCategory.TEXT, DataCategory.TRAINING_METADATA}
