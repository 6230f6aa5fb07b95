"""Relaying a result: by capability, while it lives, from its own provider, with a range at most."""

from datetime import timedelta
from uuid import uuid4

import pytest

from consent_proxy.application.ports.providers import OutputStream
from consent_proxy.application.relay import open_output
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.transfers import Output
from tests.builders import CALLER, NOW, SUBJECT
from tests.fakes.provider import FakeProvider
from tests.unit.application.world import World

URL = "https://v3.fal.media/files/b/x/out.png"


@pytest.fixture
def provider(world: World) -> FakeProvider:
    output = Output(
        capability="capability-1",
        job_id=uuid4(),
        caller_id=CALLER,
        subject_ref=SUBJECT,
        provider="fal",
        url=URL,
        expires_at=NOW + timedelta(hours=1),
    )
    world.jobs.add(output=output)
    world.provider.files[URL] = b"picture"
    return world.provider


async def relay(
    world: World, provider: FakeProvider, capability: str = "capability-1", *, range_header: str | None = None
) -> OutputStream | Refusal:
    return await open_output(
        capability, jobs=world.jobs, providers={provider.name: provider}, clock=world.clock, range_header=range_header
    )


def reason_of(opened: OutputStream | Refusal) -> Reason:
    assert isinstance(opened, Refusal)
    return opened.reason


async def test_a_capability_leads_to_the_bytes(world: World, provider: FakeProvider) -> None:
    opened = await relay(world, provider)
    assert isinstance(opened, OutputStream)
    assert b"".join([chunk async for chunk in opened.chunks]) == b"picture"
    assert provider.ranges == [None]


async def test_a_range_is_passed_on(world: World, provider: FakeProvider) -> None:
    await relay(world, provider, range_header="bytes=0-3")
    assert provider.ranges == ["bytes=0-3"]


async def test_an_unknown_capability_leads_nowhere(world: World, provider: FakeProvider) -> None:
    assert reason_of(await relay(world, provider, "capability-2")) is Reason.NOT_FOUND


async def test_an_address_expires_to_the_moment(world: World, provider: FakeProvider) -> None:
    world.clock.advance(timedelta(minutes=59, seconds=59))
    assert isinstance(await relay(world, provider), OutputStream)
    world.clock.advance(timedelta(seconds=1))
    assert reason_of(await relay(world, provider)) is Reason.OUTPUT_EXPIRED
    assert len(provider.ranges) == 1


async def test_a_provider_that_is_gone_from_the_settings_leads_nowhere(world: World, provider: FakeProvider) -> None:
    provider.name = "another"
    assert reason_of(await relay(world, provider)) is Reason.NOT_FOUND


async def test_a_file_that_the_provider_no_longer_hands_out_is_said_to_be_so(
    world: World, provider: FakeProvider
) -> None:
    provider.files.clear()
    assert reason_of(await relay(world, provider)) is Reason.PROVIDER_UNREACHABLE
