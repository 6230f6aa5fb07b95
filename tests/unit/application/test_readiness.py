"""Ready or not, what keeps the door shut all the same, and what to do about it."""

from dataclasses import replace

import pytest

from consent_proxy.application.ports.platform import Finding, Readiness
from consent_proxy.application.readiness import Setup, readiness
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.rules import Rules
from tests.builders import DAY, NOW, a_contract, a_disclosure, a_manifest, some_rules
from tests.fakes.clock import FakeClock
from tests.fakes.health import FakeLedgerHealth
from tests.unit.application.world import World

TWO = (a_manifest(), a_manifest(id="another/of-fal"))
#: Rules that will be the same for a year.
LASTING = some_rules(contracts=(a_contract(valid_until=NOW + 400 * DAY),))


class Manifests:
    """Fulfils ``ManifestCatalogue`` as far as readiness asks."""

    def __init__(self, *manifests: Manifest, drafts: tuple[Manifest, ...] = ()) -> None:
        self._manifests, self._drafts = manifests, drafts

    def find(self, *_: object, **__: object) -> Manifest | None:
        return None

    find_version = find_deployment = find

    def all(self) -> tuple[Manifest, ...]:
        return self._manifests

    def drafts(self) -> tuple[Manifest, ...]:
        return self._drafts


async def look(
    world: World,
    *,
    rules: Rules = LASTING,
    health: Readiness | None = None,
    manifests: Manifests | None = None,
    setup: Setup | None = None,
) -> Readiness:
    world.rules = rules
    return await readiness(
        health=FakeLedgerHealth(health),
        facts=world.facts,
        manifests=manifests or Manifests(*TWO),
        clock=FakeClock(NOW),
        setup=setup or Setup(),
    )


async def only_finding(world: World, **of: object) -> Finding:
    found = await look(world, **of)  # type: ignore[arg-type]
    assert found.ready
    (finding,) = found.warnings
    return finding


async def test_everything_in_order_is_ready_without_a_word(world: World) -> None:
    assert await look(world) == Readiness(ready=True)


async def test_without_a_disclosure_that_is_all_there_is_to_say(world: World) -> None:
    finding = await only_finding(world, rules=Rules(edition=1))
    assert finding == Finding("disclosure-missing", "no disclosure is in force: publish one, nothing is sent before")


async def test_a_disclosed_recipient_without_a_contract_is_warned_of_once(world: World) -> None:
    finding = await only_finding(world, rules=some_rules(contracts=()))
    assert finding.slug == "contract-missing"
    assert finding.message.startswith("no contract with 'fal' is in force: put one")


@pytest.mark.parametrize(("left", "warned"), [(29, True), (30, True), (31, False)])
async def test_a_contract_is_warned_of_thirty_days_before_it_ends(world: World, left: int, warned: bool) -> None:
    found = await look(world, rules=some_rules(contracts=(a_contract(valid_until=NOW + left * DAY),)))
    assert [finding.slug for finding in found.warnings] == (["contract-ending"] if warned else [])
    if warned:
        assert f"in {left} days" in found.warnings[0].message
        assert "put its successor" in found.warnings[0].message


async def test_a_contract_with_a_successor_ends_without_a_warning(world: World) -> None:
    first = a_contract(valid_until=NOW + DAY)
    next_one = replace(first, valid_from=NOW + DAY, valid_until=None)
    assert await look(world, rules=some_rules(contracts=(first, next_one))) == Readiness(ready=True)


async def test_a_gap_between_two_contracts_is_warned_of(world: World) -> None:
    first = a_contract(valid_until=NOW + DAY)
    late = replace(first, valid_from=NOW + 2 * DAY, valid_until=None)
    assert (await only_finding(world, rules=some_rules(contracts=(first, late)))).slug == "contract-ending"


async def test_a_contract_without_its_promises_is_warned_of(world: World) -> None:
    rules = some_rules(contracts=(a_contract(equal_protection=False),))
    assert (await only_finding(world, rules=rules)).slug == "contract-promises-too-little"


async def test_manifests_beyond_the_disclosure_are_one_finding_that_names_them(world: World) -> None:
    purposes = {Purpose.GENERATION: frozenset({DataCategory.SETTING})}
    rules = replace(LASTING, disclosures=(a_disclosure(purposes=purposes),))
    finding = await only_finding(world, rules=rules)
    assert finding.slug == "category-not-disclosed"
    assert finding.grave
    assert "list prompt, which the disclosure in force tells nobody of: publish one that does" in finding.message
    assert finding.message.endswith("(fal-ai/flux/dev, another/of-fal)")


async def test_makers_that_no_contract_names_are_warned_of(world: World) -> None:
    finding = await only_finding(world, manifests=Manifests(a_manifest(sub_processors=("moonshot",))))
    assert finding.slug == "sub-processor-not-in-contract"
    assert "does not name moonshot" in finding.message


async def test_a_recipient_nobody_means_to_send_to_lacks_nothing(world: World) -> None:
    other = a_manifest(provider="luma", recipient="luma")
    setup = Setup(missing_credentials={"luma": "CONSENT_PROXY_LUMA__KEY"})
    assert await look(world, manifests=Manifests(*TWO, other), setup=setup) == Readiness(ready=True)


async def test_a_recipient_in_use_without_a_credential_is_warned_of(world: World) -> None:
    finding = await only_finding(world, setup=Setup(missing_credentials={"fal": "CONSENT_PROXY_FAL__KEY"}))
    assert finding.slug == "credential-missing"
    assert "set CONSENT_PROXY_FAL__KEY" in finding.message


async def test_drafts_are_counted_and_nothing_grave(world: World) -> None:
    finding = await only_finding(world, manifests=Manifests(*TWO, drafts=(a_manifest(reviewed_by=""),) * 7))
    assert not finding.grave
    assert finding.message.startswith("7 manifests are drafts that nobody has reviewed")
    assert "and 2 more" in finding.message


@pytest.mark.parametrize(
    ("setup", "slug"),
    [
        (Setup(public_url="http://proxy.example.com", is_local=False), "public-url-not-https"),
        (Setup(environment="production"), "public-url-local"),
        (Setup(public_url="http://localhost:8080", environment="production"), "public-url-local"),
        (Setup(public_url="http://localhost:8080"), None),
        (Setup(public_url="https://proxy.example.com", is_local=False, environment="production"), None),
    ],
)
async def test_callers_reach_the_service_by_https(world: World, setup: Setup, slug: str | None) -> None:
    assert [finding.slug for finding in (await look(world, setup=setup)).warnings] == ([slug] if slug else [])


async def test_the_databases_own_warnings_come_along(world: World) -> None:
    partitions = Finding("partitions-running-out", "migrate")
    assert await only_finding(world, health=Readiness(ready=True, warnings=(partitions,))) == partitions


async def test_a_database_that_is_away_is_not_ready(world: World) -> None:
    away = Readiness(ready=False, warnings=(Finding("database-away", "away"),))
    assert await look(world, health=away) == away
    world.facts.away = True
    assert not (await look(world)).ready
