"""Credentials show nowhere: inputs that cannot be used, and whatever field of an answer repeats them, however encoded.

`Stage.run` searches all that a step leaves for each secret in its usual forms; what is searched for here besides is
the form in which the platform repeated it. That every form is found in any text is what `test_redaction.py` proves.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from matatika_deploy.platform.redaction import Redactor
from matatika_simulator import constants
from tests.support import secrecy
from tests.support.encoders import BASE64_ENCODERS, ENCODERS
from tests.support.peer import Behaviour, Exchange, answer, changed
from tests.support.result import Result
from tests.support.secrecy import forms
from tests.support.stage import stage

# Characters of every kind that an encoding changes, and that a secret may have.
SECRET: Final = "Tk-4f/9+Qz=7_x&B<y>\"'w;p%41~end-of-the-secret"
ENCODINGS: Final = [*ENCODERS.values(), *BASE64_ENCODERS.values()]
KEY: Final = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": SECRET}
TOKENS: Final = {"client-secret": SECRET}
MARK: Final = "it-was-shown"
# With everything that makes trouble in JSON, URLs, Markdown, HTML and workflow commands; GitHub's may be any text.
AWKWARD: Final = 'a_"secret"/with\\*every*<kind>&of%25`trouble`'
HIDDEN: Final = "a-password-in-the-address"
MARKDOWN: Final = "a_token*with`marks~of_markdown"


def assert_nothing_shows(result: Result, secret: str, *encoded: str) -> None:
    said = "\n".join(line for line in result.log.own.splitlines() if not line.startswith("::add-mask::"))
    redactor = Redactor([secret])
    for text in (said, *result.outputs.values(), *result.state.values(), result.summary):
        # Put on one line, a secret of several would have blanks.
        assert not redactor.holds(re.sub(r"\s", "", text))
        assert not [form for form in encoded if form in text]


def in_round(number: int, secret: str = SECRET) -> Callable[[int], str]:
    """Give each field another encoding in each round."""
    return lambda field: f"{MARK} {ENCODINGS[(number + field) % len(ENCODINGS)](secret)} {MARK}"


def adding(fields: Mapping[str, Any], links: str = "") -> Behaviour:
    """Pass the platform's answer on with further fields, and with `links` as the query of each of its links."""

    def add(value: Any) -> Any:
        for link in value.get("_links", {}).values() if links else ():
            link["href"] += f"?q={links}"
        return {**value, **fields}

    return changed(add)


@pytest.mark.parametrize("number", range(0, len(ENCODINGS), 8))
def test_good_answers_about_a_workspace_and_a_job(tmp_path: Path, number: int) -> None:
    said = in_round(number)
    scenario = {"tokens": TOKENS, "job": {"runs": "5s", "ends": "ERROR"}}
    with stage(tmp_path, scenario, **KEY, verify_source="warn", preflight="warn") as staged:
        address = f"https://github.com/acme/{said(2).replace(' ', '-')}"
        source = {"repositoryUrl": address, "repositoryBranch": said(3), "repositoryDirectory": said(4)}
        staged.peer.on("workspace", adding({"name": said(0), "status": said(1), **source}))
        job = {"commitId": said(6), "message": said(7), "type": said(8), "created": said(9)}
        link = said(10).replace(" ", "-")
        staged.peer.on("trigger", adding({**job, "status": said(5)}, link))
        staged.peer.on("job", adding({**job, "status": said(5)}, link), {1})
        staged.peer.on("job", adding(job, link))
        result = staged.run()
    assert result.code == 1
    assert "***" in result.outputs["workspace-name"]
    assert MARK in result.log.said("error")[0]
    assert "commit-id" not in result.outputs
    assert "?" not in result.outputs["job-url"]
    assert_nothing_shows(result, SECRET, *(code(SECRET) for code in ENCODINGS if code not in (str.upper, str.lower)))


@pytest.mark.parametrize(
    ("call", "status", "inputs", "secret"),
    [
        ("token", 401, KEY, SECRET),
        ("workspace", 403, {**KEY, "verify_source": "error"}, SECRET),
        ("trigger", 403, {"token": MARKDOWN}, MARKDOWN),
        ("trigger", 409, KEY, SECRET),
        ("webhook", 403, {"token": "", "deployment_secret": AWKWARD}, AWKWARD),
        ("job", 404, KEY, SECRET),
        ("withdraw", 403, {**KEY, "timeout": "2s"}, SECRET),
    ],
)
def test_refusals_of_each_call(tmp_path: Path, call: str, status: int, inputs: Mapping[str, str], secret: str) -> None:
    said = in_round(status, secret)
    secrets = f"{secret} {constants.DEPLOYMENT_SECRET} {constants.CLIENT_ID}"
    parted = ENCODERS["line by line"](secret) + BASE64_ENCODERS["MIME"](secret)
    message = f"{MARK} {parted} {secrets} ({quote(secrets)}){20 * f' {secret}'}"
    errors = [{"field": said(4), "message": said(5), "rejectedValue": said(6)}]
    body = {"status": status, "message": message, "error": said(1), "error_description": said(2), "errors": errors}
    with stage(tmp_path, {"tokens": TOKENS, "job": {"runs": "forever"}}, **{"timeout": "20s", **inputs}) as staged:
        staged.peer.on(call, answer(status, json.dumps(body).encode()))
        # The list before it, whatever token comes.
        staged.peer.on("jobs", answer(200, b'{"page": {}}'))
        result = staged.run()
        assert staged.peer.count(call)
    assert result.code in (3, 4)
    assert MARK in result.log.own
    assert_nothing_shows(result, secret)


@pytest.mark.parametrize(("call", "name"), [("trigger", "error"), ("logs", "warning")])
def test_redirects(tmp_path: Path, call: str, name: str) -> None:
    shown = ENCODERS["line by line"](SECRET).replace("\r\n", "%0D%0A")
    with stage(tmp_path, {"tokens": TOKENS}, **KEY, logs="stream") as staged:
        staged.peer.on(call, answer(302, headers={"Location": f"https://else.example/{MARK} {shown}"}))
        result = staged.run()
    assert any(f"https://else.example/{MARK} ***" in text for text in result.log.said(name))
    assert_nothing_shows(result, SECRET, shown)


@pytest.mark.parametrize("number", range(0, len(ENCODINGS), 4))
def test_end_of_the_log(tmp_path: Path, number: int) -> None:
    """The log itself is printed as it is, for the runner to mask; its copies in error and summary are not."""
    encoded = [encode(SECRET) for encode in ENCODINGS[number:] + ENCODINGS[:number]]
    log = [{"text": f"ERROR {MARK} refused \x1b[31m{line}\x1b[0m"} for line in encoded]
    scenario = {"tokens": TOKENS, "job": {"runs": "5s", "ends": "ERROR", "log": log}}
    with stage(tmp_path, scenario, **KEY, logs="on-failure") as staged:
        result = staged.run(hides_secrets=False)
    assert result.code == 1
    assert MARK in result.log.said("error")[0]
    assert result.summary.count(MARK) > len(ENCODINGS)
    assert_nothing_shows(result, SECRET)


@pytest.mark.parametrize("key", ["id", "_links", "commitId"])
def test_id_that_is_a_secret_is_no_id(tmp_path: Path, key: str) -> None:
    secret = "tk4f9Qz7xBywp41endOfTheSecret"
    scenario = {"tokens": {"client-secret": secret}, "job": {"runs": "5s"}}
    with stage(tmp_path, scenario, **{**KEY, "client_secret": secret}) as staged:
        value = {"self": {"href": f"/api/jobs/{secret}"}} if key == "_links" else secret
        call, times = ("job", 99) if key == "commitId" else ("trigger", 1)
        staged.peer.on(call, adding({key: value}), range(1, times + 1))
        result = staged.run()
        assert staged.peer.count("trigger") == 1
    assert result.code == 0
    assert result.outputs["job-url"].endswith(result.outputs["job-id"])


def test_every_token_is_masked_before_anything_is_said_of_its_use(tmp_path: Path) -> None:
    """Each shows nowhere, though the platform repeats it in its refusal."""

    def refuse(exchange: Exchange) -> None:
        said = exchange.request.headers["authorization"].replace("-", "\\u002d")
        answer(401, f'{{"status": 401, "message": "{MARK} {said}"}}'.encode())(exchange)

    with stage(tmp_path, {"tokens": TOKENS}, **KEY) as staged:
        staged.peer.on("trigger", refuse)
        result = staged.run()
        tokens = staged.simulator.issued_tokens
    assert (result.code, len(tokens)) == (3, 2)
    assert f"{MARK} Bearer ***" in result.log.said("error")[0]
    secrecy.check(result, [SECRET], tokens)
    lines = result.log.own.splitlines()
    signed_in = [n for n, line in enumerate(lines) if line.startswith("::debug::POST /oauth/token: 200")]
    # The debug line names the token's own request; the mask is the next thing that is said.
    assert [lines.index(f"::add-mask::{token}") for token in tokens] == [line + 1 for line in signed_in]


# Two bad values for each input; `{evil}` is an address that nobody is to call.
BAD: Final = {
    "workspace-id": (f"{constants.WORKSPACE_ID}\n::error::x", "../../jobs"),
    "token": ("a-token\r\nX-Injected: header", "tökén-of-letters"),
    "client-secret": ("a\nnother-secret", "a nother-secret"),
    "deployment-secret": ("two\nlines", "$DEPLOYMENT_SECRET"),
    "api-url": (f"http://someone:{HIDDEN}@{{evil}}/api", "//{evil}/api"),
    "auth-url": (f"http://{{evil}}/#{HIDDEN}", "https://app.matatika.com:99999/api"),
    "timeout": ("9" * 5000, "soon"),
    "logs": ("verbose", "::error::x"),
    "workspace-directory": ("a/../../b", "a\nb"),
    "ca-bundle": ("../../../etc/ssl/certs/ca-certificates.crt", "control-\x01"),
}


@pytest.mark.parametrize("turn", [0, 1])
def test_bad_inputs_end_the_step_at_once_with_one_error_that_names_them_all(tmp_path: Path, turn: int) -> None:
    with stage(tmp_path) as here:
        evil = here.peer.elsewhere_url.removeprefix("http://")
        given = {name: values[turn].replace("{evil}", evil) for name, values in BAD.items()}
        here.step.environ |= {f"INPUT_{name.upper()}": value for name, value in given.items()}
        result = here.run(hides_secrets=False)
        assert here.peer.requests == []
    reading = result.log
    assert (result.code, set(result.outputs), result.state) == (2, {"outcome", "message"}, {})
    (error,) = reading.said("error")
    assert error.startswith("Bad input: ")
    assert [name for name in BAD if f"`{name}` must" not in error] == []
    assert "Bad input" in result.summary
    # No secret shows, and none is more than masked; a password in an address is one too, but cannot be masked.
    said = "\n".join([*reading.shown, *(command.data for command in reading.commands if command.name != "add-mask")])
    lines = [line for name in ("token", "client-secret", "deployment-secret") for line in given[name].splitlines()]
    secrets = [line for line in lines if len(line) > 3]
    assert set(reading.said("add-mask")) == set(secrets)
    for secret in [*secrets, HIDDEN]:
        assert not [form for form in forms(secret) if form in (said + result.summary).encode()], secret
