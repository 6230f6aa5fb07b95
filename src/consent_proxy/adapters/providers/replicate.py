"""How Replicate is spoken to: predictions by version, model and deployment, and which model a deployment runs."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

import httpx

from consent_proxy.adapters.http import Outbound, Timeouts
from consent_proxy.adapters.listed_hosts import ListedHosts
from consent_proxy.adapters.providers.outputs import open_stream, outputs_in
from consent_proxy.adapters.providers.placing import Room, place, write_body
from consent_proxy.adapters.providers.replicate_files import ReplicateFiles
from consent_proxy.adapters.providers.replies import Reply, ask, endpoint, provider_id
from consent_proxy.application.ports.providers import OutputStream
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.minimise import MinimisedPayload
from consent_proxy.domain.payloads import Json
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
    Upload,
)

#: The longest a create may be held. SDKs give up at 60 s, and some then send again.
LONGEST_WAIT = 50
#: A prediction that is not done by then is stopped. Replicate's own limit on a run's length.
CANCEL_AFTER = "30m"
REPLY_TIMEOUT = timedelta(seconds=60)
CONNECT_SECONDS = 10.0
#: Replicate wants what is larger than this uploaded, and stores nothing of a data URI. It takes no file of 100 MB.
ROOM = Room(inline=256_000, upload=99_999_999)

DEPLOYMENTS_REMEMBERED = 256
DEPLOYMENT_REMEMBERED_SECONDS = 60.0

_FINAL = frozenset({"succeeded", "failed", "canceled", "aborted"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"[0-9a-f]{64}")
_OK = 200


class ReplicateProvider:
    """Replicate, for the recipient of the same name. ``api_url`` comes from the settings and ends in ``/v1``.

    ``timeout`` is the longest a reply may take beyond the wait that was asked for.
    """

    name = "replicate"
    recipient = "replicate"

    def __init__(
        self, outbound: Outbound, *, token: str | None, api_url: str, delivery_hosts: Iterable[str], timeout: timedelta
    ) -> None:
        parsed = httpx.URL(api_url)
        self._outbound = outbound
        self._token = token
        self._api_url = api_url.rstrip("/")
        self._scheme, self._host = parsed.scheme, parsed.netloc.decode("ascii")
        self._prefix = parsed.path.rstrip("/")
        self._hosts = ListedHosts.of(delivery_hosts)
        self._headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        self._timeout = timeout
        self._files = ReplicateFiles(outbound, token=token, api_url=self._api_url)
        self._switches = MappingProxyType({"cancel-after": CANCEL_AFTER})

    @property
    def configured(self) -> bool:
        """Whether there is a token."""
        return self._token is not None

    def draft(self, payload: MinimisedPayload, *, manifest: Manifest, call: ProviderCall) -> Dispatch | Refusal:
        """A prediction of the deployment or the version that ``call`` names, else of the model by its name."""
        uploads = place(payload, room=ROOM)
        if isinstance(uploads, Refusal):
            return uploads
        if call.deployment is not None:
            path = f"/deployments/{call.deployment}/predictions"
        elif call.version is not None:
            path = "/predictions"
        else:
            path = f"/models/{manifest.id}/predictions"
        return Dispatch(
            host=self._host,
            path=self._prefix + path,
            content=_content(payload, manifest, call, waiting=uploads),
            payload=payload,
            call=call,
            privacy_switches=self._switches,
            waiting=uploads,
        )

    async def send(self, recorded: RecordedIntent, dispatch: Dispatch) -> Answer | Dispatch:
        """Upload what waits; then create the prediction, its reply held for as long as the call says."""
        if dispatch.waiting:
            return await self._files.send(recorded, dispatch)
        content = dispatch.content
        if dispatch.uploaded:
            manifest = recorded.intent.permit.manifest
            content = _content(dispatch.payload, manifest, dispatch.call, uploaded=dispatch.uploaded)
        wait = min(dispatch.call.wait_seconds or 0, LONGEST_WAIT)
        reply = await ask(
            self._outbound,
            "POST",
            endpoint(f"{self._scheme}://{dispatch.host}{dispatch.path}"),
            headers=[
                *self._headers.items(),
                ("content-type", "application/json"),
                *dispatch.privacy_switches.items(),
                *([("prefer", f"wait={wait}")] if wait else []),
            ],
            content=content,
            timeout=_timeouts(min(self._timeout, REPLY_TIMEOUT) + timedelta(seconds=wait)),
            begin_by=recorded.begin_by,
        )
        if isinstance(reply, Unanswered):
            return reply
        return self._prediction(reply, created=True)

    async def status(self, job: Job, *, logs: bool) -> Answer:
        """The prediction; Replicate has one word for status and result."""
        del logs
        return await self.result(job)

    async def result(self, job: Job) -> Answer:
        """The prediction as it stands, with its output if there is one."""
        return await self._ask("GET", job, "")

    async def cancel(self, job: Job) -> Answer:
        """Ask Replicate to stop a prediction; the answer is the prediction."""
        return await self._ask("POST", job, "/cancel")

    async def open_output(self, url: str, *, headers: Mapping[str, str]) -> OutputStream:
        """Open a file on the delivery host, without the token. Raises ``OutputUnavailable``."""
        return await open_stream(self._outbound, url, hosts=self._hosts, headers=headers)

    async def _ask(self, method: str, job: Job, tail: str) -> Answer:
        """Addressed by the id alone, never by the URLs in a reply. Raises ``ValueError``."""
        if job.provider_job is None:
            raise ValueError("this job was answered at once: there is nothing to ask")
        url = f"{self._api_url}/predictions/{job.provider_job.id}{tail}"
        timeout = _timeouts(min(self._timeout, REPLY_TIMEOUT))
        reply = await ask(self._outbound, method, url, headers=self._headers, timeout=timeout)
        return reply if isinstance(reply, Unanswered) else self._prediction(reply, created=False)

    def _prediction(self, reply: Reply, *, created: bool) -> Answered:
        if not reply.succeeded:
            return Answered(http_status=reply.status, body=reply.body, bytes_received=reply.size, problem=reply.problem)
        body = reply.body if isinstance(reply.body, dict) else {}
        prediction_id = provider_id(body.get("id"))
        if prediction_id is None or not isinstance(body.get("status"), str):
            return reply.unusable()
        # A reply that was waited for says `processing` when the output is there and the books are not closed yet.
        all_there = created and body.get("output") is not None
        return Answered(
            http_status=reply.status,
            body=body,
            bytes_received=reply.size,
            provider_request_id=prediction_id,
            provider_job=ProviderJob(id=prediction_id),
            outputs=outputs_in(body.get("output"), hosts=self._hosts),
            finished=body["status"] in _FINAL or all_there,
        )


class ReplicateDeployments:
    """Which model each of the account's deployments runs, as Replicate's catalogue says, remembered for a minute.

    The only thing it sends is the deployment's own name.
    """

    def __init__(
        self, outbound: Outbound, *, token: str | None, api_url: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._outbound = outbound
        self._headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        self._configured = token is not None
        self._api_url = api_url.rstrip("/")
        self._monotonic = monotonic
        self._remembered: OrderedDict[tuple[str, str], tuple[float, tuple[str, str | None] | None]] = OrderedDict()

    async def model_of(self, owner: str, name: str) -> tuple[str, str | None] | None:
        """The model and version, or ``None`` where there is no such deployment or Replicate does not say."""
        if not self._configured or _NAME.fullmatch(owner) is None or _NAME.fullmatch(name) is None:
            return None
        known = self._remembered.get((owner, name))
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        url = f"{self._api_url}/deployments/{owner}/{name}"
        reply = await ask(self._outbound, "GET", url, headers=self._headers, timeout=_timeouts(REPLY_TIMEOUT))
        if isinstance(reply, Unanswered) or reply.problem is not None:
            return None
        found = _release(reply.body) if reply.status == _OK else None
        self._remember((owner, name), found)
        return found

    def _remember(self, deployment: tuple[str, str], found: tuple[str, str | None] | None) -> None:
        self._remembered[deployment] = (self._monotonic() + DEPLOYMENT_REMEMBERED_SECONDS, found)
        self._remembered.move_to_end(deployment)
        if len(self._remembered) > DEPLOYMENTS_REMEMBERED:
            self._remembered.popitem(last=False)


def _content(
    payload: MinimisedPayload,
    manifest: Manifest,
    call: ProviderCall,
    *,
    waiting: Sequence[Upload] = (),
    uploaded: Sequence[Upload] = (),
) -> bytes:
    body: dict[str, Json] = {"input": payload.body}
    if call.deployment is None and call.version is not None:
        body = {"version": f"{manifest.id}:{call.version}", **body}
    return write_body(body, payload.media, below=("input",), waiting=waiting, uploaded=uploaded)


def _release(body: Json) -> tuple[str, str | None] | None:
    release = body.get("current_release") if isinstance(body, dict) else None
    if not isinstance(release, dict):
        return None
    model, version = release.get("model"), release.get("version")
    if not isinstance(model, str) or not all(_NAME.fullmatch(part) for part in model.split("/")):
        return None
    return model, version if isinstance(version, str) and _VERSION.fullmatch(version) else None


def _timeouts(length: timedelta) -> Timeouts:
    seconds = length.total_seconds()
    return Timeouts(connect=CONNECT_SECONDS, read=seconds, total=seconds)
