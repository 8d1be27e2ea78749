"""What a check found: the one form in which findings travel to annotations and to the summary."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How much a finding weighs; the values are the runner's own annotation commands."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


class Finding(NamedTuple):
    """One thing that a check has to say.

    `message` is a sentence for a data engineer, without markup; it may hold text from files and from the platform,
    which whoever prints it must escape. `file` is relative to the repository's root, with `/`; `line` and `column`
    count from 1. A finding about something other than a file has none of the three.
    """

    level: Level
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        """Where it is: "pipelines/a.yml:5:11", or "" if it is not about a file."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


def as_warnings(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with warnings in place of errors."""
    return [it._replace(level=Level.WARNING) if it.level is Level.ERROR else it for it in findings]
