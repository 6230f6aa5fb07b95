"""What a subject token is refused for stands in the record, about its own subject."""

import time

import pytest

from tests.live import Live

SURFACES = {
    "fal": ("/fal/run/fal-ai/flux/schnell", {"prompt": "a fox"}),
    "replicate": ("/replicate/v1/models/black-forest-labs/flux-schnell/predictions", {"input": {"prompt": "a fox"}}),
}


@pytest.mark.parametrize("provider", SURFACES)
def test_another_persons_header_is_a_recorded_refusal_of_the_tokens_subject(live: Live, provider: str) -> None:
    subject, stranger = f"mismatched-{provider}", f"stranger-{provider}"
    live.decide(subject)
    path, body = SURFACES[provider]
    before = len(live.sent())
    answer = live.call("POST", path, key=live.token(subject), subject=stranger, json=body)
    assert (answer.status_code, answer.json()["reason"]) == (403, "subject-mismatch")
    assert [record["reason"] for record in live.records(subject)] == ["subject-mismatch"]
    assert live.records(stranger) == []
    assert len(live.sent()) == before


@pytest.mark.parametrize("provider", SURFACES)
def test_an_expired_token_is_a_recorded_refusal(live: Live, provider: str) -> None:
    subject = f"too-late-{provider}"
    live.decide(subject)
    path, body = SURFACES[provider]
    token = live.token(subject, expires_in=1)
    time.sleep(1.1)
    before = len(live.sent())
    answer = live.call("POST", path, key=token, json=body)
    assert (answer.status_code, answer.json()["reason"]) == (401, "credential-expired")
    assert [record["reason"] for record in live.records(subject)] == ["credential-expired"]
    assert len(live.sent()) == before
