"""What can go wrong with an outbound request, and the one table that says what was true when it did."""

import aiohttp
import httpx


class UnsafeUrl(httpx.UnsupportedProtocol):
    """The address may not be called; nothing was sent."""


class RequestMalformed(httpx.LocalProtocolError):
    """The request cannot be written as HTTP; nothing was sent."""


class SendWindowClosed(httpx.ConnectTimeout):
    """The latest moment to begin passed first; nothing was sent."""


class ReplyTooLarge(httpx.RemoteProtocolError):
    """The reply's body is longer than its reader allows; the request was delivered."""


class ReplyEncoded(httpx.RemoteProtocolError):
    """The reply's body is compressed though `identity` was asked for; the request was delivered."""


_NOT_BEGUN = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, UnsafeUrl, RequestMalformed)


def began(error: httpx.TransportError) -> bool:
    """Whether the request may have reached the other side: False only where not one byte was written.

    False is an honest `not-delivered`. True is `indeterminate`, whatever the error's name suggests.
    """
    return not isinstance(error, _NOT_BEGUN)


# The first row that fits holds. Which column is true is never read from the error: the request itself knows whether
# its first byte was written, and a reset looks the same before and after.
_TABLE: tuple[tuple[type[Exception], type[httpx.TransportError], type[httpx.TransportError]], ...] = (
    # what aiohttp or Python raised        nothing was written   written, or perhaps
    (TimeoutError, httpx.ConnectTimeout, httpx.ReadTimeout),
    (aiohttp.ServerDisconnectedError, httpx.ConnectError, httpx.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx.ConnectError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.ConnectError, httpx.RemoteProtocolError),
    (aiohttp.ClientOSError, httpx.ConnectError, httpx.ReadError),
    (aiohttp.ClientConnectionError, httpx.ConnectError, httpx.WriteError),
    (aiohttp.InvalidURL, UnsafeUrl, httpx.ReadError),
    (ValueError, RequestMalformed, httpx.ReadError),
    (Exception, httpx.ConnectError, httpx.ReadError),
)


def true_error(error: Exception, *, begun: bool) -> httpx.TransportError:
    """The httpx exception that is true of `error`; its message names the foreign class and quotes none of its text."""
    if isinstance(error, httpx.TransportError):
        return error
    kind = next(after if begun else before for foreign, before, after in _TABLE if isinstance(error, foreign))
    return kind(f"{'begun' if begun else 'not begun'}: {type(error).__name__}")


def system_error(error: BaseException | None) -> OSError | None:
    """What a mapped error is raised `from`: the operating system's error below it, if there is one.

    aiohttp's own is not chained, because tracebacks print it, and it quotes URLs with their query, header values and
    pieces of the reply.
    """
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, aiohttp.ClientError):
            return error
        error = error.__cause__ or error.__context__
    return None
