"""The command line at a real service: over HTTP, and at its database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import At, at_database, at_service
from tests.cli.strangers import Stranger
from tests.live import Live, apart, live_sandbox, own_live, unpublished
from tests.postgres import postgres

__all__ = ["apart", "live_sandbox", "own_live", "postgres", "unpublished"]


@pytest.fixture(params=[at_service, at_database], ids=["over HTTP", "at the database"])
def at(request: pytest.FixtureRequest, apart: Live) -> At:
    """Where commands are carried out: both ways to one service."""
    desk: At = request.param(apart)
    return desk


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """A server that answers as it is told."""
    with Stranger() as server:
        yield server


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[At]:
    """Settings without a database. A command that starts the embedded one leaves a trace, and fails the test."""
    folder = tmp_path / "data"
    yield At(environment={"CONSENT_PROXY_DATA_DIR": str(folder)})
    assert not folder.exists(), "a database was started"
