"""Asking what would happen: the walk's own decision and minimisation, with nothing sent and nothing recorded."""

from dataclasses import dataclass

from consent_proxy.application.hold_media import MediaRoom
from consent_proxy.application.ports.platform import Clock, Digests
from consent_proxy.application.ports.providers import Provider
from consent_proxy.application.ports.transfers import FactsSource
from consent_proxy.application.resolve_media import resolve_media
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.decide import TransferRequest, decide
from consent_proxy.domain.media import MediaOwner
from consent_proxy.domain.minimise import DroppedField, media_in, minimise
from consent_proxy.domain.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the walk would come to: ``refusal`` is ``None`` for a permit. ``would_send`` are paths of the manifest."""

    refusal: Refusal | None
    would_send: tuple[str, ...] = ()
    would_drop: tuple[DroppedField, ...] = ()


async def check(
    request: TransferRequest,
    *,
    provider: Provider,
    facts: FactsSource,
    media: MediaRoom,
    digests: Digests,
    clock: Clock,
) -> Checked:
    """Decide and minimise on facts of now. Raises ``LedgerUnavailable``.

    Nothing is fetched: of media it is told whether they are held and may be named, not what is in them.
    """
    purpose = request.manifest.purpose if request.manifest is not None else Purpose.GENERATION
    known = await facts.facts(request.subject_ref, purpose=purpose, fresh=True)
    decision = decide(request, known, at=clock.now())
    if isinstance(decision, Refusal):
        return Checked(refusal=decision)
    pseudonym = digests.pseudonym(decision.subject_ref, recipient=decision.recipient)
    named = media_in(request.payload, decision.manifest, decision, strict=request.strict)
    if isinstance(named, Refusal):
        return Checked(refusal=named)
    owner = MediaOwner(caller_id=request.credential.caller_id, subject_ref=decision.subject_ref)
    found = await resolve_media(
        named, owner=owner, provider=provider, salt=known.salt, room=media, clock=clock, look_in=False
    )
    payload = minimise(
        request.payload, decision.manifest, decision, pseudonym=pseudonym, strict=request.strict, media=found
    )
    if isinstance(payload, Refusal):
        return Checked(refusal=payload)
    return Checked(refusal=None, would_send=payload.fields_sent, would_drop=payload.fields_dropped)
