"""What the README's tables say is so: every setting, every dependency."""

import re
import tomllib

from pydantic import BaseModel

from consent_proxy.settings import Settings
from tests.docs.pages import README, REPOSITORY

#: What the service also reads under the names that fal and Replicate gave them.
THEIR_OWN_NAMES = {"fal_key_plain": "FAL_KEY", "replicate_token_plain": "REPLICATE_API_TOKEN"}


def settings_of(model: type[BaseModel], *, before: str = "") -> set[str]:
    """The names of a model's fields as the environment has them."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            names |= settings_of(nested, before=f"{before}{name.upper()}__")
        elif name not in THEIR_OWN_NAMES:
            names.add(before + name.upper())
    return names


def test_the_settings_table_has_every_setting_and_no_stranger() -> None:
    rows = README.table("name", "meaning", "default")
    listed = [name for row in rows for name in re.findall(r"`([A-Z_]+)`", row[0])]
    assert len(set(listed)) == len(listed)
    assert set(listed) == settings_of(Settings)
    meanings = " ".join(row[1] for row in rows)
    for name in THEIR_OWN_NAMES.values():
        assert f"`{name}`" in meanings


def requirements() -> set[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    listed = [
        *project["project"]["dependencies"],
        *(entry for extra in project["project"]["optional-dependencies"].values() for entry in extra),
        *(entry for group in project["dependency-groups"].values() for entry in group if isinstance(entry, str)),
    ]
    return {re.split(r"[\[<>=!~; ]", entry)[0].lower() for entry in listed}


def test_every_direct_dependency_has_its_line_and_the_version_that_is_locked() -> None:
    rows = README.table("package", "what it does for us", "licence")
    listed = {row[0].split(" ")[0]: row for row in rows}
    assert len(listed) == len(rows)
    assert set(listed) == requirements()
    locks = "".join((REPOSITORY / f"requirements{kind}.lock").read_text("utf-8") for kind in ("", "-dev"))
    for name, (_, does, licence, locked, released, *_) in listed.items():
        assert does
        assert licence
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", released)
        versions = set(re.findall(rf"^{re.escape(name)}==([^\s;\\]+)", locks, re.MULTILINE | re.IGNORECASE))
        assert versions == {locked}, name
