"""Find in the end of a job's log why the job failed: the one line that a person would pick.

Jobs run Meltano with its plugins, dbt, pip, scripts and more, so the log has lines of many forms.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from matatika_deploy.platform.log import LAST_LINES
from matatika_deploy.text import lines_of, one_line

LONGEST_REASON = 300
_LEAST_BEFORE_MORE = 100
# A level word stands near the beginning of a line, and a bound keeps the time for a long line small.
_SEARCHED = 1000

# Meltano's wrapping of what a plugin prints: `<time> [info     ] <text> cmd_type=elb name=tap-x stdio=stderr`.
# Version 4 has only `name=tap-x` behind the text, or the name in a column before it, in its own lines, too.
_MELTANO = re.compile(r"\d{4}-\d\d-\d\d[T ]\S+\s+\[(?P<level>[a-z]+)\s*\] (?P<text>.*)")
_MELTANO_FIELDS = re.compile(r" (?:cmd_type=|name=[\w.:-]+$)")
_MELTANO_NAME = re.compile(r"[\w.:-]+")
_NAME_WIDTH = 12
_MELTANO_OWN = f"] {'meltano':{_NAME_WIDTH}} "
# The same with `--log-format=key_value`.
_MELTANO_KEYS = re.compile(
    r"timestamp='[^']*' level='(?P<level>\w+)' event=(?P<quote>['\"])(?P<text>.*?)(?<!\\)(?P=quote) logger="
)
# The box that Meltano draws around what pip or uv said, and a line of it.
_BOX = re.compile(r"╭─+ Installation ")
_BOXED = re.compile(r"│ (?P<text>.*) │")
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
    | :\d+:\ (?:fatal\ )?error:\s                                     # a.c:1:10: fatal error: …
    | ^\s*npm\ (?:ERR!|error)\s
    | \b(?:encountered\ an|an)\ error(?:\ occurred)?:
    | ^\s*[\w.$]*(?:Error|Exception)(?::\s|:?$)                       # the line that ends a traceback
    | ^[\w.]+\.(?:exc|exceptions|errors)\.\w+:\s
    | ^(?:Exception\ in\ thread|Caused\ by:)\s
    | ^\s*(?:\w+\ )?error\ in\ (?:model|test|unit_test|snapshot|seed|macro|source|operation|analysis|sql)\s
    | ^\s*failure\ in\ test\s
    | ^\s*(?:database|compilation|runtime|parsing|dependency|validation)\ error$
    | :\ (?:(?:command\ not\ found|permission\ denied|unbound\ variable)$|syntax\ error\ near\b)
    | :\ \d+:\ [\w./-]+:\ not\ found$                                 # dash's
    | ^panic:\s | ^Killed$
    | \b(?:OOMKilled|no\ space\ left\ on\ device|out\ of\ memory|segmentation\ fault|is\ not\ known\ to\ Meltano)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Lines that count errors, or report one that is tried again; others say what the error is.
_VAGUE = re.compile(
    r"(?<!\d)\d+ of \d+ (?:ERROR|FAIL)\b|^\s*npm (?:ERR!|error) (?:code|errno|syscall|path)\b"
    r"|\b(?:Completed with [1-9]\d* (?:partial )?errors?\b|Process completed with exit code\b|could not be completed\b"
    r"|(?:Extractor|Loader|Mapper) failed\b|Installation failed\b|Block run completed\b"
    r"|subprocess-exited-with-error\b|metadata-generation-failed\b|pip's dependency resolver does not currently\b"
    r"|(?i:backing off|retrying|will retry)\b)"
)
# They say the least of them.
_VAGUEST = re.compile(r"\bBlock run completed\b|\bProcess completed with exit code\b")
# They say less than the line before them.
_AFTERWORD = re.compile(r"make(?:\[\d+\])?: \*\*\* |exit status \d+$")
# The text of such a line goes on in the next one.
_HEADING = re.compile(
    r":$|\bError$|\bError in \w+ .*\)$|\bFailure in test .*\)$|\b\d+ validation errors? for \S+$"
    r"|\bNo solution found when resolving dependencies$|\bwhile listing schemas in database \S+$"
    r"|\b(?:STEP|RUN)_FAILURE - |^APPLICATION FAILED TO START$"
)

_TRACEBACK = "Traceback (most recent call last)"
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
# Lines that follow an exception before the next one of its chain: more of its message.
_MOST_BETWEEN = 12
_FRAME = re.compile(r'\s*File "')
_EXCEPTION = re.compile(r"[\w.]+(?::|$)")
_INSIDE_TRACEBACK = re.compile(r'$|[\s│┃╭╰|+]|File "')
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
    raw = lines_of(log_tail)[-LAST_LINES:]
    has_names = any(_MELTANO_OWN in line[:_SEARCHED] for line in raw)
    lines = [_parse(line, has_names) for line in _unboxed(raw)]
    vague = last = ""
    for index, line in enumerate(lines):
        if not line.text.strip():
            continue
        last = last if last and _AFTERWORD.match(line.text) else line.shown
        if _TRACEBACK in line.text:
            if exception := _exception(lines, index):
                return one_line(exception, LONGEST_REASON)
        elif _VAGUE.search(line.text[:_SEARCHED]):
            if not (vague and _VAGUEST.search(line.text[:_SEARCHED])):
                vague = _completed(lines, index)
        elif _states_error(line):
            return one_line(_completed(lines, index), LONGEST_REASON)
    return one_line(vague or last, LONGEST_REASON)


def _unboxed(lines: Iterable[str]) -> list[str]:
    """Give the lines, those in a box of Meltano's as they were before they were wrapped and framed."""
    given: list[str] = []
    is_boxed, room = False, -1
    for line in lines:
        is_boxed = bool(_BOX.match(line)) or (is_boxed and line.startswith("│"))
        boxed = _BOXED.fullmatch(line) if is_boxed else None
        text = boxed["text"].rstrip() if boxed else line
        word = text.partition(" ")[0]
        if boxed and 0 <= room <= len(word):
            # The word had no room in the line before.
            given[-1] += f" {text}"
        else:
            given.append(text)
        room = len(boxed["text"]) - len(text) if boxed else -1
    return given


def _parse(line: str, has_names: bool) -> _Line:
    said = _unwrapped(line.rstrip(), has_names)
    if said.text.lstrip().startswith("{"):
        said = _json_line(said.text) or said
    return said._replace(text=said.text[_LABEL.match(said.text).end() :])  # type: ignore[union-attr]  # it matches ""


def _unwrapped(line: str, has_names: bool) -> _Line:
    """Give what a plugin of Meltano's printed, or the line as it is.

    Arguments:
        has_names: whether Meltano's lines have a column of names.
    """
    if match := _MELTANO_KEYS.match(line):
        text = match["text"].replace("\\'", "'")
        return _Line(text, text, _level(match["level"], " cmd_type=" in line))
    match = _MELTANO.match(line)
    if not match:
        return _Line(line, line)
    level, text = match["level"], match["text"]
    name = _MELTANO_NAME.match(text) if has_names else None
    width = max(_NAME_WIDTH, name.end()) + 1 if name else 0
    if name and not text[name.end() : width].strip():
        return _Line(text[width:], text[width:], _level(level, name[0] != "meltano"))
    if fields := _MELTANO_FIELDS.search(text):
        text = text[: fields.start()].rstrip()
        return _Line(text, text, _level(level, True))
    return _Line(line, text, level)


def _level(level: str, is_plugins: bool) -> str:
    """Give the level of a line in Meltano's log; what a plugin prints has "info", whatever it says."""
    return "" if is_plugins and level == "info" else level


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
    if "cmd_type" in value:
        return _Line(text, text, _level(str(value.get("level", "")), True))
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
    texts = [line.text for line in lines]
    following = _next_line(texts, index)
    if following is not None and _TRACEBACK in texts[following]:
        more = [_exception(lines, following)]
    elif cause := _java_cause(lines, index + 1):
        more = [cause]
    else:
        more = _continuation(texts, index)
    return _joined(lines[index].shown, more)


def _continuation(texts: Sequence[str], index: int) -> list[str]:
    """Give the lines in which a line goes on."""
    more = []
    while _HEADING.search(texts[index][-_SEARCHED:]) and (following := _next_line(texts, index)) is not None:
        more.append(texts[following])
        index = following
    return more


def _joined(said: str, more: Iterable[str]) -> str:
    """Join what is said with what says more; of the two, the beginning is cut first if they are too long."""
    for part in more:
        if part.strip() not in said:
            room = max(_LEAST_BEFORE_MORE, LONGEST_REASON - len(part.strip()) - len(": "))
            said = one_line(said.rstrip(" :."), room) + f": {part.strip()}"
    return said


def _next_line(texts: Sequence[str], index: int) -> int | None:
    """Give the index of the next line that has a letter, at most two lines without one away."""
    near = range(index + 1, min(index + 4, len(texts)))
    return next((at for at in near if re.search(r"[^\W\d_]", texts[at][:_SEARCHED])), None)


def _exception(lines: Sequence[_Line], start: int) -> str:
    """Give the exception that ends the traceback at `start`, the last of a chain; "" if its end is cut."""
    texts = [line.text for line in lines[start:]]
    column = texts[0].index(_TRACEBACK)
    if len(texts) > 1 and _FRAME.match(texts[1], column):
        # Without what a logger puts before each line, or the indentation, if a line has it.
        is_prefix = bool(texts[0][:column].strip())
        texts = [text[column:] if is_prefix or not text[:column].strip() else text for text in texts]
    end = _traceback_end(texts)
    return "" if end is None else _joined(texts[end], _continuation(texts, end))


def _traceback_end(texts: Sequence[str]) -> int | None:
    """Give the index of the exception that ends the traceback, the last of a chain; None if it is cut."""
    start, end = 0, None
    while True:
        at = start + 1
        while at < len(texts) and _is_inside_traceback(texts[at], texts[at - 1]):
            at += 1
        if at == len(texts):
            return end
        end = at
        between = range(at + 1, min(at + _MOST_BETWEEN, len(texts)))
        chained = next((near for near in between if texts[near].startswith(_CHAINED)), None)
        if chained is None:
            return end
        start = chained


def _is_inside_traceback(text: str, before: str) -> bool:
    """Say whether a line is not the end; frames may lack their indentation, and then the source after them, too."""
    is_source = before.startswith('File "') and not _EXCEPTION.match(text)
    return is_source or bool(_INSIDE_TRACEBACK.match(text)) or _TRACEBACK in text


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
