"""What `docs/operating.md` says is so: every number with its type, every setting, every command."""

import re

from prometheus_client.parser import text_string_to_metric_families

from consent_proxy.adapters.metrics import Load, PrometheusMeter
from consent_proxy.application.ports.observation import Readings
from consent_proxy.settings import Settings
from tests.docs.pages import REPOSITORY
from tests.docs.test_readme import settings_of

TEXT = (REPOSITORY / "docs" / "operating.md").read_text("utf-8")


def families() -> dict[str, str]:
    """Each number that is told, with its type; counters without their ending."""
    load = Load(waiting=0, open=0, kept=0, settled=0)
    meter = PrometheusMeter(providers=["fal"], load=lambda: load)
    readings = Readings(database_up=True, warnings=0, contract_days={"fal": 1.0})
    exposed, _ = meter.exposition(readings, accept="")
    return {family.name: family.type for family in text_string_to_metric_families(exposed.decode())}


def test_its_table_has_every_number_with_its_type() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", TEXT, re.MULTILINE))
    assert {name.removesuffix("_total"): kind for name, kind in listed.items()} == families()


def test_its_alerts_name_numbers_that_are_there() -> None:
    named = set(re.findall(r"consent_proxy_\w+", TEXT))
    listed = set(re.findall(r"^\| `(consent_proxy_\w+)` \|", TEXT, re.MULTILINE))
    assert {name.removesuffix("_bucket") for name in named} == listed


def test_the_settings_it_speaks_of_are_there() -> None:
    known = settings_of(Settings)
    [_, table] = TEXT.split("| setting | why |\n")
    for name in re.findall(r"^\| `([A-Z_]+)` \|", table.split("\n\n")[0], re.MULTILINE):
        assert name in known
