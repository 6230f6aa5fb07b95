"""The command line's front: what there is, and how what goes wrong is told."""

import sys

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from consent_proxy.cli.contracts import contracts
from consent_proxy.cli.demo import demo
from consent_proxy.cli.disclosures import disclosures
from consent_proxy.cli.doctor import doctor
from consent_proxy.cli.exits import FINDING, UNAVAILABLE
from consent_proxy.cli.keys import keys
from consent_proxy.cli.log import log
from consent_proxy.cli.media import media
from consent_proxy.cli.migrate import migrate
from consent_proxy.cli.models import models
from consent_proxy.cli.openapi import openapi
from consent_proxy.cli.sandbox import sandbox
from consent_proxy.cli.serve import serve
from consent_proxy.cli.transfers import transfers


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="consent-proxy", message="%(package)s %(version)s")
def commands() -> None:
    """Stand between your backends and the AI platforms: nothing leaves without consent, a contract and a record.

    Settings come from the environment (CONSENT_PROXY_...); the README lists them. Exit codes: 0 done, 1 a finding or a
    refusal, 2 wrong usage or not available yet.
    """


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
    """Run the command line. Settings that cannot be are told by name; what the world broke by one line."""
    try:
        commands(prog_name="consent-proxy")
    except ValidationError as error:
        for found in error.errors(include_input=False, include_url=False):
            name = "__".join(str(part) for part in found["loc"]).upper()
            message = found["msg"].removeprefix("Value error, ")
            click.echo(f"CONSENT_PROXY_{name}: {message}" if name else message, err=True)
        sys.exit(UNAVAILABLE)
    except SettingsError as error:
        click.echo(f'a setting is not what it has to be, for a list a JSON list such as ["a"]: {error}', err=True)
        sys.exit(UNAVAILABLE)
    except BrokenPipeError:
        sys.exit(FINDING)
