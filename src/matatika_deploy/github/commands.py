"""The commands to the runner: annotations, masks, and the files through which a step hands on values.

The methods have the names of @actions/core. They make their text safe themselves: whatever it holds, it is one line and
one command. Nothing else in the action writes `::`, or knows of `GITHUB_OUTPUT`.

Reference: https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.console import Console
from matatika_deploy.text import one_line

# The runner cuts an annotation at 4,096 characters, and a line of the live log at 1,024.
LONGEST_MESSAGE = 4000
LONGEST_LINE = 1000
# The runner shows no more annotations of a level than this for one step.
MOST_ANNOTATIONS = 10
# The runner drops a larger summary whole.
LARGEST_SUMMARY = 1024 * 1024
# Masking less would blot out half of the workflow's log.
SHORTEST_MASK = 4


class WorkflowCommands:
    """What a step tells the runner. Text may come from anywhere: it is made safe here."""

    def __init__(self, environ: Mapping[str, str], console: Console) -> None:
        self._environ = environ
        self._console = console
        self._shows_debug = environ.get("RUNNER_DEBUG") == "1"
        # Where nobody obeys it, a mask would print the secret. A token for GitHub can be set anywhere.
        self._has_masks = any(name.startswith("GITHUB_") and name != "GITHUB_TOKEN" for name in environ)
        self._failed_files: set[str] = set()
        self.secrets: list[str] = []
        """What is to show nowhere, so far."""

    def mask(self, secret: str) -> None:
        """Have the runner, if there is one, hide `secret` in the log from now on, line by line if it has several."""
        for line in re.split(r"[\r\n]+", secret):
            if len(line.strip()) >= SHORTEST_MASK:
                self.secrets.append(line)
                if self._has_masks:
                    self._console.say(f"::add-mask::{_escape_data(line)}", at_once=True)

    def info(self, text: str) -> None:
        """Print one line, which is no command even if `text` begins like one."""
        line = one_line(text, LONGEST_LINE)
        self._console.say(f": :{line[2:]}" if line.startswith("::") else line)

    def debug(self, text: str) -> None:
        """Print a line that shows only if the workflow runs with debug logging."""
        if self._shows_debug:
            self._command("debug", text)

    def notice(self, text: str, **properties: object) -> None:
        """Annotate the run with a notice."""
        self._command(Level.NOTICE, text, **properties)

    def warning(self, text: str, **properties: object) -> None:
        """Annotate the run with a warning."""
        self._command(Level.WARNING, text, **properties)

    def error(self, text: str, **properties: object) -> None:
        """Annotate the run with an error; this alone does not fail the step."""
        self._command(Level.ERROR, text, **properties)

    def annotate(self, findings: list[Finding]) -> None:
        """Annotate the files that findings are about: 9 of each level, which leaves one for the step's own result.

        The runner's log shows no file of an annotation, so the message begins with the place.
        """
        for level in Level:
            of_level = [finding for finding in findings if finding.level is level]
            for finding in of_level[: MOST_ANNOTATIONS - 1]:
                text = f"{finding.place}: {finding.message}" if finding.place else finding.message
                self._command(level, text, file=finding.file, line=finding.line, col=finding.column)
            if more := len(of_level[MOST_ANNOTATIONS - 1 :]):
                self.info(f"... and {more} more of level {level}: the step's summary has the table.")

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
            f"{key}={_escape_property(one_line(str(value), LONGEST_LINE))}"
            for key, value in properties.items()
            if value is not None
        )
        space = " " if given else ""
        self._console.say(f"::{name}{space}{given}::{_escape_data(one_line(message, LONGEST_MESSAGE))}")

    def _append(self, variable: str, text: str) -> None:
        """Append to a command file. Runners that lack one, or cannot take it, lose the value and nothing else."""
        path = self._environ.get(variable)
        if not path:
            return
        try:
            with Path(path).open("ab") as file:
                file.write(text.encode("utf-8", "replace"))
        except (OSError, ValueError) as error:
            if variable not in self._failed_files:
                self._failed_files.add(variable)
                self.warning(f"{variable} could not be written: {getattr(error, 'strerror', 'its path is none')}.")


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
