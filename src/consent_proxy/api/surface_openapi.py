"""The provider surfaces' and files' part of the OpenAPI document, which cannot be read off lean ASGI routes."""

import re
from collections.abc import Mapping
from typing import Any

_PARAMETER = re.compile(r"\{(\w+)\}")
_TEXT = {"type": "string"}
_OBJECT = {"type": "object", "additionalProperties": True}

_ON_A_SENDING = (
    ("Consent-Subject", "The person whose data is sent; not needed with a subject token.", _TEXT),
    ("Consent-Subject-Kind", "Part of the identity.", {"type": "string", "enum": ["account", "session"]}),
    ("Consent-Purpose", "May only repeat the model's purpose.", _TEXT),
    ("Consent-Strict", "Refuse the request rather than send less.", {"type": "boolean"}),
)
_SENT_HEADERS = {
    "Consent-Transfer-Id": {"description": "The transfer's id.", "schema": {"type": "string", "format": "uuid"}},
    "Consent-Fields-Dropped": {"description": "Names of fields that stayed here.", "schema": _TEXT},
}

_FAL, _REQUEST = "/fal/queue/{app}", "/fal/queue/{app}/requests/{request_id}"
_REPLICATE, _MODEL = "/replicate/v1", "/replicate/v1/models/{owner}/{name}"

#: Path, operation id, summary, what a success is, further headers. All are POST.
_SENDINGS: tuple[tuple[str, str, str, dict[str, str], tuple[str, ...]], ...] = (
    (
        "/fal/run/{app}",
        "falRun",
        "Run a model, whose id holds slashes, and wait for its result.",
        {"200": "The model's own result, its files at our addresses."},
        ("X-Fal-Request-Timeout",),
    ),
    (
        _FAL,
        "falSubmit",
        "Put a request into a model's queue.",
        {"200": "The request's id and where to ask about it."},
        ("X-Fal-Request-Timeout", "X-Fal-Queue-Priority"),
    ),
    (
        f"{_REPLICATE}/predictions",
        "replicateCreatePrediction",
        "Create a prediction of a version.",
        {"201": "The prediction, finished where the reply was waited for long enough."},
        ("Prefer",),
    ),
    (
        f"{_MODEL}/predictions",
        "replicateCreateModelPrediction",
        "Create a prediction of a model.",
        {"201": "The prediction, finished where the reply was waited for long enough."},
        ("Prefer",),
    ),
    (
        f"{_REPLICATE}/deployments/{{owner}}/{{name}}/predictions",
        "replicateCreateDeploymentPrediction",
        "Create a prediction of a deployment.",
        {"201": "The prediction, finished where the reply was waited for long enough."},
        ("Prefer",),
    ),
)

#: Method, path, operation id, summary, what a success is.
_QUESTIONS: tuple[tuple[str, str, str, str, dict[str, str]], ...] = (
    ("get", _REQUEST, "falResult", "Read a request's result.", {"200": "The model's own result."}),
    (
        "get",
        f"{_REQUEST}/status",
        "falStatus",
        "Ask how a request is doing.",
        {"200": "It is completed.", "202": "It is queued or in progress."},
    ),
    (
        "put",
        f"{_REQUEST}/cancel",
        "falCancel",
        "Ask the provider to stop a request.",
        {"200": "It was removed from the queue.", "202": "The runner was told."},
    ),
    (
        "get",
        f"{_REPLICATE}/predictions/{{prediction_id}}",
        "replicateGetPrediction",
        "Read a prediction.",
        {"200": "The prediction."},
    ),
    (
        "post",
        f"{_REPLICATE}/predictions/{{prediction_id}}/cancel",
        "replicateCancelPrediction",
        "Ask the provider to stop a prediction.",
        {"200": "The prediction."},
    ),
    ("get", _MODEL, "replicateGetModel", "Read a model as its manifest knows it.", {"200": "The model."}),
    ("get", f"{_MODEL}/versions", "replicateListVersions", "List a model's reviewed versions.", {"200": "A page."}),
    ("get", f"{_MODEL}/versions/{{version}}", "replicateGetVersion", "Read a reviewed version.", {"200": "It."}),
)


def paths_below(root: str) -> dict[str, dict[str, Any]]:
    """Path → method → operation, for one surface. What stands under ``/replicate/v1`` is there without ``v1`` too."""
    return {path: operations for path, operations in _paths().items() if path.startswith(root)}


def _paths() -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for path, operation_id, summary, success, headers in _SENDINGS:
        paths.setdefault(path, {})["post"] = _sending(path, operation_id, summary, success=success, headers=headers)
    for method, path, operation_id, summary, success in _QUESTIONS:
        responses = {status: _reply(text) for status, text in success.items()}
        paths.setdefault(path, {})[method] = _operation(path, operation_id, summary, responses=responses)
    files = "/v1/files/{capability}"
    paths[files] = {
        "get": _reading(files, "readFile", "Read a result."),
        "head": _reading(files, "headFile", "Look at a result's size and type."),
    }
    return paths


def _operation(path: str, operation_id: str, summary: str, *, responses: Mapping[str, Any]) -> dict[str, Any]:
    names = _PARAMETER.findall(path)
    return {
        "operationId": operation_id,
        "tags": [path.split("/")[1] if not path.startswith("/v1/") else "files"],
        "summary": summary,
        "parameters": [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names],
        "responses": {
            **responses,
            "4XX": {"description": "A refusal, or the provider's own no about this request."},
            "5XX": {"description": "Nothing was begun (503), not offered (501), or the provider failed."},
        },
    }


def _sending(
    path: str, operation_id: str, summary: str, *, success: Mapping[str, str], headers: tuple[str, ...]
) -> dict[str, Any]:
    responses = {status: _reply(text) | {"headers": _SENT_HEADERS} for status, text in success.items()}
    operation = _operation(path, operation_id, summary, responses=responses)
    operation["parameters"] += [_header(name, text, schema) for name, text, schema in _ON_A_SENDING]
    operation["parameters"] += [_header(name, "As the provider has it.", _TEXT) for name in headers]
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _OBJECT}}}
    return operation


def _reading(path: str, operation_id: str, summary: str) -> dict[str, Any]:
    """A file, by a capability in its path and without a credential."""
    binary = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    responses = {
        "200": {"description": "The file.", **binary},
        "206": {"description": "A part of the file.", **binary},
        "410": {"description": "The address has expired."},
    }
    operation = _operation(path, operation_id, summary, responses=responses)
    operation["parameters"].append(_header("Range", "One range of bytes.", _TEXT))
    return operation | {"security": []}


def _header(name: str, text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": schema}


def _reply(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": _OBJECT}}}
