"""The desk at a service somewhere else: its control API, with the rights of one key."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

from consent_proxy.adapters.control_api import ControlApi, Parameters
from consent_proxy.adapters.http import Outbound, OutboundTransport
from consent_proxy.application.ports.desk import ListedContract, ListedDisclosures, ListedKey
from consent_proxy.application.ports.pages import PageOf
from consent_proxy.application.ports.records import TransferQuery
from consent_proxy.application.ports.rules import VersionTaken
from consent_proxy.domain.callers import Role
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.documents import contract_from_document, disclosure_from_document
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectIdentifier

_NOT_FOUND = frozenset({HTTPStatus.NOT_FOUND.value})
_AT_ONCE = 1000
#: A disclosure is as long as its languages are many.
_DISCLOSURES_AT_ONCE = 50
#: What the API adds to a disclosure's document when it shows it.
_ADDED = frozenset({"published_at", "sha256"})


@asynccontextmanager
async def open_http_desk(*, url: str, key: str) -> AsyncIterator["HttpControlDesk"]:
    """A desk at the service of that address. Raises ``UnusableAddress``."""
    outbound = Outbound(OutboundTransport())
    try:
        yield HttpControlDesk(ControlApi(outbound, url=url, key=key))
    finally:
        await outbound.aclose()


class HttpControlDesk:
    """Fulfils ``ControlDesk``."""

    def __init__(self, api: ControlApi) -> None:
        self._api = api

    async def create_key(
        self, *, caller: str, roles: frozenset[Role], expires_at: datetime | None
    ) -> tuple[ListedKey, str]:
        """See ``ControlDesk``."""
        body: dict[str, Json] = {"caller": caller, "roles": [role.value for role in sorted(roles)]}
        if expires_at is not None:
            body["expires_at"] = expires_at.isoformat()
        made = (await self._api.ask("POST", "/v1/keys", body=body)).content
        with self._api.expected():
            return _key(made), str(made["key"])

    async def keys(self) -> Sequence[ListedKey]:
        """See ``ControlDesk``."""
        with self._api.expected():
            return [_key(item) for item in await self._api.items("/v1/keys", parameters=_OLDEST, limit=_AT_ONCE)]

    async def revoke_key(self, key_id: UUID) -> bool:
        """See ``ControlDesk``."""
        return (await self._api.ask("DELETE", f"/v1/keys/{key_id}", known=_NOT_FOUND)).status not in _NOT_FOUND

    async def publish(self, document: Mapping[str, Json]) -> bool:
        """See ``ControlDesk``."""
        taken = frozenset({HTTPStatus.CONFLICT.value})
        answered = await self._api.ask("POST", "/v1/disclosures", body=document, known=taken)
        if answered.status in taken:
            raise VersionTaken(str(answered.content["detail"]))
        return answered.status == HTTPStatus.CREATED

    async def disclosures(self) -> ListedDisclosures:
        """See ``ControlDesk``."""
        current = await self._api.ask("GET", "/v1/disclosures/current", known=_NOT_FOUND)
        with self._api.expected():
            items = await self._api.items("/v1/disclosures", limit=_DISCLOSURES_AT_ONCE)
            return ListedDisclosures(
                versions=tuple(map(_disclosure, items)),
                current=str(current.content["version"]) if current.status not in _NOT_FOUND else None,
            )

    async def put_contract(self, recipient: str, document: Mapping[str, Json]) -> UUID:
        """See ``ControlDesk``."""
        put = (await self._api.ask("PUT", f"/v1/contracts/{quote(recipient, safe='')}", body=document)).content
        with self._api.expected():
            return UUID(put["id"])

    async def contracts(self) -> Sequence[ListedContract]:
        """See ``ControlDesk``."""
        with self._api.expected():
            items = await self._api.items("/v1/contracts", parameters=_OLDEST, limit=_AT_ONCE)
            # The last put whose period contains the moment is in force, and the service says which contain its now.
            in_force = {item["recipient"]: item["id"] for item in items if item["in_period"]}
            ordered = sorted(items, key=lambda item: str(item["recipient"]))
            return [_contract(item, in_force=in_force.get(item["recipient"]) == item["id"]) for item in ordered]

    async def end_contract(self, recipient: str) -> datetime | None:
        """See ``ControlDesk``."""
        ended = await self._api.ask("DELETE", f"/v1/contracts/{quote(recipient, safe='')}", known=_NOT_FOUND)
        with self._api.expected():
            return datetime.fromisoformat(ended.content["ended_at"]) if ended.status not in _NOT_FOUND else None

    async def transfers(self, query: TransferQuery, *, subject: SubjectIdentifier | None) -> PageOf[Mapping[str, Json]]:
        """See ``ControlDesk``."""
        part = [("limit", str(query.page.limit))]
        if query.page.cursor is not None:
            part.append(("cursor", query.page.cursor))
        parameters = [*_parameters(query), *part]
        page = (await self._api.ask("GET", "/v1/transfers", parameters=parameters, headers=_about(subject))).content
        with self._api.expected():
            return PageOf(items=tuple(dict(item) for item in page["items"]), next_cursor=page["next_cursor"])

    async def export(
        self, query: TransferQuery, *, subject: SubjectIdentifier | None
    ) -> AsyncGenerator[Mapping[str, Json], None]:
        """See ``ControlDesk``."""
        stream = self._api.lines("/v1/transfers/export", parameters=_parameters(query), headers=_about(subject))
        async with aclosing(stream) as records:
            async for record in records:
                yield record

    async def models(self, *, provider: str | None = None, model: str | None = None) -> list[dict[str, Any]]:
        """The manifests in force there, as the API shows them. Raises as ``ControlDesk`` does."""
        given = [(name, value) for name, value in (("provider", provider), ("model", model)) if value is not None]
        page = (await self._api.ask("GET", "/v1/models", parameters=given)).content
        with self._api.expected():
            return [dict(item) for item in page["items"]]


_OLDEST: Parameters = [("order", "asc")]


def _parameters(query: TransferQuery) -> Parameters:
    page = query.page
    given: list[tuple[str, str]] = [("order", "desc" if page.descending else "asc")]
    given += [(name, value) for name, values in (query.filters or {}).items() for value in values]
    if query.subject_ref is not None:
        given.append(("subject_ref", str(query.subject_ref)))
    given += [(name, at.isoformat()) for name, at in (("from", page.from_at), ("to", page.to_at)) if at is not None]
    return given


def _about(subject: SubjectIdentifier | None) -> dict[str, str]:
    """A person's identifier travels in a header, never in an address."""
    if subject is None:
        return {}
    return {"Consent-Subject": quote(subject.value, safe=""), "Consent-Subject-Kind": subject.kind.value}


def _key(item: Mapping[str, Any]) -> ListedKey:
    return ListedKey(
        id=UUID(item["id"]),
        caller=str(item["caller"]),
        roles=frozenset(map(str, item["roles"])),
        created_at=datetime.fromisoformat(item["created_at"]),
        expires_at=_moment(item["expires_at"]),
        revoked_at=_moment(item["revoked_at"]),
        last_used_at=_moment(item["last_used_at"]),
    )


def _disclosure(item: Mapping[str, Any]) -> Disclosure:
    document = {name: value for name, value in item.items() if name not in _ADDED}
    return disclosure_from_document(document, published_at=datetime.fromisoformat(item["published_at"]))


def _contract(item: Mapping[str, Any], *, in_force: bool) -> ListedContract:
    contract = contract_from_document(
        item,
        id=UUID(item["id"]),
        recipient=item["recipient"],
        put_at=datetime.fromisoformat(item["put_at"]),
        ended_at=_moment(item["ended_at"]),
    )
    return ListedContract(contract=contract, in_force=in_force)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
