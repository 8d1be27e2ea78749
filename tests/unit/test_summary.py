"""The step's summary: what it shows, in which order, and that nothing from elsewhere becomes markup in it."""

import html
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.summary import PlanRow, RunRow, SummaryPage, render
from tests.support.page import Page

REPOSITORY = "https://github.com/acme/data"
COMMIT = "1e81ff35a1e0d2a4b0c8d6f7e9a3b5c7d9e1f3a5"
COMMIT_URL = f"{REPOSITORY}/commit/{COMMIT}"
WORKSPACE_URL = "https://app.matatika.com/workspaces/5e5c9a60"
BLOB_URL = f"{REPOSITORY}/blob/{COMMIT}"

PAGE = SummaryPage(
    outcome="success",
    title="Deployed",
    message="Deployed: job 7127b1d3 is COMPLETE after 42 s.",
    blob_url=BLOB_URL,
    workspace_name="Orders",
    workspace_url=WORKSPACE_URL,
    repository="acme/data",
    branch="main",
    commit_id=COMMIT,
    commit_url=COMMIT_URL,
    duration=42,
    job_id="7127b1d3",
    log_tail=b"one\ntwo\n",
)
FAILED = PAGE._replace(
    outcome="failure",
    title="Deployment failed",
    message="Deployment failed: ERROR no schema",
    hint="Create the schema.",
    plan=(PlanRow("+", "orders"), PlanRow("~", "rates", "schedule: - → 0 0 4 * * *"), PlanRow("-", "old", "deleted")),
    runs=(RunRow("orders", "COMPLETE", 61.2, "a1"), RunRow("rates", "ERROR", None, "b2")),
    findings=(Finding(Level.WARNING, "No version.", "pipelines/rates.yml", 3, 1),),
)


def log_of(page: str) -> list[str]:
    """The lines of the log that a page shows."""
    match = re.search(r"^<pre>\n(.*)\n</pre>$", page, re.DOTALL | re.MULTILINE)
    return html.unescape(match[1]).split("\n") if match else []


def rows_of(page: str) -> list[list[str]]:
    """The cells of a page's table without their markup, its head left out."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    cells = [re.sub(r"<[^>]*>", "", line)[1:-1].split(" | ") for line in lines[2:]]
    return [[html.unescape(cell).strip() for cell in row] for row in cells]


def findings_of(*findings: Finding) -> str:
    return render(PAGE._replace(findings=findings))


def test_a_success_is_short() -> None:
    assert render(PAGE) == (
        "### ✅ Deployed\n\nDeployed: job 7127b1d3 is COMPLETE after 42 s.\n\n"
        f'<a href="{WORKSPACE_URL}">Orders</a> · <code>acme/data@main</code> · '
        f'<a href="{COMMIT_URL}"><code>1e81ff3</code></a> · 42 s · job <code>7127b1d3</code>\n'
    )
    # Unknown facts are left out.
    page = render(SummaryPage("success", "Deployed", workspace_name="Orders", commit_id=COMMIT, branch="main"))
    assert page.splitlines()[-1] == "Orders · <code>main</code> · <code>1e81ff3</code>"


def test_the_parts_come_in_the_order_of_need() -> None:
    page = render(FAILED._replace(checked=("3 files were checked.",)))
    parts = [
        "### ❌ Deployment failed\n\nDeployment failed: ERROR no schema\n\nCreate the schema.\n",
        "- 3 files were checked.\n",
        *("#### The end of the job's log\n\n<pre>\none\ntwo\n</pre>\n", "#### What the deployment changes\n"),
        *("#### Pipelines\n", "#### Findings\n", f'<a href="{WORKSPACE_URL}">Orders</a> · '),
    ]
    assert sorted(parts, key=page.index) == parts


MARKS = {"error": "❌", "checked": "✅", "submitted": "📨", "cancelled": "🚫", "stopped": "🛑", "timed-out": "⌛"}


@pytest.mark.parametrize("outcome", MARKS)
def test_every_outcome_has_its_mark_and_all_but_success_show_the_end_of_the_log(outcome: str) -> None:
    page = render(SummaryPage(outcome, "Ended", "No.", "Do this."))
    assert page == f"### {MARKS[outcome]} Ended\n\nNo.\n\nDo this.\n"
    assert log_of(render(PAGE._replace(outcome=outcome))) == ["one", "two"]


def test_only_web_addresses_become_links_and_none_leads_into_the_api() -> None:
    assert set(Page(render(FAILED)).links) == {WORKSPACE_URL, COMMIT_URL, f"{BLOB_URL}/pipelines/rates.yml#L3"}
    for address in ("javascript:alert(1)", "", "//evil.example", "HTTPS//x"):
        page = FAILED._replace(workspace_url=address, commit_url=address, blob_url=address)
        assert Page(render(page)).links == []
    # A branch that looks like a host makes no address.
    shown = Page(render(PAGE._replace(branch="v1.x")))
    assert shown.links == [WORKSPACE_URL, COMMIT_URL]
    assert "acme/data@\u200bv1.x" in shown.verbatim


def test_the_tables_show_what_changes_what_ran_and_what_was_found() -> None:
    assert rows_of(render(PAGE._replace(plan=FAILED.plan))) == [
        ["\uff0b", "orders", ""],
        ["\uff5e", "rates", "schedule: - → 0 0 4 * * *"],
        ["\uff0d", "old", "deleted"],
    ]
    assert rows_of(render(PAGE._replace(runs=FAILED.runs))) == [
        ["orders", "✅ COMPLETE", "1 min 1 s", "a1"],
        ["rates", "❌ ERROR", "", "b2"],
    ]
    notice, warning = Finding(Level.NOTICE, "A notice"), Finding(Level.WARNING, "A warning", "a.yml")
    assert rows_of(findings_of(notice, warning, Finding(Level.ERROR, "An error", "pipelines/b.yml", 3, 7))) == [
        ["❌ error", "pipelines/b.yml:3:7", "An error"],
        ["⚠️ warning", "a.yml", "A warning"],
        ["💬 notice", "", "A notice"],
    ]


@pytest.mark.parametrize(
    ("tail", "lines"),
    [
        (b"".join(b"line %d\n" % n for n in range(60)), [f"line {n}" for n in range(10, 60)]),
        (b"x" * 70_000, ["x" * 65_536]),
        (b"one\r\ntwo\rthree\n\nfour\tunfini", ["one", "two", "three", "", "four\tunfini"]),
        (b"one\n\n\n", ["one"]),
        *((empty, []) for empty in (b"", b"\n\r\n", b"\x1b[0m\n")),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07bell\x07 nul\x00 \x1b(B\xc2\x9b", ["red bell nul (B"]),
        ("a\u061cb\u200bc\u202ed\u200de\u2060f\ufeffg".encode(), ["abcdefg"]),
        (b"caf\xe9 \xf0\x9f\n", ["caf\ufffd \ufffd"]),
        (b"</pre><img src=x>\n```\n\n&amp;\n# Title", ["</pre><img src=x>", "```", "", "&amp;", "# Title"]),
    ],
    ids=range(11),
)
def test_the_end_of_the_log_is_shown_as_text(tail: bytes, lines: list[str]) -> None:
    """The last 50 lines, and 64 KiB of them at most, without colours, controls and hidden characters."""
    page = render(FAILED._replace(log_tail=tail))
    assert log_of(page) == lines
    assert page.count("</pre>") == ("job's log" in page) == bool(lines)


def test_a_finding_links_to_its_line_and_fifty_are_enough() -> None:
    for file, line, address in (
        ("pipelines/a.yml", None, [f"{BLOB_URL}/pipelines/a.yml"]),
        ("a b/ü#1?|`%41.yml", 2, [f"{BLOB_URL}/a%20b/%C3%BC%231%3F%7C%60%2541.yml#L2"]),
        # A path that is very long is no link.
        ("a" * 301, 1, []),
    ):
        assert Page(findings_of(Finding(Level.ERROR, "Wrong.", file, line))).links[:-2] == address
    for count, more in ((50, []), (60, ["10"])):
        found = findings_of(*[Finding(Level.WARNING, "Odd.")] * count)
        assert (len(rows_of(found)), re.findall(r"(\d+) more", found)) == (50, more)


def shape(page: str) -> tuple[list[str], list[str]]:
    """The tags and headings of a page in which nothing is markup but our own."""
    shown = Page(page)
    assert not shown.comments
    assert not re.search(r"@\w", shown.text)
    assert all(set(attributes) <= {"href"} for _, attributes in shown.elements)
    return [tag for tag, _ in shown.elements], re.findall(r"^#+ .*", page, re.MULTILINE)


def filled(text: str, tail: bytes, count: int = 1) -> SummaryPage:
    """A page of which every part holds a text."""
    names = ("message", "hint", "workspace_name", "repository", "branch", "commit_id", "job_id")
    texts: dict[str, Any] = dict.fromkeys(names, text)
    return FAILED._replace(
        checked=(text,) * count,
        log_tail=tail,
        plan=(PlanRow("+", text, text),) * count,
        runs=(RunRow(text, text, 1, text),) * count,
        findings=(Finding(Level.ERROR, text, text[:300], 1, 1),) * count,
        **texts,
    )


hostile = st.text(st.characters(exclude_categories=[])) | st.text(
    alphabet="<>&\"'`*_~[]()|\\@#$!\n\r -=+1.:/ax", min_size=3
)


@settings(max_examples=50)
@given(hostile.map(lambda text: f"{text}x"), st.binary(max_size=200).map(lambda tail: b"x" + tail))
@example("- x", b"x")
@example("1. x", b"x")
@example("12) + x", b"x")
@example("--- x", b"x")
@example("x</details><img src=x>\n\n# h `@team` #1 $x$ ![](https://x) a|b\n|--|--|\n", b"</pre><script>\n\n- a\n```")
@example("x|`|``|&lt;<!-- <a href='x'> www.evil.example me@evil.example https://evil.example {x}", b"x\n</PRE\n><b>")
def test_nothing_from_elsewhere_becomes_markup(text: str, tail: bytes) -> None:
    assert shape(render(filled(text, tail))) == shape(render(filled("x", b"x")))


@settings(max_examples=50)
@given(hostile)
@example('x|y`z\\\n</a><b>&quot;" onclick=x')
def test_no_address_leaves_its_link(text: str) -> None:
    def page(path: str) -> str:
        url = f"https://a.example/{path}"
        return render(FAILED._replace(workspace_url=url, commit_url=url, blob_url=url))

    assert shape(page(text)) == shape(page("x"))


def test_the_page_is_small_whatever_is_in_it() -> None:
    for character in "@&|💥":
        page = render(filled(character * 10**5, b"&" * 10**6, count=1000))
        assert len(page.encode()) < 1024 * 1024
