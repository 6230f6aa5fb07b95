"""Relaying a result: from a capability on our host to the bytes at the provider, without our key."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from consent_proxy.application.ports.platform import Clock
from consent_proxy.application.ports.providers import OutputStream, OutputUnavailable, Provider
from consent_proxy.application.ports.transfers import Jobs
from consent_proxy.domain.refusals import Reason, Refusal


async def open_output(
    capability: str, *, jobs: Jobs, providers: Mapping[str, Provider], clock: Clock, range_header: str | None = None
) -> OutputStream | Refusal:
    """Open the result a capability names, for streaming on. Raises ``LedgerUnavailable``."""
    output = await jobs.find_output(capability)
    if output is None or output.provider not in providers:
        return Refusal(reason=Reason.NOT_FOUND, detail="there is no such file")
    if clock.now() >= output.expires_at:
        return Refusal(
            reason=Reason.OUTPUT_EXPIRED, detail="this address has expired, and is not renewed: fetch results soon"
        )
    headers = {"range": range_header} if range_header is not None else {}
    try:
        return await providers[output.provider].open_output(output.url, headers=headers)
    except OutputUnavailable:
        return Refusal(reason=Reason.PROVIDER_UNREACHABLE, detail="the provider does not hand out this file now")


async def let_go(chunks: AsyncIterator[bytes]) -> None:
    """Let go of a result that is not read on; one that was read to its end takes no harm."""
    close: Any = getattr(chunks, "aclose", None)
    if close is not None:
        await close()
