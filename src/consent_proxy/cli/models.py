"""`models`: the reviewed manifests of the models that may be called."""

from typing import Any

import click

from consent_proxy.api.models import manifest_document
from consent_proxy.bootstrap.desk import open_manifests
from consent_proxy.cli.arguments import LABEL, NAME
from consent_proxy.cli.desks import Remote, at_desk, open_remote_desk
from consent_proxy.cli.exits import Finding, run
from consent_proxy.cli.model_checks import check
from consent_proxy.cli.model_drafts import draft
from consent_proxy.cli.output import examples, json_option, print_json, print_rows
from consent_proxy.domain.callers import Role
from consent_proxy.settings import Settings


@click.group()
def models() -> None:
    """List, show, draft and check the manifests: what may be sent to which model."""


@models.command(name="list")
@click.option("--provider", type=NAME, help="Only this provider's (fal, replicate).")
@json_option
@at_desk(Role.GATEWAY, Role.AUDITOR)
def list_all(provider: str | None, *, as_json: bool, at: Remote | None) -> None:
    """List the models that may be called; without --url, those of this installation and of MANIFESTS_DIR."""
    rows = _manifests(at, provider=provider)
    if as_json:
        print_json(rows)
    else:
        columns = ("provider", "id", "purpose", "sub_processors", "reviewed_by", "reviewed_at")
        cut = ("id", "sub_processors", "reviewed_by")
        print_rows(rows, columns=columns, cut=cut, empty="No manifest names a model of that provider.")


@models.command(epilog=examples("consent-proxy models show fal-ai/flux/schnell"))
@click.argument("model", type=LABEL, help="The model's id, as models list shows it.")
@json_option
@at_desk(Role.GATEWAY, Role.AUDITOR)
def show(model: str, *, as_json: bool, at: Remote | None) -> None:
    """Show what may be sent to MODEL, field by field."""
    found = _manifests(at, model=model)
    if not found:
        raise Finding(f"no manifest names '{model}': see consent-proxy models list")
    for document in found:
        if as_json:
            print_json(document)
            continue
        click.echo(click.style(f"{document['id']} at {document['recipient']}, for {document['purpose']}", bold=True))
        columns = ("path", "category", "kind", "required", "minimum", "maximum", "choices")
        print_rows(document["fields"], columns=columns, cut=("choices",), empty="It takes nothing.")


def _manifests(at: Remote | None, *, provider: str | None = None, model: str | None = None) -> list[dict[str, Any]]:
    """The manifests in force there or here; here, no database is needed for it."""

    async def there(remote: Remote) -> list[dict[str, Any]]:
        async with open_remote_desk(remote) as desk:
            return await desk.models(provider=provider, model=model)

    if at is not None:
        return run(there(at))
    return [
        manifest_document(manifest)
        for manifest in open_manifests(Settings()).all()
        if provider in {None, manifest.provider} and model in {None, manifest.id}
    ]


models.add_command(draft)
models.add_command(check)
