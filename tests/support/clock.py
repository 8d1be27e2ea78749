"""A clock for tests in which a step runs at full speed: nothing is slept, and hours pass in milliseconds."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty

from matatika_deploy.runtime.cancellation import TASK_THREAD
from matatika_deploy.runtime.signals import Inbox

# Between two looks at what the other threads do (real seconds).
_LOOK_EVERY = 0.0005
# Real seconds after which a wait in which no time passes is a failure, and no hang.
_GIVE_UP_AFTER = 120.0
# A server that waits sees what happens within so many of the clock's seconds at once: it may be hundreds of lines.
_TICK = 0.1


class FakeClock:
    """Time that stands still while anything is done, and jumps to the next wake-up when everybody waits for it.

    It is a `cancellation.Clock`. The threads of a step are those that ever asked it for the time, or waited, and every
    task. Time passes when each of them waits here, or is a task whose request is `held` by a server that waits for
    time itself:

        with Simulator(…, clock=clock.now, held=clock.held) as simulator: …
    """

    def __init__(self, start: float = 1_700_000_000.25) -> None:
        """`start` is in seconds since 1970."""
        self._start = start
        self._passed = 0.0
        self._lock = threading.Lock()
        self._earlier = set(threading.enumerate())
        self._threads: set[threading.Thread] = set()
        self._waits: dict[threading.Thread, tuple[float, Inbox]] = {}
        self._held: list[float] = []
        self._timers: list[tuple[float, Callable[[], None]]] = []

    @property
    def passed(self) -> float:
        """Seconds since the clock was made, for whoever is no thread of the step."""
        return self._passed

    def now(self) -> float:
        """Seconds since 1970, for whoever is no thread of the step."""
        return self._start + self._passed

    def monotonic(self) -> float:
        self._threads.add(threading.current_thread())
        return self._passed

    def time(self) -> float:
        return self._start + self.monotonic()

    def wait(self, inbox: Inbox, seconds: float) -> object:
        """Wait for the next thing in `inbox`; raises `queue.Empty` when `seconds` have passed without one."""
        with suppress(Empty):
            # Never at once with a timeout: see `SystemClock.wait`.
            return inbox.get_nowait()
        thread = threading.current_thread()
        end = self.monotonic() + seconds
        with self._lock:
            self._waits[thread] = end, inbox
        began = time.monotonic()
        try:
            while self._passed < end:
                self._pass_if_all_wait()
                if thread is threading.main_thread() and time.monotonic() - began > _GIVE_UP_AFTER:
                    raise AssertionError("time does not pass: a thread of the step neither waits nor ends")
                with suppress(Empty):
                    return inbox.get(timeout=_LOOK_EVERY)
            raise Empty
        finally:
            with self._lock:
                del self._waits[thread]

    @contextmanager
    def held(self, until: float) -> Iterator[None]:
        """Within the block, one request waits for a moment in seconds since 1970."""
        moment = max(until - self._start, self._passed + _TICK)
        with self._lock:
            self._held.append(moment)
        try:
            yield
        finally:
            with self._lock:
                self._held.remove(moment)

    def advance(self, seconds: float) -> None:
        """Let time pass, for a peer whose silence would have taken so long."""
        with self._lock:
            end = self._passed + seconds
            due = self._pass_to(end)
            self._passed = end
        for action in due:
            action()

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` when so much time has passed, in whatever thread notices."""
        with self._lock:
            self._timers.append((self._passed + seconds, action))

    def _pass_if_all_wait(self) -> None:
        """Let time pass to the next wake-up, if nobody has anything else to do."""
        with self._lock:
            if not all(inbox.empty() for _, inbox in self._waits.values()):
                return
            alive = set(threading.enumerate())
            tasks = {thread for thread in alive - self._earlier if thread.name == TASK_THREAD}
            busy = (tasks | self._threads) & alive - self._waits.keys()
            held = [moment for moment in self._held if moment > self._passed]
            if not busy <= tasks or len(busy) > len(held):
                return
            due = self._pass_to(min([*(end for end, _ in self._waits.values()), *held]))
        for action in due:
            action()

    def _pass_to(self, moment: float) -> list[Callable[[], None]]:
        """Let time pass to a moment, or to the first timer before it; gives what is due then."""
        moment = min([moment, *(due for due, _ in self._timers)])
        if moment > self._passed:
            self._passed = moment
        actions = [action for due, action in self._timers if due <= self._passed]
        self._timers = [timer for timer in self._timers if timer[0] > self._passed]
        return actions
