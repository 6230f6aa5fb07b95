"""Receipts over HTTP: what they say, and that another library than the one that signed verifies them, for good."""

import asyncio
import json
import warnings
from datetime import datetime, timedelta
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError, SecurityWarning
from joserfc.jwk import KeySet

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.sandbox.server import Sandbox
from tests.api.documents import a_disclosure
from tests.integration.ledger_rows import connected
from tests.live import DISCLOSURE, Live, a_person, live_service
from tests.postgres import LedgerDatabase, clone

CLAIMS = {
    *("iss", "environment", "jti", "iat", "schema_version", "pii_principal_id", "controller", "disclosure"),
    *("answers", "occurred_at", "recorded_at", "valid_until", "withdrawal", "origin", "supersedes"),
}


def read(live: Live, receipt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, verified with what anyone may fetch."""
    keys = KeySet.import_key_set(live.done("GET", "/.well-known/jwks.json", key=None))
    with warnings.catch_warnings():
        # RFC 9864 has a new name for the algorithm; the one that receipts carry is the one that verifiers know.
        warnings.simplefilter("ignore", SecurityWarning)
        found = jws.deserialize_compact(receipt, keys, algorithms=["EdDSA"])
    return dict(found.headers()), json.loads(found.payload)


def again(live: Live, event_id: str) -> str:
    """The receipt as it is handed out later."""
    answer = live.call("GET", f"/v1/consent/events/{event_id}/receipt")
    assert answer.is_success
    return answer.text


def test_a_receipt_says_what_was_answered_and_another_library_verifies_it(live: Live) -> None:
    person = a_person()
    recorded = live.decide(person, actor="guardian")
    header, claims = read(live, recorded["receipt"])
    assert (header["alg"], header["typ"], set(header)) == ("EdDSA", "consent-receipt+jwt", {"alg", "kid", "typ"})
    assert set(claims) == CLAIMS
    shown = live.done("GET", "/v1/disclosures/current", key=None)
    assert (claims["iss"], claims["jti"]) == (live.url, recorded["event_id"])
    assert claims["pii_principal_id"] == live.consent(person)["subject_ref"]
    assert claims["controller"] == shown["controller"]
    assert claims["disclosure"] == {"version": DISCLOSURE, "sha256": shown["sha256"], "locale": "en"}
    assert [answer["decision"] for answer in claims["answers"]] == ["granted", "granted"]
    assert claims["withdrawal"] == {"method": "POST", "url": f"{live.url}/v1/consent/withdrawals"}
    assert (claims["origin"], claims["supersedes"]) == ("live", None)
    assert person not in json.dumps(claims)
    assert again(live, recorded["event_id"]) == recorded["receipt"]


def test_a_receipt_of_a_withdrawal_names_the_controller_and_what_it_took_back(live: Live) -> None:
    person = a_person()
    granted = live.decide(person)
    taken_back = live.withdraw(person, reason="guardian")
    _, claims = read(live, taken_back["receipt"])
    assert set(claims) == CLAIMS
    assert claims["supersedes"] == granted["event_id"]
    assert claims["controller"] == live.done("GET", "/v1/disclosures/current", key=None)["controller"]
    assert (claims["disclosure"], claims["valid_until"]) == (None, None)
    assert {answer["decision"] for answer in claims["answers"]} == {"withdrawn"}
    [event, _] = live.done("GET", "/v1/consent/events", subject=person)["items"]
    assert (event["actor"], event["reason"]) == ("guardian", "guardian")


def test_a_receipt_of_a_link_says_who_went_into_whom(live: Live) -> None:
    guest, account = a_person(), a_person()
    declined = live.decide(guest, "declined")
    went = live.consent(guest)["subject_ref"]
    body = {"from": {"subject": guest}, "carry": "refusals"}
    linked = live.done("POST", "/v1/subjects/links", subject=account, json=body)
    _, claims = read(live, linked["receipt"])
    assert set(claims) == CLAIMS | {"linked"}
    assert claims["linked"] == {"from": went, "carry": "refusals"}
    assert claims["pii_principal_id"] == live.consent(account)["subject_ref"]
    for recorded in (declined, linked):
        assert again(live, recorded["event_id"]) == recorded["receipt"]


def test_a_receipt_says_when_the_consent_runs_out(own_live: Live) -> None:
    ending = a_disclosure("ending", effective_at="2026-03-04T00:00:00Z", consent_valid_for="P30D")
    own_live.done("POST", "/v1/disclosures", json=ending)
    recorded = own_live.decide(a_person(), disclosure="ending")
    _, claims = read(own_live, recorded["receipt"])
    given = datetime.fromisoformat(claims["recorded_at"])
    assert datetime.fromisoformat(claims["valid_until"]) == given + timedelta(days=30)


def test_a_receipt_that_was_changed_is_not_verified(live: Live) -> None:
    head, _, signature = live.decide(a_person())["receipt"].split(".")
    _, other, _ = live.decide(a_person())["receipt"].split(".")
    with pytest.raises(BadSignatureError):
        read(live, f"{head}.{other}.{signature}")


def test_a_receipt_stays_the_same_and_verifiable_when_the_keys_change(postgres: Cluster, live_sandbox: Sandbox) -> None:
    with clone(postgres) as database:
        with live_service(database, live_sandbox) as before:
            old = before.decide("mia")
            old_header, _ = read(before, old["receipt"])
        asyncio.run(retire_receipt_key(database))
        with live_service(database, live_sandbox) as after:
            header, claims = read(after, again(after, old["event_id"]))
            assert (header["kid"], claims["jti"]) == (old_header["kid"], old["event_id"])
            assert read(after, old["receipt"])[0] == header
            new_header, _ = read(after, after.withdraw("mia")["receipt"])
            assert new_header["kid"] != header["kid"]
            assert len(after.done("GET", "/.well-known/jwks.json", key=None)["keys"]) == 2


async def retire_receipt_key(database: LedgerDatabase) -> None:
    """What an operator's rotation comes to: the key is not to be used from now on."""
    async with connected(database.owner_url) as connection:
        await connection.execute("update secrets set retired_at = now() where name like 'receipt%'")
