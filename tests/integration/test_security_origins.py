"""No credential goes to another origin: not by a link of a job, not by a redirect, whatever its form.

A server that stands for all others listens beside the platform, on the same machine, and is to hear nothing at all.
"""

import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from matatika_simulator import constants
from tests.support.in_process import stage
from tests.support.network import UninvitedServer
from tests.support.peer import Behaviour, Exchange, answer

API_KEY = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}

# Forms of an address that lead to `evil`, or might for a careless reader; `here` is the platform. Each is host:port.
FORMS = [
    "http://{evil}/x",
    "HTTP://{evil}/x",
    "https://{evil}/x",
    "//{evil}/x",
    "http:////{evil}/x",
    "http:/{evil}/x",
    "http:{evil}/x",
    "http://{here}@{evil}/x",
    "http://{here}%40{evil}/x",
    "http://{here}:80@{evil}/x",
    "http://user:password@{evil}/x",
    "http://{evil}@{here}/x",
    "http://user:password@{here}/x",
    "http://@{here}/x",
    "https://{here}/x",
    "http://localhost:{here_port}/x",
    "http://127.0.0.2:{here_port}/x",
    "http://{evil}\\@{here}/x",
    "http://{evil}#@{here}/x",
    "http://{evil}?@{here}/x",
    "http://{here}\\@{evil}/x",
    "http:\\\\{evil}\\x",
    "\\\\{evil}\\x",
    "/\\{evil}/x",
    "\\/{evil}/x",
    "http://{evil}\t/x",
    "ht\ntp://{evil}/x",
    "/\t/{evil}/x",
    "\x01http://{evil}/x",
    " http://{evil}/x",
    "http://{evil}/x\r\nHost: {here}",
    "http://{here}\r\n@{evil}/x",
    "http://[::ffff:127.0.0.1]:{port}/x",
    "http://127.1:{port}/x",
    "http://2130706433:{port}/x",
    "http://localhost:{port}/x",
    "http://{here}.{evil}/x",
    "http://127。0。0。1:{port}/x",
    "javascript:fetch('http://{evil}/x')",
    "file:///etc/passwd",
    "ftp://{evil}/x",
    "http://",
    "http:///{evil}",
]
# Forms that are a path, or even a query, of the platform's own: they may be used, and lead nowhere else.
PATHS = [
    "///{evil}/x",
    "////{evil}/x",
    "/../..//{evil}/x",
    "..//{evil}/x",
    "?//{evil}/x",
    "#//{evil}/x",
    "://{evil}/x",
    "/%2f{evil}/x",
    "/x;//{evil}/",
    ".//{evil}/x",
]


@pytest.fixture
def uninvited() -> Iterator[UninvitedServer]:
    with UninvitedServer() as uninvited:
        yield uninvited
        # After every test, whatever it was about.
        assert uninvited.heard == []


RELATIONS = ("self", "logs", "withdraw job", "delete job")


def fours(forms: list[str]) -> list[tuple[str, ...]]:
    """Forms for the four relations of several jobs."""
    return [tuple(forms[start : start + len(RELATIONS)]) for start in range(0, len(forms), len(RELATIONS))]


def relinked(uninvited: UninvitedServer, forms: tuple[str, ...]) -> Behaviour:
    """Pass the platform's job on with links of those forms."""

    def behave(exchange: Exchange) -> None:
        head, _, body = exchange.platform_answer().partition(b"\r\n\r\n")
        facts = {
            "evil": f"127.0.0.1:{uninvited.port}",
            "port": uninvited.port,
            "here": exchange.peer.url.removeprefix("http://"),
            "here_port": exchange.peer.url.rpartition(":")[2],
        }
        links = {name: {"href": form.format(**facts)} for name, form in zip(RELATIONS, cycle(forms), strict=False)}
        answer(int(head.split()[1]), json.dumps({**json.loads(body), "_links": links}).encode())(exchange)

    return behave


# A job that waits for ever and can only be deleted, so that a step needs each of its links in the end.
ENDLESS = {"job": {"queued": "forever"}, "withdrawal": {"queued": 409}}
TO_THE_END = {"timeout": "1m", "logs": "stream"}


def test_an_uninvited_server_hears_whoever_comes(tmp_path: Path) -> None:
    """Else the other tests could not fail."""
    with (
        UninvitedServer() as uninvited,
        stage(tmp_path, ENDLESS, api_url=f"{uninvited.url}/api", timeout="1s") as staged,
    ):
        staged.run()
    assert any(f"Authorization: Bearer {constants.TOKEN}".encode() in head for head in uninvited.heard)


@pytest.mark.parametrize("forms", fours(FORMS), ids=ascii)
def test_a_link_that_leads_elsewhere_is_replaced(
    tmp_path: Path, uninvited: UninvitedServer, forms: tuple[str, ...]
) -> None:
    with stage(tmp_path, ENDLESS, **TO_THE_END) as staged:
        staged.peer.on("trigger", relinked(uninvited, forms))
        staged.peer.on("job", relinked(uninvited, forms))
        result = staged.run()
        (job,) = staged.simulator.jobs
        assert result.outputs["job-url"] == f"{staged.peer.api_url}/jobs/{job.id}"
        assert {"job", "logs", "withdraw", "delete"} <= {request.call for request in staged.peer.requests}
    assert job.deleted
    assert result.code == 4
    assert str(uninvited.port) not in result.summary


@pytest.mark.parametrize("forms", fours(PATHS), ids=ascii)
def test_a_link_that_is_but_a_path_leads_to_the_platform(
    tmp_path: Path, uninvited: UninvitedServer, forms: tuple[str, ...]
) -> None:
    with stage(tmp_path, ENDLESS, **TO_THE_END) as staged:
        staged.peer.on("trigger", relinked(uninvited, forms))
        staged.peer.on("job", relinked(uninvited, forms))
        result = staged.run()
        assert result.outputs["job-url"].startswith(f"{staged.peer.url}/")
    assert result.code in (3, 4)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        *((call, 307) for call in ("token", "trigger", "webhook", "job", "logs", "withdraw", "delete")),
        *(("job", status) for status in (301, 302, 303, 308)),
    ],
)
def test_no_redirect_is_followed(tmp_path: Path, uninvited: UninvitedServer, call: str, status: int) -> None:
    inputs = {"token": API_KEY, "webhook": {"deployment_secret": constants.DEPLOYMENT_SECRET}}.get(call, {})
    location = f"{uninvited.url}/elsewhere"
    with stage(tmp_path, ENDLESS, **{**TO_THE_END, **inputs}) as staged:
        staged.peer.on(call, answer(status, headers={"Location": location}))
        result = staged.run()
        assert staged.peer.count(call) >= 1
        assert len(staged.simulator.jobs) == (0 if call in ("token", "trigger", "webhook") else 1)
    if call in ("token", "trigger", "webhook", "job"):
        assert result.code == 3
        assert location in result.log.said("error")[0]
    else:
        assert result.code == 4


@pytest.mark.parametrize("call", ["trigger", "job"])
def test_not_even_a_redirect_on_the_same_origin(tmp_path: Path, call: str) -> None:
    with stage(tmp_path, ENDLESS, **TO_THE_END) as staged:
        location = f"{staged.peer.api_url}/elsewhere"
        staged.peer.on(call, answer(308, headers={"Location": location}))
        result = staged.run()
        assert "/api/elsewhere" not in {request.target for request in staged.peer.requests}
    assert result.code == 3
    assert location in result.log.said("error")[0]


def test_the_key_goes_to_the_token_endpoint_alone_and_the_token_to_the_api_alone(tmp_path: Path) -> None:
    with stage(tmp_path / "identity") as identity, stage(tmp_path / "api", **API_KEY) as api:
        api.step.environ["INPUT_AUTH-URL"] = identity.peer.auth_url
        # The two know nothing of each other: this one grants tokens for the other, which then refuses them.
        identity.peer.on("token", granting("a-token-of-another-service"))
        result = api.run()
        assert {request.call for request in identity.peer.requests} == {"token"}
        assert all("authorization" not in request.headers for request in identity.peer.requests)
        assert {request.call for request in api.peer.requests} == {"jobs"}
        assert all(constants.CLIENT_SECRET.encode() not in request.body for request in api.peer.requests)
        assert api.peer.bearers() == {"a-token-of-another-service"}
    assert result.code == 3


def granting(token: str) -> Behaviour:
    return answer(200, json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 60}).encode())
