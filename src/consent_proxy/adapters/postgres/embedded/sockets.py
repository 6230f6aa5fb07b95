"""Where the server's socket lies: in a folder that nobody else may enter, under a path that is short enough."""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from consent_proxy.adapters.postgres.embedded.accounts import Account, reaches
from consent_proxy.adapters.postgres.embedded.folder import DataFolder

PORT = 5432
_SOCKET = f".s.PGSQL.{PORT}"
# The shortest limit of a socket's path is macOS's: 104 bytes with the closing NUL.
_LONGEST_PATH = 103
_PREFIX = "consent-proxy-"
_LAST_RESORT = Path("/tmp")  # noqa: S108 - a folder of our own is made in it, closed to others and of a random name


def prepare_socket_folder(folder: DataFolder, *, account: Account, earlier: Path | None) -> Path:
    """A folder for the socket, empty and the account's alone: one in the data folder where its path will do.

    Otherwise one in the temporary folder: the `earlier` one if it can be had, so that addresses given out still hold.
    Call it only while no server runs on the data folder.
    """
    if _is_fit(folder.socket):
        shutil.rmtree(folder.socket, ignore_errors=True)
        account.make_folder(folder.socket)
        return folder.socket
    if earlier is not None and _is_temporary(earlier) and _can_be_had(earlier, account):
        return earlier
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_temporary_folder(account)))
    account.take(made)
    return made


def remove_temporary(socket: Path) -> None:
    """Remove a socket's folder, after its server has ended, if it lies in the temporary folder."""
    if _is_temporary(socket):
        shutil.rmtree(socket, ignore_errors=True)


def _is_fit(folder: Path) -> bool:
    """Whether a socket's path in this folder is short enough and reads the same in a setting, a list and a URL."""
    path = str(folder / _SOCKET)
    return len(os.fsencode(path)) <= _LONGEST_PATH and re.fullmatch(r"[\w./+-]+", path, re.ASCII) is not None


def _is_temporary(folder: Path) -> bool:
    return folder.name.startswith(_PREFIX) and folder.parent in (Path(tempfile.gettempdir()), _LAST_RESORT)


def _can_be_had(folder: Path, account: Account) -> bool:
    """Whether the folder is the account's alone or can be made so; left-overs of a killed server are removed."""
    try:
        account.make_folder(folder)
    except FileExistsError:
        found = folder.lstat()
        private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == stat.S_IRWXU
        if not private or found.st_uid != account.owner:
            return False
        for left_over in (folder / _SOCKET, folder / f"{_SOCKET}.lock"):
            left_over.unlink(missing_ok=True)
    return True


def _temporary_folder(account: Account) -> Path:
    usual = Path(tempfile.gettempdir())
    if not _is_fit(usual / f"{_PREFIX}12345678"):
        return _LAST_RESORT
    return usual if account.way != "drop" or reaches(usual, account) else _LAST_RESORT
