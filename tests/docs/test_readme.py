"""What the README says is so: every setting, every command, every dependency."""

import re
import shlex
import tomllib
from typing import Any

import click
import httpx
import pytest
from pydantic import BaseModel

from consent_proxy.cli.main import commands as command_line
from consent_proxy.settings import Settings
from tests.docs.readme import REPOSITORY, blocks, commands, table
from tests.live import KEY, Live

#: What the service also reads under the names that fal and Replicate gave them.
THEIR_OWN_NAMES = {"fal_key_plain": "FAL_KEY", "replicate_token_plain": "REPLICATE_API_TOKEN"}
PERSON = "account-4711"


def settings_of(model: type[BaseModel], *, before: str = "") -> set[str]:
    """The names of a model's fields as the environment has them."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            names |= settings_of(nested, before=f"{before}{name.upper()}__")
        elif name not in THEIR_OWN_NAMES:
            names.add(before + name.upper())
    return names


def test_the_settings_table_has_every_setting_and_no_stranger() -> None:
    rows = table("name", "meaning", "default")
    listed = [name for row in rows for name in re.findall(r"`([A-Z_]+)`", row[0])]
    assert len(set(listed)) == len(listed)
    assert set(listed) == settings_of(Settings)
    meanings = " ".join(row[1] for row in rows)
    for name in THEIR_OWN_NAMES.values():
        assert f"`{name}`" in meanings


def requirements() -> set[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    listed = [
        *project["project"]["dependencies"],
        *(entry for extra in project["project"]["optional-dependencies"].values() for entry in extra),
        *(entry for group in project["dependency-groups"].values() for entry in group if isinstance(entry, str)),
    ]
    return {re.split(r"[\[<>=!~; ]", entry)[0].lower() for entry in listed}


def test_every_direct_dependency_has_its_line_and_the_version_that_is_locked() -> None:
    rows = table("package", "what it does for us", "licence")
    listed = {row[0].split(" ")[0]: row for row in rows}
    assert len(listed) == len(rows)
    assert set(listed) == requirements()
    locks = "".join((REPOSITORY / f"requirements{kind}.lock").read_text("utf-8") for kind in ("", "-dev"))
    for name, (_, does, licence, locked, released, *_) in listed.items():
        assert does
        assert licence
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", released)
        versions = set(re.findall(rf"^{re.escape(name)}==([^\s;\\]+)", locks, re.MULTILINE | re.IGNORECASE))
        assert versions == {locked}, name


def the_rooms_commands() -> list[list[str]]:
    found = [command for command in commands() if "consent-proxy " in command]
    assert found
    return [shlex.split(command)[1:] for command in found]


@pytest.mark.parametrize("arguments", the_rooms_commands(), ids=" ".join)
def test_every_command_it_shows_is_there(arguments: list[str]) -> None:
    command: click.Command = command_line
    while arguments and isinstance(command, click.Group) and not arguments[0].startswith("-"):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, arguments[0]
        command, arguments = found, arguments[1:]
    with click.Context(command) as context:
        known = {option for parameter in command.params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("-")} <= known
        taken = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
        assert len([parameter for parameter in taken if parameter.required]) <= len(arguments)
        assert context is not None


def curl(live: Live, command: str) -> httpx.Response:
    """What curl would send. AssertionError for an option that this does not know."""
    method, url, headers, data = "GET", "", [], None
    values = iter(shlex.split(command.replace("$URL", live.url).replace("$KEY", KEY))[1:])
    for word in values:
        match word:
            case "-s":
                continue
            case "-X":
                method = next(values)
            case "-H":
                name, _, value = next(values).partition(":")
                headers.append((name.strip(), value.strip()))
            case "-d":
                method, data = "POST", next(values)
            case _:
                assert not word.startswith("-"), f"an option that this test does not know: {word}"
                url = word
    return live.http.request(method, url, headers=headers, content=data)


def test_every_curl_it_shows_is_answered(apart: Live) -> None:
    shown = [command for command in commands() if command.startswith("curl ")]
    assert len(shown) >= 10
    for command in shown:
        answer = curl(apart, command)
        assert answer.is_success, f"{command}\n{answer.status_code} {answer.text}"
    states = {row["state"] for row in apart.consent(PERSON)["standing"]}
    assert states == {"withdrawn"}, "the README ends with a withdrawal"


def test_the_python_it_shows_makes_pictures(apart: Live) -> None:
    [code] = [code for code in blocks("python") if "fal_client(" in code]
    assert "http://127.0.0.1:8080" in code
    apart.decide(PERSON)
    apart.sandbox.wire.clear()
    told: dict[str, Any] = {"key": KEY}
    exec(compile(code.replace("http://127.0.0.1:8080", apart.url), "README.md", "exec"), told)
    try:
        [image] = told["result"]["images"]
        assert apart.http.get(image["url"]).content.startswith(b"\x89PNG")
        [output] = told["output"]
        assert output.read()
        assert {body.get("prompt") or body["input"]["prompt"] for body in apart.sent()} == {"a fox reading a letter"}
    finally:
        told["fal"]._client.close()
        told["replicate"]._client.close()
