"""Ready or not, and what keeps the door shut all the same."""

from consent_proxy.application.ports.platform import Readiness
from consent_proxy.application.readiness import readiness
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.rules import Rules
from tests.builders import NOW, a_manifest, some_rules
from tests.fakes.clock import FakeClock
from tests.fakes.health import FakeLedgerHealth
from tests.unit.application.world import World


class OneManifest:
    def find(self, *_: object, **__: object) -> Manifest | None:
        return None

    find_version = find_deployment = find

    def all(self) -> tuple[Manifest, ...]:
        return (a_manifest(), a_manifest(id="another/of-fal"))


async def look(world: World, health: Readiness | None = None) -> Readiness:
    return await readiness(
        health=FakeLedgerHealth(health), facts=world.facts, manifests=OneManifest(), clock=FakeClock(NOW)
    )


async def test_everything_in_order_is_ready_without_a_word(world: World) -> None:
    assert await look(world) == Readiness(ready=True)


async def test_missing_rules_shut_the_door_and_are_warnings(world: World) -> None:
    world.rules = Rules(edition=1)
    found = await look(world)
    assert found.ready
    assert found.warnings == ("no disclosure is in force: publish one, nothing is sent before",)

    world.rules = some_rules(contracts=())
    (warning,) = (await look(world)).warnings
    assert warning.startswith("no contract with 'fal' is in force")


async def test_the_databases_own_warnings_come_along(world: World) -> None:
    assert (await look(world, Readiness(ready=True, warnings=("partitions",)))).warnings == ("partitions",)


async def test_a_database_that_is_away_is_not_ready(world: World) -> None:
    assert not (await look(world, Readiness(ready=False, warnings=("away",)))).ready
    world.facts.away = True
    assert not (await look(world)).ready
