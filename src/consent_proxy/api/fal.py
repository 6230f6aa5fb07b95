"""The fal surface: what fal's official SDKs say to fal.run and queue.fal.run, said to us."""

from collections.abc import Mapping
from typing import Any

from consent_proxy.api import fal_shapes
from consent_proxy.api.fal_paths import QueuePath, read_call, read_queue_path, wants_logs
from consent_proxy.api.problems import Problem, problem_of
from consent_proxy.api.services import Services
from consent_proxy.api.surface import (
    Request,
    Surface,
    job_of,
    name_subject,
    not_yours,
    on_record,
    read_object,
    send_on,
    stated_purpose,
)
from consent_proxy.api.surface_openapi import paths_below
from consent_proxy.api.surface_replies import Reply, on_our_side, transfer_headers, usable
from consent_proxy.application.follow import cancel_job, job_result, job_status
from consent_proxy.application.forward import Forwarded
from consent_proxy.application.refuse import Refused
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Job

_STREAM_ENDINGS = ("/stream", "/realtime")
#: Where this surface begins.
PREFIX = "/fal/"

_NOT_OFFERED = {
    "rest": "uploads and tokens are not offered yet: send no media, and use this service's credential as it is",
    "cdn": "uploads are not offered yet: send no media",
    "proxy": "fal's proxy protocol is not offered yet: use /fal/run and /fal/queue",
    "webhooks": "webhooks are not offered yet: poll the request's status",
}


def surface() -> Surface:
    """The application behind ``PREFIX``; it finds its own way below it and answers every error itself."""
    return Surface(_Fal)


def openapi_paths() -> dict[str, dict[str, Any]]:
    """The surface's part of the OpenAPI document."""
    return paths_below("/fal/")


class _Fal:
    def __init__(self, services: Services) -> None:
        self._services = services
        self.provider = services.providers["fal"]

    async def handle(self, request: Request) -> Reply:
        match request.path.rstrip("/").split("/"):
            case ["run", *app]:
                return await self._run(request, app="/".join(app))
            case ["queue", *parts]:
                path = read_queue_path(parts)
                if path.request_id is None:
                    return await self._submit(request, app=path.app)
                return await self._follow(request, path)
            case [door, *_] if door in _NOT_OFFERED:
                raise Problem(Reason.NOT_OFFERED, _NOT_OFFERED[door])
            case _:
                raise Problem(Reason.NOT_FOUND, "the fal surface is /fal/run/{app} and /fal/queue/{app}")

    def complain(self, problem: Problem) -> Reply:
        request_id = str(problem.instance or self._services.ids.new_id())
        return Reply(
            status=fal_shapes.error_status(problem),
            body=fal_shapes.error_document(problem),
            headers=fal_shapes.error_headers(problem, request_id=request_id),
        )

    async def _run(self, request: Request, *, app: str) -> Reply:
        forwarded = await self._send(request, app=app, operation="run")
        return self._model_reply(forwarded)

    async def _submit(self, request: Request, *, app: str) -> Reply:
        forwarded = await self._send(request, app=app, operation="submit")
        answer = usable(forwarded.answer, transfer_id=forwarded.transfer_id)
        if answer.provider_job is None:
            return self._model_reply(forwarded)
        request_id = str(forwarded.transfer_id)
        body = fal_shapes.submitted(
            answer.body,
            request_id=request_id,
            provider_job=answer.provider_job,
            public_url=self._services.public_url,
        )
        return Reply(status=200, body=body, headers=transfer_headers(forwarded) | {"x-fal-request-id": request_id})

    async def _send(self, request: Request, *, app: str, operation: str) -> Forwarded:
        asked = await name_subject(request, provider=self.provider, services=self._services)
        manifest = self._manifest(request, app)
        try:
            _check_method(request, app=app, known=manifest is not None)
            call = read_call(request.head, operation=operation)
            payload = await read_object(asked, services=self._services)
        except Problem as problem:
            raise await on_record(
                problem, asked, provider=self.provider, services=self._services, manifest=manifest
            ) from None
        return await send_on(
            asked, manifest=manifest, payload=payload, provider=self.provider, call=call, services=self._services
        )

    def _manifest(self, request: Request, app: str) -> Manifest | None:
        manifests = self._services.manifests
        purpose = stated_purpose(request.head)
        return manifests.find("fal", app, purpose=purpose) or manifests.find("fal", app)

    def _model_reply(self, forwarded: Forwarded) -> Reply:
        answer = usable(forwarded.answer, transfer_id=forwarded.transfer_id)
        return Reply(
            status=answer.http_status,
            body=self._ours(answer.body, forwarded.capabilities),
            headers=transfer_headers(forwarded) | {"x-fal-request-id": str(forwarded.transfer_id)},
        )

    async def _follow(self, request: Request, path: QueuePath) -> Reply:
        job = await job_of(request, path.job_id, provider=self.provider, services=self._services)
        assert job.provider_job is not None
        if path.app not in {job.provider_job.address, job.model}:
            raise not_yours()
        match request.head.method, path.action:
            case "GET", "status":
                return await self._status(request, job)
            case "GET", "" | "response":
                return await self._result(request, job)
            case "PUT", "cancel":
                return await self._cancel(job)
            case "GET", "status/stream":
                raise Problem(Reason.NOT_OFFERED, "the status stream is not offered yet: poll /status instead")
            case _, "" | "response" | "status" | "cancel" | "status/stream":
                raise Problem(Reason.METHOD_NOT_ALLOWED, "read status and result with GET, cancel with PUT")
            case _:
                raise Problem(Reason.NOT_FOUND, "a request has /status, /response and /cancel")

    async def _status(self, request: Request, job: Job) -> Reply:
        logs = wants_logs(request.head)
        followed = await job_status(job, provider=self.provider, logs=logs)
        answer = usable(followed.answer, transfer_id=job.id, sent="yes")
        if answer.http_status >= 400:  # noqa: PLR2004 - the provider's no goes back as it is
            return self._job_reply(job, status=answer.http_status, body=self._ours(answer.body, {}))
        lines = answer.body.get("logs") if logs and isinstance(answer.body, dict) else None
        body = fal_shapes.status(
            answer.body,
            job=job,
            public_url=self._services.public_url,
            logs=self._ours(lines, {}) if isinstance(lines, list) else None,
        )
        return self._job_reply(job, status=200 if body["status"] == "COMPLETED" else 202, body=body)

    async def _result(self, request: Request, job: Job) -> Reply:
        followed = await job_result(
            job,
            credential=request.credential,
            provider=self.provider,
            jobs=self._services.jobs,
            walk=self._services.walk,
            late_results=self._services.late_results,
        )
        if isinstance(followed, Refused):
            raise problem_of(followed.refusal, instance=followed.record_id)
        answer = usable(followed.answer, transfer_id=job.id, sent="yes")
        return self._job_reply(job, status=answer.http_status, body=self._ours(answer.body, followed.capabilities))

    async def _cancel(self, job: Job) -> Reply:
        followed = await cancel_job(job, provider=self.provider, jobs=self._services.jobs, walk=self._services.walk)
        answer = usable(followed.answer, transfer_id=job.id, sent="yes")
        return self._job_reply(job, status=answer.http_status, body=self._ours(answer.body, {}))

    def _job_reply(self, job: Job, *, status: int, body: Json) -> Reply:
        headers = {
            "x-fal-request-id": str(job.id),
            "consent-transfer-id": str(job.id),
            "cache-control": "no-store",
        }
        return Reply(status=status, body=body, headers=headers)

    def _ours(self, body: Json, capabilities: Mapping[str, str]) -> Json:
        return on_our_side(
            body, capabilities=capabilities, public_url=self._services.public_url, kept=fal_shapes.FAL_DOCS
        )


def _check_method(request: Request, *, app: str, known: bool) -> None:
    """Raises ``Problem`` for what fal offers and this service does not, yet."""
    if not known and app.endswith(_STREAM_ENDINGS):
        raise Problem(Reason.NOT_OFFERED, "streams are not offered yet: run the model, or submit and poll")
    if request.head.method == "GET":
        raise Problem(Reason.NOT_OFFERED, "a GET carries its input in the URL: send it as the body of a POST instead")
    if request.head.method != "POST":
        raise Problem(Reason.METHOD_NOT_ALLOWED, "run and submit with POST")
