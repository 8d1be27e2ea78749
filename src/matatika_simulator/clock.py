"""The platform's time, which tests may run faster than the real one or move by hand."""

import asyncio
import math
import time
from collections.abc import Callable

_POLL = 0.005  # seconds between two looks at a clock of which only the caller knows how fast it runs


def running(speed: float = 1.0) -> Callable[[], float]:
    """A clock that starts at the present time and runs `speed` times as fast as the real one (seconds since 1970)."""
    epoch, origin = time.time(), time.monotonic()
    return lambda: epoch + (time.monotonic() - origin) * speed


class Clock:
    """Tells the time and waits for it, in simulated seconds since 1970."""

    def __init__(self, now: Callable[[], float] | None = None, speed: float = 1.0) -> None:
        """With `now`, time is whatever `now()` says; without, it runs `speed` times as fast as the real one."""
        self.now = now or running(speed)
        self._speed = None if now else speed
        self._changed: asyncio.Event | None = None

    def notify(self) -> None:
        """Wake everyone who waits: something happened that no clock foretells, such as a withdrawal."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait(self, until: float) -> None:
        """Return at the time `until`, or earlier when something happens (see `notify`)."""
        if self._changed is None:
            self._changed = asyncio.Event()
        changed = self._changed
        while not changed.is_set() and (left := until - self.now()) > 0:
            try:
                await asyncio.wait_for(changed.wait(), self._real(left))
            except TimeoutError:
                continue

    async def sleep(self, seconds: float) -> None:
        """Return after so many simulated seconds, whatever happens meanwhile."""
        until = self.now() + seconds
        while self.now() < until:
            await self.wait(until)

    def _real(self, seconds: float) -> float | None:
        if self._speed is None:
            return _POLL
        return None if math.isinf(seconds) else seconds / self._speed
