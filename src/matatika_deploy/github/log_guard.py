"""The guard around the job's log: what a remote log says can never become a workflow command.

The runner reads standard output line by line and obeys `::name::data` at the start of a line and `##[name]data`
anywhere in it. Between `::stop-commands::<token>` and `::<token>::` it obeys nothing
(https://docs.github.com/actions/reference/workflow-commands-for-github-actions#stopping-and-starting-workflow-commands).
"""

from collections import deque


class Guard:
    """Turns the pieces of the log and the action's own lines into the bytes to print, in order.

    The guard opens at the log's first byte. An own line closes it, and the next piece opens it again; in the middle of
    an unfinished log line an own line waits for the end of that line. What stands inside of guards, joined, is the
    log.
    """

    def __init__(self, token: str) -> None:
        self._opening = f"::stop-commands::{token}\n".encode()
        self._closing = f"::{token}::\n".encode()
        self._is_open = False
        self._in_line = False
        self._has_ended = False
        self._waiting: deque[bytes] = deque()

    def log(self, piece: bytes) -> bytes:
        """Give what to print for a piece of the log, which may begin and end anywhere in a line."""
        if not piece or self._has_ended:
            return b""
        if self._waiting:
            end = piece.find(b"\n") + 1
            if not end:
                return self._guarded(piece)
            return self._guarded(piece[:end]) + self._said_by_now() + self.log(piece[end:])
        return self._guarded(piece)

    def say(self, line: bytes) -> bytes:
        """Give what to print for a line of the action's own, which must end with its newline."""
        if self._in_line:
            self._waiting.append(line)
            return b""
        return self._close() + line

    def end(self) -> bytes:
        """Give what ends the log: a missing final newline, the guard's end, and what waited for it."""
        missing = b"\n" if self._in_line else b""
        self._in_line = False
        self._has_ended = True
        return missing + self._said_by_now()

    def _guarded(self, piece: bytes) -> bytes:
        opening = b"" if self._is_open else self._opening
        self._is_open = True
        self._in_line = not piece.endswith(b"\n")
        return opening + piece if opening else piece

    def _said_by_now(self) -> bytes:
        lines = b"".join(self._waiting)
        self._waiting.clear()
        return self._close() + lines

    def _close(self) -> bytes:
        closing = self._closing if self._is_open else b""
        self._is_open = False
        return closing
