"""Hosts that an operator lists, and which addresses lie on them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from consent_proxy.adapters.http import UnsafeUrl, is_loopback, safe_url

# What may stand in a URL that is kept in a table and sent again: printable ASCII.
_URL = re.compile(r"https?://[!-~]{1,2040}", re.IGNORECASE)
# What most results look like, so that reading thousands of replies does not parse each address in full.
_PLAIN_URL = re.compile(r"https://([a-z0-9.-]{1,253})/[A-Za-z0-9._~/-]{0,1700}")


@dataclass(frozen=True, slots=True)
class ListedHosts:
    """``host``, ``host:port`` or ``*.suffix``; https, and plain http to this machine only."""

    exact: frozenset[str]
    suffixes: tuple[str, ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "ListedHosts":
        """Read the setting."""
        lowered = [pattern.lower() for pattern in patterns]
        return cls(
            exact=frozenset(pattern for pattern in lowered if not pattern.startswith("*.")),
            suffixes=tuple(pattern[1:] for pattern in lowered if pattern.startswith("*.")),
        )

    def allows(self, url: str) -> bool:
        """Whether this URL lies on one of them, at its port."""
        if (plain := _PLAIN_URL.fullmatch(url)) is not None:
            return plain[1] in self.exact or plain[1].endswith(self.suffixes)
        if _URL.fullmatch(url) is None:
            return False
        try:
            parsed = safe_url(url)
        except UnsafeUrl:
            return False
        place = parsed.netloc.decode("ascii")
        return place in self.exact or place.endswith(self.suffixes)

    @property
    def on_this_machine(self) -> frozenset[str]:
        """Those hosts among them, without their ports, that are this machine by their very name."""
        hosts = (pattern.rpartition(":")[0] for pattern in self.exact if ":" in pattern)
        return frozenset(host.strip("[]") for host in hosts if is_loopback(host.strip("[]")))
