"""`contracts`: put, list and end the agreements with recipients."""

from pathlib import Path
from typing import Any

import click

from consent_proxy.api.schemas import ContractIn
from consent_proxy.application.ports.desk import ListedContract
from consent_proxy.cli.arguments import NAME
from consent_proxy.cli.desks import Remote, ask, at_desk
from consent_proxy.cli.exits import Finding
from consent_proxy.cli.files import DOCUMENT, read_document
from consent_proxy.cli.output import examples, json_option, print_json, print_rows
from consent_proxy.domain.callers import Role
from consent_proxy.domain.documents import contract_to_document

COLUMNS = (
    *("recipient", "in_force", "reference", "purposes", "countries"),
    *("valid_from", "valid_until", "ended_at"),
)


@click.group()
def contracts() -> None:
    """Put, list and end the contracts with recipients. Nothing is sent to a recipient without one in force."""


@contracts.command(epilog=examples("consent-proxy contracts put fal contract-fal.json"))
@click.argument("recipient", type=NAME, help="The recipient's id, as disclosures name it (fal).")
@click.argument("file", type=DOCUMENT, help="The contract as JSON; - for standard input.")
@json_option
@at_desk(Role.ADMIN)
def put(recipient: str, file: Path, *, as_json: bool, at: Remote | None) -> None:
    """Add the version in FILE to the contract with RECIPIENT. In force is the latest put whose period contains now."""
    _, checked = read_document(file, shape=ContractIn)
    document = checked.model_dump(mode="json")
    version = ask(at, lambda desk: desk.put_contract(recipient, document))
    if as_json:
        print_json({"id": version, "recipient": recipient})
    else:
        click.echo(f"Put {version} with '{recipient}'.")


@contracts.command(name="list")
@json_option
@at_desk(Role.ADMIN, Role.AUDITOR)
def list_all(*, as_json: bool, at: Remote | None) -> None:
    """List every version put, and which are in force."""
    rows = [_shown(known) for known in ask(at, lambda desk: desk.contracts())]
    if as_json:
        print_json(rows)
        return
    empty = "There are no contracts yet, so the door is shut: consent-proxy contracts put --help"
    print_rows(rows, columns=COLUMNS, cut=("reference", "purposes", "countries"), empty=empty)


@contracts.command()
@click.argument("recipient", type=NAME, help="The recipient's id, as contracts list shows it.")
@json_option
@at_desk(Role.ADMIN)
def end(recipient: str, *, as_json: bool, at: Remote | None) -> None:
    """End every version put with RECIPIENT so far, now. No send that rests on one begins after this."""
    ended_at = ask(at, lambda desk: desk.end_contract(recipient))
    if ended_at is None:
        raise Finding(f"there is no contract with '{recipient}': see consent-proxy contracts list")
    if as_json:
        print_json({"recipient": recipient, "ended_at": ended_at})
    else:
        click.echo(f"Ended the contract with '{recipient}'.")


def _shown(known: ListedContract) -> dict[str, Any]:
    contract = known.contract
    return {
        "id": contract.id,
        "recipient": contract.recipient,
        "in_force": known.in_force,
        **contract_to_document(contract),
        "valid_from": contract.valid_from,
        "valid_until": contract.valid_until,
        "put_at": contract.put_at,
        "ended_at": contract.ended_at,
    }
