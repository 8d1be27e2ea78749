"""The runner's dialect: workflow commands, masks, and the files through which a step hands on values.

Reference: https://docs.github.com/actions/reference/workflow-commands-for-github-actions. The rest of the action never
writes `::`, and knows nothing of `GITHUB_OUTPUT`.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.console import Console

# The runner drops what is longer, and shows no more annotations of a level than this for one step.
LONGEST_MESSAGE = 4000
MOST_ANNOTATIONS = 10
LARGEST_SUMMARY = 1024 * 1024
# Text from elsewhere in a line of ours: enough to understand it, and no flood.
LONGEST_QUOTE = 300
# Masking less would blot out half of the workflow's log.
SHORTEST_MASK = 4

_UNPRINTABLE = re.compile(
    r"[^\S ]+|[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]+"
)


def plain(text: str, limit: int = LONGEST_QUOTE) -> str:
    """Make text from elsewhere fit for a line of ours: one line, at most `limit` characters, no command in it."""
    line = _UNPRINTABLE.sub(" ", text[: 2 * limit]).strip()
    if len(line) > limit or len(text) > 2 * limit:
        line = f"{line[: limit - 1]}…"
    return line.replace("##[", "## [")


def spell(seconds: float) -> str:
    """Give a duration for people: `42 s`, `3 min 5 s`, `1 h 2 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Workflow:
    """What a step says to the runner that runs it."""

    def __init__(self, environ: Mapping[str, str], console: Console) -> None:
        self._environ = environ
        self._console = console
        self.shows_debug = environ.get("RUNNER_DEBUG") == "1"
        self.secrets: list[str] = []
        """What was masked so far."""
        self._lost: set[str] = set()

    def mask(self, secret: str) -> None:
        """Have the runner hide `secret` in the log from now on, line by line if it has several."""
        for line in re.split(r"[\r\n]+", secret):
            if len(line.strip()) >= SHORTEST_MASK:
                self.secrets.append(line)
                self._command("add-mask", line)

    def say(self, text: str) -> None:
        """Print one line of plain text. Text from elsewhere in it must have gone through `plain`."""
        self._console.say(text)

    def debug(self, text: str) -> None:
        """Print a line that shows only if the workflow runs with debug logging."""
        if self.shows_debug:
            self._command("debug", text)

    def notice(self, text: str, **properties: object) -> None:
        """Annotate the run with a notice."""
        self._command(Level.NOTICE, text, **properties)

    def warning(self, text: str, **properties: object) -> None:
        """Annotate the run with a warning."""
        self._command(Level.WARNING, text, **properties)

    def error(self, text: str, **properties: object) -> None:
        """Annotate the run with an error; this alone fails nothing."""
        self._command(Level.ERROR, text, **properties)

    def annotate(self, findings: list[Finding]) -> None:
        """Annotate the files that findings are about: 9 of each level, which leaves one for the step's own result."""
        for level in Level:
            of_level = [finding for finding in findings if finding.level is level]
            for finding in of_level[: MOST_ANNOTATIONS - 1]:
                position = {"file": finding.file, "line": finding.line, "col": finding.column}
                self._command(level, finding.message, **position)
            if more := len(of_level[MOST_ANNOTATIONS - 1 :]):
                self.say(f"... and {more} more of level {level}: the step's summary has the table.")

    def output(self, name: str, value: str) -> None:
        """Hand a value to the next steps; of several under one name the last counts."""
        self._append("GITHUB_OUTPUT", _assignment(name, value))

    def save_state(self, name: str, value: str) -> None:
        """Hand a value to the post step, which finds it as `STATE_<name>`."""
        self._append("GITHUB_STATE", _assignment(name, value))

    def summarize(self, markdown: str) -> None:
        """Add to the run's page; a page that the runner would drop whole is left out."""
        if len(markdown.encode("utf-8", "replace")) < LARGEST_SUMMARY:
            self._append("GITHUB_STEP_SUMMARY", markdown)

    def _command(self, name: str, message: str, **properties: object) -> None:
        given = ",".join(
            f"{key}={_escape_property(str(value))}" for key, value in properties.items() if value is not None
        )
        space = " " if given else ""
        text = message if name == "add-mask" else _cut(message).replace("##[", "## [")
        self._console.say(f"::{name}{space}{given}::{_escape_data(text)}")

    def _append(self, variable: str, text: str) -> None:
        """Append to a command file. Runners that lack one, or cannot take it, lose the value and nothing else."""
        path = self._environ.get(variable)
        if not path:
            return
        try:
            with Path(path).open("ab") as file:
                file.write(text.encode("utf-8", "replace"))
        except OSError as error:
            if variable not in self._lost:
                self._lost.add(variable)
                self.warning(f"{variable} could not be written: {error.strerror}.")


def _cut(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 1]}…"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _assignment(name: str, value: str) -> str:
    """Give what a command file takes for a value; one of several lines goes between two random delimiters."""
    if not re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", value):
        return f"{name}={value}\n"
    delimiter = f"end-{os.urandom(16).hex()}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
