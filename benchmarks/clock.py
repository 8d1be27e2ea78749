"""A clock on which half an hour of waiting takes seconds, while work takes the time that it takes."""

import threading
import time
from collections.abc import Callable
from math import inf
from queue import Empty

from matatika_deploy.runtime.signals import Inbox

# A step whose log is streamed waits in one thread and reads in another; nothing came for so long: it waits altogether.
_CALM = 0.03
_LOOK_EVERY = 0.002


class SkippingClock:
    """The machine's time, which jumps ahead to the next thing to happen whenever a step does nothing but wait.

    It is a `cancellation.Clock` for one step. What the step and the platform work counts as it is, so that
    the moments are those of a real run in which the waits were cut out.
    """

    def __init__(self, is_held: bool) -> None:
        """`is_held`: the step's log is a stream that stays open, so that one of its two threads waits for bytes."""
        self._is_held = is_held
        self._skipped = 0.0
        self._lock = threading.Lock()
        self._waits: dict[int, tuple[float, Inbox]] = {}
        self._last_change = time.monotonic()
        self.next_event: Callable[[float], float] = lambda _now: inf
        """When (by `time`) the platform next does something of itself, seen from a moment."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() + self._skipped

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._skipped

    def wait(self, inbox: Inbox, seconds: float) -> object:
        """Wait for the next thing in `inbox`; raises `queue.Empty` when `seconds` have passed without one."""
        end = self.monotonic() + seconds
        self._change(lambda: self._waits.update({threading.get_ident(): (end, inbox)}))
        try:
            while (left := end - self.monotonic()) > 0:
                try:
                    return inbox.get(timeout=min(left, _LOOK_EVERY))
                except Empty:
                    self._skip()
            return inbox.get_nowait()
        finally:
            self._change(lambda: self._waits.pop(threading.get_ident()))

    def leap(self, seconds: float) -> None:
        """Leave out a part of the time, whatever goes on."""
        with self._lock:
            self._skipped += seconds

    def _change(self, change: Callable[[], object]) -> None:
        with self._lock:
            change()
            self._last_change = time.monotonic()

    def _skip(self) -> None:
        """Jump to the next thing to happen, if nothing else is going on."""
        with self._lock:
            is_calm = time.monotonic() - self._last_change > _CALM
            is_idle = len(self._waits) == 2 or (self._is_held and is_calm)
            if not is_idle or not all(inbox.empty() for _, inbox in self._waits.values()):
                return
            wake_up = min(end for end, _ in self._waits.values()) - self.monotonic()
            event = self.next_event(self.time()) - self.time() if self._is_held else inf
            self._skipped += max(0.0, min(wake_up, event))
            self._last_change = time.monotonic()
