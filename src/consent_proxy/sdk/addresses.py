"""Where the service is, and who the data is about: what every SDK has to be told."""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote

import httpx


@dataclass(frozen=True, slots=True)
class Address:
    """The service's address, with a path before ours if it has one."""

    url: httpx.URL

    @classmethod
    def of(cls, url: str) -> "Address":
        """Read an address. Raises ``ValueError`` for one that a credential may not be sent to."""
        parsed = httpx.URL(url.rstrip("/"))
        if parsed.scheme != "https" and not (parsed.scheme == "http" and is_loopback(parsed.host)):
            raise ValueError("the service's url begins with https://; plain http is for loopback addresses only")
        if parsed.query or parsed.fragment or parsed.userinfo:
            raise ValueError("the service's url has no user, query or fragment")
        return cls(parsed)

    @property
    def is_plain(self) -> bool:
        """Whether it is plain http, on this machine."""
        return self.url.scheme == "http"

    def below(self, path: str, *, query: bytes = b"") -> httpx.URL:
        """The service's URL for a path of ours."""
        raw = self.url.path.rstrip("/").encode() + path.encode()
        return self.url.copy_with(raw_path=raw + (b"?" + query if query else b""))


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def subject_headers(subject: str | None, kind: str | None) -> tuple[tuple[str, str], ...]:
    """The headers that name the person; none where the credential is a subject token."""
    named = {
        "Consent-Subject": quote(subject, safe="") if subject is not None else None,
        "Consent-Subject-Kind": kind,
    }
    return tuple((name, value) for name, value in named.items() if value is not None)
