"""A draft written down: the TOML of a manifest file, whatever stands in the schema it comes from."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from consent_proxy.adapters.manifest_files import read_manifest_file
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.drafts import Draft
from consent_proxy.domain.manifests import DEFAULT_TEXT_BYTES, Field, Manifest, field_tree

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_VERSION = re.compile(r"[0-9a-f]{64}")
_LONGEST_COMMENT = 160
_LONGEST_FAMILY = 64

_HEADING = """\
# A draft, made from the model's schema: of no force until somebody has read it and says so.
# 1. Read every field: is the category right, is the range no wider than it has to be?
# 2. Move each line of [model.review] to [model.fields], or its name to left_out = [...]. What is not listed is dropped.
# 3. Say who is behind the model (sub_processors), who read this (reviewed_by) and when (reviewed_at).
"""
_BEHIND = """\
# Who makes or runs it behind the recipient, by the ids in the contract; [] where nobody does:
# sub_processors = []"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftHead:
    """What a draft says of the model besides its fields."""

    provider: str
    recipient: str
    model: str
    purpose: Purpose
    source: str
    source_sha256: str
    version: str = ""


def write_draft(draft: Draft, *, head: DraftHead, descriptions: dict[str, str]) -> str:
    """The text of a manifest file with this one draft in it.

    It is read back before it is handed out. Raises ``ManifestFileInvalid`` where the head is none that a file can have.
    """
    text = "\n".join(_lines(draft, head, descriptions)) + "\n"
    _read_back(text, draft, head)
    return text


def _read_back(text: str, draft: Draft, head: DraftHead) -> Manifest:
    (read,) = read_manifest_file(text, name="the draft").drafts
    if read.is_reviewed or (read.id, dict(read.fields)) != (head.model, field_tree(dict(sorted(draft.fields.items())))):
        raise AssertionError("a draft does not read as it was written")
    return read


def _lines(draft: Draft, head: DraftHead, descriptions: dict[str, str]) -> Iterator[str]:
    yield _HEADING
    yield f"family = {_text(_family(head.model))}"
    yield f"provider = {_text(head.provider)}"
    yield f"recipient = {_text(head.recipient)}\n"
    yield "[[model]]"
    yield f"id = {_text(head.model)}"
    yield f"purpose = {_text(head.purpose)}"
    yield _BEHIND
    yield f"source = {_text(head.source)}"
    yield f"source_sha256 = {_text(head.source_sha256)}"
    yield 'reviewed_by = ""'
    if _VERSION.fullmatch(head.version):
        yield f"versions = [{_text(head.version)}]"
    yield "[model.fields]"
    for path, place in draft.fields.items():
        yield from _comments(descriptions.get(path, ""), draft.notes.get(path, ""))
        yield f"{_key(path)} = {_field(place)}"
    if draft.review:
        yield "\n[model.review]"
    for path, reason in draft.review.items():
        yield from _comments(descriptions.get(path, ""))
        yield f"{_key(path)} = {_text(reason)}"


def _family(model: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", model.rsplit("/", maxsplit=1)[-1].lower()).strip("-")
    return words[:_LONGEST_FAMILY] or "model"


def _comments(*texts: str) -> Iterator[str]:
    """Each text as one line of comment: nothing that cannot be seen, nothing that ends the line."""
    for text in texts:
        visible = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        if visible:
            yield f"# {visible[:_LONGEST_COMMENT]}"


def _field(place: Field) -> str:
    said = {
        "category": _text(place.category) if place.category is not None else "",
        "kind": _text(place.kind) if place.kind is not None else "",
        "required": "true" if place.required else "",
        "minimum": _number(place.minimum) if place.minimum is not None else "",
        "maximum": _number(place.maximum) if place.maximum is not None else "",
        "max_bytes": f"{place.max_bytes:_}" if place.max_bytes != DEFAULT_TEXT_BYTES else "",
        "max_items": f"{place.max_items:_}" if place.path.endswith("[]") else "",
        "choices": f"[{', '.join(_choice(choice) for choice in place.choices)}]" if place.choices else "",
    }
    return f"{{ {', '.join(f'{key} = {value}' for key, value in said.items() if value)} }}"


def _choice(choice: str | float) -> str:
    return _text(choice) if isinstance(choice, str) else _number(choice)


def _number(value: float) -> str:
    return f"{value:_}" if isinstance(value, int) else repr(value)


def _key(path: str) -> str:
    return path if _BARE_KEY.fullmatch(path) else _text(path)


def _text(text: str) -> str:
    """A basic string of TOML. Whatever is not plainly visible is escaped, so that nobody reviews what is not there."""
    return f'"{"".join(_sign(sign) for sign in str(text))}"'


def _sign(sign: str) -> str:
    if sign in {'"', "\\"}:
        return f"\\{sign}"
    if sign.isprintable():
        return sign
    return f"\\u{ord(sign):04X}" if ord(sign) <= 0xFFFF else f"\\U{ord(sign):08X}"  # noqa: PLR2004 - TOML's two widths
