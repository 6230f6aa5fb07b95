"""The decision: from a request and what stands, a permit or a refusal with its one reason. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime

from consent_proxy.domain.callers import Credential, CredentialKind, Role, Scope
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import ConsentState, RecipientStanding, Standing
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import ASKING_HELPS, Reason, Refusal
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectKind, SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRequest:
    """What a caller asks to be sent: whose data, to which model, as whom. ``payload`` is the model's input.

    ``left_out`` names what stood beside that input and is never passed on, as the record may show it.
    """

    credential: Credential
    subject_ref: SubjectRef
    subject_kind: SubjectKind
    provider: str
    recipient: str
    manifest: Manifest | None
    payload: dict[str, Json]
    stated_purpose: str | None = None
    strict: bool = False
    left_out: tuple[str, ...] = ()
    trace_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What stands, as read: the rules, the subject's standing and salt. ``fresh`` means read for this very walk.

    Where the subject asked about was linked to another reference, standing and salt are of that one, and say so.
    """

    rules: Rules
    standing: Standing
    salt: bytes
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The proxy's yes, for one transfer, good until ``not_after`` and only while the versions it names still stand.

    Built by ``decide`` alone. ``categories`` are those that may leave: granted by the subject and in the contract.
    """

    subject_ref: SubjectRef
    purpose: Purpose
    recipient: str
    manifest: Manifest
    categories: frozenset[DataCategory]
    consent: RecipientStanding
    contract: Contract
    standing_version: int
    edition: int
    not_after: datetime


#: A permit that nothing in the rules ends still ends: facts older than this are read again.
FAR_FUTURE = datetime(9999, 12, 31, tzinfo=UTC)


def decide(request: TransferRequest, facts: Facts, *, at: datetime) -> Permit | Refusal:
    """Decide on one request at one moment (UTC-aware).

    The order of the checks is the order of the reasons: the credential, the model, the purpose, the disclosure, the
    subject's standing, the contract, the fields the model cannot do without.
    """
    refused = _credential_refusal(request.credential, facts.rules, at=at)
    if refused is not None:
        return refused
    manifest = request.manifest
    if manifest is None or not manifest.is_reviewed:
        return Refusal(reason=Reason.MODEL_UNKNOWN, detail="no reviewed manifest names this model")
    disclosed = _disclosed(request, manifest, facts.rules, at=at)
    if isinstance(disclosed, Refusal):
        return disclosed
    consent = _consent(manifest, facts, disclosed, at=at)
    if isinstance(consent, Refusal):
        return consent
    contract = _contract(manifest, facts.rules, at=at)
    if isinstance(contract, Refusal):
        return contract
    return Permit(
        # The request may name a reference that was linked since: the facts are of the one that stays.
        subject_ref=facts.standing.subject_ref,
        purpose=manifest.purpose,
        recipient=manifest.recipient,
        manifest=manifest,
        categories=(consent.categories & contract.categories) - {DataCategory.ONWARD},
        consent=consent,
        contract=contract,
        standing_version=facts.standing.version,
        edition=facts.rules.edition,
        not_after=_not_after(request, manifest, facts, consent, at=at),
    )


def _credential_refusal(credential: Credential, rules: Rules, *, at: datetime) -> Refusal | None:
    if credential.expires_at is not None and at >= credential.expires_at:
        return Refusal(reason=Reason.CREDENTIAL_EXPIRED, detail="the credential has expired: get a new one")
    if not rules.stands(credential, at=at):
        return Refusal(
            reason=Reason.CREDENTIAL_INVALID, detail="the credential, or the last key of its caller, was revoked"
        )
    if credential.kind is CredentialKind.SUBJECT_TOKEN:
        if Scope.AI not in credential.scopes:
            return Refusal(reason=Reason.ROLE_MISSING, detail="the subject token lacks the scope 'ai'")
    elif Role.GATEWAY not in credential.roles:
        return Refusal(reason=Reason.ROLE_MISSING, detail="the key lacks the role 'gateway'")
    return None


def _disclosed(request: TransferRequest, manifest: Manifest, rules: Rules, *, at: datetime) -> Disclosure | Refusal:
    if request.stated_purpose is not None and request.stated_purpose != manifest.purpose:
        return Refusal(
            reason=Reason.PURPOSE_MISMATCH,
            detail=f"this model serves the purpose '{manifest.purpose}': Consent-Purpose may only repeat it",
        )
    purposes = request.credential.purposes
    if purposes is not None and manifest.purpose not in purposes:
        return Refusal(reason=Reason.PURPOSE_MISMATCH, detail=f"the subject token does not cover '{manifest.purpose}'")
    current = rules.current(at=at)
    if current is None or current.covers(recipient=manifest.recipient, purpose=manifest.purpose) is None:
        return Refusal(
            reason=Reason.RECIPIENT_NOT_DISCLOSED,
            detail=f"no disclosure in force says that data goes to '{manifest.recipient}' for '{manifest.purpose}'",
        )
    return current


_REASON_BY_STATE = {
    ConsentState.NEVER_ASKED: (Reason.CONSENT_NEVER_ASKED, "this person has not been asked"),
    ConsentState.DECLINED: (Reason.CONSENT_DECLINED, "this person said no"),
    ConsentState.WITHDRAWN: (Reason.CONSENT_WITHDRAWN, "this person took the consent back"),
    ConsentState.OUTDATED: (Reason.CONSENT_OUTDATED, "a material change came after this person's consent"),
    ConsentState.EXPIRED: (Reason.CONSENT_EXPIRED, "this person's consent has run out"),
}


def _consent(manifest: Manifest, facts: Facts, disclosed: Disclosure, *, at: datetime) -> RecipientStanding | Refusal:
    standing = facts.standing
    state = standing.state(manifest.recipient, disclosures=facts.rules.disclosures, at=at)
    entry = standing.entry(manifest.recipient)
    if state is ConsentState.GRANTED and entry is not None:
        return entry
    if state is ConsentState.NEVER_ASKED and standing.granted_to_any:
        return Refusal(
            reason=Reason.RECIPIENT_NOT_GRANTED,
            detail=f"this person's consent for '{manifest.purpose}' does not name '{manifest.recipient}'",
            disclosure=disclosed.version,
        )
    return refusal_for_state(
        state, purpose=manifest.purpose, recipient=manifest.recipient, disclosure=disclosed.version
    )


def refusal_for_state(state: ConsentState, *, purpose: str, recipient: str, disclosure: str | None = None) -> Refusal:
    """The refusal that a standing other than granted leads to; it names the disclosure where asking helps."""
    reason, detail = _REASON_BY_STATE[state]
    return Refusal(
        reason=reason,
        detail=f"{detail} ('{purpose}' at '{recipient}')",
        disclosure=disclosure if reason in ASKING_HELPS else None,
    )


def _contract(manifest: Manifest, rules: Rules, *, at: datetime) -> Contract | Refusal:
    recipient = manifest.recipient
    contract = rules.contract(recipient, at=at)
    if contract is None:
        ended = any(known.recipient == recipient and known.has_ended(at) for known in rules.contracts)
        reason = Reason.CONTRACT_EXPIRED if ended else Reason.CONTRACT_MISSING
        return Refusal(reason=reason, detail=f"no contract with '{recipient}' is in force")
    if not contract.promises():
        return Refusal(
            reason=Reason.CONTRACT_DOES_NOT_COVER,
            detail=f"the contract with '{recipient}' lacks equal protection or allows purposes of its own",
        )
    missing = manifest.needed - contract.categories
    if manifest.purpose not in contract.purposes or missing:
        what = (
            f"the purpose '{manifest.purpose}'"
            if manifest.purpose not in contract.purposes
            else ", ".join(sorted(missing))
        )
        return Refusal(
            reason=Reason.CONTRACT_DOES_NOT_COVER, detail=f"the contract with '{recipient}' does not cover {what}"
        )
    known = {processor.id for processor in contract.sub_processors}
    if unknown := [name for name in manifest.sub_processors if name not in known]:
        return Refusal(
            reason=Reason.SUB_PROCESSOR_NOT_COVERED,
            detail=f"the contract with '{recipient}' does not name the sub-processor {', '.join(unknown)}",
        )
    return contract


def _not_after(
    request: TransferRequest, manifest: Manifest, facts: Facts, consent: RecipientStanding, *, at: datetime
) -> datetime:
    moments = [
        facts.rules.next_change(recipient=manifest.recipient, at=at),
        facts.standing.outdated_at(manifest.recipient, disclosures=facts.rules.disclosures),
        consent.valid_until,
        request.credential.expires_at,
    ]
    return min((moment for moment in moments if moment is not None), default=FAR_FUTURE)
