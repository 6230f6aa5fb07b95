"""Replicate's error replies, and which requests earn them."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from consent_proxy.sandbox.behaviours import Behaviour, Behaviours, Conduct
from consent_proxy.sandbox.replicate_models import HostedModel, input_problems
from consent_proxy.sandbox.replies import json_reply

ECHOED = ("webhook", "webhook_events_filter", "stream")  # what a prediction shows as it was given

_TOP_LEVEL = frozenset({"version", "input", "webhook_completed", *ECHOED})


def refusal_of(body: Mapping[str, Any], *, model: HostedModel) -> Response | None:
    """The reply to a body that cannot become a prediction; None when it can."""
    unknown = [
        {
            "type": "additional_property_not_allowed",
            "field": "(root)",
            "description": f"Additional property {key} is not allowed",
        }
        for key in body
        if key not in _TOP_LEVEL
    ]
    if "input" not in body:
        unknown.append({"type": "required", "field": "(root)", "description": "input is required"})
    problems = unknown or input_problems(body["input"])
    if problems:
        return invalid(problems)
    return None if model.makes_pictures else not_offered(f"{model.slug}, which makes no pictures")


def invalid(problems: list[dict[str, str]]) -> Response:
    """The 422 that lists what is wrong."""
    detail = "".join(f"- {found['field']}: {found['description']}\n" for found in problems)
    return problem(422, detail, title="Input validation failed", invalid_fields=problems)


def problem(status: int, detail: str, *, title: str | None = None, **more: Any) -> Response:
    """An error as the API writes it (RFC 7807)."""
    body = {"detail": detail, "status": status, **more}
    if title is not None:
        body = {"title": title, **body}
    return json_reply(body, status=status, media_type="application/problem+json")


def not_found() -> Response:
    """The API's 404."""
    return problem(404, "The requested resource could not be found.")


def not_offered(what: str) -> Response:
    """What Replicate has and the sandbox does not, said plainly."""
    return problem(501, f"not offered by the sandbox: {what}", title="Not offered")


def replicate_conduct(behaviours: Behaviours, *, elsewhere_url: str) -> Conduct:
    """Replicate's good and bad manners."""
    credit = (
        "You have insufficient credit to run this model. "
        "Go to https://replicate.com/account/billing#billing to purchase credit."
    )
    throttled = problem(429, "Request was throttled. Your rate limit resets in ~30s.", title="Request was throttled")
    throttled.headers["ratelimit-remaining"] = "0"
    throttled.headers["ratelimit-reset"] = "30"
    own = {
        Behaviour.UNAUTHORISED: problem(401, "You did not pass a valid authentication token", title="Unauthenticated"),
        Behaviour.INSUFFICIENT: problem(402, credit, title="Insufficient credit"),
        Behaviour.THROTTLED: throttled,
        Behaviour.ERROR: problem(500, "An internal error occurred.", title="Internal server error"),
        Behaviour.UNAVAILABLE: problem(503, "Service is temporarily unavailable.", title="Service unavailable"),
    }
    return Conduct("replicate", behaviours=behaviours, own=own, elsewhere_url=elsewhere_url)
