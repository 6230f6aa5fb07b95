"""`models draft`: a manifest from a provider's schema, for a person to review."""

from pathlib import Path

import click

from consent_proxy.adapters.manifest_drafts import DraftHead, write_draft
from consent_proxy.adapters.schema_alternatives import SchemaUnreadable
from consent_proxy.cli.arguments import MODEL, NAME, OneOf
from consent_proxy.cli.files import read_schema
from consent_proxy.cli.output import plain, print_json
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.drafts import Draft, draft_fields

PROVIDERS = ("fal", "replicate")


@click.command()
@click.argument("provider", type=click.Choice(PROVIDERS), help="The platform that runs it.")
@click.argument("model", type=MODEL, help="The model's id there, as in fal-ai/flux/dev.")
@click.option(
    "--schema",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The model's OpenAPI or JSON Schema, as the provider hands it out (JSON).",
)
@click.option(
    "--purpose",
    type=OneOf(Purpose),
    default="generation",
    show_default=True,
    help="What the model is used for.",
)
@click.option("--recipient", type=NAME, show_default="PROVIDER", help="The legal entity that contracts name.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A new file for it, instead of stdout.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what was placed, what was not and why, the TOML.")
def draft(
    provider: str, model: str, *, schema: Path, purpose: str, recipient: str | None, out: Path | None, as_json: bool
) -> None:
    """Make a manifest of MODEL at PROVIDER from its schema.

    Each field is placed, or listed for review with the reason. A draft is of no force: put it into
    CONSENT_PROXY_MANIFESTS_DIR, go through it, and fill in sub_processors, reviewed_by and reviewed_at.

    fal: https://fal.ai/api/openapi/queue/openapi.json?endpoint_id=MODEL. Replicate: GET /v1/models/MODEL.
    """
    read = read_schema(schema, model=model)
    try:
        places = read.file.places(model=model, purpose=Purpose(purpose))
    except SchemaUnreadable as error:
        raise click.UsageError(f"{schema} does not describe an input of '{model}': {error}") from None
    made = draft_fields(places, purpose=Purpose(purpose))
    head = DraftHead(
        provider=provider,
        recipient=recipient or provider,
        model=model,
        purpose=Purpose(purpose),
        source=f"schema file {plain(schema.name[:200])}",
        source_sha256=read.sha256,
        version=read.file.version,
    )
    text = write_draft(made, head=head, descriptions={place.path: place.description for place in places})
    if out is not None:
        _write_new(out, text)
    if as_json:
        paths = [path for path, field in made.fields.items() if field.category is not None]
        print_json({"provider": provider, "model": model, "placed": paths, "review": dict(made.review), "toml": text})
    elif out is None:
        click.echo(text, nl=False)
    _tell(made, model=model, purpose=purpose, out=out)


def _tell(made: Draft, *, model: str, purpose: str, out: Path | None) -> None:
    where = f" in {out}" if out is not None else ""
    placed = sum(field.category is not None for field in made.fields.values())
    click.echo(f"Draft of {model}{where}: {placed} placed, {len(made.review)} for review.", err=True)
    for path, reason in made.review.items():
        click.echo(f"  {plain(path)} {reason}", err=True)
    if purpose == Purpose.GENERATION and "train" in model:
        click.echo("The model's name speaks of training: is it --purpose training?", err=True)
    click.echo("Of no force until reviewed: fill in sub_processors, reviewed_by and reviewed_at.", err=True)


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.UsageError(f"{path} is there already and stays as it is: choose another name") from None
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}") from None
