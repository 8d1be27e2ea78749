"""SIGINT and SIGTERM, remembered and turned into something that the main thread can wait for."""

import signal
import time

# The same as `queue.SimpleQueue`, without what `queue` imports besides: until the handlers stand, milliseconds count.
from _queue import SimpleQueue
from collections.abc import Callable
from types import FrameType

# What a thread waits for: None means "look up, something happened"; anything else is a task that is done.
Inbox = SimpleQueue[object]

# The same request to stop may arrive twice: Ctrl-C in a terminal reaches the container through the process group and
# through the runner. Seconds.
_SAME_REQUEST = 1.0


class Signals:
    """Remembers the first signal, counts requests to stop, and wakes whoever waits at `inbox`.

    A handler can run between any two bytecodes, so it only assigns, and puts to a `SimpleQueue`, which is re-entrant
    (https://docs.python.org/3/library/queue.html#simplequeue-objects). It raises nothing: the main thread notices the
    signal at its next wait, and blocks on nothing else.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` gives seconds that only grow."""
        self.inbox: Inbox = SimpleQueue()
        self.first: int | None = None
        self.count = 0
        """How many times a stop was requested; a signal within a second of the first is the same request."""
        self._now = now
        self._first_at = 0.0

    def catch(self) -> None:
        """Install the handlers; call it from the main thread."""
        signal.signal(signal.SIGINT, self.receive)
        signal.signal(signal.SIGTERM, self.receive)

    def receive(self, signum: int, _frame: FrameType | None = None) -> None:
        """Remember a signal; this is the handler."""
        if self.first is None:
            self._first_at = self._now()
            self.first = signum
            self.count = 1
        elif self._now() - self._first_at >= _SAME_REQUEST:
            self.count += 1
        self.inbox.put(None)
