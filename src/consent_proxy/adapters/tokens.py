"""Subject tokens: a credential bound to one subject, signed so that nobody but us can have minted it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from consent_proxy.adapters.secrets import Keyring, SecretName
from consent_proxy.domain.callers import Credential, CredentialKind, Scope
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.subjects import SubjectKind, SubjectRef

PREFIX = "cps_"
MAX_LIFETIME = timedelta(hours=24)
#: A token of ours has a few hundred characters; what is longer is not worth an HMAC.
MAX_LENGTH = 4_096
_ALGORITHM = "HS256"


class JwtTokenSigner:
    """Fulfils ``TokenSigner`` with compact JWS (RFC 7515), HMAC-SHA256; the header's ``kid`` is the key's version."""

    def __init__(self, keyring: Keyring) -> None:
        versions = keyring.versions(SecretName.TOKEN_SIGNING)
        self._current = keyring.current(SecretName.TOKEN_SIGNING)
        self._keys = {str(secret.version): secret.value for secret in versions if secret.retired_at is None}
        # Whether it has expired is the edge's question, and asked of the service's own clock.
        self._jwt = jwt.PyJWT({"verify_exp": False, "verify_iat": False, "verify_nbf": False})

    def __repr__(self) -> str:
        return f"JwtTokenSigner(kids={sorted(self._keys)})"

    def mint(self, credential: Credential) -> str:
        """The token's text, ``cps_…``. Raises ``ValueError`` for what is no subject token or lives over 24 hours."""
        claims = _claims(credential)
        header = {"kid": str(self._current.version)}
        return PREFIX + self._jwt.encode(claims, self._current.value, algorithm=_ALGORITHM, headers=header)

    def read(self, token: str) -> Credential | None:
        """The credential a token stands for, expired or not; ``None`` if its signature or shape is wrong."""
        if not token.startswith(PREFIX) or len(token) > MAX_LENGTH or not token.isascii():
            return None
        compact = token.removeprefix(PREFIX)
        try:
            key = self._keys[jwt.get_unverified_header(compact)["kid"]]
            return _credential(self._jwt.decode(compact, key, algorithms=[_ALGORITHM]))
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError):
            return None


def _claims(credential: Credential) -> dict[str, Any]:
    subject_ref, kind = credential.subject_ref, credential.subject_kind
    issued_at, expires_at = credential.issued_at, credential.expires_at
    if not credential.is_token or subject_ref is None or kind is None or issued_at is None or expires_at is None:
        raise ValueError("only a subject token with a subject, a kind and both its times can be minted")
    if not timedelta(0) < expires_at - issued_at <= MAX_LIFETIME:
        raise ValueError("a subject token lives more than no time and 24 hours at most")
    return {
        "sub": str(subject_ref),
        "sk": kind.value,
        "cid": str(credential.caller_id),
        "cal": credential.caller,
        "scp": sorted(credential.scopes),
        "pur": sorted(credential.purposes) if credential.purposes is not None else None,
        # With the microseconds (RFC 7519 §2, NumericDate): a revocation asks which tokens came before it.
        "iat": issued_at.timestamp(),
        "exp": expires_at.timestamp(),
        "jti": credential.id,
    }


def _credential(claims: dict[str, Any]) -> Credential:
    purposes = claims["pur"]
    return Credential(
        kind=CredentialKind.SUBJECT_TOKEN,
        id=claims["jti"],
        caller_id=UUID(claims["cid"]),
        caller=claims["cal"],
        roles=frozenset(),
        issued_at=datetime.fromtimestamp(claims["iat"], UTC),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        subject_ref=SubjectRef(UUID(claims["sub"])),
        subject_kind=SubjectKind(claims["sk"]),
        scopes=frozenset(map(Scope, claims["scp"])),
        purposes=frozenset(map(Purpose, purposes)) if purposes is not None else None,
    )
