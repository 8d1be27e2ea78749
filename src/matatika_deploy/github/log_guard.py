"""The guard around the job's log: what a remote log says can never become a workflow command.

The runner reads standard output line by line, where LF, CR and CRLF all end a line. It obeys `::name::data` at the
start of a line and `##[name]data` anywhere in it. Between `::stop-commands::<token>` and `::<token>::` it obeys nothing
(https://docs.github.com/actions/reference/workflow-commands-for-github-actions#stopping-and-starting-workflow-commands).
"""

import os
import re
from collections import deque

_LINE_ENDS = (b"\n", b"\r")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LINE_IS_BROKEN = b"The log's last line is not finished: it may go on below.\n"


class Guard:
    """Turns the pieces of the log and the action's own lines into the bytes to print, in order.

    The guard opens at the log's first byte. A line of the action closes it, and the next piece opens it again; while a
    line of the log is unfinished, the action's line waits for its end. What stands inside of guards, joined, is the log
    (with a final newline).

    Only a line that cannot wait breaks an unfinished one: the guard then closes after a newline of its own, and a line
    outside of it says so. The newline before that line is not the log's, and the only byte that is not.

    Args:
        token: What ends the guard, unguessable. If it ever appears in the log, another takes its place before that is
            printed.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._is_open = False
        self._is_broken = False
        # The end of the log so far, in which a part of the token could stand.
        self._last = b""
        self._waiting: deque[bytes] = deque()

    def log(self, piece: bytes) -> bytes:
        """Give what to print for a piece of the log, which may begin and end anywhere in a line."""
        if not piece:
            return b""
        end = _LINE_END.search(piece) if self._waiting else None
        if end is None:
            return self._guarded(piece)
        return self._guarded(piece[: end.end()]) + self._close() + self._take_waiting() + self.log(piece[end.end() :])

    def say(self, line: bytes) -> bytes:
        """Give what to print for a line of the action, which must end with its newline."""
        if self._is_in_line:
            self._waiting.append(line)
            return b""
        return self._close() + line

    def say_at_once(self, line: bytes) -> bytes:
        """Give what to print for a line that must not wait, and for those that do."""
        return self._break() + self._take_waiting() + line

    def end(self) -> bytes:
        """Give what ends the log: a missing final newline, the guard's end, and the lines that waited for it."""
        is_complete = not self._last or self._last.endswith(b"\n") or self._is_broken
        missing = b"" if is_complete else self._printed(b"\n")
        self._last = b""
        return missing + self._close() + self._take_waiting()

    @property
    def _is_in_line(self) -> bool:
        return self._is_open and not self._last.endswith(_LINE_ENDS)

    def _guarded(self, piece: bytes) -> bytes:
        """Give what to print for a piece, under another token if the present one appears in it."""
        found = (self._last + piece).lower().find(self._token) - len(self._last)
        if found < -len(self._last):
            return self._printed(piece)
        start = max(piece.rfind(end, 0, max(found, 0)) for end in _LINE_ENDS) + 1
        before = self._printed(piece[:start]) + self._break()
        self._token = os.urandom(20).hex().encode()
        return before + self._printed(piece[start:])

    def _printed(self, piece: bytes) -> bytes:
        if not piece:
            return b""
        opening = b"" if self._is_open else b"::stop-commands::%s\n" % self._token
        self._is_open, self._is_broken = True, False
        self._last = (self._last + piece[-len(self._token) :])[-len(self._token) :]
        return opening + piece if opening else piece

    def _break(self) -> bytes:
        """Close the guard now, if it must be in the middle of a line."""
        self._is_broken = self._is_broken or self._is_in_line
        return b"\n" + self._close() + _LINE_IS_BROKEN if self._is_in_line else self._close()

    def _close(self) -> bytes:
        closing = b"::%s::\n" % self._token if self._is_open else b""
        self._is_open = False
        return closing

    def _take_waiting(self) -> bytes:
        lines = b"".join(self._waiting)
        self._waiting.clear()
        return lines
