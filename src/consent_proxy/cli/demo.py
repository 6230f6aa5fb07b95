"""`demo`: the whole journey of one person's data, told as it happens."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from consent_proxy.bootstrap.store import StartError, data_dir
from consent_proxy.cli.exits import Finding, Unavailable
from consent_proxy.cli.output import print_rows
from consent_proxy.cli.signals import ended_by_sigterm
from consent_proxy.cli.stage import Stage, set_stage
from consent_proxy.sandbox.wire import Role
from consent_proxy.sdk import fal_client, replicate_client
from consent_proxy.settings import Settings

PERSON = "mia-4711"
EMAIL = "mia@example.com"
ASKED = {
    "prompt": "a fox reading a letter, watercolour",
    "image_size": "square",
    "num_inference_steps": 4,
    "email": EMAIL,
    "device": "Mia's iPhone",
}
FAL_MODEL = "fal-ai/flux/schnell"
REPLICATE_MODEL = "black-forest-labs/flux-schnell"


@click.command()
def demo() -> None:
    """Walk the main journey with the official SDKs, against local stand-ins: no account, no cost."""
    pictures = data_dir(Settings()) / "demo"
    pictures.mkdir(parents=True, exist_ok=True)
    click.echo("Starting a Postgres, the proxy, and local stand-ins for fal and Replicate …")
    with ended_by_sigterm(), tempfile.TemporaryDirectory(prefix="consent-proxy-demo-") as folder:
        try:
            with set_stage(Path(folder)) as stage:
                _Story(stage, pictures).tell()
        except StartError as error:
            raise Unavailable(str(error)) from None
    click.echo("\nEverything that was started has been stopped.")


class _Story:
    """The journey, step by step; each step checks what it says."""

    def __init__(self, stage: Stage, pictures: Path) -> None:
        self.stage = stage
        self.pictures = pictures
        self.fal = fal_client(stage.url, stage.key, subject=PERSON)
        self.replicate = replicate_client(stage.url, stage.key, subject=PERSON)
        self.step = 0

    def tell(self) -> None:
        """The whole of it."""
        self._refused("Mia uses an AI feature before anyone has asked her", "consent-never-asked")
        disclosure = self._disclosure()
        self._answer("Mia says no, and that is recorded", disclosure, "declined")
        self._refused("The app tries all the same", "consent-declined")
        self._answer("Later Mia says yes in the settings", disclosure, "granted")
        self._picture_by_fal()
        self._picture_by_replicate()
        self._withdrawal()
        self._refused("The app tries once more", "consent-withdrawn")
        self._record()

    def _heading(self, text: str) -> None:
        self.step += 1
        click.echo(click.style(f"\n{self.step}. {text}", bold=True))

    def _arrived(self) -> int:
        return (
            len(self.stage.sandbox.wire.requests(role=Role.FAL_RUN))
            + len(self.stage.sandbox.wire.requests(role=Role.FAL_QUEUE))
            + len(self.stage.sandbox.wire.requests(role=Role.REPLICATE_API))
        )

    def _refused(self, heading: str, reason: str) -> None:
        self._heading(heading)
        before = self._arrived()
        for name, attempt in (("fal", self._ask_fal), ("Replicate", self._ask_replicate)):
            message = _failure(attempt)
            _require(reason in message, f"expected {reason}, got: {message}")
            click.echo(f"   {name:<9} refused: {message.splitlines()[0][:100]}")
        _require(self._arrived() == before, "something reached a provider")
        click.echo("   What reached the providers: nothing.")

    def _disclosure(self) -> dict[str, Any]:
        self._heading("So the app shows her what would be sent, and to whom")
        shown: dict[str, Any] = self.stage.call("GET", "/v1/disclosures/current?locale=en-GB")
        text = shown["text"]
        click.echo(f"   | {text['title']}")
        for section in text["sections"][:2]:
            click.echo(f"   | {section['heading']}: {section['text'].split('. ')[0].splitlines()[0].rstrip('.')}.")
        click.echo(f"   | [ {text['accept_label']} ]   [ {text['decline_label']} ]")
        click.echo(f"   Version {shown['version']}, shown in {shown['locale']}, sha256 {shown['sha256'][:16]}…")
        return shown

    def _answer(self, heading: str, disclosure: dict[str, Any], decision: str) -> None:
        self._heading(heading)
        body = {
            "disclosure": disclosure["version"],
            "disclosure_sha256": disclosure["sha256"],
            "locale": disclosure["locale"],
            "decision": decision,
            "evidence": {"surface": "ios", "screen": "ai-consent", "control": "button"},
        }
        recorded = self.stage.call("POST", "/v1/consent/decisions", body=body, subject=PERSON)
        states = sorted({row["state"] for row in recorded["standing"]})
        _require(states == [decision], f"expected {decision}, got {states}")
        click.echo(f"   Event {recorded['event_id']}: every purpose and recipient is now {decision}.")

    def _picture_by_fal(self) -> None:
        self._heading(f"A picture through fal's own SDK: {FAL_MODEL}")
        result = self._ask_fal()
        sent = self.stage.sandbox.wire.requests(role=Role.FAL_QUEUE, method="POST")[-1].json()
        rows = [
            {"the app asked": f"{name} = {_short(value)}", "fal received": _received(sent, name)}
            for name, value in ASKED.items()
        ]
        click.echo()
        print_rows(rows, columns=("the app asked", "fal received"), empty="")
        _require("email" not in sent and "device" not in sent, "an undisclosed field left")
        self._save("fal.png", self.stage.download(result["images"][0]["url"]))

    def _picture_by_replicate(self) -> None:
        self._heading(f"And one through Replicate's own SDK: {REPLICATE_MODEL}")
        pictures: Any = self._ask_replicate()
        self._save("replicate.png", pictures[0].read())

    def _withdrawal(self) -> None:
        self._heading("Mia takes her consent back")
        withdrawn = self.stage.call("POST", "/v1/consent/withdrawals", body={}, subject=PERSON)
        states = sorted({row["state"] for row in withdrawn["standing"]})
        _require(states == ["withdrawn"], f"expected withdrawn, got {states}")
        click.echo(f"   Event {withdrawn['event_id']}: from this answer on, no send for her begins.")

    def _record(self) -> None:
        self._heading("An auditor reads back what left, and what did not")
        listed = self.stage.call("GET", "/v1/transfers?order=asc", subject=PERSON)["items"]
        rows = [
            {
                "at": record["intent_at"][11:19],
                "what": record["kind"],
                "recipient": record["recipient"],
                "model": record["model"],
                "sent": record["fields_sent"],
                "dropped": [dropped["path"] for dropped in record["fields_dropped"]],
                "became": record["reason"] or record["outcome"]["state"],
            }
            for record in listed
        ]
        click.echo()
        print_rows(rows, columns=("at", "what", "recipient", "model", "sent", "dropped", "became"), empty="")
        _require([row["what"] for row in rows].count("transfer") == 2, "the record does not hold two transfers")  # noqa: PLR2004
        for secret in (PERSON, EMAIL, "iPhone"):
            _require(not self.stage.sandbox.wire.contains(secret), f"{secret} reached a provider")
        click.echo(f"\n   On the wire, '{PERSON}', '{EMAIL}' and her device were looked for and not found.")
        click.echo(f"   The pictures are in {self.pictures}")

    def _ask_fal(self) -> Any:
        return self.fal.subscribe(FAL_MODEL, arguments=dict(ASKED))

    def _ask_replicate(self) -> Any:
        return self.replicate.run(REPLICATE_MODEL, input={"prompt": ASKED["prompt"], "email": EMAIL})

    def _save(self, name: str, content: bytes) -> None:
        _require(content.startswith(b"\x89PNG"), "that is no picture")
        path = self.pictures / name
        path.write_bytes(content)
        click.echo(f"   Saved {path} ({len(content) // 1024} kB), fetched through the proxy.")


def _failure(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001 - each SDK has its own
        return str(getattr(error, "message", None) or getattr(error, "detail", None) or error)
    raise Finding("a request was let through that should have been refused")


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise Finding(f"the demo is not as it should be: {otherwise}")


def _received(sent: dict[str, Any], name: str) -> str:
    return f"{name} = {_short(sent[name])}" if name in sent else "-"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "…"  # noqa: PLR2004 - a column's width
