"""`models`: the reviewed manifests of the models that may be called."""

import click

from consent_proxy.api.models import manifest_document
from consent_proxy.bootstrap import open_manifests
from consent_proxy.cli.exits import Finding, Unavailable
from consent_proxy.cli.output import print_json, print_rows
from consent_proxy.settings import Settings


@click.group()
def models() -> None:
    """List and show the manifests in force."""


@models.command(name="list")
@click.option("--provider", help="Only this provider's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(provider: str | None, *, as_json: bool) -> None:
    """List the models that may be called."""
    rows = [
        manifest_document(manifest)
        for manifest in open_manifests(Settings()).all()
        if provider in {None, manifest.provider}
    ]
    if as_json:
        print_json(rows)
    else:
        columns = ("provider", "id", "purpose", "sub_processors", "reviewed_by", "reviewed_at")
        print_rows(rows, columns=columns, empty="No manifest names a model of that provider.")


@models.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(model: str, *, as_json: bool) -> None:
    """Show what may be sent to MODEL, field by field."""
    found = [manifest for manifest in open_manifests(Settings()).all() if manifest.id == model]
    if not found:
        raise Finding(f"no manifest names '{model}': consent-proxy models list")
    for document in map(manifest_document, found):
        if as_json:
            print_json(document)
            continue
        click.echo(click.style(f"{document['id']} at {document['recipient']}, for {document['purpose']}", bold=True))
        columns = ("path", "category", "kind", "required", "minimum", "maximum", "choices")
        print_rows(document["fields"], columns=columns, empty="It takes nothing.")


@models.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def draft(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - any of them gets the same answer
    """Make a manifest from a provider's schema (not available yet)."""
    raise Unavailable("models draft is not available yet: write a manifest by hand, the README says how")


@models.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def check(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - any of them gets the same answer
    """Compare manifests with newer schemas (not available yet)."""
    raise Unavailable("models check is not available yet")
