"""Who is at the door: from headers to a credential, and from there to the subject whose data is at stake."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from consent_proxy.api.problems import Problem
from consent_proxy.api.requests import RequestHead
from consent_proxy.application.ports.consent import Subjects
from consent_proxy.application.ports.platform import Clock, TokenSigner
from consent_proxy.application.ports.rules import Rulebook
from consent_proxy.application.ports.transfers import FactsSource
from consent_proxy.application.recognise import is_one_person
from consent_proxy.domain.callers import BOOTSTRAP_CALLER, TOKEN_PREFIX, Credential, CredentialKind, Role, Scope
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import (
    SubjectIdentifier,
    SubjectInvalid,
    SubjectKind,
    SubjectRef,
    identifier_from_header,
    identifier_from_text,
)

_SCHEMES = frozenset({"bearer", "key", "token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What telling one caller from another needs. ``bootstrap_digest`` is the SHA-256 of the bootstrap key, if set."""

    signer: TokenSigner
    facts: FactsSource
    subjects: Subjects
    clock: Clock
    bootstrap_digest: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The subject a request is about."""

    ref: SubjectRef
    kind: SubjectKind


class CredentialExpired(Problem):
    """A key or token that is ours and whose time is over. ``credential`` says whose it was: a token names a subject."""

    def __init__(self, credential: Credential) -> None:
        super().__init__(Reason.CREDENTIAL_EXPIRED, "this key or token has expired: get a new one")
        self.credential = credential


async def authenticate(head: RequestHead, *, door: Door, fresh: bool) -> Credential:
    """The credential of a request. ``fresh`` reads the rules' edition from the database first.

    Raises ``Problem`` (missing, invalid, expired) and ``LedgerUnavailable``. A remembered no is read again first.
    """
    secret = _secret(head)
    credential = _known(secret, await door.facts.rules(fresh=fresh), door=door)
    if credential is None and not fresh:
        credential = _known(secret, await door.facts.rules(fresh=True), door=door)
    if credential is None:
        raise Problem(Reason.CREDENTIAL_INVALID, "this key or token is not known here, or was revoked")
    if credential.expires_at is not None and door.clock.now() >= credential.expires_at:
        raise CredentialExpired(credential)
    return credential


def authenticate_last(head: RequestHead, *, door: Door) -> Credential | None:
    """The credential by the rules that were read last, however long ago: for what opens nothing of anybody's."""
    rules = door.facts.last_rules()
    credential = _known(_secret(head), rules, door=door) if rules is not None else None
    expired = credential is not None and credential.expires_at is not None and door.clock.now() >= credential.expires_at
    return None if expired else credential


async def note_use(credential: Credential, *, rulebook: Rulebook, clock: Clock) -> None:
    """Remember, to the minute, that a service key was used."""
    if credential.kind is CredentialKind.SERVICE_KEY:
        await rulebook.note_key_used(UUID(credential.id), at=clock.now())


def require_role(credential: Credential, *roles: Role) -> None:
    """Let a key with any of the roles through. Raises ``Problem`` for tokens and for keys that lack them all."""
    if credential.is_token or not credential.roles.intersection(roles):
        names = " or ".join(f"'{role}'" for role in roles)
        raise Problem(Reason.ROLE_MISSING, f"this needs a service key with the role {names}")


def require(credential: Credential, *, roles: frozenset[Role], scopes: frozenset[Scope]) -> None:
    """Let a key with any of the roles, or a token with any of the scopes, through. Raises ``Problem``."""
    if credential.is_token and not credential.scopes & scopes:
        names = " or ".join(f"'{scope}'" for scope in sorted(scopes))
        raise Problem(
            Reason.ROLE_MISSING, f"this needs a subject token with the scope {names}" if names else _KEYS_ONLY
        )
    if not credential.is_token:
        require_role(credential, *sorted(roles))


_KEYS_ONLY = "this needs a service key; a subject token does not open it"


async def subject_of(
    head: RequestHead, *, credential: Credential, door: Door, create: bool, fresh: bool = False
) -> Subject | None:
    """The subject a request names by header or token, or ``None`` where it names none.

    ``create`` gives an identifier that is new here its reference; without it, a new identifier is ``None``. ``fresh``
    follows links made until now; without it the reference may have been linked some seconds ago, or since the token
    was minted. Raises ``Problem``: an identifier that cannot be one, or one that is not the token's.
    """
    identifier = identifier_in(head)
    own, subjects = credential.subject_ref, door.subjects
    if own is not None and credential.subject_kind is not None:
        if identifier is not None and not await _names(identifier, own, subjects=subjects):
            raise Problem(Reason.SUBJECT_MISMATCH, "the subject token belongs to another subject than Consent-Subject")
        return Subject(ref=await subjects.follow(own) if fresh else own, kind=credential.subject_kind)
    if identifier is None:
        return None
    ref = await (subjects.resolve(identifier, fresh=fresh) if create else subjects.find(identifier, fresh=fresh))
    return Subject(ref=ref, kind=identifier.kind) if ref is not None else None


async def _names(identifier: SubjectIdentifier, own: SubjectRef, *, subjects: Subjects) -> bool:
    """Whether an identifier names the person of a token. A remembered no is read again first."""
    if await subjects.find(identifier) == own:
        return True
    named = await subjects.find(identifier, fresh=True)
    return named is not None and await is_one_person(named, own, subjects=subjects)


def subject_missing() -> Problem:
    """The problem of a request that has to name a subject and does not."""
    return Problem(Reason.SUBJECT_MISSING, "name the person in the header Consent-Subject, or use a subject token")


def identifier_of(subject: str, kind: str | None) -> SubjectIdentifier:
    """The identifier that a body names. Raises ``Problem``."""
    try:
        return identifier_from_text(subject, kind=kind)
    except SubjectInvalid as error:
        raise Problem(Reason.SUBJECT_INVALID, str(error)) from None


def identifier_in(head: RequestHead) -> SubjectIdentifier | None:
    """The identifier that the headers name, if they name one. Raises ``Problem``."""
    raw = head.raw(b"consent-subject")
    kind = head.get("consent-subject-kind")
    if raw is None:
        return None
    try:
        return identifier_from_header(raw, kind=kind)
    except SubjectInvalid as error:
        raise Problem(Reason.SUBJECT_INVALID, str(error)) from None


def _secret(head: RequestHead) -> str:
    scheme, _, secret = (head.get("authorization") or "").partition(" ")
    secret = secret.strip()
    if scheme.lower() not in _SCHEMES or not secret:
        raise Problem(Reason.CREDENTIAL_MISSING, "send Authorization: Bearer, Key or Token, and a key or subject token")
    return secret


def _known(secret: str, rules: Rules, *, door: Door) -> Credential | None:
    if secret.startswith(TOKEN_PREFIX):
        return _token(secret, rules, door=door)
    digest = sha256(secret.encode("latin-1")).digest()
    if door.bootstrap_digest is not None and hmac.compare_digest(digest, door.bootstrap_digest):
        return Credential(
            kind=CredentialKind.BOOTSTRAP,
            id="bootstrap",
            caller_id=BOOTSTRAP_CALLER,
            caller="bootstrap",
            roles=frozenset(Role),
        )
    key = rules.keys.get(digest)
    if key is None or key.revoked_at is not None:
        return None
    return Credential(
        kind=CredentialKind.SERVICE_KEY,
        id=str(key.id),
        caller_id=key.caller_id,
        caller=key.caller,
        roles=key.roles,
        expires_at=key.expires_at,
    )


def _token(secret: str, rules: Rules, *, door: Door) -> Credential | None:
    credential = door.signer.read(secret)
    if credential is None:
        return None
    now = door.clock.now()
    expired = credential.expires_at is not None and now >= credential.expires_at
    return credential if expired or rules.stands(credential, at=now) else None
