"""Disclosures and contracts as an operator publishes them."""

from typing import Any

from consent_proxy.domain.payloads import Json

TEXT: dict[str, Json] = {
    "title": "Your pictures",
    "body": "What you write goes to fal.",
    "sections": [{"heading": "Who", "text": "fal, in the United States."}],
    "accept_label": "Yes",
    "decline_label": "No",
    "withdrawal_hint": "In the settings.",
}


def a_disclosure(version: str, **members: Any) -> dict[str, Any]:
    """A disclosure in English and German that names fal, generation, prompts and settings."""
    document: dict[str, Any] = {
        "version": version,
        "effective_at": "2026-04-01T00:00:00Z",
        "material": False,
        "approved_by": "the data protection officer",
        "controller": {"name": "Example Ltd", "contact": "privacy@example.com", "policy_url": "https://example.com/p"},
        "recipients": [{"id": "fal", "legal_entity": "Features & Labels, Inc.", "country": "US"}],
        "purposes": [
            {
                "id": "generation",
                "categories": ["prompt", "setting"],
                "description": {"en": "To make pictures", "de": "Um Bilder zu machen"},
            }
        ],
        "categories": {
            "prompt": {"en": "What you write", "de": "Was Sie schreiben"},
            "setting": {"en": "Settings", "de": "Einstellungen"},
        },
        "texts": {"en": TEXT, "de": {**TEXT, "title": "Ihre Bilder"}},
    }
    return document | members


def a_contract(**members: Any) -> dict[str, Any]:
    """A contract that covers generation with prompts and settings, from 2026 on."""
    document: dict[str, Any] = {
        "legal_entity": "Features & Labels, Inc.",
        "reference": "DPA-2026-1",
        "purposes": ["generation"],
        "categories": ["prompt", "setting"],
        "countries": ["US"],
        "sub_processors": [{"id": "google", "legal_entity": "Google LLC", "country": "US"}],
        "transfer_mechanism": "SCC",
        "equal_protection": True,
        "own_purposes_excluded": True,
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": None,
    }
    return document | members
