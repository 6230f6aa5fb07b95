"""`transfers`: read what left and what was refused."""

import csv
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import click

from consent_proxy.api.transfers import CSV_COLUMNS, csv_cell
from consent_proxy.application.ports.pages import Page
from consent_proxy.application.ports.records import TransferQuery
from consent_proxy.bootstrap import open_desk
from consent_proxy.cli.arguments import COUNTRY, LABEL, NAME
from consent_proxy.cli.exits import run
from consent_proxy.cli.output import print_json, print_rows
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import OutcomeState
from consent_proxy.settings import Settings

FILTERS: Mapping[str, click.ParamType[Any]] = {
    "recipient": NAME,
    "provider": NAME,
    "model": LABEL,
    "purpose": click.Choice(list(Purpose)),
    "category": click.Choice(list(DataCategory)),
    "caller": NAME,
    "kind": click.Choice(["transfer", "refusal", "delivery"]),
    "reason": click.Choice(list(Reason)),
    "outcome": click.Choice(list(OutcomeState)),
    "contract": LABEL,
    "country": COUNTRY,
    "job": click.UUID,
}
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"])


@click.group()
def transfers() -> None:
    """Read the record of what left and what was refused."""


def filtered(command: Any) -> Any:
    """The options that choose records."""
    for name, kind in reversed(list(FILTERS.items())):
        told = f"Only this {name}; may repeat."
        command = click.option(f"--{name}", multiple=True, type=kind, metavar=name.upper(), help=told)(command)
    command = click.option("--subject-ref", type=click.UUID, help="Only this data subject's reference.")(command)
    command = click.option("--from", "from_at", type=MOMENT, help="From this moment on (with offset).")(command)
    return click.option("--to", "to_at", type=MOMENT, help="Up to before this moment (with offset).")(command)


@transfers.command(name="list")
@filtered
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(limit: int, *, as_json: bool, **options: Any) -> None:
    """List the newest records."""
    rows = run(_page(_query(options, limit=limit)))
    if as_json:
        print_json(rows)
        return
    shown = [{**row, "outcome": _outcome(row)} for row in rows]
    columns = ("intent_at", "kind", "provider", "model", "purpose", "subject_ref", "reason", "outcome", "id")
    print_rows(shown, columns=columns, empty="Nothing matches.")


@transfers.command()
@filtered
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
def export(form: str, **options: Any) -> None:
    """Write every record that matches to standard output, as a stream."""
    count = run(_export(_query(options, limit=1000), form))
    click.echo(f"{count} records.", err=True)


def _query(options: Mapping[str, Any], *, limit: int) -> TransferQuery:
    subject_ref: UUID | None = options["subject_ref"]
    return TransferQuery(
        subject_ref=SubjectRef(subject_ref) if subject_ref is not None else None,
        filters={name: tuple(map(str, options[name])) for name in FILTERS if options[name]},
        page=Page(limit=limit, from_at=_aware(options["from_at"]), to_at=_aware(options["to_at"])),
    )


def _aware(moment: datetime | None) -> datetime | None:
    return moment.astimezone() if moment is not None and moment.tzinfo is None else moment


def _outcome(row: Mapping[str, Json]) -> Json:
    outcome = row.get("outcome")
    return outcome.get("state") if isinstance(outcome, dict) else None


async def _page(query: TransferQuery) -> list[dict[str, Any]]:
    async with open_desk(Settings()) as desk:
        page = await desk.reader.page(query)
        await desk.note_access("cli transfers list", query=query, items=len(page.items))
        return [dict(item) for item in page.items]


async def _export(query: TransferQuery, form: str) -> int:
    count = 0
    table = csv.writer(sys.stdout)
    async with open_desk(Settings()) as desk:
        await desk.note_access("cli transfers export", query=query, items=None)
        if form == "csv":
            table.writerow(CSV_COLUMNS)
        async for record in desk.reader.stream(query):
            count += 1
            if form == "csv":
                table.writerow([csv_cell(record, column) for column in CSV_COLUMNS])
            else:
                click.echo(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
    return count
