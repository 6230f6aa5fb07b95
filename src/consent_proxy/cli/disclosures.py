"""`disclosures`: publish, list and show what people are shown."""

from pathlib import Path
from typing import Any

import click

from consent_proxy.api.schemas import DisclosureIn
from consent_proxy.application.ports.rules import VersionTaken
from consent_proxy.application.show_disclosure import show_disclosure
from consent_proxy.cli.arguments import LOCALE
from consent_proxy.cli.desks import Remote, ask, at_desk
from consent_proxy.cli.exits import Finding
from consent_proxy.cli.files import DOCUMENT, read_document
from consent_proxy.cli.output import examples, json_option, print_json, print_prose, print_rows, printable
from consent_proxy.domain.callers import Role
from consent_proxy.domain.disclosures import Disclosure


@click.group()
def disclosures() -> None:
    """Publish, list and show the disclosures that people are shown before they decide."""


@disclosures.command(
    epilog=examples(
        "consent-proxy disclosures show --json > disclosure.json    # begin with the one in force",
        "consent-proxy disclosures publish disclosure.json",
    )
)
@click.argument("file", type=DOCUMENT, help="The disclosure as JSON; - for standard input.")
@json_option
@at_desk(Role.ADMIN)
def publish(file: Path, *, as_json: bool, at: Remote | None) -> None:
    """Publish the version in FILE. A published version never changes; publishing it again does nothing."""
    document, checked = read_document(file, shape=DisclosureIn)
    try:
        new = ask(at, lambda desk: desk.publish(document))
    except VersionTaken:
        message = f"version '{checked.version}' is published and says something else: choose a new version"
        raise Finding(message) from None
    if as_json:
        print_json({"version": checked.version, "new": new})
    else:
        click.echo(f"{'Published' if new else 'Already published'}: {checked.version}")


@disclosures.command(name="list")
@json_option
@at_desk(Role.CONSENT, Role.AUDITOR)
def list_all(*, as_json: bool, at: Remote | None) -> None:
    """List every version, the newest first, and which is in force."""
    found = ask(at, lambda desk: desk.disclosures())
    rows = [
        {
            "version": known.version,
            "in_force": known.version == found.current,
            "effective_at": known.effective_at,
            "material": known.material,
            "languages": list(known.locales()),
            "recipients": [recipient.id for recipient in known.recipients],
            "published_at": known.published_at,
        }
        for known in found.versions
    ]
    if as_json:
        print_json(rows)
        return
    columns = rows[0] if rows else ()
    empty = "Nothing is published yet, so the door is shut: consent-proxy disclosures publish --help"
    print_rows(rows, columns=columns, cut=("languages", "recipients"), empty=empty)


@disclosures.command()
@click.argument("version", required=False, help="The version to show.  [default: the one in force]")
@click.option("--locale", type=LOCALE, help="The language to show, as BCP 47 has it (pt-BR).  [default: en]")
@click.option("--json", "as_json", is_flag=True, help="Print the document as it was published, in every language.")
@at_desk(Role.CONSENT, Role.AUDITOR)
def show(version: str | None, locale: str | None, *, as_json: bool, at: Remote | None) -> None:
    """Show VERSION, or the one in force, as a person reads it."""
    found = ask(at, lambda desk: desk.disclosures())
    disclosure = next((known for known in found.versions if known.version == (version or found.current)), None)
    if disclosure is None:
        what = f"no version '{printable(version)}' is published" if version else "no disclosure is in force"
        raise Finding(f"{what}: see consent-proxy disclosures list")
    if as_json:
        print_json(disclosure.document)
    else:
        _print_text(disclosure, locale)


def _print_text(disclosure: Disclosure, locale: str | None) -> None:
    shown = show_disclosure(disclosure, locale=locale)
    text: Any = shown.text
    click.echo(click.style(printable(text["title"]), bold=True))
    print_prose(f"{text['body']}\n")
    for section in text.get("sections", []):
        click.echo(click.style(printable(section["heading"]), bold=True))
        print_prose(f"{section['text']}\n")
    print_prose(f"[ {text['accept_label']} ]   [ {text['decline_label']} ]\n{text['withdrawal_hint']}")
    click.echo(f"\n{shown.version}, {shown.locale}, sha256 {shown.sha256}")
