"""Real Postgres for tests: one server a session, one migrated database to copy, one copy a test.

A `conftest.py` that wants it imports the fixtures by name.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from consent_proxy.adapters.postgres.embedded.binaries import DEBIAN, Binaries, find_binaries
from consent_proxy.adapters.postgres.embedded.cluster import Cluster, start_cluster
from consent_proxy.adapters.postgres.embedded.passwords import OWNER, SERVICE, SUPERUSER
from consent_proxy.adapters.postgres.migrate import migrate

TEMPLATE = "migrated"
#: It skips syncing: what a test kills is the server, never the machine. It can say in which order commits came.
SETTINGS = {"fsync": "off", "track_commit_timestamp": "on"}
DEBIAN_15 = DEBIAN / "15" / "bin"

_number = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDatabase:
    """A migrated database of a test's own, and how each role gets in."""

    cluster: Cluster
    name: str

    @property
    def owner_url(self) -> str:
        return self.cluster.url(OWNER, database=self.name)

    @property
    def service_url(self) -> str:
        return self.cluster.url(SERVICE, database=self.name)

    @property
    def superuser_url(self) -> str:
        return self.cluster.url(SUPERUSER, database=self.name)


def bundled_binaries() -> Binaries:
    """Those the service would use, unless the shell names others."""
    named = os.environ.get("CONSENT_PROXY_PG_BIN")
    return find_binaries(Path(named) if named else None)


def debian_binaries() -> Binaries:
    if not DEBIAN_15.exists():
        pytest.skip("needs Debian's Postgres 15")
    return find_binaries(DEBIAN_15)


@contextmanager
def serving(binaries: Binaries) -> Iterator[Cluster]:
    """A server with nothing in it."""
    folder = Path(tempfile.mkdtemp(prefix="cp-"))
    folder.chmod(0o755)
    try:
        with start_cluster(folder / "data", binaries=binaries, settings=SETTINGS) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder)


@contextmanager
def serving_migrated(binaries: Binaries) -> Iterator[Cluster]:
    """A server with the database that ``clone`` copies."""
    with serving(binaries) as cluster:
        cluster.create_database(TEMPLATE)
        migrate(cluster.url(OWNER, database=TEMPLATE), service_role=SERVICE)
        yield cluster


@contextmanager
def clone(cluster: Cluster) -> Iterator[LedgerDatabase]:
    """A copy of the migrated database, dropped in the end."""
    name = f"test_{next(_number)}"
    cluster.create_database(name, template=TEMPLATE)
    try:
        yield LedgerDatabase(cluster=cluster, name=name)
    finally:
        cluster.drop_database(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """The server of this session, of the version that comes with the service."""
    with serving_migrated(bundled_binaries()) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[Cluster]:
    """A server of the oldest version that is supported."""
    with serving_migrated(debian_binaries()) as cluster:
        yield cluster


@pytest.fixture
def ledger_database(postgres: Cluster) -> Iterator[LedgerDatabase]:
    """A migrated database of this test's own."""
    with clone(postgres) as database:
        yield database


@pytest.fixture(params=["postgres", "postgres_15"])
def any_ledger_database(request: pytest.FixtureRequest) -> Iterator[LedgerDatabase]:
    """The same, on the version that comes with the service and on the oldest that is supported."""
    with clone(request.getfixturevalue(request.param)) as database:
        yield database
