"""Standard output: one thread writes everything, so that no other ever waits for whoever reads it.

A full pipe blocks a write for as long as its reader likes. The main thread, which has to withdraw a job within half a
second of a signal, only puts lines into the queue of the thread that writes.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from math import inf
from queue import SimpleQueue
from select import select
from threading import Semaphore, Thread

from matatika_deploy.github.log_guard import Guard
from matatika_deploy.runtime.cancellation import DeadlineExceeded, ErrandTimeout, Waiter

STANDARD_OUTPUT = 1

# Pieces of the log that may wait to be written: this bounds the memory that a slow reader costs.
_MOST_PIECES_WAITING = 4


class Console:
    """The action's lines and the guarded log of the job, written to a file descriptor in the order in which they came.

    `activity` counts what was printed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._guard = Guard(os.urandom(20).hex())
        self._queue: SimpleQueue[Callable[[], bytes] | None] = SimpleQueue()
        self._room = Semaphore(_MOST_PIECES_WAITING)
        self._thread = Thread(target=self._write_all, name="console", daemon=True)
        self._thread.start()
        self.activity = 0

    def say(self, text: str, *, at_once: bool = False) -> None:
        """Print a line of the action, after the end of an unfinished line of the log unless it must be `at_once`.

        Returns without waiting for it to be written.
        """
        line = f"{text}\n".encode("utf-8", "replace")
        self.activity += 1
        say = self._guard.say_at_once if at_once else self._guard.say
        self._queue.put(lambda: say(line))

    def log(self, piece: bytes) -> None:
        """Print a piece of the job's log; waits while too many pieces wait to be written."""
        self._room.acquire()
        self.activity += 1
        self._queue.put(lambda: self._take(piece))

    def end_log(self, rest: bytes) -> None:
        """End the log with its last piece; later ones are dropped. Returns without waiting for it to be written."""
        self._queue.put(lambda: self._guard.log(rest) + self._guard.end())

    def finish(self) -> None:
        """End the log, and wait until everything is written. Nothing may be printed afterwards."""
        self.end_log(b"")
        self._queue.put(None)
        self._thread.join()

    def _take(self, piece: bytes) -> bytes:
        self._room.release()
        return self._guard.log(piece)

    def _write_all(self) -> None:
        while (give := self._queue.get()) is not None:
            self._write(give())

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


def flush(console: Console, waiter: Waiter, seconds: float, hurry: float) -> None:
    """Wait for everything to be printed, at most for `seconds`, since perhaps nobody reads it."""
    last = Waiter(waiter.clock, waiter.signals, deadline=inf)
    last.unwind(waiter.clock.monotonic() + seconds, hurry, handled_signals=0)
    with suppress(DeadlineExceeded, ErrandTimeout):
        last.run(console.finish, seconds)
