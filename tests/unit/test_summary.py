"""The step's summary: what it shows, in which order, and that nothing from elsewhere becomes markup in it."""

import html
import re
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.summary import PlanRow, RunRow, SummaryPage, render
from tests.support import page as rendered

REPOSITORY = "https://github.com/acme/data"
COMMIT = "1e81ff35a1e0d2a4b0c8d6f7e9a3b5c7d9e1f3a5"
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
    commit_url=f"{REPOSITORY}/commit/{COMMIT}",
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
    """The cells of all tables without their markup, heads left out."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    cells = [re.sub(r"<[^>]*>", "", line)[1:-1].split(" | ") for line in lines]
    heads = [at - 1 for at, line in enumerate(lines) if set(line) <= set("|- ")]
    return [
        [html.unescape(cell).strip() for cell in row]
        for at, row in enumerate(cells)
        if at not in heads and at - 1 not in heads
    ]


def test_a_success_is_short() -> None:
    assert render(PAGE) == (
        "### ✅ Deployed\n\nDeployed: job 7127b1d3 is COMPLETE after 42 s.\n\n"
        f'<a href="{WORKSPACE_URL}">Orders</a> · <code>acme/data@main</code> · '
        f'<a href="{REPOSITORY}/commit/{COMMIT}"><code>1e81ff3</code></a> · 42 s · job <code>7127b1d3</code>\n'
    )


def test_the_parts_come_in_the_order_of_need() -> None:
    page = render(FAILED._replace(checked=("3 files were checked.",)))
    parts = [
        "### ❌ Deployment failed\n\nDeployment failed: ERROR no schema\n\nCreate the schema.\n",
        "- 3 files were checked.\n",
        *("#### The end of the job's log\n\n<pre>\none\ntwo\n</pre>\n", "#### What the deployment changes\n"),
        *("#### Pipelines\n", "#### Findings\n", f'<a href="{WORKSPACE_URL}">Orders</a> · '),
    ]
    assert sorted(parts, key=page.index) == parts


@pytest.mark.parametrize("outcome", ["failure", "stopped", "timed-out", "cancelled", "submitted", "checked", "error"])
def test_every_outcome_but_success_shows_the_end_of_the_log(outcome: str) -> None:
    assert log_of(render(PAGE._replace(outcome=outcome))) == ["one", "two"]


@pytest.mark.parametrize(
    ("outcome", "mark"),
    [
        ("checked", "✅"),
        ("submitted", "📨"),
        ("cancelled", "🚫"),
        ("stopped", "🛑"),
        ("timed-out", "⌛"),
        ("error", "❌"),
    ],
)
def test_the_title_has_a_mark_of_its_outcome(outcome: str, mark: str) -> None:
    assert render(SummaryPage(outcome, "Ended")) == f"### {mark} Ended\n"


def test_unknown_facts_are_left_out() -> None:
    assert render(SummaryPage("error", "Sign-in failed", "No.", "Do this.")) == (
        "### ❌ Sign-in failed\n\nNo.\n\nDo this.\n"
    )
    page = render(SummaryPage("success", "Deployed", workspace_name="Orders", commit_id=COMMIT, branch="main"))
    assert page.splitlines()[-1] == "Orders · <code>main</code> · <code>1e81ff3</code>"


def test_a_branch_that_looks_like_a_host_makes_no_address() -> None:
    page = rendered.render(render(PAGE._replace(branch="v1.x")))
    assert len(page.links) == 2
    assert "acme/data@\u200bv1.x" in page.verbatim


def test_no_link_leads_into_the_api() -> None:
    links = {link or "" for link in rendered.render(render(FAILED)).links}
    assert links == {WORKSPACE_URL, f"{REPOSITORY}/commit/{COMMIT}", f"{BLOB_URL}/pipelines/rates.yml#L3"}


@pytest.mark.parametrize("address", ["javascript:alert(1)", "", "//evil.example", "ftp://x", "HTTPS//x"])
def test_only_web_addresses_become_links(address: str) -> None:
    page = PAGE._replace(workspace_url=address, commit_url=address, blob_url=address, findings=FAILED.findings)
    assert rendered.render(render(page)).links == []


def test_the_plan_shows_signs_pipelines_and_changes() -> None:
    assert rows_of(render(PAGE._replace(plan=FAILED.plan))) == [
        ["\uff0b", "orders", ""],
        ["\uff5e", "rates", "schedule: - → 0 0 4 * * *"],
        ["\uff0d", "old", "deleted"],
    ]


def test_the_runs_show_results_and_durations() -> None:
    assert rows_of(render(PAGE._replace(runs=FAILED.runs))) == [
        ["orders", "✅ COMPLETE", "1 min 1 s", "a1"],
        ["rates", "❌ ERROR", "", "b2"],
    ]


class TestLog:
    """The last 50 lines, and 64 KiB of them at most."""

    def shown(self, tail: bytes) -> list[str]:
        return log_of(render(FAILED._replace(log_tail=tail)))

    def test_the_last_fifty_lines_are_shown(self) -> None:
        tail = b"".join(b"line %d\n" % n for n in range(60))
        assert self.shown(tail) == [f"line {n}" for n in range(10, 60)]

    def test_an_unfinished_line_counts(self) -> None:
        assert self.shown(b"one\nunfini") == ["one", "unfini"]

    def test_empty_lines_count_but_not_at_the_end(self) -> None:
        assert self.shown(b"one\n\n\ntwo\n\n\n") == ["one", "", "", "two"]

    def test_64_kib_are_shown(self) -> None:
        assert self.shown(b"x" * 70_000) == ["x" * 65_536]

    @pytest.mark.parametrize("tail", [b"", b"\n\r\n", b"\x1b[0m\n"])
    def test_an_empty_log_has_no_heading(self, tail: bytes) -> None:
        assert "log" not in render(FAILED._replace(log_tail=tail))

    def test_every_kind_of_line_end_counts(self) -> None:
        assert self.shown(b"one\r\ntwo\rthree\n") == ["one", "two", "three"]

    def test_colours_controls_and_hidden_characters_are_left_out(self) -> None:
        tail = b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07bell\x07 nul\x00 \x1b(B\xc2\x9b\xe2\x80\xaeturned\n"
        hidden = "a\u061cb\u200bc\u200cd\u200de\u2060f\ufeffg".encode()
        assert self.shown(tail + hidden) == ["red bell nul (Bturned", "abcdefg"]

    def test_bytes_that_are_no_utf_8_are_marked(self) -> None:
        assert self.shown(b"caf\xe9 \xf0\x9f\n") == ["caf\ufffd \ufffd"]

    def test_tabs_stay(self) -> None:
        assert self.shown(b"a\tb\n") == ["a\tb"]

    def test_markup_in_it_is_text(self) -> None:
        hostile = b"</pre><img src=x onerror=alert(1)>\n```\n\n</details>&amp;\n# Title\n| a |\n@everyone\n"
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
        assert rows_of(found) == [
            ["❌ error", "pipelines/b.yml:3:7", "An error"],
            ["⚠️ warning", "a.yml", "A warning"],
            ["💬 notice", "", "A notice"],
        ]

    @pytest.mark.parametrize(
        ("file", "line", "address"),
        [
            ("pipelines/a.yml", 5, "pipelines/a.yml#L5"),
            ("pipelines/a.yml", None, "pipelines/a.yml"),
            ("a b/ü#1?|`%41.yml", 2, "a%20b/%C3%BC%231%3F%7C%60%2541.yml#L2"),
        ],
    )
    def test_each_links_to_its_line(self, file: str, line: int | None, address: str) -> None:
        found = self.page(Finding(Level.ERROR, "Wrong.", file, line))
        assert rendered.render(found).links[0] == f"{BLOB_URL}/{address}"

    def test_a_path_that_is_very_long_is_no_link(self) -> None:
        assert len(rendered.render(self.page(Finding(Level.ERROR, "Wrong.", "a" * 301, 1))).links) == 2

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


@dataclass
class Shape:
    """What a page has when nothing in it is markup but our own."""

    tags: list[str]
    headings: list[str]


def shape(page: str) -> Shape:
    shown = rendered.render(page)
    assert not shown.comments
    assert not re.search(r"@\w", shown.text)
    assert all(set(attributes) <= {"href"} for _, attributes in shown.elements)
    return Shape([tag for tag, _ in shown.elements], re.findall(r"^#+ .*", page, re.MULTILINE))


def filled(text: str, tail: bytes) -> SummaryPage:
    """A page of which every part holds a text."""
    return FAILED._replace(
        message=text,
        hint=text,
        checked=(text,),
        log_tail=tail or b"x",
        plan=(PlanRow("+", text, text),),
        runs=(RunRow(text, text, 1, text),),
        findings=(Finding(Level.ERROR, text, text, 1, 1),),
        workspace_name=text,
        repository=text,
        branch=text,
        commit_id=text,
        job_id=text,
    )


hostile = st.text(st.characters(exclude_categories=[])) | st.text(
    alphabet="<>&\"'`*_~[]()|\\@#$!\n\r -=+1.:/ax", min_size=3
)


@given(hostile.map(lambda text: f"{text}x"), st.binary(max_size=200).map(lambda tail: b"x" + tail))
@example("- x", b"x")
@example("1. x", b"x")
@example("12) + x", b"x")
@example("--- x", b"x")
@example("x</details><img src=x>\n\n# h `@team` #1 $x$ ![](https://x) a|b\n|--|--|\n", b"</pre><script>\n\n- a\n```")
@example("x|`|``|&lt;<!-- <a href='x'> www.evil.example me@evil.example https://evil.example {x}", b"x\n</PRE\n><b>")
def test_nothing_from_elsewhere_becomes_markup(text: str, tail: bytes) -> None:
    assert shape(render(filled(text, tail))) == shape(render(filled("x", b"x")))


@given(hostile)
@example('x|y`z\\\n</a><b>&quot;" onclick=x')
def test_no_address_leaves_its_link(text: str) -> None:
    def page(path: str) -> SummaryPage:
        url = f"https://a.example/{path}"
        return FAILED._replace(workspace_url=url, commit_url=url, blob_url=url)

    assert shape(render(page(text))) == shape(render(page("x")))


def test_the_page_is_small_whatever_is_in_it() -> None:
    for text in ("@" * 10**5, "&" * 10**5, "|" * 10**5, "💥" * 10**5):
        page = FAILED._replace(
            message=text,
            hint=text,
            checked=(text,) * 1000,
            plan=(PlanRow("+", text, text),) * 1000,
            runs=(RunRow(text, text, 1, text),) * 1000,
            findings=(Finding(Level.ERROR, text, text[:300], 1, 1),) * 1000,
            log_tail=b"&" * 10**7,
        )
        assert len(render(page).encode()) < 1024 * 1024
