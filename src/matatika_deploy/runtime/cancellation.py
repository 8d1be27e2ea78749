"""Every wait of the main thread: for an answer, or for time to pass; ended by a signal, by the deadline, or by news.

Python repeats a system call that a signal interrupts (PEP 475), so a thread that blocks in a request cannot be stopped.
Requests therefore run as errands in daemon threads, and the main thread waits at an inbox for whatever comes first.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from queue import Empty
from threading import Thread
from typing import Generic, Protocol, TypeVar

from matatika_deploy.runtime.signals import Inbox, Signals

T = TypeVar("T")

# Python runs a signal's handler between two bytecodes of the main thread. A signal that arrives just before a wait
# begins, or in another thread, does not end that wait: so no wait is longer than this in one piece (seconds).
_LONGEST_PIECE = 0.1


class Interrupted(Exception):
    """The first signal, `signum`, has arrived."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"signal {signum}")
        self.signum = signum


class DeadlineExceeded(Exception):
    """The time that the step may take is over."""


class ErrandTimeout(Exception):
    """An errand took longer than it may; it is left to itself."""


class Clock(Protocol):
    """Where time comes from: seconds that only grow, the date, and waiting at an inbox."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""

    def wait(self, inbox: Inbox, seconds: float) -> object:
        """Wait for the next thing in `inbox`; raises `queue.Empty` when `seconds` have passed without one."""


class SystemClock:
    """The clock of the machine."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def wait(self, inbox: Inbox, seconds: float) -> object:
        """Wait for the next thing in `inbox`, at most `seconds`."""
        end = time.monotonic() + seconds
        with suppress(Empty):
            # Before Python 3.13, a `get` whose timeout is over at once may block for ever on a queue that was filled
            # and emptied without waiting. A `get` that does not block never does, and resets the queue.
            return inbox.get_nowait()
        while (left := end - time.monotonic()) > _LONGEST_PIECE:
            with suppress(Empty):
                return inbox.get(timeout=_LONGEST_PIECE)
        return inbox.get(timeout=max(left, 0.0))


SYSTEM_CLOCK = SystemClock()


class Errand(Generic[T]):
    """Work in a daemon thread: rings at the inbox when it is done, and is simply left when nobody waits any more."""

    def __init__(self, work: Callable[[], T], inbox: Inbox) -> None:
        self._work = work
        self._inbox = inbox
        self._result: T | None = None
        self._error: BaseException | None = None
        self.is_done = False
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        self.is_done = True
        self._inbox.put(self)

    def result(self) -> T:
        """Give what the work gave, or raise what it raised. Only for an errand that is done."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class Waiter:
    """The main thread's waits, up to one deadline.

    A signal raises `Interrupted`, and reaching the deadline `DeadlineExceeded`, from within any wait. While the step
    unwinds, signals no longer raise: one that arrives then only brings the deadline closer.
    """

    def __init__(self, clock: Clock, signals: Signals, deadline: float) -> None:
        self.clock = clock
        self._deadline = deadline
        self.signals = signals
        self._inbox = signals.inbox
        self._has_news = False
        self._handled_signals: int | None = None
        self._hurry = 0.0
        self._hurried_deadline = inf

    def set_deadline(self, deadline: float) -> None:
        """Set the moment at which waits end, once it is known."""
        self._deadline = deadline

    def unwind(self, deadline: float, hurry: float, handled_signals: int) -> None:
        """From now on, wait until `deadline` at most, and only `hurry` seconds more once a further signal arrives.

        An end that has begun has its time already: a later deadline than its own changes nothing.
        """
        self._deadline = deadline if self._handled_signals is None else min(deadline, self._deadline)
        self._hurry = hurry
        self._handled_signals = handled_signals

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Bring the deadline closer for a part of the way."""
        whole = self._deadline
        self._deadline = min(whole, self.clock.monotonic() + seconds)
        try:
            yield
        finally:
            self._deadline = whole

    @property
    def deadline(self) -> float:
        """The moment, by the clock's `monotonic`, at which every wait ends."""
        return min(self._deadline, self._hurried_deadline)

    @property
    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - self.clock.monotonic())

    def start(self, work: Callable[[], T]) -> Errand[T]:
        """Begin an errand, unless it is too late for it."""
        self.check()
        return Errand(work, self._inbox)

    def join(self, errand: Errand[T], seconds: float) -> T:
        """Wait for an errand's result, in real time: what an errand waits for is not moved by any other clock.

        Raises:
            ErrandTimeout: when `seconds` have passed.
            Interrupted, DeadlineExceeded: see the class. The errand goes on, and can be joined again.
        """
        end = time.monotonic() + seconds
        while not errand.is_done:
            self.check()
            seconds_left = end - time.monotonic()
            if seconds_left <= 0:
                raise ErrandTimeout
            with suppress(Empty):
                SYSTEM_CLOCK.wait(self._inbox, min(seconds_left, self.left))
        return errand.result()

    def run(self, work: Callable[[], T], seconds: float) -> T:
        """Begin an errand and wait for its result."""
        return self.join(self.start(work), seconds)

    def pause(self, seconds: float) -> None:
        """Let time pass; news ends the pause early."""
        self._pass_time(seconds, lambda: self._has_news)
        self._has_news = False

    def rest(self, seconds: float) -> None:
        """Let time pass, whatever news there is."""
        self._pass_time(seconds, lambda: False)

    def _pass_time(self, seconds: float, is_over: Callable[[], bool]) -> None:
        end = self.clock.monotonic() + seconds
        while not is_over() and (seconds_left := end - self.clock.monotonic()) > 0:
            self.check()
            with suppress(Empty):
                self.clock.wait(self._inbox, min(seconds_left, self.left))
        self.check()

    def tell_news(self) -> None:
        """End the current pause, or the next one if there is none now; to be called from any thread."""
        self._has_news = True
        self._inbox.put(None)

    def check(self) -> None:
        """Raise what a wait would raise now."""
        if self._handled_signals is None:
            if self.signals.first is not None:
                raise Interrupted(self.signals.first)
        elif self.signals.count > self._handled_signals:
            self._handled_signals = self.signals.count
            self._hurried_deadline = self.clock.monotonic() + self._hurry
        if self.clock.monotonic() >= self.deadline:
            raise DeadlineExceeded
