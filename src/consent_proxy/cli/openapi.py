"""`openapi`: print the API's description, without settings or database."""

import json

import click

from consent_proxy.api.app import create_app


@click.command()
def openapi() -> None:
    """Print the OpenAPI document of the whole service, provider surfaces included."""
    click.echo(json.dumps(create_app().openapi(), ensure_ascii=False, indent=1, sort_keys=True))
