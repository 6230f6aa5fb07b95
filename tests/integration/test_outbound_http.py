"""The one outbound module against servers on real sockets that misbehave as real ones do."""

import asyncio
import gzip
import socket
import ssl
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import httpx
import pytest

from consent_proxy.adapters.http import (
    Outbound,
    OutboundTransport,
    ReplyEncoded,
    ReplyTooLarge,
    RequestMalformed,
    SendWindowClosed,
    Timeouts,
    UnsafeUrl,
    began,
    chunks,
    read_capped,
    safe_url,
)
from tests.integration.raw_peers import OK, Answer, Line, Serve, certificate, keeps_silent, resets, says

PATIENT = Timeouts(connect=5, read=5, total=20)
HASTY = Timeouts(connect=5, read=0.2, total=20)
TEN_TO_COME = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    serving = Serve()
    yield serving
    await serving.stop()


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    outbound = Outbound(OutboundTransport())
    yield outbound
    await outbound.aclose()


async def post(outbound: Outbound, url: str, *, timeout: Timeouts = PATIENT, begin_by: float | None = None) -> bytes:
    response = await outbound.request("POST", url, content=b'{"prompt":"a cat"}', timeout=timeout, begin_by=begin_by)
    return await read_capped(response, 1000)


async def failure(sending: Awaitable[object]) -> httpx.TransportError:
    with pytest.raises(httpx.TransportError) as raised:
        await sending
    return raised.value


def head_of(request: bytes) -> dict[str, str]:
    lines = request.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    assert len({line.split(": ")[0].lower() for line in lines}) == len(lines)
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


# What was sent, and what was not


async def test_a_refused_connection_has_not_begun(outbound: Outbound) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = await failure(post(outbound, f"http://127.0.0.1:{port}/"))
    assert type(error) is httpx.ConnectError
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert not began(error)


async def test_a_provider_that_accepts_and_keeps_silent_may_have_the_data(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(keeps_silent)
    error = await failure(post(outbound, peer.url, timeout=HASTY))
    assert type(error) is httpx.ReadTimeout
    assert began(error)
    await peer.hung_up.wait()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"])
@pytest.mark.parametrize("ends", [resets, says(b"", then_closes=True)])
async def test_a_provider_that_reads_it_all_and_hangs_up_has_the_data_once(
    serve: Serve, outbound: Outbound, method: str, ends: Answer
) -> None:
    peer = await serve(ends)
    error = await failure(outbound.request(method, peer.url, content=b"x", timeout=PATIENT))
    assert isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
    assert began(error)
    assert len(peer.requests) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"])
async def test_a_kept_connection_that_fails_under_a_request_is_not_tried_again(
    serve: Serve, outbound: Outbound, method: str
) -> None:
    async def answers_the_first(line: Line, request: bytes) -> None:
        if len(peer.requests) == 1:
            await line.say(OK)
        else:
            line.reset()

    peer = await serve(answers_the_first)
    await post(outbound, peer.url)
    error = await failure(outbound.request(method, peer.url, timeout=PATIENT))
    assert began(error)
    assert (peer.connections, len(peer.requests)) == (1, 2)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_a_connection_closed_while_idle_is_replaced_before_anything_is_written(
    serve: Serve, outbound: Outbound, method: str
) -> None:
    peer = await serve(says(OK, then_closes=True))
    await post(outbound, peer.url)
    await asyncio.sleep(0.05)
    assert await read_capped(await outbound.request(method, peer.url, timeout=PATIENT), 10) == b"ok"
    assert (peer.connections, len(peer.requests)) == (2, 2)


async def test_a_reply_that_nobody_asked_for_answers_nobody(serve: Serve, outbound: Outbound) -> None:
    async def answers_twice(line: Line, request: bytes) -> None:
        await line.say(OK)
        await asyncio.sleep(0.02)
        await line.say(OK.replace(b"ok", b"no"))

    peer = await serve(answers_twice)
    assert await post(outbound, peer.url) == b"ok"
    await asyncio.sleep(0.1)
    assert await post(outbound, peer.url) == b"ok"
    assert (peer.connections, len(peer.requests)) == (2, 2)


async def test_a_finished_connection_is_used_again(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(OK))
    for _ in range(3):
        await post(outbound, peer.url)
    assert (peer.connections, len(peer.requests)) == (1, 3)


async def test_a_connection_idle_for_too_long_is_not_used_again(serve: Serve) -> None:
    peer = await serve(says(OK))
    brief = Outbound(OutboundTransport(keepalive_seconds=0.05))
    await post(brief, peer.url)
    await asyncio.sleep(0.1)
    await post(brief, peer.url)
    assert peer.connections == 2
    await brief.aclose()


async def test_a_body_that_fails_halfway_may_have_been_read(serve: Serve, outbound: Outbound) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"half"
        raise OSError("the disk is gone")

    peer = await serve(says(OK))
    error = await failure(outbound.request("POST", peer.url, content=breaks(), timeout=PATIENT))
    assert began(error)
    await peer.hung_up.wait()
    assert peer.requests == []


async def test_a_certificate_that_cannot_be_verified_ends_it_before_it_begins(
    serve: Serve, outbound: Outbound, tmp_path: Path
) -> None:
    server_tls, client_tls = certificate(tmp_path)
    peer = await serve(says(OK), tls=server_tls)
    error = await failure(post(outbound, peer.url))
    assert type(error) is httpx.ConnectError
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert peer.requests == []
    knowing = Outbound(OutboundTransport(tls=client_tls))
    assert await post(knowing, peer.url) == b"ok"
    await knowing.aclose()


# In time or not at all


async def test_a_place_in_the_pool_that_comes_too_late_sends_nothing(serve: Serve) -> None:
    peer = await serve(keeps_silent)
    narrow = Outbound(OutboundTransport(connections=1))
    holding = asyncio.create_task(failure(post(narrow, peer.url)))
    await peer.reached.wait()
    error = await failure(post(narrow, peer.url, begin_by=time.monotonic() + 0.1))
    assert type(error) is SendWindowClosed
    assert not began(error)
    assert (peer.connections, len(peer.requests)) == (1, 1)
    await narrow.aclose()
    assert began(await holding)


async def test_a_place_in_the_pool_that_comes_too_late_for_the_connect_timeout_sends_nothing(serve: Serve) -> None:
    peer = await serve(keeps_silent)
    narrow = Outbound(OutboundTransport(connections=1))
    holding = asyncio.create_task(failure(post(narrow, peer.url)))
    await peer.reached.wait()
    error = await failure(post(narrow, peer.url, timeout=Timeouts(connect=0.1, read=5, total=5)))
    assert type(error) is httpx.ConnectTimeout
    assert len(peer.requests) == 1
    await narrow.aclose()
    await holding


async def test_a_handshake_that_outlasts_the_window_sends_nothing(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(OK))  # speaks no TLS, and waits for the rest of what it takes for a request
    error = await failure(post(outbound, peer.url.replace("http:", "https:"), begin_by=time.monotonic() + 0.2))
    assert type(error) is SendWindowClosed
    assert not began(error)


async def test_a_window_that_has_passed_sends_nothing(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(OK))
    assert type(await failure(post(outbound, peer.url, begin_by=time.monotonic()))) is SendWindowClosed
    assert peer.connections == 0


async def test_the_window_is_looked_at_again_just_before_the_first_byte(serve: Serve) -> None:
    finish = asyncio.Event()

    async def finishes_when_told(line: Line, request: bytes) -> None:
        await line.say(OK.removesuffix(b"ok"))
        await finish.wait()
        await line.say(b"ok")

    peer = await serve(finishes_when_told)
    narrow = Outbound(OutboundTransport(connections=1))
    response = await narrow.request("GET", peer.url, timeout=PATIENT)
    waiting = asyncio.create_task(failure(post(narrow, peer.url, begin_by=time.monotonic() + 0.3)))
    await asyncio.sleep(0.05)
    finish.set()
    async for chunk in chunks(response):
        # The last byte has handed the connection on, and now the loop stands still.
        assert chunk == b"ok"
        time.sleep(0.4)  # noqa: ASYNC251
    assert type(await waiting) is SendWindowClosed
    assert (peer.connections, len(peer.requests)) == (1, 1)
    await narrow.aclose()


at_once = pytest.mark.skipif(sys.version_info >= (3, 12), reason="there the body is written before the loop turns")


@at_once
async def test_a_loop_that_stands_still_before_the_body_sends_nothing(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(OK))
    await post(outbound, peer.url)
    sending = asyncio.create_task(failure(post(outbound, peer.url, begin_by=time.monotonic() + 0.1)))
    asyncio.get_running_loop().call_soon(time.sleep, 0.2)
    assert type(await sending) is SendWindowClosed
    assert len(peer.requests) == 1


@at_once
async def test_a_reply_that_comes_just_before_the_body_answers_nobody(serve: Serve) -> None:
    peer = await serve(says(OK))
    transport = OutboundTransport()
    await post(Outbound(transport), peer.url)
    connector = transport._sessions[asyncio.get_running_loop()].connector
    assert connector is not None
    ((kept, _),) = next(iter(connector._conns.values()))
    sending = asyncio.create_task(failure(post(Outbound(transport), peer.url)))
    asyncio.get_running_loop().call_soon(kept.data_received, OK)
    assert not began(await sending)
    assert len(peer.requests) == 1
    await transport.aclose()


# What goes out


async def test_only_what_was_given_goes_out(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(OK))
    headers = {"Authorization": "Key k", "User-Agent": "app", "Host": "elsewhere", "Accept-Encoding": "gzip"}
    await outbound.request("POST", f"{peer.url}/a%2Fb?q=%20", headers=headers, content=b"{}", timeout=PATIENT)
    assert peer.requests[0].startswith(b"POST /run/a%2Fb?q=%20 HTTP/1.1\r\n")
    assert head_of(peer.requests[0]) == {
        "host": peer.url.split("/")[2],
        "user-agent": "consent-proxy",
        "accept-encoding": "identity",
        "authorization": "Key k",
        "content-length": "2",
    }


async def test_the_environment_has_no_say(
    serve: Serve, outbound: Outbound, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peer, proxy = await serve(says(OK)), await serve(says(OK))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv(name.lower(), proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await post(outbound, peer.url)
    assert "authorization" not in head_of(peer.requests[0])
    assert proxy.connections == 0


async def test_a_cookie_set_for_one_call_does_not_come_back_with_the_next(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(OK.replace(b"\r\n", b"\r\nset-cookie: who=alice; path=/\r\n", 1)))
    for _ in range(2):
        await post(outbound, peer.url)
    assert [head_of(request).get("cookie") for request in peer.requests] == [None, None]


@pytest.mark.parametrize(
    "header",
    [("x-a", "b\r\nx-c: d"), ("x-a: b\r\nx-c", "d"), ("x a", "b"), ("x-a", "b\0"), ("x-a", "\xe9"), ("", "b")],
)
async def test_a_header_that_would_be_more_than_a_header_is_not_sent(
    serve: Serve, outbound: Outbound, header: tuple[str, str]
) -> None:
    peer = await serve(says(OK))
    error = await failure(outbound.request("POST", peer.url, headers=[header], timeout=PATIENT))
    assert type(error) is RequestMalformed
    assert not began(error)
    assert peer.connections == 0


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 5_000_000])
async def test_a_body_arrives_whole(serve: Serve, outbound: Outbound, size: int) -> None:
    peer = await serve(says(OK))
    await read_capped(await outbound.request("PUT", peer.url, content=b"x" * size, timeout=PATIENT), 10)
    assert peer.requests[0].split(b"\r\n\r\n")[1] == b"x" * size
    assert head_of(peer.requests[0])["content-length"] == str(size)


@pytest.mark.parametrize("headers", [{}, {"content-length": "8"}])
async def test_a_streamed_body_arrives_in_chunks_or_at_its_length(
    serve: Serve, outbound: Outbound, headers: dict[str, str]
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"four"
        yield b"more"

    peer = await serve(says(OK))
    reply = await outbound.request("POST", peer.url, headers=headers, content=pieces(), timeout=PATIENT)
    assert await read_capped(reply, 10) == b"ok"
    body = peer.requests[0].split(b"\r\n\r\n", 1)[1]
    assert body == (b"fourmore" if headers else b"4\r\nfour\r\n4\r\nmore\r\n0\r\n\r\n")


async def test_the_first_byte_does_not_wait_for_the_body(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(OK))

    async def comes_later() -> AsyncIterator[bytes]:
        await peer.spoken_to.wait()
        yield b"later"

    reply = await outbound.request("POST", peer.url, content=comes_later(), timeout=PATIENT)
    assert await read_capped(reply, 10) == b"ok"


@pytest.mark.parametrize(
    "url", ["https://fal.run/x", "http://127.0.0.1:1/", "http://127.8.8.8/", "http://[::1]:80/", "http://localhost/"]
)
def test_https_and_loopback_may_be_called(url: str) -> None:
    assert safe_url(url) == httpx.URL(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://fal.run/",
        "http://127.0.0.1.fal.run/",
        "http://127.1/",
        "http://0.0.0.0/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost.fal.run/",
        "https://key:secret@fal.run/",
        "https://key@fal.run/",
        "https:///path",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "/relative",
        "https://fal.run:port/",
        "https://fal.run/\n",
        "",
    ],
)
async def test_no_other_address_is_called(outbound: Outbound, url: str) -> None:
    error = await failure(outbound.request("GET", url, timeout=PATIENT))
    assert type(error) is UnsafeUrl
    assert not began(error)
    assert "secret" not in str(error)


# What comes back


async def test_a_redirect_is_a_reply_like_any_other(serve: Serve, outbound: Outbound) -> None:
    other = await serve(says(OK))
    moved = f"HTTP/1.1 302 Found\r\nlocation: {other.url}\r\ncontent-length: 0\r\n\r\n"
    peer = await serve(says(moved.encode()))
    response = await outbound.request("GET", peer.url, timeout=PATIENT)
    assert (response.status_code, response.headers["location"]) == (302, other.url)
    await response.aclose()
    assert other.connections == 0


async def test_headers_come_back_as_often_as_they_were_sent(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(b"HTTP/1.1 429 Slow\r\nx-a: 1\r\nX-A: 2\r\ncontent-length: 4\r\n\r\n\xff\xfe\x00\x80"))
    response = await outbound.request("GET", peer.url, timeout=PATIENT)
    assert (response.status_code, response.headers.get_list("x-a")) == (429, ["1", "2"])
    assert await read_capped(response, 4) == b"\xff\xfe\x00\x80"


@pytest.mark.parametrize(
    "framing", [CHUNKED + b"989680\r\n", b"HTTP/1.1 200 OK\r\n\r\n", TEN_TO_COME.replace(b"10", b"10000000")]
)
async def test_a_reply_longer_than_its_cap_is_not_read(serve: Serve, outbound: Outbound, framing: bytes) -> None:
    peer = await serve(says(framing + b"x" * 10_000_000))
    response = await outbound.request("GET", peer.url, timeout=PATIENT)
    error = await failure(read_capped(response, 100_000))
    assert type(error) is ReplyTooLarge
    assert began(error)
    await peer.hung_up.wait()


async def test_a_compressed_reply_is_not_unpacked(serve: Serve, outbound: Outbound) -> None:
    bomb = gzip.compress(b"0" * 1_000_000)
    peer = await serve(
        says(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb) + bomb)
    )
    response = await outbound.request("GET", peer.url, timeout=PATIENT)
    assert response.status_code == 200
    assert type(await failure(read_capped(response, 2_000_000))) is ReplyEncoded


@pytest.mark.parametrize(
    "reply",
    [
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"zz\r\nhello",
        TEN_TO_COME + b"hello",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\xff" * 100,
    ],
)
async def test_a_reply_that_breaks_off_or_is_no_http_leaves_it_begun(
    serve: Serve, outbound: Outbound, reply: bytes
) -> None:
    peer = await serve(says(reply, then_closes=True))
    error = await failure(post(outbound, peer.url))
    assert type(error) is httpx.RemoteProtocolError
    assert began(error)
    assert len(peer.requests) == 1


async def test_a_reset_amid_the_reply_leaves_it_begun(serve: Serve, outbound: Outbound) -> None:
    async def says_half(line: Line, request: bytes) -> None:
        await line.say(TEN_TO_COME + b"hello")
        await asyncio.sleep(0.05)
        line.reset()

    error = await failure(post(outbound, (await serve(says_half)).url))
    assert isinstance(error, httpx.ReadError | httpx.RemoteProtocolError)


@pytest.mark.parametrize(
    ("pause", "timeouts"), [(0.5, HASTY), (0.05, Timeouts(connect=5, read=0.5, total=0.4))], ids=["stops", "drips"]
)
async def test_a_reply_that_stops_or_drips_ends_in_time(
    serve: Serve, outbound: Outbound, pause: float, timeouts: Timeouts
) -> None:
    async def drips(line: Line, request: bytes) -> None:
        await line.say(TEN_TO_COME.replace(b"10", b"1000"))
        while True:
            await line.say(b"x")
            await asyncio.sleep(pause)

    error = await failure(post(outbound, (await serve(drips)).url, timeout=timeouts))
    assert type(error) is httpx.ReadTimeout
    assert began(error)


async def test_a_reply_closed_before_its_end_takes_its_connection_with_it(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(TEN_TO_COME + b"half"))
    response = await outbound.request("GET", peer.url, timeout=PATIENT)
    async for chunk in chunks(response):
        assert chunk == b"half"
        break
    await response.aclose()
    await asyncio.wait_for(peer.hung_up.wait(), 5)


async def test_a_caller_who_gives_up_closes_the_connection(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(keeps_silent)
    calling = asyncio.create_task(post(outbound, peer.url))
    await peer.reached.wait()
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert calling.cancelled()
    await asyncio.wait_for(peer.hung_up.wait(), 5)


async def test_two_hundred_at_once_each_get_their_own_reply(serve: Serve, outbound: Outbound) -> None:
    async def echoes(line: Line, request: bytes) -> None:
        await asyncio.sleep(0.05)
        path = request.split()[1]
        await line.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(path), path))

    peer = await serve(echoes)
    replies = await asyncio.gather(*(post(outbound, f"{peer.url}/{number}") for number in range(200)))
    assert replies == [f"/run/{number}".encode() for number in range(200)]


async def test_an_error_quotes_nothing_of_what_was_sent_or_received(serve: Serve, outbound: Outbound) -> None:
    for answer in (resets, says(b"HTTP/1.1 2OO secret-reply\r\n\r\n"), keeps_silent):
        peer = await serve(answer)
        headers = {"authorization": "secret-key"}
        sending = outbound.request("POST", f"{peer.url}?q=secret", headers=headers, content=b"secret", timeout=HASTY)
        assert "secret" not in "".join(traceback.format_exception(await failure(sending)))


async def test_a_closed_transport_sends_nothing(serve: Serve, outbound: Outbound) -> None:
    peer = await serve(says(OK))
    await outbound.aclose()
    assert not began(await failure(post(outbound, peer.url)))


def test_each_loop_has_a_session_of_its_own() -> None:
    transport = OutboundTransport()

    async def one_call() -> None:
        serve = Serve()
        peer = await serve(says(OK))
        assert await post(Outbound(transport), peer.url) == b"ok"
        await transport._sessions[asyncio.get_running_loop()].close()
        await serve.stop()

    for _ in range(2):
        with asyncio.Runner() as runner:
            runner.run(one_call())
    assert len(transport._sessions) == 2


async def test_a_mock_transport_speaks_the_same_language() -> None:
    outbound = Outbound(httpx.MockTransport(lambda request: httpx.Response(200, content=request.content)))
    response = await outbound.request("POST", "https://fal.run/x", content=b"abc", timeout=PATIENT)
    assert await read_capped(response, 3) == b"abc"
    response = await outbound.request("POST", "https://fal.run/x", content=b"abc", timeout=PATIENT)
    assert type(await failure(read_capped(response, 2))) is ReplyTooLarge


def test_no_timeout_is_nought() -> None:
    with pytest.raises(ValueError, match="more than 0 s"):
        Timeouts(connect=1, read=0, total=None)
