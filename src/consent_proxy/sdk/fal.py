"""The official fal clients, with every request of theirs brought to this service and to nowhere else."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

import httpx
from fal_client import AsyncClient, SyncClient
from fal_client.auth import AuthCredentials
from fal_client.client import USER_AGENT, AsyncCDNTokenManager, CDNTokenManager

from consent_proxy.sdk.addresses import Address, subject_headers

Headers = tuple[tuple[str, str], ...]

#: fal's hosts as its SDK knows them, and where their paths begin with us.
_DOORS = {
    "fal.run": "/fal/run",
    "queue.fal.run": "/fal/queue",
    "rest.fal.ai": "/fal/rest",
    "v3.fal.media": "/fal/cdn",
}


def fal_client(
    url: str, credential: str, subject: str | None = None, kind: str | None = None, *, timeout: float = 120.0
) -> SyncClient:
    """The official client, pointed at the service at ``url``, for one person or with a subject token.

    ``timeout`` is the SDK's own ``default_timeout``, in seconds. Realtime connections raise ``NotImplementedError``.
    Raises ``ValueError`` for plain http to another machine.
    """
    address = Address.of(url)
    return _SyncClient(key=credential, default_timeout=timeout, address=address, about=subject_headers(subject, kind))


def async_fal_client(
    url: str, credential: str, subject: str | None = None, kind: str | None = None, *, timeout: float = 120.0
) -> AsyncClient:
    """As ``fal_client``, for asyncio."""
    address = Address.of(url)
    return _AsyncClient(key=credential, default_timeout=timeout, address=address, about=subject_headers(subject, kind))


class _Pointing(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Brings a request to the service whatever host it names, and sends nothing anywhere else."""

    def __init__(self, address: Address, about: Headers) -> None:
        self._address = address
        self._about = about
        self._sync: httpx.HTTPTransport | None = None
        self._async: httpx.AsyncHTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._sync is None:
            self._sync = httpx.HTTPTransport()
        return self._sync.handle_request(self._pointed(request))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._async is None:
            self._async = httpx.AsyncHTTPTransport()
        return await self._async.handle_async_request(self._pointed(request))

    def close(self) -> None:
        if self._sync is not None:
            self._sync.close()

    async def aclose(self) -> None:
        if self._async is not None:
            await self._async.aclose()

    def _pointed(self, request: httpx.Request) -> httpx.Request:
        """Raises ``httpx.UnsupportedProtocol`` for an address that is neither fal's nor ours."""
        url = self._address.below(_our_path(request.url), query=request.url.query)
        headers = httpx.Headers([*request.headers.multi_items(), *self._about])
        headers["host"] = url.netloc.decode("ascii")
        return httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)


def _our_path(url: httpx.URL) -> str:
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    if url.host in _DOORS:
        return _DOORS[url.host] + path
    # Addresses in replies, and those of an SDK that the environment points here already.
    ours = path.find("/fal/")
    if ours < 0:
        raise httpx.UnsupportedProtocol("this client speaks to the consent proxy only")
    return path[ours:]


@dataclass(frozen=True)
class _SyncClient(SyncClient):
    address: Address = field(kw_only=True)
    about: Headers = field(kw_only=True, repr=False)

    @cached_property
    def _client(self) -> httpx.Client:
        return self._pointed_client(self._auth.header_value)

    @cached_property
    def _token_manager(self) -> CDNTokenManager:
        return _PointedTokens(self._auth, self.address, self.about)

    def _get_cdn_client(self) -> httpx.Client:
        token = self._token_manager.get_token()
        return self._pointed_client(f"{token.token_type} {token.token}")

    def _pointed_client(self, authorization: str) -> httpx.Client:
        return httpx.Client(
            transport=_Pointing(self.address, self.about),
            headers={"Authorization": authorization, "User-Agent": USER_AGENT},
            timeout=self.default_timeout,
        )

    def realtime(self, *_: Any, **__: Any) -> NoReturn:
        _refuse_realtime()

    def ws_connect(self, *_: Any, **__: Any) -> NoReturn:
        _refuse_realtime()


@dataclass(unsafe_hash=True)
class _AsyncClient(AsyncClient):
    address: Address = field(kw_only=True)
    about: Headers = field(kw_only=True, repr=False)

    @property
    def _client(self) -> Awaitable[httpx.AsyncClient]:
        return self._pointed_client()

    @property
    def _token_manager(self) -> Awaitable[AsyncCDNTokenManager]:
        return self._pointed_manager()

    @asynccontextmanager
    async def _cdn_client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(
            transport=_Pointing(self.address, self.about),
            headers={"User-Agent": USER_AGENT},
            timeout=self.default_timeout,
        ) as client:
            yield client

    async def _pointed_client(self) -> httpx.AsyncClient:
        kept: httpx.AsyncClient | None = self.__dict__.get("_kept_client")
        if kept is None:
            kept = self.__dict__["_kept_client"] = httpx.AsyncClient(
                transport=_Pointing(self.address, self.about),
                headers={"Authorization": f"Key {self.key}", "User-Agent": USER_AGENT},
                timeout=self.default_timeout,
            )
        return kept

    async def _pointed_manager(self) -> AsyncCDNTokenManager:
        kept: AsyncCDNTokenManager | None = self.__dict__.get("_kept_manager")
        if kept is None:
            auth = AuthCredentials("Key", self.key or "")
            kept = self.__dict__["_kept_manager"] = _PointedAsyncTokens(auth, self.address, self.about)
        return kept

    def realtime(self, *_: Any, **__: Any) -> NoReturn:
        _refuse_realtime()

    def ws_connect(self, *_: Any, **__: Any) -> NoReturn:
        _refuse_realtime()


class _PointedTokens(CDNTokenManager):
    def __init__(self, auth: AuthCredentials, address: Address, about: Headers) -> None:
        super().__init__(auth)
        self._url = _token_url(address)
        self._headers.update(about)


class _PointedAsyncTokens(AsyncCDNTokenManager):
    def __init__(self, auth: AuthCredentials, address: Address, about: Headers) -> None:
        super().__init__(auth)
        self._url = _token_url(address)
        self._headers.update(about)


def _token_url(address: Address) -> str:
    return str(address.below("/fal/rest/storage/auth/token", query=b"storage_type=fal-cdn-v3"))


def _refuse_realtime() -> NoReturn:
    """A web socket of the SDK's goes straight to fal, and would take the credential there."""
    raise NotImplementedError("realtime connections are not offered through the consent proxy")
