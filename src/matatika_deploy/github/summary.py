"""The step's summary: a short page in Markdown, in which nothing from elsewhere can become markup.

What comes from the platform or from files stands in HTML that it cannot leave, with every character escaped that
Markdown or HTML could read: see https://github.github.com/gfm/#html-blocks.
"""

import html
import re

from matatika_deploy.findings import Level
from matatika_deploy.outcome import Outcome, Page, Result

_MOST_LINES = 50
_MOST_TAIL_BYTES = 64 * 1024
_MOST_FINDINGS = 50
_LONGEST_CELL = 500
_LONGEST_PARAGRAPH = 4000

_MARKS = {
    Result.SUCCESS: "✅",
    Result.CHECKED: "✅",
    Result.SUBMITTED: "📨",
    Result.CANCELLED: "🚫",
    Result.STOPPED: "🛑",
}
_LEVELS = {Level.ERROR: "❌ error", Level.WARNING: "⚠️ warning", Level.NOTICE: "💬 notice"}

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Besides HTML's own: what makes markup, mathematics, a mention, a reference or a link out of plain text within a line.
_MARKUP = re.compile(r"[`*_~\[\]|\\@#$]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def render(page: Page) -> str:
    """Give the page for the step's end."""
    parts = [
        f"### {_MARKS.get(page.outcome.result, '❌')} {_text(page.outcome.title)}\n",
        _said(page.outcome),
        _facts(page),
    ]
    parts += [_findings(page), "" if page.outcome.result is Result.SUCCESS else _log(page.log_tail)]
    return "\n".join(part for part in parts if part) + "\n"


def _said(outcome: Outcome) -> str:
    text = _text(f"{outcome.message} {outcome.hint}".strip(), _LONGEST_PARAGRAPH)
    return f"{text}\n" if text else ""


def _facts(page: Page) -> str:
    rows = []
    if page.workspace_url and page.workspace_id:
        rows.append(("Workspace", _link(page.workspace_url, page.workspace_id)))
    if page.job and page.job_url:
        rows.append(("Job", f"{_link(page.job_url, page.job.id)} ({_text(page.job.status)})"))
        if page.job.commit_id:
            rows.append(("Commit", f"<code>{_text(page.job.commit_id)}</code>"))
        if page.job.duration is not None:
            rows.append(("Duration", f"{page.job.duration} s"))
    if not rows:
        return ""
    return "".join(["| | |\n| --- | --- |\n", *(f"| {name} | {value} |\n" for name, value in rows)])


def _findings(page: Page) -> str:
    if not page.findings:
        return ""
    order = list(Level)
    ordered = sorted(page.findings, key=lambda finding: order.index(finding.level))
    rows = []
    for finding in ordered[:_MOST_FINDINGS]:
        position = ":".join(str(part) for part in (finding.file, finding.line, finding.column) if part is not None)
        where = f"<code>{_text(position)}</code>" if position else ""
        rows.append(f"| {_LEVELS[finding.level]} | {where} | {_text(finding.message)} |\n")
    more = len(ordered) - _MOST_FINDINGS
    rest = f"\n... and {more} more.\n" if more > 0 else ""
    return "".join(["#### Findings\n\n| Level | Where | What |\n| --- | --- | --- |\n", *rows, rest])


def _log(tail: bytes) -> str:
    """Give the end of the log in an HTML block, in which Markdown is not read, and which no line of it can end."""
    if not tail:
        return ""
    text = tail[-_MOST_TAIL_BYTES:].decode("utf-8", "replace")
    lines = [_CONTROL.sub("", _ANSI.sub("", line)) for line in re.split(r"\r\n|\n|\r", text.rstrip("\r\n"))]
    escaped = html.escape("\n".join(lines[-_MOST_LINES:]), quote=False)
    return f"#### The end of the job's log\n\n<pre>\n{escaped}\n</pre>\n"


def _link(address: str, text: str) -> str:
    return f'<a href="{html.escape(address)}">{_text(text)}</a>'


def _text(text: str, limit: int = _LONGEST_CELL) -> str:
    """Give text from anywhere as plain words within a line; a mention is broken, since it would be one in HTML too."""
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    line = html.escape(_CONTROL.sub(" ", text.replace("\n", " ").replace("\t", " ")), quote=False)
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", line).replace("&#64;", "&#64;&#8203;")
