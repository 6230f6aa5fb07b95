"""What the code imports, pyproject.toml declares: nothing is used because something else happened to bring it."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.architecture.house import ROOT, imports_of, read_house

#: Who may import what an extra brings, and which extra.
EXTRAS = {"consent_proxy/adapters/tracing.py": "otel"}
SOURCES = (ROOT / "src", ROOT / "migrations", ROOT / "benchmarks")


def as_key(distribution: str) -> str:
    """The one spelling of a distribution's name (PEP 503), without extras, versions and markers."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", distribution)[0]).lower()


def test_every_imported_package_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {as_key(line) for line in project["dependencies"]}
    extras = {
        place: {as_key(line) for line in project["optional-dependencies"][extra]} for place, extra in EXTRAS.items()
    }
    distributions = packages_distributions()
    undeclared = {
        f"{source.name}/{module.place} imports {name}"
        for source in SOURCES
        for module in read_house(source)
        for name, _ in imports_of(module)
        if (package := name.partition(".")[0]) not in sys.stdlib_module_names
        and package not in {"consent_proxy", "benchmarks"}
        and (declared | extras.get(module.place, set())).isdisjoint(
            as_key(found) for found in distributions.get(package, [package])
        )
    }
    assert undeclared == set()
