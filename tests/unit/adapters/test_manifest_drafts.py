"""A draft is TOML that the catalogue reads, opens no door, and says what was drafted, whatever the schema says."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.adapters.input_schemas import open_schema
from consent_proxy.adapters.manifest_drafts import DraftHead, write_draft
from consent_proxy.adapters.manifest_files import ManifestFileInvalid, read_manifest_file
from consent_proxy.adapters.manifests import FileManifestCatalogue
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.drafts import draft_fields
from consent_proxy.domain.manifests import Manifest
from tests.schemas import FAL_MODEL, fal_openapi

#: What would end a string, a line, a table or a comment of TOML, or show something else than is there.
HOSTILE = '"\'\\"""]}\n[[model]]\nreviewed_by = "me"\r\t\x00\x1b[2J\x7f\u2028\u202e\ufeff# ü 🦊 \\u0041 \ud7ff'
SURELY = re.compile(r"^reviewed_by", re.MULTILINE)


def written(document: Any, *, purpose: Purpose = Purpose.GENERATION, **head: Any) -> str:
    places = open_schema(document, model=FAL_MODEL).places(model=FAL_MODEL, purpose=purpose)
    values = {"provider": "fal", "recipient": "fal", "model": FAL_MODEL, "source": "a file", "source_sha256": "a" * 64}
    return write_draft(
        draft_fields(places, purpose=purpose),
        head=DraftHead(**{**values, "purpose": purpose, **head}),
        descriptions={place.path: place.description for place in places},
    )


def reviewed(text: str, *, behind: str = "[]") -> str:
    """What a person makes of a draft who leaves out whatever was for review."""
    left = list(tomllib.loads(text)["model"][0].get("review", {}))
    return (
        text.partition("\n[model.review]")[0]
        .replace("# sub_processors = []", f"sub_processors = {behind}")
        .replace('reviewed_by = ""', f'reviewed_by = "a reviewer"\nreviewed_at = 2026-11-25\nleft_out = {left}')
    )


def catalogue(tmp_path: Path, text: str) -> FileManifestCatalogue:
    (tmp_path / "draft.toml").write_text(text, "utf-8")
    return FileManifestCatalogue(manifests_dir=tmp_path)


def test_a_draft_reads_like_a_manifest_of_ours() -> None:
    text = written(fal_openapi())
    fields = text.partition("[model.fields]\n")[2]
    assert fields == (
        "# What to paint.\n"
        'prompt = { category = "prompt", kind = "text", required = true, max_bytes = 2_000 }\n'
        '"image_urls[]" = { category = "photo", kind = "media", required = true, max_items = 4 }\n'
        'image_size = { category = "setting", kind = "choice", choices = ["square", "tall"] }\n'
        '"image_size.width" = { category = "setting", kind = "integer", minimum = 1, maximum = 14_142 }\n'
        '"image_size.height" = { category = "setting", kind = "integer", minimum = 1, maximum = 14_142 }\n'
        'guidance_scale = { category = "setting", kind = "number", minimum = 1.5, maximum = 20 }\n'
        'num_images = { category = "setting", kind = "integer", minimum = 1, maximum = 4 }\n'
        "# No range in the schema, or a wider one: 32 bits hold every seed.\n"
        'seed = { category = "setting", kind = "integer", minimum = 0, maximum = 4_294_967_295 }\n'
        'sync_mode = { category = "setting", kind = "boolean" }\n'
        '"loras[]" = { max_items = 16 }\n'
        "# Only what is on the operator's public list of weights passes.\n"
        '"loras[].path" = { category = "setting", kind = "weights", required = true }\n'
        '"loras[].scale" = { category = "setting", kind = "number", minimum = 0, maximum = 4 }\n'
        "# Passes data onward or opens another service: nothing permits it.\n"
        'webhook_url = { category = "onward" }\n'
        "\n"
        "[model.review]\n"
        "# The mood of the picture.\n"
        'mood = "is free text, and its name does not say of what: prompt, text, a listed choice, or leave it out"\n'
    )


def test_a_draft_is_in_the_catalogue_and_of_no_force(tmp_path: Path) -> None:
    found = catalogue(tmp_path, written(fal_openapi()))
    assert [draft.id for draft in found.drafts()] == [FAL_MODEL]
    assert found.find("fal", FAL_MODEL) is None
    assert FAL_MODEL not in {manifest.id for manifest in found.all()}


@pytest.mark.parametrize("blank", ["", "  ", "\\t", "\\u00A0"])
def test_a_blank_reviewer_is_none_and_takes_no_reviewed_manifests_place(tmp_path: Path, blank: str) -> None:
    text = written(fal_openapi()).replace(f'id = "{FAL_MODEL}"', 'id = "fal-ai/flux/dev"\nreplaces = true')
    found = catalogue(tmp_path, text.replace('reviewed_by = ""', f'reviewed_by = "{blank}"'))
    in_force = found.find("fal", "fal-ai/flux/dev")
    assert in_force is not None
    assert in_force.reviewed_by == "consent-proxy maintainers"
    assert len(found.drafts()) == 1


def test_a_draft_is_in_force_once_somebody_has_reviewed_it(tmp_path: Path) -> None:
    found = catalogue(tmp_path, reviewed(written(fal_openapi())))
    manifest = found.find("fal", FAL_MODEL)
    assert manifest is not None
    assert manifest.left_out == ("mood",)
    assert "mood" not in manifest.fields
    assert found.drafts() == ()


def test_a_review_that_forgot_something_is_told_what(tmp_path: Path) -> None:
    draft = written(fal_openapi())
    signed = draft.replace('reviewed_by = ""', 'reviewed_by = "a reviewer"')
    for text, says in (
        (signed, "reviewed_at: is required"),
        (signed.replace("reviewed_by =", "reviewed_at = 2026-11-25\nreviewed_by ="), "sub_processors: is required"),
        (reviewed(draft) + '[model.review]\nmood = "?"\n', "review: still lists mood"),
    ):
        with pytest.raises(ManifestFileInvalid, match=says):
            catalogue(tmp_path, text)


def test_a_draft_of_which_nothing_is_certain_is_still_a_file(tmp_path: Path) -> None:
    document = {"properties": {"mood": {"type": "string"}, "x": {}}}
    (draft,) = catalogue(tmp_path, written(document)).drafts()
    assert draft.fields == {}
    with pytest.raises(ManifestFileInvalid, match="lists no field"):
        catalogue(tmp_path, reviewed(written(document)))


def hostile_document(text: str) -> Any:
    """A schema that says a text wherever a schema can say one."""
    fields: dict[str, Any] = {
        text: {"type": "string", "description": text},
        "style": {"type": "string", "enum": [text, "plain"], "description": text},
        "odd": {"type": "object", "description": text, "properties": {text: {"enum": [text]}}},
        "image_url": {"type": "string", "format": text, "title": text, "description": text},
    }
    document = fal_openapi()
    described = document["components"]["schemas"]["EditInput"]
    described["properties"].update(fields)
    described["required"].append(text)
    return document


def only_what_was_drafted(text: str, said: str) -> Manifest:
    (manifest,) = read_manifest_file(said, name="draft.toml").drafts
    assert manifest.fields["style"].choices == tuple(dict.fromkeys([text, "plain"]))
    assert manifest.fields["image_url"].category is DataCategory.PHOTO
    assert len(tomllib.loads(said)["model"]) == 1
    assert all(sign.isprintable() or sign == "\n" for sign in said)
    return manifest


def test_hostile_texts_break_nothing_and_show_what_they_are() -> None:
    text = written(hostile_document(HOSTILE))
    manifest = only_what_was_drafted(HOSTILE, text)
    assert len(SURELY.findall(text)) == 1
    assert not manifest.is_reviewed
    assert "\\u202E" in text


@given(text=st.text(min_size=1, max_size=60).filter(lambda text: text not in fal_openapi()["components"]["schemas"]))
def test_no_text_of_a_schema_gets_out_of_its_place(text: str) -> None:
    said = written(hostile_document(text))
    manifest = only_what_was_drafted(text, said)
    assert not manifest.is_reviewed
    assert (manifest.id, manifest.provider, manifest.sub_processors) == (FAL_MODEL, "fal", ())


def test_the_head_is_written_as_safely_as_the_rest() -> None:
    with pytest.raises(ManifestFileInvalid):
        written(fal_openapi(), source="x" * 301)
    said = written(fal_openapi(), source='evil"\nreviewed_by = "me', version="not a version")
    assert "versions" not in said
    (manifest,) = read_manifest_file(said, name="draft.toml").drafts
    assert manifest.source == 'evil"\nreviewed_by = "me'
