"""`migrate`: bring the database to the schema this version works with."""

import click

from consent_proxy.bootstrap.store import StartError, migrate_store
from consent_proxy.cli.exits import Unavailable
from consent_proxy.settings import Settings


@click.command()
def migrate() -> None:
    """Create or upgrade the schema as the owner's role, and grant the service's role what it may do.

    The owner is CONSENT_PROXY_MIGRATE_DATABASE_URL's role, the service CONSENT_PROXY_DATABASE_URL's. Without either, it
    is the embedded Postgres under CONSENT_PROXY_DATA_DIR that is brought up to date.
    """
    try:
        done = migrate_store(Settings())
    except StartError as error:
        raise Unavailable(str(error)) from None
    if done.of_a_later_release:
        click.echo(
            f"The schema is at {done.after}, of a later release: left as it is; {done.partitions} new partitions."
        )
        return
    step = f"from {done.before} to {done.after}" if done.before != done.after else f"already at {done.after}"
    click.echo(f"Schema {step}; {done.partitions} new partitions.")
    if done.granted_to is not None:
        click.echo(f"The role '{done.granted_to}' may read all, change head rows, and only append to the record.")
