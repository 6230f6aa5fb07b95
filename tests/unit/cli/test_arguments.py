"""Wrong usage is told before anything is started; nothing of a person's gets into the record by the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from consent_proxy.cli.main import commands
from tests.api.documents import a_contract, a_disclosure


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder in which a command that starts the database would leave a trace."""
    folder = tmp_path / "data"
    monkeypatch.setenv("CONSENT_PROXY_DATA_DIR", str(folder))
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "keys create --caller mia@example.com --role auditor",
        "keys create --caller backend --role root",
        "keys create --caller backend",
        "keys create --caller backend --role auditor --days 0",
        "keys create --caller backend --role auditor --days 99999999",
        "keys revoke mine",
        "contracts put mia@example.com {contract}",
        "contracts put fal {disclosure}",
        "contracts put fal nowhere.json",
        "disclosures publish {contract}",
        "disclosures publish {twice}",
        "transfers list --caller mia@example.com",
        "transfers list --model mia@example.com",
        "transfers list --kind everything",
        "transfers list --reason because",
        "transfers list --outcome lost",
        "transfers list --country us",
        "transfers list --job mine",
        "transfers list --from yesterday",
        "transfers list --limit 0",
        "transfers export --format xlsx",
        "serve --port 0",
        "nonsense",
        "models draft x",
        "models draft openai gpt/x --schema {contract}",
        "models draft fal fal-ai/x --schema {contract}",
        "models check x",
        "models check --model no/such",
        "models check --provider openai",
        "models check --schema nowhere.json",
        "models check --schema {contract}",
        "models check --schema {twice}",
        "doctor --egress=yes",
        "log verify",
    ],
)
def test_wrong_usage_and_what_is_not_there_yet_end_with_2_and_start_nothing(
    nowhere: Path, tmp_path: Path, line: str
) -> None:
    files = {
        "contract": json.dumps(a_contract()),
        "disclosure": json.dumps(a_disclosure("v2")),
        "twice": '{"version":"v1","version":"v2"}',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    words = line.format(**{name: tmp_path / name for name in files}).split()
    ended = CliRunner().invoke(commands, words)
    assert ended.exit_code == 2, ended.output
    assert "Traceback" not in ended.output
    assert not nowhere.exists()


@pytest.mark.parametrize(
    "line",
    [
        *("", "serve", "demo", "sandbox", "migrate", "keys create", "keys list", "keys revoke", "disclosures publish"),
        *("disclosures list", "disclosures show", "contracts put", "contracts list", "contracts end", "models list"),
        *("models show", "models draft", "models check", "transfers list", "transfers export", "log verify"),
        *("media inspect", "media clean"),
        *("openapi", "doctor"),
    ],
)
def test_every_command_explains_itself(nowhere: Path, line: str) -> None:
    ended = CliRunner().invoke(commands, [*line.split(), "--help"])
    assert ended.exit_code == 0
    assert ended.output.startswith("Usage: ")
    assert not nowhere.exists()
