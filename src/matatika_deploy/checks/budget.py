"""The CPU time that one check may take, whatever the checkout holds."""

import time
from collections.abc import Callable

from matatika_deploy.runtime.limits import CHECK_SECONDS


class Budget:
    """A limit on the CPU time of the current thread. Every loop over what a repository holds asks whether it is spent.

    A single step between two looks at the budget takes well below one second more.

    Arguments:
        seconds: of CPU time, counted from now.
        clock: gives the CPU time in seconds.
    """

    def __init__(self, seconds: float = CHECK_SECONDS, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @property
    def is_spent(self) -> bool:
        """Whether the check has to end."""
        return self._clock() >= self._end
