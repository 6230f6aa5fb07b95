"""Real Postgres, and a sandbox on a real wire, for every test of this folder that asks for them."""

from collections.abc import Iterator

import pytest

from consent_proxy.sandbox.server import Sandbox
from tests.postgres import ledger_database, postgres

__all__ = ["ledger_database", "postgres"]


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(slow_seconds=0.5) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Local fal and Replicate, well-behaved and with nothing on their wire."""
    running_sandbox.behave_well()
    running_sandbox.wire.clear()
    yield running_sandbox
    running_sandbox.behave_well()
