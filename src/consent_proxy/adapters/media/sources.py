"""Fetching a file that a request names by its address: from hosts the operator lists, and public machines only."""

from collections.abc import AsyncIterator, Iterable

import httpx

from consent_proxy.adapters.addresses import PublicResolver, is_address, is_public
from consent_proxy.adapters.http import Outbound, OutboundTransport, Timeouts, chunks
from consent_proxy.adapters.listed_hosts import ListedHosts
from consent_proxy.application.ports.media import MediaTooLarge, MediaUnreadable

#: The whole of a file has to be here after so many seconds, however slowly it drips.
LONGEST = 60.0
_OK = 200


class ListedSources:
    """Fulfils ``MediaSource``. ``hosts`` are ``host``, ``host:port`` or ``*.suffix``.

    Each request has a connection of its own, carries no credential and no cookie, and follows no redirect. A host is
    looked up once, and the connection is made to the address that was looked at. An address of this machine is
    reached only where ``hosts`` has it with its port.
    """

    def __init__(self, outbound: Outbound, *, hosts: Iterable[str], max_bytes: int, longest: float = LONGEST) -> None:
        self._outbound, self._hosts, self._max_bytes = outbound, ListedHosts.of(hosts), max_bytes
        self._timeouts = Timeouts(connect=min(10.0, longest), read=min(15.0, longest), total=longest)

    def allows(self, url: str) -> bool:
        """See ``MediaSource``."""
        if not self._hosts.allows(url):
            return False
        host = httpx.URL(url).host
        return host in self._hosts.on_this_machine or not is_address(host) or is_public(host)

    async def fetch(self, url: str) -> AsyncIterator[bytes]:
        """See ``MediaSource``. The address, which may hold a signature, is repeated in no error."""
        try:
            response = await self._outbound.request("GET", url, headers={"accept": "*/*"}, timeout=self._timeouts)
        except httpx.TransportError as error:
            raise MediaUnreadable(type(error).__name__) from None
        try:
            declared = response.headers.get("content-length", "")
            if response.status_code != _OK:
                raise MediaUnreadable(f"its host answered {response.status_code}")
            if declared.isdecimal() and int(declared) > self._max_bytes:
                raise MediaTooLarge(self._max_bytes)
            async for piece in chunks(response):
                yield piece
        except httpx.TransportError as error:
            raise MediaUnreadable(type(error).__name__) from None
        finally:
            await response.aclose()


def source_transport(hosts: Iterable[str]) -> OutboundTransport:
    """The way to such hosts: connections to public machines, none of which is kept for a second request."""
    exempt = ListedHosts.of(hosts).on_this_machine
    return OutboundTransport(resolver=PublicResolver(exempt=exempt), keepalive_seconds=None)
