"""The README, taken apart: its code by language, its tables by their heads."""

import re
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text("utf-8")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The fenced code in a language, in order."""
    return [code for named, code in _BLOCK.findall(README) if named == language]


def commands() -> list[str]:
    """The shell's commands, each on one line, without comments."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    told = (re.sub(r"\s+#\s.*$", "", line).strip() for line in lines)
    return [line for line in told if line and not line.startswith("#")]


def table(*heads: str) -> list[list[str]]:
    """The rows, as cells, of the table that begins with these column heads."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in _table_lines(heads)]
    assert rows, f"the README has no table {heads}"
    return rows


def _table_lines(heads: Sequence[str]) -> list[str]:
    lines = README.splitlines()
    for at, line in enumerate(lines):
        if [cell.strip() for cell in line.strip("|").split("|")][: len(heads)] == list(heads):
            below = lines[at + 2 :]
            end = next((number for number, row in enumerate(below) if not row.startswith("|")), len(below))
            return below[:end]
    return []
