"""Every reason for which the proxy says no, and the refusal that carries exactly one of them."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The slug of a problem; the HTTP status of each stands in one table at the edge."""

    CONSENT_NEVER_ASKED = "consent-never-asked"
    CONSENT_DECLINED = "consent-declined"
    CONSENT_WITHDRAWN = "consent-withdrawn"
    CONSENT_OUTDATED = "consent-outdated"
    CONSENT_EXPIRED = "consent-expired"
    RECIPIENT_NOT_GRANTED = "recipient-not-granted"
    RECIPIENT_NOT_DISCLOSED = "recipient-not-disclosed"
    PURPOSE_MISMATCH = "purpose-mismatch"
    CONTRACT_MISSING = "contract-missing"
    CONTRACT_EXPIRED = "contract-expired"
    CONTRACT_DOES_NOT_COVER = "contract-does-not-cover"
    SUB_PROCESSOR_NOT_COVERED = "sub-processor-not-covered"
    MODEL_UNKNOWN = "model-unknown"
    SUBJECT_MISMATCH = "subject-mismatch"
    ROLE_MISSING = "role-missing"
    SUBJECT_MISSING = "subject-missing"
    SUBJECT_INVALID = "subject-invalid"
    HEADER_REPEATED = "header-repeated"
    JSON_INVALID = "json-invalid"
    ENCODING_NOT_ALLOWED = "encoding-not-allowed"
    CREDENTIAL_MISSING = "credential-missing"
    CREDENTIAL_INVALID = "credential-invalid"
    CREDENTIAL_EXPIRED = "credential-expired"
    JOB_NOT_YOURS = "job-not-yours"
    MEDIA_NOT_YOURS = "media-not-yours"
    ARTEFACT_NOT_YOURS = "artefact-not-yours"
    BODY_TOO_LARGE = "body-too-large"
    MEDIA_TYPE_UNSUPPORTED = "media-type-unsupported"
    FIELD_NOT_PERMITTED = "field-not-permitted"
    VALUE_NOT_ALLOWED = "value-not-allowed"
    MEDIA_SOURCE_NOT_ALLOWED = "media-source-not-allowed"
    MEDIA_NOT_CLEAN = "media-not-clean"
    BODY_INVALID = "body-invalid"
    TIME_NOT_ALLOWED = "time-not-allowed"
    DISCLOSURE_MISMATCH = "disclosure-mismatch"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    NOT_OFFERED = "not-offered"
    PROVIDER_NOT_CONFIGURED = "provider-not-configured"
    LEDGER_UNAVAILABLE = "ledger-unavailable"
    OVERLOADED = "overloaded"
    PROVIDER_UNREACHABLE = "provider-unreachable"
    PROVIDER_TIMEOUT = "provider-timeout"
    PROVIDER_REFUSED = "provider-refused"
    PROVIDER_REPLY_UNUSABLE = "provider-reply-unusable"
    OUTPUT_EXPIRED = "output-expired"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    ALREADY_EXISTS = "already-exists"
    INTERNAL_ERROR = "internal-error"


#: Reasons that asking the person can cure: the app should show the disclosure.
ASKING_HELPS = frozenset(
    {
        Reason.CONSENT_NEVER_ASKED,
        Reason.CONSENT_OUTDATED,
        Reason.CONSENT_EXPIRED,
        Reason.RECIPIENT_NOT_GRANTED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The proxy's no. ``detail`` is for developers and never repeats a value; ``paths`` are fields of the manifest."""

    reason: Reason
    detail: str
    paths: tuple[str, ...] = ()
    disclosure: str | None = None

    @property
    def must_ask(self) -> bool:
        """Whether showing the disclosure and recording an answer may turn this no into a yes."""
        return self.reason in ASKING_HELPS
