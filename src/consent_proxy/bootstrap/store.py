"""The database that is served from: that of the settings, or an embedded one of our own, and bringing it up to date."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from consent_proxy.adapters.kept_secrets import kept_secret
from consent_proxy.adapters.postgres.embedded.binaries import find_binaries
from consent_proxy.adapters.postgres.embedded.cluster import start_cluster
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
from consent_proxy.adapters.postgres.migrate import MigrationFailed, MigrationResult, migrate
from consent_proxy.settings import Settings


class StartError(Exception):
    """The service cannot start as it is set up; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A database that is up and migrated, and the secrets that go with it."""

    service_url: str
    secret_key: str
    bootstrap_key: str | None
    embedded: bool
    generated_key: bool = False

    def environment(self) -> dict[str, str]:
        """What a worker process has to be told of it."""
        found = {"DATABASE_URL": self.service_url, "SECRET_KEY": self.secret_key}
        if self.bootstrap_key is not None:
            found["BOOTSTRAP_ADMIN_KEY"] = self.bootstrap_key
        return {f"CONSENT_PROXY_{name}": value for name, value in found.items()}


def data_dir(settings: Settings) -> Path:
    """Where the embedded database, held media and development secrets lie."""
    if settings.data_dir is not None:
        return settings.data_dir.expanduser().absolute()
    home = os.environ.get("XDG_DATA_HOME") or str(Path("~/.local/share").expanduser())
    return Path(home) / "consent-proxy"


@contextmanager
def open_store(settings: Settings, *, progress: Callable[[str], None] | None = None) -> Iterator[Store]:
    """The database of the settings or, where none is set, one of our own: started, migrated, stopped at the end.

    Blocking, and before any worker is forked. Raises ``StartError``.
    """
    say = progress or (lambda _: None)
    if settings.database_url is not None:
        yield Store(
            service_url=settings.database_url.get_secret_value(),
            secret_key=revealed(settings.secret_key) or "",
            bootstrap_key=revealed(settings.bootstrap_admin_key),
            embedded=False,
        )
        return
    folder = data_dir(settings)
    say("Starting the embedded Postgres …")
    try:
        cluster = start_cluster(folder / "postgres", binaries=find_binaries(settings.pg_bin))
    except EmbeddedPostgresError as error:
        raise StartError(str(error)) from error
    with cluster:
        cluster.watch()
        _migrated(cluster.owner_url, service_role=role_of(cluster.service_url))
        given = revealed(settings.bootstrap_admin_key)
        yield Store(
            service_url=cluster.service_url,
            secret_key=revealed(settings.secret_key) or kept_secret(folder / "secret-key"),
            bootstrap_key=given or kept_secret(folder / "admin-key", prefix="cpk_dev_"),
            embedded=True,
            generated_key=given is None,
        )


def migrate_store(settings: Settings) -> MigrationResult:
    """Bring the database of the settings, or the embedded one, to this version's schema. Raises ``StartError``."""
    owner = settings.migrate_database_url or settings.database_url
    if owner is None:
        try:
            with start_cluster(data_dir(settings) / "postgres", binaries=find_binaries(settings.pg_bin)) as cluster:
                return _migrated(cluster.owner_url, service_role=role_of(cluster.service_url))
        except EmbeddedPostgresError as error:
            raise StartError(str(error)) from error
    service = settings.database_url
    role = role_of(service.get_secret_value()) if service is not None else None
    return _migrated(owner.get_secret_value(), service_role=role)


def _migrated(owner_url: str, *, service_role: str | None) -> MigrationResult:
    try:
        return migrate(owner_url, service_role=service_role)
    except MigrationFailed as error:
        raise StartError(str(error)) from error


def role_of(url: str) -> str | None:
    """The database role that a URL names."""
    return urlsplit(url).username


def revealed(secret: SecretStr | None) -> str | None:
    """The text of a secret setting, if it is set."""
    return secret.get_secret_value() if secret is not None else None
