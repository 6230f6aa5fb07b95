"""The house keeps its own rules; and each rule sees an offence when there is one."""

from collections.abc import Callable, Sequence

import pytest

from tests.architecture import rules
from tests.architecture.house import PACKAGE, Module, read_house, read_module

Rule = Callable[[Sequence[Module]], list[str]]

LONG_FUNCTION = "def f():\n" + "    pass\n" * rules.LONGEST_FUNCTION
LONG_MODULE = "x = 1\n" * (rules.LONGEST_MODULE + 1)
ENUM = "class State(StrEnum):\n    OPEN = 'open'\n"

#: A rule, where the offence stands, and the offence.
OFFENCES: list[tuple[Rule, str, str]] = [
    (rules.only_the_door_builds_its_values, "api/app.py", "permit = Permit(categories=everything)"),
    (rules.only_the_door_builds_its_values, "api/app.py", "permit = decide.Permit()"),
    (rules.only_the_door_builds_its_values, "api/app.py", "from consent_proxy.domain.decide import Permit as P"),
    (rules.only_the_door_builds_its_values, "api/app.py", "class Pass(Permit):\n    pass"),
    (
        rules.only_the_door_builds_its_values,
        "application/forward.py",
        "def f():\n    return replace(permit, edition=2)",
    ),
    (rules.only_the_door_builds_its_values, "domain/decide.py", "def waive():\n    return Permit()"),
    (rules.only_the_door_builds_its_values, "domain/decide.py", "def decide():\n    return None"),
    (
        rules.only_the_door_builds_its_values,
        "domain/decide.py",
        "class Door:\n    def decide(self):\n        return Permit()",
    ),
    (rules.only_the_door_builds_its_values, "application/forward.py", "async def f():\n    MinimisedPayload(body={})"),
    (rules.only_the_door_builds_its_values, "domain/minimise.py", "def minimise():\n    return {}"),
    (rules.only_the_door_builds_its_values, "adapters/system.py", "x = RecordedIntent()"),
    (rules.only_the_door_builds_its_values, "adapters/postgres/log.py", "async def record_intent():\n    return None"),
    (
        rules.only_forward_sends,
        "application/poll.py",
        "async def f(provider):\n    await provider.send(recorded, payload)",
    ),
    (rules.only_forward_sends, "application/poll.py", "async def f(self):\n    await self._provider.send(recorded)"),
    (rules.only_forward_sends, "api/app.py", "async def f(self):\n    await self.providers['fal'].send(recorded)"),
    (rules.only_forward_sends, "api/app.py", "leave = provider.send"),
    (rules.only_forward_sends, "application/forward.py", "async def forward():\n    return None"),
    (rules.functions_are_short, "api/app.py", LONG_FUNCTION),
    (rules.functions_are_short, "api/app.py", "class C:\n    async " + LONG_FUNCTION.replace("\n", "\n    ")),
    (rules.modules_are_short, "api/app.py", LONG_MODULE),
    (rules.names_say_something, "api/utils.py", ""),
    (rules.names_say_something, "core/door.py", ""),
    (rules.names_say_something, "api/_base.py", ""),
    (rules.names_say_something, "api/app.py", "class ConnectionManager:\n    pass"),
    (rules.names_say_something, "api/app.py", "def f():\n    class SubjectData:\n        pass"),
    (rules.rooms_open_with_one_sentence, "api/__init__.py", ""),
    (rules.rooms_open_with_one_sentence, "api/__init__.py", '"""One. Two."""'),
    (rules.rooms_open_with_one_sentence, "api/__init__.py", '"""A room"""'),
    (rules.rooms_open_with_one_sentence, "api/__init__.py", '"""A room."""\nfrom consent_proxy.api.app import app'),
    (rules.rooms_open_with_one_sentence, "sdk/__init__.py", '"""A room."""\ndef fal_client(): pass'),
    (rules.matches_name_every_member, "api/app.py", ENUM + "match x:\n  case State.OPEN: y\n  case _: z"),
    (rules.matches_name_every_member, "api/app.py", ENUM + "match x:\n  case State.OPEN: y\n  case other: z"),
    (rules.matches_name_every_member, "api/app.py", ENUM + "match x, y:\n  case State.OPEN, 1: y\n  case _, _: z"),
    (rules.time_comes_from_outside, "domain/decide.py", "at = datetime.now(UTC)"),
    (rules.time_comes_from_outside, "application/forward.py", "at = datetime.datetime.utcnow()"),
    (rules.time_comes_from_outside, "application/forward.py", "at = time.time()"),
    (rules.time_comes_from_outside, "application/forward.py", "from time import time"),
    (rules.the_domain_needs_only_python, "domain/decide.py", "import pydantic"),
    (rules.the_domain_needs_only_python, "domain/decide.py", "def f():\n    from consent_proxy.application import x"),
]

#: A rule, and what looks like an offence and is none.
INNOCENTS: list[tuple[Rule, str, str]] = [
    (rules.only_the_door_builds_its_values, "domain/decide.py", "def decide():\n    return Permit()"),
    (rules.only_the_door_builds_its_values, "adapters/postgres/log.py", "async def f():\n    return RecordedIntent()"),
    (rules.only_the_door_builds_its_values, "api/app.py", "match x:\n  case Permit(): pass"),
    (rules.only_the_door_builds_its_values, "api/app.py", "text = name.replace(permit, 'x')"),
    (rules.only_forward_sends, "application/forward.py", "async def forward():\n    await provider.send(recorded)"),
    (rules.only_forward_sends, "adapters/http.py", "session.send(request)"),
    (rules.functions_are_short, "api/app.py", LONG_FUNCTION.removesuffix("    pass\n")),
    (rules.names_say_something, "domain/database.py", "class Metadata:\n    pass"),
    (rules.rooms_open_with_one_sentence, "api/__init__.py", '"""What `a.py` says, e.g., to v1.2."""'),
    (rules.rooms_open_with_one_sentence, "sdk/__init__.py", '"""A room."""\nfrom consent_proxy.sdk.fal import f'),
    (rules.matches_name_every_member, "api/app.py", ENUM + "match x:\n  case State.OPEN: y"),
    (rules.matches_name_every_member, "api/app.py", ENUM + "match x:\n  case dict(): y\n  case _: z"),
    (rules.time_comes_from_outside, "adapters/system.py", "at = datetime.now(UTC)"),
    (rules.time_comes_from_outside, "application/forward.py", "at = self._clock.now()"),
    (
        rules.the_domain_needs_only_python,
        "domain/decide.py",
        "import json\nimport consent_proxy.domain.refusals",
    ),
    (rules.the_domain_needs_only_python, "api/app.py", "import fastapi"),
]


def rule_name(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.fixture(scope="module")
def house() -> list[Module]:
    return read_house()


def test_the_whole_house_is_read(house: list[Module]) -> None:
    assert {module.place for module in house} >= {"__init__.py", "domain/decide.py", "domain/refusals.py"}
    assert len(house) == len(list(PACKAGE.rglob("*.py")))


@pytest.mark.parametrize("rule", rules.RULES, ids=rule_name)
def test_the_house_keeps_the_rule(rule: Rule, house: list[Module]) -> None:
    assert rule(house) == []


@pytest.mark.parametrize(("rule", "place", "offence"), OFFENCES)
def test_the_rule_sees_the_offence(rule: Rule, place: str, offence: str) -> None:
    assert rule([read_module(place, offence)]) != []


@pytest.mark.parametrize(("rule", "place", "source"), INNOCENTS)
def test_the_rule_leaves_the_innocent_alone(rule: Rule, place: str, source: str) -> None:
    assert rule([read_module(place, source)]) == []


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {rule for rule, _, _ in OFFENCES} == set(rules.RULES)
