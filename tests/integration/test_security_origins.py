"""No credential goes to another origin: not by a link of a job, not by a redirect, whatever its form.

A port that stands for all others is open beside the platform, on the same machine. `Stage.run` fails if anybody calls.
What becomes of every form of a link is what `test_links.py` proves.
"""

import json
from pathlib import Path

import pytest

from matatika_simulator import constants
from tests.support.peer import Behaviour, Peer, answer, changed
from tests.support.stage import stage
from tests.support.step import API_KEY

WEBHOOK = {"deployment_secret": constants.DEPLOYMENT_SECRET}
RELATIONS = ("self", "logs", "withdraw job", "delete job")

# Forms of an address, one for each relation, that lead to `evil`, or might for a careless reader; `here` is the
# platform. Each is host:port.
FORMS = [
    ("http://{evil}/x", "//{evil}/x", "HTTP://{evil}/x", "https://{evil}/x"),
    ("http://{here}@{evil}/x", "http:////{evil}/x", "http:/{evil}/x", "http://user:pass@{here}/x"),
    ("http://{evil}\\@{here}/x", "http://{evil}#@{here}/x", "/\\{evil}/x", "http:\\\\{evil}\\x"),
    ("/\t/{evil}/x", " http://{evil}/x", "ht\ntp://{evil}/x", "http://{here}\r\n@{evil}/x"),
    ("http://localhost:{port}/x", "http://127.1:{port}/x", "http://127。0。0。1:{port}/x", "file:///etc/passwd"),
]
# Forms that are a path, or even a query, of the platform's own: they may be used, and lead nowhere else.
PATHS = [("///{evil}/x", "/../..//{evil}/x", "?//{evil}/x", "://{evil}/x")]


def relinked(peer: Peer, forms: tuple[str, ...]) -> Behaviour:
    """Pass the platform's job on with links of those forms."""
    here, evil = (url.removeprefix("http://") for url in (peer.url, peer.elsewhere_url))
    facts = {"evil": evil, "port": evil.partition(":")[2], "here": here}
    links = {name: {"href": form.format(**facts)} for name, form in zip(RELATIONS, forms, strict=True)}
    return changed(lambda job: {**job, "_links": links})


# A job that waits for ever and can only be deleted, so that a step needs each of its links in the end.
ENDLESS = {"job": {"queued": "forever"}, "withdrawal": {"queued": 409}}
TO_THE_END = {"timeout": "3s", "logs": "stream"}


def test_a_call_to_another_origin_is_noticed(tmp_path: Path) -> None:
    """Else the other tests could not fail."""
    with stage(tmp_path, timeout="1s") as staged:
        staged.step.environ["INPUT_API-URL"] = f"{staged.peer.elsewhere_url}/api"
        with pytest.raises(AssertionError, match="was_called_elsewhere"):
            staged.run()


@pytest.mark.parametrize("forms", [*FORMS, *PATHS], ids=ascii)
def test_no_link_leads_to_another_origin(tmp_path: Path, forms: tuple[str, ...]) -> None:
    with stage(tmp_path, ENDLESS, **TO_THE_END) as staged:
        staged.peer.on("trigger", relinked(staged.peer, forms))
        staged.peer.on("job", relinked(staged.peer, forms))
        result = staged.run()
        (job,) = staged.simulator.jobs
        assert result.outputs["job-url"].startswith(f"{staged.peer.url}/")
        if forms in FORMS:
            assert result.outputs["job-url"] == f"{staged.peer.api_url}/jobs/{job.id}"
            assert {"job", "logs", "withdraw", "delete"} <= {request.call for request in staged.peer.requests}
            assert job.deleted
        evil = staged.peer.elsewhere_url.rpartition(":")[2]
    assert result.code == 4 if forms in FORMS else result.code in (3, 4)
    assert evil not in result.summary or forms in PATHS


@pytest.mark.parametrize(
    ("calls", "status", "inputs", "is_elsewhere"),
    [
        (["token"], 307, API_KEY, True),
        (["trigger"], 308, {}, True),
        (["trigger"], 307, {}, False),
        (["webhook"], 302, WEBHOOK, True),
        (["job"], 301, {}, True),
        (["job"], 303, {}, False),
        (["logs", "withdraw", "delete"], 307, {}, True),
    ],
)
def test_no_redirect_is_followed_not_even_on_the_same_origin(
    tmp_path: Path, calls: list[str], status: int, inputs: dict[str, str], is_elsewhere: bool
) -> None:
    with stage(tmp_path, ENDLESS, **TO_THE_END, **inputs) as staged:
        location = f"{staged.peer.elsewhere_url if is_elsewhere else staged.peer.api_url}/elsewhere"
        for call in calls:
            staged.peer.on(call, answer(status, headers={"Location": location}))
        result = staged.run()
        assert set(calls) <= {request.call for request in staged.peer.requests}
        assert not [request for request in staged.peer.requests if request.target.endswith("/elsewhere")]
        assert len(staged.simulator.jobs) == (0 if calls[0] in ("token", "trigger", "webhook") else 1)
    assert result.code == (4 if "logs" in calls else 3)
    assert "logs" in calls or location in result.log.said("error")[0]


def test_the_key_goes_to_the_token_endpoint_alone_and_the_token_to_the_api_alone(tmp_path: Path) -> None:
    with stage(tmp_path / "identity") as identity, stage(tmp_path / "api", **API_KEY) as api:
        api.step.environ["INPUT_AUTH-URL"] = identity.peer.auth_url
        # The two know nothing of each other: this one grants tokens for the other, which then refuses them.
        granted = {"access_token": "a-token-of-another-service", "token_type": "Bearer", "expires_in": 60}
        identity.peer.on("token", answer(200, json.dumps(granted).encode()))
        result = api.run()
        assert {request.call for request in identity.peer.requests} == {"token"}
        assert all("authorization" not in request.headers for request in identity.peer.requests)
        assert {request.call for request in api.peer.requests} == {"jobs"}
        assert all(constants.CLIENT_SECRET.encode() not in request.body for request in api.peer.requests)
        assert api.peer.bearers() == {"a-token-of-another-service"}
    assert result.code == 3
