"""The shell of a page's snippets, as far as they need one: curl, jq for one value, and variables."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import httpx

from consent_proxy.sandbox.pictures import Picture
from tests.live import KEY, Live

_ASSIGNMENT = re.compile(r"(?P<name>[A-Z_]+)=\$\((?P<command>curl .*?)(?: \| jq -r '?(?P<path>\.[\w.\[\]]*)'?)?\)")
_VARIABLE = re.compile(r"\$([A-Z_]+)")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


class Shell:
    """Runs the curls of one page in order against a service. AssertionError for anything that it does not know."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._variables = {"URL": live.url, "KEY": KEY}

    def run(self, command: str) -> httpx.Response:
        """The answer to a command, kept in a variable where the command says so."""
        assigned = _ASSIGNMENT.fullmatch(command)
        answer = self._curl(assigned["command"] if assigned is not None else command)
        if assigned is not None and answer.is_success:
            self._variables[assigned["name"]] = _value(answer, assigned["path"])
        return answer

    def _curl(self, command: str) -> httpx.Response:
        method, url = "GET", ""
        headers: list[tuple[str, str]] = []
        data: str | bytes | None = None
        words = iter(shlex.split(_VARIABLE.sub(self._variable, command))[1:])
        for word in words:
            match word:
                case "-s":
                    continue
                case "-X":
                    method = next(words)
                case "-H":
                    name, _, value = next(words).partition(":")
                    headers.append((name.strip(), value.strip()))
                case "-d":
                    method, data = "POST", next(words)
                case "--data-binary":
                    assert next(words) == "@photo.png"
                    method, data = "POST", Picture(prompt="a lighthouse", width=64, height=64).png()
                case _:
                    assert not word.startswith("-"), f"an option that this test does not know: {word}"
                    url = word
        return self._live.http.request(method, url, headers=headers, content=data)

    def _variable(self, found: "re.Match[str]") -> str:
        assert found[1] in self._variables, f"${found[1]} was never set"
        return self._variables[found[1]]


def is_curl(command: str) -> bool:
    return command.startswith("curl ") or _ASSIGNMENT.fullmatch(command) is not None


def _value(answer: httpx.Response, path: str | None) -> str:
    if path is None:
        return answer.text
    value: Any = answer.json()
    for step in _steps(path):
        value = value[step]
    return value if isinstance(value, str) else json.dumps(value)


def _steps(path: str) -> Iterator[str | int]:
    for name, index in _STEP.findall(path):
        yield name or int(index)
