"""Subject tokens: what we minted reads back as it was, and nobody else's reads at all."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.adapters.secrets import Keyring, Secret, SecretName, new_secret
from consent_proxy.adapters.tokens import JwtTokenSigner
from consent_proxy.domain.callers import Credential, CredentialKind, Role, Scope
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.subjects import SubjectKind, SubjectRef

NOW = datetime(2026, 3, 3, 12, 0, 0, 123_456, tzinfo=UTC)
FIRST = Secret(name="token-signing", version=1, value=b"1" * 32)
SECOND = Secret(name="token-signing", version=2, value=b"2" * 32)


def signer(*keys: Secret) -> JwtTokenSigner:
    others = [new_secret(name) for name in SecretName if name is not SecretName.TOKEN_SIGNING]
    return JwtTokenSigner(Keyring([*others, *(keys or (FIRST,))]))


def credential(**changed: Any) -> Credential:
    usual: dict[str, Any] = {
        "kind": CredentialKind.SUBJECT_TOKEN,
        "id": "0190-token",
        "caller_id": UUID(int=7),
        "caller": "web-backend",
        "roles": frozenset(),
        "issued_at": NOW,
        "expires_at": NOW + timedelta(minutes=15),
        "subject_ref": SubjectRef(UUID(int=9)),
        "subject_kind": SubjectKind.SESSION,
        "scopes": frozenset({Scope.AI}),
        "purposes": frozenset({Purpose.GENERATION}),
    }
    return Credential(**(usual | changed))


def forged(claims: dict[str, Any], *, key: bytes = FIRST.value, kid: Any = "1", alg: str = "HS256") -> str:
    return "cps_" + jwt.encode(claims, key, algorithm=alg, headers={"kid": kid} if kid is not None else None)


def claims_of(token: str) -> dict[str, Any]:
    body = token.removeprefix("cps_").split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert isinstance(claims, dict)
    return claims


@st.composite
def credentials(draw: st.DrawFn) -> Credential:
    issued_at = NOW + draw(st.timedeltas(timedelta(days=-900), timedelta(days=25_000)))
    return credential(
        issued_at=issued_at,
        expires_at=issued_at + draw(st.timedeltas(timedelta(microseconds=1), timedelta(hours=24))),
        caller=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=64)),
        scopes=draw(st.frozensets(st.sampled_from(Scope))),
        purposes=draw(st.none() | st.frozensets(st.sampled_from(Purpose))),
        subject_kind=draw(st.sampled_from(SubjectKind)),
    )


@given(credentials())
def test_a_minted_token_reads_back_as_it_was(minted: Credential) -> None:
    assert signer().read(signer().mint(minted)) == minted


def test_an_expired_token_is_still_read_so_that_the_edge_can_say_so() -> None:
    long_ago = credential(issued_at=NOW - timedelta(days=900), expires_at=NOW - timedelta(days=899, hours=1))
    assert signer().read(signer().mint(long_ago)) == long_ago


def test_a_token_opens_with_cps_and_names_its_key() -> None:
    token = signer().mint(credential())
    assert token.startswith("cps_")
    assert jwt.get_unverified_header(token.removeprefix("cps_")) == {"alg": "HS256", "typ": "JWT", "kid": "1"}


def test_a_token_holds_the_reference_and_nothing_else_of_the_subject() -> None:
    assert set(claims_of(signer().mint(credential()))) == {
        *("sub", "sk", "cid", "cal", "scp", "pur", "iat", "exp", "jti")
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": CredentialKind.SERVICE_KEY},
        {"subject_ref": None},
        {"subject_kind": None},
        {"issued_at": None},
        {"expires_at": None},
        {"expires_at": NOW},
        {"expires_at": NOW + timedelta(hours=24, microseconds=1)},
    ],
)
def test_what_is_no_subject_token_of_a_day_at_most_is_not_minted(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="subject token"):
        signer().mint(credential(**changed))


def test_a_token_carries_no_roles() -> None:
    read = signer().read(signer().mint(credential(roles=frozenset(Role))))
    assert read is not None
    assert read.roles == frozenset()


def test_a_token_of_an_older_key_is_read_until_that_key_is_retired() -> None:
    token = signer(FIRST).mint(credential())
    assert signer(FIRST, SECOND).read(token) == credential()
    retired = Secret(name="token-signing", version=1, value=FIRST.value, retired_at=NOW)
    assert signer(retired, SECOND).read(token) is None


def test_the_newest_key_signs() -> None:
    token = signer(FIRST, SECOND).mint(credential())
    assert jwt.get_unverified_header(token.removeprefix("cps_"))["kid"] == "2"


def test_a_token_signed_with_another_key_is_nobodys() -> None:
    claims = claims_of(signer().mint(credential()))
    assert signer().read(forged(claims)) == credential()
    assert signer().read(forged(claims, key=b"x" * 32)) is None
    assert signer(FIRST, SECOND).read(forged(claims, key=SECOND.value, kid="1")) is None


@pytest.mark.parametrize("kid", [None, "9", "", "../1"])
def test_a_token_that_names_no_key_of_ours_is_nobodys(kid: str | None) -> None:
    assert signer().read(forged(claims_of(signer().mint(credential())), kid=kid)) is None


def test_a_token_without_a_signature_is_nobodys() -> None:
    claims = claims_of(signer().mint(credential()))
    unsigned = "cps_" + jwt.encode(claims, "", algorithm="none", headers={"kid": "1"})
    assert signer().read(unsigned) is None
    assert signer().read(signer().mint(credential()).rpartition(".")[0] + ".") is None


def test_a_token_of_another_algorithm_is_nobodys() -> None:
    claims = claims_of(signer().mint(credential()))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = forged(claims, alg="HS512")
    assert signer().read(token) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"sub": "not-a-uuid"},
        {"sub": None},
        {"sk": "robot"},
        {"scp": ["admin"]},
        {"scp": None},
        {"pur": ["everything"]},
        {"iat": "yesterday"},
        {"exp": 1e40},
        {"jti": 7},
        {"cid": ""},
    ],
)
def test_claims_of_a_wrong_shape_are_nobodys(broken: dict[str, Any]) -> None:
    claims = claims_of(signer().mint(credential()))
    assert signer().read(forged(claims | broken)) is None


def test_a_token_that_lacks_its_purposes_does_not_thereby_cover_all() -> None:
    claims = claims_of(signer().mint(credential()))
    del claims["pur"]
    assert signer().read(forged(claims)) is None


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_junk_is_nobodys(junk: str) -> None:
    assert signer().read(junk) is None
    assert signer().read("cps_" + junk) is None


@given(st.data())
def test_a_changed_character_makes_it_nobodys(data: st.DataObject) -> None:
    token = signer().mint(credential())
    place = data.draw(st.integers(min_value=0, max_value=len(token) - 2))
    character = data.draw(st.sampled_from("Aa0-_.~"))
    changed = token[:place] + character + token[place + 1 :]
    assert (signer().read(changed) == credential()) == (changed == token)


def test_a_very_long_token_is_not_looked_at() -> None:
    assert signer().read("cps_" + "a" * 5_000 + ".b.c") is None


def test_no_representation_shows_the_key() -> None:
    assert "111" not in repr(signer())
