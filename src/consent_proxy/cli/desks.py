"""Where a command is carried out: at a service over HTTP, given its address and a key, and else at the database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, TypeVar

import click

from consent_proxy.adapters.control_api import UnusableAddress
from consent_proxy.adapters.control_desk import HttpControlDesk, open_http_desk
from consent_proxy.application.ports.desk import ControlDesk
from consent_proxy.bootstrap.desk import open_desk
from consent_proxy.cli.database_desk import DatabaseControlDesk
from consent_proxy.cli.exits import Unavailable, run
from consent_proxy.cli.progress import say
from consent_proxy.domain.callers import Role
from consent_proxy.settings import Settings

_NEXT = "start it, correct CONSENT_PROXY_DATABASE_URL, or run consent-proxy migrate"

_URL_OPTION = click.option(
    "--url",
    envvar="CONSENT_PROXY_URL",
    show_envvar=True,
    metavar="URL",
    help="Ask the service at this address, over its API, instead of the database of the settings.",
)
_KEY_OPTION = partial(click.option, "--key", envvar="CONSENT_PROXY_KEY", show_envvar=True, metavar="KEY")

Result = TypeVar("Result")
Command = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A service somewhere else, and the key to speak to it with."""

    url: str
    key: str = field(repr=False)


def at_desk(*roles: Role) -> Callable[[Command], Command]:
    """The options that say where; there, the key needs one of ``roles``.

    The command gets ``at``: a ``Remote``, or ``None`` for the database.
    """
    named = " or ".join(roles)
    told = f"The service key to ask with; its role is {named}. The variable keeps it out of process lists and history."

    def decorate(command: Command) -> Command:
        @wraps(command)
        def placed(*arguments: Any, url: str | None, key: str | None, **options: Any) -> None:
            command(*arguments, at=_remote(url, key), **options)

        placed = _KEY_OPTION(help=told)(placed)
        return _URL_OPTION(placed)

    return decorate


def ask(at: Remote | None, question: Callable[[ControlDesk], Awaitable[Result]]) -> Result:
    """Put a question to the desk there. What goes wrong becomes one line and an exit code."""

    async def asked() -> Result:
        async with _open(at) as desk:
            return await question(desk)

    return run(asked())


@asynccontextmanager
async def _open(at: Remote | None) -> AsyncIterator[ControlDesk]:
    if at is not None:
        async with open_remote_desk(at) as there:
            yield there
        return
    async with open_desk(Settings(), progress=say) as desk:
        found = await desk.health.check()
        if not found.ready:
            raise Unavailable(f"{'; '.join(finding.message for finding in found.warnings)}: {_NEXT}")
        yield DatabaseControlDesk(desk)


@asynccontextmanager
async def open_remote_desk(at: Remote) -> AsyncIterator[HttpControlDesk]:
    """The desk at a service somewhere else."""
    try:
        async with open_http_desk(url=at.url, key=at.key) as desk:
            yield desk
    except UnusableAddress as error:
        raise Unavailable(f"{error}: correct --url or --key") from None


def _remote(url: str | None, key: str | None) -> Remote | None:
    if url is None and key is None:
        return None
    if url is None:
        raise click.UsageError("a key and no address: give --url too, or unset CONSENT_PROXY_KEY to use the database")
    if key is None:
        raise click.UsageError("an address and no key: give --key too, or unset CONSENT_PROXY_URL to use the database")
    return Remote(url=url, key=key)
