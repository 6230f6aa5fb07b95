"""How a cluster is made: whole or not at all, SCRAM only, checksums on, sorted by code point."""

import os
import shutil
from pathlib import Path

from consent_proxy.adapters.postgres.embedded.accounts import Account
from consent_proxy.adapters.postgres.embedded.binaries import Binaries
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
from consent_proxy.adapters.postgres.embedded.folder import DataFolder
from consent_proxy.adapters.postgres.embedded.passwords import SUPERUSER, sync_folder

# Over the private socket, with a password; nothing else.
_WHO_MAY_CONNECT = "local all all scram-sha-256\n"
# The builtin provider sorts alike on every system and after every upgrade of its C library.
_BUILTIN = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
_FIRST_MAJOR_WITH_BUILTIN = 17
_OF_THE_SYSTEM = (("--locale=C.UTF-8",), ("--locale=C",))
_OPTIONS = ("--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums", "--no-instructions")


def create_cluster(folder: DataFolder, *, account: Account, binaries: Binaries, password: str, serving: int) -> None:
    """Make the cluster in `folder.cluster`, owned by the account, with one superuser that has this password.

    It is made in the staging folder and moved when it is whole, so a crash on the way leaves no half cluster.
    initdb inherits the open file `serving` and so holds that lock: it may outlive us, and must not meet a second one.
    """
    shutil.rmtree(folder.staging, ignore_errors=True)
    account.make_folder(folder.staging)
    draft, secret = folder.staging / "cluster", folder.staging / "password"
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password)
    account.take(secret)
    _initdb(draft, secret, account, binaries, serving)
    secret.unlink()
    with os.fdopen(os.open(draft / "pg_hba.conf", os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "w") as file:
        file.write(_WHO_MAY_CONNECT)
    draft.rename(folder.cluster)
    sync_folder(folder)
    folder.staging.rmdir()


def check_version(folder: DataFolder, *, binaries: Binaries) -> None:
    """Raises EmbeddedPostgresError when the cluster that exists was written by another major version."""
    try:
        written_by = int((folder.cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        raise EmbeddedPostgresError(
            f"{folder.cluster} is not a Postgres data folder. Move it away, or choose another CONSENT_PROXY_DATA_DIR."
        ) from None
    if written_by != binaries.major:
        raise EmbeddedPostgresError(
            f"The database in {folder.cluster} was written by Postgres {written_by}, and the binaries in"
            f" {binaries.folder} are Postgres {binaries.major}; nothing was touched. Point CONSENT_PROXY_PG_BIN at"
            f" Postgres {written_by}, bring the database to {binaries.major} with pg_upgrade, or choose another"
            " CONSENT_PROXY_DATA_DIR."
        )


def _initdb(draft: Path, secret: Path, account: Account, binaries: Binaries, serving: int) -> None:
    said = ""
    for locale in (_BUILTIN,) if binaries.major >= _FIRST_MAJOR_WITH_BUILTIN else _OF_THE_SYSTEM:
        command = [binaries.initdb, "--pgdata", draft, "--username", SUPERUSER, "--pwfile", secret, *_OPTIONS, *locale]
        result = account.run(command, inherited=[serving])
        if result.returncode == 0:
            return
        said = result.stdout.strip()
    raise EmbeddedPostgresError(f"initdb could not make the database in {draft.parent}: {said}")
