"""Who may do what: every address, with every role alone and with every scope alone, as the contract's table has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from consent_proxy.domain.callers import Role, Scope
from tests.api.documents import a_contract, a_disclosure
from tests.live import DISCLOSURE, Live, a_person

NOBODY_YET = "01a2b3c4-0000-7000-8000-00000000dead"
PICTURE = {"prompt": "a boat"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address, a request that is right in every other way, and who may send it."""

    method: str
    path: str
    roles: str = ""
    scopes: str = ""
    about_a_person: bool = False
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


ADDRESSES = (
    Address(
        method="POST",
        path="/v1/disclosures",
        roles="admin",
        body=a_disclosure("of-the-roles", effective_at="2999-01-01T00:00:00Z"),
    ),
    Address(method="GET", path="/v1/disclosures", roles="consent auditor"),
    Address(method="GET", path=f"/v1/disclosures/{DISCLOSURE}", roles="consent auditor"),
    Address(method="PUT", path="/v1/contracts/of-the-roles", roles="admin", body=a_contract()),
    Address(method="DELETE", path="/v1/contracts/of-nobody", roles="admin"),
    Address(method="GET", path="/v1/contracts", roles="admin auditor"),
    Address(method="GET", path="/v1/contracts/fal", roles="admin auditor"),
    Address(
        method="POST",
        path="/v1/consent/decisions",
        roles="consent",
        scopes="consent",
        about_a_person=True,
        body={"disclosure": DISCLOSURE, "locale": "en", "decision": "granted"},
    ),
    Address(
        method="POST",
        path="/v1/consent/withdrawals",
        roles="consent",
        scopes="ai consent",
        about_a_person=True,
        body={},
    ),
    Address(
        method="GET",
        path="/v1/consent",
        roles="consent gateway auditor",
        scopes="ai consent",
        about_a_person=True,
    ),
    Address(method="GET", path="/v1/consent/events", roles="consent auditor", scopes="consent", about_a_person=True),
    Address(method="GET", path=f"/v1/consent/events/{NOBODY_YET}", roles="consent auditor", scopes="consent"),
    Address(
        method="GET",
        path=f"/v1/consent/events/{NOBODY_YET}/receipt",
        roles="consent auditor",
        scopes="consent",
    ),
    Address(method="GET", path="/v1/consent/changes", roles="consent auditor", params={"limit": "1"}),
    Address(
        method="POST",
        path="/v1/subjects/links",
        roles="consent",
        about_a_person=True,
        body={"from": {"subject": "a-guest-of-the-roles", "kind": "session"}, "carry": "all"},
    ),
    Address(method="POST", path="/v1/subject-tokens", roles="gateway", body={"subject": "somebody"}),
    Address(method="POST", path="/v1/subject-tokens/revocations", roles="gateway", body={"subject": "somebody-else"}),
    Address(
        method="POST",
        path="/v1/check",
        roles="gateway",
        scopes="ai",
        about_a_person=True,
        body={"provider": "fal", "model": "fal-ai/flux/dev", "input": PICTURE},
    ),
    Address(method="POST", path="/v1/media", roles="gateway", scopes="ai", about_a_person=True, body={}),
    Address(method="DELETE", path=f"/v1/media/{NOBODY_YET}", roles="gateway", scopes="ai", about_a_person=True),
    Address(method="GET", path="/v1/transfers", roles="auditor"),
    Address(method="GET", path=f"/v1/transfers/{NOBODY_YET}", roles="auditor"),
    Address(method="GET", path="/v1/transfers/export", roles="auditor", params={"reason": "overloaded"}),
    Address(method="GET", path=f"/v1/transfers/{NOBODY_YET}/evidence", roles="auditor"),
    Address(method="GET", path="/v1/log/inclusion", roles="auditor", params={"index": "0"}),
    Address(method="GET", path="/v1/log/consistency", roles="auditor", params={"from": "0"}),
    Address(method="GET", path="/v1/log/export", roles="auditor"),
    Address(method="GET", path="/v1/access-log", roles="privacy"),
    Address(method="GET", path="/v1/models", roles="gateway auditor"),
    Address(method="POST", path="/v1/keys", roles="admin", body={"caller": "of-the-roles", "roles": ["metrics"]}),
    Address(method="GET", path="/v1/keys", roles="admin"),
    Address(method="DELETE", path=f"/v1/keys/{NOBODY_YET}", roles="admin"),
    Address(
        method="POST",
        path="/fal/run/fal-ai/flux/dev",
        roles="gateway",
        scopes="ai",
        about_a_person=True,
        body=PICTURE,
    ),
    Address(
        method="POST",
        path="/fal/queue/fal-ai/flux/dev",
        roles="gateway",
        scopes="ai",
        about_a_person=True,
        body=PICTURE,
    ),
    Address(method="GET", path=f"/fal/queue/fal-ai/flux/requests/{NOBODY_YET}", roles="gateway", scopes="ai"),
    Address(
        method="POST",
        path="/replicate/v1/models/black-forest-labs/flux-dev/predictions",
        roles="gateway",
        scopes="ai",
        about_a_person=True,
        body={"input": PICTURE},
    ),
    Address(method="GET", path=f"/replicate/v1/predictions/{'0' * 26}", roles="gateway", scopes="ai"),
    Address(method="GET", path="/replicate/v1/models/black-forest-labs/flux-dev", roles="gateway", scopes="ai"),
)
#: What a credential may be, on its own.
CREDENTIALS = [*(f"role {role}" for role in Role), *(f"scope {scope}" for scope in Scope)]


@pytest.fixture(scope="module")
def credentials(running_live: Live) -> dict[str, str]:
    """A key with each role alone, and a token with each scope alone."""
    person = a_person()
    keys = {f"role {role}": running_live.key(role) for role in Role}
    tokens = {f"scope {scope}": running_live.token(person, scopes=[scope]) for scope in Scope}
    return keys | tokens


@pytest.fixture(scope="module")
def asked_about(running_live: Live) -> str:
    """A person who said yes, so that nothing but the role can be in the way."""
    person = a_person()
    running_live.decide(person)
    return person


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_an_address_opens_to_the_contracts_roles_and_scopes_alone(
    live: Live, credentials: Mapping[str, str], asked_about: str, address: Address, credential: str
) -> None:
    kind, _, name = credential.partition(" ")
    allowed = (address.roles if kind == "role" else address.scopes).split()
    answer = live.call(
        address.method,
        address.path,
        key=credentials[credential],
        subject=asked_about if address.about_a_person and kind == "role" else None,
        json=address.body,
        params=address.params,
    )
    role_was_missing = answer.status_code == 403 and answer.json()["reason"] == "role-missing"
    assert role_was_missing is (name not in allowed), answer.text
    assert answer.status_code not in {401, 500}
    if role_was_missing:
        assert live.reached() == []


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_no_credential_opens_nothing(live: Live, address: Address) -> None:
    answer = live.call(
        address.method, address.path, key=None, subject="somebody", json=address.body, params=address.params
    )
    assert (answer.status_code, answer.json()["reason"]) == (401, "credential-missing"), answer.text
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/v1/disclosures/current", "/.well-known/jwks.json", "/v1/log/keys"]
)
def test_what_anyone_may_read_asks_for_no_credential(live: Live, path: str) -> None:
    assert live.call("GET", path, key=None).status_code == 200


def test_every_documented_address_is_in_the_table(live: Live) -> None:
    """A new route has to take its place here, with the roles the contract gives it."""
    paths = live.app.openapi()["paths"]
    documented = {
        (method.upper(), _shape(path))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if path.startswith("/v1") and operation.get("security") != []
    }
    assert documented == {(address.method, _shape(address.path)) for address in ADDRESSES if "/v1/" in address.path[:4]}


def _shape(path: str) -> str:
    """A path with every parameter, filled in or not, as a star."""
    known = ("fal", "of-the-roles", "of-nobody", DISCLOSURE, NOBODY_YET)
    return "/".join("*" if part.startswith("{") or part in known else part for part in path.split("/"))
