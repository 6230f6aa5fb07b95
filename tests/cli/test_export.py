"""An export of any length: flat memory, whole or not at all, clean however it ends, its progress shown to a person."""

import os
import pty
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.strangers import Stranger, says, streams
from tests.served import COMMAND, wait_for

RECORD = b'{"id":"01a213e9-2b25-76ee-83d5-0095450011df","filling":"%s"}\n' % (b"x" * 400)
WITHIN = 40.0


def started(
    stranger: Stranger, *words: str, stdout: int | None = None, stderr: int = subprocess.PIPE
) -> "subprocess.Popen[bytes]":
    command = [str(COMMAND), "transfers", "export", *words]
    environment = {**os.environ, **stranger.at.environment}
    return subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr)


def without_end(stranger: Stranger) -> Iterator[bytes]:
    """Enough to fill every buffer, and then nothing more until the test is over."""
    yield RECORD * 200
    stranger.left.wait(WITHIN)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell lets its background jobs ignore SIGINT, and what they start inherits that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 1, b"Error: interrupted after 200 records; "),
        (signal.SIGTERM, 128 + signal.SIGTERM, b""),
    ],
)
def test_an_export_that_is_interrupted_leaves_no_file(
    stranger: Stranger, tmp_path: Path, number: signal.Signals, code: int, told: bytes
) -> None:
    stranger.answer = streams(without_end(stranger))
    with started(stranger, "--output", str(tmp_path / "out.ndjson")) as process:
        under_way = wait_for(lambda: any(part.stat().st_size for part in tmp_path.iterdir()), within=WITHIN)
        process.send_signal(number)
        _, err = process.communicate(timeout=WITHIN)
    assert under_way, err
    assert process.returncode == code, err
    assert err.startswith(told)
    assert b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_enough_ends_it_quietly(stranger: Stranger) -> None:
    stranger.answer = streams(iter(lambda: RECORD, b""))
    with started(stranger, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == RECORD
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (1, b"")


def test_memory_stays_flat_however_long_it_is(stranger: Stranger) -> None:
    def peak(records: int) -> int:
        stranger.answer = streams(RECORD * 100 for _ in range(records // 100))
        with started(stranger, stdout=subprocess.DEVNULL) as process:
            assert process.stderr is not None
            assert process.stderr.read() == b"%s records.\n" % f"{records:,}".encode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss * 1024

    few, many = peak(100), peak(100_000)
    assert many - few < 100_000 * len(RECORD) / 4, "it grows with the record"


def test_a_file_is_written_for_its_owner_alone_through_a_link_and_replaces_what_was_there(
    stranger: Stranger, tmp_path: Path
) -> None:
    real, link = tmp_path / "real.ndjson", tmp_path / "link.ndjson"
    real.write_text("old", "utf-8")
    link.symlink_to(real)
    stranger.answer = streams([RECORD] * 3)
    ended = stranger.at.run("transfers", "export", "--output", str(link))
    assert (ended.code, ended.out, ended.err) == (0, "", f"3 records in {link}.\n")
    assert real.read_bytes() == RECORD * 3
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_is_full_is_told_and_leaves_what_was_there(stranger: Stranger, tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    path.write_text("old", "utf-8")
    stranger.answer = streams([RECORD * 100])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        ended = stranger.at.run("transfers", "export", "--output", str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (ended.code, ended.told) == (2, f"{path} cannot be written: File too large")
    assert [found.name for found in tmp_path.iterdir()] == ["out.ndjson"]
    assert path.read_text("utf-8") == "old"


def test_standard_output_that_cannot_be_written_is_told(stranger: Stranger) -> None:
    stranger.answer = streams([RECORD * 100])
    with Path("/dev/full").open("wb") as full, started(stranger, stdout=full.fileno()) as process:
        _, err = process.communicate(timeout=WITHIN)
    assert process.returncode == 2
    assert err.startswith(b"Error: this machine refused: No space left on device\n")
    assert b"Traceback" not in err


def test_nothing_to_export_is_an_empty_file_or_a_heading(stranger: Stranger, tmp_path: Path) -> None:
    stranger.answer = streams(())
    ended = stranger.at.run("transfers", "export", "--output", str(tmp_path / "out.ndjson"))
    assert (ended.code, (tmp_path / "out.ndjson").read_bytes()) == (0, b"")
    assert stranger.at.run("transfers", "export", "--format", "csv").out.startswith("id,kind,environment,")


def test_a_person_at_a_terminal_sees_the_count_and_the_rate(stranger: Stranger) -> None:
    def slowly() -> Iterator[bytes]:
        for _ in range(3):
            yield RECORD
            stranger.left.wait(0.3)

    stranger.answer = streams(slowly())
    ours, theirs = pty.openpty()
    with started(stranger, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        err = read_to_end(ours)
    assert process.returncode == 0
    assert re.search(rb"\r\x1b\[K[123] records, \d+ a second", err)
    assert err.endswith(b"\r\x1b[K3 records.\r\n")


def read_to_end(file: int) -> bytes:
    """All that comes until the other side is gone; a terminal says so with an error."""
    found = b""
    try:
        while read := os.read(file, 65_536):
            found += read
    except OSError:
        pass
    finally:
        os.close(file)
    return found


def test_an_empty_list_is_told_in_words(stranger: Stranger) -> None:
    stranger.answer = says('{"items":[],"next_cursor":null}')
    assert stranger.at.run("transfers", "list").out == "Nothing matches.\n"
    assert stranger.at.run("transfers", "list", "--json").out == "[]\n"
