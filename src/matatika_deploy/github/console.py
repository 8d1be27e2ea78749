"""Standard output: one thread writes everything, so that no other ever waits for whoever reads it.

A full pipe blocks a write for as long as its reader likes. The main thread, which has to withdraw a job within half a
second of a signal, only puts lines into the queue of the thread that writes.
"""

import os
from collections.abc import Callable
from queue import SimpleQueue
from select import select
from threading import Semaphore, Thread

from matatika_deploy.github.log_guard import Guard
from matatika_deploy.runtime.cancellation import CancelScope, DeadlineExceeded, TaskTimeout
from matatika_deploy.runtime.limits import MOST_CHUNKS_WAITING

STANDARD_OUTPUT = 1


class Console:
    """The action's lines and the guarded log of the job, written to a file descriptor in the order in which they came.

    `activity` counts what was printed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._guard = Guard(os.urandom(20).hex())
        self._queue: SimpleQueue[Callable[[], bytes] | None] = SimpleQueue()
        self._room = Semaphore(MOST_CHUNKS_WAITING)
        self.activity = 0
        self.error: Exception | None = None
        """What kept something from being printed, if anything did; a reader who is gone is none."""
        self._thread: Thread | None = Thread(target=self._write_all, name="console", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # No thread can be started, so whoever prints writes as well: an error about that is all that follows.
            self._thread = None

    def say(self, text: str, *, at_once: bool = False) -> None:
        """Print a line of the action, after the end of an unfinished line of the log unless it must be `at_once`.

        Returns without waiting for it to be written.
        """
        line = f"{text}\n".encode("utf-8", "replace")
        self.activity += 1
        say = self._guard.say_at_once if at_once else self._guard.say
        self._put(lambda: say(line))

    def open_log(self) -> "JobLog":
        """Return what prints the log of a job."""
        return JobLog(self)

    def log(self, piece: bytes, log: "JobLog") -> None:
        """Print a piece of a job's log; waits while too many pieces wait to be written."""
        self._room.acquire()
        self.activity += 1
        self._put(lambda: self._take(piece, log))

    def end_log(self, rest: bytes, log: "JobLog") -> None:
        """End a log with its last piece; later ones are dropped. Returns without waiting for it to be written."""
        self._put(lambda: self._end(rest, log))

    def finish(self, seconds: float | None = None) -> None:
        """End the log, and wait, at most for `seconds`, until everything is written. Print nothing afterwards."""
        self._put(self._guard.end)
        if self._thread:
            self._queue.put(None)
            self._thread.join(seconds)

    def _put(self, give: Callable[[], bytes]) -> None:
        if self._thread:
            self._queue.put(give)
        else:
            self._write(give())

    def _take(self, piece: bytes, log: "JobLog") -> bytes:
        self._room.release()
        return b"" if log.has_ended else self._guard.log(piece)

    def _end(self, rest: bytes, log: "JobLog") -> bytes:
        if log.has_ended:
            return b""
        log.has_ended = True
        return self._guard.log(rest) + self._guard.end()

    def _write_all(self) -> None:
        while (give := self._queue.get()) is not None:
            try:
                self._write(give())
            except Exception as error:
                # What comes next is printed all the same: it may be what tells of this.
                self.error = self.error or error

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                select([], [self._descriptor], [])
            except OSError:
                # Nobody reads any more. The deployment and the step go on.
                return


class JobLog:
    """The log of one job on its way to the console: pieces that come after its end are dropped."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.has_ended = False
        """For the thread that writes."""

    def write(self, piece: bytes) -> None:
        """Print a piece; waits while too many pieces wait to be written."""
        self._console.log(piece, self)

    def end(self, rest: bytes) -> None:
        """End the log with its last piece. Returns without waiting for it to be written."""
        self._console.end_log(rest, self)


def flush(console: Console, scope: CancelScope, seconds: float, grace_after_signal: float) -> None:
    """Wait for everything to be printed, at most for `seconds`, since perhaps nobody reads it."""
    last = CancelScope(scope.clock, scope.signals)
    last.begin_shutdown(scope.clock.monotonic() + seconds, grace_after_signal, handled_signals=0)
    try:
        last.run(console.finish, seconds)
    except (DeadlineExceeded, TaskTimeout):
        pass
    except RuntimeError:
        # No thread can be started, so this one waits.
        console.finish(seconds)
