"""queue.fal.run: jobs that are submitted, polled, fetched and cancelled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import Response

from consent_proxy.sandbox.behaviours import Behaviour, Conduct, Operation
from consent_proxy.sandbox.fal import (
    NAMESPACES,
    FalDoor,
    answer_reply,
    fal_error,
    new_id,
    not_offered,
    run_app,
    unserved,
)
from consent_proxy.sandbox.fal_models import Answer
from consent_proxy.sandbox.jobs import Job, Pace, Stage
from consent_proxy.sandbox.outputs import Outputs
from consent_proxy.sandbox.replies import json_reply
from consent_proxy.sandbox.wire import WireRequest

_CANCELLED = Answer(
    status=499,
    body={"detail": "The request was cancelled.", "error_type": "client_cancelled"},
    billable_units=0,
)
_WORDS = {
    Stage.QUEUED: "IN_QUEUE",
    Stage.RUNNING: "IN_PROGRESS",
    Stage.DONE: "COMPLETED",  # fal has no other word for failed and cancelled jobs
    Stage.CANCELLED: "COMPLETED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePath:
    """A path of the queue: to an app, or to one of its requests."""

    app: tuple[str, ...]
    request_id: str | None = None
    action: str = ""

    @property
    def base(self) -> str:
        """`owner/app`, or `workflows/owner/app`: what a request's own URLs are made of."""
        length = 3 if self.app[:1] and self.app[0] in NAMESPACES else 2
        return "/".join(self.app[:length])


def read_path(segments: tuple[str, ...]) -> QueuePath:
    """The last `requests/{id}` decides: an app's own path may hold the word too."""
    for at in range(len(segments) - 2, 1, -1):
        if segments[at] == "requests":
            action = "/".join(segments[at + 2 :])
            return QueuePath(app=segments[:at], request_id=segments[at + 1], action=action)
    return QueuePath(app=segments)


@dataclass(slots=True, kw_only=True)
class QueuedRun(Job):
    """A submitted request; its `answer` is known at once and shown when the job is done."""

    prompt: str
    answer: Answer


class FalQueue:
    """queue.fal.run. The model runs when the job is submitted; the job only pretends to take its time."""

    def __init__(self, *, url: str, door: FalDoor, conduct: Conduct, outputs: Outputs, pace: Pace) -> None:
        self._url = url
        self._door = door
        self._conduct = conduct
        self._outputs = outputs
        self._pace = pace
        self._jobs: dict[str, QueuedRun] = {}

    async def answer(self, request: WireRequest) -> Response:
        """fal's reply to a submit, or to what is asked of a request."""
        path = read_path(request.segments)
        refusal = self._door.refusal(request)
        if refusal is not None:
            return refusal
        if path.request_id is None:
            return unserved(request) or await self._submit(request, path=path)
        job = self._jobs.get(path.request_id)
        if job is None or QueuePath(app=tuple(job.model.split("/"))).base != path.base:
            return json_reply({"status": "NOT_FOUND"}, status=404, headers={"x-fal-request-id": new_id()})
        return await self._ask(request, path=path, job=job)

    async def _ask(self, request: WireRequest, *, path: QueuePath, job: QueuedRun) -> Response:
        reply: Callable[[QueuedRun, WireRequest], Response]
        match request.method, path.action:
            case "GET", "status":
                operation, reply = Operation.STATUS, self._status
            case "GET", "" | "response":
                operation, reply = Operation.RESULT, _result
            case "PUT", "cancel":
                operation, reply = Operation.CANCEL, _cancel
            case _, "status/stream":
                return not_offered("status/stream")
            case _, "" | "response" | "status" | "cancel":
                return fal_error(405, "Method Not Allowed")
            case _:
                return fal_error(404, f"Path {request.path} not found")

        async def right(_: Behaviour | None) -> Response:
            return reply(job, request)

        return await self._conduct.reply(job.model, operation=operation, right=right)

    async def _submit(self, request: WireRequest, *, path: QueuePath) -> Response:
        app = "/".join(path.app)

        async def right(behaviour: Behaviour | None) -> Response:
            slow = behaviour is Behaviour.SLOW
            job = QueuedRun(
                id=new_id(),
                model=app,
                seconds=self._pace.slow_seconds if slow else self._pace.seconds,
                patient=slow,
                prompt=_prompt(request),
                # A wrong input is found by the model, so it shows in the result and not here.
                answer=run_app(app, request, fail=behaviour is Behaviour.FAIL, outputs=self._outputs),
            )
            self._jobs[job.id] = job
            return self._view(job, stage=Stage.QUEUED, status=200)

        return await self._conduct.reply(app, operation=Operation.CREATE, right=right)

    def _status(self, job: QueuedRun, request: WireRequest) -> Response:
        stage = job.poll()
        with_logs = parse_qs(request.query).get("logs", [""])[-1] in ("1", "true")
        return self._view(job, stage=stage, status=200 if stage.final else 202, with_logs=with_logs)

    def _view(self, job: QueuedRun, *, stage: Stage, status: int, with_logs: bool = False) -> Response:
        url = f"{self._url}/{QueuePath(app=tuple(job.model.split('/'))).base}/requests/{job.id}"
        body: dict[str, Any] = {
            "status": _WORDS[stage],
            "request_id": job.id,
            "response_url": url,
            "status_url": f"{url}/status",
            "cancel_url": f"{url}/cancel",
            "logs": _logs(job, stage=stage) if with_logs else None,
            "metrics": {},
        }
        match stage:
            case Stage.QUEUED:
                body["queue_position"] = 0
            case Stage.RUNNING:
                pass
            case Stage.DONE:
                body["metrics"] = {"inference_time": round(min(job.age, job.seconds), 3)}
                body |= _fault(job.answer)
            case Stage.CANCELLED:
                body |= _fault(_CANCELLED)
        return json_reply(body, status=status, headers={"x-fal-request-id": job.id})


def _result(job: QueuedRun, _: WireRequest) -> Response:
    match job.stage:
        case Stage.QUEUED | Stage.RUNNING:
            # Not documented by fal; this is what integrators report.
            return fal_error(400, "Request is still in progress", headers={"x-fal-request-id": job.id})
        case Stage.CANCELLED:
            return answer_reply(_CANCELLED, request_id=job.id)
        case Stage.DONE:
            return answer_reply(job.answer, request_id=job.id)


def _cancel(job: QueuedRun, _: WireRequest) -> Response:
    status, word = (202, "CANCELLATION_REQUESTED") if job.cancel() else (400, "ALREADY_COMPLETED")
    return json_reply({"status": word}, status=status, headers={"x-fal-request-id": job.id})


def _logs(job: QueuedRun, *, stage: Stage) -> list[dict[str, Any]]:
    """What the model printed. Real models print their input, so this one does too."""
    if stage is Stage.QUEUED:
        return []
    lines = [f"INFO: prompt: {job.prompt}", "100%|##########| 28/28"]
    stamp = job.created_at.replace(tzinfo=None).isoformat()
    return [{"timestamp": stamp, "message": line, "level": "INFO", "labels": {}} for line in lines]


def _prompt(request: WireRequest) -> str:
    try:
        payload = request.json()
    except ValueError:
        return ""
    return str(payload.get("prompt", "")) if isinstance(payload, dict) else ""


def _fault(answer: Answer) -> dict[str, str]:
    """What a status says of a job that went wrong; nothing of one that went well."""
    if answer.status < 400:  # noqa: PLR2004
        return {}
    detail = answer.body["detail"]
    kind = answer.body.get("error_type") or detail[0]["type"]
    return {"error": f"Invalid status code: {answer.status}", "error_type": kind}
