"""Subject tokens over HTTP: bound to a person, a caller, scopes and purposes; they expire and are revoked."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from consent_proxy.domain.callers import CredentialKind, Role, Scope
from consent_proxy.domain.subjects import SubjectRef
from tests.api.problems import problem_of
from tests.live import KEY, Live, a_person

RUN = "/fal/run/fal-ai/flux/schnell"
PREDICT = "/replicate/v1/models/black-forest-labs/flux-schnell/predictions"
PICTURE: dict[str, Any] = {"prompt": "a boat"}


def run(live: Live, token: str, **request: Any) -> httpx.Response:
    return live.call("POST", RUN, key=token, json=PICTURE, **request)


def reason_of(answer: httpx.Response) -> str | None:
    reason: str | None = answer.json().get("reason")
    return reason


@pytest.fixture
def person(live: Live) -> str:
    """Somebody who said yes."""
    name = a_person()
    live.decide(name)
    return name


def test_a_token_stands_for_its_person_at_the_surfaces_in_every_spelling_of_the_header(live: Live, person: str) -> None:
    token = live.token(person)
    for scheme in ("Bearer", "Key", "Token", "bearer", "KEY"):
        answer = live.http.post(RUN, json=PICTURE, headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == 200, answer.text
    prediction = live.http.post(PREDICT, json={"input": PICTURE}, headers={"Authorization": f"Token {token}"})
    assert prediction.status_code == 201
    records = live.records(person)
    assert len(records) == 6
    assert {record["credential"]["kind"] for record in records} == {"subject-token"}


@pytest.mark.parametrize("scheme", ["Basic", "Digest", "", "Bearer:"])
def test_another_scheme_is_no_credential(live: Live, scheme: str) -> None:
    answer = live.http.get("/v1/keys", headers={"Authorization": f"{scheme} {KEY}".strip()})
    problem_of(answer, 401, "credential-missing")


def test_a_token_carries_the_reference_and_never_the_identifier(live: Live, person: str) -> None:
    token = live.token(person)
    assert token.startswith("cps_")
    credential = live.services.signer.read(token)
    assert credential is not None
    assert person not in repr(credential)
    assert str(credential.subject_ref) == live.consent(person)["subject_ref"]


def test_it_lives_for_a_quarter_of_an_hour_unless_told_otherwise(live: Live) -> None:
    for body, seconds in (({}, 900), ({"expires_in": 86_400}, 86_400), ({"expires_in": 1}, 1)):
        made = live.done("POST", "/v1/subject-tokens", json={"subject": a_person(), **body})
        left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
        assert timedelta(seconds=seconds - 10) < left <= timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "body",
    [
        {"expires_in": 86_401},
        {"expires_in": 0},
        {"expires_in": "900"},
        {"expires_in": 1.5},
        {"scopes": []},
        {"scopes": ["admin"]},
        {"purposes": []},
        {"purposes": ["selling"]},
        {"kind": "user"},
        {"roles": ["admin"]},
    ],
    ids=str,
)
def test_a_token_that_cannot_be_is_not_made(live: Live, body: dict[str, Any]) -> None:
    answer = live.call("POST", "/v1/subject-tokens", json={"subject": a_person(), **body})
    problem_of(answer, 422, "body-invalid")


def test_the_scope_consent_is_minted_with_the_role_consent_alone(live: Live) -> None:
    wanted = {"subject": a_person(), "scopes": ["consent"]}
    without = live.call("POST", "/v1/subject-tokens", key=live.key("gateway"), json=wanted)
    problem_of(without, 403, "role-missing")
    assert live.call("POST", "/v1/subject-tokens", key=live.key("consent"), json=wanted).status_code == 403
    both = live.call("POST", "/v1/subject-tokens", key=live.key("gateway", "consent"), json=wanted)
    assert both.status_code == 201


def test_a_scope_opens_what_it_says_and_no_more(live: Live, person: str) -> None:
    ai, consent = live.token(person), live.token(person, scopes=["consent"])
    answer = {"disclosure": "2026-03-03", "locale": "en", "decision": "granted"}
    assert run(live, ai).status_code == 200
    assert reason_of(live.call("POST", "/v1/consent/decisions", key=ai, json=answer)) == "role-missing"
    assert reason_of(run(live, consent)) == "role-missing"
    assert live.call("POST", "/v1/consent/decisions", key=consent, json=answer).status_code == 201
    both = live.token(person, scopes=["ai", "consent"])
    assert run(live, both).status_code == 200
    assert live.call("POST", "/v1/consent/decisions", key=both, json=answer).status_code == 201


def test_a_token_of_one_purpose_serves_no_other(live: Live, person: str) -> None:
    training_only = live.token(person, purposes=["training"])
    answer = run(live, training_only)
    assert (answer.status_code, reason_of(answer)) == (403, "purpose-mismatch")
    assert live.reached() == []
    assert run(live, live.token(person, purposes=["generation"])).status_code == 200


def test_a_token_does_not_speak_for_anybody_else(live: Live, person: str) -> None:
    token, other = live.token(person), a_person()
    live.decide(other)
    for answer in (run(live, token, subject=other), run(live, token, subject=a_person())):
        assert (answer.status_code, reason_of(answer)) == (403, "subject-mismatch")
    kind = run(live, token, subject=person, headers={"Consent-Subject-Kind": "session"})
    assert reason_of(kind) == "subject-mismatch"
    assert live.reached() == []
    assert run(live, token, subject=person).status_code == 200
    answer = live.call("POST", "/v1/consent/withdrawals", key=token, subject=other, json={})
    problem_of(answer, 403, "subject-mismatch")


def test_an_expired_token_is_told_so_and_opens_nothing(live: Live, person: str) -> None:
    token = live.token(person)
    credential = live.services.signer.read(token)
    assert credential is not None
    hour = timedelta(hours=1)
    assert credential.issued_at is not None
    assert credential.expires_at is not None
    expired = live.services.signer.mint(
        replace(credential, issued_at=credential.issued_at - hour, expires_at=credential.expires_at - hour)
    )
    answer = run(live, expired)
    assert (answer.status_code, reason_of(answer)) == (401, "credential-expired")
    problem_of(live.call("GET", "/v1/consent", key=expired), 401, "credential-expired")
    assert live.reached() == []


def test_a_token_that_runs_out_between_two_requests_opens_the_first(live: Live, person: str) -> None:
    made = live.done("POST", "/v1/subject-tokens", json={"subject": person, "expires_in": 2})
    assert run(live, made["token"]).status_code == 200
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    time.sleep(max(0.0, left.total_seconds() + 0.01))
    assert reason_of(run(live, made["token"])) == "credential-expired"


def forgeries(live: Live, person: str) -> Iterator[tuple[str, str]]:
    """Tokens that nobody of ours has signed."""
    token = live.token(person)
    head, body, signature = token.removeprefix("cps_").split(".")
    yield "a changed signature", f"cps_{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    yield "no signature", f"cps_{head}.{body}."
    yield "a changed body", f"cps_{head}.{body[:-2]}AA.{signature}"
    yield "without the prefix", f"{head}.{body}.{signature}"
    yield "cut short", token[:-1]
    yield "no algorithm", f"cps_eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoiMSJ9.{body}."
    yield "nothing but the prefix", "cps_"
    yield "endless", "cps_" + "a" * 8_000
    yield "in another alphabet", "cps_\u00e9"


def test_a_forged_token_is_invalid_and_opens_nothing(live: Live, person: str) -> None:
    for what, forged in forgeries(live, person):
        headers = [(b"Authorization", b"Bearer " + forged.encode("latin-1"))]
        for answer in (
            live.http.post(RUN, json=PICTURE, headers=headers),
            live.http.post(PREDICT, json={"input": PICTURE}, headers=headers),
            live.http.get("/v1/consent", headers=headers),
        ):
            assert (answer.status_code, reason_of(answer)) == (401, "credential-invalid"), what
    assert live.reached() == []


def test_a_token_signed_by_another_service_is_invalid(live: Live, own_live: Live, person: str) -> None:
    foreign = own_live.token(person)
    assert reason_of(run(live, foreign)) == "credential-invalid"


def revoke(live: Live, key: str = KEY, **body: Any) -> httpx.Response:
    return live.call("POST", "/v1/subject-tokens/revocations", key=key, json=body)


def test_one_token_is_revoked_and_the_others_live_on(live: Live, person: str) -> None:
    revoked, other = live.token(person), live.token(person)
    assert run(live, revoked).status_code == 200
    assert revoke(live, token=revoked).status_code == 204
    assert (run(live, revoked).status_code, reason_of(run(live, revoked))) == (401, "credential-invalid")
    assert run(live, other).status_code == 200


def test_every_token_of_a_person_is_revoked_at_once_and_a_later_one_is_good(live: Live, person: str) -> None:
    tokens = [live.token(person), live.token(person)]
    other = live.token(a_person())
    assert revoke(live, subject=person).status_code == 204
    assert {reason_of(run(live, token)) for token in tokens} == {"credential-invalid"}
    assert run(live, live.token(person)).status_code == 200
    assert live.call("GET", "/v1/consent", key=other).status_code == 200


def test_only_a_token_of_the_caller_itself_is_revoked(live: Live, person: str) -> None:
    token = live.token(person)
    for key, body in ((live.key("gateway"), {"token": token}), (KEY, {"token": "cps_x"}), (KEY, {})):
        problem_of(revoke(live, key, **body), 422, "body-invalid")
    problem_of(revoke(live, token=token, subject=person), 422, "body-invalid")
    assert run(live, token).status_code == 200


def test_a_token_ends_with_its_callers_last_key(live: Live, person: str) -> None:
    caller = f"of-{uuid4().hex[:8]}"
    made = [
        live.done("POST", "/v1/keys", json={"caller": caller, "roles": ["gateway"]}),
        live.done("POST", "/v1/keys", json={"caller": caller, "roles": ["metrics"]}),
    ]
    token = live.token(person, key=made[0]["key"])
    assert run(live, token).status_code == 200
    live.done("DELETE", f"/v1/keys/{made[0]['id']}")
    assert run(live, token).status_code == 200
    live.done("DELETE", f"/v1/keys/{made[1]['id']}")
    assert reason_of(run(live, token)) == "credential-invalid"


def test_a_token_never_opens_what_a_role_opens(live: Live, person: str) -> None:
    """Not even one whose signature is good and that claims a role."""
    credential = live.services.signer.read(live.token(person))
    assert credential is not None
    boasting = live.services.signer.mint(replace(credential, roles=frozenset(Role), scopes=frozenset(Scope)))
    assert reason_of(live.call("GET", "/v1/keys", key=boasting)) == "role-missing"
    assert credential.kind is CredentialKind.SUBJECT_TOKEN


def test_a_signed_token_of_a_caller_that_never_was_is_invalid(live: Live, person: str) -> None:
    credential = live.services.signer.read(live.token(person))
    assert credential is not None
    strangers = live.services.signer.mint(replace(credential, caller_id=uuid4(), subject_ref=SubjectRef(UUID(int=1))))
    assert reason_of(run(live, strangers)) == "credential-invalid"
