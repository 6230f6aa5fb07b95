"""Asking what would happen: the walk's own decision and minimisation, with nothing sent and nothing recorded."""

from dataclasses import dataclass

from consent_proxy.application.ports.platform import Clock, Digests
from consent_proxy.application.ports.transfers import FactsSource
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.decide import TransferRequest, decide
from consent_proxy.domain.minimise import DroppedField, minimise
from consent_proxy.domain.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the walk would come to: ``refusal`` is ``None`` for a permit. ``would_send`` are paths of the manifest."""

    refusal: Refusal | None
    would_send: tuple[str, ...] = ()
    would_drop: tuple[DroppedField, ...] = ()


async def check(request: TransferRequest, *, facts: FactsSource, digests: Digests, clock: Clock) -> Checked:
    """Decide and minimise on facts of now. Raises ``LedgerUnavailable``."""
    purpose = request.manifest.purpose if request.manifest is not None else Purpose.GENERATION
    known = await facts.facts(request.subject_ref, purpose=purpose, fresh=True)
    decision = decide(request, known, at=clock.now())
    if isinstance(decision, Refusal):
        return Checked(refusal=decision)
    pseudonym = digests.pseudonym(decision.subject_ref, recipient=decision.recipient)
    payload = minimise(request.payload, decision.manifest, decision, pseudonym=pseudonym, strict=request.strict)
    if isinstance(payload, Refusal):
        return Checked(refusal=payload)
    return Checked(refusal=None, would_send=payload.fields_sent, would_drop=payload.fields_dropped)
