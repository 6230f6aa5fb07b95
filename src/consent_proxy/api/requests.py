"""Reading what came in, strictly: headers that may stand once only, bodies within a limit, JSON without surprises."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Never

from starlette.types import Receive, Scope

from consent_proxy.api.problems import Problem
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason

#: Headers that decide something: a second one could be read by us and the first by somebody else, or the reverse.
_ONCE = frozenset({b"authorization", b"idempotency-key", b"content-length", b"content-type", b"traceparent"})
#: How deep arrays and objects may nest in a body.
MAX_DEPTH = 64
_TRACE = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """Method, path and headers of a request, checked. Header names are lower case."""

    method: str
    path: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]

    def raw(self, name: bytes) -> bytes | None:
        """The header's bytes, or ``None``."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def get(self, name: str) -> str | None:
        """The header as text (Latin-1, as HTTP has it), or ``None``."""
        value = self.raw(name.encode())
        return value.decode("latin-1") if value is not None else None

    @property
    def traceparent(self) -> str | None:
        """A W3C ``traceparent``, where it is one; never forwarded."""
        given = self.get("traceparent") or ""
        return given if _TRACE.match(given) else None

    @property
    def trace_id(self) -> str | None:
        """The trace id of the ``traceparent``; recorded, never forwarded."""
        given = self.traceparent
        return given[3:35] if given is not None else None


def read_head(scope: Scope) -> RequestHead:
    """Check the headers of an ASGI request. Raises ``Problem``: a deciding header repeated, or an encoded body."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in _ONCE or name.startswith(b"consent-"):
            if name in seen:
                raise Problem(Reason.HEADER_REPEATED, f"the header {_printable(name)} may be sent once only")
            seen.add(name)
        elif name == b"content-encoding":
            raise Problem(Reason.ENCODING_NOT_ALLOWED, "send the body as it is, without Content-Encoding")
    return RequestHead(method=scope["method"], path=scope["path"], query=scope["query_string"], headers=headers)


async def read_body(receive: Receive, head: RequestHead, *, limit: int) -> bytes:
    """Read the body, at most ``limit`` bytes. Raises ``Problem``: too large, or the caller went away half-way."""
    declared = head.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(Reason.BODY_INVALID, "the connection closed before the whole body had arrived")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]


def parse_json(body: bytes) -> Json:
    """Parse a JSON text that every parser reads alike.

    Raises ``Problem`` for duplicate keys, NaN and Infinity, NUL and lone surrogates, bytes that are not UTF-8, nesting
    deeper than ``MAX_DEPTH`` and numbers too long to be numbers. The message never repeats what was sent.
    """
    try:
        value: Json = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _invalid("the body is not UTF-8") from error
    except RecursionError as error:
        raise _invalid("arrays and objects nest too deep") from error
    except json.JSONDecodeError as error:
        raise _invalid(f"the body is not JSON: character {error.pos} is not expected there") from error
    except ValueError as error:
        raise _invalid("the body has a number with too many digits") from error
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    if _SURROGATE_ESCAPE.search(body) is not None:
        _check_text(value)
    if rb"\u0000" in body:
        raise _invalid("a string has a NUL in it")
    return value


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _invalid("an object names a key twice")
    return found


def _refuse_constant(_: str) -> Never:
    raise _invalid("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_refuse_constant)


def _check_depth(value: Json) -> None:
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for container in level
            if isinstance(container, dict | list)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return
    if any(isinstance(item, dict | list) for item in level):
        raise _invalid(f"arrays and objects nest deeper than {MAX_DEPTH}")


def _check_text(value: Json) -> None:
    """Escaped surrogates have to come in pairs; a lone one has no UTF-8 form."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _invalid("a string has half of a surrogate pair in it") from error


def _invalid(detail: str) -> Problem:
    return Problem(Reason.JSON_INVALID, detail)


def _too_large(limit: int) -> Problem:
    return Problem(Reason.BODY_TOO_LARGE, f"the body may have {limit} bytes at most")


def _printable(name: bytes) -> str:
    return name.decode("latin-1").title()
