"""The simulated platform answers each call as the published document and the reference of the real one say.

What scenarios let go wrong goes wrong on the wire, where a client meets it.
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator, FormatChecker
from matatika.exceptions import MatatikaException  # type: ignore[import-untyped]
from matatika.library import MatatikaClient  # type: ignore[import-untyped]

from matatika_simulator import Simulator, constants
from tests.support.clock import FakeClock
from tests.support.tls import make_certificate

UNKNOWN = "00000000-0000-4000-8000-000000000000"
NOW = 1_700_000_000.123456  # 2023-11-14T22:13:20
WORKSPACE = f"/workspaces/{constants.WORKSPACE_ID}"
DEPLOYMENTS, JOBS, PIPELINES = (f"{WORKSPACE}/{name}" for name in ("deployments", "jobs", "pipelines"))
WEBHOOK = f"{DEPLOYMENTS}/github-webhook"
KEY = {"client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
PUBLISHED = json.loads((Path(__file__).parents[1] / "data/openapi-deployments.json").read_text("utf-8"))

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


@dataclass
class ApiClient:
    """Asks a simulator for things, with the personal token unless a test says otherwise."""

    simulator: Simulator
    clock: FakeClock

    def call(self, method: str, path: str, token: str | None = constants.TOKEN, **more: Any) -> requests.Response:
        """One request; `path` is relative to the API's root, or a whole address."""
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | more.pop("headers", {})
        url = path if "://" in path else self.simulator.api_url + path
        return requests.request(method, url, headers=headers, timeout=10, **more)

    def get(self, path: str) -> Any:
        return self.call("GET", path).json()

    def trigger(self) -> Any:
        return self.call("POST", DEPLOYMENTS).json()

    def get_token(self, **changed: str) -> requests.Response:
        form = {"grant_type": "client_credentials", "audience": self.simulator.api_url, **KEY, **changed}
        return requests.post(self.simulator.auth_url, data=form, timeout=10)


@contextmanager
def simulated(**keys: Any) -> Iterator[ApiClient]:
    """A client of a scenario with these keys, whose names have underscores here."""
    clock = FakeClock(NOW)
    with Simulator({key.replace("_", "-"): value for key, value in keys.items()}, clock=clock.now) as simulator:
        yield ApiClient(simulator, clock)


def sign(body: bytes) -> dict[str, str]:
    digest = hmac.new(constants.DEPLOYMENT_SECRET.encode(), body, hashlib.sha1).hexdigest()
    return {"X-Hub-Signature": f"sha1={digest}"}


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


def test_a_body_that_is_not_as_published_is_found() -> None:
    found = misfits("JobResource", {"id": "7", "attempt": "0", "invented": 1})
    assert {re.split("[ :]", misfit)[0] for misfit in found} == {"$", "$.attempt", "$.id"}


@pytest.mark.parametrize("old", [False, True])
def test_every_call_has_each_status_of_the_reference_and_the_published_body(old: bool) -> None:
    calls = {(method, path) for name, (method, path, _, _) in REFERENCE.items() if name not in UNPUBLISHED}
    paths = {path: re.sub(r"{\w+}", "{}", path) for path in PUBLISHED["paths"]}
    assert calls <= {(method.upper(), paths[path]) for path, item in PUBLISHED["paths"].items() for method in item}
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
    check("webhook", f"{unknown}/deployments/github-webhook", data=b"{}", headers=sign(b"{}"))
    check("webhook", WEBHOOK, data=b"{}", headers=sign(b"{ }"))
    check("webhook", WEBHOOK, data=b"{}")
    job = f"/jobs/{api.simulator.jobs[0].id}"
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
    check("job", f"/jobs/{api.simulator.jobs[-1].id}")
    check("delete", job, job)
    for changed in ({}, {"client_id": "x"}, {"audience": "x"}, {"grant_type": "x"}):
        api.get_token(**changed)
    for call, (method, path, statuses, _) in REFERENCE.items():
        if 401 in statuses and call != "webhook":
            api.call(method, api.simulator.url + path.format(UNKNOWN), token="wrong")


def test_the_platforms_own_client_takes_it_for_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`matatika` of PyPI signs in when its token is refused, and understands the error body."""
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    # When the client renews a token, it forgets the variable.
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate[0]))
    with Simulator({}, tls=certificate) as simulator:
        # The client knows the platform's own hosts only.
        monkeypatch.setattr("matatika.auth.STAGING", simulator.url.removeprefix("https://"))
        client = MatatikaClient(endpoint_url=simulator.api_url, auth_token="old", **KEY)
        with pytest.raises(MatatikaException, match="Not Found"):
            client.get_dataset(UNKNOWN)
        assert [entry.authorised for entry in simulator.journal] == [False, True, True]


def test_a_deployment_goes_through_its_states() -> None:
    with simulated(job={"queued": 10, "runs": 3, "ends": "ERROR", "exit-code": 7}) as api:
        queued = api.trigger()
        root = f"{api.simulator.api_url}/jobs/{queued['id']}"
        links = {"self": (root, None), "delete job": (root, "DELETE"), "logs": (f"{root}/logs?sequence=0", "GET")}
        withdraw = {"withdraw job": (f"{root}/stopped", "PUT")}
        assert {it: (link["href"], link.get("type")) for it, link in queued["_links"].items()} == links | withdraw
        assert (queued["status"], queued["created"]) == ("QUEUED", "2023-11-14T22:13:20.123456")
        assert not {"startTime", "commitId", "endTime", "exitCode"} & set(queued)
        api.clock.advance(10)
        running = api.get(root)
        assert (running["status"], running["commitId"]) == ("RUNNING", constants.COMMIT_ID)
        assert running["startTime"] == "2023-11-14T22:13:30.123456"
        assert not {"endTime", "exitCode"} & set(running)
        api.clock.advance(3)
        ended = api.get(root)
        assert (ended["status"], ended["exitCode"]) == ("ERROR", 7)
        assert ended["endTime"] == "2023-11-14T22:13:33.123456"
        assert set(ended["_links"]) == set(links)


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
def test_answers_vary_as_the_platforms_may(keys: Mapping[str, Any], shown: str) -> None:
    with simulated(**keys) as api:
        answer, refused = api.call("POST", DEPLOYMENTS), api.call("GET", f"/jobs/{UNKNOWN}")
        assert re.search(shown, answer.text)
        ahead = 3600 if "clock_skew" in keys else 0
        for dated in (answer, refused, api.get_token()):
            assert parsedate_to_datetime(dated.headers["Date"]).timestamp() == int(NOW) + ahead
        assert refused.json()["timestamp"].endswith("+00:00") == (keys == {"answers": {"old": True}})


@pytest.mark.parametrize(
    ("path", "token", "status", "header"),
    [
        (JOBS, None, 401, ("WWW-Authenticate", "Bearer")),
        (JOBS, "wrong", 401, ("WWW-Authenticate", 'Bearer error="invalid_token"')),
        ("/nothing/here", constants.TOKEN, 404, ("Content-Type", "application/json")),
        (DEPLOYMENTS, constants.TOKEN, 405, ("Allow", "POST")),
    ],
)
def test_a_refusal_has_the_apis_error_body(path: str, token: str | None, status: int, header: tuple[str, str]) -> None:
    with simulated() as api:
        answer = api.call("GET", path, token)
    assert (answer.status_code, answer.headers[header[0]]) == (status, header[1])
    body = answer.json()
    assert re.fullmatch(r"2023-11-14T22:13:20\.123456\d{3}", body.pop("timestamp"))
    assert body.pop("message")
    assert body == {"status": status, "error": HTTPStatus(status).phrase, "errors": [], "path": f"/api{path}"}


@pytest.mark.parametrize(
    ("paging", "query", "created", "page"),
    [
        (True, "", ["12:50", "13:00", "13:10"], (20, 3, 1, 0)),
        (True, "?page=1&size=2&sort=created,desc", ["12:50"], (2, 3, 2, 1)),
        (True, "?page=7&size=2", [], (2, 3, 2, 7)),
        (False, "?page=1&size=1&sort=created,desc", ["12:50", "13:00", "13:10"], (20, 3, 1, 0)),
    ],
)
def test_a_list_is_paged_and_sorted(paging: bool, query: str, created: list[str], page: tuple[int, ...]) -> None:
    others = [{"at": "-10s", "queued": "forever"}, {"at": "-30s"}, {"at": "-20s"}]
    with simulated(other_jobs=others, lists={"paging": paging}) as api:
        answer = api.get(JOBS + query)
    assert [job["created"][14:19] for job in answer.get("_embedded", {"jobs": []})["jobs"]] == created
    assert tuple(answer["page"][name] for name in ("size", "totalElements", "totalPages", "number")) == page
    assert ("_embedded" in answer) == bool(created)


WHOLE = "zero\none\né\n50 %".encode()
LATER = [{"at": 1, "text": "one"}, {"at": 2, "text": "é"}, {"text": "50 %", "unfinished": True}]
LOG = [{"at": 0, "text": "zero"}, *LATER]


def test_a_log_begins_with_the_line_asked_for_and_if_it_is_held_stays_open_until_the_job_ends() -> None:
    with simulated(job={"queued": 5, "runs": 3, "log": LOG}, logs={"stream": "held", "empty": 204}) as api:
        link = api.trigger()["_links"]["logs"]["href"]
        with api.call("GET", link, stream=True) as answer, ThreadPoolExecutor(1) as pool:
            seen = b""
            for pause, expected in [(5, b"zero\n"), (1, b"zero\none\n"), (1, WHOLE)]:
                api.clock.advance(pause)
                while seen != expected:
                    piece = answer.raw.read1()
                    assert piece
                    seen += piece
            rest = pool.submit(answer.raw.read)
            time.sleep(0.05)
            assert not rest.done()
            api.clock.advance(1)
            assert rest.result(timeout=10) == b""
        for sequence, content in (("0", WHOLE), ("1", WHOLE[5:]), ("3", b"50 %")):
            answer = api.call("GET", link.replace("=0", f"={sequence}"), headers={"Accept": "Text/Plain"})
            assert (answer.status_code, answer.content) == (200, content)
            assert answer.headers["Content-Type"] == "text/plain;charset=UTF-8"
            assert answer.headers["Transfer-Encoding"] == "chunked"
        assert api.call("GET", link.replace("=0", "=4")).status_code == 204


@pytest.mark.parametrize(
    ("body", "content", "media"),
    [
        ({}, b'"message":"Simulated fault","path":"/api/workspaces/', "application/json"),
        ({"body": {"api": "Workspace is archived"}}, b'"message":"Workspace is archived",', "application/json"),
        ({"body": {"text": '{"id": "'}}, b'{"id": "', "application/json"),
        ({"body": "html"}, b"<html>", "text/html"),
        ({"body": "html", "headers": {"Content-Type": "text/odd", "Retry-After": 7}}, b"<html>", "text/odd"),
    ],
)
def test_a_faulty_answer_is_as_the_scenario_says(body: dict[str, Any], content: bytes, media: str) -> None:
    with simulated(faults=[{"calls": "trigger", "status": 409, **body}]) as api:
        answer = api.call("POST", DEPLOYMENTS)
        assert (api.simulator.jobs, api.simulator.journal[0].status) == ([], 409)
    assert (answer.status_code, answer.headers["Content-Type"]) == (409, media)
    assert answer.headers.get("Retry-After") == ("7" if media == "text/odd" else None)
    assert content in answer.content


@pytest.mark.parametrize(("how", "error"), [("close", "RemoteDisconnected"), ("reset", "ConnectionResetError")])
@pytest.mark.parametrize("after", [False, True])
def test_a_connection_is_closed_or_reset_before_the_effect_or_after_it(how: str, error: str, after: bool) -> None:
    fault = {"calls": "trigger", "requests": {"first": 1}, "drop": how, "after": after}
    with simulated(job={"runs": "forever"}, faults=[fault]) as api:
        with pytest.raises(requests.exceptions.ConnectionError, match=error):
            api.trigger()
        assert (len(api.simulator.jobs), api.simulator.journal[0].status) == (after, None)
        assert api.call("POST", DEPLOYMENTS).status_code == (409 if after else 202)
