"""The document that describes the service: current, whole, made without settings or database, and kept to."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from consent_proxy.api.app import create_app
from consent_proxy.domain.refusals import Reason
from tests.live import KEY, Live, a_person

REPOSITORY = Path(__file__).parents[2]
PUBLISHED = REPOSITORY / "openapi" / "consent-proxy.v1.json"
METHODS = {"get", "put", "post", "delete", "head"}

#: Callers' code is made from these: once published they never change. New ones are added here.
OPERATIONS = {
    *("checkTransfer", "createKey", "createSubjectToken", "endContract", "exportTransfers", "getConsent"),
    *("getConsentEvent", "getConsentReceipt", "getContract", "getCurrentDisclosure", "getDisclosure", "getHealth"),
    *("getMetrics", "getReadiness", "getReceiptKeys", "getTransfer", "listAccesses", "listConsentEvents"),
    *("linkSubjects", "listConsentChanges", "listContracts", "listDisclosures", "listKeys", "listModels"),
    *("listTransfers", "publishDisclosure", "putContract"),
    *("recordDecision", "revokeKey", "revokeSubjectTokens", "withdrawConsent", "readFile", "headFile"),
    *("falRun", "falSubmit", "falStatus", "falResult", "falCancel"),
    *("replicateCreatePrediction", "replicateCreateModelPrediction", "replicateCreateDeploymentPrediction"),
    *("replicateGetPrediction", "replicateCancelPrediction", "replicateGetModel", "replicateListVersions"),
    *("getLogCheckpoint", "getLogKeys", "getLogInclusion", "getLogConsistency", "exportLog", "getEvidence"),
    *("replicateGetVersion", "holdMedium", "dropMedium"),
}
WITHOUT_CREDENTIAL = {
    *("getHealth", "getReadiness", "getCurrentDisclosure", "getReceiptKeys", "getLogCheckpoint", "getLogKeys"),
    *("readFile", "headFile"),
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app().openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, members in document["paths"].items():
        for method, operation in members.items():
            if method in METHODS:
                yield method, path, operation


def test_the_published_document_is_what_the_code_says(document: dict[str, Any]) -> None:
    assert json.loads(PUBLISHED.read_text("utf-8")) == json.loads(json.dumps(document)), "run make openapi"


def test_it_is_made_without_settings_or_database() -> None:
    """Settings that cannot be are not even looked at."""
    poisoned = {"CONSENT_PROXY_DATABASE_URL": "nowhere", "CONSENT_PROXY_ENVIRONMENT": "!", "PATH": os.environ["PATH"]}
    command = [str(Path(sys.executable).with_name("consent-proxy")), "openapi"]
    made = subprocess.run(command, env=poisoned, capture_output=True, text=True, check=True)
    assert made.stdout == PUBLISHED.read_text("utf-8")


def test_every_operation_has_a_name_of_its_own_that_stays(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert set(names) == OPERATIONS


def test_every_lean_route_is_described_or_not_offered(live: Live, document: dict[str, Any]) -> None:
    """FastAPI describes its own routes; those beside it have to be described by hand."""
    beside = [route.path for route in live.app.routes if isinstance(route, Route)]
    assert len(beside) > 5
    for path in set(beside) - {"/openapi.json", "/problems/{slug}"}:
        root = path.partition("{")[0]
        if not any(described.startswith(root) for described in document["paths"]):
            answer = live.call("GET", path.replace("{", "").replace("}", "").replace(":path", ""))
            assert answer.json()["reason"] == "not-offered", path


def test_the_provider_surfaces_are_part_of_it(document: dict[str, Any]) -> None:
    paths = set(document["paths"])
    assert {"/fal/run/{app}", "/fal/queue/{app}", "/replicate/v1/predictions", "/v1/files/{capability}"} <= paths


def test_every_operation_says_which_credential_opens_it(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert (schemes["bearer"]["scheme"], schemes["sdk"]["name"]) == ("bearer", "Authorization")
    assert document["security"] == [{"bearer": []}, {"sdk": []}]
    open_to_all = {operation["operationId"] for _, _, operation in operations(document) if "security" in operation}
    assert open_to_all == WITHOUT_CREDENTIAL


def test_every_operation_says_what_its_errors_look_like(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        assert {"4XX", "5XX"} <= set(operation["responses"]), operation["operationId"]
        assert "422" not in operation["responses"], operation["operationId"]
        if path.startswith("/v1/") and not path.startswith("/v1/files/"):
            for status in ("4XX", "5XX"):
                content = operation["responses"][status]["content"]
                assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])


def test_every_problem_fits_its_description(live: Live, document: dict[str, Any]) -> None:
    described = document["components"]["schemas"]["Problem"]
    answer = live.call("POST", "/fal/run/fal-ai/flux/dev", subject=a_person(), json={"prompt": "x"}).json()
    control = live.call("GET", "/v1/keys", key=None).json()
    for problem in (answer, control):
        assert set(described["required"]) <= set(problem)
        assert problem["reason"] in set(Reason)
    assert set(control) <= set(described["properties"])
    assert set(answer) - set(described["properties"]) == {"message", "error_type"}  # fal's own


@pytest.mark.parametrize(
    "name", ["recordDecision", "withdrawConsent", "getConsent", "checkTransfer", "listTransfers", "falRun"]
)
def test_operations_about_a_person_say_how_to_name_them(document: dict[str, Any], name: str) -> None:
    [operation] = [operation for _, _, operation in operations(document) if operation["operationId"] == name]
    assert {"Consent-Subject", "Consent-Subject-Kind"} <= {given["name"] for given in operation["parameters"]}


def test_no_subject_stands_in_a_url(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        named = [given["name"] for given in operation.get("parameters", ()) if given["in"] in {"path", "query"}]
        assert not {"subject", "subject_id", "user", "email"} & set(named), path


def test_the_document_is_served(live: Live, document: dict[str, Any]) -> None:
    assert live.call("GET", "/openapi.json", key=None).json() == json.loads(json.dumps(document))


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
schema = schemathesis.openapi.from_dict(json.loads(json.dumps(create_app().openapi()))).exclude(
    path_regex=r"^/(fal|replicate|v1/files)/"  # these have suites of their own
)
#: It would try every keyword of every schema, which takes a minute.
schema.config.phases.coverage.enabled = False


@schema.parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_control_api_keeps_to_its_description_whatever_is_sent(case: Any, fuzzed: Live) -> None:
    # A person that can be: those that cannot would keep everything else from being looked at.
    headers = {"Authorization": f"Bearer {KEY}", "Consent-Subject": "mia", "Consent-Subject-Kind": "account"}
    answer = case.call(base_url=fuzzed.url, headers=headers)
    case.validate_response(answer, checks=CHECKS)


@pytest.fixture(scope="module")
def fuzzed(apart: Live) -> Live:
    """A service of this module's own: what is made up here stands in nobody else's way."""
    return apart
