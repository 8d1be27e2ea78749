"""The simulated platform answers each call as the reference of the real one says."""

import hashlib
import hmac
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from matatika_simulator import Simulator, constants

UNKNOWN = "00000000-0000-4000-8000-000000000000"
OTHER_ID = "00000000-51a1-4000-8000-000000000002"
DEPLOYMENTS = f"/workspaces/{constants.WORKSPACE_ID}/deployments"
JOBS = f"/workspaces/{constants.WORKSPACE_ID}/jobs"
WORKSPACE = f"/workspaces/{constants.WORKSPACE_ID}"
NOW = 1_700_000_000.123456
BEARER = {"Authorization": f"Bearer {constants.TOKEN}"}


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


Play = Callable[..., Simulator]


@pytest.fixture
def play(clock: Time) -> Iterator[Play]:
    """Play a scenario on the clock that stands still."""
    playing: list[Simulator] = []

    def start(**scenario: Any) -> Simulator:
        simulator = Simulator({key.replace("_", "-"): value for key, value in scenario.items()}, clock=clock)
        playing.append(simulator.__enter__())
        return simulator

    yield start
    for simulator in playing:
        simulator.__exit__(None, None, None)


def call(simulator: Simulator, method: str, path: str, token: str | None = constants.TOKEN, **more: Any) -> Any:
    headers = ({"Authorization": f"Bearer {token}"} if token else {}) | more.pop("headers", {})
    url = path if "://" in path else simulator.api_url + path
    return requests.request(method, url, headers=headers, timeout=10, **more)


def trigger(simulator: Simulator) -> Any:
    answer = call(simulator, "POST", DEPLOYMENTS)
    assert answer.status_code == 202
    return answer.json()


def sign(body: bytes, secret: str = constants.DEPLOYMENT_SECRET) -> dict[str, str]:
    return {"X-Hub-Signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}


def get_token(simulator: Simulator, **changed: str | None) -> requests.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": constants.CLIENT_ID,
        "client_secret": constants.CLIENT_SECRET,
        "audience": simulator.api_url,
    } | changed
    return requests.post(simulator.auth_url, data=form, timeout=10)


def assert_api_error(answer: requests.Response, status: int, path: str) -> None:
    assert answer.status_code == status
    body = answer.json()
    assert list(body) == ["timestamp", "status", "error", "errors", "message", "path"]
    assert (body["status"], body["path"], body["errors"]) == (status, urlsplit(path).path, [])
    assert body["error"] == HTTPStatus(status).phrase
    assert body["message"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", body["timestamp"])


class TestTrigger:
    def test_queues_a_deployment(self, play: Play) -> None:
        simulator = play(job={"queued": 10})
        answer = call(simulator, "POST", DEPLOYMENTS, headers={"Content-Type": "application/json"})
        assert answer.status_code == 202
        job = answer.json()
        links = job.pop("_links")
        assert job == {
            "id": simulator.jobs[0].id,
            "created": "2023-11-14T22:13:20.123456",
            "type": "WORKSPACE_DEPLOY",
            "maxAttempts": 0,
            "attempt": 0,
            "status": "QUEUED",
            "_embedded": job["_embedded"],
        }
        assert set(job["_embedded"]["profile"]) == {"id", "name", "handle", "email"}
        root = f"{simulator.api_url}/jobs/{job['id']}"
        assert links == {
            "self": {"href": root},
            "delete job": {"href": root, "type": "DELETE"},
            "logs": {"href": f"{root}/logs?sequence=0", "type": "GET"},
            "withdraw job": {"href": f"{root}/stopped", "type": "PUT"},
        }
        assert simulator.jobs[0].triggered_by == "token"

    def test_is_refused_while_another_deployment_of_the_workspace_has_not_ended(self, play: Play, clock: Time) -> None:
        simulator = play(job={"queued": 10, "runs": 10}, other_workspaces=[{"id": OTHER_ID}])
        trigger(simulator)
        assert_api_error(call(simulator, "POST", DEPLOYMENTS), 409, f"/api{DEPLOYMENTS}")
        assert call(simulator, "POST", f"/workspaces/{OTHER_ID}/deployments").status_code == 202
        clock.now += 19.9
        assert call(simulator, "POST", DEPLOYMENTS).status_code == 409
        clock.now += 0.1
        trigger(simulator)
        assert len(simulator.jobs) == 3

    def test_is_queued_beside_another_if_the_scenario_says_so(self, play: Play) -> None:
        simulator = play(deployments={"while-another-runs": "queue"})
        assert trigger(simulator)["id"] != trigger(simulator)["id"]

    def test_jobs_of_other_types_are_in_nobodys_way(self, play: Play) -> None:
        trigger(play(other_jobs=[{"type": "PIPELINE", "runs": "forever"}]))

    def test_other_jobs_appear_with_the_first_trigger_whatever_becomes_of_it(self, play: Play, clock: Time) -> None:
        simulator = play(
            other_jobs=[{"since": "first-trigger", "at": "2s", "runs": 5}],
            faults=[{"calls": "trigger", "requests": {"first": 1}, "status": 503}],
        )
        clock.now += 100
        assert simulator.jobs == []
        assert call(simulator, "POST", DEPLOYMENTS).status_code == 503
        assert simulator.jobs == []
        clock.now += 2
        (other,) = simulator.jobs
        assert (other.triggered_by, other.created) == ("other", NOW + 102)
        assert call(simulator, "POST", DEPLOYMENTS).status_code == 409

    def test_other_jobs_that_are_there_from_the_start_come_once(self, play: Play, clock: Time) -> None:
        simulator = play(other_jobs=[{"at": "-5s", "runs": 1}])
        trigger(simulator)
        assert [job.triggered_by for job in simulator.jobs] == ["other", "token"]

    def test_of_an_unknown_workspace(self, play: Play) -> None:
        path = f"/workspaces/{UNKNOWN}/deployments"
        assert_api_error(call(play(), "POST", path), 404, f"/api{path}")


class TestWebhook:
    PATH = DEPLOYMENTS + "/github-webhook"

    @pytest.mark.parametrize("body", [b"{ }", b'{"ref":"refs/heads/main",\n "n": 1}\n', '{"name":"é"}'.encode()])
    def test_queues_a_deployment_if_the_body_is_signed(self, play: Play, body: bytes) -> None:
        simulator = play(job={"queued": 10})
        answer = call(simulator, "POST", self.PATH, None, data=body, headers=sign(body))
        assert answer.status_code == 202
        assert answer.json()["status"] == "QUEUED"
        assert simulator.jobs[0].triggered_by == "webhook"
        (entry,) = simulator.calls("webhook")
        assert (entry.signed, entry.authorised, entry.authorization) == (True, True, None)
        assert (entry.content_length, entry.body_sha256) == (len(body), hashlib.sha256(body).hexdigest())

    @pytest.mark.parametrize(
        ("body", "headers", "status"),
        [
            (b"{ }", sign(b"{}"), 401),
            (b"{ }", sign(b"{ }", "another secret"), 401),
            (b"{ }", {"X-Hub-Signature": "sha1="}, 401),
            (b"{ }", {"X-Hub-Signature": sign(b"{ }")["X-Hub-Signature"].removeprefix("sha1=")}, 401),
            (b"{ }", BEARER, 400),
            (b"{", sign(b"{"), 400),
        ],
    )
    def test_is_refused_otherwise(self, play: Play, body: bytes, headers: dict[str, str], status: int) -> None:
        simulator = play()
        answer = call(simulator, "POST", self.PATH, None, data=body, headers=headers)
        assert_api_error(answer, status, f"/api{self.PATH}")
        assert simulator.jobs == []

    def test_each_workspace_has_a_secret_of_its_own(self, play: Play) -> None:
        simulator = play(workspace={"deployment-secret": "mine"})
        assert call(simulator, "POST", self.PATH, None, data=b"{}", headers=sign(b"{}")).status_code == 401
        assert call(simulator, "POST", self.PATH, None, data=b"{}", headers=sign(b"{}", "mine")).status_code == 202

    def test_conflicts_too(self, play: Play) -> None:
        simulator = play()
        trigger(simulator)
        assert call(simulator, "POST", self.PATH, None, data=b"{}", headers=sign(b"{}")).status_code == 409


class TestJob:
    def test_goes_through_its_states(self, play: Play, clock: Time) -> None:
        simulator = play(job={"queued": 10, "runs": 3, "ends": "ERROR", "exit-code": 7})
        link = trigger(simulator)["_links"]["self"]["href"]
        clock.now += 10
        running = call(simulator, "GET", link).json()
        assert (running["status"], running["commitId"]) == ("RUNNING", constants.COMMIT_ID)
        assert running["startTime"] == "2023-11-14T22:13:30.123456"
        assert not {"endTime", "exitCode"} & set(running)
        clock.now += 3
        ended = call(simulator, "GET", link).json()
        assert (ended["status"], ended["exitCode"]) == ("ERROR", 7)
        assert ended["endTime"] == "2023-11-14T22:13:33.123456"
        assert set(ended["_links"]) == {"self", "delete job", "logs"}

    def test_fields_can_be_anything(self, play: Play) -> None:
        simulator = play(job={"fields": {"exitCode": [], "status": "ODD", "_links": None, "new": 1}})
        job = trigger(simulator)
        assert (job["exitCode"], job["status"], job["_links"], job["new"]) == ([], "ODD", None, 1)

    @pytest.mark.parametrize("path", ["", "/logs"])
    def test_unknown(self, play: Play, path: str) -> None:
        path = f"/jobs/{UNKNOWN}{path}"
        assert_api_error(call(play(), "GET", path), 404, f"/api{path}")

    def test_of_no_uuid(self, play: Play) -> None:
        assert_api_error(call(play(), "GET", "/jobs/7"), 400, "/api/jobs/7")


class TestAnswerStyle:
    def job(self, play: Play, **answers: Any) -> Any:
        return trigger(play(answers={key.replace("_", "-"): value for key, value in answers.items()}))

    def test_old(self, play: Play) -> None:
        assert not {"maxAttempts", "attempt", "_embedded"} & set(self.job(play, old=True))

    def test_relative_links(self, play: Play) -> None:
        job = self.job(play, hrefs="relative")
        assert job["_links"]["self"]["href"] == f"/api/jobs/{job['id']}"

    def test_links_without_the_port(self, play: Play) -> None:
        job = self.job(play, hrefs="without-port")
        assert job["_links"]["self"]["href"] == f"http://127.0.0.1/api/jobs/{job['id']}"

    def test_links_to_another_host(self, play: Play) -> None:
        job = self.job(play, hrefs="https://other.example/api/")
        assert job["_links"]["logs"]["href"] == f"https://other.example/api/jobs/{job['id']}/logs?sequence=0"

    def test_lists_of_links(self, play: Play) -> None:
        links = self.job(play, link_lists=True)["_links"]
        assert [[set(link) for link in relation] for relation in links.values()][:2] == [[{"href"}], [{"href", "type"}]]

    @pytest.mark.parametrize(
        ("digits", "created"), [(0, "22:13:20"), (3, "22:13:20.123"), (9, r"22:13:20.123456\d{3}")]
    )
    def test_fractions_of_seconds(self, play: Play, digits: int, created: str) -> None:
        assert re.fullmatch(f"2023-11-14T{created}", self.job(play, fraction_digits=digits)["created"])

    def test_links_name_the_host_that_was_asked(self, play: Play) -> None:
        simulator = play()
        job = call(simulator, "POST", DEPLOYMENTS, headers={"Host": "platform.example:8443"}).json()
        assert job["_links"]["self"]["href"] == f"http://platform.example:8443/api/jobs/{job['id']}"


class TestTime:
    @pytest.mark.parametrize(("skew", "seconds"), [("1h", 3600), ("-1h", -3600), (0, 0)])
    def test_is_the_platforms_own(self, play: Play, skew: object, seconds: int) -> None:
        answer = call(play(clock_skew=skew), "POST", DEPLOYMENTS)
        created = datetime.fromisoformat(answer.json()["created"] + "+00:00")
        assert created.timestamp() == pytest.approx(NOW + seconds, abs=1e-5)
        assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == int(NOW + seconds)

    def test_stands_in_errors_too(self, play: Play) -> None:
        answer = call(play(clock_skew="1h"), "GET", f"/jobs/{UNKNOWN}")
        assert answer.json()["timestamp"] == "2023-11-14T23:13:20.123+00:00"
        assert answer.headers["Date"] == "Tue, 14 Nov 2023 23:13:20 GMT"


class TestWithdraw:
    def test_running(self, play: Play, clock: Time) -> None:
        simulator = play(job={"runs": "forever"}, withdrawal={"takes": "2s"})
        job = trigger(simulator)
        answer = call(simulator, "PUT", job["_links"]["withdraw job"]["href"])
        assert answer.status_code == 202
        assert all(isinstance(value, str) for value in answer.json().values())
        clock.now += 1.9
        assert call(simulator, "GET", f"/jobs/{job['id']}").json()["status"] == "RUNNING"
        assert call(simulator, "PUT", job["_links"]["withdraw job"]["href"]).status_code == 202
        clock.now += 0.2
        stopped = call(simulator, "GET", f"/jobs/{job['id']}").json()
        assert (stopped["status"], stopped["endTime"]) == ("STOPPED", "2023-11-14T22:13:22.123456")
        assert "withdraw job" not in stopped["_links"]
        assert simulator.jobs[0].withdrawn

    def test_queued_accepted(self, play: Play) -> None:
        simulator = play(job={"queued": "forever"}, withdrawal={"answer": 200})
        job = trigger(simulator)
        assert call(simulator, "PUT", job["_links"]["withdraw job"]["href"]).status_code == 200
        assert call(simulator, "GET", f"/jobs/{job['id']}").json()["status"] == "STOPPED"

    @pytest.mark.parametrize("status", [400, 409])
    def test_queued_refused(self, play: Play, clock: Time, status: int) -> None:
        simulator = play(job={"queued": 10, "runs": 10}, withdrawal={"queued": status})
        job = trigger(simulator)
        path = f"/jobs/{job['id']}/stopped"
        assert_api_error(call(simulator, "PUT", path), status, f"/api{path}")
        assert simulator.jobs[0].status == "QUEUED"
        assert not simulator.jobs[0].withdrawn
        clock.now += 10
        assert call(simulator, "PUT", path).status_code == 202
        assert simulator.jobs[0].status == "STOPPED"

    def test_ended(self, play: Play, clock: Time) -> None:
        simulator = play()
        path = f"/jobs/{trigger(simulator)['id']}/stopped"
        clock.now += 1
        assert_api_error(call(simulator, "PUT", path), 409, f"/api{path}")
        assert simulator.jobs[0].status == "COMPLETE"

    def test_unknown(self, play: Play) -> None:
        path = f"/jobs/{UNKNOWN}/stopped"
        assert_api_error(call(play(), "PUT", path), 404, f"/api{path}")


class TestDelete:
    def test_stops_the_job_and_removes_it(self, play: Play) -> None:
        simulator = play(job={"queued": "forever"})
        job = trigger(simulator)
        answer = call(simulator, "DELETE", job["_links"]["delete job"]["href"])
        assert (answer.status_code, answer.content) == (204, b"")
        for method, path in [("GET", ""), ("GET", "/logs"), ("PUT", "/stopped"), ("DELETE", "")]:
            assert call(simulator, method, f"/jobs/{job['id']}{path}").status_code == 404
        assert call(simulator, "GET", JOBS).json()["page"]["totalElements"] == 0
        (state,) = simulator.jobs
        assert (state.deleted, state.status) == (True, "STOPPED")
        trigger(simulator)


class TestJobList:
    def test_of_none(self, play: Play) -> None:
        simulator = play()
        page = call(simulator, "GET", JOBS + "?page=0&size=20&sort=created,desc").json()
        assert page == {
            "_links": {"self": {"href": f"{simulator.api_url}{JOBS}?page=0&size=20&sort=created,desc"}},
            "page": {"size": 20, "totalElements": 0, "totalPages": 0, "number": 0},
        }

    def test_pages(self, play: Play) -> None:
        simulator = play(other_jobs=[{"at": f"-{n}s", "workspace-id": constants.WORKSPACE_ID} for n in (10, 30, 20)])
        first = call(simulator, "GET", JOBS + "?size=2&sort=created,desc").json()
        second = call(simulator, "GET", first["_links"]["next"]["href"]).json()
        created = [job["created"] for page in (first, second) for job in page["_embedded"]["jobs"]]
        assert created == [f"2023-11-14T22:{time}.123456" for time in ("13:10", "13:00", "12:50")]
        assert first["page"] == {"size": 2, "totalElements": 3, "totalPages": 2, "number": 0}
        assert set(first["_links"]) == {"self", "first", "next", "last"}
        assert set(second["_links"]) == {"self", "first", "prev", "last"}
        beyond = call(simulator, "GET", JOBS + "?size=2&page=7").json()
        assert "_embedded" not in beyond
        assert beyond["page"]["number"] == 7

    def test_items_are_jobs(self, play: Play) -> None:
        simulator = play()
        job = trigger(simulator)
        assert call(simulator, "GET", JOBS).json()["_embedded"]["jobs"] == [job]

    @pytest.mark.parametrize(
        ("query", "types"),
        [
            ("", ["B", "A", "C"]),
            ("?sort=type", ["A", "B", "C"]),
            ("?sort=type,desc", ["C", "B", "A"]),
            ("?sort=status&sort=created,asc", ["C", "A", "B"]),
            ("?size=0&page=-1", ["B", "A", "C"]),
            ("?size=x", ["B", "A", "C"]),
        ],
    )
    def test_sorting(self, play: Play, query: str, types: list[str]) -> None:
        simulator = play(
            other_jobs=[
                {"type": "B", "at": -10, "runs": "forever"},
                {"type": "A", "at": -30, "runs": "forever"},
                {"type": "C", "at": -20, "runs": 1},
            ]
        )
        jobs = call(simulator, "GET", JOBS + query).json()["_embedded"]["jobs"]
        assert [job["type"] for job in jobs] == types

    def test_sorting_by_what_is_not_there(self, play: Play) -> None:
        assert_api_error(call(play(), "GET", JOBS + "?sort=colour"), 400, f"/api{JOBS}")

    def test_of_an_unknown_workspace(self, play: Play) -> None:
        path = f"/workspaces/{UNKNOWN}/jobs"
        assert_api_error(call(play(), "GET", path), 404, f"/api{path}")


class TestWorkspace:
    def test_is_shown_with_its_secrets(self, play: Play) -> None:
        workspace = call(play(), "GET", WORKSPACE).json()
        assert workspace["id"] == constants.WORKSPACE_ID
        assert workspace["deploymentSecret"] == constants.DEPLOYMENT_SECRET
        assert workspace["sshPrivateKey"] == constants.SSH_PRIVATE_KEY
        assert (workspace["status"], workspace["managed"]) == ("READY", False)
        assert workspace["repositoryUrl"] == constants.REPOSITORY_URL
        assert (workspace["repositoryBranch"], workspace["repositoryDirectory"]) == ("main", None)

    @pytest.mark.parametrize("status", ["READY", "PROVISIONING", "FAILED"])
    @pytest.mark.parametrize(
        "url", ["https://github.com/Org/Repo", "https://github.com/Org/Repo.git", "git@github.com:Org/Repo.git", None]
    )
    def test_of_every_shape(self, play: Play, status: str, url: str | None) -> None:
        shape = {
            "status": status,
            "repository-url": url,
            "repository-branch": None,
            "repository-directory": "analytics",
        }
        workspace = call(play(workspace=shape), "GET", WORKSPACE).json()
        assert (workspace["status"], workspace["repositoryUrl"]) == (status, url)
        assert (workspace["repositoryBranch"], workspace["repositoryDirectory"]) == (None, "analytics")

    def test_other_workspaces_have_a_job_of_their_own(self, play: Play, clock: Time) -> None:
        simulator = play(other_workspaces=[{"id": OTHER_ID, "name": "Other", "job": {"ends": "ERROR"}}])
        assert call(simulator, "GET", f"/workspaces/{OTHER_ID}").json()["name"] == "Other"
        trigger(simulator)
        call(simulator, "POST", f"/workspaces/{OTHER_ID}/deployments")
        clock.now += 1
        assert [job.status for job in simulator.jobs] == ["COMPLETE", "ERROR"]

    def test_unknown(self, play: Play) -> None:
        assert_api_error(call(play(), "GET", f"/workspaces/{UNKNOWN}"), 404, f"/api/workspaces/{UNKNOWN}")


class TestDoor:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", DEPLOYMENTS),
            ("GET", JOBS),
            ("GET", WORKSPACE),
            ("GET", f"/jobs/{UNKNOWN}"),
            ("DELETE", f"/jobs/{UNKNOWN}"),
            ("GET", f"/jobs/{UNKNOWN}/logs"),
            ("PUT", f"/jobs/{UNKNOWN}/stopped"),
            ("GET", "/nothing/here"),
        ],
    )
    @pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", f"Basic {constants.TOKEN}", constants.TOKEN])
    def test_is_shut_without_a_valid_token(self, play: Play, method: str, path: str, header: str | None) -> None:
        simulator = play()
        answer = call(simulator, method, path, None, headers={"Authorization": header} if header else {})
        assert_api_error(answer, 401, f"/api{path}")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert simulator.journal[0].authorised is False
        assert simulator.jobs == []

    def test_the_scheme_may_be_written_in_any_case(self, play: Play) -> None:
        simulator = play()
        headers = {"Authorization": f"bearer {constants.TOKEN}"}
        assert call(simulator, "GET", WORKSPACE, None, headers=headers).status_code == 200

    def test_no_such_page(self, play: Play) -> None:
        assert_api_error(call(play(), "GET", "/nothing/here"), 404, "/api/nothing/here")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("GET", DEPLOYMENTS, {"POST"}),
            ("POST", f"/jobs/{UNKNOWN}", {"GET", "HEAD", "DELETE"}),
            ("DELETE", f"/jobs/{UNKNOWN}/stopped", {"PUT"}),
        ],
    )
    def test_no_such_method(self, play: Play, method: str, path: str, allowed: set[str]) -> None:
        answer = call(play(), method, path)
        assert_api_error(answer, 405, f"/api{path}")
        assert set(answer.headers["Allow"].split(", ")) == allowed


class TestTokens:
    def test_are_issued_for_the_api_key(self, play: Play) -> None:
        simulator = play()
        answer = get_token(simulator)
        assert answer.status_code == 200
        body = answer.json()
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 86400)
        assert simulator.issued_tokens == [body["access_token"]]
        assert call(simulator, "GET", WORKSPACE, body["access_token"]).status_code == 200
        assert simulator.calls("token")[0].authorised is True

    def test_can_be_asked_for_in_json(self, play: Play) -> None:
        simulator = play()
        body = {
            "grant_type": "client_credentials",
            "client_id": constants.CLIENT_ID,
            "client_secret": constants.CLIENT_SECRET,
            "audience": simulator.api_url,
        }
        assert requests.post(simulator.auth_url, json=body, timeout=10).status_code == 200

    @pytest.mark.parametrize(
        ("changed", "status", "error"),
        [
            ({"client_id": "another"}, 401, "access_denied"),
            ({"client_secret": "wrong"}, 401, "access_denied"),
            ({"client_secret": None}, 401, "access_denied"),
            ({"audience": "https://app.matatika.com/api"}, 403, "access_denied"),
            ({"audience": None}, 403, "access_denied"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ],
    )
    def test_are_not_issued_otherwise(
        self, play: Play, changed: dict[str, str | None], status: int, error: str
    ) -> None:
        simulator = play()
        answer = get_token(simulator, **changed)
        assert answer.status_code == status
        assert set(answer.json()) == {"error", "error_description"}
        assert answer.json()["error"] == error
        assert simulator.issued_tokens == []

    def test_audience_of_the_scenario(self, play: Play) -> None:
        simulator = play(tokens={"audience": "https://app.example/api"})
        assert get_token(simulator).status_code == 403
        assert get_token(simulator, audience="https://app.example/api").status_code == 200

    def test_expire_after_a_time(self, play: Play, clock: Time) -> None:
        simulator = play(tokens={"expires-after": "2s", "expires-in": 300})
        answer = get_token(simulator).json()
        assert answer["expires_in"] == 300
        clock.now += 1.9
        assert call(simulator, "GET", WORKSPACE, answer["access_token"]).status_code == 200
        clock.now += 0.1
        assert_api_error(call(simulator, "GET", WORKSPACE, answer["access_token"]), 401, f"/api{WORKSPACE}")
        assert call(simulator, "GET", WORKSPACE, get_token(simulator).json()["access_token"]).status_code == 200
        clock.now += 1e9
        assert call(simulator, "GET", WORKSPACE).status_code == 200

    def test_expire_when_they_say(self, play: Play, clock: Time) -> None:
        simulator = play(tokens={"expires-in": 5})
        token = get_token(simulator).json()["access_token"]
        clock.now += 5
        assert call(simulator, "GET", WORKSPACE, token).status_code == 401

    def test_expire_after_uses(self, play: Play) -> None:
        simulator = play(tokens={"expires-after-uses": 2})
        token = get_token(simulator).json()["access_token"]
        assert [call(simulator, "GET", WORKSPACE, token).status_code for _ in range(3)] == [200, 200, 401]

    def test_credentials_of_the_scenario(self, play: Play) -> None:
        simulator = play(tokens={"personal": "mine", "client-id": "id", "client-secret": "secret"})
        assert call(simulator, "GET", WORKSPACE).status_code == 401
        assert call(simulator, "GET", WORKSPACE, "mine").status_code == 200
        assert get_token(simulator).status_code == 401
        assert get_token(simulator, client_id="id", client_secret="secret").status_code == 200


class TestRateLimit:
    def test_beyond_it_requests_are_refused_until_there_is_room(self, play: Play, clock: Time) -> None:
        simulator = play(rate_limit={"requests": 2, "per": "1s", "retry-after": 3})
        statuses = []
        for pause in (0, 0.5, 0.2, 0.3, 0, 0.5):
            clock.now += pause
            answer = call(simulator, "GET", WORKSPACE)
            statuses.append(answer.status_code)
        assert statuses == [200, 200, 429, 200, 429, 200]
        assert [entry.fault for entry in simulator.journal if entry.status == 429] == ["rate limit"] * 2

    def test_says_when_to_come_back_and_spares_the_token_endpoint(self, play: Play) -> None:
        simulator = play(rate_limit={"requests": 1, "retry-after": 3})
        assert [get_token(simulator).status_code for _ in range(3)] == [200] * 3
        call(simulator, "GET", WORKSPACE)
        assert call(simulator, "GET", WORKSPACE).headers["Retry-After"] == "3"


class TestJournal:
    def test_tells_everything_but_credentials(self, play: Play) -> None:
        simulator = play()
        get_token(simulator)
        call(simulator, "GET", JOBS + "?page=1", headers={"User-Agent": "me/1", "Accept": "application/json"})
        call(simulator, "POST", TestWebhook.PATH, None, data=b"{}", headers=sign(b"{}"))
        call(simulator, "PATCH", JOBS)
        token, jobs, webhook, odd = simulator.journal
        assert (token.number, token.call, token.method, token.path) == (1, "token", "POST", "/oauth/token")
        assert token.content_type == "application/x-www-form-urlencoded"
        assert (jobs.call, jobs.query, jobs.authorization, jobs.authorised) == ("jobs", "page=1", "Bearer", True)
        assert (jobs.user_agent, jobs.accept, jobs.time) == ("me/1", "application/json", NOW)
        assert (jobs.signed, webhook.signed) == (False, True)
        assert (odd.call, odd.status) == (None, 405)
        assert [entry.status for entry in simulator.journal] == [200, 200, 202, 405]
        text = requests.get(f"{simulator.url}/simulator/journal", timeout=10).text
        assert [entry["call"] for entry in json.loads(text)] == ["token", "jobs", "webhook", None]
        secrets = [constants.TOKEN, constants.CLIENT_SECRET, constants.DEPLOYMENT_SECRET, *simulator.issued_tokens]
        assert not [secret for secret in [*secrets, sign(b"{}")["X-Hub-Signature"]] if secret in text]

    def test_tells_connections_apart(self, play: Play) -> None:
        simulator = play()
        with requests.Session() as session:
            for _ in range(2):
                session.get(simulator.api_url, timeout=10)
        requests.get(simulator.api_url, timeout=10)
        first, second, third = (entry.client for entry in simulator.journal)
        assert first == second != third

    def test_shows_its_own_pages_to_everyone_and_keeps_them_out(self, play: Play) -> None:
        simulator = play()
        job = trigger(simulator)
        (state,) = requests.get(f"{simulator.url}/simulator/jobs", timeout=10).json()
        assert (state["id"], state["triggered_by"], state["withdrawn"]) == (job["id"], "token", False)
        assert len(simulator.journal) == 1

    def test_knows_nothing_of_a_request_that_never_came_in_whole(self, play: Play) -> None:
        simulator = play()
        head = f"POST /api{DEPLOYMENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\n"
        with socket.create_connection(("127.0.0.1", _port(simulator)), timeout=10) as connection:
            connection.sendall(f"{head}Content-Length: 10\r\n\r\n123".encode())
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1000) == b""
        assert call(simulator, "GET", WORKSPACE).status_code == 200
        assert [entry.call for entry in simulator.journal] == ["workspace"]
        assert simulator.jobs == []

    def test_is_appended_to_a_file_line_by_line(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.jsonl"
        with Simulator({}, journal_file=path) as simulator:
            for expected in (1, 2):
                call(simulator, "GET", WORKSPACE)
                lines = [json.loads(line) for line in path.read_text().splitlines()]
                assert [line["status"] for line in lines] == [200] * expected
        with Simulator({}, journal_file=path) as simulator:
            call(simulator, "GET", WORKSPACE)
        assert len(path.read_text().splitlines()) == 3


class TestServer:
    def test_time_can_run_faster(self) -> None:
        with Simulator({"job": {"runs": "30m"}}, speed=36_000) as simulator:
            job = trigger(simulator)
            deadline = time.monotonic() + 10
            while call(simulator, "GET", f"/jobs/{job['id']}").json()["status"] != "COMPLETE":
                assert time.monotonic() < deadline
            (state,) = simulator.jobs
            assert state.ended is not None
            assert state.ended - state.created == pytest.approx(1800)

    def test_requests_can_be_waited_for(self, play: Play) -> None:
        simulator = play()
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(simulator.wait_for, "workspace", 2)
            call(simulator, "GET", WORKSPACE)
            call(simulator, "GET", WORKSPACE)
            assert waiting.result().number == 2
        with pytest.raises(TimeoutError, match="workspace: 2 requests instead of 3"):
            simulator.wait_for("workspace", 3, timeout=0.01)

    def test_is_gone_after_the_block(self) -> None:
        with Simulator({}) as simulator:
            assert call(simulator, "GET", WORKSPACE).status_code == 200
        with pytest.raises(requests.ConnectionError):
            call(simulator, "GET", WORKSPACE)
        assert not [thread for thread in threading.enumerate() if thread.name == "simulator"]

    def test_a_port_that_is_taken_is_an_error(self) -> None:
        with Simulator({}) as simulator, pytest.raises(OSError, match="in use"), Simulator({}, port=_port(simulator)):
            pass

    def test_a_certificate_that_cannot_be_read_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match=r"No such file"), Simulator({}, tls=(tmp_path / "c", tmp_path / "k")):
            pass
        assert not [thread for thread in threading.enumerate() if thread.name == "simulator"]


def _port(simulator: Simulator) -> int:
    port = urlsplit(simulator.url).port
    assert port is not None
    return port


def test_answers_at_once_on_a_connection_that_was_kept(play: Play) -> None:
    simulator = play()
    took = []
    with requests.Session() as session:
        for _ in range(10):
            began = time.monotonic()
            session.get(simulator.api_url + WORKSPACE, headers=BEARER, timeout=10)
            took.append(time.monotonic() - began)
    # Nagle's algorithm would hold back the body of each for 40 ms, but for the connection's first.
    assert min(took[1:]) < 0.03
