"""The platform's time, which tests may move by hand."""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

_POLL = 0.001  # seconds between two looks at a clock of which only the caller knows how fast it runs

Held = Callable[[float], AbstractContextManager[None]]
"""What surrounds each wait for a moment, so that a clock can know that a request is held."""


class Clock:
    """Tells the time and waits for it, in simulated seconds since 1970."""

    def __init__(self, now: Callable[[], float] | None = None, held: Held | None = None) -> None:
        """Time is whatever `now()` says; without it, the real one."""
        self._is_real = now is None
        self._held = held or (lambda _until: nullcontext())
        self.now = now or time.time
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
        with self._held(until):
            while not changed.is_set() and (left := until - self.now()) > 0:
                real = None if math.isinf(left) else left
                try:
                    await asyncio.wait_for(changed.wait(), real if self._is_real else _POLL)
                except TimeoutError:
                    continue

    async def sleep(self, seconds: float) -> None:
        """Return after so many simulated seconds, whatever happens meanwhile."""
        until = self.now() + seconds
        while self.now() < until:
            await self.wait(until)
