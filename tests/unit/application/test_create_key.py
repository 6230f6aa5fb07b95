"""Making a service key."""

from hashlib import sha256

from consent_proxy.application.create_key import create_key
from consent_proxy.domain.callers import Role, ServiceKey
from tests.builders import DAY, NOW
from tests.fakes.clock import FakeClock
from tests.fakes.identifiers import FakeIdentifiers
from tests.fakes.rulebook import FakeRulebook

IDS = FakeIdentifiers()


async def make(book: FakeRulebook, caller: str = "backend") -> tuple[ServiceKey, str]:
    return await create_key(
        caller=caller,
        roles=frozenset({Role.GATEWAY}),
        expires_at=NOW + DAY,
        rulebook=book,
        ids=IDS,
        clock=FakeClock(NOW),
    )


async def test_a_key_is_kept_as_a_digest_and_its_text_is_handed_out_once() -> None:
    book = FakeRulebook()
    key, secret = await make(book)
    assert secret.startswith("cpk_")
    assert len(secret) == len("cpk_") + 43
    assert book.rules.keys == {sha256(secret.encode()).digest(): key}
    assert secret not in repr(book.rules)


async def test_keys_of_one_caller_are_the_same_callers_and_never_alike() -> None:
    book = FakeRulebook()
    (first, secret), (second, other), (stranger, _) = await make(book), await make(book), await make(book, "another")
    assert secret != other
    assert first.caller_id == second.caller_id != stranger.caller_id
    assert first.id != second.id
