"""What a step prints, as the runner reads it: an independent reading of its rules, to hold the action's own against.

See `ActionCommand` and `ActionCommandManager` in https://github.com/actions/runner.
"""

import re
from dataclasses import dataclass
from functools import cached_property

_GUARD = re.compile(rb"^::stop-commands::([0-9a-f]+)\n((?s:.*?))^::\1::\n", re.MULTILINE)
_COMMAND = re.compile(r"\s*::([A-Za-z0-9_-]+)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)")
_OLD_COMMAND = re.compile(r"##\[([^ \]]+)[^\]]*\](.*)")


@dataclass(frozen=True)
class Command:
    """A workflow command that the runner obeys, unescaped."""

    name: str
    data: str
    properties: dict[str, str]


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
        """Every command outside of guards, in order, old-style ones included."""
        found = []
        for line in self.lines:
            if new := _COMMAND.match(line):
                pairs = (pair.partition("=") for pair in (new[2] or "").split(",") if pair)
                found.append(Command(new[1], _data(new[3]), {name: _property(value) for name, _, value in pairs}))
            elif old := _OLD_COMMAND.search(line):
                found.append(Command(old[1], old[2], {}))
        return found

    def said(self, name: str) -> list[str]:
        """The data of every command of a name: `said("error")`."""
        return [command.data for command in self.commands if command.name == name]


def _data(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def _property(text: str) -> str:
    return text.replace("%3A", ":").replace("%2C", ",").replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
