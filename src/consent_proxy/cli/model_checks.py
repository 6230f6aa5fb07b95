"""`models check`: the manifests in force against the rules in force and, where given, against newer schemas."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from consent_proxy.adapters.schema_alternatives import SchemaUnreadable
from consent_proxy.application.check_models import ModelFinding, check_coverage, check_drafts, check_schema
from consent_proxy.bootstrap.desk import open_desk, open_manifests
from consent_proxy.cli.arguments import MODEL
from consent_proxy.cli.exits import FINDING, Unavailable, run
from consent_proxy.cli.files import ReadSchema, read_schema
from consent_proxy.cli.model_drafts import PROVIDERS
from consent_proxy.cli.output import plain, print_json
from consent_proxy.domain.manifests import Manifest
from consent_proxy.settings import Settings


@click.command()
@click.option(
    "--schema",
    type=click.Path(exists=True, path_type=Path),
    help="A newer schema, or a folder of them (*.json): OWNER/NAME.json where a file does not say its model.",
)
@click.option("--model", type=MODEL, help="Only this model; also of which model the schema is that does not say.")
@click.option("--provider", type=click.Choice(PROVIDERS), help="Only this provider's models.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(
    context: click.Context, schema: Path | None, model: str | None, provider: str | None, *, as_json: bool
) -> None:
    """Hold the manifests against the disclosure and contracts in force and, with --schema, against newer schemas.

    Exit code 1 where something has to be done: a category that nobody was told about, a sub-processor that no contract
    names, a field that is new, gone, wider, narrower or required now. What only has to be known is marked as a note.
    """
    settings = Settings()
    catalogue = open_manifests(settings)
    listed = [one for one in catalogue.all() if _is_asked(one, model=model, provider=provider)]
    drafts = [one for one in catalogue.drafts() if _is_asked(one, model=model, provider=provider)]
    if not listed and not drafts:
        raise click.UsageError("no manifest names such a model: consent-proxy models list, models draft")
    # The files first: a slip there is told before a database is started.
    known = [*listed, *drafts]
    compared = list(_schema_findings(schema, known, model=model)) if schema is not None else []
    findings = [*run(_coverage(settings, listed)), *compared, *check_drafts(drafts)]
    if as_json:
        print_json({"checked": len(listed), "findings": [asdict(finding) for finding in findings]})
    else:
        _tell(findings, checked=len(listed))
    context.exit(FINDING if any(finding.grave for finding in findings) else 0)


def _is_asked(manifest: Manifest, *, model: str | None, provider: str | None) -> bool:
    return model in {None, manifest.id} and provider in {None, manifest.provider}


async def _coverage(settings: Settings, manifests: Iterable[Manifest]) -> list[ModelFinding]:
    async with open_desk(settings) as desk:
        return check_coverage(manifests, await desk.facts.rules(fresh=True), at=desk.clock.now())


def _schema_findings(schema: Path, manifests: list[Manifest], *, model: str | None) -> Iterator[ModelFinding]:
    if schema.is_dir():
        yield from _folder_findings(schema, manifests)
        return
    read = read_schema(schema, model=model or "")
    matching = _matching(read, manifests, named=model or "")
    if not matching:
        raise click.UsageError(
            f"{schema} is of no model with a manifest, or does not say of which: name it with --model"
        )
    yield from _compared(read, matching)


def _folder_findings(folder: Path, manifests: list[Manifest]) -> Iterator[ModelFinding]:
    """Each file by itself: one that cannot be read hides nothing of the others."""
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise click.UsageError(f"{folder} holds no *.json")
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            read = read_schema(path)
            matching = _matching(read, manifests, named=name.removesuffix(".json"))
        except Unavailable as error:
            yield ModelFinding(slug="schema-unreadable", message=error.message)
            continue
        if not matching:
            message = f"{name} is of no model with a manifest: models draft makes one"
            yield ModelFinding(slug="model-without-manifest", message=message, grave=False)
        yield from _compared(read, matching)


def _matching(read: ReadSchema, manifests: Iterable[Manifest], *, named: str) -> list[Manifest]:
    """The manifests that a schema is about: by its own word, else by the name it was given."""
    own = read.file.models()
    by_file = set() if own else {named}
    return [
        one
        for one in manifests
        if one.id in own
        or (bool(read.file.version) and read.file.version in one.versions)
        or not by_file.isdisjoint({one.id, f"{one.provider}/{one.id}"})
    ]


def _compared(read: ReadSchema, manifests: Iterable[Manifest]) -> Iterator[ModelFinding]:
    """What moved since each review; of a draft there is none yet."""
    for manifest in filter(lambda one: one.is_reviewed, manifests):
        try:
            places = read.file.places(model=manifest.id, purpose=manifest.purpose)
        except SchemaUnreadable as error:
            yield ModelFinding(
                slug="schema-unreadable",
                message=f"{read.path}: {error}",
                provider=manifest.provider,
                model=manifest.id,
                purpose=manifest.purpose,
            )
            continue
        yield from check_schema(manifest, places, sha256=read.sha256)


def _tell(findings: Iterable[ModelFinding], *, checked: int) -> None:
    graves = 0
    for finding in findings:
        graves += finding.grave
        about = f"{finding.provider} {finding.model} ({finding.purpose}): " if finding.model else ""
        note = "" if finding.grave else "Note: "
        click.echo(plain(f"- {note}{about}{finding.message}"))
    click.echo(f"{checked} manifests checked, {graves} to do." if graves else f"{checked} manifests checked: in order.")
