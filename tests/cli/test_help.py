"""Every command, argument and option says what it is for, and what it is where it is left out."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from consent_proxy.cli.main import commands


def walk(command: click.Command, *names: str) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(names), command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from walk(below, *names, name)


ALL = dict(walk(commands))
#: What takes any words, since it is not there yet.


def test_these_are_the_commands_of_the_contract() -> None:
    assert {name for name, command in ALL.items() if not isinstance(command, click.Group)} >= {
        *("serve", "demo", "sandbox", "migrate", "keys create", "keys list", "keys revoke", "disclosures publish"),
        *("disclosures list", "disclosures show", "contracts put", "contracts list", "contracts end", "models list"),
        *("models show", "models draft", "models check", "transfers list", "transfers export", "log verify"),
        *("openapi", "doctor"),
    }


@pytest.mark.parametrize("name", ALL)
def test_a_command_begins_with_a_sentence_on_what_it_is_for(name: str) -> None:
    text = ALL[name].help or ""
    assert text[:1].isupper()
    assert text.partition("\n\n")[0].rstrip().endswith(".")


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_argument_and_option_has_its_help_and_its_default(name: str) -> None:
    for parameter in ALL[name].params:
        told = getattr(parameter, "help", None)
        assert told, f"{parameter.name} of '{name}' has no help"
        assert told.rstrip("]").endswith((".", "standard output", "in force", "en", "never", "input")), told
        if isinstance(parameter, click.Option) and not parameter.is_flag and isinstance(parameter.default, str | int):
            assert parameter.show_default, f"--{parameter.name} of '{name}' hides its default"


@pytest.mark.parametrize("name", ALL)
def test_help_fits_a_terminal_and_needs_nothing(name: str) -> None:
    ended = CliRunner().invoke(commands, [*name.split(), "--help"], prog_name="consent-proxy")
    assert ended.exit_code == 0
    assert ended.output.startswith(f"Usage: consent-proxy {name}".rstrip())
    assert max(map(len, ended.output.splitlines())) <= 110


def test_the_help_of_a_key_says_which_role_it_needs() -> None:
    ended = CliRunner().invoke(commands, ["disclosures", "list", "--help"])
    assert "its role is consent or auditor" in " ".join(ended.output.split())


def test_commands_that_ask_a_service_take_its_address_and_key_and_the_others_do_not() -> None:
    remote = {name for name, command in ALL.items() if {"url", "key"} <= {option.name for option in command.params}}
    groups = ("keys", "disclosures", "contracts", "transfers")
    asking = {name for name in ALL if name.split(" ")[0] in groups and " " in name} | {"models list", "models show"}
    assert remote == asking
    assert not remote & {"serve", "demo", "sandbox", "migrate", "openapi"}


@pytest.mark.parametrize("name", ["keys", "disclosures", "contracts", "models", "transfers", "log"])
def test_a_group_alone_shows_what_there_is(name: str) -> None:
    ended = CliRunner().invoke(commands, [name])
    assert ended.exit_code == 2
    assert "Commands:" in ended.output
