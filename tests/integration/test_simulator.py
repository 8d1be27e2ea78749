"""The simulated platform answers each call as the reference of the real one says."""

import gc
import hashlib
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from matatika_simulator import Simulator, constants
from tests.support.api_client import (
    BEARER,
    DEPLOYMENTS,
    JOBS,
    NOW,
    OTHER_ID,
    UNKNOWN,
    WEBHOOK,
    WORKSPACE,
    ApiClient,
    sign,
    simulated,
)


def assert_api_error(answer: requests.Response, status: int, path: str) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    body = answer.json()
    assert list(body) == ["timestamp", "status", "error", "errors", "message", "path"]
    assert (body["status"], body["path"], body["errors"]) == (status, urlsplit(path).path, [])
    assert body["error"] == HTTPStatus(status).phrase
    assert body["message"]
    assert re.fullmatch(r"2023-11-14T22:13:20\.123456\d{3}", body["timestamp"])


class TestTrigger:
    def test_queues_a_deployment(self) -> None:
        with simulated(job={"queued": 10}) as api:
            answer = api.call("POST", DEPLOYMENTS, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.headers["Content-Type"]) == (202, "application/hal+json")
            job = answer.json()
            links = job.pop("_links")
            assert job == {
                "id": api.jobs[0].id,
                "created": "2023-11-14T22:13:20.123456",
                "type": "WORKSPACE_DEPLOY",
                "maxAttempts": 0,
                "attempt": 0,
                "status": "QUEUED",
                "_embedded": job["_embedded"],
            }
            assert set(job["_embedded"]["profile"]) == {"id", "name", "handle", "email"}
            root = f"{api.simulator.api_url}/jobs/{job['id']}"
            assert links == {
                "self": {"href": root},
                "delete job": {"href": root, "type": "DELETE"},
                "logs": {"href": f"{root}/logs?sequence=0", "type": "GET"},
                "withdraw job": {"href": f"{root}/stopped", "type": "PUT"},
            }
            assert api.jobs[0].triggered_by == "token"

    def test_is_refused_while_another_deployment_of_the_workspace_has_not_ended(self) -> None:
        with simulated(
            job={"queued": 10, "runs": 10},
            other_workspaces=[{"id": OTHER_ID}],
            other_jobs=[{"type": "PIPELINE_RUN", "runs": "forever"}],
        ) as api:
            api.trigger()
            assert_api_error(api.call("POST", DEPLOYMENTS), 409, f"/api{DEPLOYMENTS}")
            assert api.call("POST", f"/workspaces/{OTHER_ID}/deployments").status_code == 202
            api.clock.now += 19.9
            assert api.call("POST", DEPLOYMENTS).status_code == 409
            api.clock.now += 0.1
            api.trigger()

    def test_is_queued_beside_another_if_the_scenario_says_so(self) -> None:
        with simulated(deployments={"while-another-runs": "queue"}) as api:
            assert api.trigger()["id"] != api.trigger()["id"]

    def test_makes_the_others_jobs_appear_whatever_becomes_of_it(self) -> None:
        fault = {"calls": "trigger", "requests": {"first": 1}, "status": 503}
        other = {"since": "first-trigger", "at": "2s", "runs": 5}
        with simulated(other_jobs=[other, {"at": "-5s", "runs": 1}], faults=[fault]) as api:
            api.clock.now += 100
            assert api.call("POST", DEPLOYMENTS).status_code == 503
            assert [job.created - NOW for job in api.jobs] == [-5]
            api.clock.now += 2
            assert [(job.triggered_by, job.created - NOW) for job in api.jobs] == [("other", -5), ("other", 102)]
            assert api.call("POST", DEPLOYMENTS).status_code == 409


class TestWebhook:
    def test_queues_a_deployment_if_the_body_is_signed(self) -> None:
        with simulated(job={"runs": 0}, workspace={"deployment-secret": "mine"}) as api:
            for body in (b"{ }", b'{"ref":"refs/heads/main",\n "n": 1}\n', '{"name":"é"}'.encode()):
                assert api.call("POST", WEBHOOK, None, data=body, headers=sign(body)).status_code == 401
                answer = api.call("POST", WEBHOOK, None, data=body, headers=sign(body, "mine"))
                assert (answer.status_code, api.jobs[-1].triggered_by) == (202, "webhook")
                entry = api.simulator.journal[-1]
                assert (entry.call, entry.signed, entry.authorised, entry.authorization) == (
                    "webhook",
                    True,
                    True,
                    None,
                )
                assert (entry.content_length, entry.body_sha256) == (len(body), hashlib.sha256(body).hexdigest())


class TestJob:
    @pytest.mark.parametrize(("ends", "exit_code"), [("ERROR", {"exit-code": 7}), ("COMPLETE", {}), ("FAILED", {})])
    def test_goes_through_its_states(self, ends: str, exit_code: dict[str, int]) -> None:
        with simulated(job={"queued": 10, "runs": 3, "ends": ends, **exit_code}) as api:
            link = api.trigger()["_links"]["self"]["href"]
            api.clock.now += 10
            running = api.get(link)
            assert (running["status"], running["commitId"]) == ("RUNNING", constants.COMMIT_ID)
            assert running["startTime"] == "2023-11-14T22:13:30.123456"
            assert not {"endTime", "exitCode"} & set(running)
            api.clock.now += 3
            ended = api.get(link)
            assert (ended["status"], ended.get("exitCode")) == (ends, {"ERROR": 7, "COMPLETE": 0}.get(ends))
            assert ended["endTime"] == "2023-11-14T22:13:33.123456"
            assert set(ended["_links"]) == {"self", "delete job", "logs"}

    def test_starts_over(self) -> None:
        log = [{"text": "start"}, {"at": 2, "text": "more"}]
        with simulated(job={"runs": 9, "restarts": [3, 6], "log": log}) as api:
            link, seen = api.trigger()["_links"], []
            for _ in range(10):
                job, lines = api.get(link["self"]["href"]), api.call("GET", link["logs"]["href"]).text.count("\n")
                seen.append((job["attempt"], lines))
                assert job["maxAttempts"] == 2
                api.clock.now += 1
            assert seen == [(0, 1), (0, 1), (0, 2), (1, 1), (1, 1), (1, 2), (2, 1), (2, 1), (2, 2), (2, 2)]

    def test_fields_can_be_anything(self) -> None:
        with simulated(job={"fields": {"exitCode": [], "status": "ODD", "_links": None, "new": 1}}) as api:
            job = api.trigger()
            assert (job["exitCode"], job["status"], job["_links"], job["new"]) == ([], "ODD", None, 1)


@pytest.mark.parametrize(
    ("style", "shown"),
    [
        ({"hrefs": "relative"}, r'"/api/jobs/[\w-]+/logs\?sequence=0"'),
        ({"hrefs": "without-port"}, r'"http://127\.0\.0\.1/api/jobs/[\w-]+"'),
        ({"hrefs": "https://b.example/api/"}, r'"https://b\.example/api/jobs/[\w-]+"'),
        ({"link-lists": True}, r'"self":\[\{"href":"[^"]+"\}\]'),
        ({"fraction-digits": 0}, r'"created":"2023-11-14T22:13:20"'),
        ({"fraction-digits": 9}, r'"created":"2023-11-14T22:13:20\.123456\d{3}"'),
        ({"lower-case": True}, r'"status":"running"'),
    ],
)
def test_answers_vary_as_the_platform_s_may(style: dict[str, object], shown: str) -> None:
    with simulated(answers=style) as api:
        assert re.search(shown, api.call("POST", DEPLOYMENTS).text)


def test_answers_of_an_older_platform() -> None:
    with simulated(answers={"old": True}) as api:
        answer = api.call("POST", DEPLOYMENTS)
        assert not {"maxAttempts", "attempt", "_embedded"} & set(answer.json())
        assert answer.headers["Content-Type"] == "application/json"
        assert api.call("GET", f"/jobs/{UNKNOWN}").json()["timestamp"] == "2023-11-14T22:13:20.123+00:00"


@pytest.mark.parametrize(
    ("skew", "created", "date", "auth"),
    [("1h", 3600, 3600, 3600), ({"created": "-5s", "date": 2, "auth": "1m"}, -5, 2, 60), (0, 0, 0, 0)],
)
def test_each_clock_of_the_platform_has_its_own_time(skew: object, created: int, date: int, auth: int) -> None:
    def date_of(answer: requests.Response) -> float:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp() - int(NOW)

    with simulated(clock_skew=skew) as api:
        answer, refused = api.call("POST", DEPLOYMENTS), api.call("GET", f"/jobs/{UNKNOWN}")
        told = time.strftime("%Y-%m-%dT%H:%M:%S.123456", time.gmtime(NOW + created))
        assert answer.json()["created"] == refused.json()["timestamp"][:-3] == told
        assert (date_of(answer), date_of(refused), date_of(api.get_token())) == (date, date, auth)


class TestWithdrawal:
    def test_of_a_running_job(self) -> None:
        with simulated(job={"runs": "forever"}, withdrawal={"takes": "2s"}) as api:
            job = api.trigger()
            stopped = job["_links"]["withdraw job"]["href"]
            answer = api.call("PUT", stopped)
            assert answer.status_code == 202
            assert all(isinstance(value, str) for value in answer.json().values())
            api.clock.now += 1.9
            assert api.get(f"/jobs/{job['id']}")["status"] == "RUNNING"
            assert api.call("PUT", stopped).status_code == 202
            api.clock.now += 0.2
            ended = api.get(f"/jobs/{job['id']}")
            assert (ended["status"], ended["endTime"]) == ("STOPPED", "2023-11-14T22:13:22.123456")
            assert "withdraw job" not in ended["_links"]
            assert api.call("PUT", stopped).status_code == 409
            assert api.jobs[0].withdrawn

    @pytest.mark.parametrize("queued", ["accept", 400, 409])
    def test_of_a_queued_job(self, queued: object) -> None:
        policy = {"queued": queued, "answer": 200}
        with simulated(job={"queued": 10, "runs": 10}, withdrawal=policy) as api:
            path = f"/jobs/{api.trigger()['id']}/stopped"
            assert api.call("PUT", path).status_code == (200 if queued == "accept" else queued)
            assert api.jobs[0].withdrawn == (queued == "accept")
            if queued != "accept":
                assert api.jobs[0].status == "QUEUED"
                api.clock.now += 10
                assert api.call("PUT", path).status_code == 200
            assert api.jobs[0].status == "STOPPED"


def test_delete_stops_the_job_and_removes_it() -> None:
    with simulated(job={"queued": "forever"}) as api:
        job = api.trigger()
        answer = api.call("DELETE", job["_links"]["delete job"]["href"])
        assert (answer.status_code, answer.content) == (204, b"")
        for method, path in [("GET", ""), ("GET", "/logs"), ("PUT", "/stopped"), ("DELETE", "")]:
            assert api.call(method, f"/jobs/{job['id']}{path}").status_code == 404
        assert api.get(JOBS)["page"]["totalElements"] == 0
        assert (api.jobs[0].deleted, api.jobs[0].status) == (True, "STOPPED")
        api.trigger()


OTHERS = [{"at": "-10s", "queued": "forever"}, {"at": "-30s"}, {"at": "-20s"}]


class TestJobList:
    def created(self, api: ApiClient, query: str) -> list[str]:
        return [job["created"][14:19] for job in api.get(JOBS + query)["_embedded"]["jobs"]]

    def test_of_none(self) -> None:
        with simulated() as api:
            assert api.get(JOBS + "?page=0&size=20&sort=created,desc") == {
                "_links": {"self": {"href": f"{api.simulator.api_url}{JOBS}?page=0&size=20&sort=created,desc"}},
                "page": {"size": 20, "totalElements": 0, "totalPages": 0, "number": 0},
            }

    def test_pages(self) -> None:
        with simulated(other_jobs=OTHERS) as api:
            first = api.get(JOBS + "?size=2&sort=created,desc")
            second = api.get(first["_links"]["next"]["href"])
            created = [job["created"][14:19] for page in (first, second) for job in page["_embedded"]["jobs"]]
            assert created == ["13:10", "13:00", "12:50"]
            assert first["page"] == {"size": 2, "totalElements": 3, "totalPages": 2, "number": 0}
            assert set(first["_links"]) == {"self", "first", "next", "last"}
            assert set(second["_links"]) == {"self", "first", "prev", "last"}
            beyond = api.get(JOBS + "?size=2&page=7")
            assert ("_embedded" in beyond, beyond["page"]["number"]) == (False, 7)

    def test_sorting(self) -> None:
        with simulated(other_jobs=OTHERS) as api:
            assert self.created(api, "?size=0&page=-1") == ["13:10", "12:50", "13:00"]
            assert self.created(api, "?sort=created") == ["12:50", "13:00", "13:10"]
            assert_api_error(api.call("GET", JOBS + "?sort=colour"), 400, f"/api{JOBS}")

    def test_can_hide_queued_jobs(self) -> None:
        with simulated(other_jobs=OTHERS, lists={"queued-jobs": False}) as api:
            assert self.created(api, "?sort=created,desc") == ["13:00", "12:50"]

    def test_can_ignore_page_size_and_sort(self) -> None:
        with simulated(other_jobs=OTHERS, lists={"paging": False}) as api:
            assert self.created(api, "?sort=created,desc&size=1&page=1") == ["12:50", "13:00", "13:10"]
            assert set(api.get(JOBS + "?size=1")["_links"]) == {"self"}


class TestWorkspaces:
    def test_one_is_what_the_scenario_says(self) -> None:
        url = "git@github.com:Org/Repo.git"
        fields = {"status": "FAILED", "repositoryUrl": url, "repositoryBranch": None, "managed": "?"}
        with simulated(workspace={"fields": fields}) as api:
            workspace = api.get(WORKSPACE)
            assert (workspace["status"], workspace["repositoryUrl"]) == ("FAILED", url)
            assert (workspace["repositoryBranch"], workspace["managed"]) == (None, "?")
            assert workspace["deploymentSecret"] == constants.DEPLOYMENT_SECRET
            assert workspace["sshPrivateKey"] == constants.SSH_PRIVATE_KEY

    def test_another_one_may_have_a_job_of_its_own(self) -> None:
        with simulated(
            other_workspaces=[{"id": OTHER_ID, "fields": {"name": "Other"}, "job": {"ends": "ERROR"}}]
        ) as api:
            names = [workspace["name"] for workspace in api.get("/workspaces")["_embedded"]["workspaces"]]
            assert names == ["Simulated workspace", api.get(f"/workspaces/{OTHER_ID}")["name"]]
            api.trigger()
            api.call("POST", f"/workspaces/{OTHER_ID}/deployments")
            api.clock.now += 1
            assert [job.status for job in api.jobs] == ["COMPLETE", "ERROR"]


class TestAccess:
    @pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", f"Basic {constants.TOKEN}", constants.TOKEN])
    def test_needs_a_valid_token(self, header: str | None) -> None:
        with simulated() as api:
            answer = api.call("POST", DEPLOYMENTS, None, headers={"Authorization": header} if header else {})
            assert_api_error(answer, 401, f"/api{DEPLOYMENTS}")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert (api.simulator.journal[0].authorised, api.jobs) == (False, [])

    def test_no_such_page_or_method(self) -> None:
        with simulated() as api:
            assert_api_error(api.call("GET", "/nothing/here"), 404, "/api/nothing/here")
            for method, path, allowed in [
                ("GET", DEPLOYMENTS, {"POST"}),
                ("POST", f"/jobs/{UNKNOWN}", {"GET", "HEAD", "DELETE"}),
            ]:
                answer = api.call(method, path)
                assert_api_error(answer, 405, f"/api{path}")
                assert set(answer.headers["Allow"].split(", ")) == allowed


class TestTokens:
    def test_are_issued_for_the_api_key(self) -> None:
        with simulated() as api:
            answer = api.get_token()
            body = answer.json()
            assert (answer.status_code, body["token_type"], body["expires_in"]) == (200, "Bearer", 86400)
            assert api.simulator.issued_tokens == [body["access_token"]]
            assert api.call("GET", WORKSPACE, body["access_token"]).status_code == 200
            assert api.simulator.calls("token")[0].authorised is True

    def test_are_issued_for_the_scenario_s_audience_and_secret(self) -> None:
        with simulated(tokens={"audience": "https://app.example/api", "client-secret": "s"}) as api:
            refused = api.get_token(audience="https://app.example/api")
            assert (refused.status_code, set(refused.json())) == (401, {"error", "error_description"})
            assert api.get_token(client_secret="s").status_code == 403
            assert api.simulator.issued_tokens == []
            assert api.get_token(client_secret="s", audience="https://app.example/api").status_code == 200

    @pytest.mark.parametrize("policy", [{"expires-after": "2s"}, {"expires-after-uses": 2}])
    def test_expire_after_a_time_or_after_uses(self, policy: dict[str, object]) -> None:
        with simulated(tokens=policy) as api:
            token, statuses = api.get_token().json()["access_token"], []
            for _ in range(4):
                statuses.append(api.call("GET", WORKSPACE, token).status_code)
                api.clock.now += 1
            assert statuses == [200, 200, 401, 401]
            assert api.call("GET", WORKSPACE, api.get_token().json()["access_token"]).status_code == 200
            api.clock.now += 1e9
            assert api.call("GET", WORKSPACE).status_code == 200


def test_requests_beyond_the_rate_limit_are_refused_until_there_is_room() -> None:
    with simulated(rate_limit={"requests": 2, "per": "1s", "retry-after": 3}) as api:
        answers = []
        for pause in (0, 0.5, 0.2, 0.3, 0, 0.5):
            api.clock.now += pause
            answers.append(api.call("GET", WORKSPACE))
            assert api.get_token().status_code == 200
        assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 429, 200]
        assert answers[2].headers["Retry-After"] == "3"


class TestJournal:
    def test_tells_everything_but_credentials(self) -> None:
        with simulated() as api:
            api.get_token()
            api.call("GET", JOBS + "?page=1", headers={"User-Agent": "me/1", "Accept": "application/json"})
            api.call("POST", WEBHOOK, None, data=b"{}", headers=sign(b"{}"))
            api.call("PATCH", JOBS)
            token, jobs, webhook, odd = api.simulator.journal
            assert (token.number, token.call, token.method, token.path) == (1, "token", "POST", "/oauth/token")
            assert token.content_type == "application/x-www-form-urlencoded"
            assert (jobs.call, jobs.query, jobs.authorization, jobs.authorised) == ("jobs", "page=1", "Bearer", True)
            assert (jobs.user_agent, jobs.accept, jobs.time) == ("me/1", "application/json", NOW)
            assert (jobs.signed, webhook.signed) == (False, True)
            assert [entry.status for entry in api.simulator.journal] == [200, 200, 202, 405]
            assert odd.call is None
            text = repr(api.simulator.journal)
            secrets = [
                constants.TOKEN,
                constants.CLIENT_SECRET,
                constants.DEPLOYMENT_SECRET,
                *api.simulator.issued_tokens,
            ]
            assert not [secret for secret in [*secrets, sign(b"{}")["X-Hub-Signature"]] if secret in text]

    def test_knows_nothing_of_a_request_that_never_came_in_whole(self) -> None:
        with simulated() as api:
            head = f"POST /api{DEPLOYMENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\n"
            with socket.create_connection(("127.0.0.1", _port(api.simulator)), timeout=10) as connection:
                connection.sendall(f"{head}Content-Length: 10\r\n\r\n123".encode())
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(1000) == b""
            assert api.call("GET", WORKSPACE).status_code == 200
            assert [entry.call for entry in api.simulator.journal] == ["workspace"]
            assert api.jobs == []


class TestServer:
    def test_requests_can_be_waited_for(self) -> None:
        with simulated() as api, ThreadPoolExecutor() as pool:
            waiting = pool.submit(api.simulator.wait_for, "workspace", 2)
            api.get(WORKSPACE)
            api.get(WORKSPACE)
            assert waiting.result().number == 2
            with pytest.raises(TimeoutError, match="workspace: 2 requests instead of 3"):
                api.simulator.wait_for("workspace", 3, timeout=0.01)

    def test_is_gone_after_the_block(self) -> None:
        with simulated() as api:
            api.get(WORKSPACE)
        with pytest.raises(requests.ConnectionError):
            api.call("GET", WORKSPACE)
        assert not [thread for thread in threading.enumerate() if thread.name == "simulator"]

    def test_connections_that_were_just_accepted_are_closed_too(self) -> None:
        for _ in range(20):
            with Simulator() as simulator:
                socket.create_connection(("127.0.0.1", _port(simulator))).close()
        # What was left open would be reported now, and fail the test.
        gc.collect()

    def test_a_port_or_a_certificate_that_cannot_be_used_is_an_error(self, tmp_path: Path) -> None:
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
