"""What must not get through: the contract's problem, nothing on the wire, a record, and the value nowhere."""

import base64
import gzip
import http.client
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.live import KEY, Live, a_person

#: In every hostile value; looked for wherever it must not be.
SECRET = "Mia-Musterfrau-4711"
EMAIL = f"{SECRET}@example.com"
FILE = base64.b64encode(SECRET.encode() + bytes(range(256))).decode()
ESCAPED_NUL, LONE_SURROGATE = "\\u0000", "\\ud800"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A way to send a model its input. ``{}`` in ``whole`` is where the input stands in the body."""

    path: str
    whole: bytes
    media_path: str

    def body(self, given: bytes) -> bytes:
        return self.whole.replace(b"{}", given)


DOORS = {
    "fal run": Door(path="/fal/run/fal-ai/flux/dev", whole=b"{}", media_path="/fal/run/fal-ai/flux/dev/image-to-image"),
    "fal queue": Door(
        path="/fal/queue/fal-ai/flux/dev", whole=b"{}", media_path="/fal/queue/fal-ai/flux/dev/image-to-image"
    ),
    "replicate model": Door(
        path="/replicate/v1/models/black-forest-labs/flux-dev/predictions",
        whole=b'{"input":{}}',
        media_path="/replicate/v1/models/black-forest-labs/flux-dev/predictions",
    ),
    "replicate version": Door(
        path="/replicate/v1/predictions",
        whole=b'{"version":"black-forest-labs/flux-dev","input":{}}',
        media_path="/replicate/v1/predictions",
    ),
}

#: The input as bytes, and the problem. Every one of them holds the secret or cannot hold it.
INPUTS: dict[str, tuple[bytes, int, str]] = {
    "a name in a choice": (json.dumps({"prompt": "x", "output_format": SECRET}).encode(), 422, "value-not-allowed"),
    "a name in a number": (json.dumps({"prompt": "x", "seed": SECRET}).encode(), 422, "value-not-allowed"),
    "a telephone in a number": (b'{"prompt":"x","seed":491751234567890}', 422, "value-not-allowed"),
    "a number's text": (b'{"prompt":"x","seed":"4711"}', 422, "value-not-allowed"),
    "a number without an end": (b'{"prompt":"x","seed":' + b"9" * 5_000 + b"}", 400, "json-invalid"),
    "a number out of this world": (b'{"prompt":"x","seed":1e999}', 422, "value-not-allowed"),
    "a name in a switch": (json.dumps({"prompt": "x", "seed": {"of": SECRET}}).encode(), 422, "value-not-allowed"),
    "an address in a text": (
        json.dumps({"prompt": f"like https://example.com/{SECRET}.png"}).encode(),
        422,
        "value-not-allowed",
    ),
    "a file's address in a text": (json.dumps({"prompt": f"file:///home/{SECRET}"}).encode(), 422, "value-not-allowed"),
    "a data URI in a text": (
        json.dumps({"prompt": f"data:image/png;base64,{FILE}"}).encode(),
        422,
        "value-not-allowed",
    ),
    "base64 in a text": (json.dumps({"prompt": f"x {FILE}"}).encode(), 422, "value-not-allowed"),
    "a prompt of 1 MB": (
        json.dumps({"prompt": (f"{SECRET} " * 60_000)[:1_000_000]}).encode(),
        422,
        "value-not-allowed",
    ),
    "a prompt that is none": (json.dumps({"prompt": [SECRET]}).encode(), 422, "value-not-allowed"),
    "arrays 5,000 deep": (b'{"prompt":"x","seed":' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400, "json-invalid"),
    "arrays 65 deep": (b'{"prompt":"x","other":' + b"[" * 64 + b"]" * 64 + b"}", 400, "json-invalid"),
    "objects 5,000 deep": (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400, "json-invalid"),
    "a key twice": (json.dumps({"prompt": SECRET})[:-1].encode() + b',"prompt":"x"}', 400, "json-invalid"),
    "a nested key twice": (b'{"prompt":"x","image_size":{"width":1,"width":2}}', 400, "json-invalid"),
    "NaN": (b'{"prompt":"x","seed":NaN}', 400, "json-invalid"),
    "Infinity": (b'{"prompt":"x","seed":-Infinity}', 400, "json-invalid"),
    "an escaped NUL": (f'{{"prompt":"{SECRET}{ESCAPED_NUL}"}}'.encode(), 400, "json-invalid"),
    "a raw NUL": (f'{{"prompt":"{SECRET}'.encode() + b'\x00"}', 400, "json-invalid"),
    "a NUL in a key": (f'{{"prompt":"x","{SECRET}{ESCAPED_NUL}":1}}'.encode(), 400, "json-invalid"),
    "a lone surrogate": (f'{{"prompt":"{SECRET}{LONE_SURROGATE}"}}'.encode(), 400, "json-invalid"),
    "a lone surrogate in a key": (f'{{"prompt":"x","{LONE_SURROGATE}":1}}'.encode(), 400, "json-invalid"),
    "a surrogate in raw bytes": (b'{"prompt":"\xed\xa0\x80"}', 400, "json-invalid"),
    "invalid UTF-8": (f'{{"prompt":"{SECRET}'.encode() + b'\xff\xfe"}', 400, "json-invalid"),
    "UTF-16": (json.dumps({"prompt": SECRET}).encode("utf-16"), 400, "json-invalid"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps({"prompt": SECRET}).encode(), 400, "json-invalid"),
    "no JSON": (SECRET.encode(), 400, "json-invalid"),
    "half of it": (json.dumps({"prompt": SECRET})[:-2].encode(), 400, "json-invalid"),
    "more than one": (json.dumps({"prompt": SECRET}).encode() * 2, 400, "json-invalid"),
    "a comment": (f'{{"prompt":"x" /* {SECRET} */}}'.encode(), 400, "json-invalid"),
    "no object": (json.dumps([SECRET]).encode(), 422, "body-invalid"),
    "a text for an object": (json.dumps(SECRET).encode(), 422, "body-invalid"),
    "null": (b"null", 422, "body-invalid"),
}


@pytest.fixture(scope="module")
def person(running_live: Live) -> str:
    """Somebody who said yes, so that nothing but what is tested can be in the way."""
    name = a_person()
    running_live.decide(name)
    return name


@pytest.fixture
def quiet(live: Live, person: str, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., httpx.Response]]:
    """Sends raw bytes about the person; afterwards nothing was sent on, and the secret is found nowhere."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    def send(path: str, content: bytes | Iterator[bytes], **headers: str) -> httpx.Response:
        given = {"Authorization": f"Bearer {KEY}", "Consent-Subject": person, "Content-Type": "application/json"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = live.http.post(path, content=content, headers={**given, **named})
        told.append(f"{answer.headers} {answer.text}")
        return answer

    yield send
    assert live.reached() == []
    assert not live.sandbox.wire.contains(SECRET)
    assert SECRET not in "".join(told)
    assert SECRET not in caplog.text
    assert FILE[:40] not in caplog.text
    assert live.holds(SECRET) == []


def assert_refused(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["reason"]) == (status, reason), answer.text
    assert problem["detail"].startswith(f"{reason}: ")
    assert problem["sent"] == "no"
    return problem


def assert_recorded(live: Live, person: str, problem: dict[str, Any]) -> dict[str, Any]:
    record = live.records(person)[0]
    assert (record["id"], record["kind"], record["reason"]) == (problem["transfer_id"], "refusal", problem["reason"])
    return record


@pytest.mark.parametrize("case", INPUTS.values(), ids=INPUTS.keys())
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_an_input_that_must_not_leave_does_not(
    live: Live, person: str, quiet: Callable[..., httpx.Response], door: Door, case: tuple[bytes, int, str]
) -> None:
    given, status, reason = case
    problem = assert_refused(quiet(door.path, door.body(given)), status, reason)
    assert_recorded(live, person, problem)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_fields_nobody_listed_stay_here_whatever_their_names(live: Live, person: str, door: Door) -> None:
    given = {"prompt": "a boat", "email": EMAIL, EMAIL: 1, "nested": {"name": SECRET}, "": SECRET, "_": SECRET}
    headers = {"Consent-Subject": person, "Content-Type": "application/json"}
    answer = live.call("POST", door.path, headers=headers, content=door.body(json.dumps(given).encode()))
    assert answer.is_success, answer.text
    [sent] = live.sent()
    assert (sent.get("input") or sent) == {"prompt": "a boat"}
    assert answer.headers["consent-fields-dropped"] == "_, email, nested, ~"
    assert not live.sandbox.wire.contains(SECRET)
    assert SECRET not in str(answer.headers)
    assert live.holds(SECRET) == []
    dropped = live.records(person)[0]["fields_dropped"]
    assert [field["path"] for field in dropped] == ["_", "email", "nested", "~"]


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_a_strict_request_with_such_a_field_is_refused(
    live: Live, person: str, quiet: Callable[..., httpx.Response], door: Door
) -> None:
    given = json.dumps({"prompt": "a boat", "email": EMAIL, EMAIL: 1}).encode()
    problem = assert_refused(quiet(door.path, door.body(given), Consent_Strict="true"), 422, "field-not-permitted")
    assert problem["paths"] == ["email", "~"]
    assert_recorded(live, person, problem)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_a_thousand_made_up_keys_are_counted(live: Live, person: str, door: Door) -> None:
    given = {"prompt": "a boat"} | {f"field_{number}": SECRET for number in range(1_000)}
    headers = {"Consent-Subject": person, "Content-Type": "application/json"}
    answer = live.call("POST", door.path, headers=headers, content=door.body(json.dumps(given).encode()))
    assert answer.is_success, answer.text
    assert len(answer.headers["consent-fields-dropped"]) < 4_000
    dropped = live.records(person)[0]["fields_dropped"]
    assert len(dropped) <= 65
    assert not live.sandbox.wire.contains(SECRET)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_a_fraction_has_no_room_for_a_number(live: Live, person: str, door: Door) -> None:
    name = "guidance_scale" if "fal" in door.path else "guidance"
    given = json.dumps({"prompt": "a boat", name: 3.49175123456789}).encode()
    headers = {"Consent-Subject": person, "Content-Type": "application/json"}
    answer = live.call("POST", door.path, headers=headers, content=door.body(given))
    assert answer.is_success, answer.text
    assert b"3.49175," in live.sandbox.wire.bodies()[0] or b"3.49175}" in live.sandbox.wire.bodies()[0]
    assert not live.sandbox.wire.contains("49175123")


@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [
        (f"https://example.com/{SECRET}.png", 422, "media-source-not-allowed"),
        (f"https://example.com/photo.png?X-Amz-Signature={SECRET}", 422, "media-source-not-allowed"),
        (f"data:image/png;base64,{FILE}", 415, "media-type-unsupported"),
        (f"data:image/png;base64,{SECRET}", 422, "value-not-allowed"),
        (f"data:image/png,{SECRET}", 422, "media-source-not-allowed"),
        (SECRET, 422, "media-source-not-allowed"),
        ({"url": SECRET}, 422, "value-not-allowed"),
        ([SECRET], 422, "value-not-allowed"),
    ],
)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_what_is_no_medium_of_ours_is_refused_in_every_form_and_never_repeated(
    live: Live,
    person: str,
    quiet: Callable[..., httpx.Response],
    door: Door,
    value: Any,
    status: int,
    reason: str,
) -> None:
    name = "image_url" if "fal" in door.path else "image"
    given = json.dumps({"prompt": "a boat", name: value, "strength": 0.5}).encode()
    problem = assert_refused(quiet(door.media_path, door.body(given)), status, reason)
    assert problem["paths"] == [name]
    assert_recorded(live, person, problem)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/fal/run/fal-ai/{SECRET}", b"{}"),
        (f"/fal/queue/{SECRET}/{SECRET}/x/y", b"{}"),
        ("/fal/run/fal-ai/flux/DEV", b"{}"),
        ("/fal/run/fal-ai/flux/dev%00", b"{}"),
        ("/fal/run/fal-ai/flux/../../secret", b"{}"),
        ("/fal/run/fal-ai/flux%2Fdev/x", b"{}"),
        (f"/replicate/v1/models/{SECRET}/x/predictions", b'{"input":{}}'),
        ("/replicate/v1/predictions", json.dumps({"version": SECRET, "input": {}}).encode()),
        ("/replicate/v1/predictions", json.dumps({"version": "0" * 64, "input": {}}).encode()),
        (
            "/replicate/v1/predictions",
            json.dumps({"version": f"black-forest-labs/flux-dev:{'0' * 64}", "input": {}}).encode(),
        ),
    ],
    ids=ascii,
)
def test_a_model_that_no_manifest_names_is_refused_and_recorded_without_its_name(
    live: Live, person: str, quiet: Callable[..., httpx.Response], path: str, body: bytes
) -> None:
    problem = assert_refused(quiet(path, body), 403, "model-unknown")
    record = assert_recorded(live, person, problem)
    assert (record["model"], record["manifest"]) == ("unknown", None)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity", SECRET])
def test_a_coded_body_is_not_even_read(
    live: Live, person: str, quiet: Callable[..., httpx.Response], door: Door, coding: str
) -> None:
    content = gzip.compress(door.body(json.dumps({"prompt": SECRET}).encode()))
    problem = assert_refused(quiet(door.path, content, Content_Encoding=coding), 400, "encoding-not-allowed")
    assert_recorded(live, person, problem)


def test_a_coded_body_is_refused_by_the_control_api_too(live: Live, person: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = live.call("POST", "/v1/consent/withdrawals", subject=person, content=gzip.compress(b"{}"), headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, "encoding-not-allowed")


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=x", "application/x-json", SECRET])
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_another_kind_of_body_is_not_read_as_json(
    live: Live, person: str, quiet: Callable[..., httpx.Response], door: Door, media_type: str
) -> None:
    content = door.body(json.dumps({"prompt": SECRET}).encode())
    problem = assert_refused(quiet(door.path, content, Content_Type=media_type), 415, "media-type-unsupported")
    assert_recorded(live, person, problem)


def _fifty_megabytes() -> Iterator[bytes]:
    block = SECRET.encode() * 5_000
    for _ in range(50_000_000 // len(block)):
        yield block


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_a_body_of_50_mb_is_refused_by_its_length_before_it_is_sent(live: Live, person: str, door: Door) -> None:
    """What SDKs do: they send the length first, and would send the rest."""
    parts = urlsplit(live.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.putrequest("POST", door.path)
        for name, value in (
            ("Authorization", f"Bearer {KEY}"),
            ("Consent-Subject", person),
            ("Content-Type", "application/json"),
            ("Content-Length", "50000000"),
        ):
            connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse()
        problem = json.loads(reply.read())
    finally:
        connection.close()
    assert (reply.status, problem["reason"]) == (413, "body-too-large")
    assert_recorded(live, person, problem)
    assert live.reached() == []


@pytest.mark.parametrize("door", [DOORS["fal run"], DOORS["replicate model"]], ids=["fal", "replicate"])
def test_a_body_of_50_mb_without_a_length_is_cut_off(
    live: Live, person: str, quiet: Callable[..., httpx.Response], door: Door
) -> None:
    try:
        problem = assert_refused(quiet(door.path, _fifty_megabytes()), 413, "body-too-large")
    except httpx.WriteError:
        pass  # the answer came, and the connection went, before everything was written
    else:
        assert_recorded(live, person, problem)
    assert live.records(person)[0]["reason"] == "body-too-large"


def test_a_large_body_is_refused_by_the_control_api_too(live: Live, person: str) -> None:
    body = b'{"evidence":{"screen":"' + b"x" * 5_000_000 + b'"}}'
    headers = {"Content-Type": "application/json"}
    answer = live.call("POST", "/v1/consent/withdrawals", subject=person, content=body, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (413, "body-too-large")


#: Bodies that no address of the control API takes for JSON.
NO_JSON = {name: case for name, case in INPUTS.items() if case[2] == "json-invalid"}


@pytest.mark.parametrize("case", NO_JSON.values(), ids=NO_JSON.keys())
def test_the_control_api_takes_the_same_json_and_no_other(
    live: Live, person: str, quiet: Callable[..., httpx.Response], case: tuple[bytes, int, str]
) -> None:
    body = b'{"disclosure":"2026-03-03","locale":"en","decision":"granted","evidence":' + case[0] + b"}"
    before = len(live.done("GET", "/v1/consent/events", subject=person)["items"])
    assert_refused(quiet("/v1/consent/decisions", body), 400, "json-invalid")
    assert len(live.done("GET", "/v1/consent/events", subject=person)["items"]) == before


@pytest.mark.parametrize("purpose", ["training", "GENERATION", SECRET, "generation,training", ""])
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_a_purpose_that_contradicts_the_manifest_is_refused(
    live: Live, person: str, quiet: Callable[..., httpx.Response], door: Door, purpose: str
) -> None:
    content = door.body(json.dumps({"prompt": "a boat"}).encode())
    problem = assert_refused(quiet(door.path, content, Consent_Purpose=purpose), 403, "purpose-mismatch")
    assert_recorded(live, person, problem)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_a_purpose_may_repeat_the_manifests(live: Live, person: str, door: Door) -> None:
    headers = {"Consent-Subject": person, "Consent-Purpose": "generation", "Content-Type": "application/json"}
    content = door.body(json.dumps({"prompt": "a boat"}).encode())
    assert live.call("POST", door.path, content=content, headers=headers).is_success


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_a_person_nobody_asked_and_no_person_at_all(live: Live, door: Door) -> None:
    content = door.body(json.dumps({"prompt": SECRET}).encode())
    headers = {"Content-Type": "application/json"}
    stranger = a_person()
    answer = live.call("POST", door.path, subject=stranger, content=content, headers=headers)
    problem = assert_refused(answer, 403, "consent-never-asked")
    assert_recorded(live, stranger, problem)
    assert_refused(live.call("POST", door.path, content=content, headers=headers), 400, "subject-missing")
    assert live.reached() == []
    assert live.holds(SECRET) == []


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_nothing_of_a_callers_headers_goes_along(live: Live, person: str, door: Door) -> None:
    headers = {
        "Content-Type": "application/json",
        "Consent-Subject": person,
        "User-Agent": f"app/1 ({SECRET})",
        "Cookie": f"session={SECRET}",
        "X-Forwarded-For": "203.0.113.7",
        "Forwarded": "for=203.0.113.7",
        "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "Tracestate": f"app={SECRET}",
        "Referer": f"https://example.com/{SECRET}",
        "X-Request-Id": SECRET,
        "X-Fal-Runner-Hint": SECRET,
        "X-Fal-Tags": f"user={SECRET}",
        "X-Stainless-Lang": SECRET,
        "Accept-Language": "gsw-CH",
        "From": EMAIL,
    }
    content = door.body(json.dumps({"prompt": "a boat"}).encode())
    answer = live.call("POST", door.path, content=content, headers=headers)
    assert answer.is_success, answer.text
    wire = live.sandbox.wire
    for value in (SECRET, person, KEY, "203.0.113.7", "4bf92f3577b34da6a3ce929d0e0e4736", "gsw-CH"):
        assert not wire.contains(value), value
    assert wire.violations == []
    assert live.holds(SECRET) == []
