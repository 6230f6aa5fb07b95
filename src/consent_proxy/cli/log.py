"""`log`: check the record without trusting whoever keeps it."""

import click

from consent_proxy.cli.exits import Unavailable


@click.group()
def log() -> None:
    """Check the record."""


@log.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def verify(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - taken so that the answer is the same for any of them
    """Verify an export of the log (not available yet)."""
    raise Unavailable("log verify is not available yet: the log has no signed tree so far")
