"""`disclosures`: publish, list and show what people are shown."""

from pathlib import Path
from typing import Any

import click

from consent_proxy.api.schemas import DisclosureIn
from consent_proxy.application.ports.rules import VersionTaken
from consent_proxy.application.show_disclosure import show_disclosure
from consent_proxy.bootstrap import open_desk
from consent_proxy.cli.exits import Finding, run
from consent_proxy.cli.files import read_document
from consent_proxy.cli.output import print_json, print_rows
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.documents import disclosure_from_document
from consent_proxy.settings import Settings


@click.group()
def disclosures() -> None:
    """Publish, list and show disclosures."""


@disclosures.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def publish(file: Path) -> None:
    """Publish the version in FILE (JSON). A published version never changes."""
    document, checked = read_document(file, shape=DisclosureIn)
    try:
        new = run(_publish(document))
    except VersionTaken:
        message = f"version '{checked.version}' is published and says something else: choose a new version"
        raise Finding(message) from None
    click.echo(f"{'Published' if new else 'Already published'}: {checked.version}")


@disclosures.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(*, as_json: bool) -> None:
    """List every version, the newest first."""
    found, current = run(_list())
    rows = [
        {
            "version": known.version,
            "in force": known.version == current,
            "effective_at": known.effective_at,
            "material": known.material,
            "languages": list(known.locales()),
            "recipients": [recipient.id for recipient in known.recipients],
            "published_at": known.published_at,
        }
        for known in found
    ]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, columns=rows[0] if rows else (), empty="Nothing is published yet: the door is shut.")


@disclosures.command()
@click.argument("version", required=False)
@click.option("--locale", help="The language to show, as BCP 47 has it; English where it is left out.")
@click.option("--json", "as_json", is_flag=True, help="Print the document as it was published.")
def show(version: str | None, locale: str | None, *, as_json: bool) -> None:
    """Show VERSION, or the one in force, as a person reads it."""
    found, current = run(_list())
    disclosure = next((known for known in found if known.version == (version or current)), None)
    if disclosure is None:
        raise Finding(f"no version '{version}' is published" if version else "no disclosure is in force")
    if as_json:
        print_json(disclosure.document)
    else:
        _print_text(disclosure, locale)


def _print_text(disclosure: Disclosure, locale: str | None) -> None:
    shown = show_disclosure(disclosure, locale=locale)
    text: Any = shown.text
    click.echo(click.style(text["title"], bold=True))
    click.echo(f"{text['body']}\n")
    for section in text.get("sections", []):
        click.echo(click.style(section["heading"], bold=True))
        click.echo(f"{section['text']}\n")
    click.echo(f"[ {text['accept_label']} ]   [ {text['decline_label']} ]\n{text['withdrawal_hint']}")
    click.echo(f"\n{shown.version}, {shown.locale}, sha256 {shown.sha256}")


async def _publish(document: dict[str, Any]) -> bool:
    async with open_desk(Settings()) as desk:
        disclosure = disclosure_from_document(document, published_at=desk.clock.now())
        return await desk.rulebook.publish(disclosure, by="cli")


async def _list() -> tuple[list[Disclosure], str | None]:
    async with open_desk(Settings()) as desk:
        rules = await desk.facts.rules(fresh=True)
        current = rules.current(at=desk.clock.now())
        newest_first = sorted(rules.disclosures, key=lambda known: known.effective_at, reverse=True)
        return newest_first, current.version if current is not None else None
