"""Whose rights the server runs with: ours, a lesser account's, or ours under another number."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from consent_proxy.adapters.postgres.embedded.binaries import Binaries, copy_wheel, minimal_environment
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
from consent_proxy.adapters.postgres.embedded.folder import DataFolder

_LESSER_ACCOUNTS = ("postgres", "nobody")
_PROGRAM = Path(__file__).with_name("become.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account, and how a command comes to run as it.

    As we are; by dropping to it; in a namespace where we are called so, though our files stay ours; or by dropping to
    it and passing through folders that are closed to it.
    """

    uid: int
    gid: int
    way: Literal["as-we-are", "drop", "namespace", "pass-through"]

    @property
    def owner(self) -> int:
        """The uid that the account's files have."""
        return os.geteuid() if self.way in {"as-we-are", "namespace"} else self.uid

    def run(
        self, command: Sequence[str | Path], *, inherited: Sequence[int] = ()
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; stdout and stderr come back as one text. Whoever interrupts us ends it too."""
        process = self.spawn(command, output=subprocess.PIPE, inherited=inherited)
        try:
            text, _ = process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()  # to the end of the output, so until the last of the command's own children is gone
            raise
        return subprocess.CompletedProcess(command, process.returncode, text)

    def spawn(
        self, command: Sequence[str | Path], *, output: int, inherited: Sequence[int] = ()
    ) -> "subprocess.Popen[str]":
        """Start a command in a session of its own, so that a terminal's Ctrl-C is ours alone to answer."""
        drop = self.way == "drop"
        if self.way in {"namespace", "pass-through"}:
            command = [sys.executable, "-I", "-S", _PROGRAM, self.way, str(self.uid), str(self.gid), *command]
        return subprocess.Popen(  # noqa: S603 - no shell, and the commands are ours
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=minimal_environment(),
            user=self.uid if drop else None,
            group=self.gid if drop else None,
            extra_groups=[] if drop else None,
            umask=0o077,
            start_new_session=True,
            pass_fds=inherited,
        )

    def make_folder(self, path: Path) -> None:
        """Make a folder that this account alone may enter. Raises FileExistsError where the path is taken."""
        path.mkdir(mode=0o700)
        self.take(path)

    def take(self, path: Path) -> None:
        """Give a file or folder that we made to this account."""
        if self.owner != os.geteuid():
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


_Chosen = tuple[Account, Binaries]


def choose_account(folder: DataFolder, *, binaries: Binaries) -> _Chosen:
    """The account for the server on this folder, and the binaries where it can reach them.

    A cluster that exists is run by the account that owns it. No folder's permissions are ever widened.
    Raises EmbeddedPostgresError when no way is open.
    """
    closed: list[str] = []
    for attempt in _attempts(folder, binaries):
        chosen = attempt()
        if not isinstance(chosen, str):
            return chosen
        closed.append(chosen)
    raise EmbeddedPostgresError(
        f"Postgres runs neither as root nor as an account without a name, and no other account will do:"
        f" {'; '.join(closed)}. Use a data folder that every account may pass through, such as"
        " /var/lib/consent-proxy (CONSENT_PROXY_DATA_DIR), run consent-proxy as an ordinary account that has a name, or"
        " set CONSENT_PROXY_DATABASE_URL."
    )


def reaches(path: Path, account: Account) -> bool:
    """Whether an account with no other groups may pass through a folder and all folders above it."""
    place = path.resolve()
    for folder in (place, *place.parents):
        status = folder.stat()
        shift = 6 if status.st_uid == account.uid else 3 if status.st_gid == account.gid else 0
        if not status.st_mode >> shift & 0o1:
            return False
    return True


def _attempts(folder: DataFolder, binaries: Binaries) -> Iterator[Callable[[], _Chosen | str]]:
    """The ways that may be open, the one with the least rights first; each gives its result, or why it is closed."""
    myself = Account(uid=os.geteuid(), gid=os.getegid(), way="as-we-are")
    owner = _owner(folder)
    lesser = _lesser_account()
    if myself.uid != 0 and owner and owner.uid != myself.uid:
        raise EmbeddedPostgresError(
            f"The database in {folder.cluster} belongs to {_name(owner)}, and we are {_name(myself)}. Run consent-proxy"
            " as the account that made it, or choose another CONSENT_PROXY_DATA_DIR."
        )
    if myself.uid != 0 and (owner or _has_name(myself.uid)):
        yield lambda: (myself, binaries)
    elif owner and owner.uid != 0:
        yield lambda: _drop(folder, owner, binaries)
        yield lambda: _become(replace(owner, way="pass-through"), binaries)
    elif lesser is None:
        yield lambda: "there is no account postgres or nobody"
    elif owner or myself.uid != 0:
        yield lambda: _become(replace(lesser, way="namespace"), binaries)
    else:
        yield lambda: _drop(folder, lesser, binaries)
        yield lambda: _become(replace(lesser, way="namespace"), binaries)
        yield lambda: _become(replace(lesser, way="pass-through"), binaries)


def _drop(folder: DataFolder, account: Account, binaries: Binaries) -> _Chosen | str:
    if not reaches(folder.root, account):
        return f"{_name(account)} may not pass through to {folder.root}"
    try:
        if not reaches(binaries.folder, account):
            binaries = copy_wheel(binaries, into=folder.binaries) or binaries
        return _become(account, binaries)
    except OSError as problem:  # without CAP_SETUID, or in a container that knows only one account
        return f"root may not become {_name(account)} ({problem.strerror})"


def _become(account: Account, binaries: Binaries) -> _Chosen | str:
    tried = account.run([binaries.postgres, "--version"])
    if tried.returncode == 0:
        return account, binaries
    return f"becoming {_name(account)} ({account.way}) fails, {tried.stdout.strip()}"


def _owner(folder: DataFolder) -> Account | None:
    if not folder.cluster.exists():
        return None
    found = folder.cluster.stat()
    return Account(uid=found.st_uid, gid=found.st_gid, way="drop")


def _lesser_account() -> Account | None:
    for name in _LESSER_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid, way="drop")
    return None


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return False


def _name(account: Account) -> str:
    return f"the account {pwd.getpwuid(account.uid).pw_name if _has_name(account.uid) else account.uid}"
