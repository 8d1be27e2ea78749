"""What scenarios let go wrong goes wrong on the wire, where a client meets it."""

import socket
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.api_client import BEARER, DEPLOYMENTS, UNKNOWN, WORKSPACE, ApiClient, simulated

LOG = [{"lines": 100_000, "text": "line {n}"}]


def faulty(*faults: dict[str, Any]) -> AbstractContextManager[ApiClient]:
    return simulated(job={"runs": 10, "log": LOG}, faults=list(faults))


def exchange(api: ApiClient, method: str, path: str) -> bytes:
    """All that comes back until the connection is closed; raises `ConnectionResetError` if it is broken."""
    address = urlsplit(api.simulator.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        request = f"{method} /api{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\n\r\n"
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("body", "content", "media"),
    [
        ({}, b'"message":"Simulated fault","path":"/api/workspaces/', "application/json"),
        ({"body": {"api": "Workspace is archived"}}, b'"message":"Workspace is archived",', "application/json"),
        ({"body": "html"}, b"<html>", "text/html"),
        ({"body": {"text": '{"id": "'}}, b'{"id": "', "application/json"),
        ({"body": "html", "headers": {"Content-Type": "text/odd", "Retry-After": 7}}, b"<html>", "text/odd"),
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_an_answer_is_as_the_scenario_says_and_has_an_effect_only_then(
    body: dict[str, Any], content: bytes, media: str, after: bool
) -> None:
    with faulty({"calls": "trigger", "status": 409, "after": after, **body}) as api:
        answer = api.call("POST", DEPLOYMENTS)
        assert (answer.status_code, answer.headers["Content-Type"]) == (409, media)
        assert answer.headers.get("Retry-After") == ("7" if media == "text/odd" else None)
        assert content in answer.content
        assert "Date" in answer.headers
        assert (len(api.jobs), api.simulator.journal[0].status) == (after, 409)
        assert api.call("POST", DEPLOYMENTS, None).status_code == 409


@pytest.mark.parametrize(
    ("requests", "hit"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"first": 2}, [1, 2]),
        ({"numbers": [1, 3]}, [1, 3]),
        ({"from": 3, "every": 2}, [4, 6]),
    ],
)
def test_requests_are_selected_by_number(requests: dict[str, object], hit: list[int]) -> None:
    faults = [{"calls": "job", "requests": {"numbers": [1]}, "status": 500}, {"calls": "all", "status": 504}]
    with faulty({"calls": "workspace", "requests": requests, "status": 502}, *faults) as api:
        assert [api.call("GET", f"/jobs/{UNKNOWN}").status_code for _ in range(2)] == [500, 504]
        statuses = [api.call("GET", WORKSPACE).status_code for _ in range(6)]
    assert statuses == [502 if number in hit else 504 for number in range(1, 7)]


@pytest.mark.parametrize("after", [False, True])
def test_a_connection_is_closed_or_reset_before_the_effect_or_after_it(after: bool) -> None:
    fault = {"calls": "trigger", "after": after}
    first, second = {"requests": {"numbers": [1]}, "drop": "close"}, {"requests": {"numbers": [2]}, "drop": "reset"}
    with faulty(fault | first, fault | second) as api:
        assert exchange(api, "POST", DEPLOYMENTS) == b""
        with pytest.raises(ConnectionResetError):
            exchange(api, "POST", DEPLOYMENTS)
        assert (len(api.jobs), api.simulator.journal[0].status) == (after, None)
        assert api.call("POST", DEPLOYMENTS).status_code == (409 if after else 202)


@pytest.mark.parametrize("offset", [0, 1, 700_007])
def test_a_log_is_cut_off_within_its_body(offset: int) -> None:
    with faulty({"calls": "logs", "cut": offset}) as api:
        received: list[bytes] = []
        answer = api.call("GET", f"/jobs/{api.trigger()['id']}/logs", stream=True)
        with answer, pytest.raises(requests.exceptions.ChunkedEncodingError):
            received.extend(answer.iter_content(None))
        assert b"".join(received) == b"".join(b"line %05d\n" % number for number in range(100_000))[:offset]
