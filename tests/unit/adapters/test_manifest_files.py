"""Manifest files: what a reviewer wrote is what holds, and a slip of the pen stops the start and says where it is."""

from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from consent_proxy.adapters.manifest_files import ManifestFileInvalid, read_manifest_file, read_manifest_folder
from consent_proxy.adapters.manifests import FileManifestCatalogue
from consent_proxy.application.ports.providers import ManifestCatalogue
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.manifests import FieldKind, Manifest, fault_of
from consent_proxy.domain.minimise import MinimisedPayload, minimise
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason, Refusal
from tests.builders import PSEUDONYM, a_permit

HEAD = 'family = "house"\nprovider = "fal"\nrecipient = "fal"\n'
MODEL = """
[[model]]
id = "house/model"
purpose = "generation"
sub_processors = []
source = "a schema"
reviewed_by = "a reviewer"
reviewed_at = 2026-11-23
"""
PROMPT = '[model.fields]\nprompt = { category = "prompt", kind = "text", required = true }\n'
WHOLE = HEAD + MODEL + PROMPT

#: The models that the contract with the outside names.
NAMED = {
    ("fal", "fal-ai/flux/dev", "generation"),
    ("fal", "fal-ai/flux/schnell", "generation"),
    ("fal", "fal-ai/flux/dev/image-to-image", "generation"),
    ("fal", "fal-ai/flux-lora-fast-training", "training"),
    ("fal", "fal-ai/kling-video/v2.1/standard/image-to-video", "generation"),
    ("replicate", "black-forest-labs/flux-schnell", "generation"),
    ("replicate", "black-forest-labs/flux-dev", "generation"),
    ("replicate", "ostris/flux-dev-lora-trainer", "training"),
}


@pytest.fixture(scope="module")
def shipped() -> FileManifestCatalogue:
    return FileManifestCatalogue()


def read(text: str) -> Manifest:
    (manifest,) = read_manifest_file(text, name="house.toml").manifests
    return manifest


def fault(text: str) -> str:
    with pytest.raises(ManifestFileInvalid) as caught:
        read_manifest_file(text, name="house.toml")
    return str(caught.value)


def folder(tmp_path: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


def found(catalogue: ManifestCatalogue, provider: str, model: str, **how: Any) -> Manifest:
    manifest = catalogue.find(provider, model, **how)
    assert manifest is not None
    return manifest


def test_a_model_is_read_as_it_was_written() -> None:
    manifest = read(WHOLE)

    assert (manifest.provider, manifest.recipient, manifest.id) == ("fal", "fal", "house/model")
    assert manifest.purpose is Purpose.GENERATION
    assert manifest.fields["prompt"].kind is FieldKind.TEXT
    assert manifest.fields["prompt"].required
    assert (manifest.reviewed_by, str(manifest.reviewed_at)) == ("a reviewer", "2026-11-23")


def test_models_share_fields_by_name() -> None:
    shared = '[shared.size]\n"size.width" = { category = "setting", kind = "integer", minimum = 1, maximum = 9 }\n'

    manifest = read(HEAD + shared + MODEL + 'uses = ["size"]\n' + PROMPT)

    assert set(manifest.fields) == {"prompt", "size"}


def test_the_digest_is_of_the_canonical_form_and_moves_with_every_word() -> None:
    strength = 'strength = { category = "setting", kind = "number", minimum = 0.01, maximum = 1 }\n'
    manifest = read(WHOLE + strength)
    document: Any = manifest.document()
    document["fields"][1]["minimum"] = "0.01"

    assert manifest.sha256 == sha256(rfc8785.dumps(document)).hexdigest()
    assert read(WHOLE + strength.replace("0.01", "0.02")).sha256 != manifest.sha256
    assert read((WHOLE + strength).replace("a reviewer", "another")).sha256 != manifest.sha256
    assert read(WHOLE).sha256 == read(WHOLE.replace('family = "house"', 'family = "home"')).sha256


def test_a_range_wider_than_a_float_can_tell_is_still_signed() -> None:
    assert read(WHOLE + f'n = {{ category = "setting", kind = "integer", minimum = 0, maximum = {2**60} }}').sha256


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("family = ", ["house.toml is not TOML"]),
        (HEAD + MODEL, ["house.toml: model 'house/model' lists no field", "add [model.fields]"]),
        (WHOLE.replace('kind = "text"', 'kind = "txt"'), ["model 'house/model', field 'prompt', kind", "'text'"]),
        (WHOLE.replace("kind", "knid"), ["model 'house/model', field 'prompt', knid", "not permitted"]),
        (WHOLE.replace('"prompt", kind', '"photos", kind'), ["field 'prompt', category"]),
        (WHOLE.replace(', kind = "text"', ""), ["the field 'prompt' needs both a category and a kind"]),
        (WHOLE.replace("required = true", 'required = "yes"'), ["field 'prompt', required", "boolean"]),
        (WHOLE.replace("required = true", "max_bytes = 0"), ["field 'prompt', max_bytes", "greater than"]),
        (WHOLE.replace("sub_processors = []\n", ""), ["model 'house/model', sub_processors", "required"]),
        (WHOLE.replace('reviewed_by = "a reviewer"\n', ""), ["model 'house/model', reviewed_by", "required"]),
        (WHOLE + '[model.review]\nstyle = "free text"\n', ["model 'house/model', review", "still lists style"]),
        (WHOLE.replace("reviewed_at = 2026-11-23\n", ""), ["model 'house/model', reviewed_at", "required"]),
        (WHOLE.replace('"generation"', '"fun"'), ["model 'house/model', purpose", "'generation' or 'training'"]),
        (WHOLE.replace('"house/model"', '"house/../model"'), ["model 'house/../model', id"]),
        (WHOLE.replace('"house/model"', '"https://example.com"'), ["id"]),
        (WHOLE.replace('"house/model"', '"model"'), ["id"]),
        (WHOLE.replace('provider = "fal"\n', ""), ["house.toml: provider", "required"]),
        (HEAD + MODEL + 'versions = ["abc"]\n' + PROMPT, ["model 'house/model', versions, 0"]),
        (HEAD + MODEL + 'uses = ["size"]\n' + PROMPT, ["uses 'size', but there is no [shared.size]"]),
        (HEAD + "[shared.p]\n" + PROMPT.split("\n")[1] + MODEL + 'uses = ["p"]\n' + PROMPT, ["prompt is listed twice"]),
        (WHOLE + 'steps = { category = "setting", kind = "integer", minimum = 1 }', ["'steps' is a number", "maximum"]),
        (WHOLE + 'hook = { category = "onward", required = true }', ["'hook' passes data onward"]),
        (WHOLE + 'name = { category = "setting", kind = "text" }', ["'name' is free text"]),
        (WHOLE + 'user = { category = "account-identifier", kind = "text" }', ["'user' has an identifier's category"]),
        (WHOLE + '"a..b" = { category = "prompt", kind = "text" }', ["'a..b' is not a path: write it like"]),
        (WHOLE + 'mode = { category = "setting", kind = "choice" }', ["'mode' is a choice and needs the choices"]),
        (WHOLE + "[notes]\nx = 1\n", ["house.toml: notes", "not permitted"]),
        ('model = ["x"]\n' + HEAD, ["model 'number 1'"]),
        ("model = 7\n" + HEAD, ["model"]),
    ],
)  # fmt: skip
def test_a_slip_is_named_by_file_model_and_field(text: str, says: list[str]) -> None:
    told = fault(text)

    assert told.startswith("house.toml")
    for words in says:
        assert words in told


def test_every_slip_the_shape_shows_is_told_at_once() -> None:
    told = fault(WHOLE.replace('"generation"', '"fun"').replace('kind = "text"', 'kind = "txt"'))

    assert len(told.splitlines()) == 2


def test_a_folder_that_is_not_there_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ManifestFileInvalid, match="CONSENT_PROXY_MANIFESTS_DIR"):
        FileManifestCatalogue(manifests_dir=tmp_path / "nowhere")


def test_a_file_that_is_not_text_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(ManifestFileInvalid, match=r"bad\.toml cannot be read"):
        read_manifest_folder(tmp_path)


def test_the_shipped_models_are_those_the_contract_names_and_more(shipped: FileManifestCatalogue) -> None:
    listed = {(manifest.provider, manifest.id, manifest.purpose.value) for manifest in shipped.all()}

    assert listed >= NAMED
    assert len(listed) >= len(NAMED) + 4


def test_every_shipped_manifest_says_what_was_read_and_by_whom(shipped: FileManifestCatalogue) -> None:
    for manifest in shipped.all():
        assert manifest.source
        assert manifest.reviewed_by == "consent-proxy maintainers"
        assert manifest.reviewed_at is not None
        assert len(manifest.sha256) == 64
        assert len(manifest.source_sha256) == (64 if manifest.provider == "fal" else 0)


def test_every_shipped_field_can_be_checked(shipped: FileManifestCatalogue) -> None:
    for manifest in shipped.all():
        for place in manifest.places():
            assert fault_of(replace(place, members={}, items=None)) is None, (manifest.id, place.path)


def test_a_shipped_file_lies_in_its_providers_folder() -> None:
    root = files("consent_proxy.adapters.providers") / "manifests"
    for provider in ("fal", "replicate"):
        for file in read_manifest_folder(Path(str(root / provider))):
            assert {manifest.provider for manifest in file.manifests} == {provider}
            assert {manifest.recipient for manifest in file.manifests} == {provider}


def test_a_model_is_found_by_its_exact_name_only(shipped: FileManifestCatalogue) -> None:
    assert found(shipped, "fal", "fal-ai/flux/dev").id == "fal-ai/flux/dev"
    for name in ("fal-ai/flux/dev/", "fal-ai/flux", "FAL-AI/flux/dev", "fal-ai/flux/dev ", "", "flux/dev"):
        assert shipped.find("fal", name) is None
    assert shipped.find("replicate", "fal-ai/flux/dev") is None


def test_the_purpose_tells_two_models_of_one_name_apart(shipped: FileManifestCatalogue) -> None:
    name = "ostris/flux-dev-lora-trainer"
    training = found(shipped, "replicate", name, purpose=Purpose.TRAINING)
    generation = found(shipped, "replicate", name, purpose=Purpose.GENERATION)

    assert found(shipped, "replicate", name) is generation
    assert "input_images" in training.fields
    assert "input_images" not in generation.fields
    assert shipped.find_version("replicate", training.versions[0]) is generation
    assert shipped.find_version("replicate", training.versions[0], purpose=Purpose.TRAINING) is training
    assert found(shipped, "fal", "fal-ai/flux-lora-fast-training").purpose is Purpose.TRAINING
    assert shipped.find("fal", "fal-ai/flux/dev", purpose=Purpose.TRAINING) is None


def test_a_pinned_version_leads_to_its_model(shipped: FileManifestCatalogue) -> None:
    version = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
    manifest = shipped.find_version("replicate", version)

    assert manifest is not None
    assert manifest.id == "stability-ai/sdxl"
    assert shipped.find_version("fal", version) is None
    assert shipped.find_version("replicate", "0" * 64) is None


def test_a_deployment_is_unknown_until_an_operator_lists_it(tmp_path: Path) -> None:
    extension = """
[[extension]]
id = "black-forest-labs/flux-schnell"
deployments = ["acme/pictures"]
reviewed_by = "acme"
reviewed_at = 2026-12-01
"""
    head = HEAD.replace('"fal"', '"replicate"')
    catalogue = FileManifestCatalogue(manifests_dir=folder(tmp_path, acme=head + extension))

    manifest = catalogue.find_deployment("replicate", "acme/pictures")

    assert FileManifestCatalogue().find_deployment("replicate", "acme/pictures") is None
    assert manifest is not None
    assert manifest.id == "black-forest-labs/flux-schnell"
    assert manifest.reviewed_by == "consent-proxy maintainers; extended by acme"
    assert str(manifest.reviewed_at) == "2026-12-01"
    assert manifest.sha256 != found(FileManifestCatalogue(), "replicate", manifest.id).sha256


def test_an_operator_lists_public_weights_and_those_pass(tmp_path: Path) -> None:
    extension = """
[[extension]]
id = "fal-ai/flux-lora"
public_weights = { "loras[].path" = ["acme/watercolour"] }
reviewed_by = "acme"
reviewed_at = 2026-12-01
"""
    catalogue = FileManifestCatalogue(manifests_dir=folder(tmp_path, acme=HEAD + extension))
    manifest = found(catalogue, "fal", "fal-ai/flux-lora")
    payload: dict[str, Json] = {"prompt": "a boat", "loras": [{"path": "acme/watercolour", "scale": 1}]}

    result = minimise(payload, manifest, a_permit())

    assert isinstance(result, MinimisedPayload)
    assert result.body == payload
    shipped = minimise(payload, found(FileManifestCatalogue(), "fal", "fal-ai/flux-lora"), a_permit())
    assert isinstance(shipped, Refusal)


def test_an_operators_model_is_found_beside_the_shipped_ones(tmp_path: Path) -> None:
    catalogue = FileManifestCatalogue(manifests_dir=folder(tmp_path, acme=WHOLE))

    assert found(catalogue, "fal", "house/model").reviewed_by == "a reviewer"
    assert found(catalogue, "fal", "fal-ai/flux/dev").reviewed_by == "consent-proxy maintainers"


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"a": WHOLE, "b": WHOLE}, "b.toml: model 'house/model' for generation is listed already"),
        ({"a": WHOLE.replace("house/model", "fal-ai/flux/dev")}, "'replaces = true' puts yours in its place"),
        ({"a": WHOLE.replace("[model.f", "replaces = true\n[model.f")}, "replaces none that came with the service"),
        (
            {"a": HEAD + '[[extension]]\nid = "house/model"\nreviewed_by = "x"\nreviewed_at = 2026-11-23\n'},
            "a.toml: extension of 'house/model', which no file lists",
        ),
        (
            {
                "a": HEAD + '[[extension]]\nid = "fal-ai/flux-lora"\nreviewed_by = "x"\nreviewed_at = 2026-11-23\n'
                'public_weights = { "prompt" = ["x"] }\n'
            },
            "'prompt' is not a field of the kind weights",
        ),
        (
            {
                name: WHOLE.replace("house/model", f"house/{name}").replace(
                    "[model.f", f'versions = ["{"a" * 64}"]\n[model.f'
                )
                for name in ("a", "b")
            },
            "is claimed by 'house/a' and by 'house/b'",
        ),
    ],
)
def test_two_claims_to_one_thing_are_an_error(tmp_path: Path, texts: dict[str, str], says: str) -> None:
    with pytest.raises(ManifestFileInvalid) as caught:
        FileManifestCatalogue(manifests_dir=folder(tmp_path, **texts))
    assert says in str(caught.value)


def test_an_operator_may_put_a_manifest_in_the_place_of_a_shipped_one_and_only_once(tmp_path: Path) -> None:
    text = WHOLE.replace("house/model", "fal-ai/flux/dev").replace("[model.f", "replaces = true\n[model.f")
    catalogue = FileManifestCatalogue(manifests_dir=folder(tmp_path, a=text))

    assert set(found(catalogue, "fal", "fal-ai/flux/dev").fields) == {"prompt"}
    with pytest.raises(ManifestFileInvalid, match="replaces none that came with the service"):
        FileManifestCatalogue(manifests_dir=folder(tmp_path, b=text))


#: A model, what an app might send it, what of that leaves, and what stays.
JOURNEYS: list[tuple[str, str, dict[str, Json], dict[str, Json], set[str]]] = [
    (
        "fal",
        "fal-ai/flux/dev",
        {"prompt": "a boat", "image_size": {"width": 512, "height": 512}, "seed": 7, "email": "jane@example.com"},
        {"prompt": "a boat", "image_size": {"width": 512, "height": 512}, "seed": 7},
        {"email"},
    ),
    (
        "fal",
        "fal-ai/flux/schnell",
        {"prompt": "a boat", "image_size": "square_hd", "num_inference_steps": 4, "webhook_url": "https://example.com"},
        {"prompt": "a boat", "image_size": "square_hd", "num_inference_steps": 4},
        {"webhook_url"},
    ),
    (
        "fal",
        "fal-ai/fast-sdxl",
        {"prompt": "a boat", "request_id": "user-7", "num_images": 1},
        {"prompt": "a boat", "request_id": PSEUDONYM, "num_images": 1},
        set(),
    ),
    (
        "fal",
        "fal-ai/nano-banana-pro",
        {"prompt": "a boat", "enable_web_search": True, "resolution": "2K"},
        {"prompt": "a boat", "resolution": "2K"},
        {"enable_web_search"},
    ),
    (
        "fal",
        "bytedance/seedance-2.0/text-to-video",
        {"prompt": "a boat", "end_user_id": "jane@example.com", "duration": "5"},
        {"prompt": "a boat", "end_user_id": PSEUDONYM, "duration": "5"},
        set(),
    ),
    (
        "replicate",
        "black-forest-labs/flux-schnell",
        {"prompt": "a boat", "aspect_ratio": "16:9", "megapixels": "1", "user_id": 7},
        {"prompt": "a boat", "aspect_ratio": "16:9", "megapixels": "1"},
        {"user_id"},
    ),
    (
        "replicate",
        "black-forest-labs/flux-dev",
        {"prompt": "a boat", "guidance": 3.5, "go_fast": True, "prompt_strength": 0.8},
        {"prompt": "a boat", "guidance": 3.5, "go_fast": True, "prompt_strength": 0.8},
        set(),
    ),
    (
        "replicate",
        "stability-ai/sdxl",
        {"prompt": "a boat", "scheduler": "K_EULER", "width": 1024, "height": 1024, "refine": "no_refiner"},
        {"prompt": "a boat", "scheduler": "K_EULER", "width": 1024, "height": 1024, "refine": "no_refiner"},
        set(),
    ),
    (
        "replicate",
        "meta/meta-llama-3-8b-instruct",
        {"prompt": "Hello", "max_tokens": 512, "temperature": 0.7, "log_performance_metrics": True},
        {"prompt": "Hello", "max_tokens": 512, "temperature": 0.7},
        {"log_performance_metrics"},
    ),
]


@pytest.mark.parametrize(
    ("provider", "model", "sent", "leaves", "stays"), JOURNEYS, ids=[journey[1] for journey in JOURNEYS]
)
def test_what_an_app_sends_a_shipped_model_leaves_minimised(
    shipped: FileManifestCatalogue,
    provider: str,
    model: str,
    sent: dict[str, Json],
    leaves: dict[str, Json],
    stays: set[str],
) -> None:
    result = minimise(sent, found(shipped, provider, model), a_permit(), pseudonym=PSEUDONYM)

    assert isinstance(result, MinimisedPayload)
    assert result.body == leaves
    assert {field.path for field in result.fields_dropped} == stays


@pytest.mark.parametrize(
    ("provider", "model", "purpose", "payload"),
    [
        (
            "fal",
            "fal-ai/flux/dev/image-to-image",
            "generation",
            {"prompt": "a boat", "image_url": "https://x.example/a"},
        ),
        ("fal", "fal-ai/flux-lora", "generation", {"prompt": "a boat", "loras": [{"path": "jane/lora"}]}),
        ("fal", "fal-ai/flux-lora-fast-training", "training", {"images_data_url": "https://x.example/a.zip"}),
        (
            "fal",
            "fal-ai/kling-video/v2.1/standard/image-to-video",
            "generation",
            {"prompt": "x", "image_url": "data:,x"},
        ),
        ("replicate", "black-forest-labs/flux-dev", "generation", {"prompt": "a boat", "image": "https://x.example/a"}),
        ("replicate", "ostris/flux-dev-lora-trainer", "training", {"input_images": "https://x.example/a.zip"}),
        ("replicate", "ostris/flux-dev-lora-trainer", "generation", {"prompt": "x", "replicate_weights": "jane/lora"}),
    ],
)
def test_media_and_other_peoples_weights_are_refused_by_every_shipped_model(
    shipped: FileManifestCatalogue, provider: str, model: str, purpose: str, payload: dict[str, Json]
) -> None:
    manifest = found(shipped, provider, model, purpose=Purpose(purpose))

    result = minimise(payload, manifest, a_permit())

    assert isinstance(result, Refusal)
    assert result.reason is Reason.MEDIA_SOURCE_NOT_ALLOWED


def test_a_trainer_hands_nothing_on_to_other_companies(shipped: FileManifestCatalogue) -> None:
    manifest = found(shipped, "replicate", "ostris/flux-dev-lora-trainer", purpose=Purpose.TRAINING)
    onward: dict[str, Json] = {
        "hf_repo_id": "jane/lora",
        "hf_token": "hf_x",
        "wandb_api_key": "x",
        "wandb_project": "x",
        "wandb_sample_prompts": "Jane",
    }

    result = minimise({"trigger_word": "TOK", **onward}, manifest, a_permit(categories=frozenset(DataCategory)))

    assert isinstance(result, MinimisedPayload)
    assert result.body == {"trigger_word": "TOK"}
    assert {(field.path, field.reason) for field in result.fields_dropped} == {(name, "onward") for name in onward}


def test_no_shipped_number_has_room_for_a_card_number(shipped: FileManifestCatalogue) -> None:
    for manifest in shipped.all():
        for place in manifest.places():
            if place.kind in {FieldKind.INTEGER, FieldKind.NUMBER}:
                assert place.maximum is not None
                assert place.maximum < 10**10, (manifest.id, place.path)
