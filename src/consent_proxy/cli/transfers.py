"""`transfers`: read what left and what was refused."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import click

from consent_proxy.api.transfers import CSV_COLUMNS, csv_cells, csv_line, ndjson_line
from consent_proxy.application.ports.desk import ControlDesk
from consent_proxy.cli.arguments import OneOf
from consent_proxy.cli.desks import Remote, ask, at_desk
from consent_proxy.cli.exits import Finding
from consent_proxy.cli.files import whole_file
from consent_proxy.cli.output import examples, json_option, print_json, print_rows
from consent_proxy.cli.progress import Progress
from consent_proxy.cli.record_filters import Wanted, filtered, wanted
from consent_proxy.cli.signals import ended_by_sigterm
from consent_proxy.domain.callers import Role
from consent_proxy.domain.payloads import Json

COLUMNS = ("intent_at", "kind", "provider", "model", "purpose", "subject_ref", "reason", "outcome", "id")


@click.group()
def transfers() -> None:
    """Read the record of what left and what was refused. That you read it is recorded too.

    A person is chosen by --subject-ref or, by the identifier your backends use, with --subject -, which asks for it or
    reads it from standard input: on the command line it would stay in the shell's history and in process lists.
    """


@transfers.command(
    name="list",
    epilog=examples(
        "consent-proxy transfers list --recipient fal --kind refusal --from 2026-11-01",
        "consent-proxy transfers list --subject - < identifier.txt",
    ),
)
@filtered
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many at most; export has no limit.",
)
@json_option
@at_desk(Role.AUDITOR)
def list_all(limit: int, *, as_json: bool, at: Remote | None, **options: Any) -> None:
    """List the newest records, their times in UTC. Filters narrow it; of a repeated one, any value will do."""
    asked = wanted(options, limit=limit)
    page = ask(at, lambda desk: desk.transfers(asked.query, subject=asked.subject))
    if as_json:
        print_json(page.items)
        return
    print_rows(list(map(_row, page.items)), columns=COLUMNS, cut=("model", "reason"), empty="Nothing matches.")
    if page.next_cursor is not None:
        click.echo("There are more: raise --limit, narrow it with filters, or see transfers export.", err=True)


@transfers.command(
    epilog=examples(
        "consent-proxy transfers export --from 2026-01-01 --to 2027-01-01 --format csv --output 2026.csv",
        "consent-proxy transfers export --outcome indeterminate | jq .id",
    )
)
@filtered
@click.option(
    "--format",
    "form",
    type=OneOf(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="A JSON object a line, or a table for spreadsheets.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, for its owner alone; it appears once it is complete.  [default: standard output]",
)
@at_desk(Role.AUDITOR)
def export(form: str, output: Path | None, *, at: Remote | None, **options: Any) -> None:
    """Write every record that matches, as a stream of any length. Filters are those of transfers list."""
    asked = wanted(options, limit=1000)
    progress = Progress("records", shown=_is_shown(output))
    with ended_by_sigterm(), _followed(progress, output), _opened(output) as file:
        ask(at, lambda desk: _write(desk, asked, file=file, form=form, progress=progress))
        file.flush()
    click.echo(f"{progress.count:,} records{f' in {output}' if output is not None else ''}.", err=True)


async def _write(desk: ControlDesk, asked: Wanted, *, file: BinaryIO, form: str, progress: Progress) -> None:
    if form == "csv":
        file.write(csv_line(CSV_COLUMNS).encode())
    async with aclosing(desk.export(asked.query, subject=asked.subject)) as records:
        async for record in records:
            line = csv_line(csv_cells(record)) if form == "csv" else ndjson_line(record)
            file.write(line.encode())
            progress.step()


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        return
    with whole_file(output) as file:
        yield file


@contextmanager
def _followed(progress: Progress, output: Path | None) -> Iterator[None]:
    """Leaves no half line of progress, and says how far it came where somebody interrupts it."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f"; {output} was not written" if output is not None else ""
        raise Finding(f"interrupted after {progress.count:,} records{kept}") from None
    finally:
        progress.clear()


def _is_shown(output: Path | None) -> bool:
    """Records on the terminal show their progress themselves."""
    return sys.stderr.isatty() and (output is not None or not sys.stdout.isatty())


def _row(record: Mapping[str, Json]) -> dict[str, Any]:
    outcome, at = record.get("outcome"), record.get("intent_at")
    return {
        **record,
        "intent_at": datetime.fromisoformat(at) if isinstance(at, str) else None,
        "outcome": outcome.get("state") if isinstance(outcome, dict) else None,
    }
