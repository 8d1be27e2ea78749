"""The simulated platform answers each call as the published document and the reference of the real one say."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator, FormatChecker

from matatika_simulator import constants
from matatika_simulator.api import application
from matatika_simulator.clock import Clock
from matatika_simulator.journal import Journal
from matatika_simulator.platform import Platform
from matatika_simulator.scenario import Scenario
from tests.support.api_client import (
    DEPLOYMENTS,
    NOW,
    UNKNOWN,
    WORKSPACE,
    ApiClient,
    simulated,
)

OTHER_ID = "00000000-51a1-4000-8000-000000000002"
WEBHOOK = f"{DEPLOYMENTS}/github-webhook"
JOBS = f"{WORKSPACE}/jobs"
PIPELINES = f"{WORKSPACE}/pipelines"
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


def sign(body: bytes, secret: str = constants.DEPLOYMENT_SECRET) -> dict[str, str]:
    """The header that signs a webhook's body."""
    return {"X-Hub-Signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}


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
    api.clock.advance(3)
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
            api.clock.advance(10)
            running = api.get(root)
            assert (running["status"], running["commitId"]) == ("RUNNING", constants.COMMIT_ID)
            assert running["startTime"] == "2023-11-14T22:13:30.123456"
            assert not {"endTime", "exitCode"} & set(running)
            api.clock.advance(3)
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
            api.clock.advance(19.9)
            assert api.call("POST", DEPLOYMENTS).status_code == 409
            api.clock.advance(0.1)
            api.trigger()
            assert [job.status for job in api.jobs] == ["RUNNING", "COMPLETE", "ERROR", "QUEUED"]

    def test_that_run_stop_some_time_after_their_withdrawal(self) -> None:
        with simulated(job={"runs": "forever"}, withdrawal={"takes": "2s"}) as api:
            path = f"/jobs/{api.trigger()['id']}"
            assert api.call("PUT", f"{path}/stopped").status_code == 202
            api.clock.advance(1.9)
            assert api.get(path)["status"] == "RUNNING"
            assert api.call("PUT", f"{path}/stopped").status_code == 202
            api.clock.advance(0.2)
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
                api.clock.advance(10)
                assert api.call("PUT", path).status_code == 200
            assert api.jobs[0].status == "STOPPED"


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


def listed(api: ApiClient) -> dict[str, Any]:
    page = api.get(PIPELINES)
    return {pipeline["name"]: pipeline for pipeline in page.get("_embedded", {"pipelines": []})["pipelines"]}


def run(api: ApiClient, name: str) -> requests.Response:
    return api.call("POST", listed(api)[name]["_links"]["new job"]["href"])


class TestPipelines:
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
                api.clock.advance(1)
            assert seen == [(0, "READY", 1), (9, "PROVISIONING", 2), (9, "PROVISIONING", 2), (9, status, 2)]
            api.trigger()
            api.clock.advance(1)
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
            api.clock.advance(1)
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

    def test_beyond_the_rate_limit_is_refused_until_there_is_room(self) -> None:
        with simulated(rate_limit={"requests": 2, "per": "1s", "retry-after": 3}) as api:
            answers = []
            for pause in (0, 0.5, 0.2, 0.3, 0, 0.5):
                api.clock.advance(pause)
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
    @pytest.mark.parametrize(
        ("sequence", "content"),
        [("", WHOLE), (1, WHOLE[5:]), (3, b"50 %"), (4, b""), (10**30, b"")],
    )
    def test_begin_with_the_line_asked_for(self, sequence: object, content: bytes, log: Any) -> None:
        with simulated(job={"runs": 3, "log": log}) as api:
            link = api.trigger()["_links"]["logs"]["href"].partition("?")[0]
            api.clock.advance(3)
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
                    api.clock.advance(pause)
                    while seen != expected:
                        seen += answer.raw.read1()
                rest = pool.submit(answer.raw.read)
                time.sleep(0.05)
                assert not rest.done()
                api.clock.advance(1)
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
