"""What every ``Clock``, ``Identifiers`` and ``Digests`` does, the fakes like the real ones."""

import re
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from consent_proxy.adapters.system import SystemClock, Uuid7Identifiers
from consent_proxy.application.ports.platform import Clock, Digests, Identifiers
from consent_proxy.domain.subjects import SubjectRef, identifier_from_text
from tests.fakes.clock import FakeClock
from tests.fakes.digests import FakeDigests
from tests.fakes.identifiers import FakeIdentifiers
from tests.fakes.keyrings import made_up_keyring

ONE, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture(params=[FakeClock, SystemClock], ids=["fake", "real"])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


@pytest.fixture(params=[FakeIdentifiers, Uuid7Identifiers], ids=["fake", "real"])
def ids(request: pytest.FixtureRequest) -> Identifiers:
    made: Identifiers = request.param()
    return made


@pytest.fixture(params=[FakeDigests, made_up_keyring], ids=["fake", "real"])
def digests(request: pytest.FixtureRequest) -> Digests:
    made: Digests = request.param()
    return made


def test_a_clock_is_utc_and_does_not_go_back(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()


def test_a_fake_clock_goes_when_it_is_told_to() -> None:
    clock = FakeClock()
    before, seconds = clock.now(), clock.monotonic()
    assert clock.advance(timedelta(minutes=1)) == clock.now() == before + timedelta(minutes=1)
    assert clock.monotonic() == seconds + 60
    clock.set_back(timedelta(hours=1))
    assert clock.now() < before
    assert clock.monotonic() == seconds + 60


def test_ids_are_uuid7_in_rising_order(ids: Identifiers) -> None:
    made = [ids.new_id() for _ in range(100)]
    assert {one.version for one in made} == {7}
    assert all(earlier < later for earlier, later in pairwise(made))


def test_a_subject_digest_tells_people_and_kinds_apart(digests: Digests) -> None:
    people = [
        identifier_from_text("ada"),
        identifier_from_text("Ada"),
        identifier_from_text("ada", kind="session"),
    ]
    assert len({digests.subject(person) for person in people}) == 3
    assert digests.subject(people[0]) == digests.subject(identifier_from_text("ada"))
    assert {len(digests.subject(person)) for person in people} == {32}


def test_a_pseudonym_is_32_hex_digits_and_each_recipients_own(digests: Digests) -> None:
    names = {
        digests.pseudonym(SubjectRef(person), recipient=recipient)
        for person in (ONE, OTHER)
        for recipient in ("fal", "replicate")
    }
    assert len(names) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)


def test_an_idempotency_digest_is_of_the_key_and_its_caller(digests: Digests) -> None:
    made = {digests.idempotency(key, caller_id=caller) for key in ("a", "b") for caller in (ONE, OTHER)}
    assert len(made) == 4
    assert digests.idempotency("a", caller_id=ONE) in made


def test_a_capability_is_stable_long_and_url_safe(digests: Digests) -> None:
    made = {digests.capability(job_id=job, url=url) for job in (ONE, OTHER) for url in ("https://a/1", "https://a/2")}
    assert len(made) == 4
    assert digests.capability(job_id=ONE, url="https://a/1") in made
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32,}", one) for one in made)
