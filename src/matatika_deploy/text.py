"""Text for people: text from elsewhere on one line, and durations."""

import re

# What is shown of text from elsewhere: enough to understand it.
LONGEST_QUOTE = 300

# Characters that are not seen, or that turn the direction of the text around them: a reader could be misled by them.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U000e0000-\U000e0fff]+"
)
# Control characters, line and paragraph separators, blanks of any width, and halves of a character.
_BLANK = re.compile(r"[^\S ]+|[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")

# Of logs only, so compiled when a step's first log is read: all is imported before the trigger.
_LINE_END = r"\r\n|\n|\r"
# Without tabs and line ends, which a log is made of.
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+"
_ANSI = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)?|[@-Z\\-_])"


def one_line(text: str, limit: int = LONGEST_QUOTE) -> str:
    """Make text from elsewhere fit for a line of the log: at most `limit` characters, in which no command can stand.

    Control characters become blanks, hidden characters are dropped, and a blank goes into every `##[`, which the runner
    reads as the start of a command anywhere in a line.
    """
    line = _BLANK.sub(" ", _HIDDEN.sub("", text[: 2 * limit])).strip()
    if len(line) > limit or len(text) > 2 * limit:
        line = f"{line[: limit - 1]}…"
    return line.replace("##[", "## [")


def sentence(text: str) -> str:
    """Give `text` with the period that it lacks, so that another sentence can follow."""
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def name_key(name: str) -> str:
    """Give the form in which names of pipelines are compared: how the platform makes a slug of them is not known."""
    if len(name) <= LONGEST_QUOTE and not name.isascii():
        # Git on macOS had names with their accents apart. The time for it grows with the square of many accents.
        from unicodedata import normalize

        name = normalize("NFC", name)
    return re.sub(r"[\W_]+", "-", name.casefold()).strip("-")


def format_duration(seconds: float) -> str:
    """Give a duration for people in its two largest units, without zeros: `42 s`, `3 min 5 s`, `1 h 2 min`, `2 h`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (0 if hours else rest, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def lines_of(log: bytes) -> list[str]:
    """Give the lines of a log, which LF, CR and CRLF end, without colours, controls and hidden characters."""
    text = re.sub(_ANSI, "", log.decode("utf-8", "replace"))
    return re.split(_LINE_END, _HIDDEN.sub("", re.sub(_CONTROL, "", text)).rstrip("\r\n"))
