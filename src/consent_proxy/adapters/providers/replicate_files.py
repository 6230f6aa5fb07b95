"""How media get to Replicate before the prediction that names them: as files of the account, which it lets expire."""

import secrets
from dataclasses import replace

from consent_proxy.adapters.http import Outbound, UnsafeUrl, safe_url
from consent_proxy.adapters.providers.placing import framed, moved_on, neutral_name, upload_timeouts
from consent_proxy.adapters.providers.replies import Reply, ask, endpoint, provider_id
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Answered, Dispatch, RecordedIntent, Unanswered

_CONNECT_SECONDS = 10.0
#: Where Replicate's files are, whatever gateway the API is reached through.
_FILES_HOST = "api.replicate.com"


class ReplicateFiles:
    """Replicate's files. A form with one file under a neutral name, and no metadata."""

    def __init__(self, outbound: Outbound, *, token: str | None, api_url: str) -> None:
        self._outbound = outbound
        self._url = endpoint(f"{api_url}/files")
        self._headers = {"authorization": f"Bearer {token}", "accept": "application/json"}

    async def send(self, recorded: RecordedIntent, dispatch: Dispatch) -> Answered | Unanswered | Dispatch:
        """Upload the first medium that waits, in one request."""
        upload = dispatch.waiting[0]
        medium, boundary = upload.medium, secrets.token_hex(16)
        before = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="content"; filename="{neutral_name(upload)}"\r\n'
            f"content-type: {medium.media_type}\r\n\r\n"
        ).encode()
        after = f"\r\n--{boundary}--\r\n".encode()
        reply = await ask(
            self._outbound,
            "POST",
            self._url,
            headers={
                **self._headers,
                "content-type": f"multipart/form-data; boundary={boundary}",
                "content-length": str(len(before) + medium.bytes + len(after)),
            },
            content=framed(before, medium, after),
            timeout=upload_timeouts(medium, connect=_CONNECT_SECONDS),
            begin_by=recorded.begin_by,
        )
        if isinstance(reply, Unanswered):
            return reply
        url = self._file_url(reply)
        if url is None:
            return replace(reply.unusable(), problem=reply.problem or Reason.PROVIDER_REFUSED)
        return moved_on(dispatch, replace(upload, url=url))

    def _file_url(self, reply: Reply) -> str | None:
        """What a prediction calls the file, if it is one of Replicate's own addresses."""
        body = reply.body if reply.succeeded and isinstance(reply.body, dict) else {}
        file_id, urls = provider_id(body.get("id")), body.get("urls")
        url = urls.get("get") if isinstance(urls, dict) else None
        if file_id is None or not isinstance(url, str):
            return None
        try:
            parsed = safe_url(url)
        except UnsafeUrl:
            return None
        ours = parsed.netloc == self._url.netloc or parsed.netloc == _FILES_HOST.encode()
        return url if ours and parsed.path.endswith(f"/files/{file_id}") and not parsed.query else None
