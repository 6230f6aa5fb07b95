"""`models check` on a real database: what nobody was told about fails, and what moved in a schema is named."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.integration.operated import Operator, operator
from tests.schemas import FAL_MODEL, REPLICATE_MODEL, REPLICATE_VERSION, fal_openapi, replicate_model

__all__ = ["operator"]

MANIFEST = """
family = "painter"
provider = "fal"
recipient = "fal"
[[model]]
id = "acme/painter/edit"
purpose = "generation"
sub_processors = {behind}
source = "a schema"
{digest}
reviewed_by = "a reviewer"
reviewed_at = 2026-11-25
left_out = ["mood"]
[model.fields]
prompt = {{ category = "prompt", kind = "text", required = true }}
"image_urls[]" = {{ category = "{category}", kind = "media", required = true, max_items = 4 }}
image_size = {{ category = "setting", kind = "choice", choices = ["square", "tall"] }}
"image_size.width" = {{ category = "setting", kind = "integer", minimum = 1, maximum = 14_142 }}
"image_size.height" = {{ category = "setting", kind = "integer", minimum = 1, maximum = 14_142 }}
guidance_scale = {{ category = "setting", kind = "number", minimum = 1.5, maximum = 20 }}
num_images = {{ category = "setting", kind = "integer", minimum = 1, maximum = 4 }}
seed = {{ category = "setting", kind = "integer", minimum = 0, maximum = 4_294_967_295 }}
sync_mode = {{ category = "setting", kind = "boolean" }}
"loras[].path" = {{ category = "setting", kind = "weights", required = true }}
"loras[].scale" = {{ category = "setting", kind = "number", minimum = 0, maximum = 4 }}
webhook_url = {{ category = "onward" }}
"""


@pytest.fixture
def published(operator: Operator) -> Operator:
    operator.publish()
    return operator


def listed(operator: Operator, *, category: str = "photo", behind: str = "[]", digest: str = "") -> None:
    text = MANIFEST.format(category=category, behind=behind, digest=digest)
    operator.set(MANIFESTS_DIR=str(operator.save("manifests/painter.toml", text).parent))


def checked(operator: Operator, *words: str | Path, exit_code: int) -> dict[str, dict[str, Any]]:
    return operator.findings("models", "check", *words, exit_code=exit_code)


def test_what_is_shipped_is_covered_by_what_is_shipped(published: Operator) -> None:
    ended = published.run("models", "check")
    assert ended.exit_code == 0
    assert "15 manifests checked: in order." in ended.stdout


def test_a_category_that_nobody_was_told_about_fails(published: Operator) -> None:
    listed(published, category="voice")
    found = checked(published, exit_code=1)
    assert found["category-not-disclosed"]["model"] == FAL_MODEL
    assert "nobody was told of voice" in found["category-not-disclosed"]["message"]
    assert "does not cover voice" in found["contract-does-not-cover"]["message"]


def test_a_maker_that_no_contract_names_is_told(published: Operator) -> None:
    listed(published, behind='["moonshot"]')
    found = checked(published, "--model", FAL_MODEL, exit_code=1)
    assert "the sub-processor moonshot" in found["sub-processor-not-in-contract"]["message"]


def test_without_a_disclosure_nobody_was_told_of_anything(operator: Operator) -> None:
    assert list(checked(operator, exit_code=1)) == ["no-disclosure"]


def test_a_recipient_that_is_not_in_use_is_told_once_and_is_no_fault(operator: Operator) -> None:
    operator.publish(
        contracts=("fal",), recipients=[{"id": "fal", "legal_entity": "Features & Labels, Inc.", "country": "US"}]
    )
    found = checked(operator, exit_code=0)
    assert list(found) == ["recipient-unused"]


def test_a_schema_that_did_not_move_is_in_order(published: Operator) -> None:
    listed(published)
    assert checked(published, "--schema", published.save("new.json", fal_openapi()), exit_code=0) == {}


def test_what_moved_in_a_schema_is_named_until_it_was_reviewed(published: Operator) -> None:
    listed(published)
    newer = published.save(
        "new.json", fal_openapi(camera={"type": "string"}, num_images={"type": "integer", "maximum": 8})
    )
    found = checked(published, "--schema", newer, exit_code=1)
    assert (found["new-field"]["path"], found["widened"]["path"]) == ("camera", "num_images")
    assert found["widened"]["message"] == "num_images: the model takes any to 8, and 1 to 4 is listed"
    digest = f'source_sha256 = "{sha256(newer.read_bytes()).hexdigest()}"'
    assert digest in found["review-again"]["message"]
    listed(published, digest=digest)
    assert checked(published, "--schema", newer, exit_code=0) == {}


def test_a_folder_is_checked_file_by_file(published: Operator) -> None:
    listed(published)
    published.save("schemas/newer.json", fal_openapi(camera={"type": "string"}))
    published.save("schemas/of-nobody.json", fal_openapi("acme/other"))
    published.save("schemas/broken.json", "{")
    published.save("schemas/fal/fal-ai/flux/dev.json", {"properties": {"prompt": {"type": "string"}}})
    ended = published.run("models", "check", "--schema", published.save("schemas/x", "").parent, "--json")
    assert ended.exit_code == 1
    found = [(one["slug"], one["model"]) for one in json.loads(ended.stdout)["findings"]]
    assert ("new-field", FAL_MODEL) in found
    assert ("model-without-manifest", "") in found
    assert ("schema-unreadable", "") in found
    assert ("field-gone", "fal-ai/flux/dev") in found


def test_replicates_schema_is_found_by_version_or_named_by_hand(published: Operator) -> None:
    head = 'family = "p"\nprovider = "replicate"\nrecipient = "replicate"\n'
    model = (
        f'[[model]]\nid = "{REPLICATE_MODEL}"\npurpose = "generation"\nsub_processors = []\nsource = "x"\n'
        f'reviewed_by = "x"\nreviewed_at = 2026-11-25\nversions = ["{REPLICATE_VERSION}"]\n'
        'left_out = ["image", "hf_token", "input_images"]\n[model.fields]\n'
        'prompt = { category = "prompt", kind = "text", required = true }\n'
        'scheduler = { category = "setting", kind = "choice", choices = ["DDIM"] }\n'
    )
    published.set(MANIFESTS_DIR=str(published.save("manifests/painter.toml", head + model).parent))
    version = replicate_model()["latest_version"]
    assert "widened" in checked(published, "--schema", published.save("v.json", version), exit_code=1)
    bare = published.save("bare.json", version["openapi_schema"])
    ended = published.run("models", "check", "--schema", bare)
    assert ended.exit_code == 2
    assert "name it with --model" in ended.stderr
    assert "widened" in checked(published, "--schema", bare, "--model", REPLICATE_MODEL, exit_code=1)


def test_drafts_are_told_and_are_no_fault(published: Operator) -> None:
    schema = published.save("schema.json", fal_openapi())
    path = published.save("manifests/x", "").parent / "draft.toml"
    assert published.run("models", "draft", "fal", FAL_MODEL, "--schema", schema, "--out", path).exit_code == 0
    published.set(MANIFESTS_DIR=str(path.parent))
    assert list(checked(published, "--schema", schema, exit_code=0)) == ["unreviewed"]
