"""How the sandbox misbehaves on request: by the model's name, or by a rule that a test sets."""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal, get_args

from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

ProviderName = Literal["fal", "replicate"]

JUNK_BYTES = 10 * 1024 * 1024
TRANSPORT_KEY = "sandbox.transport"  # under what name the ASGI scope's state holds the connection


class Behaviour(StrEnum):
    """What may go wrong; a model whose last path part is one of these words behaves so."""

    FAIL = "fail"  # the job is taken and fails
    SLOW = "slow"  # the job takes long, however often it is polled
    HANG = "hang"  # everything is read, nothing is ever answered
    RESET = "reset"  # everything is read, then the connection is reset
    CUT = "cut"  # the reply begins, then the connection is reset
    REDIRECT = "redirect"  # 302
    REDIRECT_WITH_BODY = "redirect-with-body"  # 307: who follows it sends the body again
    COOKIES = "cookies"  # a good reply that sets cookies
    JUNK = "junk"  # 10 MB that claim to be JSON
    BAD_UTF8 = "bad-utf8"
    UNAUTHORISED = "unauthorised"  # 401, as when the account's key was revoked
    INSUFFICIENT = "insufficient"  # the account has run out of money
    THROTTLED = "throttled"  # 429
    ERROR = "error"  # 500
    UNAVAILABLE = "unavailable"  # 503
    BAD_GATEWAY = "bad-gateway"  # 502 in HTML, from something before the provider


_NAMES = frozenset(Behaviour)


class Operation(StrEnum):
    """What a request asks for."""

    CREATE = "create"
    STATUS = "status"
    RESULT = "result"
    CANCEL = "cancel"
    OUTPUT = "output"


@dataclass(slots=True, kw_only=True)
class _Rule:
    provider: ProviderName
    model_pattern: str
    behaviour: Behaviour
    operation: Operation
    left: int | None

    def fits(self, provider: ProviderName, model: str, operation: Operation) -> bool:
        return (
            self.left != 0
            and self.provider == provider
            and self.operation is operation
            and fnmatchcase(model, self.model_pattern)
        )


class Behaviours:
    """The rules in force; the newest that fits counts, then the model's name. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []

    def behave(
        self,
        provider: ProviderName,
        model_pattern: str,
        behaviour: Behaviour | str,
        *,
        times: int | None = None,
        operation: Operation | str = Operation.CREATE,
    ) -> None:
        """Misbehave for models that match the shell pattern, for so many requests or until `reset`.

        ValueError for a provider, behaviour or operation of another name.
        """
        if provider not in get_args(ProviderName):
            raise ValueError(f"{provider!r} is not a provider")
        rule = _Rule(
            provider=provider,
            model_pattern=model_pattern,
            behaviour=Behaviour(behaviour),
            operation=Operation(operation),
            left=times,
        )
        with self._lock:
            self._rules.append(rule)

    def reset(self) -> None:
        """Forget the rules; the names stay."""
        with self._lock:
            self._rules.clear()

    def choose(self, provider: ProviderName, model: str, *, operation: Operation) -> Behaviour | None:
        """How to misbehave for this request, or None for good behaviour; uses up one of a rule's times."""
        with self._lock:
            for rule in reversed(self._rules):
                if rule.fits(provider, model, operation):
                    rule.left = None if rule.left is None else rule.left - 1
                    return rule.behaviour
        return _by_name(model) if operation is Operation.CREATE else None


def _by_name(model: str) -> Behaviour | None:
    last = model.rsplit("/", 1)[-1]
    return Behaviour(last) if last in _NAMES else None


class Conduct:
    """How one provider replies, well or badly: `own` are its own error replies, the rest is the transport's."""

    def __init__(
        self,
        provider: ProviderName,
        *,
        behaviours: Behaviours,
        own: Mapping[Behaviour, Response],
        elsewhere_url: str,
    ) -> None:
        self._provider = provider
        self._behaviours = behaviours
        self._own = own
        self._elsewhere_url = elsewhere_url

    async def reply(
        self, model: str, *, operation: Operation, right: Callable[[Behaviour | None], Awaitable[Response]]
    ) -> Response:
        """The right reply, or what the behaviour in force makes of it; `right` is told how the job should go."""
        behaviour = self._behaviours.choose(self._provider, model, operation=operation)
        instead = self._instead(behaviour)
        if instead is not None:
            return instead
        response = await right(behaviour)
        if behaviour is Behaviour.COOKIES:
            response.set_cookie("session", "sandbox-session", path="/", max_age=3600)
        return Cut(response) if behaviour is Behaviour.CUT else response

    def _instead(self, behaviour: Behaviour | None) -> Response | None:
        match behaviour:
            case None | Behaviour.FAIL | Behaviour.SLOW | Behaviour.COOKIES | Behaviour.CUT:
                return None
            case Behaviour.HANG:
                return Hang()
            case Behaviour.RESET:
                return Reset()
            case Behaviour.REDIRECT:
                return self._redirect(302)
            case Behaviour.REDIRECT_WITH_BODY:
                return self._redirect(307)
            case Behaviour.JUNK:
                return StreamingResponse(_junk(), media_type="application/json")
            case Behaviour.BAD_UTF8:
                return Response(b'{"status": "\xff\xfe\xc3"}', media_type="application/json")
            case Behaviour.BAD_GATEWAY:
                return Response(_GATEWAY_PAGE, status_code=502, media_type="text/html")
            case (
                Behaviour.UNAUTHORISED
                | Behaviour.INSUFFICIENT
                | Behaviour.THROTTLED
                | Behaviour.ERROR
                | Behaviour.UNAVAILABLE
            ):
                return self._own[behaviour]

    def _redirect(self, status: int) -> Response:
        return Response(status_code=status, headers={"location": f"{self._elsewhere_url}/moved"})


_GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"


async def _junk() -> AsyncIterator[bytes]:
    block = bytes(range(256)) * 256
    for _ in range(JUNK_BYTES // len(block)):
        yield block


class Hang(Response):
    """Says nothing until the other side gives up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, send
        await disconnected(receive)


class Reset(Response):
    """Ends the connection with a TCP reset instead of a reply."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del send
        await _reset_connection(scope, receive)


class Cut(Response):
    """Sends the head and half the body of a reply, then resets the connection."""

    def __init__(self, whole: Response) -> None:
        super().__init__()
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_half(message: Message) -> None:
            body = message.get("body", b"")
            if message["type"] == "http.response.body":
                message = {**message, "body": body[: len(body) // 2], "more_body": True}
            await send(message)

        await self._whole(scope, receive, send_half)
        await asyncio.sleep(0.05)  # lets the half out of the socket's buffer: a reset would discard it
        await _reset_connection(scope, receive)


async def _reset_connection(scope: Scope, receive: Receive) -> None:
    """Abort the request's connection so that the peer sees a reset, not an end of file."""
    transport: asyncio.Transport = scope["state"][TRANSPORT_KEY]
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await disconnected(receive)


async def disconnected(receive: Receive) -> None:
    """Return when the other side is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
