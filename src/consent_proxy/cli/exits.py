"""How a command ends: the exit codes, and the errors that become one readable line."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

from consent_proxy.application.ports.providers import ManifestCatalogue
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.bootstrap import StartError, open_manifests
from consent_proxy.settings import Settings

DONE, FINDING, UNAVAILABLE = 0, 1, 2

Result = TypeVar("Result")


class Unavailable(click.ClickException):
    """Something the command needs is not there; the message says what to do. Exit code 2."""

    exit_code = UNAVAILABLE


class Finding(click.ClickException):
    """The command was done and the answer is no. Exit code 1."""

    exit_code = FINDING


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's asynchronous part; a database that is away is told in one line."""
    try:
        return asyncio.run(work)
    except LedgerUnavailable:
        raise Unavailable("the database does not answer: start it, or correct CONSENT_PROXY_DATABASE_URL") from None
    except StartError as error:
        raise Unavailable(str(error)) from None


def manifests_in_force(settings: Settings) -> ManifestCatalogue:
    """The manifests, or wrong usage that says which file is wrong and where."""
    try:
        return open_manifests(settings)
    except StartError as error:
        raise Unavailable(str(error)) from None
