"""`log`: check the record without trusting whoever keeps it."""

from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

import click

from consent_proxy.adapters.verifier.files import Unreadable, check, tell
from consent_proxy.adapters.verifier.single_file import single_file
from consent_proxy.bootstrap.desk import open_desk
from consent_proxy.cli.database_desk import DatabaseControlDesk
from consent_proxy.cli.exits import FINDING, Unavailable, run
from consent_proxy.cli.files import opened, output_option
from consent_proxy.cli.output import examples, json_option, print_json
from consent_proxy.cli.progress import say
from consent_proxy.cli.signals import ended_by_sigterm
from consent_proxy.settings import Settings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def log() -> None:
    """Check the record."""


@log.command(epilog=examples("consent-proxy log export --output log.ndjson", "consent-proxy log verify log.ndjson"))
@output_option
def export(output: Path | None) -> None:
    """Write the whole log as a stream of JSON lines: what `log verify` reads."""
    with ended_by_sigterm(), opened(output) as file:
        run(_export(file))
        file.flush()


@log.command()
@click.argument("file", metavar="EXPORT|BUNDLE", type=_FILE, help="What log export wrote, or a transfer's evidence.")
@click.option("--checkpoint", "kept", type=_FILE, multiple=True, help="A checkpoint that you kept; may repeat.")
@click.option("--consistency", type=_FILE, help="The answer of /v1/log/consistency that leads from it to the bundle.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="A key you trust, name+id+key; may repeat.")
@click.option("--subject-ref", metavar="REF", help="Say what was sent of one subject since that checkpoint.")
@json_option
@click.pass_context
def verify(  # noqa: PLR0917 - click hands them over by name
    context: click.Context,
    file: Path,
    kept: tuple[Path, ...],
    consistency: Path | None,
    keys: tuple[str, ...],
    subject_ref: str | None,
    *,
    as_json: bool,
) -> None:
    """Check an export of the log, or the evidence of one transfer. Works offline; exit code 1 for a finding.

    Everything that holds the tree together is checked, every signature, that the log goes on from the checkpoints you
    kept, and that each transfer cites a consent and a contract that stood. The first line names the first wrong row.
    """
    try:
        report = check(
            str(file),
            kept=list(map(str, kept)),
            consistency=str(consistency) if consistency is not None else None,
            keys=list(keys),
            ref=subject_ref,
        )
    except Unreadable as error:
        raise Unavailable(f"{file}: {error}") from None
    if as_json:
        print_json({"holds": not report.findings, "findings": report.findings, "told": report.told})
        context.exit(FINDING if report.findings else 0)
    context.exit(tell(report))


@log.command()
def verifier() -> None:
    """Print the verifier as one file, for an auditor to read and to run without this package."""
    click.echo(single_file(), nl=False)


async def _export(file: BinaryIO) -> None:
    async with open_desk(Settings(), progress=say) as desk, aclosing(DatabaseControlDesk(desk).log_lines()) as lines:
        async for line in lines:
            file.write(line.encode())
