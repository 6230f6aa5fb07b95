"""What a person is told while they wait: on standard error, and only where that is a terminal."""

import sys
from time import monotonic

import click

_EVERY_SECONDS = 0.2
_CLEAR = "\r\x1b[K"


def say(line: str) -> None:
    """One line of what is going on."""
    if sys.stderr.isatty():
        click.echo(line, err=True)


class Progress:
    """Counts, and shows the count and its rate on a line that is written over, if ``shown``."""

    def __init__(self, what: str, *, shown: bool) -> None:
        self.count = 0
        self._what, self._shown = what, shown
        self._began = self._told = monotonic()

    def step(self) -> None:
        """One more."""
        self.count += 1
        if self._shown and (now := monotonic()) - self._told >= _EVERY_SECONDS:
            self._told = now
            click.echo(f"{_CLEAR}{self.line()}", err=True, nl=False)

    def line(self) -> str:
        """The count so far and the records a second."""
        seconds = monotonic() - self._began
        return f"{self.count:,} {self._what}, {self.count / seconds if seconds else 0:,.0f} a second"

    def clear(self) -> None:
        """Leave nothing on the line."""
        if self._shown:
            click.echo(_CLEAR, err=True, nl=False)
