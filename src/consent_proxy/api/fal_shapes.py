"""Replies in fal's own shapes: a request in the queue, its status, and errors."""

from collections.abc import Mapping

from consent_proxy.api.problems import Problem, problem_document
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Job, ProviderJob

#: Where fal explains its errors; no SDK follows these.
FAL_DOCS = ("https://docs.fal.ai/", "https://fal.ai/docs/")

_STATES = frozenset({"IN_QUEUE", "IN_PROGRESS", "COMPLETED"})
_AFTER_AN_INTENT = frozenset(
    {
        Reason.PROVIDER_UNREACHABLE,
        Reason.PROVIDER_REFUSED,
        Reason.PROVIDER_REPLY_UNUSABLE,
    }
)


def submitted(body: Json, *, request_id: str, provider_job: ProviderJob, public_url: str) -> Json:
    """The reply to a submit: our id, and where to ask about it, on our side."""
    given = body if isinstance(body, dict) else {}
    return {
        "status": "IN_QUEUE",
        "request_id": request_id,
        **_urls(request_id, provider_job=provider_job, public_url=public_url),
        "queue_position": _position(given),
        "logs": None,
        "metrics": {},
    }


def status(body: Json, *, job: Job, public_url: str, logs: Json) -> dict[str, Json]:
    """The reply to a status request. SDKs break on a fourth state and on a missing ``logs``."""
    given = body if isinstance(body, dict) else {}
    state = given.get("status")
    if not isinstance(state, str) or state not in _STATES:
        state = "IN_PROGRESS"
    assert job.provider_job is not None
    shown: dict[str, Json] = {
        "status": state,
        "request_id": str(job.id),
        **_urls(str(job.id), provider_job=job.provider_job, public_url=public_url),
        "logs": logs,
        "metrics": _numbers(given.get("metrics")),
    }
    if state == "IN_QUEUE":
        shown["queue_position"] = _position(given)
    if state == "COMPLETED":
        shown |= {name: given[name] for name in ("error", "error_type") if isinstance(given.get(name), str)}
    return shown


def error_status(problem: Problem) -> int:
    """A problem's status here: once an intent exists, none on which a fal SDK sends again."""
    return 500 if problem.reason in _AFTER_AN_INTENT else problem.status


def error_document(problem: Problem) -> dict[str, Json]:
    """The problem as a JSON body that both fal SDKs show: they read ``detail``, ``message`` and ``error_type``."""
    document = problem_document(problem)
    return document | {
        "status": error_status(problem),
        "message": document["detail"],
        "error_type": problem.reason.value,
    }


def error_headers(problem: Problem, *, request_id: str) -> Mapping[str, str]:
    """The headers of an error: an id always, or an SDK takes a 5xx for its ingress's and sends again."""
    headers = {**problem.headers, "x-fal-error-type": problem.reason.value, "x-fal-request-id": request_id}
    if problem.reason is Reason.PROVIDER_TIMEOUT:
        headers["x-fal-request-timeout-type"] = "user"  # the one 504 that no fal SDK sends again on
    if problem.instance is not None:
        headers["consent-transfer-id"] = str(problem.instance)
    return headers


def _urls(request_id: str, *, provider_job: ProviderJob, public_url: str) -> dict[str, Json]:
    url = f"{public_url}/fal/queue/{provider_job.address}/requests/{request_id}"
    return {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}


def _position(given: Mapping[str, Json]) -> int:
    position = given.get("queue_position")
    return position if isinstance(position, int) and not isinstance(position, bool) and position >= 0 else 0


def _numbers(metrics: Json) -> dict[str, Json]:
    given = metrics if isinstance(metrics, dict) else {}
    return {
        name: value for name, value in given.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
