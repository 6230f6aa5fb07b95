"""What commands print: tables for people, JSON for programs."""

import json
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

#: What is left of a cell that has to give way.
_NARROWEST = 10
_BETWEEN = 2


def examples(*lines: str) -> str:
    """A command's epilog: lines to copy, kept as they are."""
    return "\n  ".join(("\b", "Examples:", *lines)).replace("\b\n  ", "\b\n")


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_json(value: Any) -> None:
    """One JSON document, indented; moments in RFC 3339, ids as text."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_as_text))


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    *,
    columns: Iterable[str],
    empty: str,
    cut: Collection[str] = (),
    room: int | None = None,
) -> None:
    """A table of the named columns, or the sentence that says there is nothing. Moments are told in UTC.

    On a terminal, or where ``room`` says how wide it may be, the columns named in ``cut`` give way as far as needed.
    """
    names = list(columns)
    if not rows:
        click.echo(empty)
        return
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[at]) for line in [names, *cells]) for at in range(len(names))]
    widths = _fitted(widths, [name in cut for name in names], room=room if room is not None else _room())
    click.echo(click.style(_line(names, widths), bold=True))
    for line in cells:
        click.echo(_line(line, widths))


def printable(text: str) -> str:
    """The text without what a terminal would obey: control and formatting characters become a replacement mark."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def print_prose(text: str) -> None:
    """Text of several lines, fit for a terminal."""
    for line in text.split("\n"):
        click.echo(printable(line))


def _room() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _fitted(widths: list[int], may_be_cut: list[bool], *, room: int | None) -> list[int]:
    """The widths, the widest that may be cut taken back first until the line fits, or none can give any more."""
    fitted = list(widths)
    while room is not None and sum(fitted) + _BETWEEN * (len(fitted) - 1) > room:
        widest = max((at for at, may in enumerate(may_be_cut) if may), key=lambda at: fitted[at], default=None)
        if widest is None or fitted[widest] <= _NARROWEST:
            break
        fitted[widest] -= 1
    return fitted


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = (
        cell.ljust(width) if len(cell) <= width else f"{cell[: width - 1]}…"
        for cell, width in zip(cells, widths, strict=True)
    )
    return (" " * _BETWEEN).join(shown).rstrip()


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case list() | tuple() | set() | frozenset():
            return ", ".join(map(_cell, value)) or "-"
        case _:
            return printable(str(value))


def _as_text(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case set() | frozenset():
            return sorted(value)
        case _:
            return str(value)


def plain(text: str) -> str:
    """Another's text for a terminal: without what moves the cursor, hides, or turns the direction of reading."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
