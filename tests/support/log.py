"""What a step prints: the job's log inside of guards, and the action's own lines outside of them."""

import re
from dataclasses import dataclass
from functools import cached_property

from tests.support import runner
from tests.support.runner import Command

# A guard ends after the end of a line of the log, which may be a CR.
_GUARD = re.compile(rb"^::stop-commands::([0-9a-f]+)\n((?s:.*?))(?<=[\r\n])::\1::\n", re.MULTILINE)


@dataclass(frozen=True)
class StepLog:
    """The bytes that a step printed."""

    printed: bytes

    @cached_property
    def job_log(self) -> bytes:
        """What stands inside of guards, joined; it must be the job's log."""
        return b"".join(match[2] for match in _GUARD.finditer(self.printed))

    @cached_property
    def own(self) -> str:
        """What stands outside of guards; it must be UTF-8."""
        return _GUARD.sub(b"", self.printed).decode()

    @property
    def lines(self) -> list[str]:
        """The lines outside of guards, where LF, CR and CRLF all end one."""
        return re.split(r"\r\n|\r|\n", self.own.removesuffix("\n"))

    @cached_property
    def commands(self) -> list[Command]:
        """Every command outside of guards that the runner obeys, in order."""
        return runner.read(self.own.encode()).commands

    def said(self, name: str) -> list[str]:
        """The data of every command of a name: `said("error")`."""
        return [command.data for command in self.commands if command.name == name]
