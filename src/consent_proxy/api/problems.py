"""Every no and every fault as the outside sees it: one table of statuses, one RFC 9457 document."""

from collections.abc import Mapping
from uuid import UUID

from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import ASKING_HELPS, Reason, Refusal

_UNAVAILABLE = {Reason.PROVIDER_NOT_CONFIGURED, Reason.LEDGER_UNAVAILABLE, Reason.OVERLOADED}

#: The HTTP status of each reason. Refusals are never 408, 409 or 429: the SDKs send again on those.
STATUS: Mapping[Reason, int] = {
    **dict.fromkeys(Reason, 403),
    **dict.fromkeys(
        (
            Reason.SUBJECT_MISSING,
            Reason.SUBJECT_INVALID,
            Reason.HEADER_REPEATED,
            Reason.JSON_INVALID,
            Reason.ENCODING_NOT_ALLOWED,
        ),
        400,
    ),
    **dict.fromkeys((Reason.CREDENTIAL_MISSING, Reason.CREDENTIAL_INVALID, Reason.CREDENTIAL_EXPIRED), 401),
    **dict.fromkeys((Reason.JOB_NOT_YOURS, Reason.MEDIA_NOT_YOURS, Reason.ARTEFACT_NOT_YOURS, Reason.NOT_FOUND), 404),
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.ALREADY_EXISTS: 409,
    Reason.OUTPUT_EXPIRED: 410,
    Reason.BODY_TOO_LARGE: 413,
    Reason.MEDIA_TYPE_UNSUPPORTED: 415,
    **dict.fromkeys(
        (
            Reason.FIELD_NOT_PERMITTED,
            Reason.VALUE_NOT_ALLOWED,
            Reason.MEDIA_SOURCE_NOT_ALLOWED,
            Reason.MEDIA_NOT_CLEAN,
            Reason.BODY_INVALID,
            Reason.TIME_NOT_ALLOWED,
            Reason.DISCLOSURE_MISMATCH,
            Reason.IDEMPOTENCY_KEY_REUSED,
        ),
        422,
    ),
    Reason.INTERNAL_ERROR: 500,
    Reason.NOT_OFFERED: 501,
    **dict.fromkeys((Reason.PROVIDER_UNREACHABLE, Reason.PROVIDER_REFUSED, Reason.PROVIDER_REPLY_UNUSABLE), 502),
    **dict.fromkeys(_UNAVAILABLE, 503),
    Reason.PROVIDER_TIMEOUT: 504,
}

#: How long a caller should wait before it asks again, in seconds, where nothing was begun.
RETRY_AFTER_SECONDS = 1


class Problem(Exception):
    """A no or a fault on its way out. ``sent`` says whether the subject's data left: ``no``, ``maybe`` or ``yes``."""

    def __init__(
        self,
        reason: Reason,
        detail: str,
        *,
        paths: tuple[str, ...] = (),
        instance: UUID | None = None,
        disclosure: str | None = None,
        sent: str = "no",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
        self.paths = paths
        self.instance = instance
        self.disclosure = disclosure
        self.sent = sent
        self.headers = {**default_headers(reason), **(headers or {})}

    @property
    def status(self) -> int:
        """The HTTP status of its reason."""
        return STATUS[self.reason]


def problem_of(refusal: Refusal, *, instance: UUID | None = None, sent: bool = False) -> Problem:
    """The problem that answers a refusal; ``instance`` is its record, ``sent`` that something had left before it."""
    return Problem(
        refusal.reason,
        refusal.detail,
        paths=refusal.paths,
        instance=instance,
        disclosure=refusal.disclosure,
        sent="yes" if sent else "no",
    )


def default_headers(reason: Reason) -> dict[str, str]:
    """The headers a reason always carries."""
    headers = {"cache-control": "no-store"}
    if reason in _UNAVAILABLE:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    if STATUS[reason] == 401:  # noqa: PLR2004 - Unauthorized
        headers["www-authenticate"] = "Bearer"
    return headers


def problem_document(problem: Problem) -> dict[str, Json]:
    """The RFC 9457 document. ``detail`` begins with the slug, since some SDKs keep nothing else."""
    slug = problem.reason.value
    document: dict[str, Json] = {
        "type": f"/problems/{slug}",
        "title": slug.replace("-", " ").capitalize(),
        "status": problem.status,
        "detail": f"{slug}: {problem.detail}",
        "reason": slug,
        "sent": problem.sent,
    }
    if problem.instance is not None:
        document["instance"] = f"/v1/transfers/{problem.instance}"
        document["transfer_id"] = str(problem.instance)
    if problem.paths:
        document["paths"] = list(problem.paths)
    if problem.reason in ASKING_HELPS:
        document["must_ask"] = True
        document["disclosure"] = problem.disclosure
    return document
