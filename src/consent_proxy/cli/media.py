"""`media`: what a file says of the person who made it, and the file without that."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from consent_proxy.adapters.media.stripping import MediaRefused, Stripped, strip_file
from consent_proxy.cli.exits import FINDING, Finding, Unavailable
from consent_proxy.cli.output import json_option, print_json

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.group()
def media() -> None:
    """See what a file would lose before it leaves, and clean one by hand. Nothing is sent."""


@media.command()
@click.argument("file", type=_FILE, help="A picture, film, sound or ZIP.")
@json_option
def inspect(file: Path, *, as_json: bool) -> None:
    """List what would be removed from FILE, by group. FILE stays as it is.

    Ends with 1 when FILE would be refused, saying why.
    """
    with TemporaryDirectory(prefix="consent-proxy-") as folder:
        stripped = _stripped(file, Path(folder) / "clean", as_json=as_json)
    if as_json:
        print_json(_document(stripped))
        return
    _say_what_it_is(file, stripped)
    _say_groups("would lose", stripped)


@media.command()
@click.argument("source", metavar="IN", type=_FILE, help="A picture, film, sound or ZIP.")
@click.argument(
    "target", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path), help="Where the clean one goes."
)
@click.option("--force", is_flag=True, help="Write over OUT where it exists.")
@json_option
def clean(source: Path, target: Path, *, force: bool, as_json: bool) -> None:
    """Write IN to OUT without what says whose it is. Pixels, frames and samples stay the same.

    Ends with 1, and writes nothing, when IN is refused.
    """
    if target.exists() and not force:
        raise click.UsageError(f"{target} exists: name another file, or say --force")
    stripped = _stripped(source, target, as_json=as_json)
    if as_json:
        print_json(_document(stripped))
        return
    _say_what_it_is(source, stripped)
    _say_groups("lost", stripped)
    click.echo(f"Wrote {target}: {stripped.bytes_after:,} bytes.")


def _stripped(source: Path, target: Path, *, as_json: bool) -> Stripped:
    try:
        return strip_file(source, target)
    except MediaRefused as refused:
        if as_json:
            print_json({"refused": refused.reason, "detail": refused.detail})
            raise click.exceptions.Exit(FINDING) from None
        raise Finding(f"{source.name} is refused. {refused}") from None
    except OSError as error:
        raise Unavailable(f"{target} cannot be written: {error.strerror}") from None


def _say_what_it_is(file: Path, stripped: Stripped) -> None:
    known = stripped.format
    click.echo(f"{file.name}: {known.name} ({known.kind}, {known.media_type}), {stripped.bytes_before:,} bytes.")


def _say_groups(verb: str, stripped: Stripped) -> None:
    if stripped.removed:
        click.echo(f"It {verb}: {', '.join(stripped.removed)}.")
    else:
        click.echo("It is clean: there is nothing to remove.")


def _document(stripped: Stripped) -> dict[str, Any]:
    return {
        "format": stripped.format.name,
        "media_type": stripped.format.media_type,
        "kind": stripped.format.kind,
        "removed": list(stripped.removed),
        "bytes_before": stripped.bytes_before,
        "bytes_after": stripped.bytes_after,
    }
