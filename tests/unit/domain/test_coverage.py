"""What a manifest sends beyond what people were told, or beyond the contract, is named."""

from dataclasses import replace
from typing import Any

import pytest

from consent_proxy.domain.categories import GRANTABLE, DataCategory, Purpose
from consent_proxy.domain.coverage import Gap, GapKind, gaps, is_in_use
from consent_proxy.domain.manifests import Field, Manifest
from tests.builders import DAY, NOW, PROMPT, STEPS, a_contract, a_disclosure, a_manifest, a_recipient, some_rules

OPTIONAL_PROMPT = replace(PROMPT, required=False)


def gap(kind: GapKind, *missing: str) -> Gap:
    return Gap(kind=kind, missing=missing)


@pytest.mark.parametrize(
    ("manifest", "rules", "expected"),
    [
        (a_manifest(), {}, []),
        (a_manifest(PROMPT, Field(path="hook", category=DataCategory.ONWARD)), {}, []),
        (a_manifest(), {"disclosures": ()}, [gap(GapKind.NO_DISCLOSURE)]),
        (a_manifest(), {"contracts": ()}, [gap(GapKind.NO_CONTRACT)]),
        (a_manifest(), {"contracts": (a_contract(valid_until=NOW),)}, [gap(GapKind.NO_CONTRACT)]),
        (
            a_manifest(recipient="luma"),
            {"contracts": (a_contract(recipient="luma"),)},
            [gap(GapKind.PURPOSE_NOT_DISCLOSED, "generation")],
        ),
        (
            a_manifest(OPTIONAL_PROMPT, STEPS),
            {"disclosures": (a_disclosure(purposes={Purpose.GENERATION: frozenset({DataCategory.SETTING})}),)},
            [gap(GapKind.CATEGORY_NOT_DISCLOSED, "prompt")],
        ),
        (
            a_manifest(),
            {"disclosures": (a_disclosure(recipients=(a_recipient(categories=frozenset({DataCategory.PROMPT})),)),)},
            [gap(GapKind.CATEGORY_NOT_DISCLOSED, "setting")],
        ),
        (
            a_manifest(OPTIONAL_PROMPT, STEPS),
            {"contracts": (a_contract(categories=GRANTABLE - {DataCategory.PROMPT}),)},
            [gap(GapKind.CONTRACT_DOES_NOT_COVER, "prompt")],
        ),
        (
            a_manifest(),
            {"contracts": (a_contract(purposes=frozenset({Purpose.TRAINING})),)},
            [gap(GapKind.CONTRACT_DOES_NOT_COVER, "generation")],
        ),
        (
            a_manifest(sub_processors=("google", "moonshot")),
            {},
            [gap(GapKind.SUB_PROCESSOR_NOT_IN_CONTRACT, "moonshot")],
        ),
        (
            a_manifest(),
            {"contracts": (a_contract(own_purposes_excluded=False),)},
            [gap(GapKind.CONTRACT_PROMISES_TOO_LITTLE)],
        ),
    ],
)  # fmt: skip
def test_each_thing_missing_is_a_gap(manifest: Manifest, rules: dict[str, Any], expected: list[Gap]) -> None:
    assert list(gaps(manifest, some_rules(**rules), at=NOW)) == expected


def test_a_recipient_is_in_use_where_it_is_disclosed_or_under_contract() -> None:
    assert is_in_use("replicate", some_rules(contracts=()), at=NOW)
    assert is_in_use("fal", some_rules(disclosures=()), at=NOW)
    assert not is_in_use("fal", some_rules(disclosures=()), at=NOW + DAY)
    assert not is_in_use("luma", some_rules(), at=NOW)
