"""Credentials show nowhere, whoever repeats them; `Stage.run` searches everything that a step leaves for every one."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from matatika_deploy import shutdown
from matatika_deploy.platform.followed_job import FollowedJob
from matatika_deploy.platform.jobs import Jobs
from matatika_deploy.step import Step
from matatika_simulator import constants
from tests.support import runner
from tests.support.in_process import stage
from tests.support.peer import answer

API_KEY = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
EVERY_SECRET = [constants.TOKEN, constants.CLIENT_SECRET, constants.DEPLOYMENT_SECRET]
# With everything that makes trouble in JSON, URLs, Markdown, HTML and workflow commands; GitHub's may be any text.
AWKWARD = {"token": "", "deployment_secret": 'a_"secret"/with\\*every*<kind>&of%25`trouble`'}


@pytest.mark.parametrize(
    ("call", "status", "inputs"),
    [
        ("token", 401, API_KEY),
        ("token", 503, API_KEY),
        ("workspace", 404, {"verify_source": "error"}),
        ("trigger", 401, {}),
        ("trigger", 403, {"token": "a_token*with`marks~of_markdown"}),
        ("trigger", 409, {}),
        ("webhook", 403, AWKWARD),
        ("webhook", 409, AWKWARD),
        ("job", 404, {}),
        ("withdraw", 403, {"timeout": "2s"}),
        ("withdraw", 503, {"timeout": "2s"}),
    ],
)
def test_a_platform_that_repeats_them(tmp_path: Path, call: str, status: int, inputs: Mapping[str, str]) -> None:
    secrets = [*EVERY_SECRET, *inputs.values()]
    said = f"No access with {' '.join(secrets)} ({quote(' '.join(secrets))})" + 20 * f" {secrets[0]}"
    body = {"status": status, "message": said, "error_description": said, "errors": [{"field": said, "message": said}]}
    with stage(tmp_path, {"job": {"runs": "forever"}}, **{"timeout": "20s", **inputs}) as staged:
        staged.peer.on(call, answer(status, json.dumps(body).encode()))
        if call == "trigger":
            # The list before it, whatever token comes.
            staged.peer.on("jobs", answer(200, b'{"page": {}}'))
        result = staged.run()
        assert staged.peer.count(call) >= 1
    assert result.code in (3, 4)
    assert "No access with" in result.log.own or status in (409, 503)


@pytest.mark.parametrize(("call", "name"), [("trigger", "error"), ("logs", "warning")])
def test_a_redirect_that_repeats_them(tmp_path: Path, call: str, name: str) -> None:
    with stage(tmp_path, logs="stream") as staged:
        address = f"https://evil.example/{constants.TOKEN}/?token={constants.TOKEN}"
        staged.peer.on(call, answer(302, headers={"Location": address}))
        result = staged.run()
    assert any("https://evil.example/***/?token=" in text for text in result.log.said(name))


def test_every_token_is_masked_before_anything_is_said_of_its_use(tmp_path: Path) -> None:
    faults = [{"calls": "job", "requests": {"every": 2}, "expire-token": True}]
    with stage(tmp_path, {"job": {"runs": "60s"}, "faults": faults}, **API_KEY) as staged:
        result = staged.run()
        tokens = staged.simulator.issued_tokens
    assert len(tokens) > 2
    lines = result.log.own.splitlines()
    signed_in = [n for n, line in enumerate(lines) if line.startswith("::debug::POST /oauth/token: 200")]
    masked = [lines.index(f"::add-mask::{token}") for token in tokens]
    # The debug line names the token's own request; the mask is the next thing that is said.
    assert masked == [line + 1 for line in signed_in]


class Broken(Exception):
    """A defect, with a secret in its text."""


@pytest.mark.parametrize(
    "place", [(shutdown, "over"), (Jobs, "withdraw"), (FollowedJob, "saw"), (Step, "adopt"), (Step, "page")]
)
def test_a_defect_of_our_own_says_where_it_is_and_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[object, str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise Broken(constants.TOKEN)

    # In the middle of a line of the log, which is held up for the rest of it.
    log = [{"text": "x" * 100_000, "unfinished": True}]
    with stage(tmp_path, {"job": {"runs": "10s", "log": log}}, logs="stream") as staged:
        monkeypatch.setattr(*place, broken)
        result = staged.run()
    reading = runner.read(result.printed)
    assert not reading.is_stopped
    if place != (Jobs, "withdraw"):
        (error,) = reading.of("error")
        assert error.properties == {"title": "Internal error"}
        assert "Broken" in error.data
        assert result.code == 3
        assert result.outputs["outcome"] == "error"
