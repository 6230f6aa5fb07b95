"""`models draft`: a file from a file, a reason for whatever is not in it, and one line for what cannot be."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consent_proxy.adapters.manifests import FileManifestCatalogue
from consent_proxy.cli.main import commands
from tests.schemas import FAL_MODEL, REPLICATE_MODEL, REPLICATE_VERSION, fal_openapi, replicate_model


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(commands, [str(word) for word in words])


def draft(*words: str | Path) -> Result:
    return run("models", "draft", *words)


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return saved(tmp_path / "schema.json", fal_openapi())


def saved(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_a_draft_goes_to_stdout_and_what_is_left_to_do_to_stderr(schema: Path) -> None:
    ended = draft("fal", FAL_MODEL, "--schema", schema)
    assert ended.exit_code == 0
    assert ended.stdout.startswith("# A draft")
    assert "12 placed, 1 for review" in ended.stderr
    assert "mood is free text" in ended.stderr
    assert "Of no force until reviewed" in ended.stderr


def test_a_draft_lies_in_the_manifests_folder_and_is_not_listed(
    schema: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    assert draft("fal", FAL_MODEL, "--schema", schema, "--out", folder / "painter.toml").exit_code == 0
    monkeypatch.setenv("CONSENT_PROXY_MANIFESTS_DIR", str(folder))
    assert len(FileManifestCatalogue(manifests_dir=folder).drafts()) == 1
    assert FAL_MODEL not in run("models", "list").output
    shown = run("models", "show", FAL_MODEL)
    assert shown.exit_code == 1


def test_a_file_that_is_there_stays_as_it_is(schema: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.toml"
    there.write_text("mine", "utf-8")
    ended = draft("fal", FAL_MODEL, "--schema", schema, "--out", there)
    assert ended.exit_code == 2
    assert "stays as it is: choose another name" in ended.stderr
    assert there.read_text("utf-8") == "mine"


def test_a_program_reads_what_was_placed_what_was_not_and_the_text(schema: Path) -> None:
    found = json.loads(draft("fal", FAL_MODEL, "--schema", schema, "--json").stdout)
    assert set(found) == {"provider", "model", "placed", "review", "toml"}
    assert "webhook_url" in found["placed"]
    assert list(found["review"]) == ["mood"]
    assert 'reviewed_by = ""' in found["toml"]


def test_replicates_version_is_pinned_and_training_is_another_manifest(tmp_path: Path) -> None:
    schema = saved(tmp_path / "model.json", replicate_model())
    generation = draft("replicate", REPLICATE_MODEL, "--schema", schema)
    assert f'versions = ["{REPLICATE_VERSION}"]' in generation.stdout
    assert 'hf_token = { category = "onward" }' in generation.stdout
    assert "is it --purpose training?" in generation.stderr
    training = draft("replicate", REPLICATE_MODEL, "--schema", schema, "--purpose", "training")
    assert 'input_images = { category = "training-media", kind = "media", required = true }' in training.stdout
    assert 'purpose = "training"' in training.stdout


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("text", b"not json", "is not JSON"),
        ("nothing", b"", "is not JSON"),
        ("latin", b'{"a": "\xfc"}', "not UTF-8"),
        ("twice", b'{"a":1,"a":2}', "a key twice"),
        ("deep", b"[" * 100_000, "nest too deep"),
        ("deeper than read", b"[" * 70 + b"]" * 70, "nest deeper"),
        ("nan", b'{"properties":{"x":{"minimum":NaN}}}', "not JSON"),
        ("digits", b'{"a":' + b"9" * 5_000 + b"}", "too many digits"),
        ("surrogate", b'{"a":"\\ud800"}', "surrogate"),
        ("list", b"[]", "no JSON object"),
        ("empty", b"{}", "describes no input"),
        ("other", json.dumps(fal_openapi("fal-ai/other")).encode(), "of another model"),
    ],
)
def test_a_file_that_is_no_schema_is_told_in_a_line(tmp_path: Path, name: str, body: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(body)
    ended = draft("fal", FAL_MODEL, "--schema", path)
    assert ended.exit_code == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.output
    assert len(ended.stderr.strip().splitlines()) <= 4


def test_a_file_of_ten_megabytes_is_drafted_or_refused_soon(tmp_path: Path) -> None:
    many = {f"field_{number}": {"type": "string", "description": "x" * 500} for number in range(20_000)}
    wide = saved(tmp_path / "wide.json", {"properties": many})
    assert os.stat(wide).st_size > 10_000_000  # noqa: PTH116 - the size of a file
    ended = draft("fal", FAL_MODEL, "--schema", wide)
    assert ended.exit_code == 2
    assert "more than 1000 places" in ended.stderr
    long = saved(tmp_path / "long.json", {"properties": {"prompt": {"type": "string", "description": "x" * 10**7}}})
    ended = draft("fal", FAL_MODEL, "--schema", long)
    assert ended.exit_code == 0
    assert len(ended.stdout) < 2_000


def test_a_file_larger_than_any_schema_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.json"
    with path.open("wb") as file:
        file.truncate(40_000_000)
    ended = draft("fal", FAL_MODEL, "--schema", path)
    assert ended.exit_code == 2
    assert "40,000,000 bytes" in ended.stderr


def test_a_names_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    schema = saved(tmp_path / "schema.json", {"properties": {"\x1b[2J\u202eevil": {"type": "string"}}})
    ended = draft("fal", FAL_MODEL, "--schema", schema)
    assert ended.exit_code == 0
    assert "\x1b" not in ended.output
    assert "\u202e" not in ended.output


@pytest.mark.parametrize(
    "line",
    [
        "fal fal-ai/x",
        "openai gpt/x --schema {schema}",
        "fal ../etc/passwd --schema {schema}",
        "fal https://fal.run/x --schema {schema}",
        "fal fal-ai/x --schema nowhere.json",
        "fal fal-ai/x --schema {schema} --purpose fun",
        "fal fal-ai/x --schema {schema} --recipient mia@example.com",
    ],
)
def test_wrong_usage_ends_with_2(schema: Path, line: str) -> None:
    ended = draft(*line.format(schema=schema).split())
    assert ended.exit_code == 2
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("words", [("models", "list"), ("models", "check"), ("models", "show", "a/b")])
def test_a_manifest_that_is_wrong_is_named_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    (tmp_path / "bad.toml").write_text("family = ", "utf-8")
    monkeypatch.setenv("CONSENT_PROXY_MANIFESTS_DIR", str(tmp_path))
    ended = run(*words)
    assert ended.exit_code == 2
    assert "bad.toml is not TOML" in ended.stderr
