"""Clocks to hand to a step: time that stands still until somebody waits, and time that flies."""

import time
from collections.abc import Callable
from queue import Empty

from matatika_deploy.signals import Inbox

EPOCH = 1_700_000_000.0


class SteppedClock:
    """Time that passes only while somebody waits for it; for one thread.

    `monotonic` starts at 0, and `time` at `EPOCH`.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._plans: list[tuple[float, Callable[[], object]]] = []

    def at(self, moment: float, deed: Callable[[], object]) -> None:
        """Have something happen at a moment of `monotonic`, during whatever wait it falls into."""
        self._plans.append((moment, deed))
        self._plans.sort(key=lambda plan: plan[0])

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self.now

    def time(self) -> float:
        """Seconds since 1970."""
        return EPOCH + self.now

    def wait(self, inbox: Inbox, seconds: float) -> object:
        """Let time pass until there is something in `inbox`, at most `seconds`."""
        end = self.now + seconds
        while inbox.empty() and self._plans and self._plans[0][0] <= end:
            moment, deed = self._plans.pop(0)
            self.now = max(self.now, moment)
            deed()
        if inbox.empty():
            self.now = max(self.now, end)
            raise Empty
        return inbox.get_nowait()


class FastClock:
    """The machine's time, `speed` times as fast; for any number of threads."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._origin = time.monotonic()

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (time.monotonic() - self._origin) * self._speed

    def time(self) -> float:
        """Seconds since 1970."""
        return EPOCH + self.monotonic()

    def wait(self, inbox: Inbox, seconds: float) -> object:
        """Wait for the next thing in `inbox`, at most `seconds` of this clock."""
        return inbox.get(timeout=max(seconds, 0.0) / self._speed)
