"""Manifest files: what a reviewer writes in TOML, checked line by line and turned into manifests."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    ValidationError,
)

from consent_proxy.domain import manifests as domain
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.media import MediaKind
from consent_proxy.domain.payloads import Json, canonical_json

#: A model's name becomes a path in a provider's URL, so it is made of plain path parts.
_MODEL = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){1,7}$"
_SLUG = r"^[a-z0-9][a-z0-9-]{0,63}$"

_FIRST_INEXACT = 2**53

Slug = Annotated[str, StringConstraints(pattern=_SLUG)]
ModelName = Annotated[str, StringConstraints(pattern=_MODEL, max_length=200)]
VersionHex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Deployment = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]
#: Who reviewed an entry. A blank says that nobody has yet.
Reviewer = Annotated[str, StringConstraints(max_length=300, strip_whitespace=True)]


class ManifestFileInvalid(ValueError):
    """A manifest file that cannot be used. The message names file, model and field, and says what to do."""


class _Entry(BaseModel):
    """Anything in a manifest file: what is not known is refused, for a misspelt word would say nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldEntry(_Entry):
    """One line of a model's fields; the words are those of ``domain.manifests.Field``."""

    category: DataCategory | None = None
    kind: domain.FieldKind | None = None
    required: StrictBool = False
    minimum: StrictInt | StrictFloat | None = None
    maximum: StrictInt | StrictFloat | None = None
    max_bytes: int = Field(default=domain.DEFAULT_TEXT_BYTES, ge=1, le=1_000_000)
    max_items: int = Field(default=domain.DEFAULT_ITEMS, ge=1, le=1_000)
    choices: tuple[StrictInt | StrictFloat | str, ...] = ()
    urls_allowed: StrictBool = False
    takes: tuple[MediaKind, ...] = ()

    def as_field(self, path: str) -> domain.Field:
        """The field at a path, by itself."""
        return domain.Field(path=path, **{name: getattr(self, name) for name in type(self).model_fields})


Fields = dict[str, FieldEntry]


class ModelEntry(_Entry):
    """One model: what it is for, who is behind it, which schema was read, and its fields.

    With a blank ``reviewed_by`` it is a draft, and of no force whatever else it says. ``review`` is what a draft leaves
    to the reviewer: paths, and why they were not placed. ``left_out`` are paths that a reviewer read and did not want.
    """

    id: ModelName
    purpose: Purpose
    source: Line
    source_sha256: VersionHex | None = None
    reviewed_by: Reviewer
    reviewed_at: date | None = None
    sub_processors: tuple[Slug, ...] | None = None
    versions: tuple[VersionHex, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    uses: tuple[str, ...] = ()
    fields: Fields = {}
    replaces: StrictBool = False
    left_out: tuple[Line, ...] = ()
    review: dict[str, Line] = {}

    def fault(self) -> tuple[str, str] | None:
        """What a reviewed entry lacks, and where, or ``None``. Of a draft nothing is asked."""
        if not self.reviewed_by:
            return None
        if self.reviewed_at is None:
            return "reviewed_at", "is required once reviewed_by says who"
        if self.sub_processors is None:
            return "sub_processors", "is required: the makers behind the model, or [] where the recipient runs it alone"
        if self.review:
            left = ", ".join(self.review)
            return "review", f"still lists {left}: move each to [model.fields], or to left_out"
        return None


class ExtensionEntry(_Entry):
    """What an operator adds to a model that another file lists."""

    reviewed_by: Annotated[Reviewer, StringConstraints(min_length=1)]
    reviewed_at: date
    id: ModelName
    purpose: Purpose | None = None
    versions: tuple[VersionHex, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    public_weights: dict[str, tuple[Line, ...]] = {}


class FamilyFile(_Entry):
    """One file: a family of models at one provider. ``shared`` holds sets of fields that its models use by name."""

    family: Slug
    provider: Slug
    recipient: Slug
    shared: dict[str, Fields] = {}
    model: tuple[ModelEntry, ...] = ()
    extension: tuple[ExtensionEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """An operator's addition on its way to the manifest it is for."""

    file: str
    provider: str
    entry: ExtensionEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """What one file says. ``replacing`` are the manifests in it that stand in for one listed before. ``drafts`` are
    those that nobody has reviewed: they open no door, and take no other's place.
    """

    name: str
    manifests: tuple[domain.Manifest, ...]
    drafts: tuple[domain.Manifest, ...]
    replacing: frozenset[tuple[str, str, Purpose]]
    extensions: tuple[Extension, ...]

    def by_key(self) -> Iterator[tuple[tuple[str, str, Purpose], domain.Manifest]]:
        """Each manifest with what tells it from all others: provider, model, purpose."""
        for manifest in self.manifests:
            yield (manifest.provider, manifest.id, manifest.purpose), manifest


def read_manifest_file(text: str, *, name: str) -> ManifestFile:
    """Read one file; ``name`` is what messages call it. Raises ``ManifestFileInvalid`` with every fault found."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestFileInvalid(f"{name} is not TOML: {error}") from None
    try:
        family = FamilyFile.model_validate(document)
    except ValidationError as error:
        faults = [f"{name}: {_where(document, fault['loc'])}{fault['msg']}" for fault in error.errors()]
        raise ManifestFileInvalid("\n".join(faults)) from None
    manifests = tuple(_manifest(family, model, name=name) for model in family.model)
    return ManifestFile(
        name=name,
        manifests=tuple(manifest for manifest in manifests if manifest.is_reviewed),
        drafts=tuple(manifest for manifest in manifests if not manifest.is_reviewed),
        replacing=frozenset(
            (family.provider, model.id, model.purpose) for model in family.model if model.replaces and model.reviewed_by
        ),
        extensions=tuple(Extension(file=name, provider=family.provider, entry=entry) for entry in family.extension),
    )


def read_manifest_folder(folder: Path) -> list[ManifestFile]:
    """Every ``*.toml`` in a folder and below, in the order of their names. Raises ``ManifestFileInvalid``."""
    if not folder.is_dir():
        raise ManifestFileInvalid(f"there is no folder {folder}: see the setting CONSENT_PROXY_MANIFESTS_DIR")
    files = []
    for path in sorted(folder.rglob("*.toml")):
        name = path.relative_to(folder).as_posix()
        try:
            files.append(read_manifest_file(path.read_text(encoding="utf-8"), name=name))
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestFileInvalid(f"{name} cannot be read as UTF-8 text: {error}") from error
    return files


def extended(manifest: domain.Manifest, extension: Extension) -> domain.Manifest:
    """A manifest with an operator's versions, deployments and public weights. Raises ``ManifestFileInvalid``."""
    entry = extension.entry
    fields = dict(manifest.fields)
    for path, weights in entry.public_weights.items():
        fields = _with_weights(fields, path, weights, where=f"{extension.file}: extension of '{entry.id}'")
    return _signed(
        replace(
            manifest,
            fields=fields,
            versions=tuple(dict.fromkeys((*manifest.versions, *entry.versions))),
            deployments=tuple(dict.fromkeys((*manifest.deployments, *entry.deployments))),
            reviewed_by=f"{manifest.reviewed_by}; extended by {entry.reviewed_by}",
            reviewed_at=max(manifest.reviewed_at or entry.reviewed_at, entry.reviewed_at),
        )
    )


def _manifest(family: FamilyFile, model: ModelEntry, *, name: str) -> domain.Manifest:
    where = f"{name}: model '{model.id}'"
    if (fault := model.fault()) is not None:
        place, words = fault
        raise ManifestFileInvalid(f"{where}, {place}: {words}")
    entries = dict(model.fields)
    for used in model.uses:
        if used not in family.shared:
            raise ManifestFileInvalid(f"{where} uses '{used}', but there is no [shared.{used}] in the file")
        if twice := sorted(entries.keys() & family.shared[used].keys()):
            raise ManifestFileInvalid(f"{where}: {', '.join(twice)} is listed twice; leave it out of one")
        entries |= family.shared[used]
    if not entries and model.reviewed_by:
        raise ManifestFileInvalid(f"{where} lists no field, so nothing could be sent; add [model.fields]")
    try:
        fields = domain.field_tree({path: entry.as_field(path) for path, entry in sorted(entries.items())})
    except ValueError as error:
        raise ManifestFileInvalid(f"{where}: the field {error}") from None
    return _signed(
        domain.Manifest(
            provider=family.provider,
            recipient=family.recipient,
            id=model.id,
            purpose=model.purpose,
            fields=fields,
            sha256="",
            sub_processors=model.sub_processors or (),
            versions=model.versions,
            deployments=model.deployments,
            source=model.source,
            source_sha256=model.source_sha256 or "",
            reviewed_by=model.reviewed_by,
            reviewed_at=model.reviewed_at,
            left_out=model.left_out,
        )
    )


def _with_weights(
    fields: Mapping[str, domain.Field], path: str, weights: tuple[str, ...], *, where: str
) -> dict[str, domain.Field]:
    """The fields with a place of the kind ``weights`` listing these too."""
    found = False

    def changed(place: domain.Field) -> domain.Field:
        nonlocal found
        if place.path == path and place.kind is domain.FieldKind.WEIGHTS:
            found = True
            return replace(place, choices=tuple(dict.fromkeys((*place.choices, *weights))))
        return replace(
            place,
            members={name: changed(member) for name, member in place.members.items()},
            items=changed(place.items) if place.items is not None else None,
        )

    tree = {name: changed(place) for name, place in fields.items()}
    if not found:
        raise ManifestFileInvalid(f"{where}: '{path}' is not a field of the kind weights")
    return tree


def _signed(manifest: domain.Manifest) -> domain.Manifest:
    return replace(manifest, sha256=sha256(canonical_json(_numbers_as_text(manifest.document()))).hexdigest())


def _numbers_as_text(value: Json) -> Json:
    """The same with the numbers that our canonical form does not know, fractions and the longest, as decimal text."""
    match value:
        case dict():
            return {key: _numbers_as_text(held) for key, held in value.items()}
        case list():
            return [_numbers_as_text(held) for held in value]
        case float():
            return repr(value)
        case int() if abs(value) >= _FIRST_INEXACT:
            return str(value)
        case _:
            return value


def _where(document: Mapping[str, Any], location: Iterable[int | str]) -> str:
    """The way to a fault in words: ``model 'fal-ai/flux/dev', field 'seed', maximum: ``."""
    parts = list(location)
    if len(parts) > 1 and isinstance(parts[1], int) and isinstance(document.get(str(parts[0])), list):
        kind, index = str(parts[0]), parts[1]
        entry = document[kind][index]
        named = entry.get("id", f"number {index + 1}") if isinstance(entry, dict) else f"number {index + 1}"
        parts[:2] = [f"{kind} '{named}'"]
    words: list[str] = []
    for part in parts:
        if words and words[-1] == "fields":
            words[-1] = f"field '{part}'"
        else:
            words.append(str(part))
    return ", ".join(words) + ": " if words else ""
