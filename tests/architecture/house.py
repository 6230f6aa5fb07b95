"""The source as the architecture tests read it: every module of ``src/`` with its place and its syntax tree."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "consent_proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One Python file. ``place`` is its path below the package, such as ``domain/decide.py``."""

    place: str
    text: str
    tree: ast.Module

    @property
    def is_init(self) -> bool:
        return self.place.rpartition("/")[2] == "__init__.py"

    def lies_in(self, *rooms: str) -> bool:
        """Whether the module is one of ``rooms``: a file such as ``domain/decide.py``, or a folder ending in ``/``."""
        return any(self.place == room or (room.endswith("/") and self.place.startswith(room)) for room in rooms)


def read_module(place: str, text: str) -> Module:
    return Module(place=place, text=text, tree=ast.parse(text, filename=place))


def read_house(root: Path = PACKAGE) -> list[Module]:
    """Read every module below ``root``, in the order of their paths."""
    return [
        read_module(path.relative_to(root).as_posix(), path.read_text("utf-8")) for path in sorted(root.rglob("*.py"))
    ]


def walk_with_function(tree: ast.Module) -> Iterator[tuple[ast.AST, str | None]]:
    """Yield each node with the name of the outermost function it stands in, methods as ``Class.method``."""

    def descend(node: ast.AST, within: str | None, prefix: str) -> Iterator[tuple[ast.AST, str | None]]:
        for child in ast.iter_child_nodes(node):
            yield child, within
            match child:
                case ast.FunctionDef() | ast.AsyncFunctionDef() if within is None:
                    yield from descend(child, f"{prefix}{child.name}", "")
                case ast.ClassDef() if within is None:
                    yield from descend(child, None, f"{prefix}{child.name}.")
                case _:
                    yield from descend(child, within, prefix)

    yield from descend(tree, None, "")


def last_name(node: ast.AST) -> str | None:
    """The last name of a plain or dotted expression: ``Permit`` of ``Permit`` and of ``decide.Permit``."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return last_name(value)
        case _:
            return None


def imports_of(module: Module) -> Iterator[tuple[str, int]]:
    """Yield each imported module's full name with the line; imports inside the house are never relative."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=str(name)):
                yield name, node.lineno
            case _:
                pass
