"""`keys`: make, list and revoke service keys."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from consent_proxy.application.ports.desk import ListedKey
from consent_proxy.cli.arguments import NAME, OneOf
from consent_proxy.cli.desks import Remote, ask, at_desk
from consent_proxy.cli.exits import Finding
from consent_proxy.cli.output import examples, json_option, print_json, print_rows
from consent_proxy.domain.callers import Role


@click.group()
def keys() -> None:
    """Make, list and revoke the service keys that callers hold.

    A key belongs to a named caller and has roles. It rotates without losing anything: make a second key for the same
    caller, move over, revoke the first.
    """


@keys.command(
    epilog=examples(
        "consent-proxy keys create --caller shop-backend --role gateway --role consent",
        "consent-proxy keys create --caller auditor --role auditor --days 90",
    )
)
@click.option(
    "--caller",
    required=True,
    type=NAME,
    help="Whose key it is; several keys may share one caller, so that keys rotate.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=OneOf(Role),
    help="What it opens; may repeat. gateway: sending, media, subject tokens. consent: disclosures, decisions,"
    " withdrawals. auditor: the record. privacy: the access log. admin: disclosures, contracts, keys.",
)
@click.option("--days", type=click.IntRange(1, 36_525), help="Let it expire after so many days.  [default: never]")
@json_option
@at_desk(Role.ADMIN)
def create(caller: str, roles: tuple[str, ...], days: int | None, *, as_json: bool, at: Remote | None) -> None:
    """Make a key and print it, this once."""
    expires_at = datetime.now(UTC) + timedelta(days=days) if days is not None else None
    wanted = frozenset(map(Role, roles))
    key, secret = ask(at, lambda desk: desk.create_key(caller=caller, roles=wanted, expires_at=expires_at))
    if as_json:
        print_json({**_shown(key), "key": secret})
        return
    click.echo(secret)
    click.echo(f"Keep it now: it is not shown again. Key {key.id} of '{key.caller}'.", err=True)


@keys.command(name="list")
@json_option
@at_desk(Role.ADMIN)
def list_all(*, as_json: bool, at: Remote | None) -> None:
    """List every key, revoked ones too; never its text."""
    rows = [_shown(key) for key in ask(at, lambda desk: desk.keys())]
    if as_json:
        print_json(rows)
        return
    columns = ("id", "caller", "roles", "created_at", "expires_at", "last_used_at", "revoked_at")
    empty = "There are no keys yet: consent-proxy keys create --help"
    print_rows(rows, columns=columns, cut=("caller", "roles"), empty=empty)


@keys.command()
@click.argument("key_id", type=click.UUID, help="The key's id, as keys list shows it; not its text.")
@json_option
@at_desk(Role.ADMIN)
def revoke(key_id: UUID, *, as_json: bool, at: Remote | None) -> None:
    """Revoke a key for good, on every replica: nothing more is sent with it once this is done.

    Subject tokens that its caller made end with the caller's last valid key.
    """
    if not ask(at, lambda desk: desk.revoke_key(key_id)):
        raise Finding(f"there is no key {key_id}: see consent-proxy keys list")
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        click.echo(f"Revoked {key_id}.")


def _shown(key: ListedKey) -> dict[str, Any]:
    return {**asdict(key), "roles": sorted(key.roles)}
