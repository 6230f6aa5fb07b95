"""Replies in Replicate's own shapes: a prediction, and errors."""

from collections.abc import Mapping
from uuid import UUID

from consent_proxy.api.problems import Problem, problem_document
from consent_proxy.api.replicate_ids import replicate_id
from consent_proxy.api.surface_replies import on_our_side
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason

PROBLEM_JSON = "application/problem+json"

_STATUSES = frozenset({"starting", "processing", "succeeded", "failed", "canceled"})
_TIMES = ("created_at", "started_at", "completed_at", "deadline")
_NOTHING_BEGUN = frozenset({Reason.LEDGER_UNAVAILABLE, Reason.OVERLOADED})


def prediction_url(job_id: UUID, *, public_url: str) -> str:
    """Where a prediction is read."""
    return f"{public_url}/replicate/v1/predictions/{replicate_id(job_id)}"


def prediction(
    given: Mapping[str, Json], *, job_id: UUID, model: str, public_url: str, output: Json
) -> dict[str, Json]:
    """A prediction under our id and with our addresses; ``output`` is already on our side.

    The input is the provider's echo of what was sent, so a caller sees what was dropped; an upload's address at the
    provider is none of theirs. There is no stream and no
    page to look at, and no webhook was passed on.
    """
    url, echo = prediction_url(job_id, public_url=public_url), given.get("input")
    shown: dict[str, Json] = {
        "id": replicate_id(job_id),
        "model": given["model"] if isinstance(given.get("model"), str) else model,
        "version": _text(given.get("version")),
        "input": on_our_side(echo, capabilities={}, public_url=public_url) if isinstance(echo, dict) else {},
        "output": output,
        "logs": _text(given.get("logs")) or "",
        "error": _text(given.get("error")),
        "status": _status(given.get("status")),
        "data_removed": given.get("data_removed") is True,
        "source": "api",
        "urls": {"get": url, "cancel": f"{url}/cancel"},
        "metrics": _numbers(given.get("metrics")),
    }
    shown |= {name: _text(given[name]) for name in _TIMES if name in given}
    if isinstance(given.get("deployment"), str):
        shown["deployment"] = given["deployment"]
    return shown


def as_created(shown: dict[str, Json]) -> dict[str, Json]:
    """The same as a create's reply: SDKs take ``processing`` there for a finished one, whose output they then read."""
    unfinished = shown["status"] == "processing" and shown["output"] is None
    return shown | {"status": "starting"} if unfinished else shown


def error_document(problem: Problem) -> dict[str, Json]:
    """The RFC 9457 document, which is Replicate's own kind of error."""
    return problem_document(problem)


def error_headers(problem: Problem) -> dict[str, str]:
    """The headers of an error; only where nothing was begun may an SDK send again by itself."""
    headers = dict(problem.headers)
    if problem.reason not in _NOTHING_BEGUN:
        headers["x-should-retry"] = "false"
    if problem.instance is not None:
        headers["consent-transfer-id"] = str(problem.instance)
    return headers


def _status(given: Json) -> str:
    if given == "aborted":  # stopped before it began; official SDKs wait for ever on this word
        return "canceled"
    return given if isinstance(given, str) and given in _STATUSES else "processing"


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _numbers(metrics: Json) -> dict[str, Json]:
    given = metrics if isinstance(metrics, dict) else {}
    return {
        name: value for name, value in given.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
