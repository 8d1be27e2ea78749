"""Find in the end of a job's log why the job failed: the one line that a person would pick.

Jobs run Meltano with its plugins, dbt, pip, scripts and more, so the log has lines of many forms.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from matatika_deploy.text import lines_of, one_line

_MOST_LINES = 200
LONGEST_REASON = 300
# A level word stands near the beginning of a line, and a bound keeps the time for a long line small.
_SEARCHED = 1000

# Meltano's wrapping of what a plugin prints: `<time> [info     ] <text> cmd_type=elb name=tap-x stdio=stderr`.
_MELTANO = re.compile(r"\d{4}-\d\d-\d\d[T ]\S+\s+\[(?P<level>[a-z]+)\s*\] (?P<text>.*)")
_MELTANO_FIELDS = " cmd_type="
# What precedes the text of other lines: `tap-x | `, dbt's `12:03:30 | ` and `12:03:30  `.
_LABEL = re.compile(r"(?:[\w.-]+\s+\|\s)?(?:\d\d:\d\d:\d\d(?:\.\d+)?(?:\s*\|(?:\s|$)|\s+|$))?")

_ERROR_LEVELS = frozenset({"error", "fatal", "critical", "severe", "panic", "emerg", "emergency", "alert"})
# The first level word of a line is its level; `ERROR=0`, `ON_ERROR`, `--ERROR` and ` 0 ERROR` are none.
_LEVEL_WORD = re.compile(
    r"(?<![\w.=/-])(?<!\s0 )(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|SEVERE|PANIC|EMERG)"
    r"(?![\w=]|[./-]\w)"
)
_LEVEL_FIELD = re.compile(r"\b(?:level|lvl|levelname|severity)=[\"']?(\w+)")
_STATEMENTS = re.compile(
    r"""
      ^\s*(?:fatal\ error|error|fatal|critical)(?:\[\w+\])?:\s      # error: …, fatal: …, error[E0432]: …
    | ^\s*npm\ (?:ERR!|error)\s
    | \b(?:encountered\ an|an)\ error(?:\ occurred)?:
    | ^\s*[\w.$]*(?:Error|Exception)(?::\s|:?$)                       # the line that ends a traceback
    | ^[\w.]+\.(?:exc|exceptions|errors)\.\w+:\s
    | ^(?:Exception\ in\ thread|Caused\ by:)\s
    | ^\s*(?:\w+\ )?error\ in\ (?:model|test|unit_test|snapshot|seed|macro|source|operation|analysis|sql)\s
    | ^\s*failure\ in\ test\s
    | ^\s*(?:database|compilation|runtime|parsing|dependency|validation)\ error$
    | :\ command\ not\ found$ | \bOOMKilled\b | \bno\ space\ left\ on\ device\b | \bout\ of\ memory\b
    | ^Killed$ | \bsegmentation\ fault\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Lines that count errors, or report one that is tried again; others say what the error is.
_VAGUE = re.compile(
    r"(?<!\d)\d+ of \d+ (?:ERROR|FAIL)\b|\bCompleted with [1-9]\d* (?:partial )?errors?\b|\bBlock run completed\b"
    r"|\bcould not be completed\b|^\s*npm (?:ERR!|error) (?:code|errno|syscall|path)\b"
    r"|\b(?i:backing off|retrying|will retry)\b"
)
# The text of such a line goes on in the next one.
_HEADING = re.compile(r":$|\bError$|\bError in \w+ .*\)$|\bFailure in test .*\)$")

_TRACEBACK = "Traceback (most recent call last)"
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
# Lines that follow an exception before the next one of its chain: more of its message.
_MOST_BETWEEN = 12
_INSIDE_TRACEBACK = re.compile(r"$|[\s│┃╭╰|+]")
_JAVA_FRAME = re.compile(r"\s+at \S|\s*\.\.\. \d+ (?:more|common frames)")
_JAVA_CAUSE = re.compile(r"\s*Caused by: \S")
_JAVA_EXCEPTION = re.compile(r"(?:Exception in thread .* )?[\w$]+(?:\.[\w$]+)+(?::\s|$)")


class _Line(NamedTuple):
    """A line of the log: what to show of it, its text without labels before it, and its level if it says so."""

    shown: str
    text: str
    level: str = ""


def reason(log_tail: bytes) -> str:
    """Give why a job failed, by the end of its log: one line of at most `LONGEST_REASON` characters, or "".

    It is the first of the last 200 lines that states an error, completed by what its traceback or the next line says,
    else the last line that is not empty.
    """
    lines = [_parse(line) for line in lines_of(log_tail)[-_MOST_LINES:]]
    vague = last = ""
    for index, line in enumerate(lines):
        if not line.text.strip():
            continue
        last = line.shown
        if _TRACEBACK in line.text:
            if end := _traceback_end(lines, index):
                return one_line(lines[end].shown, LONGEST_REASON)
        elif _VAGUE.search(line.text[:_SEARCHED]):
            vague = _completed(lines, index)
        elif _states_error(line):
            return one_line(_completed(lines, index), LONGEST_REASON)
    return one_line(vague or last, LONGEST_REASON)


def _parse(line: str) -> _Line:
    line = line.rstrip()
    if line.lstrip().startswith("{") and (said := _json_line(line)):
        return said
    level = ""
    text = shown = line
    if match := _MELTANO.match(line):
        level, text = match["level"], match["text"]
        if _MELTANO_FIELDS in text:
            # A plugin's line: Meltano's own level says nothing of it.
            level, shown = "", text.partition(_MELTANO_FIELDS)[0].rstrip()
            text = shown
    text = text[_LABEL.match(text).end() :]  # type: ignore[union-attr]  # it matches the empty text
    return _Line(shown, text, level)


def _json_line(line: str) -> _Line | None:
    """Read a line of structured log: structlog, dbt, pino, Logback, Google's."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and isinstance(value.get("info"), dict):
        value = value["info"]
    if not isinstance(value, dict):
        return None
    text = _first_text(value, ("message", "msg", "event", "error", "exception"))
    if not text:
        return None
    trace = reason(_first_text(value, ("exception", "exc_info", "stack_trace", "stack")).encode("utf-8", "replace"))
    level = next((value[key] for key in ("level", "levelname", "severity", "log.level") if key in value), "")
    if isinstance(level, int):
        level = "error" if level >= 50 else "info"
    shown = one_line(text, _SEARCHED)
    return _Line(f"{shown}: {trace}" if trace and trace not in text else shown, shown, str(level))


def _first_text(value: Mapping[str, object], keys: Iterable[str]) -> str:
    return next((text for key in keys if isinstance(text := value.get(key), str) and text.strip()), "")


def _states_error(line: _Line) -> bool:
    text = line.text[:_SEARCHED]
    level = line.level
    if not level:
        found = _LEVEL_FIELD.search(text)
        word = _LEVEL_WORD.search(text)
        level = found[1] if found else word[0] if word else ""
    return level.lower() in _ERROR_LEVELS or (not level and bool(_STATEMENTS.search(text)))


def _completed(lines: Sequence[_Line], index: int) -> str:
    """Give a line together with what says more: the end of its traceback, its root cause, or the line that goes on."""
    said = lines[index].shown
    following = _next_line(lines, index)
    if following is not None and _TRACEBACK in lines[following].text:
        end = _traceback_end(lines, following)
        more = [lines[end].text] if end else []
    elif cause := _java_cause(lines, index + 1):
        more = [cause]
    else:
        more = []
        while following is not None and _HEADING.search(lines[index].text[-_SEARCHED:]):
            more.append(lines[following].text)
            index, following = following, _next_line(lines, following)
    for part in more:
        if part.strip() not in said:
            said = f"{said.rstrip().removesuffix(':')}: {part.strip()}"
    return said


def _next_line(lines: Sequence[_Line], index: int) -> int | None:
    """Give the index of the next line that is not empty, at most one empty line away."""
    return next((at for at in range(index + 1, min(index + 3, len(lines))) if lines[at].text.strip()), None)


def _traceback_end(lines: Sequence[_Line], start: int) -> int | None:
    """Give the index of the exception that ends the traceback at `start`, the last of a chain; None if it is cut."""
    end = None
    while True:
        at = start + 1
        while at < len(lines) and (_INSIDE_TRACEBACK.match(lines[at].text) or _TRACEBACK in lines[at].text):
            at += 1
        if at == len(lines):
            return end
        end = at
        between = range(at + 1, min(at + _MOST_BETWEEN, len(lines)))
        chained = next((near for near in between if lines[near].text.startswith(_CHAINED)), None)
        if chained is None:
            return end
        start = chained


def _java_cause(lines: Sequence[_Line], start: int) -> str:
    """Give the root cause of the stack trace from `start` on, else its exception, else ""."""
    exception = cause = ""
    has_frames = False
    for line in lines[start:]:
        if _JAVA_FRAME.match(line.text):
            has_frames = True
        elif _JAVA_CAUSE.match(line.text):
            cause = line.text
        elif not has_frames and not exception and _JAVA_EXCEPTION.match(line.text):
            exception = line.text
        elif line.text.strip():
            break
    return cause or (exception if has_frames else "")
