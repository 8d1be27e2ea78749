"""A clock for tests in which a step runs at full speed: nothing is slept, and hours pass in milliseconds."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty

from matatika_deploy.runtime.signals import Inbox

# Real seconds. A thread that does something else than wait gets so long to come to its next wait (a request on loopback
# takes a few milliseconds); after that it is taken to be held up by a peer that itself waits for time to pass. It could
# be the machine that is slow, so that no more than a short step is made then.
_PATIENCE = 0.01
_STEP = 2.0
_LOOK_EVERY = 0.0005


class FakeClock:
    """Time that stands still while a step works, and jumps to the next wake-up when all of its threads wait.

    It is a `cancellation.Clock`. The threads of the step are those that ever asked it for the time, or
    waited; a simulator gets `now`, which makes its thread none of them: `Simulator(…, clock=clock.now)`.
    """

    def __init__(self, start: float = 1_700_000_000.25, patience: float = _PATIENCE) -> None:
        """`start` is in seconds since 1970. Where no peer ever waits for time to pass, `patience` may be long."""
        self._start = start
        self._patience = patience
        self._passed = 0.0
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._wake_ups: dict[threading.Thread, float] = {}
        self._inboxes: dict[threading.Thread, Inbox] = {}
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._last_change = time.monotonic()

    @property
    def passed(self) -> float:
        """Seconds since the clock was made, for whoever is no thread of the step."""
        return self._passed

    def now(self) -> float:
        """Seconds since 1970, for whoever is no thread of the step."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Seconds since some moment."""
        self._join()
        return self._passed

    def time(self) -> float:
        """Seconds since 1970."""
        self._join()
        return self.now()

    def wait(self, inbox: Inbox, seconds: float) -> object:
        """Wait for the next thing in `inbox`; raises `queue.Empty` when `seconds` have passed without one."""
        thread = threading.current_thread()
        with self._lock:
            self._threads.add(thread)
            wake_up = self._wake_ups[thread] = self._passed + seconds
            self._inboxes[thread] = inbox
            self._last_change = time.monotonic()
        try:
            with suppress(Empty):
                # Never at once with a timeout: see `SystemClock.wait`.
                return inbox.get_nowait()
            while not self._is_past(wake_up):
                try:
                    return inbox.get(timeout=_LOOK_EVERY)
                except Empty:
                    continue
            raise Empty
        finally:
            with self._lock:
                del self._wake_ups[thread], self._inboxes[thread]
                self._last_change = time.monotonic()

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

    def _join(self) -> None:
        self._threads.add(threading.current_thread())

    def _is_past(self, moment: float) -> bool:
        """Whether a moment has come; lets time pass to the next wake-up if nobody has anything else to do."""
        due: list[Callable[[], None]] = []
        with self._lock:
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            wake_up = min(self._wake_ups.values())
            if not all(inbox.empty() for inbox in self._inboxes.values()):
                # Somebody is about to wake up.
                self._last_change = time.monotonic()
            elif self._threads <= self._wake_ups.keys():
                due = self._pass_to(wake_up)
            elif time.monotonic() - self._last_change > self._patience:
                due = self._pass_to(min(wake_up, self._passed + _STEP))
                self._last_change = time.monotonic()
            is_past = self._passed >= moment
        for action in due:
            action()
        return is_past

    def _pass_to(self, moment: float) -> list[Callable[[], None]]:
        """Let time pass to a moment, or to the first timer before it; gives what is due then."""
        moment = min([moment, *(due for due, _ in self._timers)])
        if moment > self._passed:
            self._passed = moment
        actions = [action for due, action in self._timers if due <= self._passed]
        self._timers = [timer for timer in self._timers if timer[0] > self._passed]
        return actions
