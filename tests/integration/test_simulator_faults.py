"""What scenarios let go wrong goes wrong on the wire, where a client meets it."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import urllib3

from matatika_simulator import Simulator, constants
from matatika_simulator.faults import CALLS

WORKSPACE = f"/workspaces/{constants.WORKSPACE_ID}"
DEPLOYMENTS = f"{WORKSPACE}/deployments"
HEADERS = {"Authorization": f"Bearer {constants.TOKEN}"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
LOG = [{"lines": 100, "text": "line {n}"}]


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


Play = Callable[..., Simulator]


@pytest.fixture
def play(clock: Time) -> Iterator[Play]:
    """Play a scenario with these faults on a clock that stands still."""
    playing: list[Simulator] = []

    def start(*faults: dict[str, Any], **scenario: Any) -> Simulator:
        simulator = Simulator({"job": {"runs": 10, "log": LOG}, **scenario, "faults": list(faults)}, clock=clock)
        playing.append(simulator.__enter__())
        return simulator

    yield start
    for simulator in playing:
        simulator.__exit__(None, None, None)


def call(simulator: Simulator, method: str, path: str, **more: Any) -> Any:
    more.setdefault("headers", HEADERS)
    return requests.request(method, simulator.api_url + path, timeout=10, **more)


def trigger(simulator: Simulator) -> Any:
    return call(simulator, "POST", DEPLOYMENTS).json()


def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens on the server's thread."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def exchange(simulator: Simulator, method: str, path: str) -> bytes:
    """All that comes back until the connection is closed; raises `ConnectionResetError` if it is broken."""
    address = urlsplit(simulator.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        request = f"{method} /api{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {HEADERS['Authorization']}\r\n\r\n"
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


class TestAnswers:
    @pytest.mark.parametrize("name", CALLS)
    def test_of_each_call(self, play: Play, name: str) -> None:
        simulator = play({"calls": name, "status": 502, "body": "html"})
        requests_by_call: dict[str, tuple[str, str]] = {
            "token": ("POST", simulator.auth_url),
            "trigger": ("POST", f"{simulator.api_url}{DEPLOYMENTS}"),
            "webhook": ("POST", f"{simulator.api_url}{DEPLOYMENTS}/github-webhook"),
            "jobs": ("GET", f"{simulator.api_url}{WORKSPACE}/jobs"),
            "job": ("GET", f"{simulator.api_url}/jobs/{UNKNOWN}"),
            "logs": ("GET", f"{simulator.api_url}/jobs/{UNKNOWN}/logs"),
            "withdraw": ("PUT", f"{simulator.api_url}/jobs/{UNKNOWN}/stopped"),
            "delete": ("DELETE", f"{simulator.api_url}/jobs/{UNKNOWN}"),
            "workspace": ("GET", f"{simulator.api_url}{WORKSPACE}"),
        }
        statuses = {
            other: requests.request(*request, headers=HEADERS, timeout=10).status_code
            for other, request in requests_by_call.items()
        }
        assert [other for other, status in statuses.items() if status == 502] == [name]
        assert [entry.call for entry in simulator.journal if entry.fault == "status 502"] == [name]

    def test_of_the_api(self, play: Play) -> None:
        simulator = play({"calls": "workspace", "status": 503, "body": {"api": "Later"}, "headers": {"Retry-After": 7}})
        answer = call(simulator, "GET", WORKSPACE)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
        assert (answer.json()["message"], answer.json()["error"]) == ("Later", "Service Unavailable")
        assert answer.json()["path"] == f"/api{WORKSPACE}"

    @pytest.mark.parametrize(
        ("body", "content", "media"),
        [
            ("html", b"<html>", "text/html"),
            ("empty", b"", None),
            ({"text": '{"id": "'}, b'{"id": "', "application/json"),
            ({"json": [None]}, b"[null]", "application/json"),
            ({"base64": "/v8="}, b"\xfe\xff", "application/json"),
        ],
    )
    def test_of_any_content(self, play: Play, body: object, content: bytes, media: str | None) -> None:
        answer = call(play({"calls": "workspace", "status": 200, "body": body}), "GET", WORKSPACE)
        assert answer.content.startswith(content)
        assert answer.headers.get("Content-Type") == media
        assert "Date" in answer.headers

    def test_headers_of_the_scenario_win(self, play: Play) -> None:
        fault = {"calls": "workspace", "status": 200, "body": "html", "headers": {"Content-Type": "text/odd"}}
        assert call(play(fault), "GET", WORKSPACE).headers["Content-Type"] == "text/odd"

    def test_redirect_to_the_own_origin(self, play: Play) -> None:
        fault = {"calls": "job", "status": 307, "body": "empty", "headers": {"Location": "{origin}/api" + WORKSPACE}}
        simulator = play(fault)
        answer = call(simulator, "GET", f"/jobs/{UNKNOWN}", allow_redirects=False)
        assert answer.headers["Location"] == f"{simulator.api_url}{WORKSPACE}"

    def test_come_before_the_door(self, play: Play) -> None:
        simulator = play({"calls": "workspace", "status": 502})
        assert call(simulator, "GET", WORKSPACE, headers={}).status_code == 502
        assert simulator.journal[0].authorised is None

    def test_have_no_effect(self, play: Play) -> None:
        simulator = play({"calls": "trigger", "status": 502})
        assert call(simulator, "POST", DEPLOYMENTS).status_code == 502
        assert simulator.jobs == []

    def test_have_the_effect_if_the_scenario_says_so(self, play: Play) -> None:
        simulator = play({"calls": "trigger", "status": 502, "after": True})
        answer = call(simulator, "POST", DEPLOYMENTS)
        assert (answer.status_code, answer.json()["status"]) == (502, 502)
        assert [job.triggered_by for job in simulator.jobs] == ["token"]
        assert (simulator.journal[0].status, simulator.journal[0].fault) == (502, "status 502 after the effect")


class TestSelection:
    def test_by_number(self, play: Play) -> None:
        simulator = play({"calls": "workspace", "requests": {"numbers": [2, 3]}, "status": 502})
        assert [call(simulator, "GET", WORKSPACE).status_code for _ in range(4)] == [200, 502, 502, 200]

    def test_by_the_time_of_the_first_deployment(self, play: Play, clock: Time) -> None:
        simulator = play({"calls": "workspace", "requests": {"during": [2, 4]}, "status": 502})
        clock.now += 3
        assert call(simulator, "GET", WORKSPACE).status_code == 200
        trigger(simulator)
        statuses = []
        for _ in range(5):
            statuses.append(call(simulator, "GET", WORKSPACE).status_code)
            clock.now += 1
        assert statuses == [200, 200, 502, 502, 200]

    def test_by_the_time_of_the_first_deployment_and_no_later_one(self, play: Play, clock: Time) -> None:
        simulator = play({"calls": "workspace", "requests": {"during": [0, 5]}, "status": 502})
        trigger(simulator)
        clock.now += 10
        assert trigger(simulator)["status"] == "RUNNING"
        assert call(simulator, "GET", WORKSPACE).status_code == 200


class TestLostConnections:
    @pytest.mark.parametrize("after", [False, True])
    def test_closed_without_an_answer(self, play: Play, after: bool) -> None:
        simulator = play({"calls": "trigger", "drop": "close", "after": after})
        assert exchange(simulator, "POST", DEPLOYMENTS) == b""
        assert len(simulator.jobs) == after
        assert simulator.journal[0].status is None
        assert (simulator.journal[0].fault or "").startswith("drop")

    def test_reset_without_an_answer(self, play: Play) -> None:
        simulator = play({"calls": "trigger", "drop": "reset", "after": True})
        with pytest.raises(ConnectionResetError):
            exchange(simulator, "POST", DEPLOYMENTS)
        assert len(simulator.jobs) == 1

    def test_the_next_request_is_answered(self, play: Play) -> None:
        simulator = play({"calls": "workspace", "requests": {"first": 1}, "drop": "close"})
        with requests.Session() as session:
            session.headers.update(HEADERS)
            with pytest.raises(requests.ConnectionError):
                session.get(simulator.api_url + WORKSPACE, timeout=10)
            assert session.get(simulator.api_url + WORKSPACE, timeout=10).status_code == 200

    def test_inside_a_body_of_announced_length(self, play: Play) -> None:
        simulator = play({"calls": "workspace", "cut": 10})
        head, _, body = exchange(simulator, "GET", WORKSPACE).partition(b"\r\n\r\n")
        length = next(line for line in head.decode().split("\r\n") if line.startswith("content-length"))
        assert len(body) == 10 < int(length.partition(":")[2])
        assert simulator.journal[0].status == 200

    def test_inside_a_made_up_body(self, play: Play) -> None:
        fault = {"calls": "workspace", "status": 200, "body": {"text": "0123456789"}, "cut": 4}
        assert exchange(play(fault), "GET", WORKSPACE).partition(b"\r\n\r\n")[2] == b"0123"

    @pytest.mark.parametrize(("lines", "offset"), [(100, 0), (100, 1), (100, 500), (100, 899), (90_000, 700_007)])
    def test_inside_a_log(self, play: Play, lines: int, offset: int) -> None:
        simulator = play({"calls": "logs", "cut": offset}, job={"log": [{"lines": lines, "text": "line {n}"}]})
        job = trigger(simulator)
        received: list[bytes] = []
        digits = max(3, len(str(lines - 1)))
        with (
            call(simulator, "GET", f"/jobs/{job['id']}/logs", stream=True) as answer,
            pytest.raises(requests.exceptions.ChunkedEncodingError),
        ):
            received.extend(answer.iter_content(None))
        assert b"".join(received) == b"".join(b"line %0*d\n" % (digits, n) for n in range(lines))[:offset]

    def test_not_if_the_log_is_shorter(self, play: Play) -> None:
        simulator = play({"calls": "logs", "cut": 900})
        assert len(call(simulator, "GET", f"/jobs/{trigger(simulator)['id']}/logs").content) == 900


class TestSilence:
    def test_before_the_answer(self, play: Play) -> None:
        simulator = play({"calls": "trigger", "hang": True, "after": True})
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(call, simulator, "POST", DEPLOYMENTS)
            until(lambda: simulator.jobs)
            time.sleep(0.05)
            assert not hanging.done()
            assert (simulator.journal[0].status, simulator.journal[0].fault) == (None, "hang after the effect")
            simulator.__exit__(None, None, None)
            assert isinstance(hanging.exception(timeout=10), requests.ConnectionError)

    def test_inside_the_body(self, play: Play) -> None:
        simulator = play({"calls": "logs", "stall": 15})
        path = f"/jobs/{trigger(simulator)['id']}/logs"
        with call(simulator, "GET", path, stream=True) as answer, ThreadPoolExecutor(1) as pool:
            assert answer.raw.read(15) == b"line 000\nline 0"
            rest = pool.submit(answer.raw.read, 1)
            time.sleep(0.05)
            assert not rest.done()
            simulator.__exit__(None, None, None)
            assert isinstance(rest.exception(timeout=10), urllib3.exceptions.ProtocolError)

    def test_does_not_hinder_others(self, play: Play) -> None:
        simulator = play({"calls": "workspace", "requests": {"first": 1}, "hang": True})
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(call, simulator, "GET", WORKSPACE)
            simulator.wait_for("workspace")
            assert call(simulator, "GET", WORKSPACE).status_code == 200
            assert not hanging.done()
            simulator.__exit__(None, None, None)
            assert isinstance(hanging.exception(timeout=10), requests.ConnectionError)


class TestDelays:
    def test_before_the_effect(self, play: Play, clock: Time) -> None:
        simulator = play({"calls": "trigger", "delay": "30s"})
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(trigger, simulator)
            assert simulator.wait_for("trigger").status is None
            assert simulator.jobs == []
            clock.now += 30
            assert waiting.result(timeout=10)["created"] == "2023-11-14T22:13:50.000000"

    def test_are_not_cut_short_by_what_else_happens(self, play: Play, clock: Time) -> None:
        simulator = play({"calls": "workspace", "delay": "30s"})
        job = trigger(simulator)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(call, simulator, "GET", WORKSPACE)
            simulator.wait_for("workspace")
            for _ in range(3):
                assert call(simulator, "PUT", f"/jobs/{job['id']}/stopped").status_code in (202, 409)
            assert not waiting.done()
            clock.now += 30
            assert waiting.result(timeout=10).status_code == 200

    def test_after_the_effect(self, play: Play, clock: Time) -> None:
        simulator = play({"calls": "trigger", "delay": "30s", "after": True})
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(call, simulator, "POST", DEPLOYMENTS)
            simulator.wait_for("trigger")
            until(lambda: simulator.jobs)
            assert not waiting.done()
            clock.now += 30
            answer = waiting.result(timeout=10)
        assert answer.json()["created"] == "2023-11-14T22:13:20.000000"
        assert answer.headers["Date"] == "Tue, 14 Nov 2023 22:13:50 GMT"

    def test_do_not_keep_the_simulator_from_ending(
        self, play: Play, clock: Time, caplog: pytest.LogCaptureFixture
    ) -> None:
        simulator = play({"calls": "workspace", "delay": "1h"})
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(call, simulator, "GET", WORKSPACE)
            simulator.wait_for("workspace")
            simulator.__exit__(None, None, None)
            assert isinstance(waiting.exception(timeout=10), requests.ConnectionError)
        assert caplog.records == []


class TestExpiredToken:
    def test_is_refused_from_then_on_until_there_is_a_new_one(self, play: Play) -> None:
        simulator = play({"calls": "job", "requests": {"numbers": [2]}, "expire-token": True})
        form = {
            "grant_type": "client_credentials",
            "client_id": constants.CLIENT_ID,
            "client_secret": constants.CLIENT_SECRET,
            "audience": simulator.api_url,
        }

        def bearer() -> dict[str, str]:
            token = requests.post(simulator.auth_url, form, timeout=10).json()["access_token"]
            return {"Authorization": f"Bearer {token}"}

        first, path = bearer(), f"/jobs/{trigger(simulator)['id']}"
        statuses = [call(simulator, "GET", path, headers=first).status_code for _ in range(3)]
        assert statuses == [200, 401, 401]
        assert call(simulator, "GET", path, headers=bearer()).status_code == 200
        assert [entry.fault for entry in simulator.calls("job")] == [None, "expire token", None, None]


class TestNamedScenarios:
    """What a client meets that only triggers, looks and reads, at the speed of light."""

    @pytest.mark.parametrize(
        ("name", "ends"),
        [
            ("success", "COMPLETE"),
            ("held-stream", "COMPLETE"),
            ("slow", "COMPLETE"),
            ("failure", "ERROR"),
            ("stopped", "STOPPED"),
            ("queued-forever", "QUEUED"),
            ("conflict", "COMPLETE"),
            ("flaky", "COMPLETE"),
            ("outage", "COMPLETE"),
            ("expired-token", "COMPLETE"),
        ],
    )
    def test_end_as_they_say(self, name: str, ends: str, clock: Time) -> None:
        with Simulator(name, clock=clock) as simulator:
            for _ in range(20):
                if any(job.triggered_by == "token" for job in simulator.jobs):
                    break
                try:
                    call(simulator, "POST", DEPLOYMENTS)
                except requests.ConnectionError:
                    assert name == "flaky"
                clock.now += 1
            clock.now += 60
            (own,) = (job for job in simulator.jobs if job.triggered_by == "token")
            assert own.status == ends

    def test_conflict_refuses_the_first_trigger(self, clock: Time) -> None:
        with Simulator("conflict", clock=clock) as simulator:
            clock.now += 30
            assert call(simulator, "POST", DEPLOYMENTS).status_code == 409
            (other,) = call(simulator, "GET", f"{WORKSPACE}/jobs").json()["_embedded"]["jobs"]
            assert other["status"] == "RUNNING"
            clock.now += 4
            assert call(simulator, "POST", DEPLOYMENTS).status_code == 202

    def test_expired_token_expires_the_api_keys_token_in_mid_run(self, clock: Time) -> None:
        with Simulator("expired-token", clock=clock) as simulator:
            form = {
                "grant_type": "client_credentials",
                "client_id": constants.CLIENT_ID,
                "client_secret": constants.CLIENT_SECRET,
                "audience": simulator.api_url,
            }
            token = requests.post(simulator.auth_url, form, timeout=10).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            assert call(simulator, "POST", DEPLOYMENTS, headers=headers).status_code == 202
            clock.now += 2
            assert simulator.jobs[0].status == "RUNNING"
            assert call(simulator, "GET", f"/jobs/{simulator.jobs[0].id}", headers=headers).status_code == 401

    def test_queued_forever_can_only_be_deleted(self, clock: Time) -> None:
        with Simulator("queued-forever", clock=clock) as simulator:
            job = trigger(simulator)
            assert call(simulator, "PUT", f"/jobs/{job['id']}/stopped").status_code == 409
            assert call(simulator, "DELETE", f"/jobs/{job['id']}").status_code == 204

    def test_outage_shows_every_kind_of_trouble(self, clock: Time) -> None:
        with Simulator("outage", clock=clock) as simulator:
            trigger(simulator)
            clock.now += 2
            met = set()
            for _ in range(6):
                try:
                    met.add(call(simulator, "GET", WORKSPACE).status_code)
                except requests.ConnectionError:
                    met.add(None)
            assert met == {502, 503, None}
            clock.now += 6
            assert call(simulator, "GET", WORKSPACE).status_code == 200


def test_hanging_requests_stand_in_the_journal_file(tmp_path: Any) -> None:
    path = tmp_path / "journal.jsonl"
    with Simulator({"faults": [{"calls": "workspace", "hang": True}]}, journal_file=path) as simulator:
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(call, simulator, "GET", WORKSPACE)
            until(path.read_text)
            simulator.__exit__(None, None, None)
            assert isinstance(hanging.exception(timeout=10), requests.ConnectionError)
        (line,) = path.read_text().splitlines()
        assert (json.loads(line)["status"], json.loads(line)["fault"]) == (None, "hang")
