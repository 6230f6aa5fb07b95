"""What commands print: tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import click


def print_json(value: Any) -> None:
    """One JSON document, indented; moments and ids as text."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_rows(rows: Sequence[Mapping[str, Any]], *, columns: Iterable[str], empty: str) -> None:
    """A table of the named columns, or the sentence that says there is nothing."""
    names = list(columns)
    if not rows:
        click.echo(empty)
        return
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[at]) for line in [names, *cells]) for at in range(len(names))]
    heading = "  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True))
    click.echo(click.style(heading.rstrip(), bold=True))
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%SZ") if value.utcoffset() == timedelta(0) else value.isoformat()
        case list() | tuple() | set() | frozenset():
            return ", ".join(str(item) for item in value) or "-"
        case _:
            return str(value)


def plain(text: str) -> str:
    """Another's text for a terminal: without what moves the cursor, hides, or turns the direction of reading."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
