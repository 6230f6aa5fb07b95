"""Every command with nonsense: one readable line with the next step, the right exit code, never a traceback."""

import json
import shlex
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from uuid import uuid4

import pytest

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.postgres.embedded.passwords import SERVICE
from tests.api.documents import a_contract, a_disclosure
from tests.cli.command_line import At, at_service, at_url
from tests.live import KEY, Live

DEEP = "[" * 100_000
LETTERS = dict.fromkeys(("title", "body", "accept_label", "decline_label", "withdrawal_hint"), "x")

#: Files that no document is in, by name.
FILES: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)) * 10,
    "huge": b"[" + b"1," * 2_100_000 + b"1]",
    "deep": DEEP.encode(),
    "nested": (b'{"version":' * 70) + b"1" + b"}" * 70,
    "twice": b'{"version":"v1","version":"v2"}',
    "nan": b'{"version":NaN}',
    "nul": b'{"version":"\\u0000"}',
    "half": b'{"version":"\\ud800"}',
    "list": b"[1,2,3]",
    "text": b'"version"',
    "number": b"1" * 5000,
    "utf16": '{"version":"v1"}'.encode("utf-16"),
    "contract": json.dumps(a_contract()).encode(),
    "disclosure": json.dumps(a_disclosure("v-nonsense")).encode(),
    "stranger": json.dumps(a_disclosure("v-nonsense", colour="red")).encode(),
    "undated": json.dumps(a_disclosure("v-nonsense", effective_at="tomorrow")).encode(),
    "wordless": json.dumps(a_disclosure("v-nonsense", categories={})).encode(),
    "escape": json.dumps(a_disclosure("v-nonsense", **{"\x1b[2J": 1})).encode(),
    "backwards": json.dumps(a_contract(valid_until="2025-01-01T00:00:00Z")).encode(),
    "promise": json.dumps(a_contract(equal_protection="yes")).encode(),
}

#: A command, and a piece of the line that says what is wrong with it. Nothing is started for any of them.
WRONG_USAGE: dict[str, str] = {
    "nonsense": "No such command",
    "serve --port 0": "--port",
    "serve --port http": "--port",
    "serve --workers 0": "--workers",
    "serve now": "unexpected extra argument",
    "demo now": "unexpected extra argument",
    "sandbox --port 99999": "--port",
    "sandbox now": "unexpected extra argument",
    "migrate now": "unexpected extra argument",
    "migrate --url http://127.0.0.1:1 --key x": "No such option",
    "openapi now": "unexpected extra argument",
    "doctor now": "unexpected extra argument",
    "keys nonsense": "No such command",
    "keys create": "--caller",
    "keys create --caller mia@example.com --role auditor": "is not a name",
    "keys create --caller 'of mine' --role auditor": "is not a name",
    "keys create --caller backend --role root": "--role",
    "keys create --caller backend": "--role",
    "keys create --caller backend --role auditor --days 0": "--days",
    "keys create --caller backend --role auditor --days 99999999": "--days",
    "keys create --caller backend --role auditor --days soon": "--days",
    "keys list everything": "unexpected extra argument",
    "keys list --colour": "No such option",
    "keys revoke": "KEY_ID",
    "keys revoke mine": "valid UUID",
    "keys revoke cpk_the_key_itself": "valid UUID",
    "disclosures publish": "FILE",
    "disclosures publish nowhere.json": "nowhere.json",
    "disclosures publish {folder}": "directory",
    "disclosures publish {empty}": "character 0",
    "disclosures publish {binary}": "not UTF-8",
    "disclosures publish {huge}": "4,000,000 bytes",
    "disclosures publish {deep}": "nest too deep",
    "disclosures publish {nested}": "nest deeper",
    "disclosures publish {twice}": "names a key twice",
    "disclosures publish {nan}": "NaN",
    "disclosures publish {nul}": "NUL",
    "disclosures publish {half}": "surrogate",
    "disclosures publish {list}": "the document",
    "disclosures publish {text}": "the document",
    "disclosures publish {number}": "too many digits",
    "disclosures publish {utf16}": "not UTF-8",
    "disclosures publish {contract}": "and 12 more",
    "disclosures publish {stranger}": "colour",
    "disclosures publish {undated}": "effective_at: a moment is written as in RFC 3339",
    "disclosures publish {wordless}": "has no words for",
    "disclosures publish {escape}": "Extra inputs",
    "disclosures publish -": "standard input",
    "disclosures publish /dev/zero": "4,000,000 bytes",
    "disclosures show --locale 'in English'": "is not a language",
    "disclosures list --limit 3": "No such option",
    "contracts put fal": "FILE",
    "contracts put mia@example.com {contract}": "is not a name",
    "contracts put fal {disclosure}": "legal_entity: Field required",
    "contracts put fal {backwards}": "valid_until has to be after valid_from",
    "contracts put fal {promise}": "equal_protection: Input should be a valid boolean",
    "contracts put fal {list}": "the document",
    "contracts put fal nowhere.json": "nowhere.json",
    "contracts end": "RECIPIENT",
    "contracts end mia@example.com": "is not a name",
    "models list --provider 'two words'": "is not a name",
    "models show": "MODEL",
    "models show mia@example.com": "is not an id",
    "transfers list --caller mia@example.com": "is not a name",
    "transfers list --model mia@example.com": "is not an id",
    "transfers list --contract mia@example.com": "is not an id",
    "transfers list --recipient ''": "is not a name",
    "transfers list --kind everything": "--kind",
    "transfers list --reason because": "--reason",
    "transfers list --outcome lost": "--outcome",
    "transfers list --category onwards": "--category",
    "transfers list --purpose selling": "--purpose",
    "transfers list --country us": "two capital letters",
    "transfers list --job mine": "valid UUID",
    "transfers list --subject-ref mia": "valid UUID",
    "transfers list --subject mia@example.com": "--subject takes - and nothing else",
    "transfers list --subject - --subject-kind person": "--subject-kind",
    "transfers list --subject -": "1 to 256 bytes",
    "transfers list --from yesterday": "is no moment",
    "transfers list --from 2026-02-30": "is no moment",
    "transfers list --from 2026-11-01T09:30:00": "is no moment",
    "transfers list --to 1793000000": "is no moment",
    "transfers list --to 0001-01-01": "is no moment",
    "transfers list --order up": "--order",
    "transfers list --limit 0": "--limit",
    "transfers list --limit 1001": "--limit",
    "transfers export --format xlsx": "--format",
    "transfers export --output /dev/null": "is not a file",
    "transfers export --output {folder}": "is not a file",
    "transfers export --output {folder}/none/x": "No such file or directory",
    "transfers export --output {empty}/x": "Not a directory",
    "log verify": "Missing argument 'EXPORT|BUNDLE'",
    "log verify nowhere.ndjson": "does not exist",
    "log verify {empty}": "is not what it has to be",
    "log verify --from x.ndjson y": "--from",
    "log export --output {folder}": "is not a file",
    "keys list --url https://consent.example.com": "give --key too",
    "keys list --key cpk_of_nobody": "give --url too",
    "models list --key cpk_of_nobody": "give --url too",
}

#: Every command that asks a service or a database, with usage that is right.
ASKING = (
    "keys create --caller backend --role auditor",
    "keys list",
    "keys revoke 01a213e9-2b25-76ee-83d5-0095450011df",
    "disclosures publish {disclosure}",
    "disclosures list",
    "disclosures show",
    "contracts put fal {contract}",
    "contracts list",
    "contracts end fal",
    "transfers list",
    "transfers list --subject -",
    "transfers export",
    "transfers export --output {folder}/out.csv --format csv",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("nonsense")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return {"folder": str(folder), **{name: str(folder / name) for name in FILES}}


def words_of(line: str, files: dict[str, str]) -> list[str]:
    return [word.format(**files) for word in shlex.split(line)]


@pytest.mark.parametrize("line", WRONG_USAGE)
def test_wrong_usage_is_one_line_and_exit_code_2_and_starts_nothing(
    nowhere: At, files: dict[str, str], line: str
) -> None:
    ended = nowhere.run(*words_of(line, files))
    assert (ended.code, ended.out) == (2, "")
    assert WRONG_USAGE[line] in ended.told
    assert "mia@example.com" not in ended.err, "what was given may be personal"
    assert "\x1b" not in ended.err


@pytest.mark.parametrize("line", ASKING)
def test_a_database_that_is_away_is_told_with_the_setting_that_names_it(files: dict[str, str], line: str) -> None:
    ended = at_url("postgresql://x:secret-word@127.0.0.1:1/consent").run(*words_of(line, files), given="mia-4711\n")
    assert (ended.code, ended.out) == (2, "")
    assert "CONSENT_PROXY_DATABASE_URL" in ended.told
    assert "secret-word" not in ended.err
    assert not Path(files["folder"], "out.csv").exists()


@pytest.mark.parametrize("line", [*ASKING, "models list", "models show fal-ai/flux/dev"])
def test_a_service_that_is_away_is_told_with_its_address(files: dict[str, str], line: str) -> None:
    away = At(environment={"CONSENT_PROXY_URL": "http://127.0.0.1:1", "CONSENT_PROXY_KEY": "cpk_of_nobody"})
    ended = away.run(*words_of(line, files), given="mia-4711\n")
    assert (ended.code, ended.out) == (2, "")
    assert ended.told == "http://127.0.0.1:1: nothing listens there: start it, or correct --url"
    assert list(Path(files["folder"]).glob("*out.csv*")) == []


@pytest.mark.parametrize("line", [*ASKING, "models list", "models show fal-ai/flux/dev"])
def test_a_key_that_opens_nothing_is_told_and_changes_nothing(apart: Live, files: dict[str, str], line: str) -> None:
    ended = at_service(apart).run(*words_of(line, files), "--key", "cpk_of_nobody", given="mia-4711\n")
    if line == "disclosures show":  # which is in force is anybody's to know, and the list is not
        assert "credential-invalid" in ended.told
    assert (ended.code, ended.out) == (1, "")
    assert ended.told.startswith("credential-invalid: ")
    assert "--key" in ended.told
    assert "cpk_of_nobody" not in ended.err


def test_an_expired_key_and_one_without_the_role_are_told_apart(apart: Live) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    expired = apart.key("admin", expires_at=soon.isoformat())
    weak = at_service(apart).run("keys", "list", "--key", apart.key("auditor"))
    assert (weak.code, weak.told) == (1, "role-missing: this needs a service key with the role 'admin'")
    sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds() + 0.01))
    late = at_service(apart).run("keys", "list", "--key", expired)
    assert late.code == 1
    assert late.told.startswith("credential-expired: ")


def test_a_subject_token_is_not_a_service_key(apart: Live) -> None:
    ended = at_service(apart).run("transfers", "list", "--key", apart.token("mia-4711"))
    assert (ended.code, ended.told.partition(":")[0]) == (1, "role-missing")


@pytest.mark.parametrize("command", ["serve", "sandbox"])
def test_a_port_that_is_taken_is_told_before_anything_is_started(nowhere: At, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = nowhere.run(command, "--port", port)
    assert (ended.code, ended.out) == (2, "")
    assert port in ended.told
    assert "cannot be listened on" in ended.told
    assert "choose another --" in ended.told


def test_a_host_that_is_not_there_cannot_be_served_on(nowhere: At) -> None:
    ended = nowhere.run("serve", "--host", "192.0.2.1", "--port", "18080")
    assert (ended.code, ended.out) == (2, "")
    assert "192.0.2.1:18080 cannot be listened on" in ended.told


@pytest.mark.parametrize("command", ["models list", "models show fal-ai/flux/dev", "serve --port 18080"])
def test_manifests_that_cannot_be_read_are_told_by_their_setting(nowhere: At, command: str) -> None:
    ended = nowhere.run(*command.split(), CONSENT_PROXY_MANIFESTS_DIR="/nonexistent")
    assert (ended.code, ended.out) == (2, "")
    assert ended.told == "there is no folder /nonexistent: see the setting CONSENT_PROXY_MANIFESTS_DIR"


@pytest.mark.parametrize("url", ["postgresql://x:secret-word@127.0.0.1:1/y", "http://127.0.0.1/y", "nonsense"])
def test_a_migration_that_cannot_be_made_is_told_with_its_setting(nowhere: At, url: str) -> None:
    ended = nowhere.run("migrate", CONSENT_PROXY_MIGRATE_DATABASE_URL=url)
    assert (ended.code, ended.out) == (2, "")
    assert ended.told.endswith(": correct CONSENT_PROXY_MIGRATE_DATABASE_URL")
    assert "secret-word" not in ended.err


@pytest.fixture
def empty_database(postgres: Cluster) -> Iterator[str]:
    """A database without our schema."""
    name = f"empty_{uuid4().hex[:8]}"
    postgres.create_database(name)
    yield postgres.url(SERVICE, database=name)
    postgres.drop_database(name)


def test_a_database_without_schema_is_told_to_be_migrated(empty_database: str, files: dict[str, str]) -> None:
    for line in ASKING:
        ended = at_url(empty_database).run(*words_of(line, files), given="mia-4711\n")
        assert ended.code == 2
        assert "consent-proxy migrate" in ended.told


def test_another_secret_than_the_databases_is_told_where_a_person_is_looked_up(apart: Live) -> None:
    other = at_url(apart.database.service_url, secret="another one than it was made with")
    assert other.run("transfers", "list").code == 0
    ended = other.run("transfers", "list", "--subject", "-", given="mia-4711\n")
    assert ended.code == 2
    assert "CONSENT_PROXY_SECRET_KEY" in ended.told


@pytest.mark.parametrize(
    "given",
    [b"", b"\n", b" mia\n", b"undefined\n", b"\xff\xfe\n", b"x" * 257, b"x" * 10_000_000, b"a\x00b\n", b"a\tb\n"],
    ids=lambda given: f"{given[:9]!r} of {len(given)}",
)
def test_an_identifier_that_cannot_be_one_is_told_before_anything_is_asked(nowhere: At, given: bytes) -> None:
    ended = nowhere.run("transfers", "list", "--subject", "-", given=given)
    assert (ended.code, ended.out) == (2, "")
    assert "the subject" in ended.told


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"DATABASE_URL": "postgresql://x@127.0.0.1:1/y"}, "CONSENT_PROXY_SECRET_KEY is required"),
        ({"DATABASE_URL": "mysql://x@127.0.0.1:1/y", "SECRET_KEY": "s" * 32}, "postgresql:// address"),
        ({"DATABASE_URL": "postgresql://x@127.0.0.1:port/y", "SECRET_KEY": "s" * 32}, "CONSENT_PROXY_DATABASE_URL"),
        ({"ENVIRONMENT": "Not A Label"}, "CONSENT_PROXY_ENVIRONMENT: "),
        ({"BOOTSTRAP_ADMIN_KEY": "short"}, "CONSENT_PROXY_BOOTSTRAP_ADMIN_KEY: has to be 24 characters or more"),
        ({"SANDBOXED": "fal"}, "JSON list"),
        ({"SEND_WITHIN": "soon", "BODY_LIMIT": "0"}, "CONSENT_PROXY_SEND_WITHIN: "),
        ({"FAL__RUN_URL": "http://example.com"}, "CONSENT_PROXY_FAL__RUN_URL: has to begin with https://"),
        ({"PG_BIN": "/nonexistent"}, "/nonexistent"),
        ({"DATA_DIR": "/dev/null/x"}, "Not a directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_settings_that_cannot_be_are_told_by_name(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    given = {"DATA_DIR": str(tmp_path / "data"), **settings}
    ended = At(environment={f"CONSENT_PROXY_{name}": value for name, value in given.items()}).run("keys", "list")
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://consent.example.com", "only https may be called"),
        ("ftp://127.0.0.1", "only https may be called"),
        ("consent.example.com", "only https may be called"),
        ("https://mia:word@consent.example.com", "may not hold credentials"),
        ("https://consent.example.com/?key=1", "ends before any ? or #"),
        ("https://", "only https may be called"),
        ("http://127.0.0.1:99999", "no connection"),
        ("https://a b\n", "not a URL"),
        ("https://\udcff", "not a URL"),
    ],
)
def test_an_address_that_cannot_be_one_is_told_before_anything_is_asked(nowhere: At, url: str, told: str) -> None:
    ended = nowhere.run("keys", "list", "--url", url, "--key", KEY)
    assert ended.code == 2
    assert told in ended.told
    assert "mia" not in ended.err


@pytest.mark.parametrize(
    "key", ["two words", "cpk_\n", "cpk_ü", "x" * 5000], ids=lambda key: f"{key[:9]!r} of {len(key)}"
)
def test_a_key_that_cannot_be_one_is_told_and_not_repeated(nowhere: At, key: str) -> None:
    ended = nowhere.run("keys", "list", "--url", "https://consent.example.com", "--key", key)
    assert ended.code == 2
    assert ended.told == "a key is one word of plain characters, as in cpk_…: correct --url or --key"
