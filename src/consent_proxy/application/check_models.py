"""Holding the manifests in force against the rules in force and against newer schemas of their models."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from consent_proxy.domain.coverage import Gap, GapKind, gaps, is_in_use
from consent_proxy.domain.drift import drift
from consent_proxy.domain.input_schemas import InputPlace
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFinding:
    """What is not as it should be with one model. ``slug`` is a gap's or a drift's kind, or a word of its own; what is
    not ``grave`` has to be known and not done.
    """

    slug: str
    message: str
    provider: str = ""
    model: str = ""
    purpose: str = ""
    path: str | None = None
    grave: bool = True


def check_coverage(manifests: Iterable[Manifest], rules: Rules, *, at: datetime) -> list[ModelFinding]:
    """What the manifests send beyond the disclosure and the contracts in force.

    At a recipient that no disclosure names and no contract binds nothing is meant to be sent: that is told once.
    """
    listed = list(manifests)
    if rules.current(at=at) is None:
        message = "no disclosure is in force, so nobody was told of anything: consent-proxy disclosures publish"
        return [ModelFinding(slug=GapKind.NO_DISCLOSURE, message=message)]
    unused = {manifest.recipient for manifest in listed if not is_in_use(manifest.recipient, rules, at=at)}
    found = [
        _about(manifest, gap.kind, _words(gap, manifest))
        for manifest in listed
        if manifest.recipient not in unused
        for gap in gaps(manifest, rules, at=at)
    ]
    for recipient in sorted(unused):
        message = f"nothing is sent to '{recipient}': neither is it disclosed, nor is there a contract"
        found.append(ModelFinding(slug="recipient-unused", message=message, grave=False))
    return found


def check_schema(manifest: Manifest, places: Iterable[InputPlace], *, sha256: str) -> list[ModelFinding]:
    """What has moved since the review. A schema with the digest that the manifest names is the one that was read, so
    that whatever differs was meant to.
    """
    if manifest.source_sha256 == sha256:
        return []
    found = [_about(manifest, one.kind, f"{one.path}: {one.detail}", path=one.path) for one in drift(manifest, places)]
    if found:
        message = f'once reviewed, say so: source_sha256 = "{sha256}", and left_out for fields you do not want'
        found.append(_about(manifest, "review-again", message, grave=False))
    return found


def check_drafts(drafts: Iterable[Manifest]) -> Iterator[ModelFinding]:
    """What waits for a review."""
    for draft in drafts:
        yield _about(draft, "unreviewed", "a draft that nobody has reviewed: of no force", grave=False)


def _about(manifest: Manifest, slug: str, message: str, *, path: str | None = None, grave: bool = True) -> ModelFinding:
    return ModelFinding(
        slug=slug,
        message=message,
        provider=manifest.provider,
        model=manifest.id,
        purpose=manifest.purpose,
        path=path,
        grave=grave,
    )


_WORDS: Mapping[GapKind, str] = {
    GapKind.NO_DISCLOSURE: "no disclosure is in force",
    GapKind.PURPOSE_NOT_DISCLOSED: "the disclosure in force does not say that data goes to '{recipient}' for {missing}",
    GapKind.CATEGORY_NOT_DISCLOSED: "nobody was told of {missing}: the disclosure in force does not name it for"
    " {purpose} at '{recipient}', so those fields never leave",
    GapKind.NO_CONTRACT: "no contract with '{recipient}' is in force",
    GapKind.CONTRACT_PROMISES_TOO_LITTLE: "the contract with '{recipient}' lacks one of the two promises",
    GapKind.CONTRACT_DOES_NOT_COVER: "the contract with '{recipient}' does not cover {missing}",
    GapKind.SUB_PROCESSOR_NOT_IN_CONTRACT: "the contract with '{recipient}' does not name the sub-processor {missing}:"
    " all calls of the model are refused",
}


def _words(gap: Gap, manifest: Manifest) -> str:
    return _WORDS[gap.kind].format(
        recipient=manifest.recipient, purpose=manifest.purpose, missing=", ".join(gap.missing)
    )
