"""Whatever the job's log says, the runner obeys none of it, and shows all of it.

What a step prints goes through a model of the runner's own parser.
"""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.github.log_guard import Guard
from matatika_simulator import constants
from tests.support.result import StepLog
from tests.support.stage import stage
from tests.support.step import API_KEY

TOKEN = "0123456789abcdef0123456789abcdef01234567"

# Each of these is obeyed if it stands in the output as it is.
COMMANDS = [
    *(b"::set-output name=outcome::success", b"::save-state name=deployment::running", b"::set-env name=PATH::/tmp"),
    *(b"::add-path::/tmp", b"::add-mask::e", b"::add-matcher::matcher.json", b"::remove-matcher owner=x::"),
    *(b"::error title=Not ours,file=a.yml,line=1::An error", b"::warning::A warning", b"::notice::A notice"),
    *(b"::debug::A debug line", b"::group::A group", b"::endgroup::", b"::echo::on", b"::ERROR::in capitals"),
    *(b"  \t::error::after white space", b"\xc2\xa0\xe2\x80\x83\xe3\x80\x80::error::after wider white space"),
    *(b"##[error]An error of the old style", b"INFO  in the middle of a line ##[set-output name=outcome]success"),
    *(
        b"::unknown::##[warning]behind what is no command",
        b"::add-mask::x%0A::error::y",
        b"no UTF-8 \xff\xfe ##[error]",
    ),
    *(b"50 %\r::warning::after a carriage return", b"50 %\r##[error]after a carriage return\r100 %"),
    *(b"\x1b[31m##[error]in red\x1b[0m", b"nul \x00##[error]"),
    *(b"::stop-commands::a-token-of-the-logs-own", b"##[stop-commands]a-token-of-the-logs-own"),
]
# These are not, but might end a guard that is badly made.
GUESSES = [
    *(b"::a-token-of-the-logs-own::", f"::{TOKEN}::".encode(), f"##[{TOKEN}]".encode(), b"::" + b"0" * 40 + b"::"),
    *(b"::::", b"::stop-commands::", b"::stop-commands", b"##[]", b"::end::"),
]
LOG = b"\n".join([*COMMANDS, *GUESSES, b""])


def test_unguarded_each_of_these_lines_is_obeyed() -> None:
    """Else the other tests could not fail."""
    for line in COMMANDS:
        reading = StepLog(line + b"\n")
        assert reading.commands or reading.is_stopped, line


def read(printed: bytes) -> StepLog:
    """What the runner makes of it; check that it ends as it began, and that the token is a good one."""
    reading = StepLog(printed)
    assert not reading.is_stopped
    tokens = set(re.findall(rb"^::stop-commands::([0-9a-f]{40})$", printed, re.MULTILINE))
    assert len(tokens - {TOKEN.encode()}) == 1
    return reading


def log_item(data: bytes, **more: Any) -> dict[str, Any]:
    """A part of a job's log, byte for byte."""
    return {"base64": base64.b64encode(data).decode(), **more}


LONG = b"x" * 100_000 + b"##[error]" + b"y" * 100_000 + b"\n"


# A log as it might be written: at once, and unfinished; cut anywhere, with lines of the action's own between; ...
@pytest.mark.parametrize(
    ("written", "stream", "logs"),
    [
        ([log_item(LOG), log_item(b"::error::unfinished ##[error]")], "ends", "stream"),
        ([log_item(LOG[n : n + 37], at=f"{n / 185:.1f}s") for n in range(0, len(LOG), 37)], "held", "stream"),
        (
            [log_item(LONG), log_item(b"::error::" + b"z" * 300_000, at="15s"), log_item(LOG, at="40s")],
            "held",
            "stream",
        ),
        ([log_item(b"\r".join(COMMANDS)), log_item(b"\r::error::\r", at="15s")], "ends", "stream"),
        ([log_item(LOG)], "ends", "on-failure"),
    ],
    ids=["unfinished", "in pieces", "long lines", "carriage returns", "after a failure"],
)
def test_no_line_of_the_log_is_obeyed(tmp_path: Path, written: list[dict[str, Any]], stream: str, logs: str) -> None:
    """With debug logging: there are many lines of the action's own between those of the log."""
    log = b"".join(base64.b64decode(item["base64"]) for item in written)
    runs = "45s" if written[-1].get("at") == "40s" else "16s"
    scenario = {"job": {"runs": runs, "ends": "ERROR", "log": written}, "logs": {"stream": stream}}
    with stage(tmp_path, scenario, logs=logs) as staged:
        result = staged.run()
    reading = read(result.printed)
    assert reading.job_log == (log if log.endswith(b"\n") else log + b"\n")
    assert {command.name for command in reading.commands} == {"add-mask", "debug", "error"}
    assert [command.data for command in reading.of("add-mask")] == [constants.TOKEN]
    assert [command.properties for command in reading.of("error")] == [{"title": "Deployment failed"}]
    assert all(re.match(r"(GET|POST) /api/", command.data) for command in reading.of("debug"))
    assert (result.code, result.outputs["outcome"]) == (1, "failure")


def test_renewed_token_is_masked_while_a_line_of_the_log_is_unfinished(tmp_path: Path) -> None:
    written = [log_item(b"x" * 100_000), log_item(b"the end\n", at="40s")]
    faults = [{"calls": "job", "requests": {"numbers": [3]}, "expire-token": True}]
    scenario = {"job": {"runs": "45s", "log": written}, "logs": {"stream": "held"}, "faults": faults}
    with stage(tmp_path, scenario, logs="stream", **API_KEY) as staged:
        result = staged.run()
        _, renewed = staged.simulator.issued_tokens
    reading = result.log
    mask = result.printed.index(b"::add-mask::%s\n" % renewed.encode())
    assert result.printed.index(b"x" * 100_000) < mask < result.printed.index(b"the end\n")
    # The newline that breaks the line is the only byte that is not the log's, and a line outside says so.
    assert reading.job_log == b"x" * 100_000 + b"\nthe end\n"
    assert reading.shown.count("The log's last line is not finished: it may go on below.") == 1


pieces = st.lists(st.sampled_from([*COMMANDS, *GUESSES, b"\n", b"\n", b"\n", b"\r", b"x"]), max_size=4).map(b"".join)
own_lines = st.sampled_from([b"Ours\n", b"::warning::Ours\n", b"::debug::Ours\n"])


@settings(max_examples=50)
@given(st.lists(st.tuples(st.just("log"), pieces) | st.tuples(st.just("say"), own_lines), max_size=30))
def test_the_runner_tells_the_log_from_the_actions_lines_in_any_order(said: list[tuple[str, bytes]]) -> None:
    guard = Guard(TOKEN[::-1])
    printed = b"".join(guard.log(data) if kind == "log" else guard.say(data) for kind, data in said) + guard.end()
    log = b"".join(data for kind, data in said if kind == "log")
    reading = StepLog(printed)
    assert not reading.is_stopped
    assert reading.job_log == (log if not log or log.endswith(b"\n") else log + b"\n")
    assert [command.name for command in reading.commands] == [
        data.split(b"::")[1].decode() for kind, data in said if kind == "say" and data.startswith(b"::")
    ]
