"""A running embedded server, shared by all who use its folder: started by the first of them, stopped by the last."""

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from consent_proxy.adapters.postgres.embedded.binaries import Binaries
from consent_proxy.adapters.postgres.embedded.databases import DATABASE, create_database, drop_database
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
from consent_proxy.adapters.postgres.embedded.folder import DataFolder, open_folder
from consent_proxy.adapters.postgres.embedded.launch import start_or_adopt
from consent_proxy.adapters.postgres.embedded.locks import SharedLock, alone, is_free
from consent_proxy.adapters.postgres.embedded.passwords import OWNER, SERVICE
from consent_proxy.adapters.postgres.embedded.postmaster import READY_WITHIN, find_postmaster, stop_postmaster
from consent_proxy.adapters.postgres.embedded.sockets import remove_temporary

_log = logging.getLogger(__name__)

# Longer than anybody may take to start or to stop a server.
_TURN_WITHIN = READY_WITHIN + 120.0
_WATCH_EVERY = 0.25
_WATCH_AFTER_FAILURE = 2.0
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


def start_cluster(data_dir: Path, *, binaries: Binaries, settings: Mapping[str, str] = _NO_SETTINGS) -> "Cluster":
    """Start the server on a folder, or join those who use it already, and return once it accepts connections.

    The first start makes the folder, the cluster, the roles and the database. `settings` are Postgres's, added to
    ours; they count only where this call starts the server. Call it before the process forks and from plain code
    (it blocks). Raises EmbeddedPostgresError, whose message says what to do.
    """
    try:
        return Cluster(open_folder(data_dir), binaries=binaries, settings=settings)
    except OSError as problem:
        raise EmbeddedPostgresError(
            f"The data folder {data_dir} cannot be used: {problem}. It must be on a local disk with room and belong to"
            " the account that runs consent-proxy: correct that, or choose another CONSENT_PROXY_DATA_DIR."
        ) from problem


class Cluster:
    """One user's hold on the server of a folder. The server runs until the last user has stopped or died.

    A user that was killed is forgotten at once, but stops nothing: the server lives on for whoever starts next.
    A forked child may use the addresses; its `stop` and its watching do nothing.
    """

    def __init__(self, folder: DataFolder, *, binaries: Binaries, settings: Mapping[str, str]) -> None:
        self._folder, self._binaries, self._settings = folder, binaries, settings
        self._process = os.getpid()
        self._leaving = threading.Event()
        self._watcher: threading.Thread | None = None
        with alone(folder.starting, within=_TURN_WITHIN):
            self._use = SharedLock(folder.using)
            try:
                self._address = start_or_adopt(folder, binaries=binaries, settings=settings)
            except BaseException:
                self._leave()
                raise

    @property
    def owner_url(self) -> str:
        """The address for migrations: the role that owns the database."""
        return self.url(OWNER)

    @property
    def service_url(self) -> str:
        """The address for the service: a role that owns nothing and creates nothing."""
        return self.url(SERVICE)

    def url(self, role: str, *, database: str = DATABASE) -> str:
        """`postgresql://role:password@/database?host=…&port=…`; three roles: the two above and `postgres`."""
        return self._address.url(role, database=database)

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Make a database of the owner's that the service may connect to: empty, or a copy of `template`.

        Nobody may be connected to the template. Raises asyncpg's errors: DuplicateDatabaseError, ObjectInUseError.
        """
        create_database(self._address, name, template=template)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending the sessions in it; one that does not exist is no error."""
        drop_database(self._address, name)

    def ensure_running(self) -> bool:
        """Start the server again if it died; True if it had to be. The addresses stay the same."""
        if os.getpid() != self._process or self._leaving.is_set() or find_postmaster(self._folder):
            return False
        with alone(self._folder.starting, within=_TURN_WITHIN):
            if self._leaving.is_set():
                return False
            before = find_postmaster(self._folder)
            self._address = start_or_adopt(
                self._folder, binaries=self._binaries, settings=self._settings, earlier=self._address.socket
            )
        return before is None

    def watch(self) -> None:
        """From now on start the server again whenever it dies. Call it after the process has forked its workers."""
        if self._watcher is None and os.getpid() == self._process:
            self._watcher = threading.Thread(target=self._watch, name="embedded-postgres-watch", daemon=True)
            self._watcher.start()

    def stop(self) -> None:
        """Leave the server, and stop it if nobody else uses it. May be called again; then it does nothing."""
        if os.getpid() != self._process or self._leaving.is_set():
            return
        self._leaving.set()
        if self._watcher is not None:
            self._watcher.join()
        with alone(self._folder.starting, within=_TURN_WITHIN):
            self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Cluster({str(self._folder.root)!r})"

    def _leave(self) -> None:
        self._use.release()
        if not is_free(self._folder.using):
            return
        running = find_postmaster(self._folder)
        stop_postmaster(self._folder)
        if running and running.socket:
            remove_temporary(running.socket)

    def _watch(self) -> None:
        pause = _WATCH_EVERY
        while not self._leaving.wait(pause):
            try:
                if self.ensure_running():
                    _log.warning("the embedded Postgres had died and was started again")
                pause = _WATCH_EVERY
            except Exception as problem:  # noqa: BLE001 - whatever it is, the service still needs its database
                _log.error("the embedded Postgres is down and could not be started: %s", problem)
                pause = _WATCH_AFTER_FAILURE
