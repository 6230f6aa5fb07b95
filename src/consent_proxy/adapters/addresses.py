"""Which machines may be asked for a file that a caller names: public ones, by the very address that was looked at."""

import socket
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

#: Addresses that carry an IPv4 address to somewhere else: NAT64, 6to4, Teredo. Nobody needs them to reach a file.
_CARRIERS = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")))
#: Public by their number, and a cloud's own machines all the same, which hand out settings and secrets: Azure's agent,
#: and the protocol assignments (RFC 6890), where Oracle's is and of which older Pythons take some for public.
_METADATA = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))


class NotPublic(OSError):
    """A host that has, among its addresses, one that is not a public machine's."""


def is_address(host: str) -> bool:
    """Whether a host is written as an IP address, which nobody looks up."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the internet may reach; False for a text that is none."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        if parsed.is_site_local or any(parsed in network for network in _CARRIERS):
            return False
    elif any(parsed in network for network in _METADATA):
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


class PublicResolver(AbstractResolver):
    """Looks a host up once and hands on its addresses, which the connection is then made to, if all are public.

    ``exempt`` are hosts that may be this machine: those an operator lists by a loopback address.
    """

    def __init__(self, *, exempt: frozenset[str], resolver: AbstractResolver | None = None) -> None:
        self._exempt, self._resolver = exempt, resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises ``NotPublic``, and ``OSError`` where the host is not known."""
        resolver = self._resolver or ThreadedResolver()
        found = await resolver.resolve(host, port, family)
        if host not in self._exempt and not all(is_public(result["host"]) for result in found):
            raise NotPublic
        return found

    async def close(self) -> None:
        """Nothing is kept open."""
