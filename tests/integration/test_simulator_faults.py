"""What scenarios let go wrong goes wrong on the wire, where a client meets it."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from matatika_simulator.scenario import CALLS, load, names
from tests.support.api_client import (
    BEARER,
    DEPLOYMENTS,
    NOW,
    UNKNOWN,
    WORKSPACE,
    ApiClient,
    simulated,
)
from tests.support.peer import Peer, interim

LOG = [{"lines": 100, "text": "line {n}"}]


@contextmanager
def faulty(*faults: dict[str, Any], **scenario: Any) -> Iterator[ApiClient]:
    with simulated(**{"job": {"runs": 10, "log": LOG}, **scenario, "faults": list(faults)}) as api:
        yield api


def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens on the server's thread."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def exchange(server: ApiClient | Peer, method: str, path: str) -> bytes:
    """All that comes back until the connection is closed; raises `ConnectionResetError` if it is broken."""
    address = urlsplit(server.url if isinstance(server, Peer) else server.simulator.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        request = f"{method} /api{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\n\r\n"
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


class TestAnswers:
    def test_of_the_api(self) -> None:
        body = {"api": "Workspace is archived", "errors": [{"field": "name", "rejectedValue": "s3cret"}]}
        with faulty({"calls": "trigger", "status": 409, "body": body, "headers": {"Retry-After": 7}}) as api:
            answer = api.call("POST", DEPLOYMENTS)
            assert (answer.status_code, answer.headers["Retry-After"]) == (409, "7")
            assert answer.json() == {
                "timestamp": answer.json()["timestamp"],
                "status": 409,
                "error": "Conflict",
                "errors": [{"field": "name", "rejectedValue": "s3cret"}],
                "message": "Workspace is archived",
                "path": f"/api{DEPLOYMENTS}",
            }
            assert api.jobs == []

    @pytest.mark.parametrize(
        ("body", "content", "media"),
        [
            ("html", b"<html>", "text/html"),
            ("cloudflare", b"<html>", "text/html; charset=UTF-8"),
            ("empty", b"", None),
            ({"text": '{"id": "'}, b'{"id": "', "application/json"),
        ],
    )
    def test_of_any_content(self, body: object, content: bytes, media: str | None) -> None:
        fault = {"calls": "workspace", "status": 200, "body": body}
        with faulty({**fault, "requests": {"numbers": [1]}}, {**fault, "headers": {"Content-Type": "text/odd"}}) as api:
            answer = api.call("GET", WORKSPACE)
            assert answer.content.startswith(content)
            assert answer.headers.get("Content-Type") == media
            assert "Date" in answer.headers
            assert api.call("GET", WORKSPACE).headers["Content-Type"] == "text/odd"

    @pytest.mark.parametrize(("status", "challenge"), [(403, "challenge"), (429, None), (520, None), (530, None)])
    def test_of_cloudflare(self, status: int, challenge: str | None) -> None:
        with faulty({"calls": "all", "status": status, "body": "cloudflare"}) as api:
            for answer in (api.call("POST", DEPLOYMENTS), api.get_token()):
                headers = answer.headers
                assert (answer.status_code, headers["Server"], headers.get("cf-mitigated")) == (
                    status,
                    "cloudflare",
                    challenge,
                )
                assert headers["CF-RAY"]

    def test_come_before_the_check_of_the_token(self) -> None:
        with faulty({"calls": "workspace", "status": 502}) as api:
            assert api.call("GET", WORKSPACE, None).status_code == 502
            assert api.simulator.journal[0].authorised is None

    @pytest.mark.parametrize("after", [False, True])
    def test_have_the_effect_only_if_the_scenario_says_so(self, after: bool) -> None:
        with faulty({"calls": "trigger", "status": 502, "after": after}) as api:
            assert api.call("POST", DEPLOYMENTS).status_code == 502
            assert len(api.jobs) == after
            assert api.simulator.journal[0].status == 502


class TestSelection:
    @pytest.mark.parametrize(
        ("requests", "hit"),
        [
            ({}, [1, 2, 3, 4, 5, 6]),
            ({"first": 2}, [1, 2]),
            ({"numbers": [1, 3]}, [1, 3]),
            ({"from": 3, "to": 5}, [3, 4, 5]),
            ({"from": 3, "every": 2}, [4, 6]),
        ],
    )
    def test_by_number(self, requests: dict[str, object], hit: list[int]) -> None:
        with faulty({"calls": ["workspace", "job"], "requests": requests, "status": 502}) as api:
            api.call("GET", f"/jobs/{UNKNOWN}")
            statuses = [api.call("GET", WORKSPACE).status_code for _ in range(6)]
            assert [number for number, status in enumerate(statuses, start=1) if status == 502] == hit

    def test_by_the_time_of_the_first_deployment(self) -> None:
        with faulty({"calls": "workspace", "requests": {"during": [2, 4]}, "status": 502}) as api:
            api.clock.now += 3
            assert api.call("GET", WORKSPACE).status_code == 200
            api.trigger()
            statuses = []
            for _ in range(5):
                statuses.append(api.call("GET", WORKSPACE).status_code)
                api.clock.now += 1
            assert statuses == [200, 200, 502, 502, 200]
            api.clock.now += 5
            api.trigger()
            api.clock.now += 2
            assert api.call("GET", WORKSPACE).status_code == 200

    def test_of_several_the_first_counts(self) -> None:
        faults = [{"calls": "job", "requests": {"numbers": [2]}, "status": 500}, {"calls": "all", "status": 502}]
        with faulty(*faults) as api:
            assert [api.call("GET", f"/jobs/{UNKNOWN}").status_code for _ in range(3)] == [502, 500, 502]


class TestLostConnections:
    @pytest.mark.parametrize("after", [False, True])
    def test_closed_without_an_answer(self, after: bool) -> None:
        with faulty({"calls": "trigger", "requests": {"first": 1}, "drop": "close", "after": after}) as api:
            assert exchange(api, "POST", DEPLOYMENTS) == b""
            assert (len(api.jobs), api.simulator.journal[0].status) == (after, None)
            assert api.call("POST", DEPLOYMENTS).status_code == (409 if after else 202)

    def test_reset_without_an_answer(self) -> None:
        with faulty({"calls": "trigger", "drop": "reset", "after": True}) as api:
            with pytest.raises(ConnectionResetError):
                exchange(api, "POST", DEPLOYMENTS)
            assert len(api.jobs) == 1

    @pytest.mark.parametrize(("lines", "offset"), [(100, 0), (100, 1), (100, 899), (90_000, 700_007)])
    def test_inside_a_log(self, lines: int, offset: int) -> None:
        log = [{"lines": lines, "text": "line {n}"}]
        with faulty({"calls": "logs", "cut": offset}, job={"log": log}) as api:
            job = api.trigger()
            received: list[bytes] = []
            with (
                api.call("GET", f"/jobs/{job['id']}/logs", stream=True) as answer,
                pytest.raises(requests.exceptions.ChunkedEncodingError),
            ):
                received.extend(answer.iter_content(None))
            digits = max(3, len(str(lines - 1)))
            assert b"".join(received) == b"".join(b"line %0*d\n" % (digits, n) for n in range(lines))[:offset]


class TestSilenceAndDelay:
    def test_hanging_hinders_nobody_else_and_ends_with_the_simulator(self) -> None:
        fault = {"calls": "trigger", "requests": {"first": 1}, "hang": True, "after": True}
        with faulty(fault) as api, ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(api.call, "POST", DEPLOYMENTS)
            until(lambda: api.jobs)
            assert api.call("GET", WORKSPACE).status_code == 200
            assert (hanging.done(), api.simulator.calls("trigger")[0].status) == (False, None)
            api.simulator.__exit__(None, None, None)
            assert isinstance(hanging.exception(timeout=10), requests.ConnectionError)

    @pytest.mark.parametrize(("after", "created"), [(False, "22:13:50"), (True, "22:13:20")])
    def test_a_delay_comes_before_the_effect_or_after_it(self, after: bool, created: str) -> None:
        with faulty({"calls": "trigger", "delay": "30s", "after": after}) as api, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(api.call, "POST", DEPLOYMENTS)
            api.simulator.wait_for("trigger")
            until(lambda: len(api.jobs) == after)
            assert not waiting.done()
            api.clock.now += 30
            answer = waiting.result(timeout=10)
            assert answer.json()["created"] == f"2023-11-14T{created}.123456"
            assert answer.headers["Date"] == "Tue, 14 Nov 2023 22:13:50 GMT"

    def test_a_delay_is_not_cut_short_by_what_else_happens(self) -> None:
        with faulty({"calls": "workspace", "delay": "30s"}) as api, ThreadPoolExecutor(1) as pool:
            job = api.trigger()
            waiting = pool.submit(api.call, "GET", WORKSPACE)
            api.simulator.wait_for("workspace")
            for _ in range(3):
                assert api.call("PUT", f"/jobs/{job['id']}/stopped").status_code in (202, 409)
            assert not waiting.done()
            api.clock.now += 30
            assert waiting.result(timeout=10).status_code == 200


def test_an_expired_token_is_refused_until_there_is_a_new_one() -> None:
    with faulty({"calls": "job", "requests": {"numbers": [2]}, "expire-token": True}) as api:
        first, path = api.get_token().json()["access_token"], f"/jobs/{api.trigger()['id']}"
        assert [api.call("GET", path, first).status_code for _ in range(3)] == [200, 401, 401]
        assert api.call("GET", path, api.get_token().json()["access_token"]).status_code == 200


class TestNamedScenarios:
    """What a client meets that only triggers and looks."""

    @pytest.mark.parametrize("name", names())
    def test_end_as_they_say(self, name: str) -> None:
        with simulated(name) as api:
            while not any(job.triggered_by == "token" for job in api.jobs):
                try:
                    api.call("POST", DEPLOYMENTS)
                except requests.ConnectionError:
                    assert name == "flaky"
                api.clock.now += 1
                assert api.clock.now < NOW + 20
            api.clock.now += 60
            own = [job.status for job in api.jobs if job.triggered_by == "token"]
            assert own == [{"failure": "ERROR", "stopped": "STOPPED", "queued-forever": "QUEUED"}.get(name, "COMPLETE")]

    def test_flaky_and_outage_reach_every_call(self) -> None:
        flaky, outage = load("flaky").faults, load("outage").faults
        assert {call for fault in flaky for call in fault.calls} == set(CALLS)
        for number in range(1, 30):
            assert next(fault for fault in outage if fault.requests.matches(number, 5.0)).calls == list(CALLS)


def test_a_peer_sends_interim_answers_in_front_of_the_real_one() -> None:
    with simulated() as api, Peer(api.simulator) as peer:
        peer.on("trigger", interim(103, "Link: </style.css>; rel=preload\r\n"))
        answer = exchange(peer, "POST", DEPLOYMENTS)
    interim_answer, real = answer.split(b"\r\n\r\n")[:2]
    assert interim_answer == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload"
    assert real.startswith(b"HTTP/1.1 202 Accepted\r\n")
