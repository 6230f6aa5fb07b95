"""`contracts`: put, list and end the agreements with recipients."""

from pathlib import Path
from typing import Any

import click

from consent_proxy.api.schemas import ContractIn
from consent_proxy.bootstrap import open_desk
from consent_proxy.cli.arguments import NAME
from consent_proxy.cli.exits import Finding, run
from consent_proxy.cli.files import read_document
from consent_proxy.cli.output import print_json, print_rows
from consent_proxy.domain.documents import contract_from_document, contract_to_document
from consent_proxy.settings import Settings


@click.group()
def contracts() -> None:
    """Put, list and end the contracts with recipients."""


@contracts.command()
@click.argument("recipient", type=NAME)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def put(recipient: str, file: Path) -> None:
    """Add the version in FILE (JSON) to the contract with RECIPIENT."""
    _, checked = read_document(file, shape=ContractIn)
    version = run(_put(recipient, checked.model_dump(mode="json")))
    click.echo(f"Put {version} with '{recipient}'.")


@contracts.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(*, as_json: bool) -> None:
    """List every version put, and which are in force."""
    rows = run(_list())
    if as_json:
        print_json(rows)
    else:
        columns = (
            "recipient",
            "in force",
            "reference",
            "purposes",
            "countries",
            "valid_from",
            "valid_until",
            "ended_at",
        )
        print_rows(rows, columns=columns, empty="There are no contracts yet: the door is shut.")


@contracts.command()
@click.argument("recipient")
def end(recipient: str) -> None:
    """End every version put with RECIPIENT so far, now. No send that rests on one begins after this."""
    if not run(_end(recipient)):
        raise Finding(f"there is no contract with '{recipient}': consent-proxy contracts list")
    click.echo(f"Ended the contract with '{recipient}'.")


async def _put(recipient: str, document: dict[str, Any]) -> str:
    async with open_desk(Settings()) as desk:
        version = contract_from_document(document, id=desk.ids.new_id(), recipient=recipient, put_at=desk.clock.now())
        await desk.rulebook.put_contract(version, by="cli")
        return str(version.id)


async def _list() -> list[dict[str, Any]]:
    async with open_desk(Settings()) as desk:
        rules = await desk.facts.rules(fresh=True)
        now = desk.clock.now()
        in_force = {found.id for known in rules.contracts if (found := rules.contract(known.recipient, at=now))}
        return [
            {
                "id": known.id,
                "recipient": known.recipient,
                "in force": known.id in in_force,
                **contract_to_document(known),
                "ended_at": known.ended_at,
            }
            for known in sorted(rules.contracts, key=lambda known: (known.recipient, known.put_at))
        ]


async def _end(recipient: str) -> bool:
    async with open_desk(Settings()) as desk:
        return await desk.rulebook.end_contract(recipient, at=desk.clock.now(), by="cli")
