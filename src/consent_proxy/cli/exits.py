"""How a command ends: the exit codes, and the errors that become one readable line."""

import asyncio
import errno
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from consent_proxy.application.ports.desk import DeskAway, DeskRefused
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.bootstrap.store import StartError

DONE, FINDING, UNAVAILABLE = 0, 1, 2

Result = TypeVar("Result")


class Unavailable(click.ClickException):
    """Something the command needs is not there, or not as it should be; the message says what to do. Exit code 2."""

    exit_code = UNAVAILABLE


class Finding(click.ClickException):
    """The command was done and the answer is no. Exit code 1."""

    exit_code = FINDING


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's asynchronous part."""
    with told_in_one_line():
        return asyncio.run(work)


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """What a command could not do: a no is exit code 1; what is away, or set up wrongly, is 2. Never a traceback."""
    try:
        yield
    except DeskRefused as error:
        raise Finding(str(error)) from None
    except (StartError, DeskAway) as error:
        raise Unavailable(str(error)) from None
    except LedgerUnavailable:
        raise Unavailable("the database does not answer: start it, or correct CONSENT_PROXY_DATABASE_URL") from None
    except ValidationError as error:
        raise Unavailable("; ".join(map(_setting, error.errors(include_input=False, include_url=False)))) from None
    except SettingsError as error:
        message = f'a setting is not what it has to be, for a list a JSON list such as ["a"]: {error}'
        raise Unavailable(message) from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read our output has enough: click ends quietly
            raise
        what = f"{error.filename}: " if error.filename is not None else "this machine refused: "
        raise Unavailable(f"{what}{error.strerror or type(error).__name__}") from None


def _setting(found: Any) -> str:
    name = "__".join(str(part) for part in found["loc"]).upper()
    message = str(found["msg"]).removeprefix("Value error, ")
    return f"CONSENT_PROXY_{name}: {message}" if name else message
