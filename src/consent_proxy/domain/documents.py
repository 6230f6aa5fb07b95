"""Reading disclosures and contracts out of the JSON they were published as. The edge has validated it before."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.contracts import Contract, SubProcessor
from consent_proxy.domain.disclosures import DisclosedRecipient, Disclosure, parse_duration


def disclosure_from_document(document: Mapping[str, Any], *, published_at: datetime) -> Disclosure:
    """The disclosure a document of the contract's shape describes. Raises ``KeyError`` or ``ValueError``."""
    valid_for = document.get("consent_valid_for")
    return Disclosure(
        version=document["version"],
        effective_at=datetime.fromisoformat(document["effective_at"]),
        published_at=published_at,
        material=document["material"],
        outdates_at=_moment(document.get("outdates_at")),
        consent_valid_for=parse_duration(valid_for) if valid_for is not None else None,
        recipients=tuple(_recipient(recipient) for recipient in document["recipients"]),
        purposes={Purpose(purpose["id"]): _categories(purpose["categories"]) for purpose in document["purposes"]},
        document=document,
    )


def contract_from_document(
    document: Mapping[str, Any], *, id: UUID, recipient: str, put_at: datetime, ended_at: datetime | None = None
) -> Contract:
    """The contract a document of the contract's shape describes. Raises ``KeyError`` or ``ValueError``."""
    return Contract(
        id=id,
        recipient=recipient,
        legal_entity=document["legal_entity"],
        reference=document["reference"],
        purposes=frozenset(Purpose(purpose) for purpose in document["purposes"]),
        categories=_categories(document["categories"]),
        countries=tuple(document["countries"]),
        sub_processors=tuple(
            SubProcessor(id=processor["id"], legal_entity=processor["legal_entity"], country=processor["country"])
            for processor in document.get("sub_processors") or ()
        ),
        transfer_mechanism=document.get("transfer_mechanism"),
        equal_protection=document["equal_protection"],
        own_purposes_excluded=document["own_purposes_excluded"],
        valid_from=datetime.fromisoformat(document["valid_from"]),
        valid_until=_moment(document.get("valid_until")),
        put_at=put_at,
        ended_at=ended_at,
    )


def contract_to_document(contract: Contract) -> dict[str, Any]:
    """The document of a contract, as it is kept and shown."""
    return {
        "legal_entity": contract.legal_entity,
        "reference": contract.reference,
        "purposes": sorted(contract.purposes),
        "categories": sorted(contract.categories),
        "countries": list(contract.countries),
        "sub_processors": [
            {"id": processor.id, "legal_entity": processor.legal_entity, "country": processor.country}
            for processor in contract.sub_processors
        ],
        "transfer_mechanism": contract.transfer_mechanism,
        "equal_protection": contract.equal_protection,
        "own_purposes_excluded": contract.own_purposes_excluded,
        "valid_from": contract.valid_from.isoformat(),
        "valid_until": contract.valid_until.isoformat() if contract.valid_until is not None else None,
    }


def _recipient(document: Mapping[str, Any]) -> DisclosedRecipient:
    purposes, categories = document.get("purposes"), document.get("categories")
    return DisclosedRecipient(
        id=document["id"],
        legal_entity=document["legal_entity"],
        country=document["country"],
        purposes=frozenset(Purpose(purpose) for purpose in purposes) if purposes is not None else None,
        categories=_categories(categories) if categories is not None else None,
    )


def _categories(names: list[str]) -> frozenset[DataCategory]:
    return frozenset(DataCategory(name) for name in names)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
