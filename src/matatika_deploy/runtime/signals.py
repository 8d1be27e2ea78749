"""The two signals that end a step, remembered and turned into something that the main thread can wait for."""

import signal

# The same as `queue.SimpleQueue`, without what `queue` imports besides: until the handlers stand, milliseconds count.
from _queue import SimpleQueue
from types import FrameType

# What arrives in the inbox: None says "look up, something happened"; anything else is the ticket of an errand that is
# done.
Inbox = SimpleQueue[object]


class Signals:
    """SIGINT and SIGTERM: the first one is remembered, every one wakes whoever waits on `inbox`.

    A handler can strike between any two bytecodes, so it does nothing but assign and put to a `SimpleQueue`, which is
    re-entrant (https://docs.python.org/3/library/queue.html#simplequeue-objects). Nothing is raised from it: the main
    thread finds the signal at its next wait, and it never blocks on anything else.
    """

    def __init__(self) -> None:
        self.inbox: Inbox = SimpleQueue()
        self.first: int | None = None
        self.count = 0

    def catch(self) -> None:
        """Install the handlers; call it from the main thread."""
        signal.signal(signal.SIGINT, self.receive)
        signal.signal(signal.SIGTERM, self.receive)

    def receive(self, signum: int, _frame: FrameType | None = None) -> None:
        """Note a signal; this is the handler."""
        if self.first is None:
            self.first = signum
        self.count += 1
        self.inbox.put(None)
