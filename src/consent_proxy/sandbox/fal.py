"""fal as it looks from outside: fal.run, and what all its hosts share: the key, the error bodies, the ids."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from consent_proxy.sandbox.behaviours import Behaviour, Behaviours, Conduct, Operation
from consent_proxy.sandbox.fal_models import Answer, TextToImage, input_model, run_model, unreadable
from consent_proxy.sandbox.jobs import Pace
from consent_proxy.sandbox.outputs import Outputs
from consent_proxy.sandbox.replies import json_reply
from consent_proxy.sandbox.wire import WireRequest

NAMESPACES = ("workflows", "comfy")  # these shift owner and app by one part

_UNSERVED_ENDINGS = ("stream", "realtime")


class FalDoor:
    """Who may come in: `Authorization: Key <key>` and nothing else."""

    def __init__(self, key: str) -> None:
        self._expected = f"Key {key}"

    def refusal(self, request: WireRequest) -> Response | None:
        """fal's 401, or None for the right key."""
        values = request.header_values("authorization")
        if values == [self._expected]:
            return None
        if not values:
            detail = "Authorization header is required"
        elif not values[0].startswith("Key ") or ":" not in values[0]:
            detail = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."
        else:
            detail = "invalid key credentials"
        return fal_error(401, detail)


class FalRun:
    """fal.run: the answer comes with the request."""

    def __init__(self, *, door: FalDoor, conduct: Conduct, outputs: Outputs, pace: Pace) -> None:
        self._door = door
        self._conduct = conduct
        self._outputs = outputs
        self._pace = pace

    async def answer(self, request: WireRequest) -> Response:
        """The model's own reply, or fal's error."""
        refusal = self._door.refusal(request) or unserved(request)
        if refusal is not None:
            return refusal
        app = "/".join(request.segments)

        async def right(behaviour: Behaviour | None) -> Response:
            if behaviour is Behaviour.SLOW:
                await asyncio.sleep(self._pace.slow_seconds)
            failing = behaviour is Behaviour.FAIL
            return answer_reply(run_app(app, request, fail=failing, outputs=self._outputs), request_id=new_id())

        return await self._conduct.reply(app, operation=Operation.CREATE, right=right)


async def unserved_host(request: WireRequest) -> Response:
    """Tokens, webhook keys and the platform API are not made yet."""
    return not_offered(f"{request.role} {request.path}")


def unserved(request: WireRequest) -> Response | None:
    """The reply to a run or submit that cannot be one; None when the app can be run."""
    if request.method != "POST":
        return fal_error(405, "Method Not Allowed")
    segments = request.segments
    if len(segments) < 2:  # noqa: PLR2004 - owner and app
        return fal_error(404, f"Path {request.path} not found")
    if segments[-1] in _UNSERVED_ENDINGS:
        return not_offered(segments[-1])
    if input_model("/".join(segments)) is None:
        return not_offered("an app that makes no pictures")
    return None


def run_app(app: str, request: WireRequest, *, fail: bool, outputs: Outputs) -> Answer:
    """Run the app on the request's body."""
    try:
        payload = request.json()
    except ValueError:
        return unreadable(request.body)
    model = input_model(app) or TextToImage
    return run_model(model, payload, fail=fail, publish=lambda picture: outputs.publish(picture, model=app))


def answer_reply(answer: Answer, *, request_id: str) -> Response:
    """A model's answer as HTTP."""
    headers = {"x-fal-request-id": request_id, "x-fal-billable-units": str(answer.billable_units)}
    return json_reply(answer.body, status=answer.status, headers=headers)


def fal_error(
    status: int, detail: str, *, error_type: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """fal's own errors, which have a text for `detail`."""
    body: dict[str, Any] = {"detail": detail}
    head = {"x-fal-request-id": new_id(), **(headers or {})}
    if error_type is not None:
        body["error_type"] = error_type
        head["x-fal-error-type"] = error_type
    return json_reply(body, status=status, headers=head)


def not_offered(what: str) -> Response:
    """What fal has and the sandbox does not, said plainly."""
    return fal_error(501, f"not offered by the sandbox: {what}", error_type="not_offered")


def new_id() -> str:
    """A request id as fal makes them."""
    return str(uuid.uuid4())


def fal_conduct(behaviours: Behaviours, *, elsewhere_url: str) -> Conduct:
    """fal's good and bad manners."""
    locked = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
    own = {
        Behaviour.UNAUTHORISED: fal_error(401, "invalid key credentials"),
        Behaviour.INSUFFICIENT: fal_error(403, locked),
        Behaviour.THROTTLED: fal_error(
            429,
            "Concurrent requests limit reached.",
            error_type="concurrent_requests_limit",
            headers={"x-fal-needs-retry": "1"},
        ),
        Behaviour.ERROR: fal_error(500, "Internal Server Error", error_type="internal_error"),
        Behaviour.UNAVAILABLE: fal_error(503, "No runner could be scheduled.", error_type="runner_scheduling_failure"),
    }
    return Conduct("fal", behaviours=behaviours, own=own, elsewhere_url=elsewhere_url)
