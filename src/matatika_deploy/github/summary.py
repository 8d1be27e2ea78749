"""The step's summary: a short page in Markdown, in which nothing from elsewhere can become markup.

What comes from the platform or from files stands in HTML that it cannot leave, with every character escaped that
Markdown or HTML could read: see https://github.github.com/gfm/#html-blocks.
"""

import html
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from matatika_deploy.findings import Finding, Level
from matatika_deploy.text import format_duration, lines_of, one_line

_MOST_LINES = 50
_MOST_TAIL_BYTES = 64 * 1024
_MOST_ROWS = 50
_LONGEST_PARAGRAPH = 2000
_LONGEST_CELL = 300
_LONGEST_NAME = 150
_LONGEST_PATH_OF_LINK = 300
_SHORT_COMMIT = 7

_MARKS = {"success": "✅", "checked": "✅", "submitted": "📨", "cancelled": "🚫", "stopped": "🛑", "timed-out": "⌛"}
_LEVELS = {Level.ERROR: "❌ error", Level.WARNING: "⚠️ warning", Level.NOTICE: "💬 notice"}
# Full width, since Markdown could read the others as lists or strikethrough.
_SIGNS = {"+": "\uff0b", "~": "\uff5e", "-": "\uff0d"}
_STATUS_MARKS = {"COMPLETE": "✅ ", "ERROR": "❌ ", "STOPPED": "🛑 "}

# Besides HTML's own: what makes markup, mathematics, a mention, a reference or a link out of plain text within a line.
_MARKUP = re.compile(r"[`*_~\[\]|\\@#$]|:(?=//)|(?<=www)\.", re.IGNORECASE)

# What makes a list or a line of a text at the beginning of a line: its last character is escaped.
_LIST = re.compile(r"^(?:[-+=]|\d{1,9}[.)])")
# A mention or an address is one in HTML too, unless a character that does not show breaks it.
_AT = "&#64;\u200b"


class PlanRow(NamedTuple):
    """One pipeline that the deployment changes: `sign` is `+`, `~` or `-`, `what` says what changes."""

    sign: str
    pipeline: str
    what: str = ""


class RunRow(NamedTuple):
    """One pipeline that was run after the deployment; `duration` in seconds."""

    name: str
    status: str
    duration: float | None = None
    job_id: str = ""


class SummaryPage(NamedTuple):
    """What the page shows; what is empty or None is left out. All text may come from anywhere.

    `outcome` is the word of the output. `checked` are the sentences of a dry run. `duration` is in seconds. The file of
    a finding is linked below `blob_url` (`<server>/<repository>/blob/<commit>`).
    """

    outcome: str
    title: str
    message: str = ""
    hint: str = ""
    checked: Sequence[str] = ()
    log_tail: bytes = b""
    plan: Sequence[PlanRow] = ()
    plan_heading: str = "What the deployment changes"
    runs: Sequence[RunRow] = ()
    findings: Sequence[Finding] = ()
    blob_url: str = ""
    workspace_name: str = ""
    workspace_url: str = ""
    repository: str = ""
    branch: str = ""
    commit_id: str = ""
    commit_url: str = ""
    duration: float | None = None
    job_id: str = ""


def render(page: SummaryPage) -> str:
    """Give the page in Markdown, in the order in which a reader needs its parts."""
    parts = [
        f"### {_MARKS.get(page.outcome, '❌')} {_text(page.title, _LONGEST_NAME)}\n",
        _paragraph(page.message),
        _paragraph(page.hint),
        "".join(f"- {_text(sentence, _LONGEST_CELL)}\n" for sentence in page.checked[:_MOST_ROWS]),
        "" if page.outcome == "success" else _log(page.log_tail),
        _plan(page.plan_heading, page.plan),
        _runs(page.runs),
        _findings(page.findings, page.blob_url),
        _facts(page),
    ]
    return "\n".join(part for part in parts if part)


def _paragraph(text: str) -> str:
    return f"{_text(text, _LONGEST_PARAGRAPH)}\n" if text else ""


def _log(tail: bytes) -> str:
    """Give the end of the log in an HTML block, in which Markdown is not read, and which no line of it can end."""
    lines = lines_of(tail[-_MOST_TAIL_BYTES:])[-_MOST_LINES:]
    if not any(lines):
        return ""
    escaped = html.escape("\n".join(lines), quote=False)
    return f"#### The end of the job's log\n\n<pre>\n{escaped}\n</pre>\n"


def _plan(heading: str, rows: Sequence[PlanRow]) -> str:
    cells = (
        (_SIGNS.get(row.sign, ""), _code(row.pipeline), _text(row.what, _LONGEST_CELL)) for row in rows[:_MOST_ROWS]
    )
    return _table(heading, ("", "Pipeline", "Change"), cells, len(rows))


def _runs(rows: Sequence[RunRow]) -> str:
    cells = (
        (
            _code(row.name),
            _STATUS_MARKS.get(row.status, "") + _text(row.status, _LONGEST_NAME),
            "" if row.duration is None else format_duration(row.duration),
            _code(row.job_id),
        )
        for row in rows[:_MOST_ROWS]
    )
    return _table("Pipelines", ("Pipeline", "Result", "Duration", "Job"), cells, len(rows))


def _findings(findings: Sequence[Finding], blob_url: str) -> str:
    order = list(Level)
    ordered = sorted(findings, key=lambda finding: order.index(finding.level))
    cells = (
        (_LEVELS[finding.level], _place(finding, blob_url), _text(finding.message, _LONGEST_CELL))
        for finding in ordered[:_MOST_ROWS]
    )
    return _table("Findings", ("Level", "Where", "What"), cells, len(ordered))


def _place(finding: Finding, blob_url: str) -> str:
    """Give where a finding is, linked to its line."""
    if not finding.file or not blob_url or len(finding.file) > _LONGEST_PATH_OF_LINK:
        return _code(finding.place)
    path = quote(finding.file, errors="replace")
    line = f"#L{finding.line}" if finding.line else ""
    return _link(f"{blob_url}/{path}{line}", _code(finding.place))


def _facts(page: SummaryPage) -> str:
    """Give the line of facts."""
    source = "@".join(part for part in (page.repository, page.branch) if part)
    facts = [
        _link(page.workspace_url, _text(page.workspace_name, _LONGEST_NAME)),
        _code(source),
        _link(page.commit_url, _code(page.commit_id[:_SHORT_COMMIT])),
        "" if page.duration is None else format_duration(page.duration),
        f"job {_code(page.job_id)}" if page.job_id else "",
    ]
    line = " · ".join(fact for fact in facts if fact)
    return f"{line}\n" if line else ""


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], count: int) -> str:
    """Give a table of cells that are Markdown already, of `count` rows of which only the first are given."""
    if not count:
        return ""
    lines = [columns, ["---"] * len(columns), *rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    more = f"\n... and {count - _MOST_ROWS} more.\n" if count > _MOST_ROWS else ""
    return f"#### {title}\n\n{table}{more}"


def _link(address: str, markdown: str) -> str:
    """Link Markdown to an address; every character that Markdown could read in it is percent-encoded."""
    if not markdown or not address.startswith(("https://", "http://")):
        return markdown
    return f'<a href="{html.escape(quote(address, safe=":/?#=&%+,;~@", errors="replace"))}">{markdown}</a>'


def _code(text: str) -> str:
    """Give a name as code, in which GitHub looks for no mention, but for addresses, which have a dot."""
    if not text:
        return ""
    line = one_line(text, _LONGEST_NAME)
    escaped = _escape(line)
    return f"<code>{escaped if '.' in line.partition('@')[2] else escaped.replace(_AT, '@')}</code>"


def _text(text: str, limit: int) -> str:
    """Give text from anywhere as plain words within a line."""
    return _escape(one_line(text, limit))


def _escape(line: str) -> str:
    """Escape all that could become markup."""
    escaped = _MARKUP.sub(lambda match: f"&#{ord(match[0])};", html.escape(line, quote=False))
    return _LIST.sub(lambda match: f"{match[0][:-1]}&#{ord(match[0][-1])};", escaped).replace("&#64;", _AT)
