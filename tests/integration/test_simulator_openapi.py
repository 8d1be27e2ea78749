"""What the simulator answers, held against the platform's published document and its reference."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator, FormatChecker

from matatika_simulator.api import application
from matatika_simulator.clock import Clock
from matatika_simulator.journal import Journal
from matatika_simulator.platform import Platform
from matatika_simulator.scenario import Scenario
from tests.support.api_client import (
    DEPLOYMENTS,
    JOBS,
    PIPELINES,
    UNKNOWN,
    WEBHOOK,
    WORKSPACE,
    ApiClient,
    sign,
    simulated,
)

DATA = Path(__file__).parents[1] / "data"
PUBLISHED = json.loads((DATA / "openapi-deployments.json").read_text("utf-8"))

# The reference's table of calls, with the statuses that it names (the published document has the generator's default,
# 200, everywhere), and the published schema of the answer.
REFERENCE = {
    "trigger": ("POST", "/api/workspaces/{}/deployments", {202, 401, 404, 409}, "JobResource"),
    "webhook": ("POST", "/api/workspaces/{}/deployments/github-webhook", {202, 400, 401, 404, 409}, "JobResource"),
    "job": ("GET", "/api/jobs/{}", {200, 400, 401, 404}, "JobResource"),
    "logs": ("GET", "/api/jobs/{}/logs", {200, 204, 401, 404}, None),
    "withdraw": ("PUT", "/api/jobs/{}/stopped", {202, 401, 404, 409}, "Message"),
    "delete": ("DELETE", "/api/jobs/{}", {204, 401, 404}, None),
    "jobs": ("GET", "/api/workspaces/{}/jobs", {200, 401, 404}, "PagedModelJobResource"),
    "workspace": ("GET", "/api/workspaces/{}", {200, 401, 404}, "WorkspaceResource"),
    "workspaces": ("GET", "/api/workspaces", {200, 401}, "PagedModelWorkspaceResource"),
    "pipelines": ("GET", "/api/workspaces/{}/pipelines", {200, 401, 404}, None),
    "run": ("POST", "/api/pipelines/{}/jobs", {201, 401, 404, 409}, "JobResource"),
    "runs": ("GET", "/api/pipelines/{}/jobs", {200, 401, 404}, "PagedModelJobResource"),
    "token": ("POST", "/oauth/token", {200, 400, 401, 403}, None),
}


def _closed(schema: Any, name: str = "") -> Any:
    """A schema that takes no property it does not name: the simulator invents none. What is embedded varies."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value, key) for key, value in schema.items()}
    is_open = "properties" not in closed or (name == "_embedded" and "embeddedWrappers" in closed["properties"])
    return closed if is_open else {"additionalProperties": False, **closed}


SCHEMAS = _closed(PUBLISHED["components"]["schemas"])
SCHEMAS["Message"] = PUBLISHED["paths"]["/api/jobs/{id}/stopped"]["put"]["responses"]["200"]["content"]["*/*"]["schema"]


def _without_nulls(value: Any) -> Any:
    """What stands in the document as a type may be null in answers, as the reference says."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def misfits(schema: str, body: Any) -> list[str]:
    """Where a body is not as the published schema of that name says."""
    root = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": SCHEMAS}}
    validator = Draft202012Validator(root, format_checker=FormatChecker(["uuid"]))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(_without_nulls(body))]


def _paths() -> dict[str, tuple[str, str]]:
    """Method and path of each call that is served."""
    gateway: Any = application(Platform(Scenario(), Clock()), Journal())
    routes = [(route.name, route) for route in gateway._routes]
    return {name: (next(iter(route.methods - {"HEAD"})), re.sub(r"{\w+}", "{}", route.path)) for name, route in routes}


def test_serves_the_calls_of_the_reference_and_no_other() -> None:
    assert _paths() == {name: (method, path) for name, (method, path, _, _) in REFERENCE.items()}


def test_the_published_document_has_them_too() -> None:
    published = {
        (method.upper(), re.sub(r"{\w+}", "{}", path)) for path, item in PUBLISHED["paths"].items() for method in item
    }
    # Pipelines are in the reference only.
    ours = {call for name, call in _paths().items() if name not in ("token", "pipelines", "run", "runs")}
    assert ours <= published


@pytest.mark.parametrize("old", [False, True])
def test_answers_are_as_the_published_schemas_say(old: bool) -> None:
    """Every call, with each status that the reference names for it, its body against the schema."""
    scenario: dict[str, Any] = {"job": {"ends": "ERROR", "runs": 3, "log": [{"text": "line"}]}, "logs": {"empty": 204}}
    pipeline = {"name": "a", "job": {"runs": "forever"}}
    with simulated(**scenario, answers={"old": old}, pipelines=[pipeline]) as api:
        _make_every_call(api)
        seen: dict[str, set[int | None]] = {
            name: {entry.status for entry in api.simulator.calls(name)} for name in REFERENCE
        }
        assert seen == {name: statuses for name, (_, _, statuses, _) in REFERENCE.items()}


def _make_every_call(api: ApiClient) -> None:
    def check(call: str, path: str, **more: Any) -> requests.Response:
        method, _, _, schema = REFERENCE[call]
        answer = api.call(method, path, **more)
        assert api.simulator.journal[-1].call == call
        if schema and answer.ok:
            assert misfits(schema, answer.json()) == []
            media = "application/json" if api.simulator.scenario.answers.old else "application/hal+json"
            assert answer.headers["Content-Type"] == media
        return answer

    unknown, run = f"/workspaces/{UNKNOWN}", f"/pipelines/{api.simulator.scenario.pipelines[0].id}/jobs"
    for path in (DEPLOYMENTS, DEPLOYMENTS, f"{unknown}/deployments"):
        check("trigger", path)
    for path, body in ((WEBHOOK, b"{}"), (WEBHOOK, b"{"), (f"{unknown}/deployments/github-webhook", b"{}")):
        check("webhook", path, data=body, headers=sign(body))
    check("webhook", WEBHOOK, data=b"{}", headers=sign(b"{ }"))
    job = f"/jobs/{api.jobs[0].id}"
    for path in (job, f"/jobs/{UNKNOWN}", "/jobs/7"):
        check("job", path)
    for path in (f"{job}/logs", f"{job}/logs?sequence=1", f"/jobs/{UNKNOWN}/logs"):
        check("logs", path)
    for path in (run, run, f"/pipelines/{UNKNOWN}/jobs"):
        check("run", path)
        check("runs", path)
    for path in (WORKSPACE, unknown):
        check("workspace", path)
        check("jobs", path + "/jobs")
        check("pipelines", path + "/pipelines")
    check("workspaces", "/workspaces")
    for path in (f"{job}/stopped", f"/jobs/{UNKNOWN}/stopped"):
        check("withdraw", path)
    check("withdraw", f"{job}/stopped")
    check("webhook", WEBHOOK, data=b"{}", headers=sign(b"{}"))
    api.clock.now += 3
    check("job", f"/jobs/{api.jobs[-1].id}")
    for path in (job, job):
        check("delete", path)
    for changed in ({}, {"client_id": "x"}, {"audience": "x"}, {"grant_type": "x"}):
        api.get_token(**changed)
    for call, (method, path, statuses, _) in REFERENCE.items():
        if 401 in statuses and call != "webhook":
            api.call(method, api.simulator.url + path.format(UNKNOWN), token="wrong")


def test_a_body_that_is_not_as_published_is_found() -> None:
    with simulated() as api:
        job, page = api.trigger(), api.get(JOBS)
        assert misfits("JobResource", job) == misfits("PagedModelJobResource", page) == []
        assert misfits("JobResource", job | {"attempt": "0"}) == ["$.attempt: '0' is not of type 'integer'"]
        assert misfits("JobResource", job | {"id": "7"}) == ["$.id: '7' is not a 'uuid'"]
        assert "invented" in misfits("JobResource", job | {"invented": 1})[0]
        page["_embedded"]["jobs"][0]["_links"]["self"]["href"] = 7
        assert misfits("PagedModelJobResource", page) == [
            "$['_embedded'].jobs[0]['_links'].self.href: 7 is not of type 'string'"
        ]
        assert api.get(PIPELINES)


def test_the_published_document_has_its_notice_beside_it() -> None:
    notice = (DATA / "NOTICE").read_text("utf-8")
    origin = "MeltanoLabs/tap-meltano-cloud"
    assert origin in PUBLISHED["info"]["description"]
    assert origin in notice
    assert "Apache License, Version 2.0" in notice
