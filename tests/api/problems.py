"""What every error of the control API looks like."""

from typing import Any

import httpx


def problem_of(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The RFC 9457 problem an answer is. AssertionError for anything else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    assert (problem["reason"], problem["type"], problem["status"]) == (reason, f"/problems/{reason}", status)
    assert problem["detail"].startswith(f"{reason}: ")
    assert problem["detail"].removeprefix(f"{reason}: ").strip()
    assert problem["title"]
    assert problem["sent"] == "no"
    return problem
