"""How media get to fal before the request that names them: a place is asked for, then the bytes are put there.

fal's own client sends files of more than 90 MiB in parts of 10 MiB, each a request of its own, and so is done here.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

import httpx

from consent_proxy.adapters.http import Outbound, Timeouts
from consent_proxy.adapters.listed_hosts import ListedHosts
from consent_proxy.adapters.providers.placing import between, moved_on, neutral_name, passed_on, upload_timeouts
from consent_proxy.adapters.providers.replies import Reply, ask, endpoint
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Answered, Dispatch, OutcomeState, RecordedIntent, Unanswered, Upload

_LIFECYCLE = "x-fal-object-lifecycle"
#: How long an upload may be read at fal: a queue may be long, and a training fetches its media when it begins.
_KEPT = {Purpose.GENERATION: timedelta(hours=2), Purpose.TRAINING: timedelta(hours=24)}
#: Up to here a file is one request.
SINGLE_BYTES = 90 * 1024 * 1024
PART_BYTES = 10 * 1024 * 1024
_CONNECT_SECONDS = 10.0
#: A mark that fal gives for a part; it goes back in the request that completes the file.
_ETAG = re.compile(r'[A-Za-z0-9+/=_.:"-]{1,200}')
_TIMEOUTS = Timeouts(connect=_CONNECT_SECONDS, read=30.0, total=30.0)


class FalUploads:
    """fal's storage. ``hosts`` are those that bytes may be put to and read from.

    The request for a place names a media type and a neutral file name; the second, with the bytes, goes to the
    address that fal answered with, and carries no credential.
    """

    def __init__(self, outbound: Outbound, *, key: str | None, rest_url: str, hosts: Iterable[str]) -> None:
        self._outbound = outbound
        self._storage = f"{rest_url.rstrip('/')}/storage/upload"
        self._headers = {"authorization": f"Key {key}", "accept": "application/json"}
        self._hosts = ListedHosts.of(hosts)

    def switches(self, purpose: Purpose) -> Mapping[str, str]:
        """The header that has fal delete an upload by itself."""
        lifecycle = {"expiration_duration_seconds": round(_KEPT[purpose].total_seconds())}
        return {_LIFECYCLE: json.dumps(lifecycle, separators=(",", ":"))}

    async def send(self, recorded: RecordedIntent, dispatch: Dispatch) -> Answered | Unanswered | Dispatch:
        """The next request of the uploads that wait."""
        upload = dispatch.waiting[0]
        if upload.address is None:
            return await self._ask_for_a_place(recorded, dispatch, upload)
        if upload.medium.bytes <= SINGLE_BYTES:
            return await self._put(recorded, dispatch, upload, address=httpx.URL(upload.address))
        if len(upload.parts) * PART_BYTES < upload.medium.bytes:
            return await self._put_part(recorded, dispatch, upload, address=httpx.URL(upload.address))
        return await self._complete(recorded, dispatch, upload, address=httpx.URL(upload.address))

    async def _ask_for_a_place(
        self, recorded: RecordedIntent, dispatch: Dispatch, upload: Upload
    ) -> Dispatch | Unanswered:
        lifecycle = self.switches(recorded.intent.permit.manifest.purpose)[_LIFECYCLE]
        large = upload.medium.bytes > SINGLE_BYTES
        asked = {"content_type": upload.medium.media_type, "file_name": neutral_name(upload)}
        reply = await ask(
            self._outbound,
            "POST",
            endpoint(f"{self._storage}/initiate{'-multipart' * large}?storage_type=fal-cdn-v3"),
            headers={
                **self._headers,
                "content-type": "application/json",
                _LIFECYCLE: lifecycle,
                f"{_LIFECYCLE}-preference": lifecycle,
            },
            content=json.dumps(asked).encode(),
            timeout=_TIMEOUTS,
            begin_by=recorded.begin_by,
        )
        if isinstance(reply, Unanswered):
            return replace(reply, state=OutcomeState.NOT_DELIVERED)
        given = self._place(reply, upload)
        if given is None:
            problem = reply.problem or Reason.PROVIDER_REFUSED
            return Unanswered(state=OutcomeState.NOT_DELIVERED, problem=problem)
        return passed_on(dispatch, given)

    def _place(self, reply: Reply, upload: Upload) -> Upload | None:
        """Where fal says that the bytes go, if that is where its files are."""
        body = reply.body if reply.succeeded and isinstance(reply.body, dict) else {}
        address, url = body.get("upload_url"), body.get("file_url")
        if not isinstance(address, str) or not isinstance(url, str):
            return None
        if not self._hosts.allows(address) or not self._hosts.allows(url):
            return None
        return replace(upload, address=address, url=url)

    async def _put(
        self, recorded: RecordedIntent, dispatch: Dispatch, upload: Upload, *, address: httpx.URL
    ) -> Answered | Unanswered | Dispatch:
        reply = await ask(
            self._outbound,
            "PUT",
            address,
            headers={"content-type": upload.medium.media_type, "content-length": str(upload.medium.bytes)},
            content=upload.medium.content.pieces(),
            timeout=upload_timeouts(upload.medium, connect=_CONNECT_SECONDS),
            begin_by=recorded.begin_by,
            json_expected=False,
        )
        if isinstance(reply, Unanswered):
            return reply
        if not reply.succeeded:
            return replace(reply.unusable(), problem=reply.problem or Reason.PROVIDER_REFUSED)
        return moved_on(dispatch, replace(upload, address=None))

    async def _put_part(
        self, recorded: RecordedIntent, dispatch: Dispatch, upload: Upload, *, address: httpx.URL
    ) -> Answered | Unanswered | Dispatch:
        start = len(upload.parts) * PART_BYTES
        end = min(start + PART_BYTES, upload.medium.bytes)
        reply = await ask(
            self._outbound,
            "PUT",
            address.copy_with(path=f"{address.path}/{len(upload.parts) + 1}"),
            headers={"content-type": upload.medium.media_type, "content-length": str(end - start)},
            content=between(upload.medium, start, end),
            timeout=upload_timeouts(upload.medium, connect=_CONNECT_SECONDS),
            begin_by=recorded.begin_by,
        )
        if isinstance(reply, Unanswered):
            return reply
        etag = reply.body.get("etag") if reply.succeeded and isinstance(reply.body, dict) else None
        if not isinstance(etag, str) or _ETAG.fullmatch(etag) is None:
            return replace(reply.unusable(), problem=reply.problem or Reason.PROVIDER_REFUSED)
        return passed_on(dispatch, replace(upload, parts=(*upload.parts, etag)))

    async def _complete(
        self, recorded: RecordedIntent, dispatch: Dispatch, upload: Upload, *, address: httpx.URL
    ) -> Answered | Unanswered | Dispatch:
        parts = [{"partNumber": number, "etag": etag} for number, etag in enumerate(upload.parts, 1)]
        reply = await ask(
            self._outbound,
            "POST",
            address.copy_with(path=f"{address.path}/complete"),
            headers={"content-type": "application/json"},
            content=json.dumps({"parts": parts}).encode(),
            timeout=_TIMEOUTS,
            begin_by=recorded.begin_by,
            json_expected=False,
        )
        if isinstance(reply, Unanswered):
            return reply
        if not reply.succeeded:
            return replace(reply.unusable(), problem=reply.problem or Reason.PROVIDER_REFUSED)
        return moved_on(dispatch, replace(upload, address=None))
