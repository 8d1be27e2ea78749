"""The simulator's OpenAPI document, held against the platform's own and against what the simulator really answers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from matatika_simulator import Simulator, constants
from matatika_simulator.api import Api
from matatika_simulator.clock import Clock
from matatika_simulator.platform import Platform
from matatika_simulator.scenario import Scenario

DATA = Path(__file__).parents[1] / "data"
PUBLISHED = json.loads((DATA / "openapi-deployments.json").read_text("utf-8"))

# The calls that the platform's reference lists for deployments, as (method, path) of its OpenAPI document.
LISTED = [
    ("post", "/api/workspaces/{workspaceId}/deployments"),
    ("post", "/api/workspaces/{workspaceId}/deployments/github-webhook"),
    ("get", "/api/jobs/{id}"),
    ("get", "/api/jobs/{id}/logs"),
    ("put", "/api/jobs/{id}/stopped"),
    ("delete", "/api/jobs/{id}"),
    ("get", "/api/workspaces/{workspaceId}/jobs"),
    ("get", "/api/workspaces/{id}"),
]
# What the reference says of the answers. The published document has the generator's default, 200, everywhere.
STATUSES = {
    "deploy": {"202", "409"},
    "deploy_1": {"202", "409"},
    "getJob": {"200"},
    "getLogs": {"200", "204"},
    "stopJob": {"200", "202", "400", "409"},
    "deleteJob": {"204"},
    "getWorkspaceJobs": {"200"},
    "getWorkspace": {"200"},
    "issueToken": {"200", "401", "403"},
}


@pytest.fixture(scope="module")
def served() -> Iterator[Any]:
    with Simulator({}) as simulator:
        yield requests.get(f"{simulator.url}/openapi.json", timeout=10).json()


def resolved(document: Any, schema: Any) -> Any:
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return document["components"]["schemas"][name] if name else schema


def shape(document: Any, schema: Any) -> tuple[str, str | None, frozenset[str]]:
    """Type, format and the names of the properties."""
    schema = resolved(document, schema)
    return schema["type"], schema.get("format"), frozenset(schema.get("properties", ()))


def parameters(document: Any, operation: Any) -> set[tuple[object, ...]]:
    return {
        (it["in"], it["name"], it["required"], it["schema"].get("default"), *shape(document, it["schema"]))
        for it in operation.get("parameters", [])
    }


@pytest.mark.parametrize(("method", "path"), LISTED)
class TestAgainstThePublishedDocument:
    def test_has_the_operation(self, served: Any, method: str, path: str) -> None:
        assert served["paths"][path][method]["operationId"] == PUBLISHED["paths"][path][method]["operationId"]

    def test_has_its_parameters(self, served: Any, method: str, path: str) -> None:
        expected = parameters(PUBLISHED, PUBLISHED["paths"][path][method])
        assert expected
        assert parameters(served, served["paths"][path][method]) == expected

    def test_has_its_request_body(self, served: Any, method: str, path: str) -> None:
        assert served["paths"][path][method].get("requestBody") == PUBLISHED["paths"][path][method].get("requestBody")

    def test_has_its_media_types(self, served: Any, method: str, path: str) -> None:
        def media(document: Any) -> set[str]:
            answers = document["paths"][path][method]["responses"]
            return {name for status in answers if status < "300" for name in answers[status].get("content", ())}

        assert media(PUBLISHED) in ({"*/*"}, set()) or media(served) == media(PUBLISHED)
        assert bool(media(served)) == bool(media(PUBLISHED))


@pytest.mark.parametrize("name", ["JobResource", "PagedModelJobResource", "PageMetadata", "Pageable"])
def test_schemas_are_those_of_the_published_document(served: Any, name: str) -> None:
    mine, published = (document["components"]["schemas"][name]["properties"] for document in (served, PUBLISHED))
    assert set(mine) == set(published)
    for field, schema in published.items():
        kind, form, names = shape(PUBLISHED, schema)
        assert shape(served, mine[field])[:2] == (kind, form)
        assert names <= shape(served, mine[field])[2] or field in ("_embedded", "_links")


def test_workspace_fields_are_among_those_of_the_published_document(served: Any) -> None:
    published = PUBLISHED["components"]["schemas"]["WorkspaceResource"]["properties"]
    for field, schema in served["components"]["schemas"]["WorkspaceResource"]["properties"].items():
        assert shape(served, schema)[:2] == shape(PUBLISHED, published[field])[:2]


def test_says_which_answers_there_are(served: Any) -> None:
    said = {it["operationId"]: set(it["responses"]) for path in served["paths"].values() for it in path.values()}
    assert set(said) == set(STATUSES)
    assert not {name: missing for name in said if (missing := STATUSES[name] - said[name])}


def test_describes_every_call_that_is_served_and_no_other(served: Any) -> None:
    calls = Api(Platform(Scenario(), Clock())).calls()
    described = {(method, path) for path, item in served["paths"].items() for method in item}
    assert described == {(call.method.lower(), call.path) for call in calls}


def test_every_reference_leads_somewhere(served: Any) -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(served)))
    assert names <= set(served["components"]["schemas"])


def misfits(document: Any, schema: Any, value: Any, place: str = "") -> list[str]:
    """Where a value is not as its schema says; fields that the schema does not know are a misfit too."""
    schema = resolved(document, schema)
    if value is None and schema.get("nullable"):
        return []
    kinds: dict[str, Any] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if not isinstance(value, kinds[schema["type"]]) or (schema["type"] == "integer" and isinstance(value, bool)):
        return [f"{place}: {value!r} is no {schema['type']}"]
    found = [f"{place}.{name} is missing" for name in schema.get("required", []) if name not in value]
    if schema["type"] == "array":
        return [misfit for item in value for misfit in misfits(document, schema["items"], item, f"{place}[]")]
    if schema["type"] == "object" and ("properties" in schema or "additionalProperties" in schema):
        for name, item in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            found += misfits(document, known, item, f"{place}.{name}") if known else [f"{place}.{name} is unknown"]
    return found


def test_answers_are_as_described(served: Any) -> None:
    """Every call once with success and once without, its body against the schema of its status."""
    scenario = {"job": {"ends": "ERROR", "runs": 3, "log": [{"text": "line"}]}, "workspace": {"alias": None}}
    clock = [1_700_000_000.0]
    unknown = "00000000-0000-4000-8000-000000000000"
    with Simulator(scenario, clock=lambda: clock[0]) as simulator:
        seen: set[tuple[str, str]] = set()

        def check(method: str, path: str, template: str, **more: Any) -> requests.Response:
            more.setdefault("headers", {"Authorization": f"Bearer {constants.TOKEN}"})
            answer = requests.request(method, simulator.url + path, timeout=10, **more)
            operation = served["paths"][template][method.lower()]
            described = operation["responses"][str(answer.status_code)]
            seen.add((operation["operationId"], str(answer.status_code)))
            if "application/json" in described.get("content", ()):
                assert misfits(served, described["content"]["application/json"]["schema"], answer.json()) == []
            else:
                assert answer.headers.get("Content-Type", "text/plain;charset=UTF-8") == "text/plain;charset=UTF-8"
            return answer

        deployments, jobs, workspace = (path for _, path in (LISTED[0], LISTED[6], LISTED[7]))
        job, logs, stopped = "/api/jobs/{id}", "/api/jobs/{id}/logs", "/api/jobs/{id}/stopped"
        for workspace_id in (constants.WORKSPACE_ID, unknown):
            check("POST", deployments.format(workspaceId=workspace_id), deployments)
            check("GET", jobs.format(workspaceId=workspace_id), jobs)
            check("GET", workspace.format(id=workspace_id), workspace)
        hook = deployments + "/github-webhook"
        check("POST", hook.format(workspaceId=constants.WORKSPACE_ID), hook)
        for job_id in (simulator.jobs[0].id, unknown):
            check("GET", job.format(id=job_id), job)
            check("GET", logs.format(id=job_id), logs)
            check("PUT", stopped.format(id=job_id), stopped)
        clock[0] += 3
        check("GET", job.format(id=simulator.jobs[0].id), job)
        check("PUT", stopped.format(id=simulator.jobs[0].id), stopped)
        for job_id in (simulator.jobs[0].id, unknown):
            check("DELETE", job.format(id=job_id), job)
        form = {"grant_type": "client_credentials", "audience": simulator.api_url}
        key = {"client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
        check("POST", "/oauth/token", "/oauth/token", data=form | key)
        check("POST", "/oauth/token", "/oauth/token", data=form)
    succeeded = {operation for operation, status in seen if status < "300"}
    assert succeeded == set(STATUSES) - {"deploy_1"}
    assert {operation for operation, status in seen if status >= "400"} == set(STATUSES)


def test_the_published_document_has_its_notice_beside_it() -> None:
    notice = (DATA / "NOTICE").read_text("utf-8")
    origin = "MeltanoLabs/tap-meltano-cloud"
    assert origin in PUBLISHED["info"]["description"]
    assert origin in notice
    assert "Apache License, Version 2.0" in notice
