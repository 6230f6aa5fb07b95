"""The README and the pages of docs/, taken apart: their code by language, their tables by their heads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)\s]*)?\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One document; its place is told from the top of the repository."""

    place: str

    def __str__(self) -> str:
        return self.place

    @property
    def text(self) -> str:
        return (REPOSITORY / self.place).read_text("utf-8")

    def blocks(self, language: str) -> list[str]:
        """The fenced code in a language, in order."""
        return [code for named, code in _BLOCK.findall(self.text) if named == language]

    def commands(self) -> list[str]:
        """The shell's commands, each on one line, without comments."""
        lines = "".join(self.blocks("sh")).replace("\\\n", " ").splitlines()
        told = (re.sub(r"\s+#\s.*$", "", line).strip() for line in lines)
        return [line for line in told if line and not line.startswith("#")]

    def links(self) -> list[Path]:
        """The files of the repository that it points to."""
        return [(REPOSITORY / self.place).parent / target for target in _LINK.findall(self.text)]

    def table(self, *heads: str) -> list[list[str]]:
        """The rows, as cells, of the table that begins with these column heads."""
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in self._table_lines(heads)]
        assert rows, f"{self} has no table {heads}"
        return rows

    def _table_lines(self, heads: Sequence[str]) -> list[str]:
        lines = self.text.splitlines()
        for at, line in enumerate(lines):
            if [cell.strip() for cell in line.strip("|").split("|")][: len(heads)] == list(heads):
                below = lines[at + 2 :]
                end = next((number for number, row in enumerate(below) if not row.startswith("|")), len(below))
                return below[:end]
        return []


README = Page(place="README.md")
PAGES = [README, *(Page(place=f"docs/{path.name}") for path in sorted((REPOSITORY / "docs").glob("*.md")))]
