"""How long contracts last: one after the other, for ever, or not at all."""

from datetime import timedelta
from uuid import UUID

from consent_proxy.application.ports.platform import Finding, Readiness
from consent_proxy.application.take_readings import days_left, take_readings
from tests.builders import NOW, a_contract, a_manifest, some_rules
from tests.fakes.health import FakeLedgerHealth
from tests.unit.application.world import World

FIRST, SECOND = UUID(int=1), UUID(int=2)


def days(count: float) -> timedelta:
    return timedelta(days=count)


def test_without_a_contract_in_force_there_are_no_days_left() -> None:
    later = a_contract(valid_from=NOW + days(1))
    assert days_left(some_rules(contracts=()), "fal", at=NOW) == 0
    assert days_left(some_rules(contracts=(later,)), "fal", at=NOW) == 0


def test_a_contract_without_an_end_lasts_for_ever() -> None:
    assert days_left(some_rules(contracts=(a_contract(valid_until=None),)), "fal", at=NOW) == float("inf")


def test_a_successor_that_is_put_already_counts() -> None:
    first = a_contract(id=FIRST, valid_until=NOW + days(2))
    rules = some_rules(contracts=(first,))
    assert days_left(rules, "fal", at=NOW) == 2
    second = a_contract(id=SECOND, valid_from=NOW + days(2), valid_until=NOW + days(32), put_at=NOW)
    assert days_left(some_rules(contracts=(first, second)), "fal", at=NOW) == 32
    gap = a_contract(id=SECOND, valid_from=NOW + days(3), valid_until=NOW + days(32), put_at=NOW)
    assert days_left(some_rules(contracts=(first, gap)), "fal", at=NOW) == 2


class Catalogue:
    """One manifest."""

    def all(self) -> tuple[object, ...]:
        return (a_manifest(),)


async def test_while_the_database_is_away_the_rules_read_last_tell(world: World) -> None:
    health = FakeLedgerHealth(
        Readiness(ready=False, warnings=(Finding("database-away", "the database does not answer"),))
    )
    parts = {"health": health, "facts": world.facts, "manifests": Catalogue(), "clock": world.clock}
    world.facts.away = True
    unknown = await take_readings(**parts)  # type: ignore[arg-type]
    assert (unknown.database_up, dict(unknown.contract_days)) == (False, {})
    world.facts.away = False
    await world.facts.rules(fresh=True)
    world.facts.away = True
    known = await take_readings(**parts)  # type: ignore[arg-type]
    assert (known.database_up, known.warnings, list(known.contract_days)) == (False, 1, ["fal"])
