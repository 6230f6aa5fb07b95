"""What is committed names no machine it was made on and no place it was downloaded from."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.house import ROOT

# Hosts and paths are put together here and below, so that this file passes its own test.
MACHINE_FOLDERS = "work|root|farm|Users|home"
REGISTRY_HOSTS = "|".join(
    re.escape(".".join(parts))
    for parts in [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org"), ("ghcr", "io")]
)
TRACES = re.compile(
    rf"(?:^|[^\w./-])/(?:{MACHINE_FOLDERS})/"
    rf"|{REGISTRY_HOSTS}"
    r"|--(?:extra-)?index[-]url"
    r"|https?://[^ \"]+(?:/simple/?|\.whl|\.tar\.gz|\.tgz)(?=[\"# ]|$)",
)


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Yield the name and text of each file that git tracks, or would if it were added."""
    # A clone that belongs to another account is still ours to read.
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    for name in listed.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield name, content.decode("utf-8", errors="replace")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone: nothing says which files are tracked")
def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    texts = dict(tracked_texts())
    assert {"pyproject.toml", "requirements.lock", "Makefile"} <= texts.keys()
    traces = [
        f"{name}:{number}: {trace.group().strip()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        for trace in TRACES.finditer(line)
    ]
    assert traces == []


@pytest.mark.parametrize(
    "line",
    [
        "cd /" + "work/main",
        'HOME = "/' + 'root/x"',
        "source: https://" + "pypi" + ".org/simple",
        "--index" + "-url https://mirror.example/",
        '"https://mirror.example/a' + '.whl"',
    ],
)
def test_a_trace_is_seen(line: str) -> None:
    assert TRACES.search(line)


@pytest.mark.parametrize("line", ["src/root/x", "https://fal.run/work/x", "../work/", str(Path("tests") / "home")])
def test_an_innocent_path_is_left_alone(line: str) -> None:
    assert not TRACES.search(line)
