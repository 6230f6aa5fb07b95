"""The sandbox's own host, for other processes: what arrived, and how to misbehave."""

from starlette.responses import Response

from consent_proxy.sandbox.behaviours import Behaviours
from consent_proxy.sandbox.replies import json_reply
from consent_proxy.sandbox.wire import Role, Wire, WireRequest


class Control:
    """`GET` and `DELETE /_wire`, `POST` and `DELETE /_behaviours`."""

    def __init__(self, *, wire: Wire, behaviours: Behaviours) -> None:
        self._wire = wire
        self._behaviours = behaviours

    async def answer(self, request: WireRequest) -> Response:
        """The wire, newest last; 204 after a change."""
        match request.method, request.path:
            case "GET", "/_wire":
                return json_reply(self._shown())
            case "DELETE", "/_wire":
                self._wire.clear()
            case "POST", "/_behaviours":
                return self._behave(request)
            case "DELETE", "/_behaviours":
                self._behaviours.reset()
            case _:
                return json_reply({"detail": "try /_wire or /_behaviours"}, status=404)
        return Response(status_code=204)

    def _shown(self) -> dict[str, object]:
        return {
            "roles": list(Role),
            "requests": [request.as_json() for request in self._wire.requests()],
            "violations": [violation.as_json() for violation in self._wire.violations],
        }

    def _behave(self, request: WireRequest) -> Response:
        try:
            wanted = request.json()
            self._behaviours.behave(
                wanted["provider"],
                wanted["model"],
                wanted["behaviour"],
                times=wanted.get("times"),
                operation=wanted.get("operation", "create"),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return json_reply({"detail": f"not a behaviour: {error}"}, status=422)
        return Response(status_code=204)
