"""A platform that answers as it is told and keeps what it was asked."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace

from consent_proxy.application.ports.providers import OutputStream, OutputUnavailable
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.minimise import MinimisedPayload
from consent_proxy.domain.payloads import canonical_json
from consent_proxy.domain.transfers import Answer, Answered, Dispatch, Job, ProviderCall, RecordedIntent, Upload


class FakeProvider:
    """Fulfils ``Provider``.

    ``answers`` are given in order, the last of them again and again; ``during`` runs while a send is under way.
    ``files`` are the results that can be opened, by URL. Media of more than ``inline`` bytes are uploaded first,
    each in one request after so many ``parts``, as long as there are ``uploads`` left; then an upload is answered as a
    run is.
    """

    def __init__(self, *answers: Answer, name: str = "fal", configured: bool = True) -> None:
        self.answers = list(answers) or [an_answer()]
        self.name = self.recipient = name
        self.configured = configured
        self.during: Callable[[RecordedIntent], Awaitable[None]] | None = None
        self.sent: list[tuple[RecordedIntent, Dispatch]] = []
        self.asked: list[tuple[str, Job]] = []
        self.inline, self.uploads, self.parts = 1_000, 100, 0
        self.files: dict[str, bytes] = {}
        self.ranges: list[str | None] = []

    def draft(self, payload: MinimisedPayload, *, manifest: Manifest, call: ProviderCall) -> Dispatch:
        return Dispatch(
            host="fal.run",
            path=f"/{manifest.id}",
            content=canonical_json(payload.body),
            payload=payload,
            call=call,
            privacy_switches={"X-Fal-Store-IO": "0"},
            waiting=tuple(
                Upload(name=carried.name, medium=carried.medium)
                for carried in payload.media
                if carried.medium.bytes > self.inline
            ),
        )

    async def send(self, recorded: RecordedIntent, dispatch: Dispatch) -> Answer | Dispatch:
        self.sent.append((recorded, dispatch))
        if self.during is not None:
            await self.during(recorded)
        if dispatch.waiting and len(dispatch.waiting[0].parts) < self.parts:
            upload = replace(dispatch.waiting[0], parts=(*dispatch.waiting[0].parts, "part"))
            return replace(dispatch, waiting=(upload, *dispatch.waiting[1:]))
        if dispatch.waiting and self.uploads:
            self.uploads -= 1
            upload = replace(dispatch.waiting[0], url=f"https://storage.test/{dispatch.waiting[0].name}")
            return replace(dispatch, waiting=dispatch.waiting[1:], uploaded=(*dispatch.uploaded, upload))
        return self._next()

    async def status(self, job: Job, *, logs: bool) -> Answer:
        self.asked.append(("status with logs" if logs else "status", job))
        return self._next()

    async def result(self, job: Job) -> Answer:
        self.asked.append(("result", job))
        return self._next()

    async def cancel(self, job: Job) -> Answer:
        self.asked.append(("cancel", job))
        return self._next()

    async def open_output(self, url: str, *, headers: Mapping[str, str]) -> OutputStream:
        self.ranges.append(headers.get("range"))
        if url not in self.files:
            raise OutputUnavailable
        return OutputStream(status=200, headers={"content-type": "image/png"}, chunks=_chunks(self.files[url]))

    def _next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def an_answer(**overrides: object) -> Answered:
    """A finished picture without an address."""
    values: dict[str, object] = {"http_status": 200, "body": {"seed": 1}, "bytes_received": 10, "finished": True}
    return Answered(**{**values, **overrides})  # type: ignore[arg-type]


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
