"""What `doctor --egress` tries, and what it says of what it finds."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from consent_proxy.adapters.egress import KNOWN_HOSTS, reachable
from consent_proxy.application.ports.platform import Finding
from consent_proxy.settings import Settings

_HTTPS = 443


def other_hosts(settings: Settings) -> list[str]:
    """The providers' hosts that this service, as it is set up, has no business with."""
    fal, replicate = settings.fal, settings.replicate
    addresses = (fal.run_url, fal.queue_url, fal.rest_url, fal.cdn_url, fal.api_url, fal.jwks_url, replicate.api_url)
    own = {urlsplit(address).hostname for address in addresses}
    patterns = (*fal.output_hosts, *replicate.delivery_hosts, *replicate.stream_hosts)
    return [host for host in KNOWN_HOSTS if host not in own and not any(_matches(host, each) for each in patterns)]


def egress_findings(hosts: Iterable[str], *, port: int = _HTTPS) -> list[Finding]:
    """One finding for all that can be reached; none is the good news."""
    opened = sorted(host for host, _ in reachable((host, port) for host in hosts))
    if not opened:
        return []
    message = (
        f"this machine can reach {', '.join(opened)}: SDKs and their fallbacks go there past this service; allow egress"
        " to the hosts in the settings only, and from your backends to this service only"
    )
    return [Finding("egress-open", message)]


def _matches(host: str, pattern: str) -> bool:
    name = pattern.partition(":")[0]
    return host == name or (name.startswith("*.") and host.endswith(name[1:]))
