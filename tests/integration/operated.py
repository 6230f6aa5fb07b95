"""The command line as an operator runs it, on a database of the test's own."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consent_proxy.adapters.shipped.documents import shipped_contracts, shipped_disclosure
from consent_proxy.cli.main import commands
from tests.postgres import LedgerDatabase

SECRET_KEY = "wraps the secrets of these tests"


class Operator:
    """Runs commands; ``set`` changes a setting for the commands that follow."""

    def __init__(self, environment: pytest.MonkeyPatch, folder: Path) -> None:
        self._environment, self._folder = environment, folder

    def set(self, **settings: str | None) -> None:
        for name, value in settings.items():
            if value is None:
                self._environment.delenv(f"CONSENT_PROXY_{name}", raising=False)
            else:
                self._environment.setenv(f"CONSENT_PROXY_{name}", value)

    def run(self, *words: str | Path) -> Result:
        ended = CliRunner().invoke(commands, [str(word) for word in words])
        assert "Traceback" not in ended.output, ended.output
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        return ended

    def save(self, name: str, content: Any) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    def publish(self, *, contracts: tuple[str, ...] = ("fal", "replicate"), **disclosure: Any) -> None:
        """Publish the shipped disclosure and put the shipped contracts with these recipients."""
        document = shipped_disclosure() | disclosure
        assert self.run("disclosures", "publish", self.save("disclosure.json", document)).exit_code == 0
        for recipient in contracts:
            self.put(recipient)

    def put(self, recipient: str, **contract: Any) -> None:
        path = self.save(f"{recipient}.json", shipped_contracts()[recipient] | contract)
        assert self.run("contracts", "put", recipient, path).exit_code == 0

    def findings(self, *words: str | Path, exit_code: int) -> dict[str, dict[str, Any]]:
        """What a command finds, by slug."""
        ended = self.run(*words, "--json")
        assert ended.exit_code == exit_code, ended.output
        return {finding["slug"]: finding for finding in json.loads(ended.stdout)["findings"]}


@pytest.fixture
def operator(ledger_database: LedgerDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """One with a key for each provider, on a migrated database with nothing published."""
    made = Operator(monkeypatch, tmp_path)
    made.set(DATABASE_URL=ledger_database.service_url, SECRET_KEY=SECRET_KEY, MANIFESTS_DIR=None, ENVIRONMENT=None)
    made.set(FAL__KEY="a key", REPLICATE__TOKEN="a token", PUBLIC_URL="https://proxy.example.com")
    return made
