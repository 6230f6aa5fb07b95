"""Media on the walk: nothing is fetched before a yes, the cleaned bytes are the ones sent, each upload is affirmed."""

import hmac
from base64 import b64encode
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

import pytest

from consent_proxy.application.check import check
from consent_proxy.application.forward import Forwarded
from consent_proxy.application.refuse import Refused
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import ConsentState
from consent_proxy.domain.decide import TransferRequest
from consent_proxy.domain.manifests import Field, FieldKind
from consent_proxy.domain.media import CleanMedium, MediaOwner
from consent_proxy.domain.media_names import held_media_url
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import Answered, OutcomeState, Output, RecordedIntent, Unanswered
from tests.builders import CALLER, HOUR, NOW, PROMPT, SUBJECT, a_manifest, a_request
from tests.fakes.media import PUBLIC_URL, FakeHeldMedia, FakeMediaCleaner, FakeMediaSource, a_file
from tests.fakes.provider import an_answer
from tests.unit.application.world import World

OWNER = MediaOwner(caller_id=CALLER, subject_ref=SUBJECT)
MANIFEST = a_manifest(
    PROMPT,
    Field(path="image_url", category=DataCategory.PHOTO, kind=FieldKind.MEDIA),
    Field(path="more[]", category=DataCategory.PHOTO, kind=FieldKind.MEDIA),
)
LISTED = "https://listed.test/photo?signature=secret"
CAPABILITY = "capability-of-an-earlier-picture"
LARGE = 5_000
UNREACHABLE = Unanswered(state=OutcomeState.NOT_DELIVERED, problem=Reason.PROVIDER_UNREACHABLE)


def naming(*names: str, **overrides: Any) -> TransferRequest:
    """A request with these media."""
    payload: dict[str, Json] = {"prompt": "a boat", "image_url": names[0]}
    if names[1:]:
        payload["more"] = list(names[1:])
    return a_request(manifest=MANIFEST, payload=payload, **overrides)


def data_uri(content: bytes) -> str:
    return f"data:text/plain;base64,{b64encode(content).decode()}"


def source(world: World) -> FakeMediaSource:
    return cast("FakeMediaSource", world.media.sources)


def cleaner(world: World) -> FakeMediaCleaner:
    return cast("FakeMediaCleaner", world.media.cleaner)


async def hold(world: World, content: bytes = a_file(), *, owner: MediaOwner = OWNER) -> str:
    medium = await cleaner(world).clean(_pieces(content), salt=b"salt")
    assert isinstance(medium, CleanMedium)
    held = await world.media.held.keep(medium, owner=owner)
    return held_media_url(held.id, public_url=PUBLIC_URL)


async def _pieces(content: bytes) -> Any:
    yield content


def made_before(world: World, **overrides: Any) -> str:
    values: dict[str, Any] = {
        "capability": CAPABILITY,
        "job_id": uuid4(),
        "caller_id": CALLER,
        "subject_ref": SUBJECT,
        "provider": "fal",
        "url": "https://v3.fal.media/files/a.png",
        "expires_at": NOW + HOUR,
    }
    world.jobs.add(output=Output(**{**values, **overrides}))
    world.provider.files["https://v3.fal.media/files/a.png"] = a_file(secret="made before")
    return f"{PUBLIC_URL}/v1/files/{CAPABILITY}"


def refusal(step: Forwarded | Refused) -> Reason:
    assert isinstance(step, Refused), step
    return step.refusal.reason


def sent(world: World) -> list[CleanMedium]:
    """What the dispatch carried that was sent last."""
    return [carried.medium for carried in world.provider.sent[-1][1].payload.media]


async def test_held_media_are_sent_by_address_or_id(world: World) -> None:
    url = await hold(world)
    for name in (url, url.rpartition("/")[2]):
        assert isinstance(await world.forward(naming(name)), Forwarded)
        assert [medium.content.at_hand for medium in sent(world)] == [b"photo:pixels"]


async def test_every_way_in_sends_the_cleaned_bytes_and_none_of_the_others(world: World) -> None:
    source(world).files[LISTED] = a_file(secret="where it was")
    names = [
        await hold(world, a_file(secret="held")),
        data_uri(a_file(secret="written out")),
        LISTED,
        made_before(world),
    ]
    assert isinstance(await world.forward(naming(*names)), Forwarded)
    assert [medium.content.at_hand for medium in sent(world)] == [b"photo:pixels"] * 4
    assert [medium.removed for medium in sent(world)] == [("location",)] * 4
    salt = (await world.facts.facts(SUBJECT, purpose=Purpose.GENERATION, fresh=True)).salt
    before = hmac.digest(salt, a_file(secret="written out"), "sha256").hex()
    assert sent(world)[1].digest_before == before


@pytest.mark.parametrize("state", [ConsentState.DECLINED, ConsentState.WITHDRAWN])
async def test_nothing_is_looked_up_or_fetched_without_a_yes(world: World, state: ConsentState) -> None:
    world.answer(state)
    await world.forward(naming(LISTED, made_before(world), data_uri(a_file())))
    assert (source(world).fetched, cleaner(world).given, world.provider.ranges) == ([], [], [])


async def test_nothing_is_fetched_on_a_remembered_yes_that_was_taken_back(world: World) -> None:
    source(world).files[LISTED] = a_file()
    await world.forward(naming(LISTED))
    source(world).fetched.clear()
    world.answer(ConsentState.WITHDRAWN)  # on another replica: what is remembered here still says yes
    assert refusal(await world.forward(naming(LISTED))) is Reason.CONSENT_WITHDRAWN
    assert source(world).fetched == []


async def test_nothing_is_fetched_for_a_request_that_is_refused_anyway(world: World) -> None:
    asked = naming(LISTED)
    asked.payload["prompt"] = "look at https://example.com/me"
    assert refusal(await world.forward(asked)) is Reason.VALUE_NOT_ALLOWED
    assert source(world).fetched == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("me.png", Reason.MEDIA_SOURCE_NOT_ALLOWED),
        ("https://elsewhere.test/photo", Reason.MEDIA_SOURCE_NOT_ALLOWED),
        ("https://listed.test/not-there", Reason.MEDIA_SOURCE_NOT_ALLOWED),
        ("01a2b3c4-0000-7000-8000-00000000dead", Reason.MEDIA_NOT_YOURS),
        (f"{PUBLIC_URL}/v1/files/{'x' * 32}", Reason.MEDIA_NOT_YOURS),
        ("data:image/png;base64,!!!!", Reason.VALUE_NOT_ALLOWED),
        (data_uri(b"%PDF-1.7"), Reason.MEDIA_TYPE_UNSUPPORTED),
        (data_uri(a_file("video")), Reason.VALUE_NOT_ALLOWED),
        (data_uri(a_file(size=200_000)), Reason.BODY_TOO_LARGE),
    ],
)
async def test_what_cannot_leave_is_refused_with_its_reason(world: World, name: str, reason: Reason) -> None:
    assert refusal(await world.forward(naming(name))) is reason
    assert world.provider.sent == []


async def test_media_of_another_person_or_caller_are_nobodys(world: World) -> None:
    theirs = await hold(world, owner=MediaOwner(caller_id=CALLER, subject_ref=SubjectRef(uuid4())))
    another_callers = await hold(world, owner=MediaOwner(caller_id=uuid4(), subject_ref=SUBJECT))
    for name in (theirs, another_callers):
        assert refusal(await world.forward(naming(name))) is Reason.MEDIA_NOT_YOURS


async def test_media_whose_time_is_over_are_nobodys(world: World) -> None:
    cast("FakeHeldMedia", world.media.held).ttl = HOUR
    url = await hold(world)
    assert isinstance(await world.forward(naming(url)), Forwarded)
    world.clock.advance(HOUR)
    assert refusal(await world.forward(naming(url))) is Reason.MEDIA_NOT_YOURS


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"caller_id": uuid4()}, Reason.MEDIA_NOT_YOURS),
        ({"subject_ref": uuid4()}, Reason.MEDIA_NOT_YOURS),
        ({"expires_at": NOW}, Reason.MEDIA_NOT_YOURS),
        ({"provider": "replicate"}, Reason.MEDIA_SOURCE_NOT_ALLOWED),
        ({"url": "https://v3.fal.media/files/gone.png"}, Reason.MEDIA_SOURCE_NOT_ALLOWED),
    ],
)
async def test_an_earlier_result_has_to_be_the_same_persons_at_the_same_provider(
    world: World, overrides: dict[str, Any], reason: Reason
) -> None:
    assert refusal(await world.forward(naming(made_before(world, **overrides)))) is reason


async def test_a_check_looks_into_nothing_and_says_what_is_known(world: World) -> None:
    source(world).files[LISTED] = a_file()

    async def checked(*names: str) -> Any:
        return await check(
            naming(*names),
            provider=world.provider,
            facts=world.facts,
            media=world.media,
            digests=world.digests,
            clock=world.clock,
        )

    found = await checked(LISTED, data_uri(b"not looked into"), await hold(world))
    assert (found.refusal, found.would_send) == (None, ("image_url", "more[]", "prompt"))
    assert source(world).fetched == []
    assert (await checked(str(uuid4()))).refusal.reason is Reason.MEDIA_NOT_YOURS
    assert (await checked(await hold(world, a_file("video")))).refusal.reason is Reason.VALUE_NOT_ALLOWED


async def test_what_is_large_is_uploaded_first_and_affirmed_before_each_further_request(world: World) -> None:
    affirmed: list[RecordedIntent] = []
    affirm = world.log.affirm

    async def watched(recorded: RecordedIntent) -> Any:
        affirmed.append(recorded)
        return await affirm(recorded)

    world.log.affirm = watched  # type: ignore[method-assign]
    names = [data_uri(a_file(size=LARGE)), data_uri(a_file(size=LARGE + 1)), data_uri(a_file())]
    step = await world.forward(naming(*names))

    assert isinstance(step, Forwarded)
    assert [len(dispatch.waiting) for _, dispatch in world.provider.sent] == [2, 1, 0]
    assert len(affirmed) == 2
    assert len(world.log.intents) == 1
    outcome = world.log.last_outcome(step.transfer_id)
    assert outcome is not None
    assert (outcome.state, outcome.stopped_after) == (OutcomeState.DELIVERED, None)
    sizes = sum(upload.medium.bytes for upload in world.provider.sent[-1][1].uploaded)
    assert world.provider.sent[0][1].bytes_sent == sizes + len(world.provider.sent[0][1].content)


async def test_a_withdrawal_between_upload_and_inference_stops_the_inference(world: World) -> None:
    async def take_back(recorded: RecordedIntent) -> None:
        world.answer(ConsentState.WITHDRAWN)

    world.provider.during = take_back
    step = await world.forward(naming(data_uri(a_file(size=LARGE))))

    assert refusal(step) is Reason.CONSENT_WITHDRAWN
    assert isinstance(step, Refused)
    assert step.sent
    assert [len(dispatch.waiting) for _, dispatch in world.provider.sent] == [1]
    [transfer] = world.log.intents
    outcome = world.log.last_outcome(transfer)
    assert outcome is not None
    assert (outcome.state, outcome.stopped_after) == (OutcomeState.DELIVERED, "upload")


async def test_a_part_of_an_upload_counts_as_what_left(world: World) -> None:
    async def take_back(recorded: RecordedIntent) -> None:
        world.answer(ConsentState.WITHDRAWN)

    world.provider.parts, world.provider.during = 3, take_back
    step = await world.forward(naming(data_uri(a_file(size=LARGE))))

    assert isinstance(step, Refused)
    assert step.sent
    assert len(world.provider.sent) == 1
    [transfer] = world.log.intents
    outcome = world.log.last_outcome(transfer)
    assert outcome is not None
    assert (outcome.state, outcome.stopped_after) == (OutcomeState.DELIVERED, "upload")


async def test_other_rules_between_upload_and_inference_lead_to_another_walk_that_names_the_first(world: World) -> None:
    async def move_on(recorded: RecordedIntent) -> None:
        if len(world.provider.sent) == 1:
            world.rules = replace(world.rules, edition=world.rules.edition + 1)

    world.provider.during = move_on
    step = await world.forward(naming(data_uri(a_file(size=LARGE))))

    assert isinstance(step, Forwarded)
    first, second = world.log.intents.values()
    assert (second.first_transfer_id, step.transfer_id) == (first.id, second.id)
    assert [len(dispatch.waiting) for _, dispatch in world.provider.sent] == [1, 1, 0]


async def test_a_walk_that_cannot_be_repeated_tells_of_what_had_left(world: World) -> None:
    async def move_on_and_go_away(recorded: RecordedIntent) -> None:
        world.rules = replace(world.rules, edition=world.rules.edition + 1)
        world.facts.away = True

    world.provider.during = move_on_and_go_away
    step = await world.forward(naming(data_uri(a_file(size=LARGE))))

    assert isinstance(step, Forwarded)
    assert isinstance(step.answer, Unanswered)
    assert (step.answer.state, step.answer.problem) == (OutcomeState.DELIVERED, Reason.INTERNAL_ERROR)


async def test_a_database_that_goes_away_between_them_stops_it_and_is_no_reason_to_send_again(world: World) -> None:
    async def go_away(recorded: RecordedIntent) -> None:
        world.log.away = True

    world.provider.during = go_away
    step = await world.forward(naming(data_uri(a_file(size=LARGE))))

    assert isinstance(step, Forwarded)
    assert step.answer == Unanswered(state=OutcomeState.DELIVERED, problem=Reason.INTERNAL_ERROR)
    world.log.away = False
    await world.log.come_back()
    outcome = world.log.last_outcome(step.transfer_id)
    assert outcome is not None
    assert (outcome.state, outcome.stopped_after) == (OutcomeState.DELIVERED, "upload")


@pytest.mark.parametrize(
    ("uploads", "answer", "state", "stopped_after"),
    [
        (0, UNREACHABLE, OutcomeState.NOT_DELIVERED, None),
        (0, replace(UNREACHABLE, state=OutcomeState.INDETERMINATE), OutcomeState.INDETERMINATE, "upload"),
        (0, an_answer(http_status=403, problem=Reason.PROVIDER_REFUSED), OutcomeState.DELIVERED, "upload"),
        (1, UNREACHABLE, OutcomeState.DELIVERED, "upload"),
        (2, UNREACHABLE, OutcomeState.DELIVERED, "upload"),
        (2, replace(UNREACHABLE, state=OutcomeState.INDETERMINATE), OutcomeState.INDETERMINATE, None),
        (2, an_answer(http_status=422), OutcomeState.DELIVERED, None),
    ],
)
async def test_the_record_says_how_far_it_came(
    world: World, uploads: int, answer: Answered | Unanswered, state: OutcomeState, stopped_after: str | None
) -> None:
    world.provider.uploads, world.provider.answers = uploads, [answer]
    step = await world.forward(naming(data_uri(a_file(size=LARGE)), data_uri(a_file(size=LARGE + 1))))
    assert isinstance(step, Forwarded)
    outcome = world.log.last_outcome(step.transfer_id)
    assert outcome is not None
    assert (outcome.state, outcome.stopped_after) == (state, stopped_after)
    assert len(world.provider.sent) == uploads + 1


async def test_a_source_that_changes_does_not_change_what_was_looked_into(world: World) -> None:
    source(world).files[LISTED] = a_file(secret="first")

    async def change(recorded: RecordedIntent) -> None:
        source(world).files[LISTED] = a_file("video", secret="second")

    world.provider.during = change
    await world.forward(naming(LISTED))
    assert source(world).fetched == [LISTED]
    assert [medium.content.at_hand for medium in sent(world)] == [b"photo:pixels"]
