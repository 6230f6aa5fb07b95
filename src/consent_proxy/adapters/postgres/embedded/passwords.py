"""The passwords of the embedded server's roles: made once, kept where only we can read them."""

import json
import os
import secrets
from collections.abc import Mapping

from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
from consent_proxy.adapters.postgres.embedded.folder import DataFolder

SUPERUSER = "postgres"
OWNER = "consent_proxy_owner"
SERVICE = "consent_proxy_service"


def keep_passwords(folder: DataFolder) -> Mapping[str, str]:
    """The password of each role: those kept in the folder, or new ones where there is no cluster yet.

    Raises EmbeddedPostgresError when a cluster exists whose passwords are lost.
    """
    if folder.passwords.exists():
        kept: dict[str, str] = json.loads(folder.passwords.read_text())
        return kept
    if folder.cluster.exists():
        raise EmbeddedPostgresError(
            f"The database in {folder.cluster} exists, but {folder.passwords} with its passwords does not. Put that"
            " file back from a backup, or choose another CONSENT_PROXY_DATA_DIR."
        )
    made = {role: secrets.token_urlsafe(32) for role in (SUPERUSER, OWNER, SERVICE)}
    _write(folder, json.dumps(made))
    return made


def _write(folder: DataFolder, text: str) -> None:
    """Whole or not at all: a cluster must never be made with passwords that a crash then loses."""
    draft = folder.passwords.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder.passwords)
    sync_folder(folder)


def sync_folder(folder: DataFolder) -> None:
    """Make the names in the folder durable (a rename is not until its folder is synced)."""
    handle = os.open(folder.root, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
