"""`doctor`: look the service through and say what to do."""

from dataclasses import asdict

import click

from consent_proxy.application.ports.platform import Finding, Readiness
from consent_proxy.application.readiness import readiness
from consent_proxy.bootstrap.desk import open_desk, open_manifests
from consent_proxy.cli.egress import egress_findings, other_hosts
from consent_proxy.cli.exits import FINDING, run
from consent_proxy.cli.output import print_json
from consent_proxy.settings import Settings

_SHORTEST_KEY = 24


@click.command()
@click.option(
    "--egress",
    is_flag=True,
    help="Also try whether the providers' other hosts can be reached from here: a TCP connection to port 443 of each is"
    " opened and closed, nothing is sent. Takes 4 seconds at most.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, *, egress: bool, as_json: bool) -> None:
    """Say what keeps the door shut, or the record from being safe, and what to do about it.

    Looks at the database and the role it is used by, the rules in force, the manifests, the secrets and the settings.
    Exit code 1 where something has to be done; what only has to be known is marked as a note.
    """
    settings = Settings()
    found = run(_look(settings))
    findings = [*found.warnings, *_settings_findings(settings)]
    tried = other_hosts(settings) if egress else []
    findings += egress_findings(tried)
    grave = any(finding.grave for finding in findings) or not found.ready
    if as_json:
        print_json({"ready": found.ready, "egress_tried": tried, "findings": [asdict(finding) for finding in findings]})
    else:
        _tell(found, findings, tried=tried)
    context.exit(FINDING if grave else 0)


def _tell(found: Readiness, findings: list[Finding], *, tried: list[str]) -> None:
    click.echo("The database answers and its schema fits." if found.ready else "The service cannot work now.")
    for finding in findings:
        click.echo(f"- {finding.message}" if finding.grave else f"- Note: {finding.message}")
    if not findings:
        click.echo("Nothing to do.")
    if not tried:
        click.echo("Not tried: whether the providers' other hosts can be reached from here (doctor --egress).")
    elif all(finding.slug != "egress-open" for finding in findings):
        click.echo(f"Egress is closed to the providers' other hosts ({', '.join(tried)}).")


async def _look(settings: Settings) -> Readiness:
    manifests = open_manifests(settings)
    async with open_desk(settings) as desk:
        return await readiness(
            health=desk.whole_health, facts=desk.facts, manifests=manifests, clock=desk.clock, setup=settings.setup()
        )


def _settings_findings(settings: Settings) -> list[Finding]:
    findings = []
    key = settings.secret_key
    if settings.database_url is not None and key is not None and len(key.get_secret_value()) < _SHORTEST_KEY:
        message = (
            "CONSENT_PROXY_SECRET_KEY is short enough to be guessed: make 32 random bytes, and move the short one to"
            " CONSENT_PROXY_SECRET_KEYS_PREVIOUS for one start"
        )
        findings.append(Finding("secret-key-short", message))
    if settings.bootstrap_admin_key is not None and settings.environment == "production":
        message = (
            "CONSENT_PROXY_BOOTSTRAP_ADMIN_KEY has every role, never expires and belongs to nobody: make keys of their"
            " own (keys create), then take it out"
        )
        findings.append(Finding("bootstrap-key-set", message, grave=False))
    return findings
