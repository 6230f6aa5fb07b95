"""api.replicate.com as it looks from outside: predictions by version, model and deployment, and the catalogue."""

import asyncio
import re
import secrets
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from consent_proxy.sandbox.behaviours import Behaviour, Conduct, Operation
from consent_proxy.sandbox.jobs import Pace
from consent_proxy.sandbox.outputs import Outputs
from consent_proxy.sandbox.replicate_errors import (
    ECHOED,
    invalid,
    not_found,
    not_offered,
    problem,
    refusal_of,
)
from consent_proxy.sandbox.replicate_files import ReplicateFiles
from consent_proxy.sandbox.replicate_models import Catalogue, HostedModel, pictures_for
from consent_proxy.sandbox.replicate_predictions import Hosts, Prediction, new_id
from consent_proxy.sandbox.replies import json_reply
from consent_proxy.sandbox.wire import WireRequest

_PREFER = re.compile(r"wait(?:=(\d{1,3}))?")
_LONGEST_WAIT = 60
_CREATES_LEFT, _READS_LEFT = "599", "2999"
_INVALID_VERSION = "The specified version does not exist (or perhaps you don't have permission to use it?)"


class ReplicateApi:
    """Replicate's API under `/v1`. The model runs at creation; the prediction only pretends to take its time."""

    def __init__(
        self,
        *,
        token: str,
        hosts: Hosts,
        conduct: Conduct,
        outputs: Outputs,
        files: ReplicateFiles,
        pace: Pace,
        catalogue: Catalogue,
    ) -> None:
        self._accepted = (f"Bearer {token}", f"Token {token}")
        self._hosts = hosts
        self._conduct = conduct
        self._outputs = outputs
        self._files = files
        self._pace = pace
        self._catalogue = catalogue
        self._predictions: dict[str, Prediction] = {}

    def purge(self) -> None:
        """Let the hour pass after which a finished prediction keeps its metadata only."""
        for prediction in self._predictions.values():
            if prediction.over:
                prediction.purged = True
                for url in prediction.files:
                    self._outputs.remove(url)

    async def answer(self, request: WireRequest) -> Response:
        """The API's reply."""
        response = self._unauthenticated(request) or await self._route(request)
        left = _CREATES_LEFT if request.method == "POST" else _READS_LEFT
        response.headers.setdefault("ratelimit-remaining", left)
        response.headers.setdefault("ratelimit-reset", "1")
        return response

    def _unauthenticated(self, request: WireRequest) -> Response | None:
        values = request.header_values("authorization")
        if len(values) == 1 and values[0] in self._accepted:
            return None
        what = "a valid authentication token" if values else "an authentication token"
        return problem(401, f"You did not pass {what}", title="Unauthenticated")

    async def _route(self, request: WireRequest) -> Response:
        if request.segments[:1] != ("v1",):
            return not_found()
        match request.method, *request.segments[1:]:
            case "POST", "predictions":
                return await self._create_by_version(request)
            case "POST", "models", owner, name, "predictions":
                return await self._create_by_name(request, self._catalogue.model(f"{owner}/{name}"))
            case "POST", "deployments", owner, name, "predictions":
                return await self._create_by_deployment(request, f"{owner}/{name}")
            case "GET", "predictions", prediction_id:
                return await self._get(prediction_id)
            case "POST", "predictions", prediction_id, "cancel":
                return await self._cancel(prediction_id)
            case "GET", ("models" | "deployments"), *_:
                return self._read_catalogue(request.segments[1:])
            case _, "files", *_:
                return await self._files.answer(request)
            case _, ("account" | "collections" | "hardware" | "search" | "trainings" | "webhooks"), *_:
                return not_offered(request.path)
            case _, ("predictions" | "models" | "deployments"), *_:
                return not_offered(f"{request.method} {request.path}")
            case _:
                return not_found()

    def _read_catalogue(self, segments: tuple[str, ...]) -> Response:
        match segments:
            case "models", owner, name:
                return json_reply(self._catalogue.model(f"{owner}/{name}").as_json())
            case "models", owner, name, "versions":
                model = self._catalogue.model(f"{owner}/{name}")
                versions = [model.version_json(model.latest_version)]
                return json_reply({"next": None, "previous": None, "results": versions})
            case "models", owner, name, "versions", version:
                found = self._catalogue.resolve(f"{owner}/{name}:{version}")
                return not_found() if found is None else json_reply(found[0].version_json(found[1]))
            case "deployments", owner, name:
                deployed = self._catalogue.deployment(f"{owner}/{name}")
                return not_found() if deployed is None else json_reply(deployed.deployment_json(owner, name))
            case _:
                return not_offered("/".join(segments))

    async def _create_by_version(self, request: WireRequest) -> Response:
        body = _object(request)
        reference = body.get("version")
        found = self._catalogue.resolve(reference) if isinstance(reference, str) else None
        if reference is None:
            missing = {"type": "required", "field": "(root)", "description": "version is required"}
            return invalid([missing])
        if found is None:
            return problem(422, _INVALID_VERSION, title="Invalid version or not permitted")
        model, version = found
        return await self._create(request, body, model=model, version=version)

    async def _create_by_name(self, request: WireRequest, model: HostedModel) -> Response:
        if not model.official:
            return not_found()
        # OpenAPI: the version of an official model is hidden.
        return await self._create(request, _object(request), model=model, version="hidden")

    async def _create_by_deployment(self, request: WireRequest, deployment: str) -> Response:
        model = self._catalogue.deployment(deployment)
        if model is None:
            return not_found()
        echoed = {"deployment": deployment}
        return await self._create(request, _object(request), model=model, version=model.latest_version, echoed=echoed)

    async def _create(
        self,
        request: WireRequest,
        body: Mapping[str, Any],
        *,
        model: HostedModel,
        version: str,
        echoed: Mapping[str, Any] | None = None,
    ) -> Response:
        async def right(behaviour: Behaviour | None) -> Response:
            refusal = refusal_of(body, model=model)
            if refusal is not None:
                return refusal
            written_back = {**(echoed or {}), **{key: body[key] for key in ECHOED if key in body}}
            prediction = self._start(body["input"], model=model, version=version, behaviour=behaviour)
            prediction.echoed = written_back
            self._predictions[prediction.id] = prediction
            return await self._first_reply(prediction, prefer=request.header("prefer"))

        return await self._conduct.reply(model.slug, operation=Operation.CREATE, right=right)

    def _start(
        self, given: dict[str, Any], *, model: HostedModel, version: str, behaviour: Behaviour | None
    ) -> Prediction:
        slow, failing = behaviour is Behaviour.SLOW, behaviour is Behaviour.FAIL
        seed = given.get("seed", secrets.randbelow(2**16))
        pictures = [] if failing else pictures_for(model, given, seed=seed)
        urls = [self._outputs.publish(picture, model=model.slug) for picture in pictures]
        output = urls[0] if urls and model.one_picture else urls
        return Prediction(
            id=new_id(),
            model=model.slug,
            version=version,
            input=given,
            seed=seed,
            output=None if failing else output,
            error=f"The model gave up on: {given['prompt']}" if failing else None,
            seconds=self._pace.slow_seconds if slow else self._pace.seconds,
            patient=slow,
        )

    async def _first_reply(self, prediction: Prediction, *, prefer: str | None) -> Response:
        headers = {"location": f"{self._hosts.api_url}/predictions/{prediction.id}"}
        wait = _PREFER.fullmatch(prefer or "")
        if wait is None:
            return json_reply(prediction.as_created(self._hosts), status=201, headers=headers)
        headers["preference-applied"] = wait.group()
        seconds = min(int(wait.group(1) or _LONGEST_WAIT), _LONGEST_WAIT)
        await _wait(prediction, seconds=seconds)
        if prediction.over:
            return json_reply(prediction.as_waited_for(self._hosts), status=201, headers=headers)
        return json_reply(prediction.as_created(self._hosts), status=202, headers=headers)

    async def _get(self, prediction_id: str) -> Response:
        prediction = self._predictions.get(prediction_id)
        if prediction is None:
            return not_found()

        async def right(_: Behaviour | None) -> Response:
            prediction.poll()
            return json_reply(prediction.as_json(self._hosts))

        return await self._conduct.reply(prediction.model, operation=Operation.STATUS, right=right)

    async def _cancel(self, prediction_id: str) -> Response:
        prediction = self._predictions.get(prediction_id)
        if prediction is None:
            return not_found()

        async def right(_: Behaviour | None) -> Response:
            prediction.cancel()
            return json_reply(prediction.as_json(self._hosts))

        return await self._conduct.reply(prediction.model, operation=Operation.CANCEL, right=right)


async def stream(request: WireRequest) -> Response:
    """The stream host: not made yet."""
    return not_offered(f"{request.role} {request.path}")


async def _wait(prediction: Prediction, *, seconds: float) -> None:
    left = min(prediction.seconds, seconds) - prediction.age
    await asyncio.sleep(max(0.0, left) + 0.001)  # a timer may be early by less than that


def _object(request: WireRequest) -> dict[str, Any]:
    """The body as a JSON object; an empty one when it is none, which then lacks what is required."""
    try:
        body = request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
