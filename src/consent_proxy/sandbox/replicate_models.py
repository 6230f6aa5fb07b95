"""Replicate's catalogue: models and schemas, versions in three spellings, deployments, and what a wrong input is."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.pictures import LARGEST_SIDE, Picture, size_of_ratio

SANDBOX_OWNER = "sandbox"
PUBLISHED_AT = "2025-01-15T10:00:00.000Z"

_OFFICIAL_OWNERS = frozenset(
    {
        SANDBOX_OWNER,
        "anthropic",
        "black-forest-labs",
        "bytedance",
        "google",
        "ideogram-ai",
        "kwaivgi",
        "luma",
        "minimax",
        "openai",
        "recraft-ai",
    }
)
_ONE_PICTURE = re.compile(r"black-forest-labs/flux-(1\.1-)?(pro|kontext)|google/|ideogram-ai/|recraft-ai/")
_OTHER_MEDIA = re.compile(r"video|whisper|llama|xtts|sadtalker|latentsync|hailuo|kling|veo|gpt-[0-9]|claude")
_HEX = re.compile(r"[0-9a-f]{64}")

_FIELDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "prompt": {"type": "string"},
        "negative_prompt": {"type": "string", "default": ""},
        "image": {"type": "string", "format": "uri"},
        "aspect_ratio": {
            "type": "string",
            "enum": ["1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"],
        },
        "width": {"type": "integer", "minimum": 64, "maximum": LARGEST_SIDE},
        "height": {"type": "integer", "minimum": 64, "maximum": LARGEST_SIDE},
        "num_outputs": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1},
        "num_inference_steps": {"type": "integer", "minimum": 1, "maximum": 500},
        "seed": {"type": "integer"},
        "megapixels": {"type": "string", "enum": ["1", "0.25"], "default": "1"},
        "output_format": {"type": "string", "enum": ["webp", "jpg", "png"], "default": "webp"},
    }
)
_REQUIRED = ("prompt",)
_PYTHON_TYPES: Mapping[str, type] = MappingProxyType({"string": str, "integer": int})
_JSON_NAMES = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedModel:
    """A model by `owner/name`. Official ones run by name; community ones only by version."""

    owner: str
    name: str

    @property
    def slug(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def official(self) -> bool:
        """Whether it may be run by name; the misbehaving ones may."""
        return self.owner in _OFFICIAL_OWNERS or self.name in frozenset(Behaviour)

    @property
    def makes_pictures(self) -> bool:
        """Whether the sandbox can run it."""
        return _OTHER_MEDIA.search(self.slug) is None

    @property
    def one_picture(self) -> bool:
        """Whether the output is a single URL and not a list."""
        return _ONE_PICTURE.match(self.slug) is not None

    @property
    def latest_version(self) -> str:
        """64 hexadecimal digits, always the same for a model."""
        return hashlib.sha256(f"sandbox:{self.slug}".encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The API's model object."""
        return {
            "url": f"https://replicate.com/{self.slug}",
            "owner": self.owner,
            "name": self.name,
            "description": "A local stand-in that paints the prompt's colours.",
            "visibility": "public",
            "is_official": self.official,
            "github_url": None,
            "paper_url": None,
            "license_url": None,
            "run_count": 1,
            "cover_image_url": None,
            "default_example": None,
            "latest_version": self.version_json(self.latest_version),
        }

    def version_json(self, version: str) -> dict[str, Any]:
        """The API's version object, with the schema of the model's input and output."""
        return {
            "id": version,
            "created_at": PUBLISHED_AT,
            "cog_version": "0.14.0",
            "openapi_schema": self._openapi_schema(),
        }

    def deployment_json(self, owner: str, name: str) -> dict[str, Any]:
        """The API's deployment object, for a deployment `owner/name` that runs this model."""
        maker = {"type": "organization", "username": owner, "name": owner, "avatar_url": None, "github_url": None}
        release = {
            "number": 1,
            "model": self.slug,
            "version": self.latest_version,
            "created_at": PUBLISHED_AT,
            "created_by": maker,
            "configuration": {"hardware": "gpu-t4", "min_instances": 0, "max_instances": 1},
        }
        return {"owner": owner, "name": name, "current_release": release}

    def _openapi_schema(self) -> dict[str, Any]:
        picture = {"type": "string", "format": "uri", "title": "Output"}
        pictures = {"type": "array", "items": {"type": "string", "format": "uri"}, "title": "Output"}
        fields = {
            name: {"title": name.replace("_", " ").title(), "x-order": order, **rule}
            for order, (name, rule) in enumerate(_FIELDS.items())
        }
        schemas = {
            "Input": {"type": "object", "title": "Input", "required": list(_REQUIRED), "properties": fields},
            "Output": picture if self.one_picture else pictures,
        }
        return {
            "openapi": "3.0.2",
            "info": {"title": "Cog", "version": "0.1.0"},
            "paths": {},
            "components": {"schemas": schemas},
        }


class Catalogue:
    """The models and versions the sandbox knows, and its deployments.

    Every `owner/name` exists. A version of 64 hexadecimal digits that comes with a model's name is taken for that
    model's from then on; one that comes alone must be known.
    """

    def __init__(self) -> None:
        self._versions: dict[str, HostedModel] = {}
        self._deployments: dict[str, HostedModel] = {}

    def model(self, slug: str) -> HostedModel:
        """The model of that `owner/name`, whose latest version is known from now on."""
        owner, _, name = slug.partition("/")
        model = HostedModel(owner=owner, name=name)
        self._versions.setdefault(model.latest_version, model)
        return model

    def know(self, version: str, *, model: str) -> None:
        """Publish a version of a model, for instance one that a manifest pins."""
        self._versions[version] = self.model(model)

    def deploy(self, deployment: str, *, model: str) -> None:
        """Make `owner/name` a deployment of a model's latest version."""
        self._deployments[deployment] = self.model(model)

    def deployment(self, slug: str) -> HostedModel | None:
        """The model behind a deployment."""
        return self._deployments.get(slug)

    def resolve(self, reference: str) -> tuple[HostedModel, str] | None:
        """The model and version meant by `<hex>`, `owner/name:<hex>` or `owner/name`; None when there is none such."""
        name, _, version = reference.rpartition(":")
        if not name and "/" in version:
            model = self.model(version)
            return model, model.latest_version
        if _HEX.fullmatch(version) is None:
            return None
        if name:
            self._versions.setdefault(version, self.model(name))
        known = self._versions.get(version)
        return None if known is None or (name and known.slug != name) else (known, version)


def input_problems(given: Any) -> list[dict[str, str]]:
    """What is wrong with an input, as Replicate lists it in `invalid_fields`."""
    if not isinstance(given, dict):
        return [_invalid_type("input", expected="object", given=given)]
    missing = [
        {"type": "required", "field": "input", "description": f"{name} is required"}
        for name in _REQUIRED
        if name not in given
    ]
    wrong = [problem for name in given for problem in _field_problems(name, given[name])]
    return missing + wrong


def _field_problems(name: str, value: Any) -> Iterator[dict[str, str]]:
    rule, field = _FIELDS.get(name), f"input.{name}"
    if rule is None:
        return
    if not isinstance(value, _PYTHON_TYPES[rule["type"]]) or isinstance(value, bool):
        yield _invalid_type(field, expected=rule["type"], given=value)
    elif "enum" in rule and value not in rule["enum"]:
        allowed = ", ".join(f'"{choice}"' for choice in rule["enum"])
        yield {"type": "enum", "field": field, "description": f"{field} must be one of the following: {allowed}"}
    elif "minimum" in rule and value < rule["minimum"]:
        limit = f"Must be greater than or equal to {rule['minimum']}"
        yield {"type": "number_gte", "field": field, "description": limit}
    elif "maximum" in rule and value > rule["maximum"]:
        limit = f"Must be less than or equal to {rule['maximum']}"
        yield {"type": "number_lte", "field": field, "description": limit}


def _invalid_type(field: str, *, expected: str, given: Any) -> dict[str, str]:
    name = next((name for kind, name in _JSON_NAMES if isinstance(given, kind)), "null")
    return {"type": "invalid_type", "field": field, "description": f"Invalid type. Expected: {expected}, given: {name}"}


def pictures_for(model: HostedModel, given: Mapping[str, Any], *, seed: int) -> list[Picture]:
    """The pictures a valid input asks for; they are PNG whatever `output_format` says."""
    if "width" in given or "height" in given:
        width, height = given.get("width", 1024), given.get("height", 1024)
    else:
        width, height = size_of_ratio(given.get("aspect_ratio", "1:1"))
    if given.get("megapixels") == "0.25":
        width, height = width // 2, height // 2
    count = 1 if model.one_picture else given.get("num_outputs", 1)
    return [
        Picture(prompt=given["prompt"], seed=seed, number=number, width=width, height=height) for number in range(count)
    ]
