"""What a step leaves, and what the GitHub runner makes of its output: a model of its parser, command for command.

Written after the runner's own source, https://github.com/actions/runner: lines as `StreamReader.ReadLine` ends them
(`ProcessInvoker`), then `OutputManager.OnDataReceived`, `ActionCommandManager.TryProcessCommand`, and
`ActionCommand.TryParseV2` (`::name key=value::data`) before `ActionCommand.TryParse` (`##[name key=value]data`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

_STOP = "stop-commands"
_REGISTERED = frozenset(
    {
        *("add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice"),
        *("remove-matcher", "save-state", "set-env", "set-output", _STOP, "warning"),
    }
)
# What `Char.IsWhiteSpace` of .NET says yes to: unlike `str.isspace`, not the four separators from U+001C on.
_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" + (
    "\u2028\u2029\u202f\u205f\u3000"
)
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")

_DATA = {"%0D": "\r", "%0A": "\n", "%25": "%"}
_PROPERTY = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}
_OLD_STYLE = {"%3B": ";", "%0D": "\r", "%0A": "\n", "%5D": "]", "%25": "%"}


@dataclass(frozen=True)
class Command:
    """A command that the runner obeys; its name in lower case, everything unescaped."""

    name: str
    data: str
    properties: Mapping[str, str] = field(default_factory=dict)


class StepLog:
    """What a step printed, as the runner reads it: the job's log inside of guards, the action's own lines outside."""

    def __init__(self, printed: bytes) -> None:
        self.printed = printed
        self.commands: list[Command] = []
        """In order, without those that stop and resume."""
        self.shown: list[str] = []
        """The lines that were no commands, as the log shows them (before masking), those inside of guards included."""
        self._own: list[bytes] = []
        self._guarded: list[bytes] = []
        token: str | None = None
        for line in _LINE.findall(printed):
            text = line.rstrip(b"\r\n").decode("utf-8", "replace")
            command = _parse(text, _REGISTERED if token is None else _REGISTERED | {token})
            if token is not None and command and command.name == token:
                token = None
            elif token is None and command and command.name == _STOP:
                token = _stop_token(command.data)
            else:
                (self._own if token is None else self._guarded).append(line)
                if token is None and command:
                    self.commands.append(command)
                else:
                    self.shown.append(text)
        self.is_stopped = token is not None
        """Whether commands are stopped still at the end."""

    @property
    def job_log(self) -> bytes:
        """What stands inside of guards, joined; it must be the job's log. Fails if the last guard has no end."""
        assert not self.is_stopped
        return b"".join(self._guarded)

    @property
    def own(self) -> str:
        """What stands outside of guards; it must be UTF-8."""
        return b"".join(self._own).decode()

    @property
    def lines(self) -> list[str]:
        """The lines outside of guards, commands included."""
        return [line.decode().rstrip("\r\n") for line in self._own]

    def of(self, name: str) -> list[Command]:
        return [command for command in self.commands if command.name == name]

    def said(self, name: str) -> list[str]:
        """The data of every command of a name: `said("error")`."""
        return [command.data for command in self.of(name)]

    @property
    def ends(self) -> list[Command]:
        """What was said of an end without success: errors, and the notice that the step was cancelled."""
        notices = [it for it in self.of("notice") if it.properties.get("title") == "Deployment cancelled"]
        return [*self.of("error"), *notices]


def _stop_token(token: str) -> str:
    if not token or token.lower() in _REGISTERED or token.lower() == "pause-logging":
        raise ValueError(f"the runner fails a step that stops commands with the token {token!r}")
    return token.lower()


def _parse(line: str, registered: frozenset[str]) -> Command | None:
    """Read a line as a command of the new form, else of the old one; None if it is neither."""
    new = line.lstrip(_WHITE_SPACE)
    if new.startswith("::") and "::" in new[2:]:
        head, _, data = new[2:].partition("::")
        name, _, properties = head.partition(" ")
        if name.lower() in registered:
            found = _pairs(properties.strip(_WHITE_SPACE), ",", _PROPERTY)
            return Command(name.lower(), _unescape(data, _DATA), found)
    _, start, old = line.partition("##[")
    head, end, data = old.partition("]")
    name, _, properties = head.partition(" ")
    if start and end and name.lower() in registered:
        return Command(name.lower(), _unescape(data, _OLD_STYLE), _pairs(properties, ";", _OLD_STYLE))
    return None


def _pairs(text: str, separator: str, escapes: Mapping[str, str]) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(separator))
    return {name: _unescape(value, escapes) for name, equals, value in pairs if name and equals and value}


def _unescape(text: str, escapes: Mapping[str, str]) -> str:
    for escape, meaning in escapes.items():
        text = text.replace(escape, meaning)
    return text


@dataclass(frozen=True)
class Result:
    """What a step, or a process of it, came to."""

    code: int
    printed: bytes
    outputs: dict[str, str]
    state: dict[str, str]
    summary: str

    @cached_property
    def log(self) -> StepLog:
        return StepLog(self.printed)
