"""Waiting, with a deadline and a way to be cancelled: one `CancelScope` for each thread.

Python repeats a system call that a signal interrupts (PEP 475), so a thread that blocks in a request cannot be stopped.
Requests therefore run as tasks in daemon threads, and the main thread waits at an inbox for whatever comes first: a
task's end, a signal, or the deadline. The words are those of trio and anyio
(https://trio.readthedocs.io/en/stable/reference-core.html#cancellation-and-timeouts).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, Protocol, TypeVar

from matatika_deploy.runtime.signals import Inbox, Signals

T = TypeVar("T")

# Python runs a signal's handler between two bytecodes of the main thread. A signal that arrives just before a wait
# begins, or in another thread, does not end that wait: so no wait is longer than this in one piece (seconds).
_LONGEST_WAIT = 0.1
# How often to try for a lock that another thread holds (seconds).
_LOCK_PAUSE = 0.02

TASK_THREAD = "task"
"""The name of every task's thread."""


class Cancelled(Exception):
    """The scope was cancelled: by a signal, `signum`, or (None) by another thread."""

    def __init__(self, signum: int | None) -> None:
        super().__init__(f"signal {signum}" if signum else "cancelled")
        self.signum = signum


class DeadlineExceeded(Exception):
    """The scope's deadline has passed."""


class TaskTimeout(Exception):
    """A task took longer than the caller waits; it goes on without anyone who waits for it."""


class Clock(Protocol):
    """Where time comes from."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""

    def wait(self, inbox: Inbox, seconds: float) -> object:
        """Take the next thing from `inbox`; raises `queue.Empty` when `seconds` have passed without one."""


class SystemClock:
    """The machine's clock."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def wait(self, inbox: Inbox, seconds: float) -> object:
        """Take the next thing from `inbox`, waiting at most `seconds`."""
        end = time.monotonic() + seconds
        with suppress(Empty):
            # Before Python 3.13, a `get` whose timeout is over at once may block for ever on a queue that was filled
            # and emptied without waiting. A `get` that does not block never does, and resets the queue.
            return inbox.get_nowait()
        while (left := end - time.monotonic()) > _LONGEST_WAIT:
            with suppress(Empty):
                return inbox.get(timeout=_LONGEST_WAIT)
        return inbox.get(timeout=max(left, 0.0))


SYSTEM_CLOCK = SystemClock()


class Task(Generic[T]):
    """Work in a daemon thread, which puts itself into an inbox when it is done.

    Raises:
        RuntimeError: if no thread can be started.
    """

    def __init__(self, work: Callable[[], T], inbox: Inbox) -> None:
        self._work = work
        self._inbox = inbox
        self._result: T | None = None
        self._error: BaseException | None = None
        self.is_done = False
        Thread(target=self._run, name=TASK_THREAD, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        self.is_done = True
        self._inbox.put(self)

    def result(self) -> T:
        """Return what the work returned, or raise what it raised. Only for a task that is done."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class CancelScope:
    """The waits of one thread, up to one deadline; every wait is a checkpoint.

    A checkpoint raises `Cancelled` once the scope is cancelled (`cancel`, or the first of `signals`), and
    `DeadlineExceeded` once its deadline has passed. After `begin_shutdown` signals no longer raise: a further one only
    moves the deadline closer.
    """

    def __init__(self, clock: Clock, signals: Signals | None = None, deadline: float = inf) -> None:
        """`deadline` is a moment of the clock's `monotonic`."""
        self.clock = clock
        self.signals = signals
        self._inbox: Inbox = signals.inbox if signals else SimpleQueue()
        self._deadline = deadline
        self._is_cancelled = False
        self._is_woken = False
        self._handled_signals: int | None = None
        self._grace_after_signal = 0.0
        self._grace_end = inf

    @property
    def deadline(self) -> float:
        """The moment, by the clock's `monotonic`, at which every wait ends."""
        return min(self._deadline, self._grace_end)

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = deadline

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - self.clock.monotonic())

    @property
    def is_shutting_down(self) -> bool:
        """Whether signals only shorten what is left."""
        return self._handled_signals is not None

    def cancel(self) -> None:
        """Cancel the scope from any thread."""
        self._is_cancelled = True
        self._inbox.put(None)

    def wake(self) -> None:
        """End the thread's current `sleep`, or its next one, if that is `wakeable`. From any thread."""
        self._is_woken = True
        self._inbox.put(None)

    def begin_shutdown(self, deadline: float, grace_after_signal: float, handled_signals: int) -> None:
        """Ignore the signals so far, and wait until `deadline` at most.

        A signal beyond the first `handled_signals` leaves `grace_after_signal` seconds. Calling it again can only move
        the deadline earlier.
        """
        self._deadline = deadline if self._handled_signals is None else min(deadline, self._deadline)
        self._grace_after_signal = grace_after_signal
        self._handled_signals = max(handled_signals, self._handled_signals or 0)

    @contextmanager
    def fail_after(self, seconds: float) -> Iterator[None]:
        """Move the deadline to at most `seconds` from now, within the block."""
        deadline = self._deadline
        self._deadline = min(deadline, self.clock.monotonic() + seconds)
        try:
            yield
        finally:
            self._deadline = deadline

    def start(self, work: Callable[[], T]) -> Task[T]:
        """Start a task, whose end wakes this scope."""
        self.checkpoint()
        return Task(work, self._inbox)

    def join(self, task: Task[T], seconds: float) -> T:
        """Wait for a task's result, for at most `seconds`.

        Raises:
            TaskTimeout: when `seconds` have passed.
            Cancelled, DeadlineExceeded: see the class. The task goes on, and can be joined again.
        """
        end = self.clock.monotonic() + seconds
        while not task.is_done:
            self.checkpoint()
            left = end - self.clock.monotonic()
            if left <= 0:
                raise TaskTimeout
            with suppress(Empty):
                self.clock.wait(self._inbox, min(left, self.remaining))
        return task.result()

    def run(self, work: Callable[[], T], seconds: float) -> T:
        """Start a task and wait for its result."""
        return self.join(self.start(work), seconds)

    def sleep(self, seconds: float, *, wakeable: bool = False) -> None:
        """Let time pass; `wake` ends a sleep that is `wakeable`."""
        end = self.clock.monotonic() + seconds
        while not (wakeable and self._is_woken) and (left := end - self.clock.monotonic()) > 0:
            self.checkpoint()
            with suppress(Empty):
                self.clock.wait(self._inbox, min(left, self.remaining))
        if wakeable:
            self._is_woken = False
        self.checkpoint()

    @contextmanager
    def hold(self, lock: Lock) -> Iterator[None]:
        """Hold a lock within the block; waiting for it is a checkpoint like any other wait."""
        while not lock.acquire(blocking=False):
            self.sleep(_LOCK_PAUSE)
        try:
            yield
        finally:
            lock.release()

    def checkpoint(self) -> None:
        """Raise what a wait would raise now."""
        if self._is_cancelled:
            raise Cancelled(None)
        if self.signals is None:
            pass
        elif self._handled_signals is None:
            if self.signals.first is not None:
                raise Cancelled(self.signals.first)
        elif self.signals.count > self._handled_signals:
            self._handled_signals = self.signals.count
            self._grace_end = self.clock.monotonic() + self._grace_after_signal
        if self.clock.monotonic() >= self.deadline:
            raise DeadlineExceeded
