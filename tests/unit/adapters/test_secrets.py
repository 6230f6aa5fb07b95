"""The service's secrets: wrapped so that only the right key opens them, and digests that lead back to nobody."""

import pickle
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.adapters.secrets import Keyring, Secret, SecretName, WrappingKey, new_secret
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectKind, SubjectRef, identifier_from_text

PEPPER = Secret(name="pepper", version=1, value=b"p" * 32)
ADA = identifier_from_text("ada@example.org")
REF = SubjectRef(UUID(int=1))
identifiers = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)


def keyring(**replaced: Secret) -> Keyring:
    secrets = {name.value: Secret(name=name, version=1, value=name.encode().ljust(32, b".")) for name in SecretName}
    return Keyring((secrets | replaced).values())


def test_a_wrapped_secret_opens_with_its_key() -> None:
    wrapped = WrappingKey("first").wrap(PEPPER)
    assert PEPPER.value not in wrapped
    assert WrappingKey("first").unwrap(wrapped, name="pepper", version=1) == PEPPER.value


def test_another_key_does_not_open_it() -> None:
    wrapped = WrappingKey("first").wrap(PEPPER)
    assert WrappingKey("second").unwrap(wrapped, name="pepper", version=1) is None


@pytest.mark.parametrize(("name", "version"), [("pepper", 2), ("media", 1)])
def test_a_wrapped_secret_cannot_be_passed_off_as_another(name: str, version: int) -> None:
    wrapped = WrappingKey("first").wrap(PEPPER)
    assert WrappingKey("first").unwrap(wrapped, name=name, version=version) is None


@given(st.integers(min_value=0, max_value=8 * 61 - 1))
def test_a_changed_bit_does_not_pass(bit: int) -> None:
    wrapped = bytearray(WrappingKey("first").wrap(PEPPER))
    assert len(wrapped) == 61
    wrapped[bit // 8] ^= 1 << bit % 8
    assert WrappingKey("first").unwrap(bytes(wrapped), name="pepper", version=1) is None


@given(st.binary(max_size=80))
def test_junk_does_not_open(junk: bytes) -> None:
    assert WrappingKey("first").unwrap(junk, name="pepper", version=1) is None


def test_wrapping_twice_gives_different_bytes() -> None:
    key = WrappingKey("first")
    assert key.wrap(PEPPER) != key.wrap(PEPPER)


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="CONSENT_PROXY_SECRET_KEY"):
        WrappingKey("")


def test_new_secrets_are_32_random_bytes() -> None:
    first, second = new_secret("media"), new_secret("media", version=2)
    assert len(first.value) == len(second.value) == 32
    assert first.value != second.value
    assert second.version == 2


def test_no_representation_shows_a_secret() -> None:
    shown = f"{PEPPER!r} {WrappingKey('first-secret-key')!r} {keyring()!r}"
    assert "ppp" not in shown
    assert "first-secret-key" not in shown
    assert "pepper...." not in shown
    assert "pepper/1" in repr(keyring())


def test_a_keyring_is_not_written_down_by_accident() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(keyring())


def test_a_keyring_without_a_secret_says_which() -> None:
    with pytest.raises(LookupError, match="pepper"):
        Keyring([])


def test_the_newest_version_that_is_not_retired_is_current() -> None:
    retired = Secret(name="media", version=3, value=b"3" * 32, retired_at=datetime(2026, 1, 1, tzinfo=UTC))
    newer = Secret(name="media", version=2, value=b"2" * 32)
    ring = Keyring([*(new_secret(name) for name in SecretName), newer, retired])
    assert ring.current(SecretName.MEDIA) == newer
    assert [secret.version for secret in ring.versions(SecretName.MEDIA)] == [3, 2, 1]


@given(identifiers, identifiers)
def test_two_identifiers_never_share_a_digest(one: str, other: str) -> None:
    ring = keyring()
    first = ring.subject(SubjectIdentifier(kind=SubjectKind.ACCOUNT, value=one))
    second = ring.subject(SubjectIdentifier(kind=SubjectKind.ACCOUNT, value=other))
    assert len(first) == 32
    assert (first == second) == (one == other)


def test_the_kind_is_part_of_the_identity() -> None:
    ring = keyring()
    session = SubjectIdentifier(kind=SubjectKind.SESSION, value=ADA.value)
    assert ring.subject(ADA) != ring.subject(session)


def test_a_subject_digest_is_worth_nothing_without_the_pepper() -> None:
    assert keyring().subject(ADA) != keyring(pepper=new_secret("pepper")).subject(ADA)


def test_each_recipient_knows_the_subject_by_another_name() -> None:
    ring = keyring()
    names = {ring.pseudonym(REF, recipient=recipient) for recipient in ("fal", "replicate")}
    assert len(names) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
    assert ring.pseudonym(REF, recipient="fal") in names


def test_a_pseudonym_differs_from_subject_to_subject() -> None:
    ring = keyring()
    assert ring.pseudonym(REF, recipient="fal") != ring.pseudonym(SubjectRef(UUID(int=2)), recipient="fal")


def test_an_idempotency_key_belongs_to_its_caller() -> None:
    ring = keyring()
    assert ring.idempotency("k", caller_id=UUID(int=1)) != ring.idempotency("k", caller_id=UUID(int=2))
    assert ring.idempotency("k", caller_id=UUID(int=1)) == ring.idempotency("k", caller_id=UUID(int=1))


def test_a_capability_is_stable_url_safe_and_of_its_job() -> None:
    ring = keyring()
    capability = ring.capability(job_id=UUID(int=1), url="https://v3.fal.media/a.png")
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", capability)
    assert capability == ring.capability(job_id=UUID(int=1), url="https://v3.fal.media/a.png")
    assert capability != ring.capability(job_id=UUID(int=2), url="https://v3.fal.media/a.png")
    assert capability != ring.capability(job_id=UUID(int=1), url="https://v3.fal.media/b.png")


def test_a_url_that_is_no_good_unicode_still_gets_its_capability() -> None:
    assert keyring().capability(job_id=UUID(int=1), url="https://x/\ud800") != keyring().capability(
        job_id=UUID(int=1), url="https://x/\ud801"
    )
