"""Secrets of a data folder, for a service that was given none: made on first use, readable by their owner alone."""

import os
import secrets
from pathlib import Path


def kept_secret(path: Path, *, prefix: str = "") -> str:
    """The secret kept at a path, after ``prefix`` 256 random bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text("ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        secret = prefix + secrets.token_urlsafe(32)
        file.write(secret + "\n")
    return secret
