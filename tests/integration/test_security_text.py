"""Text from elsewhere, wherever it shows: one value of an output, one line of the log, plain words on a page.

Of the job's log, the runner shows all and obeys nothing: what a step prints goes through a model of its own parser.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from matatika_simulator import constants
from tests.support.page import Page
from tests.support.peer import Behaviour, answer, changed
from tests.support.repository import write_files
from tests.support.result import Result, StepLog
from tests.support.secrecy import forms
from tests.support.stage import Stage, stage
from tests.support.step import API_KEY

OUTPUTS = {
    *("message", "plan", "pipeline-jobs", "workspace-name", "job-id", "job-url", "workspace-url", "status", "outcome"),
    *("exit-code", "commit-id", "created-at", "started-at", "ended-at", "duration"),
}
TEXTS = {
    "assignment": "x\njob-id=evil\na=b=c<<d",
    "block": "x\njob-id<<EOF\nevil\nEOF\nend-\nghadelimiter_\n",
    "block-without-an-end": "job-id<<EOF",
    "command": "::error::x\n::add-mask::e\n##[set-output name=outcome]success",
    "command-after-a-carriage-return": "x\r::warning::y\r##[error]z",
    "command-in-the-middle": "INFO ##[error]x ##[add-mask]e %0A::error::x%0D%25",
    "command-taken-apart": "#\x00#\u200e#\x7f#[error]x",
    "separators": "x\u2028::error::y\u2029::error::z\x85::error::w\x0b\x0c\x1c\x1e",
    "colours": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b31m",
    "direction": "a\x00b\u202etxt.exe\u2066",
    "half-a-character": "\ud800",
    "html": "</td></tr></table></code></pre></details><img src=x onerror=alert(1)><script>alert(1)</script><a href=x>",
    "comment": "<!-- <![CDATA[ <?x \" onmouseover=alert(1) x='",
    "entity": "&lt;img src=x&gt; &#60;img&#62; &commat;octocat @octocat @org/team #1 GH-1 :smile: $x^2$",
    "markdown": "# h\n\n- i\n\n> q\n\n***\n\n    code\n\n**b** _i_ ~~s~~ `c` | t | u |",
    "fence": "```\n</pre>\n~~~\n````\\<b\\> \\@octocat \\`",
    "links": "[a](http://evil.example) ![i](http://evil.example/i.png) <http://evil.example> [r]: http://evil.example",
    "addresses": "http://evil.example/?a=b https://evil.example ftp://evil.example www.evil.example me@evil.example",
    "long": "<&>\"'`@|\n" * 25_000,
}
# Where on a page the steps' own text leads.
TAGS = {"h3", "h4", "p", "table", "thead", "tbody", "tr", "th", "td", "a", "code", "pre"}


def having(**fields: Any) -> Behaviour:
    """Pass the platform's answer on with other values in some fields."""
    return changed(lambda value: {**value, **fields})


LINK = rf"{constants.REPOSITORY_URL}/(?:commit/{constants.COMMIT_ID}$|blob/{constants.COMMIT_ID}/.*#L\d+$)"


def assert_harmless(result: Result, staged: Stage) -> Page:
    """Nothing of a text from elsewhere became a command, another output, another line, or markup."""
    reading = result.log
    assert not reading.is_stopped
    assert {command.name for command in reading.commands} <= {"add-mask", "debug", "notice", "warning", "error"}
    assert reading.said("add-mask") == [constants.TOKEN]
    assert len(reading.of("error")) == (result.code != 0)
    lines = [*StepLog(result.log.own.encode()).shown, *(command.data for command in reading.commands)]
    assert [line for line in lines if not line.isprintable() or len(line) > 5000] == []
    outputs, workspace_url = result.outputs, f"{staged.peer.url}/workspaces/{constants.WORKSPACE_ID}"
    assert outputs.keys() <= OUTPUTS
    assert outputs["workspace-url"] == workspace_url
    assert outputs["outcome"] in ("failure", "error")
    assert [name for name, value in outputs.items() if not value.isprintable()] == []
    assert len(outputs["message"]) <= 500
    assert sum(len(value) for value in outputs.values()) < 256 * 1024
    # The post step gets each as one variable, which Linux limits to 128 KiB.
    assert all(len(value.encode()) < 64 * 1024 for value in result.state.values())
    shown = Page(result.summary)
    assert {tag for tag, _ in shown.elements} <= TAGS
    # Others lead to the repository that the workflow runs for, to a commit or to a file's line.
    assert {it for it in shown.links if not re.match(LINK, str(it))} <= {workspace_url}
    assert all(set(attributes) <= {"href"} for _, attributes in shown.elements)
    assert (shown.comments, re.findall(r"@\w", shown.text)) == ([], [])
    assert len(result.summary.encode()) < 1024 * 1024
    return shown


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_in_all_that_is_read_before_and_while_a_job_fails(tmp_path: Path, text: str) -> None:
    """The workspace and the job with its links and its log, and names of files."""
    of_workspace = ("name", "alias", "repositoryUrl", "repositoryBranch", "defaultEnvironment", "status")
    of_job = ("created", "startTime", "exitCode", "type", "triggeredBy", "commitId", "message")
    relations = ("self", "logs", "withdraw job", "delete job", "another", text)
    links = {name: {"href": f"/api/{text}", "title": text} for name in relations}
    links |= {f"relation-{n}": {"href": f"/api/{n}"} for n in range(200)}
    readable = text.encode("utf-8", "replace").decode()
    job = {"runs": "2s", "ends": "ERROR", "log": [{"text": readable}]}
    with stage(tmp_path, {"job": job}, logs="stream", verify_source="warn", preflight="warn") as staged:
        name = readable[:60].replace("/", "_").replace("\0", "_")
        write_files(staged.step.workspace, {f"pipelines/{name}.yml": "version: ["})
        staged.peer.on("workspace", having(**dict.fromkeys(of_workspace, text)))
        staged.step.environ["GITHUB_SERVER_URL"] += "/"
        staged.peer.on("trigger", having(status=text, _links=links))
        staged.peer.on("job", having(**dict.fromkeys(of_job, text), status=text))
        result = staged.run()
        shown = assert_harmless(result, staged)
        assert result.outputs["job-id"] == staged.simulator.jobs[0].id
        assert result.outputs["job-url"].startswith(f"{staged.peer.url}/")
    assert result.code == 1
    assert result.outputs["commit-id"] == constants.COMMIT_ID
    assert all(word in shown.verbatim for word in re.findall(r"[a-z]{3,9}", text) if "\x1b" not in text)
    (place,) = {command.properties.get("file") for command in result.log.of("warning")} - {None}
    assert str(place).startswith("pipelines/")
    # Whoever may deploy a workspace may read these from it, which is no reason to print them.
    left = b"\0".join([result.printed, result.summary.encode(), repr([result.outputs, result.state]).encode()])
    for secret in (constants.DEPLOYMENT_SECRET, constants.SSH_PRIVATE_KEY):
        assert not [form for form in forms(secret) if form in left]


@pytest.mark.parametrize("text", ["\n".join(list(TEXTS.values())[n::6]) for n in range(6)], ids=range(6))
def test_text_in_a_refusal_and_in_the_folder_of_the_workspace(tmp_path: Path, text: str) -> None:
    said = {"status": 403, "message": text, "errors": [{"field": text, "message": text}], "path": text}
    with stage(tmp_path, logs="stream", verify_source="warn", preflight="warn") as staged:
        write_files(staged.step.workspace, {"README.md": ""})
        # With a control character it would not be taken for a folder at all.
        staged.peer.on("workspace", having(repositoryDirectory=re.sub(r"[\0-\x1f\x7f-\x9f]", " ", text)))
        staged.peer.on("job", answer(403, json.dumps(said).encode()))
        result = staged.run()
        assert_harmless(result, staged)
    assert result.code == 3
    assert any("there is no folder" in notice for notice in result.log.said("notice"))


# Each of these is obeyed if it stands in the output as it is.
COMMANDS = [
    *(b"::set-output name=outcome::success", b"::save-state name=deployment::running", b"::set-env name=PATH::/tmp"),
    *(b"::add-path::/tmp", b"::add-mask::e", b"::add-matcher::matcher.json", b"::remove-matcher owner=x::"),
    *(b"::error title=Not ours,file=a.yml,line=1::An error", b"::warning::A warning", b"::notice::A notice"),
    *(b"::debug::A debug line", b"::group::A group", b"::endgroup::", b"::echo::on", b"::ERROR::in capitals"),
    *(b"  \t::error::after white space", b"\xc2\xa0\xe2\x80\x83\xe3\x80\x80::error::after wider white space"),
    *(b"##[error]An error of the old style", b"INFO  in the middle of a line ##[set-output name=outcome]success"),
    *(b"::unknown::##[warning]behind no command", b"::add-mask::x%0A::error::y", b"no UTF-8 \xff ##[error]"),
    *(b"50 %\r::warning::after a carriage return", b"50 %\r##[error]after a carriage return\r100 %"),
    *(b"\x1b[31m##[error]in red\x1b[0m", b"nul \x00##[error]"),
    *(b"::stop-commands::a-token-of-the-logs-own", b"##[stop-commands]a-token-of-the-logs-own"),
]
# These are not, but might end a guard that is badly made.
GUESSES = [
    *(b"::a-token-of-the-logs-own::", b"::" + b"0" * 40 + b"::", b"##[" + b"0" * 40 + b"]"),
    *(b"::::", b"::stop-commands::", b"::stop-commands", b"##[]", b"::end::"),
]
LOG = b"\n".join([*COMMANDS, *GUESSES, b""])


def log_item(data: bytes, **more: Any) -> dict[str, Any]:
    """A part of a job's log, byte for byte."""
    return {"base64": base64.b64encode(data).decode(), **more}


LONG = b"x" * 100_000 + b"##[error]" + b"y" * 100_000 + b"\n"

IN_PIECES = [log_item(LOG[n : n + 37], at=f"{n / 185:.1f}s") for n in range(0, len(LOG), 37)]
LONG_LINES = [log_item(LONG), log_item(b"::error::" + b"z" * 300_000, at="15s"), log_item(LOG, at="40s")]
CARRIAGE_RETURNS = [log_item(b"\r".join(COMMANDS)), log_item(b"\r::error::\r", at="15s")]


# A log as it might be written: cut anywhere, with lines of the action's own between; or at once, and unfinished; ...
@pytest.mark.parametrize(
    ("written", "stream", "logs"),
    [
        (IN_PIECES, "held", "stream"),
        (LONG_LINES, "held", "stream"),
        (CARRIAGE_RETURNS, "ends", "stream"),
        ([log_item(LOG), log_item(b"::error::unfinished ##[error]")], "ends", "on-failure"),
    ],
    ids=["in pieces", "long lines", "carriage returns", "after a failure"],
)
def test_no_line_of_the_log_is_obeyed(tmp_path: Path, written: list[dict[str, Any]], stream: str, logs: str) -> None:
    """With debug logging: there are many lines of the action's own between those of the log."""
    log = b"".join(base64.b64decode(item["base64"]) for item in written)
    runs = "45s" if written[-1].get("at") == "40s" else "16s"
    scenario = {"job": {"runs": runs, "ends": "ERROR", "log": written}, "logs": {"stream": stream}}
    with stage(tmp_path, scenario, logs=logs) as staged:
        result = staged.run()
    reading = result.log
    tokens = re.findall(rb"^::stop-commands::(\S+)$", result.printed, re.MULTILINE)
    assert [len(token) for token in set(tokens) - {b"a-token-of-the-logs-own"}] == [40]
    assert reading.job_log == (log if log.endswith(b"\n") else log + b"\n")
    assert {command.name for command in reading.commands} == {"add-mask", "debug", "error"}
    assert reading.said("add-mask") == [constants.TOKEN]
    assert [command.properties for command in reading.of("error")] == [{"title": "Deployment failed"}]
    assert all(re.match(r"(GET|POST) /api/", line) for line in reading.said("debug"))
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
