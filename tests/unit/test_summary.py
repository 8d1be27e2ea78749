"""The step's page: short, complete, and harmless whatever it quotes."""

import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy import outcome
from matatika_deploy.errors import PlatformError
from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.summary import render
from matatika_deploy.outcome import Outcome, Page, Result
from matatika_deploy.platform.job import Job, parse_timestamp

JOB = Job(
    id="7127b1d3",
    status="COMPLETE",
    commit_id="1e81ff3",
    started=parse_timestamp("2023-03-23T21:48:41"),
    ended=parse_timestamp("2023-03-23T21:49:23"),
)
PAGE = Page(
    outcome=outcome.ended(JOB),
    workspace_id="5e5c9a60",
    workspace_url="https://app.matatika.com/workspaces/5e5c9a60",
    job=JOB,
    job_url="https://app.matatika.com/api/jobs/7127b1d3",
    log_tail=b"one\ntwo\n",
)
FAILED = PAGE._replace(outcome=outcome.ended(JOB._replace(status="ERROR")))


def log_of(page: str) -> list[str]:
    """The lines of the log that a page shows."""
    match = re.search(r"^<pre>\n(.*)\n</pre>$", page, re.DOTALL | re.MULTILINE)
    return html.unescape(match[1]).split("\n") if match else []


def rows(page: str) -> dict[str, str]:
    """The table of facts: what stands in it without its markup."""
    found = re.findall(r"^\| (\w+) \| (.*) \|$", page, re.MULTILINE)
    return {name: html.unescape(re.sub(r"<[^>]*>", "", value)) for name, value in found}


def test_a_success() -> None:
    page = render(PAGE)
    assert page.startswith("### ✅ Deployed\n")
    assert rows(page) == {
        "Workspace": "5e5c9a60",
        "Job": "7127b1d3 (COMPLETE)",
        "Commit": "1e81ff3",
        "Duration": "42 s",
    }
    assert '<a href="https://app.matatika.com/workspaces/5e5c9a60">' in page
    assert '<a href="https://app.matatika.com/api/jobs/7127b1d3">' in page
    assert "<pre>" not in page


def test_a_failure_shows_the_end_of_the_log() -> None:
    page = render(FAILED)
    assert page.startswith("### ❌ Deployment failed\n")
    assert log_of(page) == ["one", "two"]


@pytest.mark.parametrize("result", [result for result in Result if result is not Result.SUCCESS])
def test_so_does_every_other_end_but_success(result: Result) -> None:
    assert log_of(render(PAGE._replace(outcome=Outcome(result, 1, "Ended")))) == ["one", "two"]


def test_what_is_unknown_is_left_out() -> None:
    page = render(Page(outcome.failed(PlatformError("No.", "Do this."))))
    assert page == "### ❌ Matatika could not be used\n\nNo. Do this.\n\n"
    assert rows(render(PAGE._replace(job=JOB._replace(commit_id=None, ended=None)))).keys() == {"Workspace", "Job"}


class TestLog:
    """The last 50 lines, and 64 KiB of them at most."""

    def shown(self, tail: bytes) -> list[str]:
        return log_of(render(FAILED._replace(log_tail=tail)))

    def test_the_last_fifty_lines(self) -> None:
        tail = b"".join(b"line %d\n" % n for n in range(60))
        assert self.shown(tail) == [f"line {n}" for n in range(10, 60)]

    def test_an_unfinished_line_counts(self) -> None:
        assert self.shown(b"one\nunfini") == ["one", "unfini"]

    def test_empty_lines_count_but_not_at_the_end(self) -> None:
        assert self.shown(b"one\n\n\ntwo\n\n\n") == ["one", "", "", "two"]

    def test_64_kib(self) -> None:
        assert self.shown(b"x" * 70_000) == ["x" * 65_536]

    def test_no_log(self) -> None:
        assert "log" not in render(FAILED._replace(log_tail=b"")).lower().replace("job's log says why", "")

    def test_every_kind_of_line_end(self) -> None:
        assert self.shown(b"one\r\ntwo\rthree\n") == ["one", "two", "three"]

    def test_colours_and_controls_are_left_out(self) -> None:
        tail = b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07bell\x07 nul\x00 \x1b(B\xc2\x9b\xe2\x80\xaeturned\n"
        assert self.shown(tail) == ["red bell nul (Bturned"]

    def test_what_is_no_utf_8_is_marked(self) -> None:
        assert self.shown(b"caf\xe9 \xf0\x9f\n") == ["caf\ufffd \ufffd"]

    def test_tabs_stay(self) -> None:
        assert self.shown(b"a\tb\n") == ["a\tb"]

    def test_markup_in_it_is_text(self) -> None:
        hostile = b"</pre><img src=x onerror=alert(1)>\n```\n</details>&amp;\n# Title\n| a |\n@everyone\n"
        page = render(FAILED._replace(log_tail=hostile))
        assert self.shown(hostile) == hostile.decode().removesuffix("\n").split("\n")
        assert page.count("</pre>") == 1
        assert "<img" not in page


class TestFindings:
    """The table of what the checks found."""

    def page(self, *findings: Finding) -> str:
        return render(PAGE._replace(findings=findings))

    def test_errors_come_first(self) -> None:
        found = self.page(
            Finding(Level.NOTICE, "A notice"),
            Finding(Level.WARNING, "A warning", "a.yml"),
            Finding(Level.ERROR, "An error", "pipelines/b.yml", 3, 7),
        )
        table = [line for line in found.splitlines() if line.startswith(("| ❌", "| ⚠️", "| 💬"))]
        assert table == [
            "| ❌ error | <code>pipelines/b.yml:3:7</code> | An error |",
            "| ⚠️ warning | <code>a.yml</code> | A warning |",
            "| 💬 notice |  | A notice |",
        ]

    def test_fifty_are_enough(self) -> None:
        found = self.page(*(Finding(Level.WARNING, f"Finding {n}") for n in range(60)))
        assert len(re.findall(r"Finding \d+ \|", found)) == 50
        assert "10 more" in found

    def test_exactly_fifty_are_all(self) -> None:
        assert "more" not in self.page(*(Finding(Level.WARNING, f"Finding {n}") for n in range(50)))

    def test_a_file_s_name_cannot_leave_its_cell(self) -> None:
        found = self.page(Finding(Level.ERROR, "a | b\n\n# c", "x|y`z</code><b>\n| d |.yml", 1))
        (row,) = [line for line in found.splitlines() if "error" in line]
        assert row.count("|") == 4
        assert "<b>" not in row


class _Elements(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[str, ...]]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, tuple(name for name, _ in attrs)))


HARMLESS = {("a", ("href",)), ("code", ()), ("pre", ())}

hostile = st.text(st.characters(exclude_categories=["Cs"])) | st.text(alphabet="<>&\"'`*_~[]()|\\@#$!\n\r -=+1.:/ax")


@given(hostile, hostile, hostile, hostile, st.binary(max_size=200))
@example("</details><img src=x>", "`@team` #1 $x$ ![](https://x)", "a|b\n\n# c", '"><script>', b"</pre><script>")
def test_nothing_from_elsewhere_becomes_markup(status: str, message: str, commit: str, file: str, tail: bytes) -> None:
    page = render(
        FAILED._replace(
            outcome=outcome.failed(PlatformError(message, message)),
            job=JOB._replace(status=status, commit_id=commit),
            findings=(Finding(Level.ERROR, message, file, 1, 1),),
            log_tail=tail,
        )
    )
    elements = _Elements()
    elements.feed(page)
    assert elements.found <= HARMLESS
    before_log, _, _ = page.partition("\n<pre>\n")
    ours = re.sub(r"&#\d+;|&\w+;", "", before_log)
    # What is left are our own heading, tables and elements: no mention, code, emphasis, link or formula of others.
    assert not re.search(r"[`*_~\[\]\\@$]", ours)
    headings = [line for line in ours.splitlines() if line.startswith("#")]
    assert headings[0] == "### ❌ Matatika could not be used"
    assert set(headings[1:]) <= {"#### Findings", "#### The end of the job's log"}


def test_the_page_is_small_whatever_is_in_it() -> None:
    page = render(
        FAILED._replace(
            outcome=outcome.failed(PlatformError("&" * 10**6, "@" * 10**6)),
            job=JOB._replace(status="<" * 10**6, commit_id="`" * 10**6),
            findings=tuple(Finding(Level.ERROR, "$" * 10**5, "|" * 10**5) for _ in range(1000)),
            log_tail=b"&" * 10**7,
        )
    )
    assert len(page.encode()) < 1024 * 1024
