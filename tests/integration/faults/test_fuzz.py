"""Whatever inputs and answers hold, a step ends with a documented exit code and one readable report."""

import json
import random
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_simulator import constants
from matatika_simulator.runner import CommandFiles
from tests.support.clock import FakeClock
from tests.support.peer import Exchange, answer, raw
from tests.support.result import Result
from tests.support.stage import stage
from tests.support.step import API_KEY, WEBHOOK, Step

FEW: Final = settings(max_examples=6)

# The contract's exit codes, and the outcomes that go with them.
OUTCOMES: Final = {
    0: "success submitted checked",
    1: "failure stopped",
    2: "error",
    3: "error",
    4: "timed-out",
    5: "error",
}
OUTPUTS: Final = {
    *("message", "workspace-name", "workspace-url", "job-id", "job-url", "status", "outcome", "exit-code"),
    *("commit-id", "created-at", "started-at", "ended-at", "duration"),
}
CALLS: Final = ["token", "trigger", "webhook", "jobs", "job", "logs", "withdraw", "delete"]
JOB: Final = "7127b1d3-a114-4bec-b108-004f374f0b77"
LINKS: Final = ("self", "logs", "withdraw job", "delete job")

# What an environment can hold: anything but NUL, bytes that are no UTF-8 included.
surrogates = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | surrogates
environment_text = st.text(characters | st.sampled_from(" \r\n\t:/@#?%=`\"'\\<>"), max_size=30)
SECRETS: Final = ("TOKEN", "CLIENT-ID", "CLIENT-SECRET", "DEPLOYMENT-SECRET")
PLACES: Final = (
    "",
    "https://matatika.invalid/api",
    "http://localhost:{port}/",
    "https://a:b@[::1]:{port}/",
    "http://x",
)
INPUTS: Final = {
    "WORKSPACE-ID": [constants.WORKSPACE_ID.upper(), f" {constants.WORKSPACE_ID}\n"],
    **dict.fromkeys(SECRETS, ("", "se cret+/=", "two\nlines", "ü")),
    **dict.fromkeys(("API-URL", "AUTH-URL"), PLACES),
    **dict.fromkeys(("WAIT", "DRY-RUN"), ("OFF", "0", "perhaps", "true")),
    **dict.fromkeys(("TIMEOUT", "POLL-INTERVAL"), ("90", "1h30m", "5m", "24h", "25h", "-1", "9" * 40)),
    **dict.fromkeys(("LOGS", "PREFLIGHT", "VERIFY-SOURCE"), ("stream", "ON-FAILURE", "none", "error", "warn", "off")),
    "WORKSPACE-DIRECTORY": [".", "a/b", "../..", "/etc"],
    "CA-BUNDLE": ["ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
}
some_inputs = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) | environment_text for name, values in INPUTS.items()}
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ids = st.sampled_from([JOB, JOB, "..", "a/b", "a\nb", "x" * 200]) | json_values
statuses = st.sampled_from(["RUNNING", "COMPLETE", "PAUSED", "", "::error::x", "a\r\nb=c", "x" * 9999]) | json_values
timestamps = st.sampled_from(["2023-03-23T21:48:40.123456789", "0001-01-01T00:00:00+23:59"]) | json_values
hrefs = st.sampled_from(
    [
        *("{here}/api/jobs/1", "/api/jobs/1", "//{host}/api", "{elsewhere}/api/jobs/1", "javascript:alert(1)", "#", ""),
        *("http://a:b@{host}/", "{here}@{host}/", "http:///x", "http:\\\\{host}\\x", "{here}/\r\nHost: x"),
        *("http://[::1", "http://{host}:99999/", "{here}.{host}/"),
    ]
)
links = st.dictionaries(st.sampled_from(LINKS), st.builds(lambda href: {"href": href}, hrefs) | json_values)
jobs = st.fixed_dictionaries(
    {"id": ids, "status": statuses},
    optional={
        "type": st.just("WORKSPACE_DEPLOY") | json_values,
        "_links": links | json_values,
        **dict.fromkeys(("created", "startTime", "endTime"), timestamps),
        **dict.fromkeys(("exitCode", "commitId", "_embedded"), json_values),
    },
)
header_values = (
    st.sampled_from(["0", "3", "-1", "1e3", "9" * 20, "{date+5}", "Fri, 99 Foo 0000 99:99:99 +9999"])
    | st.sampled_from(["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
    | st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
)
messages = st.just("::error::\n##[error]\r" + "x" * 100_000) | json_values
errors = st.fixed_dictionaries(
    {}, optional={"status": json_values, "message": messages, "error": json_values, "errors": st.lists(json_values)}
)
answers = st.builds(
    lambda status, body, headers: answer(status, body, headers=headers),
    st.sampled_from([200, 202, 204, 304, 401, 409, 429, 503]) | st.integers(200, 999),
    st.binary(max_size=200) | (json_values | errors).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(["Retry-After", "Date", "Location", "Content-Type"]), header_values),
)
heads = st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"])
broken_answers = st.builds(lambda head, rest: raw(head + rest), heads, st.binary(max_size=300))


@FEW
@given(some_inputs)
def test_step_with_any_inputs_ends_as_documented(inputs: dict[str, str]) -> None:
    random.seed(1)
    # A port on which connections are refused.
    with TemporaryDirectory() as folder, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        step = Step(Path(folder), workspace_id=constants.WORKSPACE_ID, token="ey.token", verify_source="off")
        step.environ.update({f"INPUT_{name}": value.replace("{port}", str(port)) for name, value in inputs.items()})
        step.environ.update(dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY"), f"http://127.0.0.1:{port}"))
        assert_documented(step.run(FakeClock(), hides_secrets=False), step.files)


@FEW
@given(trigger=jobs, looks=st.lists(jobs, min_size=1, max_size=3), logs=st.sampled_from(["stream", "none"]))
def test_step_whose_job_is_anything_ends_as_documented(
    trigger: dict[str, Any], looks: list[dict[str, Any]], logs: str
) -> None:
    random.seed(2)
    with TemporaryDirectory() as folder, stage(Path(folder), timeout="4s", logs=logs) as here:
        given_jobs = iter([trigger, *looks])

        def tell(exchange: Exchange) -> None:
            text, elsewhere = json.dumps(next(given_jobs, looks[-1])), here.peer.elsewhere_url
            text = text.replace("{host}", elsewhere.partition("//")[2]).replace("{elsewhere}", elsewhere)
            answer(200, text.replace("{here}", here.peer.url).encode())(exchange)

        here.peer.on("trigger", tell, {1})
        here.peer.on("job", tell)
        assert_documented(here.run(), here.step.files)


@settings(max_examples=16)
@given(call=st.sampled_from(CALLS), behaviour=answers | broken_answers, count=st.integers(1, 3))
def test_step_that_is_answered_with_anything_ends_as_documented(call: str, behaviour: Any, count: int) -> None:
    random.seed(3)
    inputs = {**(WEBHOOK if call == "webhook" else {}), **API_KEY}
    ends = call in ("withdraw", "delete")
    job = {"queued": "forever"} if call == "delete" else {"runs": "forever" if ends else "1s", "log": [{"text": "x"}]}
    scenario = {"job": job, "withdrawal": {"queued": 409}}
    with (
        TemporaryDirectory() as folder,
        stage(Path(folder), scenario, logs="stream", timeout="5s" if ends else "10m", **inputs) as here,
    ):
        if call == "jobs":
            here.peer.on("trigger", raw(b""), {1})
        here.peer.on(call, behaviour, range(1, count + 1))
        assert_documented(here.run(), here.step.files)


def assert_documented(result: Result, files: CommandFiles) -> None:
    assert result.code in OUTCOMES
    assert files.outputs["outcome"] in OUTCOMES[result.code].split()
    assert files.outputs.keys() <= OUTPUTS
    assert files.state.keys() <= {"deployment", "job"}
    assert len(result.log.said("error")) == (0 if result.code == 0 else 1)
    assert "Internal error" not in result.log.own
    assert "Traceback" not in result.log.own
    assert 0 < len(result.summary.encode()) < 1024 * 1024
