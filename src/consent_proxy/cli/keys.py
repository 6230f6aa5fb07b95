"""`keys`: make, list and revoke service keys."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from consent_proxy.application.create_key import create_key
from consent_proxy.bootstrap import open_desk
from consent_proxy.cli.arguments import NAME
from consent_proxy.cli.exits import Finding, run
from consent_proxy.cli.output import print_json, print_rows
from consent_proxy.domain.callers import Role, ServiceKey
from consent_proxy.settings import Settings


@click.group()
def keys() -> None:
    """Make, list and revoke the keys that callers hold."""


@keys.command()
@click.option(
    "--caller",
    required=True,
    type=NAME,
    help="Whose key it is; several keys may share one caller, so that keys rotate.",
)
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice([role.value for role in Role]))
@click.option("--days", type=click.IntRange(1, 36_525), help="Let the key expire after so many days.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create(caller: str, roles: tuple[str, ...], days: int | None, *, as_json: bool) -> None:
    """Make a key and print it, this once."""
    key, secret = run(_create(caller, frozenset(Role(role) for role in roles), days))
    if as_json:
        print_json({**_shown(key), "key": secret})
        return
    click.echo(secret)
    click.echo(f"Keep it now: it is not shown again. Key {key.id} of '{caller}'.", err=True)


@keys.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(*, as_json: bool) -> None:
    """List every key, revoked ones too."""
    rows = run(_list())
    if as_json:
        print_json(rows)
    else:
        columns = ("id", "caller", "roles", "created_at", "expires_at", "last_used_at", "revoked_at")
        print_rows(rows, columns=columns, empty="There are no keys yet: consent-proxy keys create --help")


@keys.command()
@click.argument("key_id", type=click.UUID)
def revoke(key_id: UUID) -> None:
    """Revoke a key for good, on every replica."""
    if not run(_revoke(key_id)):
        raise Finding(f"there is no key {key_id}: consent-proxy keys list")
    click.echo(f"Revoked {key_id}.")


async def _create(caller: str, roles: frozenset[Role], days: int | None) -> tuple[ServiceKey, str]:
    expires_at = datetime.now(UTC) + timedelta(days=days) if days is not None else None
    async with open_desk(Settings()) as desk:
        return await create_key(
            caller=caller, roles=roles, expires_at=expires_at, rulebook=desk.rulebook, ids=desk.ids, clock=desk.clock
        )


async def _list() -> list[dict[str, Any]]:
    async with open_desk(Settings()) as desk:
        rules = await desk.facts.rules(fresh=True)
        used = await desk.rulebook.last_used()
        found = sorted(rules.keys.values(), key=lambda key: key.created_at)
        return [{**_shown(key), "last_used_at": used.get(key.id)} for key in found]


async def _revoke(key_id: UUID) -> bool:
    async with open_desk(Settings()) as desk:
        return await desk.rulebook.revoke_key(key_id, at=desk.clock.now())


def _shown(key: ServiceKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "caller": key.caller,
        "roles": sorted(key.roles),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
