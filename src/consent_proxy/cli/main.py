"""The command line's front: what there is, and how what goes wrong is told."""

import logging
from typing import Any

import click

from consent_proxy.cli.contracts import contracts
from consent_proxy.cli.demo import demo
from consent_proxy.cli.disclosures import disclosures
from consent_proxy.cli.doctor import doctor
from consent_proxy.cli.exits import told_in_one_line
from consent_proxy.cli.keys import keys
from consent_proxy.cli.log import log
from consent_proxy.cli.media import media
from consent_proxy.cli.migrate import migrate
from consent_proxy.cli.models import models
from consent_proxy.cli.openapi import openapi
from consent_proxy.cli.output import examples
from consent_proxy.cli.sandbox import sandbox
from consent_proxy.cli.serve import serve
from consent_proxy.cli.transfers import transfers


class Commands(click.Group):
    """All commands; what any of them cannot do is one line, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with told_in_one_line():
            return super().invoke(ctx)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples("consent-proxy demo", "consent-proxy serve", "consent-proxy doctor"),
)
@click.version_option(package_name="consent-proxy", message="%(package)s %(version)s")
def commands() -> None:
    """Stand between your backends and the AI platforms: nothing leaves without consent, a contract and a record.

    Settings come from the environment (CONSENT_PROXY_...); the README lists them. keys, disclosures, contracts, models
    and transfers work on the database of the settings or, with --url and --key (CONSENT_PROXY_URL and
    CONSENT_PROXY_KEY), on a running service.

    Exit codes: 0 done, 1 a finding or a refusal, 2 wrong usage or not available.
    """
    # What is worth telling is told by the command; the log of the parts below it is for those that serve.
    logging.getLogger("consent_proxy").addHandler(logging.NullHandler())


for command in (
    serve,
    demo,
    sandbox,
    migrate,
    keys,
    disclosures,
    contracts,
    models,
    media,
    transfers,
    log,
    openapi,
    doctor,
):
    commands.add_command(command)


def main() -> None:
    """Run the command line."""
    commands(prog_name="consent-proxy")
