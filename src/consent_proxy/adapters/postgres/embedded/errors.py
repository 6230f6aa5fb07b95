"""What the embedded Postgres says when it cannot do its work."""

import sys


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be used; the message says why and what to do about it."""


class ServerKilledError(EmbeddedPostgresError):
    """The server was killed from outside while it started: the next one may do better."""


if sys.platform == "win32":
    raise EmbeddedPostgresError(
        "The embedded Postgres runs on Linux and macOS only. On Windows set CONSENT_PROXY_DATABASE_URL to a"
        " Postgres server of your own, or run consent-proxy under WSL or in a container."
    )
