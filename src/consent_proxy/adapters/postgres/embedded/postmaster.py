"""The server's first process: started, recognised by its pid file and command line, waited for, ended."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from consent_proxy.adapters.postgres.embedded.accounts import Account
from consent_proxy.adapters.postgres.embedded.binaries import Binaries
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError, ServerKilledError
from consent_proxy.adapters.postgres.embedded.folder import DataFolder
from consent_proxy.adapters.postgres.embedded.sockets import PORT

# A server that replays its log after a crash is not ready before it has done so.
READY_WITHIN = 300.0
STOPPED_WITHIN = 30.0
_PAUSE = 0.01
_LARGEST_LOG = 8 * 1024 * 1024
_PROCESSES = Path("/proc")
_PID_LINE, _SOCKET_LINE, _STATUS_LINE = 0, 4, 7

SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    # Statements, details and error messages quote values, and a value may be personal data: none is logged here.
    # Who ran the statement gets its error all the same.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

# The servers that this process started, with the pid of the process that may wait for them: only a parent can tell
# its dead child from a live one, and a forked worker is not the parent.
_children: dict[int, tuple[int, "subprocess.Popen[str]"]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """A server's first process as its pid file tells of it; `socket` and `status` come some time after the start."""

    pid: int
    socket: Path | None
    status: str

    @property
    def is_ready(self) -> bool:
        return self.status == "ready" and self.socket is not None


def find_postmaster(folder: DataFolder) -> Postmaster | None:
    """The live postmaster of this folder. A pid file alone proves nothing: it outlives `kill -9` and says "ready"."""
    told = read_pid_file(folder)
    return told if told and _is_alive(told.pid) and _serves(told.pid, folder.cluster) else None


def read_pid_file(folder: DataFolder) -> Postmaster | None:
    """What the pid file says, true or not (PostgreSQL's miscinit.c gives the lines their meaning)."""
    try:
        lines = (folder.cluster / "postmaster.pid").read_text().splitlines()
        lines += [""] * (_STATUS_LINE + 1 - len(lines))
        socket = Path(lines[_SOCKET_LINE]) if lines[_SOCKET_LINE] else None
        return Postmaster(pid=int(lines[_PID_LINE]), socket=socket, status=lines[_STATUS_LINE].strip())
    except (FileNotFoundError, ValueError):
        return None


def forget_recycled_pid(folder: DataFolder) -> None:
    """Remove a dead server's pid file when its pid belongs to another program, or to a dead child never waited for.

    Both happen in containers, and Postgres would take either for its predecessor and refuse to start. A pid that
    belongs to nobody it judges itself. Call it only while no process of a server holds `folder.serving`.
    """
    told = read_pid_file(folder)
    if told and _exists(told.pid) and "postgres" not in _command_line(told.pid):
        (folder.cluster / "postmaster.pid").unlink()


def start_postmaster(
    folder: DataFolder,
    *,
    account: Account,
    binaries: Binaries,
    socket: Path,
    serving: int,
    settings: Mapping[str, str],
) -> None:
    """Start the server and wait until it is ready. It inherits the open file `serving` and so holds that lock.

    Raises EmbeddedPostgresError with the end of the server's log when it ends instead.
    """
    if folder.log.exists() and folder.log.stat().st_size > _LARGEST_LOG:
        folder.log.replace(folder.log.with_suffix(".log.1"))
    private = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(socket),
        "unix_socket_permissions": "0700",
    }
    command: list[str | Path] = [binaries.postgres, "-D", folder.cluster]
    for name, value in {**SETTINGS, **settings, **private}.items():
        command += ["-c", f"{name}={value}"]
    with os.fdopen(os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as log:
        begins_at = log.seek(0, os.SEEK_END)
        process = account.spawn(command, output=log.fileno(), inherited=[serving])
    _children[process.pid] = (os.getpid(), process)
    try:
        _await_ready(folder, process, begins_at)
    except BaseException:
        _quit(process)  # whoever interrupts us before the pid file is there would otherwise leave it behind
        raise


def stop_postmaster(folder: DataFolder) -> None:
    """End the server in order ("fast": open transactions are rolled back), or, if it will not, in less order."""
    for way in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        running = find_postmaster(folder)
        if running is None:
            return
        os.kill(running.pid, way)
        if _wait_until(partial(_is_gone, running.pid), within=STOPPED_WITHIN):
            return
    raise EmbeddedPostgresError(f"The server on {folder.cluster} does not end, not even killed.")


def _await_ready(folder: DataFolder, process: "subprocess.Popen[str]", log_begins_at: int) -> None:
    def is_ready() -> bool:
        told = read_pid_file(folder)
        return told is not None and told.pid == process.pid and told.is_ready

    in_time = _wait_until(lambda: is_ready() or process.poll() is not None, within=READY_WITHIN)
    if process.poll() is None and in_time:
        return
    _quit(process)
    with folder.log.open(errors="replace") as log:
        log.seek(log_begins_at)
        said = log.read()[-2000:].strip()
    ended = f"ended with status {process.returncode}" if in_time else f"was not ready within {READY_WITHIN:.0f} seconds"
    was_killed = in_time and process.returncode < 0
    raise (ServerKilledError if was_killed else EmbeddedPostgresError)(
        f"The server on {folder.cluster} {ended}. Its log, {folder.log}, says: {said}"
    )


def _quit(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)
        _wait_until(lambda: process.poll() is not None, within=STOPPED_WITHIN)


def _is_alive(pid: int) -> bool:
    parent, child = _children.get(pid, (None, None))
    if child is not None and parent == os.getpid():
        if child.poll() is None:
            return True
        _children.pop(pid, None)
    return _exists(pid) and _command_line(pid) != ""  # a dead child that its parent has not waited for has none


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_gone(pid: int) -> bool:
    return not _is_alive(pid)


def _serves(pid: int, cluster: Path) -> bool:
    """Whether the process is a server on this very folder, and not someone else who was given its pid."""
    program, found, _ = _command_line(pid).partition(f" -D {cluster} ")
    return bool(found) and program.endswith("postgres")


def _command_line(pid: int) -> str:
    if (_PROCESSES / "self").exists():
        try:
            return os.fsdecode((_PROCESSES / str(pid) / "cmdline").read_bytes().replace(b"\0", b" "))
        except (FileNotFoundError, ProcessLookupError):
            return ""
    command = ["/bin/ps", "-ww", "-o", "stat=,command=", "-p", str(pid)]
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout  # noqa: S603 - no shell
    status, _, line = listed.strip().partition(" ")
    return "" if status.startswith("Z") else line.strip() + " "


def _wait_until(condition: Callable[[], bool], *, within: float) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True
