"""An address where no consent-proxy answers, or a broken one: told in one line, and never taken for a result."""

import json
from pathlib import Path

import pytest

from consent_proxy.adapters import http
from tests.cli.command_line import At, at_service
from tests.cli.strangers import Answer, Stranger, raw, says, streams
from tests.integration.raw_peers import certificate
from tests.live import KEY, Live

PROBLEM = {"type": "/problems/x", "detail": "x: no", "reason": "x"}

#: What it answers, the exit code, and a piece of the line.
ANSWERS: dict[str, tuple[Answer, int, str]] = {
    "a page": (says("<html>Welcome</html>", kind="text/html"), 2, "answers HTML (status 200): is --url where"),
    "a page's 404": (says("<html>", status="404 Not Found", kind="text/html"), 2, "HTML (status 404)"),
    "a login": (says("", status="302 Found", more="location: https://login.example\r\n"), 2, "redirects"),
    "nothing": (raw(b""), 2, "the connection broke"),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH\r\n"), 2, "the connection broke"),
    "half an answer": (raw(b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"ite'), 2, "the connection broke"),
    "no JSON": (says("{"), 2, "something else than the API (status 200)"),
    "another's JSON": (says('{"status":"ok"}'), 2, "does not answer as this version expects"),
    "a list": (says("[]"), 2, "something else than the API"),
    "other items": (says('{"items":[{"id":1}],"next_cursor":null}'), 2, "does not answer as this version expects"),
    "no items": (says('{"items":7,"next_cursor":null}'), 2, "does not answer as this version expects"),
    "a circle": (says('{"items":[],"next_cursor":"again"}'), 2, "does not answer as this version expects"),
    "deep": (says("[" * 100_000), 2, "something else than the API"),
    "another's error": (says('{"error":"no"}', status="401 Unauthorized"), 2, "(status 401)"),
    "a refusal": (says(json.dumps(PROBLEM), status="403 Forbidden"), 1, "x: no"),
    "a fault": (says(json.dumps(PROBLEM), status="503 Service Unavailable"), 2, "x: no"),
    "a terminal's orders": (
        says(json.dumps({**PROBLEM, "detail": "x: \x1b[2J\u202e\n" + "y" * 9000}), status="403 Forbidden"),
        1,
        "y …",
    ),
    "too much": (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n"), 2, "larger than any of ours"),
    "compressed": (says(b"\x1f\x8b", more="content-encoding: gzip\r\n"), 2, "is compressed"),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("command", ["keys list", "contracts list", "transfers list", "models list"])
def test_what_is_no_answer_of_ours_is_told_in_one_line(stranger: Stranger, answer: str, command: str) -> None:
    stranger.answer, code, told = ANSWERS[answer]
    ended = stranger.at.run(*command.split())
    if answer in {"other items", "a circle"} and command in {"models list", "transfers list"}:
        return  # one part is all they ask for, and its items are shown as they are
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.told
    assert len(ended.told) < 700
    assert all(character.isprintable() for character in ended.told)
    assert len(stranger.requests) == (2 if answer == "a circle" else 1), "nothing is asked twice"


def test_a_path_below_the_service_is_not_taken_for_it(apart: Live) -> None:
    for command in ("keys list", "contracts end fal", "disclosures show", "transfers export"):
        ended = at_service(apart).run(*command.split(), "--url", f"{apart.url}/below")
        assert ended.code == 2
        assert "is --url where consent-proxy serves?" in ended.told
    assert apart.done("GET", "/v1/contracts/fal")["in_period"]


def test_a_change_whose_answer_was_lost_is_not_said_to_have_failed(stranger: Stranger) -> None:
    ended = stranger.at.run("keys", "create", "--caller", "x", "--role", "auditor")
    assert ended.code == 2
    assert "it may have been done all the same: look before you repeat it" in ended.told
    assert len(stranger.requests) == 1


def test_a_certificate_nobody_vouches_for_ends_it_before_the_key_is_sent(
    stranger: Stranger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger.tls, _ = certificate(tmp_path)
    stranger.answer = says('{"items":[],"next_cursor":null}')
    ended = stranger.at.run("keys", "list")
    assert ended.code == 2
    assert "its certificate is not trusted (self-signed certificate)" in ended.told
    assert stranger.requests == []

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "chain.pem"))
    http._public_trust.cache_clear()
    try:
        assert stranger.at.run("keys", "list").code == 0
    finally:
        http._public_trust.cache_clear()


def test_https_where_plain_http_is_spoken_is_told(apart: Live) -> None:
    ended = at_service(apart).run("keys", "list", "--url", apart.url.replace("http:", "https:"))
    assert (ended.code, "does not speak TLS" in ended.told) == (2, True)


def test_the_key_travels_in_a_header_and_the_person_too(stranger: Stranger) -> None:
    stranger.answer = says('{"items":[],"next_cursor":null}')
    at = At(environment={**stranger.at.environment, "CONSENT_PROXY_KEY": KEY})
    assert at.run("transfers", "list", "--subject", "-", "--caller", "shop", given="mia 4711\n").code == 0
    [request] = stranger.requests
    line, *headers = request.decode().split("\r\n")
    assert line == "GET /v1/transfers?order=desc&caller=shop&limit=20 HTTP/1.1"
    assert {f"Authorization: Bearer {KEY}", "Consent-Subject: mia%204711", "Consent-Subject-Kind: account"} <= {
        *headers
    }


@pytest.mark.parametrize("output", [True, False], ids=["to a file", "to standard output"])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (streams([b'{"id":1}\n', b'{"id":2}\n', b'{"i'], ends=False), "the connection broke"),
        (streams([b'{"id":1}\n', b'{"id":2}\n'], ends=False), "the connection broke"),
        (streams([b'{"id":1}\n{"i']), "something else than the API"),
        (streams([b'{"id":1}\nnull\n']), "something else than the API"),
        (streams([b'{"id":1}\n', b"x" * 5_000_000]), "something else than the API"),
        (says('{"id":1}\n', kind="text/plain"), "something else than the API"),
    ],
    ids=["in a record", "between records", "half a record", "no record", "a record without end", "no stream"],
)
def test_an_export_that_breaks_off_fails_and_leaves_no_half_file(
    stranger: Stranger, tmp_path: Path, answer: Answer, told: str, output: bool
) -> None:
    stranger.answer = answer
    path = tmp_path / "out.ndjson"
    path.write_text("what was there before", "utf-8")
    ended = stranger.at.run("transfers", "export", *(["--output", str(path)] if output else []))
    assert ended.code == 2
    assert told in ended.told
    assert "records" not in ended.err
    assert [found.name for found in tmp_path.iterdir()] == ["out.ndjson"]
    assert path.read_text("utf-8") == "what was there before"
