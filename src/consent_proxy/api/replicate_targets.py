"""What a prediction is asked of: a model by its name, a version in any of its spellings, a deployment."""

import re
from dataclasses import dataclass

from consent_proxy.api.problems import Problem, problem_of
from consent_proxy.api.services import Services
from consent_proxy.api.surface import SubjectRequest, require_gateway
from consent_proxy.application.ports.providers import ManifestCatalogue
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import ConsentState
from consent_proxy.domain.decide import refusal_for_state
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason, Refusal

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REFERENCE = re.compile(rf"(?:({_NAME}/{_NAME})(?::|$))?([0-9a-f]{{64}})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The reviewed model that is meant, if there is one, and how Replicate is to be asked for it."""

    manifest: Manifest | None
    version: str | None = None
    deployment: str | None = None


UNKNOWN = Target(manifest=None)


def target_of_model(model: str, *, manifests: ManifestCatalogue) -> Target:
    """By name: the version the manifest pins, if it pins any; otherwise Replicate's own latest."""
    manifest = manifests.find("replicate", model, purpose=Purpose.GENERATION)
    if manifest is None:
        return UNKNOWN
    return Target(manifest=manifest, version=manifest.versions[0] if manifest.versions else None)


def target_of_version(reference: Json, *, manifests: ManifestCatalogue) -> Target:
    """By ``owner/name:hex``, ``owner/name`` or ``hex``. A version that no manifest pins was not reviewed: unknown.

    Raises ``Problem`` where the body names none.
    """
    if not isinstance(reference, str):
        raise Problem(Reason.BODY_INVALID, "'version' has to name a version: owner/name, owner/name:id or id")
    match = _REFERENCE.fullmatch(reference)
    model, version = match.groups() if match is not None else (None, None)
    if version is None:
        return target_of_model(model, manifests=manifests) if model is not None else UNKNOWN
    manifest = manifests.find_version("replicate", version)
    if manifest is None or manifest.purpose is not Purpose.GENERATION or model not in {None, manifest.id}:
        return UNKNOWN
    return Target(manifest=manifest, version=version)


async def target_of_deployment(deployment: str, *, asked: SubjectRequest, services: Services) -> Target:
    """By deployment: as a manifest lists it, else as Replicate says, which is asked only about a subject's yes.

    Raises ``Problem`` where Replicate must not be asked.
    """
    manifest = services.manifests.find_deployment("replicate", deployment)
    if manifest is not None:
        return Target(manifest=manifest, deployment=deployment)
    require_gateway(asked.request)
    await _require_consent(asked, services=services)
    owner, _, name = deployment.partition("/")
    found = await services.deployments.model_of(owner, name)
    if found is None:
        return UNKNOWN
    model, version = found
    manifest = services.manifests.find("replicate", model, purpose=Purpose.GENERATION)
    if manifest is None or (manifest.versions and version not in manifest.versions):
        return UNKNOWN
    return Target(manifest=manifest, version=version, deployment=deployment)


async def _require_consent(asked: SubjectRequest, *, services: Services) -> None:
    """Nothing reaches the provider on account of somebody who did not say yes: not even a look into its catalogue."""
    refusal = await _consent_refusal(asked, services=services)
    if refusal is not None:
        raise problem_of(refusal)


async def _consent_refusal(asked: SubjectRequest, *, services: Services) -> Refusal | None:
    """On facts of now: there is no commit behind this look that would check again."""
    now = services.clock.now()
    facts = await services.facts.facts(asked.subject.ref, purpose=Purpose.GENERATION, fresh=True)
    state = facts.standing.state("replicate", disclosures=facts.rules.disclosures, at=now)
    if state is ConsentState.GRANTED:
        return None
    current = facts.rules.current(at=now)
    return refusal_for_state(
        state,
        purpose=Purpose.GENERATION,
        recipient="replicate",
        disclosure=current.version if current is not None else None,
    )
