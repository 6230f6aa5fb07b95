"""The rules of the house that can be read off the source; each takes modules and names every offence it finds."""

import ast
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.architecture.house import Module, imports_of, last_name, walk_with_function


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Who alone may build one of the values that open the door.

    ``place`` is a module or a folder; ``function`` the one function in it, where there is but one. From the day the
    place defines ``once``, it has to build the value. ``variables`` are what such a value is called when it is held.
    """

    value: str
    place: str
    function: str | None
    once: str
    variables: frozenset[str]

    def may(self, module: Module, within: str | None) -> bool:
        return module.lies_in(self.place) and self.function in {None, within}


BUILDERS = (
    Builder(
        value="Permit",
        place="domain/decide.py",
        function="decide",
        once="decide",
        variables=frozenset({"permit"}),
    ),
    Builder(
        value="MinimisedPayload",
        place="domain/minimise.py",
        function="minimise",
        once="minimise",
        variables=frozenset({"minimised", "minimised_payload"}),
    ),
    Builder(
        value="RecordedIntent",
        place="adapters/postgres/",
        function=None,
        once="record_intent",
        variables=frozenset({"recorded", "recorded_intent"}),
    ),
)

SENDER = "application/forward.py"
PROVIDER_NAMES = frozenset({"provider", "providers"})

LONGEST_FUNCTION = 60
LONGEST_MODULE = 400

EMPTY_MODULE_NAMES = frozenset({"util", "utils", "helper", "helpers", "common", "base", "core", "misc", "shared"})
EMPTY_CLASS_SUFFIXES = ("Manager", "Helper", "Helpers", "Util", "Utils", "Impl", "Base", "Data", "Info")

#: A full stop ends it; one inside a word, as in `e.g.` before a comma or in a file's name, does not.
ONE_SENTENCE = re.compile(r"[^.!?]+(?:[.!?]\S[^.!?]*)*\.")

CLOCKLESS_ROOMS = ("domain/", "application/")
CLOCK_READINGS = frozenset(
    {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns", "time.localtime"}
)
CLOCK_IMPORTS = frozenset({"time", "time_ns", "localtime", "gmtime"})


def only_the_door_builds_its_values(modules: Sequence[Module]) -> list[str]:
    """Nobody else calls, copies, renames or subclasses them; and whoever may build one does."""
    offences: list[str] = []
    for builder in BUILDERS:
        found = [
            (module, line, within)
            for module in modules
            for node, within in walk_with_function(module.tree)
            if (line := _line_that_builds(node, builder)) is not None
        ]
        offences += [
            f"{module.place}:{line} builds {builder.value}, which only {builder.function or builder.place} may"
            for module, line, within in found
            if not builder.may(module, within)
        ]
        if _is_due(modules, builder) and not any(builder.may(module, within) for module, _, within in found):
            offences.append(f"{builder.place} never builds {builder.value}: who does?")
    return offences


def only_forward_sends(modules: Sequence[Module]) -> list[str]:
    """``send`` of a provider is taken hold of in one module, and there it is."""
    touched = [
        (module, node)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "send"
        and (last_name(node.value) or "").lstrip("_") in PROVIDER_NAMES
    ]
    offences = [
        f"{module.place}:{node.lineno} takes hold of a provider's send, which only {SENDER} may"
        for module, node in touched
        if module.place != SENDER
    ]
    if any(module.place == SENDER for module in modules) and not any(module.place == SENDER for module, _ in touched):
        offences.append(f"{SENDER} never calls provider.send: who does?")
    return offences


def functions_are_short(modules: Sequence[Module]) -> list[str]:
    return [
        f"{module.place}:{node.lineno} {node.name} has {lines} lines, {LONGEST_FUNCTION} at most"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]


def modules_are_short(modules: Sequence[Module]) -> list[str]:
    return [
        f"{module.place} has {lines} lines, {LONGEST_MODULE} at most"
        for module in modules
        if (lines := len(module.text.splitlines())) > LONGEST_MODULE
    ]


def names_say_something(modules: Sequence[Module]) -> list[str]:
    offences = []
    for module in modules:
        parts = module.place.removesuffix(".py").split("/")
        offences += [f"{module.place} is named {part}" for part in parts if part.strip("_") in EMPTY_MODULE_NAMES]
        offences += [
            f"{module.place}:{node.lineno} class {node.name} has an empty name"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef) and node.name.endswith(EMPTY_CLASS_SUFFIXES)
        ]
    return offences


def rooms_open_with_one_sentence(modules: Sequence[Module]) -> list[str]:
    """An ``__init__.py`` holds one sentence on what its room is for, and nothing else.

    The sdk's also hands on what callers import from it: the contract fixes that path.
    """
    return [
        f"{module.place} holds more, or less, than one sentence"
        for module in modules
        if module.is_init and not _is_one_sentence(module.tree, hands_on=module.lies_in("sdk/"))
    ]


def matches_name_every_member(modules: Sequence[Module]) -> list[str]:
    """A ``match`` over one of our enums has no catch-all, so that a new member is missed by the type checker."""
    enums = _enum_names(modules)
    return [
        f"{module.place}:{case.pattern.lineno} catches all the members of an enum it does not name"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Match) and any(_names_a_member(case.pattern, enums) for case in node.cases)
        for case in node.cases
        if case.guard is None and _catches_all(case.pattern)
    ]


def time_comes_from_outside(modules: Sequence[Module]) -> list[str]:
    """The domain and the application are told the time; they never look at a clock."""
    offences = []
    for module in modules:
        if not module.lies_in(*CLOCKLESS_ROOMS):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and f"{last_name(node.value)}.{node.attr}" in CLOCK_READINGS:
                offences.append(f"{module.place}:{node.lineno} reads a clock")
            if isinstance(node, ast.ImportFrom) and node.module == "time" and _imported(node) & CLOCK_IMPORTS:
                offences.append(f"{module.place}:{node.lineno} imports a clock")
    return offences


def the_domain_needs_only_python(modules: Sequence[Module]) -> list[str]:
    """The domain imports the standard library and itself."""
    own = {"consent_proxy.domain", *sys.stdlib_module_names}
    return [
        f"{module.place}:{line} imports {name}"
        for module in modules
        if module.lies_in("domain/")
        for name, line in imports_of(module)
        if name.split(".")[0] not in own and ".".join(name.split(".")[:2]) not in own
    ]


RULES = (
    only_the_door_builds_its_values,
    only_forward_sends,
    functions_are_short,
    modules_are_short,
    names_say_something,
    rooms_open_with_one_sentence,
    matches_name_every_member,
    time_comes_from_outside,
    the_domain_needs_only_python,
)


def _line_that_builds(node: ast.AST, builder: Builder) -> int | None:
    match node:
        case ast.Call(func=func) if last_name(func) == builder.value:
            return node.lineno
        case ast.Call(func=func, args=[held, *_]) if _is_replace(func) and last_name(held) in builder.variables:
            return node.lineno
        case ast.ClassDef(bases=bases) if any(last_name(base) == builder.value for base in bases):
            return node.lineno
        case ast.ImportFrom(names=names) if any(
            alias.name == builder.value and alias.asname not in {None, builder.value} for alias in names
        ):
            return node.lineno
        case _:
            return None


def _is_replace(func: ast.expr) -> bool:
    """``replace`` of dataclasses or copy, and not the method of a string."""
    return ast.unparse(func) in {"replace", "dataclasses.replace", "copy.replace"}


def _is_due(modules: Sequence[Module], builder: Builder) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == builder.once
        for module in modules
        if module.lies_in(builder.place)
        for node in ast.walk(module.tree)
    )


def _is_one_sentence(tree: ast.Module, *, hands_on: bool) -> bool:
    sentence = ast.get_docstring(tree)
    rest = [node for node in tree.body[1:] if not (hands_on and isinstance(node, ast.ImportFrom | ast.Assign))]
    return not rest and sentence is not None and ONE_SENTENCE.fullmatch(sentence) is not None


def _enum_names(modules: Sequence[Module]) -> frozenset[str]:
    return frozenset(
        node.name
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and any((last_name(base) or "").endswith("Enum") for base in node.bases)
    )


def _names_a_member(pattern: ast.pattern, enums: frozenset[str]) -> bool:
    return any(
        isinstance(node, ast.MatchValue)
        and isinstance(node.value, ast.Attribute)
        and last_name(node.value.value) in enums
        for node in ast.walk(pattern)
    )


def _catches_all(pattern: ast.pattern) -> bool:
    match pattern:
        case ast.MatchAs(pattern=None):
            return True
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return _catches_all(inner)
        case ast.MatchOr(patterns=patterns):
            return any(_catches_all(option) for option in patterns)
        case ast.MatchSequence(patterns=patterns):
            return all(_catches_all(part) for part in patterns)
        case _:
            return False


def _imported(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}
