"""What the README and docs/ show works: every command is there, every curl is answered, every Python block runs."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import click
import pytest
from fal_client import SyncClient
from replicate.client import Client

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.cli.main import commands as command_line
from consent_proxy.sandbox.server import Sandbox
from tests.docs.pages import PAGES, README, Page
from tests.docs.shell import Shell, is_curl
from tests.live import KEY, Live, live_service
from tests.postgres import clone

PERSON = "account-4711"
WITH_CURLS = [page for page in PAGES if any(map(is_curl, page.commands()))]
WITH_PYTHON = [page for page in PAGES if page.blocks("python") and page is not README]


@pytest.fixture
def fresh(postgres: Cluster, live_sandbox: Sandbox) -> Iterator[Live]:
    """A service of the page's own: its reader's first."""
    live_sandbox.behave_well()
    live_sandbox.wire.clear()
    with clone(postgres) as database, live_service(database, live_sandbox) as live:
        yield live


def close_clients(told: Mapping[str, object]) -> None:
    """Neither SDK has a way to close its connections."""
    for client in told.values():
        if isinstance(client, SyncClient | Client):
            client._client.close()


def shown_commands() -> list[str]:
    """What follows our name on a line, each once."""
    whole = (command for page in PAGES for command in page.commands() if "consent-proxy " in command)
    # What a redirection feeds in or takes away is the shell's.
    found = dict.fromkeys(re.split(r" [<>|] ", command.split("consent-proxy ", 1)[1])[0] for command in whole)
    assert found
    return list(found)


@pytest.mark.parametrize("shown", shown_commands())
def test_every_command_shown_is_there(shown: str) -> None:
    arguments = shlex.split(shown)
    command: click.Command = command_line
    while arguments and isinstance(command, click.Group) and not arguments[0].startswith("-"):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, arguments[0]
        command, arguments = found, arguments[1:]
    with click.Context(command):
        known = {option for parameter in command.params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("-") and argument != "-"} <= known
        taken = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
        assert len([parameter for parameter in taken if parameter.required]) <= len(arguments)


@pytest.mark.parametrize("page", WITH_CURLS, ids=str)
def test_every_curl_shown_is_answered(fresh: Live, page: Page) -> None:
    shell = Shell(fresh)
    for command in filter(is_curl, page.commands()):
        answer = shell.run(command)
        assert answer.is_success, f"{command}\n{answer.status_code} {answer.text}"
    if page is README:
        states = {row["state"] for row in fresh.consent(PERSON)["standing"]}
        assert states == {"withdrawn"}, "the README ends with a withdrawal"


@pytest.mark.parametrize("page", WITH_PYTHON, ids=str)
def test_the_python_shown_runs(fresh: Live, page: Page) -> None:
    fresh.decide(PERSON)
    told: dict[str, Any] = {"key": KEY}
    try:
        for code in page.blocks("python"):
            exec(compile(code.replace("http://127.0.0.1:8080", fresh.url), page.place, "exec"), told)
    finally:
        close_clients(told)


def test_the_readmes_python_makes_pictures_of_what_was_asked(fresh: Live) -> None:
    [code] = [code for code in README.blocks("python") if "fal_client(" in code]
    assert "http://127.0.0.1:8080" in code
    fresh.decide(PERSON)
    told: dict[str, Any] = {"key": KEY}
    exec(compile(code.replace("http://127.0.0.1:8080", fresh.url), "README.md", "exec"), told)
    try:
        [image] = told["result"]["images"]
        assert fresh.http.get(image["url"]).content.startswith(b"\x89PNG")
        [output] = told["output"]
        assert output.read()
        assert {body.get("prompt") or body["input"]["prompt"] for body in fresh.sent()} == {"a fox reading a letter"}
    finally:
        close_clients(told)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_that_is_pointed_to_is_there(page: Page) -> None:
    assert [str(target) for target in page.links() if not target.exists()] == []
