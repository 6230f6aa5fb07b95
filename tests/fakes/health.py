"""The database's health, as a test says it is."""

from consent_proxy.application.ports.platform import Readiness


class FakeLedgerHealth:
    """Fulfils ``LedgerHealth``."""

    def __init__(self, readiness: Readiness | None = None) -> None:
        self.readiness = readiness if readiness is not None else Readiness(ready=True)

    async def check(self) -> Readiness:
        return self.readiness
