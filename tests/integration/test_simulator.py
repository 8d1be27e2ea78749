"""The simulated platform answers each call as the published document and the reference of the real one say."""

import json
import re
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from jsonschema import Draft202012Validator, FormatChecker

from matatika_simulator import Simulator, constants
from matatika_simulator.api import application
from matatika_simulator.clock import Clock
from matatika_simulator.journal import Journal
from matatika_simulator.platform import Platform
from matatika_simulator.scenario import Scenario
from tests.support.api_client import (
    BEARER,
    DEPLOYMENTS,
    JOBS,
    NOW,
    OTHER_ID,
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
    "logs": ("GET", "/api/jobs/{}/logs", {200, 204, 400, 401, 404, 406}, None),
    "withdraw": ("PUT", "/api/jobs/{}/stopped", {202, 401, 404, 409}, "Message"),
    "delete": ("DELETE", "/api/jobs/{}", {204, 401, 404}, None),
    "jobs": ("GET", "/api/workspaces/{}/jobs", {200, 401, 404}, "PagedModelJobResource"),
    "workspace": ("GET", "/api/workspaces/{}", {200, 401, 404}, "WorkspaceResource"),
    "pipelines": ("GET", "/api/workspaces/{}/pipelines", {200, 401, 404}, None),
    "run": ("POST", "/api/pipelines/{}/jobs", {201, 401, 404, 409}, "JobResource"),
    "runs": ("GET", "/api/pipelines/{}/jobs", {200, 401, 404}, "PagedModelJobResource"),
    "token": ("POST", "/oauth/token", {200, 400, 401, 403}, None),
}
# Pipelines are in the reference only.
UNPUBLISHED = {"token", "pipelines", "run", "runs"}


def closed(schema: Any, name: str = "") -> Any:
    """A schema that takes no property it does not name: the simulator invents none. What is embedded varies."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value, key) for key, value in schema.items()}
    is_open = "properties" not in inner or (name == "_embedded" and "embeddedWrappers" in inner["properties"])
    return inner if is_open else {"additionalProperties": False, **inner}


SCHEMAS = closed(PUBLISHED["components"]["schemas"])
SCHEMAS["Message"] = PUBLISHED["paths"]["/api/jobs/{id}/stopped"]["put"]["responses"]["200"]["content"]["*/*"]["schema"]


def without_nulls(value: Any) -> Any:
    """What stands in the document as a type may be null in answers, as the reference says."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def misfits(schema: str, body: Any) -> list[str]:
    """Where a body is not as the published schema of that name says."""
    root = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": SCHEMAS}}
    validator = Draft202012Validator(root, format_checker=FormatChecker(["uuid"]))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(without_nulls(body))]


def assert_api_error(answer: requests.Response, status: int, path: str) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    body = answer.json()
    assert list(body) == ["timestamp", "status", "error", "errors", "message", "path"]
    assert (body["status"], body["path"], body["errors"]) == (status, f"/api{path}", [])
    assert body["error"] == HTTPStatus(status).phrase
    assert body["message"]
    assert re.fullmatch(r"2023-11-14T22:13:20\.123456\d{3}", body["timestamp"])


def test_the_calls_are_those_of_the_reference_and_of_the_published_document() -> None:
    gateway: Any = application(Platform(Scenario(), Clock()), Journal())
    served = {
        route.name: (next(iter(route.methods - {"HEAD"})), re.sub(r"{\w+}", "{}", route.path))
        for route in gateway._routes
    }
    assert served == {name: (method, path) for name, (method, path, _, _) in REFERENCE.items()}
    published = {
        (method.upper(), re.sub(r"{\w+}", "{}", path)) for path, item in PUBLISHED["paths"].items() for method in item
    }
    assert {call for name, call in served.items() if name not in UNPUBLISHED} <= published


@pytest.mark.parametrize("old", [False, True])
def test_every_call_has_each_status_of_the_reference_and_the_published_body(old: bool) -> None:
    scenario: dict[str, Any] = {"job": {"ends": "ERROR", "runs": 3, "log": [{"text": "line"}]}, "logs": {"empty": 204}}
    pipeline = {"name": "a", "job": {"runs": "forever"}}
    with simulated(**scenario, answers={"old": old}, pipelines=[pipeline]) as api:
        make_every_call(api)
        seen = {name: {entry.status for entry in api.simulator.calls(name)} for name in REFERENCE}
    assert seen == {name: statuses for name, (_, _, statuses, _) in REFERENCE.items()}


def make_every_call(api: ApiClient) -> None:
    def check(call: str, *paths: str, **more: Any) -> None:
        method, _, _, schema = REFERENCE[call]
        for path in paths:
            answer = api.call(method, path, **more)
            assert api.simulator.journal[-1].call == call
            if schema and answer.ok:
                assert misfits(schema, answer.json()) == []
                media = "application/json" if api.simulator.scenario.answers.old else "application/hal+json"
                assert answer.headers["Content-Type"] == media

    unknown, run = f"/workspaces/{UNKNOWN}", f"/pipelines/{api.simulator.scenario.pipelines[0].id}/jobs"
    check("trigger", DEPLOYMENTS, DEPLOYMENTS, f"{unknown}/deployments")
    check("webhook", WEBHOOK, f"{unknown}/deployments/github-webhook", data=b"{", headers=sign(b"{"))
    check("webhook", WEBHOOK, data=b"{}", headers=sign(b"{ }"))
    check("webhook", WEBHOOK, data=b"{}")
    job = f"/jobs/{api.jobs[0].id}"
    check("job", job, f"/jobs/{UNKNOWN}", "/jobs/7")
    check("logs", f"{job}/logs", f"{job}/logs?sequence=1", f"{job}/logs?sequence=-1", f"/jobs/{UNKNOWN}/logs")
    check("logs", f"{job}/logs", headers={"Accept": "application/json"})
    for path in (run, run, f"/pipelines/{UNKNOWN}/jobs"):
        check("run", path)
        check("runs", path)
    for path in (WORKSPACE, unknown):
        check("workspace", path)
        check("jobs", path + "/jobs")
        check("pipelines", path + "/pipelines")
    check("withdraw", f"{job}/stopped", f"/jobs/{UNKNOWN}/stopped", f"{job}/stopped")
    check("webhook", WEBHOOK, WEBHOOK, data=b"{}", headers=sign(b"{}"))
    api.clock.now += 3
    check("job", f"/jobs/{api.jobs[-1].id}")
    check("delete", job, job)
    for changed in ({}, {"client_id": "x"}, {"audience": "x"}, {"grant_type": "x"}):
        api.get_token(**changed)
    for call, (method, path, statuses, _) in REFERENCE.items():
        if 401 in statuses and call != "webhook":
            api.call(method, api.simulator.url + path.format(UNKNOWN), token="wrong")


def test_a_body_that_is_not_as_published_is_found() -> None:
    with simulated() as api:
        job, page = api.trigger(), api.get(JOBS)
    assert misfits("JobResource", job | {"attempt": "0"}) == ["$.attempt: '0' is not of type 'integer'"]
    assert misfits("JobResource", job | {"id": "7"}) == ["$.id: '7' is not a 'uuid'"]
    assert "invented" in misfits("JobResource", job | {"invented": 1})[0]
    page["_embedded"]["jobs"][0]["_links"]["self"]["href"] = 7
    assert misfits("PagedModelJobResource", page)[0].endswith("7 is not of type 'string'")


def test_the_published_document_has_its_notice_beside_it() -> None:
    notice, origin = (DATA / "NOTICE").read_text("utf-8"), "MeltanoLabs/tap-meltano-cloud"
    assert origin in PUBLISHED["info"]["description"]
    assert origin in notice
    assert "Apache License, Version 2.0" in notice


class TestDeployments:
    @pytest.mark.parametrize(("ends", "exit_code"), [("ERROR", {"exit-code": 7}), ("COMPLETE", {}), ("FAILED", {})])
    def test_go_through_their_states(self, ends: str, exit_code: dict[str, int]) -> None:
        with simulated(job={"queued": 10, "runs": 3, "ends": ends, **exit_code}) as api:
            queued = api.trigger()
            root = f"{api.simulator.api_url}/jobs/{queued['id']}"
            assert queued["_links"] == {
                "self": {"href": root},
                "delete job": {"href": root, "type": "DELETE"},
                "logs": {"href": f"{root}/logs?sequence=0", "type": "GET"},
                "withdraw job": {"href": f"{root}/stopped", "type": "PUT"},
            }
            assert (queued["status"], queued["created"]) == ("QUEUED", "2023-11-14T22:13:20.123456")
            assert not {"startTime", "commitId", "endTime", "exitCode"} & set(queued)
            api.clock.now += 10
            running = api.get(root)
            assert (running["status"], running["commitId"]) == ("RUNNING", constants.COMMIT_ID)
            assert running["startTime"] == "2023-11-14T22:13:30.123456"
            assert not {"endTime", "exitCode"} & set(running)
            api.clock.now += 3
            ended = api.get(root)
            assert (ended["status"], ended.get("exitCode")) == (ends, {"ERROR": 7, "COMPLETE": 0}.get(ends))
            assert ended["endTime"] == "2023-11-14T22:13:33.123456"
            assert set(ended["_links"]) == {"self", "delete job", "logs"}

    def test_are_refused_while_another_of_the_workspace_has_not_ended(self) -> None:
        with simulated(
            job={"queued": 10, "runs": 10},
            other_workspaces=[{"id": OTHER_ID, "job": {"ends": "ERROR"}}],
            other_jobs=[{"type": "PIPELINE_RUN", "runs": "forever"}],
        ) as api:
            api.trigger()
            assert_api_error(api.call("POST", DEPLOYMENTS), 409, DEPLOYMENTS)
            assert api.call("POST", f"/workspaces/{OTHER_ID}/deployments").status_code == 202
            api.clock.now += 19.9
            assert api.call("POST", DEPLOYMENTS).status_code == 409
            api.clock.now += 0.1
            api.trigger()
            assert [job.status for job in api.jobs] == ["RUNNING", "COMPLETE", "ERROR", "QUEUED"]

    def test_are_queued_beside_another_if_the_scenario_says_so(self) -> None:
        with simulated(deployments={"while-another-runs": "queue"}) as api:
            assert api.trigger()["id"] != api.trigger()["id"]

    def test_make_the_jobs_of_others_appear_whatever_becomes_of_them(self) -> None:
        fault = {"calls": "trigger", "requests": {"first": 1}, "status": 503}
        other = {"since": "first-trigger", "at": "2s", "runs": 5}
        with simulated(other_jobs=[other, {"at": "-5s", "runs": 1}], faults=[fault]) as api:
            api.clock.now += 100
            assert api.call("POST", DEPLOYMENTS).status_code == 503
            assert [job.created - NOW for job in api.jobs] == [-5]
            api.clock.now += 2
            assert [(job.triggered_by, job.created - NOW) for job in api.jobs] == [("other", -5), ("other", 102)]
            assert api.call("POST", DEPLOYMENTS).status_code == 409

    def test_can_be_signed_with_the_workspace_s_secret(self) -> None:
        with simulated(job={"runs": 0}, workspace={"deployment-secret": "mine"}) as api:
            for body in (b"{ }", b'{"ref":"refs/heads/main",\n "n": 1}\n'):
                assert api.call("POST", WEBHOOK, None, data=body, headers=sign(body)).status_code == 401
                answer = api.call("POST", WEBHOOK, None, data=body, headers=sign(body, "mine"))
                assert (answer.status_code, api.jobs[-1].triggered_by) == (202, "webhook")

    def test_that_run_stop_some_time_after_their_withdrawal(self) -> None:
        with simulated(job={"runs": "forever"}, withdrawal={"takes": "2s"}) as api:
            path = f"/jobs/{api.trigger()['id']}"
            assert api.call("PUT", f"{path}/stopped").status_code == 202
            api.clock.now += 1.9
            assert api.get(path)["status"] == "RUNNING"
            assert api.call("PUT", f"{path}/stopped").status_code == 202
            api.clock.now += 0.2
            ended = api.get(path)
            assert (ended["status"], ended["endTime"]) == ("STOPPED", "2023-11-14T22:13:22.123456")
            assert api.call("PUT", f"{path}/stopped").status_code == 409
            assert api.jobs[0].withdrawn

    @pytest.mark.parametrize("queued", ["accept", 400, 409])
    def test_that_are_queued_can_be_withdrawn_as_the_scenario_says(self, queued: object) -> None:
        with simulated(job={"queued": 10, "runs": 10}, withdrawal={"queued": queued, "answer": 200}) as api:
            path = f"/jobs/{api.trigger()['id']}/stopped"
            assert api.call("PUT", path).status_code == (200 if queued == "accept" else queued)
            assert api.jobs[0].withdrawn == (queued == "accept")
            if queued != "accept":
                api.clock.now += 10
                assert api.call("PUT", path).status_code == 200
            assert api.jobs[0].status == "STOPPED"

    def test_that_are_deleted_are_stopped_and_gone(self) -> None:
        with simulated(job={"queued": "forever"}) as api:
            path = f"/jobs/{api.trigger()['id']}"
            assert api.call("DELETE", path).content == b""
            for method, rest in [("GET", ""), ("GET", "/logs"), ("PUT", "/stopped"), ("DELETE", "")]:
                assert api.call(method, path + rest).status_code == 404
            assert api.get(JOBS)["page"]["totalElements"] == 0
            assert (api.jobs[0].deleted, api.jobs[0].status) == (True, "STOPPED")
            api.trigger()


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ({"answers": {"hrefs": "relative"}}, r'"/api/jobs/[\w-]+/logs\?sequence=0"'),
        ({"answers": {"hrefs": "without-port"}}, r'"http://127\.0\.0\.1/api/jobs/[\w-]+"'),
        ({"answers": {"hrefs": "https://b.example/api/"}}, r'"https://b\.example/api/jobs/[\w-]+"'),
        ({"answers": {"link-lists": True}}, r'"self":\[\{"href":"[^"]+"\}\]'),
        ({"answers": {"fraction-digits": 0}}, r'"created":"2023-11-14T22:13:20"'),
        ({"answers": {"fraction-digits": 9}}, r'"created":"2023-11-14T22:13:20\.123456\d{3}"'),
        ({"answers": {"old": True}}, r'"status":"RUNNING","startTime"'),
        ({"job": {"fields": {"exitCode": [], "status": "ODD", "new": 1}}}, r'"status":"ODD".*"exitCode":\[\],"new":1'),
        ({"clock_skew": "1h"}, r'"created":"2023-11-14T23:13:20\.123456"'),
    ],
)
def test_answers_vary_as_the_platform_s_may(keys: Mapping[str, Any], shown: str) -> None:
    with simulated(**keys) as api:
        answer, refused = api.call("POST", DEPLOYMENTS), api.call("GET", f"/jobs/{UNKNOWN}")
        assert re.search(shown, answer.text)
        ahead = 3600 if "clock_skew" in keys else 0
        for dated in (answer, refused, api.get_token()):
            assert parsedate_to_datetime(dated.headers["Date"]).timestamp() == int(NOW) + ahead
        digits = ".123+00:00" if keys == {"answers": {"old": True}} else f".{NOW:.9f}"[-10:]
        assert refused.json()["timestamp"].endswith(digits)


class TestLists:
    OTHERS: tuple[dict[str, object], ...] = ({"at": "-10s", "queued": "forever"}, {"at": "-30s"}, {"at": "-20s"})

    @pytest.mark.parametrize(
        ("lists", "query", "created", "page"),
        [
            ({}, "", ["12:50", "13:00", "13:10"], (20, 3, 1, 0)),
            ({}, "?page=0&size=20&sort=created,desc", ["13:10", "13:00", "12:50"], (20, 3, 1, 0)),
            ({}, "?page=1&size=2&sort=created,desc", ["12:50"], (2, 3, 2, 1)),
            ({}, "?page=7&size=2", [], (2, 3, 2, 7)),
            ({"queued-jobs": False}, "?sort=created,desc", ["13:00", "12:50"], (20, 2, 1, 0)),
            ({"paging": False}, "?page=1&size=1&sort=created,desc", ["12:50", "13:00", "13:10"], (20, 3, 1, 0)),
        ],
    )
    def test_of_jobs(self, lists: object, query: str, created: list[str], page: tuple[int, ...]) -> None:
        with simulated(other_jobs=list(self.OTHERS), lists=lists) as api:
            answer = api.get(JOBS + query)
        assert [job["created"][14:19] for job in answer.get("_embedded", {"jobs": []})["jobs"]] == created
        assert tuple(answer["page"][name] for name in ("size", "totalElements", "totalPages", "number")) == page
        assert ("_embedded" in answer) == bool(created)

    def test_of_pipelines(self) -> None:
        fields = {"label": "A", "timeout": 9, "properties": {"tap.password": "s3cret"}}
        pipelines = [{"name": "a", "fields": fields}, {"name": "b"}]
        with simulated(pipelines=pipelines, other_workspaces=[{"id": OTHER_ID}]) as api:
            first, second = listed(api).values()
            assert {name: first[name] for name in fields} == fields
            assert (second["name"], second["properties"]) == ("b", {})
            assert second["repositoryPath"] == "pipelines/b.yml"
            assert [one["name"] for one in api.get(PIPELINES + "?size=1&page=1")["_embedded"]["pipelines"]] == ["b"]
            assert api.get(f"/workspaces/{OTHER_ID}/pipelines")["page"]["totalElements"] == 0


def test_a_workspace_is_what_the_scenario_says_with_its_secrets() -> None:
    fields = {"status": "FAILED", "repositoryUrl": "git@github.com:Org/Repo.git", "repositoryBranch": None}
    with simulated(workspace={"fields": fields}) as api:
        workspace = api.get(WORKSPACE)
    assert {name: workspace[name] for name in fields} == fields
    assert workspace["deploymentSecret"] == constants.DEPLOYMENT_SECRET
    assert workspace["sshPrivateKey"] == constants.SSH_PRIVATE_KEY


def listed(api: ApiClient) -> dict[str, Any]:
    page = api.get(PIPELINES)
    return {pipeline["name"]: pipeline for pipeline in page.get("_embedded", {"pipelines": []})["pipelines"]}


def run(api: ApiClient, name: str) -> requests.Response:
    return api.call("POST", listed(api)[name]["_links"]["new job"]["href"])


class TestPipelines:
    def test_run_as_jobs_that_can_be_followed_and_withdrawn(self) -> None:
        plan = {"queued": 1, "runs": 2, "ends": "ERROR", "log": [{"text": "no"}]}
        with simulated(pipelines=[{"name": "a", "fields": {"properties": {"x": "s3cret"}}, "job": plan}]) as api:
            job, pipeline = run(api, "a").json(), listed(api)["a"]
            assert (job["type"], job["status"]) == ("PIPELINE_RUN", "QUEUED")
            embedded = job["_embedded"]["pipeline"]
            assert embedded == {name: pipeline[name] for name in embedded}
            assert {"id", "name", "status", "triggeredBy", "repositoryPath", "properties"} == set(embedded)
            assert api.get(pipeline["_links"]["jobs"]["href"])["_embedded"]["jobs"] == [job]
            assert api.get(JOBS)["_embedded"]["jobs"] == [job]
            api.clock.now += 3
            assert api.get(job["_links"]["self"]["href"])["exitCode"] == 1
            assert api.call("GET", job["_links"]["logs"]["href"]).text == "no\n"
            assert api.call("PUT", run(api, "a").json()["_links"]["withdraw job"]["href"]).ok
            assert [(state.pipeline, state.status) for state in api.jobs] == [("a", "ERROR"), ("a", "STOPPED")]

    @pytest.mark.parametrize("status", [400, 409])
    def test_do_not_run_twice_at_once_or_before_they_are_ready(self, status: int) -> None:
        pipelines = [{"name": "a"}, {"name": "b", "status": "FAILED"}]
        other = {"type": "PIPELINE_RUN", "pipeline": "a", "runs": 5}
        with simulated(pipelines=pipelines, other_jobs=[other], pipeline_runs={"refused-with": status}) as api:
            refusals = [run(api, "a"), run(api, "b")]
            assert [answer.status_code for answer in refusals] == [status, status]
            said = [answer.json()["message"] for answer in refusals]
            assert said == ["Pipeline is already running", "Pipeline is FAILED"]
            api.clock.now += 5
            assert run(api, "a").status_code == 201

    @pytest.mark.parametrize(("ends", "status"), [("COMPLETE", "READY"), ("ERROR", "FAILED")])
    def test_that_were_changed_are_provisioning_until_they_are_configured(self, ends: str, status: str) -> None:
        configuration = {"runs": 2, "ends": ends}
        change = {"name": "a", "on-deploy": "change", "changes": {"timeout": 9}, "configuration": configuration}
        with simulated(pipelines=[change], job={"runs": 1}) as api:
            api.trigger()
            seen = []
            for _ in range(4):
                pipeline = listed(api)["a"]
                seen.append((pipeline["timeout"], pipeline["status"], len(api.jobs)))
                api.clock.now += 1
            assert seen == [(0, "READY", 1), (9, "PROVISIONING", 2), (9, "PROVISIONING", 2), (9, status, 2)]
            api.trigger()
            api.clock.now += 1
            assert [job.type for job in api.jobs] == ["WORKSPACE_DEPLOY", "PIPELINE_CONFIG", "WORKSPACE_DEPLOY"]

    @pytest.mark.parametrize("ends", ["COMPLETE", "ERROR", "withdrawn"])
    def test_are_changed_by_a_deployment_only_if_it_succeeds(self, ends: str) -> None:
        pipelines = [{"name": "new", "on-deploy": "create"}, {"name": "old", "on-deploy": "delete"}]
        after = {"name": "after", "triggered-by": ["Deploy"]}
        plan = {"runs": 1} if ends == "withdrawn" else {"runs": 1, "ends": ends}
        with simulated(pipelines=[*pipelines, after], job=plan) as api:
            assert list(listed(api)) == ["old", "after"]
            job = api.trigger()
            if ends == "withdrawn":
                api.call("PUT", job["_links"]["withdraw job"]["href"])
            api.clock.now += 1
            succeeded = ends == "COMPLETE"
            assert list(listed(api)) == (["new", "after"] if succeeded else ["old", "after"])
            consequences = [(state.type, state.pipeline) for state in api.jobs[1:]]
            assert consequences == ([("PIPELINE_CONFIG", "new"), ("PIPELINE_RUN", "after")] if succeeded else [])


class TestAccess:
    @pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", f"Basic {constants.TOKEN}", constants.TOKEN])
    def test_needs_a_valid_token(self, header: str | None) -> None:
        with simulated() as api:
            answer = api.call("POST", DEPLOYMENTS, None, headers={"Authorization": header} if header else {})
            assert_api_error(answer, 401, DEPLOYMENTS)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert (api.simulator.journal[0].authorised, api.jobs) == (False, [])

    def test_to_no_such_page_or_method_is_refused_as_the_api_does(self) -> None:
        with simulated() as api:
            assert_api_error(api.call("GET", "/nothing/here"), 404, "/nothing/here")
            answer = api.call("GET", DEPLOYMENTS)
            assert_api_error(answer, 405, DEPLOYMENTS)
            assert answer.headers["Allow"] == "POST"

    def test_with_an_api_key_is_for_the_scenario_s_audience_and_secret(self) -> None:
        with simulated(tokens={"audience": "https://app.example/api", "client-secret": "s"}) as api:
            refused = api.get_token(audience="https://app.example/api")
            assert (refused.status_code, set(refused.json())) == (401, {"error", "error_description"})
            assert api.get_token(client_secret="s").status_code == 403
            assert api.simulator.issued_tokens == []
            body = api.get_token(client_secret="s", audience="https://app.example/api").json()
            assert (body["token_type"], body["expires_in"]) == ("Bearer", 86400)
            assert api.simulator.issued_tokens == [body["access_token"]]
            assert api.call("GET", WORKSPACE, body["access_token"]).status_code == 200

    @pytest.mark.parametrize("policy", [{"expires-after": "2s"}, {"expires-after-uses": 2}])
    def test_with_an_issued_token_ends_after_a_time_or_after_uses(self, policy: dict[str, object]) -> None:
        with simulated(tokens=policy) as api:
            token, statuses = api.get_token().json()["access_token"], []
            for _ in range(4):
                statuses.append(api.call("GET", WORKSPACE, token).status_code)
                api.clock.now += 1
            assert statuses == [200, 200, 401, 401]
            assert api.call("GET", WORKSPACE, api.get_token().json()["access_token"]).status_code == 200

    def test_beyond_the_rate_limit_is_refused_until_there_is_room(self) -> None:
        with simulated(rate_limit={"requests": 2, "per": "1s", "retry-after": 3}) as api:
            answers = []
            for pause in (0, 0.5, 0.2, 0.3, 0, 0.5):
                api.clock.now += pause
                answers.append(api.call("GET", WORKSPACE))
                assert api.get_token().status_code == 200
            assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 429, 200]
            assert answers[2].headers["Retry-After"] == "3"


WHOLE = "zero\none\né\n50 %".encode()


@pytest.fixture
def log() -> list[dict[str, Any]]:
    later = [{"at": 1, "text": "one"}, {"at": 2, "text": "é"}, {"text": "50 %", "unfinished": True}]
    return [{"at": 0, "text": "zero"}, *later]


class TestLogs:
    def test_that_end_give_what_is_written_so_far(self, log: Any) -> None:
        with simulated(job={"queued": 5, "runs": 1.5, "log": log}) as api:
            link, read = api.trigger()["_links"]["logs"]["href"], []
            for pause in (0, 5, 1, 1):
                api.clock.now += pause
                read.append(api.call("GET", link).content)
            assert read == [b"", b"zero\n", b"zero\none\n", WHOLE]

    @pytest.mark.parametrize(
        ("sequence", "content"),
        [("", WHOLE), (1, WHOLE[5:]), (3, b"50 %"), (4, b""), (10**30, b"")],
    )
    def test_begin_with_the_line_asked_for(self, sequence: object, content: bytes, log: Any) -> None:
        with simulated(job={"runs": 3, "log": log}) as api:
            link = api.trigger()["_links"]["logs"]["href"].partition("?")[0]
            api.clock.now += 3
            answer = api.call("GET", link, params={"sequence": str(sequence)}, headers={"Accept": "Text/Plain"})
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["Content-Type"] == "text/plain;charset=UTF-8"
        assert answer.headers["Transfer-Encoding"] == "chunked"

    def test_that_are_held_stay_open_until_the_job_ends(self, log: Any) -> None:
        with simulated(job={"queued": 5, "runs": 3, "log": log}, logs={"stream": "held", "empty": 204}) as api:
            link = api.trigger()["_links"]["logs"]["href"]
            with api.call("GET", link, stream=True) as answer, ThreadPoolExecutor(1) as pool:
                assert answer.status_code == 200
                seen = b""
                for pause, expected in [(5, b"zero\n"), (1, b"zero\none\n"), (1, WHOLE)]:
                    api.clock.now += pause
                    while seen != expected:
                        seen += answer.raw.read1()
                rest = pool.submit(answer.raw.read)
                time.sleep(0.05)
                assert not rest.done()
                api.clock.now += 1
                assert rest.result(timeout=10) == b""
            assert api.call("GET", link.replace("=0", "=4")).status_code == 204

    @pytest.mark.parametrize(("relation", "method"), [("withdraw job", "PUT"), ("delete job", "DELETE")])
    def test_that_are_held_end_with_a_job_that_is_stopped(self, relation: str, method: str, log: Any) -> None:
        with simulated(job={"runs": "forever", "log": log}, logs={"stream": "held"}) as api:
            links = api.trigger()["_links"]
            with api.call("GET", links["logs"]["href"], stream=True) as answer, ThreadPoolExecutor(1) as pool:
                rest = pool.submit(lambda: answer.content)
                assert api.call(method, links[relation]["href"]).ok
                assert rest.result(timeout=10) == b"zero\n"

    def test_that_are_held_end_at_once_in_real_time(self) -> None:
        with Simulator({"job": {"runs": 0.2}, "logs": {"stream": "held"}}) as simulator:
            api = ApiClient(simulator)
            assert api.call("GET", api.trigger()["_links"]["logs"]["href"]).content == b""
            assert [state.status for state in simulator.jobs] == ["COMPLETE"]


def test_the_journal_tells_everything_but_credentials() -> None:
    with simulated() as api:
        api.get_token()
        api.call("GET", JOBS + "?page=1", headers={"User-Agent": "me/1", "Accept": "application/json"})
        api.call("POST", WEBHOOK, None, data=b"{}", headers=sign(b"{}"))
        api.call("PATCH", JOBS)
        journal = api.simulator.journal
        token, jobs, webhook, odd = journal
        assert (token.number, token.call, token.method, token.path) == (1, "token", "POST", "/oauth/token")
        assert (token.content_type, token.authorised) == ("application/x-www-form-urlencoded", True)
        assert (jobs.call, jobs.query, jobs.authorization, jobs.authorised) == ("jobs", "page=1", "Bearer", True)
        assert (jobs.user_agent, jobs.accept, jobs.time, jobs.signed) == ("me/1", "application/json", NOW, False)
        assert (webhook.signed, webhook.authorised, webhook.authorization) == (True, True, None)
        assert (webhook.content_length, webhook.body_sha256[:6]) == (2, "44136f")
        assert ([entry.status for entry in journal], odd.call) == ([200, 200, 202, 405], None)
        secrets = [constants.TOKEN, constants.CLIENT_SECRET, constants.DEPLOYMENT_SECRET, *api.simulator.issued_tokens]
        assert not [secret for secret in [*secrets, sign(b"{}")["X-Hub-Signature"]] if secret in repr(journal)]


class TestServer:
    def test_takes_no_notice_of_a_request_that_never_came_in_whole(self) -> None:
        with simulated() as api:
            head = f"POST /api{DEPLOYMENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\n"
            with socket.create_connection(("127.0.0.1", _port(api.simulator)), timeout=10) as connection:
                connection.sendall(f"{head}Content-Length: 10\r\n\r\n123".encode())
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(1000) == b""
            assert api.call("GET", WORKSPACE).status_code == 200
            assert ([entry.call for entry in api.simulator.journal], api.jobs) == (["workspace"], [])

    def test_tells_when_a_request_has_come_in(self) -> None:
        with simulated() as api, ThreadPoolExecutor() as pool:
            waiting = pool.submit(api.simulator.wait_for, "workspace", 2)
            api.get(WORKSPACE)
            api.get(WORKSPACE)
            assert waiting.result().number == 2
            with pytest.raises(TimeoutError, match="workspace: 2 requests instead of 3"):
                api.simulator.wait_for("workspace", 3, timeout=0.01)

    def test_is_gone_after_the_block_with_connections_that_were_just_accepted(self) -> None:
        for _ in range(5):
            with Simulator() as simulator:
                # What is left open is reported by Python, and fails the test.
                socket.create_connection(("127.0.0.1", _port(simulator))).close()
        with pytest.raises(requests.ConnectionError):
            ApiClient(simulator).call("GET", WORKSPACE)
        assert not [thread for thread in threading.enumerate() if thread.name == "simulator"]

    def test_cannot_use_a_port_that_is_taken_or_a_certificate_that_is_not_there(self, tmp_path: Path) -> None:
        with Simulator({}) as simulator, pytest.raises(OSError, match="in use"), Simulator({}, port=_port(simulator)):
            pass
        with pytest.raises(OSError, match=r"No such file"), Simulator({}, tls=(tmp_path / "c", tmp_path / "k")):
            pass
        assert not [thread for thread in threading.enumerate() if thread.name == "simulator"]

    def test_answers_at_once_on_a_connection_that_was_kept(self) -> None:
        took = []
        with simulated() as api, requests.Session() as session:
            for _ in range(10):
                began = time.monotonic()
                session.get(api.simulator.api_url + WORKSPACE, headers=BEARER, timeout=10)
                took.append(time.monotonic() - began)
        # Nagle's algorithm would hold back the body of each for 40 ms, but for the connection's first.
        assert min(took[1:]) < 0.03


def _port(simulator: Simulator) -> int:
    return urlsplit(simulator.url).port or 0
