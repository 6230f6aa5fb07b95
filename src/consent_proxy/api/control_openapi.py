"""What FastAPI cannot know of the control API: which credentials open it, the person a request names, its problems."""

from typing import Any

_TEXT = {"type": "string"}

_CREDENTIALS = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A service key (cpk_…) or a subject token (cps_…).",
    },
    "sdk": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "The same as the official SDKs send it: `Key <credential>` (fal) or `Token <credential>`.",
    },
}

_PROBLEM = {
    "title": "Problem",
    "description": "An RFC 9457 problem. `detail` begins with the slug, since some SDKs keep nothing else.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "reason", "sent"],
    "properties": {
        "type": {"type": "string", "description": "`/problems/<slug>`"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "`<slug>: …`, English, for developers."},
        "reason": {"type": "string", "description": "The slug. More of them may come."},
        "sent": {"type": "string", "enum": ["no", "maybe", "yes"], "description": "Whether the person's data left."},
        "instance": {"type": "string", "description": "The transfer's or refusal's record."},
        "transfer_id": {"type": "string", "format": "uuid"},
        "paths": {"type": "array", "items": _TEXT, "description": "The fields it is about."},
        "must_ask": {"type": "boolean", "description": "There where asking the person helps."},
        "disclosure": {"type": ["string", "null"], "description": "What to show them."},
    },
}
_PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

#: For every route: FastAPI would write its own kind of error there, which this service never answers with.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "What is wrong with the request, or why it is refused.", "content": _PROBLEM_CONTENT},
    "5XX": {"description": "Nothing was begun (503), or something broke.", "content": _PROBLEM_CONTENT},
}

_SUBJECT = (
    ("Consent-Subject", "The person, percent-encoded once; not needed with a subject token.", _TEXT),
    ("Consent-Subject-Kind", "Part of the identity.", {"type": "string", "enum": ["account", "session"]}),
)
_STAYS = (("Consent-Subject", "The identifier that stays, percent-encoded once.", _TEXT), _SUBJECT[1])
_ONCE = (("Idempotency-Key", "The same key and body again are answered as before, without effect.", _TEXT),)

#: Headers that routes read off the request's head, by operation.
_HEADERS = {
    "recordDecision": _SUBJECT + _ONCE,
    "withdrawConsent": _SUBJECT + _ONCE,
    "linkSubjects": _STAYS + _ONCE,
    **dict.fromkeys(
        (
            "getConsent",
            "listConsentEvents",
            "checkTransfer",
            "listTransfers",
            "exportTransfers",
            "holdMedium",
            "dropMedium",
        ),
        _SUBJECT,
    ),
}
_BYTES = {"type": "string", "format": "binary"}
#: Bodies that routes read piece by piece, by operation.
_BODIES = {
    "holdMedium": {
        "application/octet-stream": {"schema": _BYTES},
        "multipart/form-data": {"schema": {"type": "object", "properties": {"file": _BYTES}, "required": ["file"]}},
    }
}
#: Operations that need no credential.
_OPEN = frozenset(
    {"getHealth", "getReadiness", "getCurrentDisclosure", "getReceiptKeys", "getLogCheckpoint", "getLogKeys"}
)


def complete(document: dict[str, Any]) -> None:
    """Write credentials, people and problems into the document."""
    components = document.setdefault("components", {})
    components["securitySchemes"] = _CREDENTIALS
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    document["security"] = [{name: []} for name in _CREDENTIALS]
    for operations in document["paths"].values():
        for operation in operations.values():
            _complete(operation)


def _complete(operation: dict[str, Any]) -> None:
    name = operation["operationId"]
    for header, text, schema in _HEADERS.get(name, ()):
        told = {"name": header, "in": "header", "required": False, "description": text, "schema": schema}
        operation.setdefault("parameters", []).append(told)
    if name in _BODIES:
        operation["requestBody"] = {"required": True, "content": _BODIES[name]}
    if name in _OPEN:
        operation["security"] = []
