"""One server a folder: the one that runs is adopted, and where none runs one is started."""

import time
from collections.abc import Mapping
from pathlib import Path

from consent_proxy.adapters.postgres.embedded.accounts import choose_account
from consent_proxy.adapters.postgres.embedded.binaries import Binaries
from consent_proxy.adapters.postgres.embedded.creation import check_version, create_cluster
from consent_proxy.adapters.postgres.embedded.databases import Address, prepare_roles
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError, ServerKilledError
from consent_proxy.adapters.postgres.embedded.folder import DataFolder
from consent_proxy.adapters.postgres.embedded.locks import handed_on, is_free
from consent_proxy.adapters.postgres.embedded.passwords import SUPERUSER, keep_passwords
from consent_proxy.adapters.postgres.embedded.postmaster import (
    READY_WITHIN,
    find_postmaster,
    forget_recycled_pid,
    read_pid_file,
    start_postmaster,
)
from consent_proxy.adapters.postgres.embedded.sockets import prepare_socket_folder

# Backends whose postmaster was killed end when they next wait for something.
_ORPHANS_GONE_WITHIN = 30.0
_REACHED_WITHIN = 15.0
_PAUSE = 0.02


def start_or_adopt(
    folder: DataFolder, *, binaries: Binaries, settings: Mapping[str, str], earlier: Path | None = None
) -> Address:
    """The address of a ready server on the folder, with its roles. Call it while holding `folder.starting` alone.

    `settings` and the `earlier` socket folder count only where this call starts the server.
    Raises EmbeddedPostgresError.
    """
    if folder.cluster.exists():
        check_version(folder, binaries=binaries)
    passwords = keep_passwords(folder)
    deadline = time.monotonic() + _REACHED_WITHIN
    while isinstance(reached := _reach(folder, binaries, settings, passwords, earlier), Exception):
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"The server dies again and again. {reached}") from reached
        time.sleep(_PAUSE)
    return reached


def _reach(
    folder: DataFolder,
    binaries: Binaries,
    settings: Mapping[str, str],
    passwords: Mapping[str, str],
    earlier: Path | None,
) -> Address | Exception:
    """The address of a server with its roles, or what became of it meanwhile: another one may do better."""
    try:
        socket = _adopt(folder) or _start(folder, binaries, settings, passwords[SUPERUSER], earlier)
    except ServerKilledError as killed:
        return killed
    address = Address(socket=socket, passwords=passwords)
    try:
        prepare_roles(address)
    except EmbeddedPostgresError:
        raise
    except Exception as problem:  # noqa: BLE001 - asyncpg has many words for a lost connection
        return problem
    return address


def _adopt(folder: DataFolder) -> Path | None:
    """The socket folder of the server that runs, once it is ready; None when the last of its processes is gone."""
    began = time.monotonic()
    while True:
        running = find_postmaster(folder)
        if running and running.is_ready:
            return running.socket
        if running is None and is_free(folder.serving):
            return None
        waited = time.monotonic() - began
        if waited > (READY_WITHIN if running else _ORPHANS_GONE_WITHIN):
            raise EmbeddedPostgresError(_unclear(folder, running.pid if running else None))
        time.sleep(_PAUSE)


def _start(
    folder: DataFolder, binaries: Binaries, settings: Mapping[str, str], password: str, earlier: Path | None
) -> Path:
    account, binaries = choose_account(folder, binaries=binaries)
    left_behind = read_pid_file(folder)
    earlier = earlier or (left_behind.socket if left_behind else None)
    with handed_on(folder.serving, within=_ORPHANS_GONE_WITHIN) as serving:
        if not folder.cluster.exists():
            create_cluster(folder, account=account, binaries=binaries, password=password, serving=serving)
        forget_recycled_pid(folder)
        socket = prepare_socket_folder(folder, account=account, earlier=earlier)
        start_postmaster(folder, account=account, binaries=binaries, socket=socket, serving=serving, settings=settings)
    return socket


def _unclear(folder: DataFolder, pid: int | None) -> str:
    if pid is not None:
        return f"The server on {folder.cluster} (process {pid}) runs but does not get ready. Read {folder.log}."
    return (
        f"A server that cannot be seen from here holds {folder.serving}: it runs in another container on the same"
        f" folder, or it was killed and part of it still runs (`fuser {folder.serving}` names it). Two servers would"
        " destroy the database. End the other one, or choose another CONSENT_PROXY_DATA_DIR."
    )
