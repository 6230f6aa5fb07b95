"""`models`: the reviewed manifests of the models that may be called."""

import click

from consent_proxy.api.models import manifest_document
from consent_proxy.cli.exits import Finding, manifests_in_force
from consent_proxy.cli.model_checks import check
from consent_proxy.cli.model_drafts import draft
from consent_proxy.cli.output import print_json, print_rows
from consent_proxy.settings import Settings


@click.group()
def models() -> None:
    """List, show, draft and check the manifests: what may be sent to which model."""


@models.command(name="list")
@click.option("--provider", help="Only this provider's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(provider: str | None, *, as_json: bool) -> None:
    """List the models that may be called."""
    rows = [
        manifest_document(manifest)
        for manifest in manifests_in_force(Settings()).all()
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
    found = [manifest for manifest in manifests_in_force(Settings()).all() if manifest.id == model]
    if not found:
        raise Finding(f"no manifest names '{model}': consent-proxy models list")
    for document in map(manifest_document, found):
        if as_json:
            print_json(document)
            continue
        click.echo(click.style(f"{document['id']} at {document['recipient']}, for {document['purpose']}", bold=True))
        columns = ("path", "category", "kind", "required", "minimum", "maximum", "choices")
        print_rows(document["fields"], columns=columns, empty="It takes nothing.")


models.add_command(draft)
models.add_command(check)
