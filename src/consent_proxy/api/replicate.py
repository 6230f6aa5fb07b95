"""The Replicate surface: what Replicate's official SDKs say to api.replicate.com, said to us."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from consent_proxy.api import replicate_shapes
from consent_proxy.api.problems import Problem, problem_of
from consent_proxy.api.replicate_bodies import read_prediction, wait_seconds
from consent_proxy.api.replicate_catalogue import read_catalogue
from consent_proxy.api.replicate_ids import job_id_of
from consent_proxy.api.replicate_targets import Target, target_of_deployment, target_of_model, target_of_version
from consent_proxy.api.services import Services
from consent_proxy.api.surface import (
    Request,
    SubjectRequest,
    Surface,
    job_of,
    name_subject,
    on_record,
    read_object,
    require_gateway,
    send_on,
)
from consent_proxy.api.surface_openapi import paths_below
from consent_proxy.api.surface_replies import Reply, on_our_side, transfer_headers, usable
from consent_proxy.application.follow import cancel_job, job_result
from consent_proxy.application.forward import Forwarded
from consent_proxy.application.refuse import Refused
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Answered, Job, ProviderCall

#: Where this surface begins.
PREFIX = "/replicate/"

_NOT_OFFERED = {
    "account": "the account is the operator's: it is not shown",
    "collections": "collections are not offered yet",
    "deployments": "deployments can be run, not listed or changed",
    "files": "uploads are not offered yet: send no media",
    "hardware": "the hardware list is not offered",
    "models": "models can be run and read, not listed, searched or changed",
    "predictions": "predictions can be made, read and cancelled, not listed",
    "search": "a search sends what was typed: it is not offered",
    "trainings": "trainings are not offered yet",
    "webhooks": "webhooks are not offered yet: wait for the prediction, or poll it",
}

#: Finds the model a body is about; the body is read by then.
Aim = Callable[[SubjectRequest, Mapping[str, Json]], Awaitable[Target]]


def surface() -> Surface:
    """The application behind ``PREFIX``; it finds its own way below it and answers every error itself."""
    return Surface(_Replicate)


def openapi_paths() -> dict[str, dict[str, Any]]:
    """The surface's part of the OpenAPI document."""
    return paths_below("/replicate/")


class _Replicate:
    def __init__(self, services: Services) -> None:
        self._services = services
        self.provider = services.providers["replicate"]

    async def handle(self, request: Request) -> Reply:
        match request.head.method, _parts(request.path):
            case "POST", ["predictions"]:
                return await self._create(request, aim=self._at_version, version_expected=True)
            case "POST", ["models", owner, name, "predictions"]:
                return await self._create(request, aim=self._at_model(f"{owner}/{name}"))
            case "POST", ["deployments", owner, name, "predictions"]:
                return await self._create(request, aim=self._at_deployment(f"{owner}/{name}"))
            case "GET", ["predictions", prediction_id]:
                return await self._get(request, prediction_id)
            case "POST", ["predictions", prediction_id, "cancel"]:
                return await self._cancel(request, prediction_id)
            case "GET", ["models", _, _, *_] as parts:
                require_gateway(request)
                return Reply(status=200, body=read_catalogue(parts[1:], manifests=self._services.manifests))
            case _, [first, *_] if first in _NOT_OFFERED:
                raise Problem(Reason.NOT_OFFERED, _NOT_OFFERED[first])
            case _:
                raise Problem(Reason.NOT_FOUND, "the Replicate surface is /replicate/v1/predictions and its like")

    def complain(self, problem: Problem) -> Reply:
        return Reply(
            status=problem.status,
            body=replicate_shapes.error_document(problem),
            headers=replicate_shapes.error_headers(problem),
            media_type=replicate_shapes.PROBLEM_JSON,
        )

    async def _at_version(self, asked: SubjectRequest, body: Mapping[str, Json]) -> Target:
        del asked
        return target_of_version(body.get("version"), manifests=self._services.manifests)

    def _at_model(self, model: str) -> Aim:
        async def aim(asked: SubjectRequest, body: Mapping[str, Json]) -> Target:
            del asked, body
            return target_of_model(model, manifests=self._services.manifests)

        return aim

    def _at_deployment(self, deployment: str) -> Aim:
        async def aim(asked: SubjectRequest, body: Mapping[str, Json]) -> Target:
            del body
            return await target_of_deployment(deployment, asked=asked, services=self._services)

        return aim

    async def _create(self, request: Request, *, aim: Aim, version_expected: bool = False) -> Reply:
        asked = await name_subject(request, provider=self.provider, services=self._services)
        try:
            body = await read_object(asked, services=self._services)
            read = read_prediction(body, request.head, version_expected=version_expected)
            target = await aim(asked, body)
        except Problem as problem:
            raise await on_record(problem, asked, provider=self.provider, services=self._services) from None
        call = ProviderCall(
            operation="prediction",
            version=target.version,
            deployment=target.deployment,
            wait_seconds=wait_seconds(request.head),
        )
        forwarded = await send_on(
            asked,
            manifest=target.manifest,
            payload=read.input,
            provider=self.provider,
            call=call,
            services=self._services,
            left_out=read.dropped,
        )
        return self._created(forwarded, target=target, wait=call.wait_seconds, dropped=read.dropped)

    def _created(self, forwarded: Forwarded, *, target: Target, wait: int | None, dropped: list[str]) -> Reply:
        answer = usable(forwarded.answer, transfer_id=forwarded.transfer_id)
        headers = transfer_headers(forwarded, dropped_before=dropped)
        if answer.provider_job is None:
            return self._refused_there(answer, headers)
        assert target.manifest is not None
        public_url = self._services.public_url
        headers["location"] = replicate_shapes.prediction_url(forwarded.transfer_id, public_url=public_url)
        if wait is not None:
            headers["preference-applied"] = f"wait={wait}"
        shown = replicate_shapes.prediction(
            _members(answer),
            job_id=forwarded.transfer_id,
            model=target.manifest.id,
            public_url=public_url,
            output=self._ours(_members(answer).get("output"), forwarded.capabilities),
        )
        return Reply(status=201, body=replicate_shapes.as_created(shown), headers=headers)

    async def _get(self, request: Request, prediction_id: str) -> Reply:
        job = await self._job(request, prediction_id)
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
        return self._shown(job, answer, output=self._ours(_members(answer).get("output"), followed.capabilities))

    async def _cancel(self, request: Request, prediction_id: str) -> Reply:
        job = await self._job(request, prediction_id)
        followed = await cancel_job(job, provider=self.provider, jobs=self._services.jobs, walk=self._services.walk)
        answer = usable(followed.answer, transfer_id=job.id, sent="yes")
        return self._shown(job, answer, output=None)

    async def _job(self, request: Request, prediction_id: str) -> Job:
        job_id = job_id_of(prediction_id)
        return await job_of(request, job_id, provider=self.provider, services=self._services)

    def _shown(self, job: Job, answer: Answered, *, output: Json) -> Reply:
        headers = {"consent-transfer-id": str(job.id), "cache-control": "no-store"}
        if answer.provider_job is None:
            return self._refused_there(answer, headers)
        shown = replicate_shapes.prediction(
            _members(answer),
            job_id=job.id,
            model=job.model,
            public_url=self._services.public_url,
            output=output,
        )
        return Reply(status=200, body=shown, headers=headers)

    def _refused_there(self, answer: Answered, headers: dict[str, str]) -> Reply:
        """The provider's own no about this request, which goes back to its sender."""
        return Reply(
            status=answer.http_status,
            body=self._ours(answer.body, {}),
            headers=headers | {"x-should-retry": "false"},
            media_type=replicate_shapes.PROBLEM_JSON,
        )

    def _ours(self, body: Json, capabilities: Mapping[str, str]) -> Json:
        return on_our_side(body, capabilities=capabilities, public_url=self._services.public_url)


def _parts(path: str) -> list[str]:
    """The path's parts without ``v1``, which some SDKs write, some leave out and some configurations write twice."""
    parts = path.rstrip("/").split("/")
    leading = next((at for at, part in enumerate(parts[:2]) if part != "v1"), 2)
    return parts[leading:]


def _members(answer: Answered) -> Mapping[str, Json]:
    return answer.body if isinstance(answer.body, dict) else {}
