"""Disclosures over HTTP: publish, list, show the one in force."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from consent_proxy.api.answers import PageOut, ShownDisclosureOut
from consent_proxy.api.listing import PageQuery, part_of
from consent_proxy.api.problems import Problem
from consent_proxy.api.routing import CurrentVisit, StrictRoute, not_found, services_of
from consent_proxy.api.schemas import DisclosureIn
from consent_proxy.application.ports.rules import VersionTaken
from consent_proxy.application.show_disclosure import ShownDisclosure, show_disclosure
from consent_proxy.domain.callers import Role
from consent_proxy.domain.disclosures import Disclosure, disclosure_sha256
from consent_proxy.domain.documents import disclosure_from_document
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason

router = APIRouter(prefix="/v1/disclosures", tags=["disclosures"], route_class=StrictRoute)


@router.post(
    "",
    operation_id="publishDisclosure",
    status_code=201,
    responses={200: {"description": "The same version was there already."}},
)
async def publish(disclosure: DisclosureIn, visit: CurrentVisit) -> JSONResponse:
    """Publish an immutable version: 201; the same again: 200; something else under that version: 409."""
    visit.require_role(Role.ADMIN)
    # What is kept and hashed is what was sent, member for member, not what a parser made of it.
    document: dict[str, Json] = json.loads(visit.body)
    published = disclosure_from_document(document, published_at=visit.services.clock.now())
    try:
        new = await visit.services.rulebook.publish(published, by=visit.credential.caller)
    except VersionTaken:
        detail = f"version '{disclosure.version}' is published and says something else: choose a new version"
        raise Problem(Reason.ALREADY_EXISTS, detail) from None
    return JSONResponse(_published(published), status_code=201 if new else 200)


@router.get(
    "/current",
    operation_id="getCurrentDisclosure",
    response_model=ShownDisclosureOut,
    responses={304: {"description": "It is still the one whose ETag was sent."}},
)
async def current(
    request: Request, response: Response, locale: Annotated[str | None, Query(max_length=35)] = None
) -> ShownDisclosureOut | Response:
    """The version in force, in the language asked for. No credential: an app shows it before anyone has logged in."""
    services = services_of(request)
    disclosure = (await services.facts.rules(fresh=True)).current(at=services.clock.now())
    if disclosure is None:
        raise Problem(Reason.NOT_FOUND, "no disclosure is in force yet: publish one with POST /v1/disclosures")
    shown = show_disclosure(disclosure, locale=locale)
    headers = {"etag": f'"{shown.sha256}"', "cache-control": "no-cache", "content-language": shown.locale}
    if _has_it(request.headers.get("if-none-match"), tag=headers["etag"]):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return shown_out(shown)


def _has_it(condition: str | None, *, tag: str) -> bool:
    """Whether the reader has what the tag names; proxies that compress make tags weak (RFC 9110 §13.1.2)."""
    given = {part.strip().removeprefix("W/") for part in (condition or "").split(",")}
    return tag in given or "*" in given


@router.get("", operation_id="listDisclosures")
async def list_all(visit: CurrentVisit, query: PageQuery) -> PageOut:
    """Every version published, by when it takes effect, the newest first."""
    visit.require_role(Role.CONSENT, Role.AUDITOR)
    rules = await visit.services.facts.rules(fresh=False)
    part = part_of(rules.disclosures, query.page, key=lambda known: known.version, at=lambda known: known.effective_at)
    return PageOut(items=[_published(disclosure) for disclosure in part.items], next_cursor=part.next_cursor)


@router.get("/{version}", operation_id="getDisclosure")
async def one(version: str, visit: CurrentVisit) -> dict[str, Any]:
    """One version, as it was published, with its digest in each language."""
    visit.require_role(Role.CONSENT, Role.AUDITOR)
    disclosure = (await visit.services.facts.rules(fresh=False)).disclosure(version)
    if disclosure is None:
        raise not_found("disclosure")
    return _published(disclosure)


def _published(disclosure: Disclosure) -> dict[str, Any]:
    digests = {locale: disclosure_sha256(disclosure.document, locale=locale) for locale in disclosure.locales()}
    return {**disclosure.document, "published_at": disclosure.published_at.isoformat(), "sha256": digests}


def shown_out(shown: ShownDisclosure) -> ShownDisclosureOut:
    """The JSON of a disclosure in one language."""
    return ShownDisclosureOut.model_validate(
        {
            "version": shown.version,
            "locale": shown.locale,
            "dir": shown.direction,
            "sha256": shown.sha256,
            "effective_at": shown.effective_at,
            "controller": shown.controller,
            "recipients": shown.recipients,
            "purposes": shown.purposes,
            "categories": shown.categories,
            "text": shown.text,
        }
    )
