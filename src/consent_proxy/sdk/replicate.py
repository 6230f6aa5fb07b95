"""The official Replicate client, pointed at this service."""

import re

import httpx
from replicate.client import Client

from consent_proxy.sdk.addresses import Address, is_loopback, subject_headers

_PLAIN_FILES = re.compile(rb'"http(://(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?/[^"\s]*?v1/files/)')


def replicate_client(url: str, credential: str, subject: str | None = None, kind: str | None = None) -> Client:
    """The official client, pointed at the service at ``url``, for one person or with a subject token.

    Raises ``ValueError`` for plain http to another machine.
    """
    address = Address.of(url)
    return Client(
        api_token=credential,
        base_url=str(address.below("/replicate")),
        headers=dict(subject_headers(subject, kind)),
        transport=_OnThisMachine() if address.is_plain else None,
    )


class _OnThisMachine(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Plain http to this machine for an SDK that takes only https addresses in a result for files.

    Files are shown to it as https, and what it asks this machine for goes over http.
    """

    def __init__(self) -> None:
        self._sync: httpx.HTTPTransport | None = None
        self._async: httpx.AsyncHTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._sync is None:
            self._sync = httpx.HTTPTransport()
        response = self._sync.handle_request(_plain(request))
        if _is_json(response):
            response.read()
            response = _shown(response)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._async is None:
            self._async = httpx.AsyncHTTPTransport()
        response = await self._async.handle_async_request(_plain(request))
        if _is_json(response):
            await response.aread()
            response = _shown(response)
        return response

    def close(self) -> None:
        if self._sync is not None:
            self._sync.close()

    async def aclose(self) -> None:
        if self._async is not None:
            await self._async.aclose()


def _plain(request: httpx.Request) -> httpx.Request:
    if not is_loopback(request.url.host):
        raise httpx.UnsupportedProtocol("this client speaks to the consent proxy on this machine only")
    return httpx.Request(
        request.method,
        request.url.copy_with(scheme="http"),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )


def _is_json(response: httpx.Response) -> bool:
    media_type: str = response.headers.get("content-type", "")
    return media_type.startswith("application/json")


def _shown(response: httpx.Response) -> httpx.Response:
    """A reply that was read, with our files' addresses as https."""
    kept = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name not in {"content-length", "content-encoding", "transfer-encoding"}
    ]
    content = _PLAIN_FILES.sub(rb'"https\1', response.content)
    return httpx.Response(response.status_code, headers=kept, content=content, extensions=response.extensions)
