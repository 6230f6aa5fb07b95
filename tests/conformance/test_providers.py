"""What every provider's adapter does alike: honest outcomes, one sending, nothing of ours given away.

Replies come from a stub; what only a connection can do, the sandbox does on a real socket.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import httpx
import pytest

from consent_proxy.adapters.http import Outbound, OutboundTransport
from consent_proxy.adapters.providers import replies
from consent_proxy.application.ports.providers import OutputStream, OutputUnavailable, Provider
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Answer, Answered, OutcomeState, Unanswered
from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role
from tests.provider_samples import KEY, TOKEN, WAYS, Stub, Way, a_fal, a_job, a_replicate, send

ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
SHORT = timedelta(seconds=0.5)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(job_seconds=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.behave_well()
    running.wire.clear()
    return running


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    real = Outbound(OutboundTransport())
    yield real
    await real.aclose()


def answered(answer: Answer) -> Answered:
    assert isinstance(answer, Answered)
    return answer


def unanswered(answer: Answer) -> Unanswered:
    assert isinstance(answer, Unanswered)
    return answer


@ways
async def test_a_good_reply_is_delivered_with_its_body(way: Way) -> None:
    reply = way.reply()
    stub = Stub(reply)
    answer = answered(await send(way.build(stub.outbound), call=way.call))
    assert answer.problem is None
    assert answer.body == json.loads(reply.content)
    assert (answer.http_status, answer.bytes_received) == (reply.status_code, len(reply.content))


@ways
@pytest.mark.parametrize("status", [401, 402, 403, 407, 408, 409, 425, 429, 500, 502, 503])
async def test_an_account_error_or_a_servers_is_delivered_and_keeps_its_text_to_itself(way: Way, status: int) -> None:
    stub = Stub(httpx.Response(status, json={"detail": "buy credit at https://billing.test/"}))
    answer = answered(await send(way.build(stub.outbound), call=way.call))
    assert (answer.http_status, answer.problem, answer.body) == (status, Reason.PROVIDER_REFUSED, None)
    assert len(stub.requests) == 1


@ways
@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_no_about_the_request_itself_is_handed_on(way: Way, status: int) -> None:
    stub = Stub(httpx.Response(status, json={"detail": "prompt is required"}))
    answer = answered(await send(way.build(stub.outbound), call=way.call))
    assert (answer.http_status, answer.problem) == (status, None)
    assert answer.body == {"detail": "prompt is required"}
    assert (answer.provider_job, answer.outputs, answer.finished) == (None, (), False)


@ways
@pytest.mark.parametrize("status", [301, 302, 307, 308, 304])
async def test_a_redirect_is_not_followed(way: Way, status: int) -> None:
    good = way.reply()
    stub = Stub(httpx.Response(status, content=good.content, headers={"location": "https://elsewhere.test/"}))
    answer = answered(await send(way.build(stub.outbound), call=way.call))
    assert (answer.problem, answer.body) == (Reason.PROVIDER_REPLY_UNUSABLE, None)
    assert len(stub.requests) == 1


JUNK = {
    "not-json": b"<html>nginx</html>",
    "nothing": b"",
    "bad-utf8": b'{"status": "\xff\xfe\xc3"}',
    "utf16": '{"a": 1}'.encode("utf-16"),
    "nan": b'{"timings": NaN}',
    "two-values": b"{}{}",
    "deep": b"[" * 5_000 + b"]" * 5_000,
    "very-deep": b"[" * 200_000,
    "long-number": b'{"seed": ' + b"9" * 5_000 + b"}",
}


@ways
@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
async def test_a_reply_that_is_no_json_is_delivered_and_unusable(way: Way, junk: bytes) -> None:
    stub = Stub(httpx.Response(200, content=junk, headers={"content-type": "application/json"}))
    answer = answered(await send(way.build(stub.outbound), call=way.call))
    assert (answer.http_status, answer.problem, answer.body) == (200, Reason.PROVIDER_REPLY_UNUSABLE, None)


@ways
async def test_a_reply_without_end_is_read_to_the_limit_and_no_further(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "REPLY_LIMIT", 1_000)
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 100
            yield b"x" * 100

    stub = Stub(lambda _: httpx.Response(200, content=endless()))
    answer = answered(await send(way.build(stub.outbound), call=way.call))
    assert answer.problem is Reason.PROVIDER_REPLY_UNUSABLE
    assert given <= 1_200


@ways
@pytest.mark.parametrize(
    ("error", "state", "problem"),
    [
        (httpx.ConnectError("refused"), OutcomeState.NOT_DELIVERED, Reason.PROVIDER_UNREACHABLE),
        (httpx.ConnectTimeout("no way"), OutcomeState.NOT_DELIVERED, Reason.PROVIDER_UNREACHABLE),
        (httpx.PoolTimeout("full"), OutcomeState.NOT_DELIVERED, Reason.PROVIDER_UNREACHABLE),
        (httpx.ReadTimeout("silent"), OutcomeState.INDETERMINATE, Reason.PROVIDER_TIMEOUT),
        (httpx.WriteTimeout("stuck"), OutcomeState.INDETERMINATE, Reason.PROVIDER_TIMEOUT),
        (httpx.ReadError("reset"), OutcomeState.INDETERMINATE, Reason.PROVIDER_REPLY_UNUSABLE),
        (httpx.WriteError("reset"), OutcomeState.INDETERMINATE, Reason.PROVIDER_REPLY_UNUSABLE),
        (httpx.RemoteProtocolError("nonsense"), OutcomeState.INDETERMINATE, Reason.PROVIDER_REPLY_UNUSABLE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_only_an_error_before_the_first_byte_is_not_delivered(
    way: Way, error: Exception, state: OutcomeState, problem: Reason
) -> None:
    stub = Stub(error)
    answer = unanswered(await send(way.build(stub.outbound), call=way.call))
    assert (answer.state, answer.problem, answer.window_closed) == (state, problem, False)
    assert len(stub.requests) == 1


@ways
async def test_a_send_whose_window_closed_is_not_begun(way: Way) -> None:
    stub = Stub(way.reply())
    answer = unanswered(await send(way.build(stub.outbound), call=way.call, within=-1))
    assert (answer.state, answer.window_closed) == (OutcomeState.NOT_DELIVERED, True)
    assert stub.requests == []


@ways
async def test_no_provider_is_configured_without_its_credential(way: Way) -> None:
    nobody: dict[str, Any] = {"key": None} if way.provider == "fal" else {"token": None}
    assert not way.build(Stub(way.reply()).outbound, **nobody).configured


def slug(behaviour: Behaviour) -> str:
    return f"acme/models/{behaviour}"


@ways
@pytest.mark.parametrize(
    ("behaviour", "problem", "status"),
    [
        (Behaviour.REDIRECT, Reason.PROVIDER_REPLY_UNUSABLE, 302),
        (Behaviour.REDIRECT_WITH_BODY, Reason.PROVIDER_REPLY_UNUSABLE, 307),
        (Behaviour.JUNK, Reason.PROVIDER_REPLY_UNUSABLE, 200),
        (Behaviour.BAD_UTF8, Reason.PROVIDER_REPLY_UNUSABLE, 200),
        (Behaviour.BAD_GATEWAY, Reason.PROVIDER_REFUSED, 502),
        (Behaviour.UNAUTHORISED, Reason.PROVIDER_REFUSED, 401),
        (Behaviour.INSUFFICIENT, Reason.PROVIDER_REFUSED, None),
        (Behaviour.THROTTLED, Reason.PROVIDER_REFUSED, 429),
        (Behaviour.ERROR, Reason.PROVIDER_REFUSED, 500),
        (Behaviour.UNAVAILABLE, Reason.PROVIDER_REFUSED, 503),
    ],
)
async def test_a_misbehaving_provider_was_delivered_to_once_and_learns_nothing_more(
    way: Way, behaviour: Behaviour, problem: Reason, status: int | None, sandbox: Sandbox, outbound: Outbound
) -> None:
    sandbox.behave(way.provider, "*", behaviour)  # type: ignore[arg-type]
    answer = answered(await send(way.build(outbound, sandbox), call=way.call))
    assert answer.problem is problem
    assert answer.body is None
    assert status in {None, answer.http_status}
    assert len(sandbox.wire.requests()) == 1
    assert sandbox.wire.violations == []


@ways
@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        (Behaviour.HANG, Reason.PROVIDER_TIMEOUT),
        (Behaviour.RESET, Reason.PROVIDER_REPLY_UNUSABLE),
        (Behaviour.CUT, Reason.PROVIDER_REPLY_UNUSABLE),
    ],
)
async def test_a_connection_that_breaks_after_the_body_left_is_indeterminate(
    way: Way, behaviour: Behaviour, problem: Reason, sandbox: Sandbox, outbound: Outbound
) -> None:
    sandbox.behave(way.provider, "*", behaviour)  # type: ignore[arg-type]
    answer = unanswered(await send(way.build(outbound, sandbox, timeout=SHORT), call=way.call))
    assert (answer.state, answer.problem) == (OutcomeState.INDETERMINATE, problem)
    (request,) = sandbox.wire.requests()
    assert request.json() in ({"prompt": "a boat"}, {"input": {"prompt": "a boat"}})


@ways
async def test_a_provider_that_is_not_there_is_unreachable(way: Way, outbound: Outbound) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    nowhere = f"http://127.0.0.1:{port}"
    urls: dict[str, Any] = (
        {"run_url": nowhere, "queue_url": nowhere} if way.provider == "fal" else {"api_url": f"{nowhere}/v1"}
    )
    answer = unanswered(await send(way.build(outbound, **urls), call=way.call))
    assert (answer.state, answer.problem) == (OutcomeState.NOT_DELIVERED, Reason.PROVIDER_UNREACHABLE)


@ways
async def test_cookies_of_one_call_do_not_go_out_with_the_next(way: Way, sandbox: Sandbox, outbound: Outbound) -> None:
    sandbox.behave(way.provider, "*", Behaviour.COOKIES)  # type: ignore[arg-type]
    provider = way.build(outbound, sandbox)
    for _ in range(2):
        assert answered(await send(provider, call=way.call)).problem is None
    assert [request.header("cookie") for request in sandbox.wire.requests()] == [None, None]


@ways
async def test_nothing_but_the_listed_headers_reaches_the_provider(
    way: Way, sandbox: Sandbox, outbound: Outbound
) -> None:
    answered(await send(way.build(outbound, sandbox), call=way.call))
    (request,) = sandbox.wire.requests()
    known = {
        *("host", "authorization", "accept", "accept-encoding", "content-type", "content-length", "user-agent"),
        *("x-fal-store-io", "x-app-fal-disable-fallback", "x-fal-no-retry", "x-fal-object-lifecycle-preference"),
        *("cancel-after", "connection"),
    }
    assert {name for name, _ in request.headers} <= known
    assert request.header("user-agent") == "consent-proxy"


FOLLOWERS = (("fal", a_fal), ("replicate", a_replicate))
followers = pytest.mark.parametrize(("name", "make"), FOLLOWERS, ids=[name for name, _ in FOLLOWERS])


@followers
@pytest.mark.parametrize("question", ["status", "result", "cancel"])
async def test_a_job_that_was_answered_at_once_is_not_asked_about(name: str, make: Any, question: str) -> None:
    stub = Stub(httpx.Response(200, json={}))
    provider, job = make(stub.outbound), a_job(name, provider_job=None)
    with pytest.raises(ValueError, match="nothing to ask"):
        await (provider.status(job, logs=False) if question == "status" else getattr(provider, question)(job))
    assert stub.requests == []


@followers
@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ReadTimeout("x")], ids=["refused", "silent"])
async def test_a_question_about_a_job_never_raises(name: str, make: Any, error: Exception) -> None:
    provider = make(Stub(error).outbound)
    assert isinstance(await provider.result(a_job(name)), Unanswered)
    assert isinstance(await provider.status(a_job(name), logs=True), Unanswered)
    assert isinstance(await provider.cancel(a_job(name)), Unanswered)


async def made(way: Way, sandbox: Sandbox, outbound: Outbound) -> tuple[Provider, tuple[str, ...]]:
    """The provider, and the results of a picture that was made to the end."""
    provider = way.build(outbound, sandbox)
    answer = answered(await send(provider, call=way.call))
    job = a_job(way.provider, provider_job=answer.provider_job)
    while not answer.finished:
        await asyncio.sleep(0.05)
        answer = answered(await provider.result(job))
    return provider, answer.outputs


async def read(stream: OutputStream) -> bytes:
    return b"".join([chunk async for chunk in stream.chunks])


@ways
async def test_a_result_is_read_without_our_credential(way: Way, sandbox: Sandbox, outbound: Outbound) -> None:
    provider, (url, *_) = await made(way, sandbox, outbound)
    opened = await provider.open_output(url, headers={"authorization": "Key mine", "cookie": "a=b"})
    assert (opened.status, opened.headers["content-type"]) == (200, "image/png")
    content = await read(opened)
    assert content.startswith(b"\x89PNG")
    assert int(opened.headers["content-length"]) == len(content)
    asked = sandbox.wire.requests(role=Role.FAL_OUTPUT) + sandbox.wire.requests(role=Role.REPLICATE_DELIVERY)
    assert [request.header("authorization") for request in asked] == [None]
    assert sandbox.wire.violations == []


@ways
async def test_a_part_of_a_result_is_a_part(way: Way, sandbox: Sandbox, outbound: Outbound) -> None:
    provider, (url, *_) = await made(way, sandbox, outbound)
    opened = await provider.open_output(url, headers={"range": "bytes=1-3"})
    assert (opened.status, await read(opened)) == (206, b"PNG")
    assert opened.headers["content-range"].startswith("bytes 1-3/")


@ways
async def test_a_range_beyond_the_end_says_so(way: Way, sandbox: Sandbox, outbound: Outbound) -> None:
    provider, (url, *_) = await made(way, sandbox, outbound)
    opened = await provider.open_output(url, headers={"range": "bytes=999999999-"})
    assert (opened.status, await read(opened)) == (416, b"")
    assert opened.headers["content-range"].startswith("bytes */")


@ways
@pytest.mark.parametrize("behaviour", [Behaviour.REDIRECT, Behaviour.ERROR, Behaviour.UNAUTHORISED, Behaviour.RESET])
async def test_a_result_that_cannot_be_read_is_unavailable(
    way: Way, behaviour: Behaviour, sandbox: Sandbox, outbound: Outbound
) -> None:
    provider, (url, *_) = await made(way, sandbox, outbound)
    sandbox.behave(way.provider, "*", behaviour, operation="output")  # type: ignore[arg-type]
    with pytest.raises(OutputUnavailable):
        await provider.open_output(url, headers={})
    assert sandbox.wire.violations == []


@ways
async def test_a_result_that_breaks_off_does_not_end_as_if_it_were_whole(
    way: Way, sandbox: Sandbox, outbound: Outbound
) -> None:
    provider, (url, *_) = await made(way, sandbox, outbound)
    sandbox.behave(way.provider, "*", Behaviour.CUT, operation="output")  # type: ignore[arg-type]
    opened = await provider.open_output(url, headers={})
    with pytest.raises(OutputUnavailable):
        await read(opened)


@followers
@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.test/x.png",
        "http://replicate.delivery/x.png",
        "http://v3.fal.media/x.png",
        "https://replicate.delivery:8443/x.png",
        "https://v3.fal.media@elsewhere.test/",
        "file:///etc/passwd",
        "not a url",
        "",
    ],
)
async def test_nothing_is_read_from_a_host_that_is_not_listed(name: str, make: Any, url: str) -> None:
    stub = Stub(httpx.Response(200, content=b"secret"))
    with pytest.raises(OutputUnavailable):
        await make(stub.outbound).open_output(url, headers={})
    assert stub.requests == []


LISTED = {"fal": "https://v3.fal.media/x", "replicate": "https://replicate.delivery/x"}


@followers
@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ("image/webp", "image/webp"),
        ("VIDEO/MP4; codecs=avc1", "video/mp4"),
        ("text/html", "application/octet-stream"),
        ("application/javascript", "application/octet-stream"),
        ("image/png\tx", "application/octet-stream"),
        ("application/zip", "application/zip"),
        (None, "application/octet-stream"),
    ],
)
async def test_a_results_type_is_passed_on_where_it_is_harmless(
    name: str, make: Any, given: str | None, passed: str
) -> None:
    headers = {"set-cookie": "a=b", "x-internal": "1", "etag": '"1"', **({"content-type": given} if given else {})}
    stub = Stub(httpx.Response(200, content=b"x", headers=headers))
    opened = await make(stub.outbound).open_output(LISTED[name], headers={})
    assert opened.headers == {"content-type": passed, "etag": '"1"', "content-length": "1"}


@followers
async def test_a_results_bytes_come_in_bounded_pieces(name: str, make: Any) -> None:
    stub = Stub(httpx.Response(200, content=b"x" * 200_000))
    opened = await make(stub.outbound).open_output(LISTED[name], headers={})
    sizes = [len(chunk) async for chunk in opened.chunks]
    assert sum(sizes) == 200_000
    assert max(sizes) <= 65_536


@ways
async def test_our_credential_stands_in_nothing_that_is_handed_on(way: Way) -> None:
    stub = Stub(way.reply())
    answer = answered(await send(way.build(stub.outbound), call=way.call))
    dispatch = repr(answer)
    assert KEY not in dispatch
    assert TOKEN not in dispatch
