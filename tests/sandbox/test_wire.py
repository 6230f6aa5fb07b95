"""What reached the sandbox is on the record, to the byte, and what should never have been sent is pointed out."""

import base64
import socket
from collections.abc import Iterator

import httpx
import pytest

from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role, Wire

BODY = b'{"prompt":"Ada \xff\x00 at dusk",\r\n "num_images" : 1}'


@pytest.fixture
def line(sandbox: Sandbox) -> Iterator[socket.socket]:
    """A bare connection to fal.run."""
    host, port = sandbox.fal_run_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        yield connection


def test_a_request_is_recorded_as_it_came(sandbox: Sandbox, http: httpx.Client) -> None:
    headers = [("X-One", "a"), ("X-One", "b")]

    http.post(f"{sandbox.fal_run_url}/fal-ai/flux%2Fdev?a=%41&b", content=BODY, headers=headers)

    [request] = sandbox.wire.requests()
    assert (request.role, request.method) == (Role.FAL_RUN, "POST")
    assert (request.path, request.query) == ("/fal-ai/flux%2Fdev", "a=%41&b")
    assert request.body == BODY
    assert request.header_values("X-One") == ["a", "b"]
    assert request.complete


def test_the_chunks_of_a_body_are_put_together(sandbox: Sandbox, http: httpx.Client) -> None:
    http.post(f"{sandbox.fal_run_url}/a/b", content=iter([b"secr", b"et"]))

    assert sandbox.wire.bodies(role=Role.FAL_RUN) == [b"secret"]
    assert sandbox.wire.contains("secret")


@pytest.mark.parametrize(
    ("path", "headers", "content"),
    [
        ("/a/ada@example.org", {}, b""),
        ("/a/b?who=ada%40example.org", {}, b""),
        ("/a/b", {"x-note": "for ada@example.org"}, b""),
        ("/a/b", {"cookie": "who=ada@example.org"}, b""),
        ("/a/b", {}, b'{"prompt":"ada@example.org"}'),
        ("/a/b", {}, b'{"prompt":"\\u0061da@example.org"}'),
        ("/a/b", {}, base64.b64encode(b"x ada@example.org")),
    ],
)
def test_a_text_is_found_wherever_it_arrived(
    sandbox: Sandbox, http: httpx.Client, path: str, headers: dict[str, str], content: bytes
) -> None:
    http.post(sandbox.fal_queue_url + path, headers=headers, content=content)

    assert sandbox.wire.contains("ada@example.org")
    assert not sandbox.wire.contains("eve@example.org")


def test_half_a_request_is_on_the_record_too(sandbox: Sandbox, line: socket.socket) -> None:
    line.sendall(b"POST /a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nno more than this")
    line.close()

    [request] = sandbox.wire.wait_for()
    assert request.body == b"no more than this"
    assert not request.complete


def test_bytes_that_are_no_request_are_on_the_record_too(sandbox: Sandbox, line: socket.socket) -> None:
    line.sendall(b"\x16\x03\x01 hello ada@example.org\r\n\r\n")

    assert line.recv(100).startswith(b"HTTP/1.1 400")
    assert sandbox.wire.requests() == []
    assert sandbox.wire.contains("ada@example.org")


def test_the_record_can_be_cleared(sandbox: Sandbox, http: httpx.Client) -> None:
    http.get(f"{sandbox.fal_run_url}/secret")
    sandbox.wire.clear()

    assert sandbox.wire.requests() == []
    assert not sandbox.wire.contains("secret")


def test_the_oldest_are_forgotten_when_too_much_arrived() -> None:
    wire = Wire(kept_bytes=10)
    connection = wire.opened()

    wire.received(connection, b"first....")
    wire.received(connection, b"second")

    assert not wire.contains("first")
    assert wire.contains("second")


def test_waiting_for_what_does_not_come_ends(sandbox: Sandbox) -> None:
    with pytest.raises(TimeoutError, match="0 of 1"):
        sandbox.wire.wait_for(within=0.05)


@pytest.mark.parametrize("host", ["fal_output_host", "replicate_delivery_host", "replicate_stream_host"])
@pytest.mark.parametrize("header", ["authorization", "cookie"])
def test_a_credential_sent_to_a_public_host_is_a_violation(
    sandbox: Sandbox, http: httpx.Client, host: str, header: str
) -> None:
    url = f"http://{getattr(sandbox, host)}/files/b/x/out-0.png"
    http.get(url)
    assert sandbox.wire.violations == []

    http.get(url, headers={header: "Bearer r8_secret"})

    [violation] = sandbox.wire.violations
    assert violation.request.header(header) == "Bearer r8_secret"


def test_a_cookie_is_a_violation_on_every_host_and_a_key_is_none_on_the_api(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    http.post(f"{sandbox.fal_run_url}/a/b", headers={"authorization": f"Key {sandbox.fal_key}"})
    assert sandbox.wire.violations == []

    http.post(f"{sandbox.replicate_api_url}/predictions", headers={"cookie": "session=1"})
    assert [found.reason for found in sandbox.wire.violations] == ["a cookie was sent to replicate-api"]


def test_the_privacy_headers_that_came_are_shown(sandbox: Sandbox, http: httpx.Client) -> None:
    http.post(f"{sandbox.fal_run_url}/a/b", headers={"X-Fal-Store-IO": "0", "x-app-fal-disable-fallback": "true"})

    assert sandbox.wire.requests()[0].privacy_switches == {
        "x-fal-store-io": "0",
        "x-app-fal-disable-fallback": "true",
    }


def test_another_process_reads_and_clears_the_wire(sandbox: Sandbox, http: httpx.Client) -> None:
    http.post(f"{sandbox.fal_run_url}/a/b", content="grüße")
    http.post(f"http://{sandbox.fal_output_host}/x", content=b"\xff", headers={"authorization": "Key k"})

    shown = http.get(f"{sandbox.control_url}/_wire").json()

    assert [request["role"] for request in shown["requests"]] == ["fal-run", "fal-output"]
    assert [request["body"] for request in shown["requests"]] == [{"text": "grüße"}, {"base64": "/w=="}]
    assert [violation["reason"] for violation in shown["violations"]] == ["a credential was sent to fal-output"]

    assert http.delete(f"{sandbox.control_url}/_wire").status_code == 204
    assert http.get(f"{sandbox.control_url}/_wire").json()["requests"] == []
