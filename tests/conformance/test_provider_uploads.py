"""How providers take media that are too large for a request: uploads of their own, each says how far it came."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from consent_proxy.adapters.http import Outbound, OutboundTransport
from consent_proxy.adapters.providers import fal, fal_uploads, replicate
from consent_proxy.application.ports.media import MediaUnreadable
from consent_proxy.application.ports.providers import Provider
from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.media import CarriedMedium, CleanMedium
from consent_proxy.domain.minimise import MinimisedPayload
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.transfers import (
    Answer,
    Answered,
    Dispatch,
    OutcomeState,
    ProviderCall,
    RecordedIntent,
    Unanswered,
)
from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.fal_storage import STORAGE
from consent_proxy.sandbox.replicate_files import FILES
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role
from tests.builders import SUBJECT, PiecedContent, a_manifest, a_medium
from tests.provider_samples import Stub, a_fal, a_replicate, a_replicate_manifest, draft
from tests.transfer_samples import an_intent

PIXELS = b"pixels" * 100_000
FAL, REPLICATE = ProviderCall(operation="run"), ProviderCall(operation="prediction")


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(job_seconds=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.behave_well()
    running.wire.clear()
    return running


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    real = Outbound(OutboundTransport())
    yield real
    await real.aclose()


def large(content: bytes = PIXELS) -> CleanMedium:
    """A medium that is not at hand, and so is uploaded."""
    return replace(a_medium(), bytes=len(content), content=PiecedContent(content, piece=10_000))


def a_payload(*media: CleanMedium, field: str = "image_url") -> MinimisedPayload:
    """A prompt and media, the first in a field of its own and the others in a list."""
    names = [f"medium-{number}" for number in range(1, len(media) + 1)]
    places: list[tuple[str | int, ...]] = [(field,), *(("more", index) for index in range(len(media) - 1))]
    return MinimisedPayload(
        body={"prompt": "a boat named medium-1", field: names[0], "more": list(names[1:])},
        fields_sent=(field, "more[]", "prompt"),
        fields_dropped=(),
        categories=frozenset({DataCategory.PHOTO, DataCategory.PROMPT}),
        media=tuple(
            CarriedMedium(path=field, at=at, name=name, medium=medium)
            for at, name, medium in zip(places, names, media, strict=True)
        ),
    )


async def send_all(
    provider: Provider, *media: CleanMedium, model: str | None = None, within: float = 60.0
) -> tuple[Answer, list[Dispatch]]:
    """Draft, then send step by step as the walk does; the answer, and what was left to send each time."""
    at_fal = provider.name == "fal"
    name = model or ("fal-ai/flux/dev/image-to-image" if at_fal else "black-forest-labs/flux-dev")
    manifest = a_manifest(id=name) if at_fal else a_replicate_manifest(id=name)
    payload = a_payload(*media, field="image_url" if at_fal else "image")
    dispatch = draft(provider, payload, manifest=manifest, call=FAL if at_fal else REPLICATE)
    intent = an_intent(SUBJECT, permit={"manifest": manifest}, dispatch=dispatch)
    step: Answer | Dispatch = dispatch
    steps: list[Dispatch] = []
    while isinstance(step, Dispatch):
        steps.append(step)
        recorded = RecordedIntent(intent=intent, intent_at=datetime.now(UTC), begin_by=time.monotonic() + within)
        step = await provider.send(recorded, step)
    return step, steps


async def test_fal_asks_for_a_place_puts_the_bytes_and_names_the_address(sandbox: Sandbox, outbound: Outbound) -> None:
    answer, steps = await send_all(a_fal(outbound, sandbox), large(), a_medium(content=b"small"))
    assert isinstance(answer, Answered)
    assert (answer.http_status, answer.problem) == (200, None)
    assert [(len(step.waiting), len(step.uploaded)) for step in steps] == [(1, 0), (1, 0), (0, 1)]
    initiated, put, ran = sandbox.wire.requests()
    assert (initiated.method, initiated.path, initiated.query) == (
        "POST",
        "/storage/upload/initiate",
        "storage_type=fal-cdn-v3",
    )
    assert put.body == PIXELS
    assert (put.header("authorization"), put.header("content-length")) == (None, str(len(PIXELS)))
    assert ran.json() == {
        "prompt": "a boat named medium-1",
        "image_url": steps[-1].uploaded[0].url,
        "more": ["data:image/jpeg;base64,c21hbGw="],
    }
    assert sandbox.wire.violations == []


async def test_fal_takes_what_is_larger_in_parts_each_a_request_of_its_own(
    sandbox: Sandbox, outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_uploads, "SINGLE_BYTES", 500_000)
    monkeypatch.setattr(fal_uploads, "PART_BYTES", 256_000)
    content = bytes(range(250)) * 2_400
    answer, steps = await send_all(a_fal(outbound, sandbox), large(content))
    assert isinstance(answer, Answered)
    assert answer.problem is None
    assert [step.waiting[0].parts if step.waiting else None for step in steps] == [
        (),
        (),
        ('"part-1"',),
        ('"part-1"', '"part-2"'),
        ('"part-1"', '"part-2"', '"part-3"'),
        None,
    ]
    sent = sandbox.wire.requests()
    assert sent[0].path == "/storage/upload/initiate-multipart"
    assert [len(part.body) for part in sent[1:4]] == [256_000, 256_000, 88_000]
    assert (sent[4].method, sent[4].path) == ("POST", f"{sent[1].path.removesuffix('/1')}/complete")
    url = str(steps[-1].uploaded[0].url)
    assert b"".join(part.body for part in sent[1:4]) == content
    assert sent[5].json()["image_url"] == url
    assert sandbox.wire.violations == []


async def test_replicate_takes_a_file_and_names_its_address(sandbox: Sandbox, outbound: Outbound) -> None:
    answer, steps = await send_all(a_replicate(outbound, sandbox), large(), large(b"other" * 60_000))
    assert isinstance(answer, Answered)
    assert answer.problem is None
    assert [(len(step.waiting), len(step.uploaded)) for step in steps] == [(2, 0), (1, 1), (0, 2)]
    first, second, created = sandbox.wire.requests(method="POST")
    assert (first.path, second.path) == ("/v1/files", "/v1/files")
    head, _, rest = first.body.partition(b"\r\n\r\n")
    assert b'name="content"; filename="medium-1.jpg"\r\ncontent-type: image/jpeg' in head
    assert rest.startswith(PIXELS)
    assert first.body.count(b"--\r\n") == 1
    assert created.json()["input"]["image"] == steps[-1].uploaded[0].url
    assert created.json()["input"]["more"] == [steps[-1].uploaded[1].url]


async def test_what_is_recorded_before_names_uploads_by_their_neutral_names(outbound: Outbound) -> None:
    payload = a_payload(large(), a_medium(content=b"small"))
    dispatch = draft(a_fal(outbound), payload, manifest=a_manifest(), call=FAL)
    assert json.loads(dispatch.content)["image_url"] == "medium-1"
    assert json.loads(dispatch.content)["more"] == ["data:image/jpeg;base64,c21hbGw="]
    assert dispatch.bytes_sent == len(dispatch.content) + len(PIXELS)
    assert json.loads(dispatch.privacy_switches["x-fal-object-lifecycle"]) == {"expiration_duration_seconds": 7200}


async def test_small_media_are_written_out_as_long_as_there_is_room(outbound: Outbound) -> None:
    for provider, room in ((a_fal(outbound), fal.ROOM), (a_replicate(outbound), replicate.ROOM)):
        half = a_medium(content=bytes(room.inline // 2))
        manifest = a_manifest() if provider.name == "fal" else a_replicate_manifest()
        call = FAL if provider.name == "fal" else REPLICATE
        assert draft(provider, a_payload(half, half), manifest=manifest, call=call).waiting == ()
        third = draft(provider, a_payload(half, half, half), manifest=manifest, call=call)
        assert [upload.name for upload in third.waiting] == ["medium-3"]
        at_most = draft(provider, a_payload(a_medium(content=bytes(room.inline + 1))), manifest=manifest, call=call)
        assert [upload.name for upload in at_most.waiting] == ["medium-1"]


async def test_what_a_provider_does_not_take_at_all_is_refused(outbound: Outbound) -> None:
    huge = replace(large(), bytes=100_000_000)
    refusal = a_replicate(outbound).draft(a_payload(huge), manifest=a_replicate_manifest(), call=REPLICATE)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.paths) == (Reason.BODY_TOO_LARGE, ("image_url",))


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        (Behaviour.UNAUTHORISED, Reason.PROVIDER_REFUSED),
        (Behaviour.ERROR, Reason.PROVIDER_REFUSED),
        (Behaviour.REDIRECT_WITH_BODY, Reason.PROVIDER_REPLY_UNUSABLE),
        (Behaviour.JUNK, Reason.PROVIDER_REPLY_UNUSABLE),
        (Behaviour.RESET, Reason.PROVIDER_REPLY_UNUSABLE),
    ],
)
async def test_a_place_that_is_not_given_is_not_delivered_for_nothing_of_the_subjects_left(
    sandbox: Sandbox, outbound: Outbound, behaviour: Behaviour, problem: Reason
) -> None:
    sandbox.behave("fal", f"{STORAGE}/initiate", behaviour)
    answer, steps = await send_all(a_fal(outbound, sandbox), large())
    assert answer == Unanswered(state=OutcomeState.NOT_DELIVERED, problem=problem)
    assert len(steps) == 1
    assert not sandbox.wire.contains(b"pixelspixels")
    assert sandbox.wire.requests(role=Role.FAL_CDN) == []


@pytest.mark.parametrize("behaviour", [Behaviour.ERROR, Behaviour.UNAVAILABLE, Behaviour.REDIRECT_WITH_BODY])
@pytest.mark.parametrize("provider", ["fal", "replicate"])
async def test_bytes_that_were_refused_were_delivered_and_the_model_is_not_asked(
    sandbox: Sandbox, outbound: Outbound, provider: str, behaviour: Behaviour
) -> None:
    sandbox.behave("fal", f"{STORAGE}/put", behaviour)
    sandbox.behave("replicate", FILES, behaviour)
    built: Provider = a_fal(outbound, sandbox) if provider == "fal" else a_replicate(outbound, sandbox)
    answer, steps = await send_all(built, large())
    assert isinstance(answer, Answered)
    assert answer.problem in {Reason.PROVIDER_REFUSED, Reason.PROVIDER_REPLY_UNUSABLE}
    assert (answer.body, len(steps[-1].waiting)) == (None, 1)
    assert sandbox.wire.requests(role=Role.FAL_RUN) == []
    assert sandbox.wire.requests(role=Role.ELSEWHERE) == []


@pytest.mark.parametrize("provider", ["fal", "replicate"])
async def test_bytes_whose_answer_was_lost_may_be_there(sandbox: Sandbox, outbound: Outbound, provider: str) -> None:
    sandbox.behave("fal", f"{STORAGE}/put", Behaviour.RESET)
    sandbox.behave("replicate", FILES, Behaviour.RESET)
    built: Provider = a_fal(outbound, sandbox) if provider == "fal" else a_replicate(outbound, sandbox)
    answer, _ = await send_all(built, large())
    assert isinstance(answer, Unanswered)
    assert answer.state is OutcomeState.INDETERMINATE


class Tampered(PiecedContent):
    """Bytes that turn out half-way not to be those that were kept."""

    async def pieces(self) -> AsyncIterator[bytes]:
        yield bytes(50_000)
        raise MediaUnreadable("they are not those that were kept")


@pytest.mark.parametrize("provider", ["fal", "replicate"])
async def test_bytes_that_cannot_be_read_to_their_end_stop_the_transfer(
    sandbox: Sandbox, outbound: Outbound, provider: str
) -> None:
    built: Provider = a_fal(outbound, sandbox) if provider == "fal" else a_replicate(outbound, sandbox)
    answer, steps = await send_all(built, replace(large(), content=Tampered(b"")))
    assert isinstance(answer, Unanswered)
    assert answer.state is OutcomeState.INDETERMINATE
    assert len(steps[-1].uploaded) == 0
    assert sandbox.wire.requests(role=Role.FAL_RUN) == []


@pytest.mark.parametrize(
    "given",
    [
        {"upload_url": "https://evil.test/put", "file_url": "https://v3.fal.media/files/a.jpg"},
        {"upload_url": "https://v3.fal.media/put", "file_url": "https://evil.test/a.jpg"},
        {"upload_url": "http://v3.fal.media/put", "file_url": "https://v3.fal.media/files/a.jpg"},
        {"upload_url": 7, "file_url": None},
        {},
        [],
    ],
)
async def test_bytes_go_nowhere_but_to_fals_own_hosts(given: Any) -> None:
    stub = Stub(httpx.Response(200, json=given))
    answer, _ = await send_all(a_fal(stub.outbound), large())
    assert answer == Unanswered(state=OutcomeState.NOT_DELIVERED, problem=Reason.PROVIDER_REFUSED)
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"id": "abc", "urls": {"get": "https://evil.test/v1/files/abc"}},
        {"id": "abc", "urls": {"get": "https://gateway.test/replicate/v1/files/other"}},
        {"id": "abc", "urls": {"get": "https://gateway.test/replicate/v1/files/abc?token=x"}},
        {"id": "a/b", "urls": {"get": "https://gateway.test/replicate/v1/files/a/b"}},
        {"id": "abc"},
        {},
    ],
)
async def test_an_address_that_is_not_replicates_is_not_passed_on(given: Any) -> None:
    stub = Stub(httpx.Response(201, json=given))
    answer, _ = await send_all(a_replicate(stub.outbound), large())
    assert isinstance(answer, Answered)
    assert answer.problem is Reason.PROVIDER_REFUSED
    assert len(stub.requests) == 1


@pytest.mark.parametrize("provider", ["fal", "replicate"])
async def test_an_upload_whose_window_closed_is_not_begun(sandbox: Sandbox, outbound: Outbound, provider: str) -> None:
    built: Provider = a_fal(outbound, sandbox) if provider == "fal" else a_replicate(outbound, sandbox)
    answer, _ = await send_all(built, large(), within=-1)
    assert isinstance(answer, Unanswered)
    assert (answer.state, answer.window_closed) == (OutcomeState.NOT_DELIVERED, True)
    assert sandbox.wire.requests() == []
