"""Commands as a shell runs them, in this process: words in, exit code and output out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from click.testing import CliRunner

from consent_proxy.cli.main import commands
from tests.live import KEY, Live

#: What no command may ever show, whatever it is given.
NEVER = ("Traceback", "Error: None", "object at 0x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for a program."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def told(self) -> str:
        """The one line that says what went wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, self.err
        assert self.err.splitlines()[-1] == lines[0], self.err
        return lines[0].removeprefix("Error: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """The environment that says where commands are carried out."""

    environment: Mapping[str, str] = field(repr=False)

    def run(self, *words: str, given: str | bytes = "", **environment: str) -> Ended:
        """Run one command; ``given`` is its standard input."""
        result = CliRunner().invoke(commands, words, input=given, env={**self.environment, **environment})
        unexpected = result.exception is not None and not isinstance(result.exception, SystemExit)
        if unexpected:
            raise AssertionError(f"{words} would have shown a traceback") from result.exception
        for text in NEVER:
            assert text not in result.output
        return Ended(code=result.exit_code, out=result.stdout, err=result.stderr)


def at_service(live: Live) -> At:
    """Over HTTP, with the key of every role."""
    return At(environment={"CONSENT_PROXY_URL": live.url, "CONSENT_PROXY_KEY": KEY})


def at_database(live: Live) -> At:
    """At the service's own database, with its secret."""
    return at_url(live.database.service_url)


def at_url(url: str, *, secret: str = "wraps the secrets of the tests") -> At:
    """At a database."""
    return At(environment={"CONSENT_PROXY_DATABASE_URL": url, "CONSENT_PROXY_SECRET_KEY": secret})
