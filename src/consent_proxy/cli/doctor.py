"""`doctor`: look the service through and say what to do."""

import click

from consent_proxy.application.ports.platform import Readiness
from consent_proxy.application.readiness import readiness
from consent_proxy.bootstrap import open_desk, open_manifests
from consent_proxy.cli.exits import FINDING, run
from consent_proxy.cli.output import print_json
from consent_proxy.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Say what would keep the door shut, or the record from being safe. Exit code 1 where there is something."""
    settings = Settings()
    found = run(_look(settings))
    findings = [*found.warnings, *_settings_findings(settings)]
    if as_json:
        print_json({"ready": found.ready, "findings": findings})
    else:
        click.echo("The database answers and its schema fits." if found.ready else "The service cannot work now.")
        for finding in findings:
            click.echo(f"- {finding}")
        if not findings:
            click.echo("Nothing to do.")
    context.exit(FINDING if findings or not found.ready else 0)


async def _look(settings: Settings) -> Readiness:
    async with open_desk(settings) as desk:
        return await readiness(
            health=desk.health, facts=desk.facts, manifests=open_manifests(settings), clock=desk.clock
        )


def _settings_findings(settings: Settings) -> list[str]:
    findings = []
    if settings.fal_key is None:
        findings.append("fal has no credential: set CONSENT_PROXY_FAL__KEY, or nothing is sent there")
    if settings.replicate_token is None:
        findings.append("Replicate has no credential: set CONSENT_PROXY_REPLICATE__TOKEN, or nothing is sent there")
    if settings.environment == "production" and not (settings.public_url or "").startswith("https://"):
        findings.append(
            "CONSENT_PROXY_PUBLIC_URL is not https: callers' keys and people's data would travel in the open"
        )
    return findings
