"""One header names the person, and a person has one canonical form: on the control API as on the provider surfaces."""

import unicodedata
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.problems import problem_of
from tests.live import KEY, Live, a_person

BUGS = (
    *("null", "undefined", "none", "nil", "nan", "0", "-1", "anonymous", "guest", "unknown"),
    *("{}", "[]", "[object Object]"),
)
#: What an identifier must not be, as bytes of the header.
INVALID: dict[str, bytes] = {
    **{f"the placeholder {bug}": bug.encode() for bug in BUGS},
    "a placeholder in capitals": b"UNDEFINED",
    "a placeholder percent-encoded": b"%6eull",
    "nothing": b"",
    "a blank": b"%20",
    "an outer blank": b"%20mia",
    "a blank at the end": b"mia%20",
    "a no-break space at the end": quote("mia\u00a0").encode(),
    "257 bytes": b"m" * 257,
    "257 bytes in 129 characters": quote("é" * 129).encode(),
    "a NUL": b"mia%00",
    "a line break": b"mia%0A",
    "a control character of C1": quote("mia\x85x").encode(),
    "a line separator": quote("mia\u2028x").encode(),
    "a lone percent": b"mia%",
    "a percent with one digit": b"mia%4",
    "a percent without digits": b"mia%zz",
    "a percent with a sign": b"mia%+1",
    "bytes that are not UTF-8": b"mia%ff",
    "an overlong form": b"%c0%ae",
    "an encoded surrogate": b"%ed%a0%80",
    "raw bytes that are not UTF-8": b"mia\xff",
}
#: Pairs that are one person.
SAME: dict[str, tuple[bytes, bytes]] = {
    "percent-encoded or not": (b"mia/7", b"mia%2F7"),
    "composed or not": (quote("Mi\u00e1").encode(), quote("Mia\u0301").encode()),
    "capitals of the escape": (b"mia%2f7", b"mia%2F7"),
    "raw UTF-8 or encoded": ("Mi\u00e1-7".encode(), quote("Mi\u00e1-7").encode()),
}
#: Pairs that are two people.
DIFFERENT: dict[str, tuple[bytes, bytes]] = {
    "another case": (b"Mia", b"mia"),
    "encoded twice": (b"mia%2F7", b"mia%252F7"),
    "a plus is no blank": (b"mia+7", b"mia%207"),
    "a compatibility form": (quote("\uff4d\uff49\uff41").encode(), b"mia"),
}


def ask(live: Live, raw: bytes, **headers: bytes) -> httpx.Response:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    sent = {b"Authorization": f"Bearer {KEY}".encode(), b"Consent-Subject": raw, **named}
    return live.http.get("/v1/consent", headers=list(sent.items()))


def ref(live: Live, raw: bytes, **headers: bytes) -> str:
    answer = ask(live, raw, **headers)
    assert answer.status_code == 200, answer.text
    subject_ref: str = answer.json()["subject_ref"]
    return subject_ref


@pytest.mark.parametrize("raw", INVALID.values(), ids=INVALID.keys())
def test_an_identifier_that_cannot_be_one_person_is_refused_without_being_repeated(live: Live, raw: bytes) -> None:
    problem = problem_of(ask(live, raw), 400, "subject-invalid")
    assert "mia" not in str(problem)


@pytest.mark.parametrize("raw", INVALID.values(), ids=INVALID.keys())
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/fal/run/fal-ai/flux/dev", {"prompt": "a boat"}),
        ("/replicate/v1/models/black-forest-labs/flux-dev/predictions", {"input": {"prompt": "a boat"}}),
    ],
)
def test_a_provider_surface_refuses_it_too_and_sends_nothing(
    live: Live, path: str, body: dict[str, Any], raw: bytes
) -> None:
    headers = [(b"Authorization", f"Bearer {KEY}".encode()), (b"Consent-Subject", raw)]
    answer = live.http.post(path, json=body, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, "subject-invalid")
    assert live.reached() == []


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME.keys())
def test_one_person_has_one_reference_however_they_are_written(live: Live, pair: tuple[bytes, bytes]) -> None:
    assert len({ref(live, raw) for raw in pair}) == 1


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_two_people_have_two_references(live: Live, pair: tuple[bytes, bytes]) -> None:
    assert len({ref(live, raw) for raw in pair}) == 2


def test_256_bytes_are_enough_for_anyone(live: Live) -> None:
    assert ref(live, b"m" * 256) != ref(live, quote("é" * 128).encode())


def test_the_kind_is_part_of_the_identity_and_an_account_unless_said_otherwise(live: Live) -> None:
    raw = a_person().encode()
    account, session = ref(live, raw, Consent_Subject_Kind=b"account"), ref(live, raw, Consent_Subject_Kind=b"session")
    assert account != session
    assert ref(live, raw) == account


@pytest.mark.parametrize("kind", [b"", b"user", b"ACCOUNT", b"account,session"])
def test_a_kind_nobody_knows_is_refused(live: Live, kind: bytes) -> None:
    problem_of(ask(live, b"mia", Consent_Subject_Kind=kind), 400, "subject-invalid")


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Consent-Subject", "Consent-Subject-Kind", "Consent-Purpose", "Consent-Strict"),
        *("Idempotency-Key", "Consent-Anything"),
    ],
)
@pytest.mark.parametrize("alike", [True, False])
def test_a_header_that_decides_stands_once(live: Live, name: str, alike: bool) -> None:
    first, second = ("account", "account") if alike else ("account", "session")
    base = [("Authorization", f"Bearer {KEY}"), ("Consent-Subject", a_person())]
    kept = [(given, value) for given, value in base if given.lower() != name.lower()]
    repeated = [*kept, (name, first), (name.lower(), second)]
    problem_of(live.http.get("/v1/consent", headers=repeated), 400, "header-repeated")
    surface = live.http.post("/fal/run/fal-ai/flux/dev", json={"prompt": "a boat"}, headers=repeated)
    assert (surface.status_code, surface.json()["reason"]) == (400, "header-repeated")
    assert live.reached() == []


@pytest.mark.parametrize("subject", [*BUGS, "", " mia", "mia\n", "m" * 257])
def test_a_subject_in_a_body_takes_the_same_steps(live: Live, subject: str) -> None:
    problem_of(live.call("POST", "/v1/subject-tokens", json={"subject": subject}), 400, "subject-invalid")


def test_a_subject_in_a_body_is_not_percent_decoded(live: Live) -> None:
    def by_token(subject: str) -> str:
        token = live.token(subject)
        subject_ref: str = live.call("GET", "/v1/consent", key=token).json()["subject_ref"]
        return subject_ref

    assert by_token("mia/8") == ref(live, b"mia%2F8")
    assert by_token("mia%2F8") == ref(live, b"mia%252F8")
    assert by_token(unicodedata.normalize("NFD", "Miá")) == ref(live, quote("Miá").encode())


def test_an_identifier_is_kept_nowhere_and_told_to_nobody(live: Live) -> None:
    person = a_person()
    live.decide(person)
    live.call("POST", "/fal/run/fal-ai/flux/dev", subject=person, json={"prompt": "a boat"})
    live.call("GET", "/v1/transfers", subject=person)
    live.token(person)
    assert live.holds(person) == []
    assert not live.sandbox.wire.contains(person)
