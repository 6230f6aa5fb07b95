"""The list of manifests in force: by provider and model, in parts."""

from typing import Any

import pytest

from tests.api.problems import problem_of
from tests.live import Live


def names(page: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(item["provider"], item["id"], item["purpose"]) for item in page["items"]]


def test_the_manifests_in_force_are_told_with_every_field_that_may_be_sent(live: Live) -> None:
    page = live.done("GET", "/v1/models", params={"provider": "fal", "model": "fal-ai/flux/schnell"})
    assert names(page) == [("fal", "fal-ai/flux/schnell", "generation")]
    prompt = next(field for field in page["items"][0]["fields"] if field["path"] == "prompt")
    assert (prompt["category"], prompt["kind"], prompt["required"]) == ("prompt", "text", True)


def test_the_list_comes_in_parts_without_a_gap_or_a_double(live: Live) -> None:
    whole = names(live.done("GET", "/v1/models", params={"limit": 1000}))
    parts: list[tuple[str, str, str]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = live.done("GET", "/v1/models", params={"limit": 3, **cursor})
        parts += names(page)
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(whole) > 3
    assert parts == whole


@pytest.mark.parametrize("query", [{"limit": "0"}, {"cursor": "mine"}, {"providers": "fal"}], ids=str)
def test_a_query_that_cannot_be_is_an_error(live: Live, query: dict[str, str]) -> None:
    problem_of(live.call("GET", "/v1/models", params=query), 422, "body-invalid")
