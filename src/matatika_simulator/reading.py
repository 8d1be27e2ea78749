"""How each part of a scenario is read. What the parts mean stands in README.md; mistakes raise `ScenarioError`."""

import base64
import binascii
import json
import uuid
from pathlib import Path
from typing import Any

from matatika_simulator import constants
from matatika_simulator.faults import CALLS, Canned, Fault, Selection
from matatika_simulator.jobs import DEPLOYMENT, Plan, Status
from matatika_simulator.log import Lines, Log, Part, Text
from matatika_simulator.policies import AnswerStyle, Logs, OtherJob, RateLimit, Withdrawal, Workspace
from matatika_simulator.section import ScenarioError, Section
from matatika_simulator.tokens import TokenPolicy


def read_plan(section: Section, folder: Path, *, done: bool = True) -> Plan:
    """What a job will do, from `job` or an item of `other-jobs`; `done`: there may be no other keys."""
    ends = Status(section.choice("ends", [status.value for status in Status if status.is_final], "COMPLETE"))
    plan = Plan(
        queued=section.duration("queued", 0.0, endless=True),
        runs=section.duration("runs", 1.0, endless=True),
        ends=ends,
        exit_code=section.number("exit-code", {Status.COMPLETE: 0, Status.ERROR: 1}.get(ends), null=True),
        commit_id=section.text("commit-id", constants.COMMIT_ID, null=True),
        log=_log(section, folder),
        fields=section.mapping("fields"),
    )
    if done:
        section.done()
    return plan


def _log(section: Section, folder: Path) -> Log:
    parts: list[Part] = []
    at = 0.0
    for item in section.sections("log"):
        at = item.duration("at", at)
        parts.append(_log_part(item, at, folder))
        at = parts[-1].ends
        item.done()
    try:
        return Log(tuple(parts))
    except ValueError as error:
        raise ScenarioError(f"{section.place}.log: {error}") from None


def _log_part(item: Section, at: float, folder: Path) -> Part:
    if "lines" in item:
        return _lines(item, at)
    if "base64" in item:
        return Text(at, _base64(item, "base64"))
    if "file" in item:
        path = folder / item.text("file")
        try:
            return Text(at, path.read_bytes())
        except OSError as error:
            raise item.wrong("file", f"a file that can be read ({error.strerror})") from None
    text = item.text("text")
    ended = item.flag("unfinished") or text.endswith("\n")
    return Text(at, (text if ended else text + "\n").encode())


def _lines(item: Section, at: float) -> Lines:
    text = item.text("text", "line {n}")
    if text.count("{n}") != 1 or "\n" in text or "\0" in text:
        raise item.wrong("text", "one line with {n} once, for its number", text)
    prefix, _, suffix = text.partition("{n}")
    lines = Lines(at, item.duration("over", 0.0), item.number("lines", least=1), prefix.encode(), suffix.encode())
    size = item.number("line-bytes", lines.line_size, least=lines.line_size)
    return Lines(at, lines.over, lines.count, lines.prefix, lines.suffix + b"." * (size - lines.line_size))


def _base64(section: Section, key: str) -> bytes:
    try:
        return base64.b64decode(section.text(key), validate=True)
    except binascii.Error:
        raise section.wrong(key, "base64") from None


def read_workspace(section: Section, plan: Plan, *, needs_id: bool = False) -> Workspace:
    """A workspace, from `workspace` or an item of `other-workspaces`."""
    default = Workspace()
    workspace = Workspace(
        plan=plan,
        id=_uuid(section, "id", *([] if needs_id else [default.id])),
        name=section.text("name", default.name),
        alias=section.text("alias", default.alias, null=True),
        repository_url=section.text("repository-url", default.repository_url, null=True),
        repository_branch=section.text("repository-branch", default.repository_branch, null=True),
        repository_directory=section.text("repository-directory", default.repository_directory, null=True),
        default_environment=section.text("default-environment", default.default_environment, null=True),
        status=section.choice("status", ["PROVISIONING", "READY", "FAILED"], default.status),
        managed=section.flag("managed"),
        deployment_secret=section.text("deployment-secret", default.deployment_secret),
        fields=section.mapping("fields"),
    )
    section.done()
    return workspace


def _uuid(section: Section, key: str, *default: str) -> str:
    value: str = section.text(key, *default)
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise section.wrong(key, "a UUID") from None


def read_other_job(section: Section, workspace_id: str, folder: Path) -> OtherJob:
    """Somebody else's job, from an item of `other-jobs`."""
    job = OtherJob(
        plan=read_plan(section, folder, done=False),
        type=section.text("type", DEPLOYMENT),
        at=section.duration("at", 0.0, signed=True),
        since=section.choice("since", ["start", "first-trigger"], "start"),
        workspace_id=_uuid(section, "workspace-id", workspace_id),
    )
    section.done()
    return job


def read_logs(section: Section) -> Logs:
    """How logs are handed out, from `logs`."""
    logs = Logs(section.choice("stream", ["ends", "held"], "ends"), section.choice("empty", [200, 204], 200))
    section.done()
    return logs


def read_withdrawal(section: Section) -> Withdrawal:
    """How withdrawals are answered, from `withdrawal`."""
    withdrawal = Withdrawal(
        queued=section.choice("queued", ["accept", 400, 409], "accept"),
        answer=section.choice("answer", [200, 202], 202),
        takes=section.duration("takes", 0.0),
    )
    section.done()
    return withdrawal


def read_tokens(section: Section) -> TokenPolicy:
    """Who may sign in, from `tokens`."""
    default = TokenPolicy()
    policy = TokenPolicy(
        personal=section.text("personal", default.personal),
        client_id=section.text("client-id", default.client_id),
        client_secret=section.text("client-secret", default.client_secret),
        audience=section.text("audience", default.audience),
        expires_in=section.number("expires-in", default.expires_in, least=0),
        expires_after=section.duration("expires-after", default.expires_after),
        expires_after_uses=section.number("expires-after-uses", default.expires_after_uses, least=0),
    )
    section.done()
    return policy


def read_answers(section: Section) -> AnswerStyle:
    """What answers look like, from `answers`."""
    hrefs = section.text("hrefs", "absolute")
    if hrefs not in ("absolute", "without-port", "relative") and "://" not in hrefs:
        raise section.wrong("hrefs", "absolute, without-port, relative, or an API root such as https://host/api")
    style = AnswerStyle(
        old=section.flag("old"),
        hrefs=hrefs,
        link_lists=section.flag("link-lists"),
        fraction_digits=section.choice("fraction-digits", range(10), 6),
    )
    section.done()
    return style


def read_rate_limit(section: Section) -> RateLimit:
    """The gateway's limit, from `rate-limit`."""
    limit = RateLimit(
        requests=section.number("requests", least=1),
        per=section.duration("per", 1.0),
        retry_after=section.number("retry-after", 1, least=0),
    )
    section.done()
    return limit


def read_fault(section: Section) -> Fault:
    """What goes wrong, from an item of `faults`."""
    fault = Fault(
        calls=_calls(section),
        requests=_selection(section.section("requests")),
        answer=_canned(section) if "status" in section else None,
        drop=section.choice("drop", ["close", "reset", None], None),
        hang=section.flag("hang"),
        expire_token=section.flag("expire-token"),
        after=section.flag("after"),
        delay=section.duration("delay", 0.0),
        cut=section.number("cut", None, least=0),
        stall=section.number("stall", None, least=0),
    )
    section.done()
    kinds = [fault.answer is not None, fault.drop is not None, fault.hang, fault.expire_token]
    if sum(kinds) > 1:
        raise ScenarioError(f"{section.place}: only one of status, drop, hang, expire-token can happen")
    if fault.after and not (fault.answer or fault.drop or fault.hang or fault.delay):
        raise ScenarioError(f"{section.place}: 'after' needs a status, drop, hang or delay")
    if not any(kinds) and not fault.delay and fault.cut is None and fault.stall is None:
        raise ScenarioError(f"{section.place}: nothing goes wrong; give status, drop, hang, expire-token, …")
    return fault


def _calls(section: Section) -> frozenset[str]:
    value = section.get("calls")
    calls = [value] if isinstance(value, str) else value
    if calls == ["all"]:
        return frozenset(CALLS)
    if not isinstance(calls, list) or not calls or not all(call in CALLS for call in calls):
        raise section.wrong("calls", f"all, or some of {', '.join(CALLS)}")
    return frozenset(calls)


def _selection(section: Section) -> Selection:
    numbers = section.items("numbers")
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        raise section.wrong("numbers", "a list of whole numbers from 1")
    during = section.items("during")
    if len(during) not in (0, 2):
        raise section.wrong("during", "two durations, from and to")
    first = section.number("first", None, least=1)
    selection = Selection(
        numbers=frozenset(numbers) if numbers else None,
        start=section.number("from", 1, least=1),
        stop=section.number("to", float("inf") if first is None else first, least=1),
        every=section.number("every", 1, least=1),
        during=_window(section, during) if during else None,
    )
    section.done()
    return selection


def _window(section: Section, during: Any) -> tuple[float, float]:
    start, stop = (section.as_duration("during", value, endless=True) for value in during)
    return start, stop


def _canned(section: Section) -> Canned:
    status = section.number("status", least=200, most=599)
    headers = {name: str(value) for name, value in section.mapping("headers").items()}
    has_no_body = status in (204, 304)
    body = section.get("body", "empty" if has_no_body else "api")
    if has_no_body and body != "empty":
        raise section.wrong("body", f"empty: {status} has no body")
    content = _BODIES.get(body) if isinstance(body, str) else _custom_body(section)
    if content is None:
        raise section.wrong("body", "api, html, empty, or one of {api: MESSAGE}, {text: …}, {json: …}, {base64: …}")
    data, content_type, message = content
    return Canned(status, data, content_type, headers, message)


_HTML = b"<html>\r\n<head><title>Gateway trouble</title></head>\r\n<body><h1>Gateway trouble</h1></body>\r\n</html>\r\n"

_Body = tuple[bytes | None, str | None, str | None]

_BODIES: dict[str, _Body] = {
    "api": (None, None, None),
    "html": (_HTML, "text/html", None),
    "empty": (b"", None, None),
}


def _custom_body(section: Section) -> _Body | None:
    body = section.section("body")
    if "api" in body:
        content: _Body = (None, None, body.text("api"))
    elif "text" in body:
        content = (body.text("text").encode(), "application/json", None)
    elif "json" in body:
        content = (json.dumps(body.get("json")).encode(), "application/json", None)
    elif "base64" in body:
        content = (_base64(body, "base64"), "application/json", None)
    else:
        return None
    body.done()
    return content
