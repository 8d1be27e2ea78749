"""Text from elsewhere, wherever it shows: one value of an output, one line of the log, plain words on a page."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.github import summary
from matatika_deploy.github.summary import SummaryPage
from matatika_simulator import constants
from tests.support import page, runner
from tests.support.in_process import Stage, stage
from tests.support.peer import Behaviour, Exchange, answer
from tests.support.secrecy import forms
from tests.support.step import Result

OUTPUTS = {
    "message",
    "plan",
    "pipeline-jobs",
    "workspace-name",
    "job-id",
    "job-url",
    "workspace-url",
    "status",
    "outcome",
    "exit-code",
    "commit-id",
    "created-at",
    "started-at",
    "ended-at",
    "duration",
}
TEXTS = {
    "assignment": "x\njob-id=evil\n",
    "block": "x\njob-id<<EOF\nevil\nEOF\n",
    "end-of-a-block": "EOF\nend-\nghadelimiter_\n",
    "block-without-an-end": "job-id<<EOF",
    "equals": "a=b=c<<d",
    "command": "::error::x\n::add-mask::e\n##[set-output name=outcome]success",
    "command-after-a-carriage-return": "x\r::warning::y\r##[error]z",
    "command-in-the-middle": "INFO ##[error]x ##[add-mask]e",
    "command-taken-apart": "#\x00#\u200e#\x7f#[error]x",
    "escaped": "%0A::error::x%0D%25",
    "separators": "x\u2028::error::y\u2029::error::z\x85::error::w\x0b\x0c\x1c\x1e",
    "colours": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b31m",
    "nul": "a\x00b",
    "direction": "\u202etxt.exe\u2066",
    "half-a-character": "\ud800",
    "html": "</td></tr></table></code></pre></details><img src=x onerror=alert(1)><script>alert(1)</script><a href=x>",
    "comment": "<!-- <![CDATA[ <?x",
    "attribute": "\" onmouseover=alert(1) x='",
    "entity": "&lt;img src=x&gt; &#60;img&#62; &commat;octocat",
    "markdown": "# h\n\n- i\n\n> q\n\n***\n\n    code\n\n**b** _i_ ~~s~~ `c` | t | u |",
    "links": "[a](http://evil.example) ![i](http://evil.example/i.png) <http://evil.example> [r]: http://evil.example",
    "addresses": "http://evil.example/?a=b https://evil.example ftp://evil.example www.evil.example me@evil.example",
    "mentions": "@octocat @org/team x@octocat #1 GH-1 org/repo#1 :smile: $x^2$",
    "fence": "```\n</pre>\n~~~\n````",
    "backslashes": "\\<b\\> \\@octocat \\`",
    "long": "x" * 200_000,
    "long-and-to-be-escaped": "<&>\"'`@|\n" * 25_000,
}
# Where on a page the steps' own text leads.
TAGS = {"h3", "h4", "p", "table", "thead", "tbody", "tr", "th", "td", "a", "code", "pre"}

each_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def changed(**fields: Any) -> Behaviour:
    """Pass the platform's job on with other values in some fields."""

    def behave(exchange: Exchange) -> None:
        head, _, body = exchange.platform_answer().partition(b"\r\n\r\n")
        answer(int(head.split()[1]), json.dumps({**json.loads(body), **fields}).encode())(exchange)

    return behave


def assert_harmless(result: Result, staged: Stage) -> None:
    """Nothing of a text from elsewhere became a command, another output, another line, or markup."""
    reading = runner.read(result.printed)
    assert {command.name for command in reading.commands} <= {"add-mask", "debug", "notice", "warning", "error"}
    assert [command.data for command in reading.of("add-mask")] == [constants.TOKEN]
    assert len(reading.of("error")) == (result.code != 0)
    lines = [*reading.shown, *(command.data for command in reading.commands)]
    assert [line for line in lines if not line.isprintable() or len(line) > 5000] == []
    assert result.outputs.keys() <= OUTPUTS
    assert result.outputs["outcome"] in ("success", "failure", "error")
    assert result.outputs["workspace-url"] == f"{staged.peer.url}/workspaces/{constants.WORKSPACE_ID}"
    assert sum(len(value) for value in result.outputs.values()) < 256 * 1024
    # The post step gets each as one variable, which Linux limits to 128 KiB.
    assert all(len(value.encode()) < 64 * 1024 for value in result.state.values())
    assert_harmless_page(result.summary, {result.outputs["workspace-url"]})


def assert_harmless_page(markdown: str, links: set[str]) -> None:
    shown = page.render(markdown)
    assert shown.tags <= TAGS
    # Others lead to the repository that the workflow runs for, to a commit or to a file's line.
    assert {link for link in shown.links if not str(link).startswith(f"{constants.REPOSITORY_URL}/")} <= links
    assert all(set(attributes) <= {"href"} for _, attributes in shown.elements)
    assert not shown.comments
    assert not re.search(r"@\w", shown.text)
    assert len(markdown.encode()) < 1024 * 1024


@each_text
def test_fields_of_the_job(tmp_path: Path, text: str) -> None:
    fields = {"commitId": text, "created": text, "startTime": text, "exitCode": text, "type": text, "triggeredBy": text}
    with stage(tmp_path, "failure", logs="stream") as staged:
        staged.peer.on("trigger", changed(status=text or "?"))
        # By then the job may be over, whatever its status is.
        staged.peer.on("job", changed(**fields, status=text or "?"), numbers=range(1, 3))
        staged.peer.on("job", changed(**fields))
        result = staged.run()
        assert_harmless(result, staged)
        assert result.outputs["job-id"] == staged.simulator.jobs[0].id
    assert result.code == 1
    if len(text) < 100:
        assert result.outputs["commit-id"] == text.encode("utf-8", "replace").decode()


@each_text
def test_what_the_platform_says_of_an_error(tmp_path: Path, text: str) -> None:
    said = {"status": 403, "message": text, "errors": [{"field": text, "message": text}], "path": text}
    with stage(tmp_path, logs="stream") as staged:
        staged.peer.on("job", answer(403, json.dumps(said).encode()))
        result = staged.run()
        assert_harmless(result, staged)
    assert result.code == 3


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if text.isprintable() and len(text) < 1000])
def test_where_the_platform_redirects_to(tmp_path: Path, name: str) -> None:
    location = f"https://evil.example/{TEXTS[name]}"
    with stage(tmp_path) as staged:
        staged.peer.on("trigger", answer(302, headers={"Location": location}))
        result = staged.run()
        assert_harmless(result, staged)
    assert result.code == 3


@each_text
def test_links_of_the_job(tmp_path: Path, text: str) -> None:
    names = ("self", "logs", "withdraw job", "delete job", "another", text)
    links = {name: {"href": f"/api/{text}", "title": text} for name in names}
    links |= {f"relation-{n}": {"href": f"/api/{n}"} for n in range(5000)}
    with stage(tmp_path, {"job": {"runs": "forever"}}, timeout="30s") as staged:
        staged.peer.on("trigger", changed(_links=links))
        result = staged.run()
        reading = runner.read(result.printed)
        assert result.outputs["job-url"].startswith(f"{staged.peer.url}/")
        assert_harmless_page(result.summary, {result.outputs["workspace-url"]})
    assert all(len(value.encode()) < 64 * 1024 for value in result.state.values())
    assert result.outputs.keys() <= OUTPUTS
    assert {command.name for command in reading.commands} <= {"add-mask", "debug", "warning", "error"}


@each_text
def test_the_end_of_the_log(tmp_path: Path, text: str) -> None:
    log = [{"text": text.encode("utf-8", "replace").decode()}]
    with stage(tmp_path, {"job": {"runs": "10s", "ends": "ERROR", "log": log}}, logs="stream") as staged:
        result = staged.run()
        assert_harmless_page(result.summary, {result.outputs["workspace-url"]})
    shown = page.render(result.summary).verbatim
    assert all(word in shown for word in re.findall(r"[a-z]{3,9}", text) if "\x1b" not in text)


def test_ten_megabytes_of_log(tmp_path: Path) -> None:
    log = [{"lines": 100_000, "text": "line {n} <&> @octocat </pre>", "line-bytes": 100}]
    with stage(tmp_path, {"job": {"runs": "10s", "ends": "ERROR", "log": log}}, logs="stream") as staged:
        result = staged.run()
        assert_harmless(result, staged)
    shown = page.render(result.summary)
    assert re.findall(r"line (\d+)", shown.verbatim) == [str(n) for n in range(99_950, 100_000)]
    assert shown.verbatim.count("</pre>") == 50
    assert len(result.summary) < 64 * 1024


@each_text
def test_fields_of_the_workspace(tmp_path: Path, text: str) -> None:
    """Which are compared with the workflow's own: what differs is a finding, with an annotation and a row."""
    names = (
        "name",
        "alias",
        "repositoryUrl",
        "repositoryBranch",
        "repositoryDirectory",
        "defaultEnvironment",
        "status",
    )
    with stage(tmp_path, verify_source="warn", preflight="warn") as staged:
        staged.peer.on("workspace", changed(**dict.fromkeys(names, text)))
        result = staged.run()
        assert_harmless(result, staged)
    assert result.code == 0
    assert result.log.said("warning")


def test_no_secret_of_the_workspace_shows(tmp_path: Path) -> None:
    """Whoever may deploy a workspace may read them from it, which is no reason to print them."""
    with stage(tmp_path, "failure", verify_source="warn", preflight="warn", logs="stream") as staged:
        result = staged.run()
        assert staged.peer.count("workspace") == 1
    left = b"\0".join([result.printed, result.summary.encode(), repr([result.outputs, result.state]).encode()])
    for secret in (constants.DEPLOYMENT_SECRET, constants.SSH_PRIVATE_KEY):
        assert not [form for form in forms(secret) if form in left]


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if len(text.encode("utf-8", "replace")) < 200])
def test_names_of_files(tmp_path: Path, name: str) -> None:
    """The checkout is the workflow's own, but not everybody who can push to it may do what its workflows can."""
    file_name = TEXTS[name].replace("/", "_").replace("\0", "_").encode("utf-8", "replace")
    with stage(tmp_path, preflight="warn") as staged:
        folder = staged.step.workspace / "pipelines"
        folder.mkdir()
        (folder / os.fsdecode(file_name + b".yml")).write_text("version: [", encoding="utf-8")
        result = staged.run()
        assert_harmless(result, staged)
    assert result.code == 0
    (place,) = {command.properties.get("file") for command in runner.read(result.printed).of("warning")} - {None}
    assert str(place).startswith("pipelines/")


texts = st.text(st.characters(exclude_categories=[])) | st.lists(
    st.sampled_from([*TEXTS.values(), *"<>&\"'`@#*_~[]()|\\!:/.-=\n\r\t ", "http", "www.", "a", "1"]).filter(
        lambda text: len(text) < 1000
    ),
    max_size=12,
).map("".join)


@given(texts, texts, texts, texts.map(lambda text: text.encode("utf-8", "replace")))
def test_a_page_of_anything_at_all(message: str, status: str, commit: str, tail: bytes) -> None:
    url = "https://app.matatika.com/workspaces/1"
    shown = SummaryPage("error", status, message, commit, log_tail=tail, commit_id=commit, workspace_url=url)
    assert_harmless_page(summary.render(shown._replace(workspace_name="1")), {url})
