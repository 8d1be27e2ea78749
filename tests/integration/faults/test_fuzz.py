"""Whatever inputs and answers hold, a step ends with a documented exit code and one readable report."""

import json
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from matatika_simulator import constants
from matatika_simulator.runner import CommandFiles
from tests.support.clock import FakeClock
from tests.support.in_process import run_main, stage
from tests.support.peer import Exchange, answer, raw
from tests.support.step import Result, Step

FEW: Final = settings(max_examples=20)

# The contract's exit codes, and the outcomes that go with them.
OUTCOMES: Final = {
    0: {"success", "submitted", "checked"},
    1: {"failure", "stopped"},
    2: {"error"},
    3: {"error"},
    4: {"timed-out"},
    5: {"error"},
}
OUTPUTS: Final = {
    "message",
    "workspace-name",
    *("job-id", "job-url", "workspace-url", "status", "outcome", "exit-code", "commit-id"),
    *("created-at", "started-at", "ended-at", "duration"),
}

# What an environment can hold: anything but NUL, bytes that are no UTF-8 included.
environment_text = st.text(
    st.one_of(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
        st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
        st.sampled_from(" \r\n\t:/@#?%=`\"'\\<>"),
    ),
    max_size=30,
)
UUIDS: Final = [constants.WORKSPACE_ID, constants.WORKSPACE_ID.upper(), f" {constants.WORKSPACE_ID}\n"]
INPUTS: Final = {
    "WORKSPACE-ID": UUIDS,
    "TOKEN": ["", "ey.token", "two\nlines"],
    "CLIENT-ID": ["", "client"],
    "CLIENT-SECRET": ["", "secret+/=", "näive"],
    "DEPLOYMENT-SECRET": ["", "deployment secret", "ü-secret"],
    "API-URL": ["", "https://matatika.invalid/api", "http://localhost:{port}/", "https://[::1]:{port}/api", "http://x"],
    "AUTH-URL": ["", "https://identity.matatika.invalid/oauth/token", "https://a:b@matatika.invalid/"],
    "AUDIENCE": ["", "https://matatika.invalid"],
    "WAIT": ["", "true", "OFF", "0", "perhaps"],
    "TIMEOUT": ["", "90", "1h30m", "24h", "25h", "-1", "9" * 40],
    "POLL-INTERVAL": ["", "1s", "5m", "6m"],
    "LOGS": ["", "stream", "ON-FAILURE", "none"],
    "ON-TIMEOUT": ["", "withdraw", "leave"],
    "ON-CANCEL": ["", "withdraw", "leave"],
    "PREFLIGHT": ["", "error", "warn", "off"],
    "VERIFY-SOURCE": ["", "error", "warn", "off"],
    "WORKSPACE-DIRECTORY": ["", ".", "a/b", "../..", "/etc"],
    "DRY-RUN": ["", "true", "false"],
    "CA-BUNDLE": ["", "ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
}

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
ids = st.one_of(st.just("7127b1d3-a114-4bec-b108-004f374f0b77"), st.sampled_from(["..", "a/b", "a\nb", "x" * 200]))
statuses = st.one_of(
    st.sampled_from(
        ["QUEUED", "RUNNING", "COMPLETE", "ERROR", "STOPPED", "PAUSED", "", "::error::x", "a\r\nb=c", "x" * 9999]
    ),
    st.text(max_size=10),
)
TIMESTAMPS: Final = [
    *("2023-03-23T21:48:40", "2023-03-23T21:48:40.123456789", "2023-03-23T21:48:40Z", "2023-03-23", "now", ""),
    *(
        "9999-12-31T23:59:59.999999999",
        "0001-01-01T00:00:00+23:59",
        "2023-02-30T25:61:61",
        "2023-03-23T21:48:40.1234567890",
    ),
]
HREFS: Final = [
    *("{here}/api/jobs/1", "/api/jobs/1", "//{elsewhere-host}/api", "{elsewhere}/api/jobs/1", "javascript:alert(1)"),
    *("http://a:b@{elsewhere-host}/", "{here}@{elsewhere-host}/", "http:///x", "http:\\\\{elsewhere-host}\\x", "#", ""),
    *("{here}/\r\nHost: x", "http://[::1", "http://{elsewhere-host}:99999/", "{here}.{elsewhere-host}/", "?"),
]
timestamps = st.one_of(st.datetimes().map(lambda moment: moment.isoformat()), st.sampled_from(TIMESTAMPS))
hrefs = st.one_of(st.sampled_from(HREFS), st.text(max_size=20))
links = st.dictionaries(
    st.sampled_from(["self", "logs", "withdraw job", "delete job"]),
    st.one_of(
        st.builds(lambda href: {"href": href}, hrefs),
        st.builds(lambda href: [{"href": href}], hrefs),
        json_values,
    ),
    max_size=4,
)
jobs = st.fixed_dictionaries(
    {"id": st.one_of(ids, json_values), "status": st.one_of(statuses, json_values)},
    optional={
        "type": st.one_of(st.just("WORKSPACE_DEPLOY"), json_values),
        "created": st.one_of(timestamps, json_values),
        "startTime": st.one_of(timestamps, json_values),
        "endTime": st.one_of(timestamps, json_values),
        "exitCode": st.one_of(st.integers(), json_values),
        "commitId": st.one_of(st.text(), json_values),
        "_links": st.one_of(links, json_values),
        "_embedded": json_values,
    },
)
probable_jobs = st.one_of(
    jobs,
    st.builds(
        lambda job, status, links: {
            **job,
            "id": "7127b1d3-a114-4bec-b108-004f374f0b77",
            "status": status,
            "_links": links,
        },
        jobs,
        st.sampled_from(["RUNNING", "COMPLETE", "ERROR"]),
        links,
    ),
)
header_values = st.one_of(
    st.sampled_from(["0", "3", "-1", "1e3", "٣", "99999999999999999999", "Thu, 01 Jan 1970 00:00:00 GMT", "{date+5}"]),
    st.sampled_from(
        ["Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 99 Foo 0000 99:99:99 +9999", "Sun, 06 Nov 1994 08:49:37 -0000"]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30),
).map(lambda value: value.encode("latin-1", "replace").decode("latin-1"))
bodies = st.one_of(
    st.binary(max_size=200),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.one_of(st.integers(), json_values),
            "message": st.one_of(st.text(max_size=60), st.just("::error::\n##[error]\r" + "x" * 100_000), json_values),
            "error": json_values,
            "error_description": json_values,
            "errors": st.one_of(st.lists(json_values, max_size=4), json_values),
        },
    ).map(lambda value: json.dumps(value).encode()),
)


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, str]:
    """Inputs that would do, but for a few of them."""
    drawn = draw(st.sets(st.sampled_from(sorted(INPUTS)), max_size=4))
    others = {name: draw(st.one_of(st.sampled_from(INPUTS[name]), environment_text)) for name in sorted(drawn)}
    return {"WORKSPACE-ID": constants.WORKSPACE_ID, "TOKEN": "ey.token", "VERIFY-SOURCE": "off", **others}


@FEW
@given(inputs())
def test_any_inputs(inputs: dict[str, str]) -> None:
    random.seed(1)
    with TemporaryDirectory() as folder, nobody_listening() as port:
        step = Step(Path(folder))
        given_inputs = {f"INPUT_{name}": value.replace("{port}", str(port)) for name, value in inputs.items()}
        nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY"), f"http://127.0.0.1:{port}")
        step.environ.update({**given_inputs, **nowhere})
        assert_documented(run_main(step, FakeClock()), step.files)


ELSEWHERE: Final = {
    "id": "7127b1d3-a114-4bec-b108-004f374f0b77",
    "status": "RUNNING",
    "_links": {name: {"href": "{elsewhere}/api/jobs/1"} for name in ("self", "logs", "withdraw job", "delete job")},
}


@FEW
@example(trigger=ELSEWHERE, looks=[ELSEWHERE], logs=True)
@given(trigger=probable_jobs, looks=st.lists(probable_jobs, min_size=1, max_size=3), logs=st.booleans())
def test_any_jobs(trigger: dict[str, Any], looks: list[dict[str, Any]], *, logs: bool) -> None:
    random.seed(2)
    inputs = {"timeout": "20s", "logs": "stream" if logs else "none"}
    with TemporaryDirectory() as folder, stage(Path(folder), {"job": {"runs": "1s"}}, **inputs) as here:
        given_jobs = iter([trigger, *looks])

        def tell(exchange: Exchange) -> None:
            text = json.dumps(next(given_jobs, looks[-1]))
            elsewhere = here.peer.elsewhere_url
            text = text.replace("{elsewhere-host}", elsewhere.partition("//")[2]).replace("{elsewhere}", elsewhere)
            answer(200, text.replace("{here}", here.peer.url).encode())(exchange)

        here.peer.on("trigger", tell, {1})
        here.peer.on("job", tell)
        result = here.run()
        assert not here.peer.was_called_elsewhere()
        assert_documented(result, here.step.files)


@FEW
@given(
    call=st.sampled_from(["token", "trigger", "webhook", "jobs", "job", "logs", "withdraw", "delete"]),
    status=st.one_of(st.sampled_from([200, 202, 204, 304, 401, 409, 429, 503]), st.integers(200, 999)),
    body=bodies,
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "Date", "Location", "Content-Type", "WWW-Authenticate"]), header_values
    ),
    count=st.integers(1, 3),
)
def test_any_answers(call: str, status: int, body: bytes, headers: dict[str, str], count: int) -> None:
    random.seed(3)
    with broken_call(call) as here:
        here.peer.on(call, answer(status, body, headers=headers), range(1, count + 1))
        assert_documented(here.run(), here.step.files)


@FEW
@given(
    call=st.sampled_from(["token", "trigger", "webhook", "jobs", "job", "logs", "withdraw", "delete"]),
    head=st.sampled_from(
        [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/9"]
    ),
    rest=st.binary(max_size=300),
)
def test_any_bytes(call: str, head: bytes, rest: bytes) -> None:
    random.seed(4)
    with broken_call(call) as here:
        here.peer.on(call, raw(head + rest), {1})
        assert_documented(here.run(), here.step.files)


@contextmanager
def broken_call(call: str) -> Iterator[Any]:
    """A stage on which that call is made."""
    key = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
    ends = call in ("withdraw", "delete")
    job = {"queued": "forever"} if call == "delete" else {"runs": "forever" if ends else "1s", "log": [{"text": "x"}]}
    scenario = {"job": job, "withdrawal": {"queued": 409}}
    secret = {"deployment_secret": constants.DEPLOYMENT_SECRET} if call == "webhook" else {}
    timeout = "5s" if ends else "10m"
    with (
        TemporaryDirectory() as folder,
        stage(Path(folder), scenario, logs="stream", timeout=timeout, **key, **secret) as here,
    ):
        if call == "jobs":
            here.peer.on("trigger", raw(b""), {1})
        yield here


@contextmanager
def nobody_listening() -> Iterator[int]:
    """A port on which connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def assert_documented(result: Result, files: CommandFiles) -> None:
    assert result.code in OUTCOMES
    assert files.outputs["outcome"] in OUTCOMES[result.code]
    assert files.outputs.keys() <= OUTPUTS
    assert files.state.keys() <= {"deployment", "job"}
    assert len(result.log.said("error")) == (0 if result.code == 0 else 1)
    assert "Internal error" not in result.log.own
    assert "Traceback" not in result.log.own
    assert 0 < len(result.summary.encode()) < 1024 * 1024
