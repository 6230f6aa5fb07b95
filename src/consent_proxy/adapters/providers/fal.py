"""How fal is spoken to: run, the queue's submit, status, result and cancel, and uploads before them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

import httpx

from consent_proxy.adapters.http import Outbound, Timeouts
from consent_proxy.adapters.listed_hosts import ListedHosts
from consent_proxy.adapters.providers.fal_uploads import FalUploads
from consent_proxy.adapters.providers.outputs import open_stream, outputs_in
from consent_proxy.adapters.providers.placing import Room, place, write_body
from consent_proxy.adapters.providers.replies import Reply, ask, endpoint, provider_id
from consent_proxy.application.ports.providers import OutputStream
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.minimise import MinimisedPayload
from consent_proxy.domain.refusals import Refusal
from consent_proxy.domain.transfers import (
    Answer,
    Answered,
    Dispatch,
    Job,
    ProviderCall,
    ProviderJob,
    RecordedIntent,
    Unanswered,
)

#: fal keeps a result this long after it is done, where it may not keep the payloads (`X-Fal-Store-IO: 0`).
RESULT_KEPT = timedelta(hours=1)
#: Everything but a run is a word with the queue.
QUEUE_TIMEOUT = timedelta(seconds=60)
CONNECT_SECONDS = 10.0
#: fal's models take data URIs of up to 10 MB, which is three quarters of that in bytes. They stay in the request, of
#: which fal keeps nothing (`X-Fal-Store-IO: 0`); an upload is a public file for as long as it lives.
ROOM = Room(inline=7_000_000, upload=1_000_000_000)

#: The names that stand before owner and app in some ids.
_NAMESPACES = frozenset({"workflows", "comfy"})
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    scheme: str
    host: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> "_Origin":
        parsed = httpx.URL(url)
        return cls(scheme=parsed.scheme, host=parsed.netloc.decode("ascii"), prefix=parsed.path.rstrip("/"))


class FalProvider:
    """fal, for the recipient of the same name. Hosts come from the settings and may carry a path before the ids.

    ``output_ttl`` is how long results live at our own addresses; fal is asked to delete its copy a little later.
    ``timeout`` is the longest a run may take. fal's own retries are switched off: one transfer is one sending.
    """

    name = "fal"
    recipient = "fal"

    def __init__(
        self,
        outbound: Outbound,
        *,
        key: str | None,
        run_url: str,
        queue_url: str,
        rest_url: str,
        cdn_url: str,
        output_hosts: Iterable[str],
        output_ttl: timedelta,
        timeout: timedelta,
    ) -> None:
        self._outbound = outbound
        self._key = key
        self._origins = {"run": _Origin.of(run_url), "submit": _Origin.of(queue_url)}
        self._queue_url = queue_url.rstrip("/")
        self._hosts = ListedHosts.of(output_hosts)
        self._headers = {"authorization": f"Key {key}", "accept": "application/json"}
        self._timeouts = {"run": _timeouts(timeout), "submit": _timeouts(min(timeout, QUEUE_TIMEOUT))}
        self._switches = _switches(expires_after=output_ttl + RESULT_KEPT)
        self._uploads = FalUploads(
            outbound, key=key, rest_url=rest_url, hosts=[*output_hosts, _Origin.of(cdn_url).host]
        )

    @property
    def configured(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def draft(self, payload: MinimisedPayload, *, manifest: Manifest, call: ProviderCall) -> Dispatch | Refusal:
        """``run`` asks fal.run, ``submit`` the queue. Raises ``KeyError`` for any other operation."""
        origin = self._origins[call.operation]
        uploads = place(payload, room=ROOM)
        if isinstance(uploads, Refusal):
            return uploads
        switches = self._switches[manifest.purpose]
        return Dispatch(
            host=origin.host,
            path=f"{origin.prefix}/{manifest.id}",
            content=write_body(payload.body, payload.media, waiting=uploads),
            payload=payload,
            call=call,
            privacy_switches=switches if not uploads else {**switches, **self._uploads.switches(manifest.purpose)},
            waiting=uploads,
        )

    async def send(self, recorded: RecordedIntent, dispatch: Dispatch) -> Answer | Dispatch:
        """Upload what waits; then run a model, or put the request into its queue."""
        if dispatch.waiting:
            return await self._uploads.send(recorded, dispatch)
        call = dispatch.call
        reply = await ask(
            self._outbound,
            "POST",
            endpoint(f"{self._origins[call.operation].scheme}://{dispatch.host}{dispatch.path}{_query(call)}"),
            headers=[
                *self._headers.items(),
                ("content-type", "application/json"),
                *self._switches[recorded.intent.permit.manifest.purpose].items(),
                *_wishes(call),
            ],
            content=_content(dispatch),
            timeout=self._timeouts[call.operation],
            begin_by=recorded.begin_by,
        )
        if isinstance(reply, Unanswered):
            return reply
        if call.operation == "submit" and reply.succeeded:
            return _submitted(reply, address=queue_address(recorded.intent.permit.manifest.id))
        return self._answered(reply)

    async def status(self, job: Job, *, logs: bool) -> Answer:
        """The queue's word on a job: three states, and what the model printed if ``logs``."""
        reply = await self._ask_queue("GET", job, f"/status?logs={int(logs)}")
        return reply if isinstance(reply, Unanswered) else _plain(reply)

    async def result(self, job: Job) -> Answer:
        """The model's own status and body."""
        reply = await self._ask_queue("GET", job, "")
        return reply if isinstance(reply, Unanswered) else self._answered(reply)

    async def cancel(self, job: Job) -> Answer:
        """Ask the queue to drop a job, or signal the runner."""
        reply = await self._ask_queue("PUT", job, "/cancel")
        return reply if isinstance(reply, Unanswered) else _plain(reply)

    async def open_output(self, url: str, *, headers: Mapping[str, str]) -> OutputStream:
        """Open a file on fal's CDN, without the key. Raises ``OutputUnavailable``."""
        return await open_stream(self._outbound, url, hosts=self._hosts, headers=headers)

    async def _ask_queue(self, method: str, job: Job, tail: str) -> Reply | Unanswered:
        """Addressed by what we noted when the job was made, never by the URLs in a reply. Raises ``ValueError``."""
        if job.provider_job is None:
            raise ValueError("this job was answered at once: there is nothing to ask")
        url = f"{self._queue_url}/{job.provider_job.address}/requests/{job.provider_job.id}{tail}"
        return await ask(self._outbound, method, url, headers=self._headers, timeout=self._timeouts["submit"])

    def _answered(self, reply: Reply) -> Answered:
        return Answered(
            http_status=reply.status,
            body=reply.body,
            bytes_received=reply.size,
            provider_request_id=_request_id(reply),
            outputs=outputs_in(reply.body, hosts=self._hosts) if reply.succeeded else (),
            problem=reply.problem,
            finished=reply.succeeded and reply.status == _OK,
        )


def _content(dispatch: Dispatch) -> bytes:
    """The body, in which uploaded media stand by their addresses."""
    if not dispatch.uploaded:
        return dispatch.content
    return write_body(dispatch.payload.body, dispatch.payload.media, uploaded=dispatch.uploaded)


def queue_address(app: str) -> str:
    """Where the queue keeps an app's requests: owner and app, with the namespace if there is one."""
    parts = app.split("/")
    return "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])


def _submitted(reply: Reply, *, address: str) -> Answered:
    request_id = provider_id(reply.body.get("request_id")) if isinstance(reply.body, dict) else None
    if request_id is None:
        return reply.unusable()
    return Answered(
        http_status=reply.status,
        body=reply.body,
        bytes_received=reply.size,
        provider_request_id=request_id,
        provider_job=ProviderJob(id=request_id, address=address),
    )


def _plain(reply: Reply) -> Answered:
    if reply.problem is None and not isinstance(reply.body, dict):
        return reply.unusable()
    return Answered(
        http_status=reply.status,
        body=reply.body,
        bytes_received=reply.size,
        provider_request_id=_request_id(reply),
        problem=reply.problem,
    )


def _request_id(reply: Reply) -> str | None:
    return provider_id(reply.headers.get("x-fal-request-id"))


def _switches(*, expires_after: timedelta) -> Mapping[Purpose, Mapping[str, str]]:
    """fal's privacy headers. Payloads are not kept, fallbacks stay at the model that was named, pictures expire.

    What a training makes is the person's own and is deleted by name, not by the clock.
    """
    always = {"x-fal-store-io": "0", "x-app-fal-disable-fallback": "true", "x-fal-no-retry": "1"}
    lifecycle = {"expiration_duration_seconds": round(expires_after.total_seconds())}
    expiring = always | {"x-fal-object-lifecycle-preference": json.dumps(lifecycle, separators=(",", ":"))}
    return {Purpose.GENERATION: MappingProxyType(expiring), Purpose.TRAINING: MappingProxyType(always)}


def _wishes(call: ProviderCall) -> Iterable[tuple[str, str]]:
    priority = (call.options or {}).get("priority")
    if priority is not None and call.operation == "submit":
        yield "x-fal-queue-priority", priority
    if call.timeout_seconds is not None:
        yield "x-fal-request-timeout", str(call.timeout_seconds)


def _query(call: ProviderCall) -> str:
    longest = (call.options or {}).get("max_queue_length")
    return f"?fal_max_queue_length={longest}" if longest is not None and call.operation == "submit" else ""


def _timeouts(length: timedelta) -> Timeouts:
    seconds = length.total_seconds()
    return Timeouts(connect=CONNECT_SECONDS, read=seconds, total=seconds)
