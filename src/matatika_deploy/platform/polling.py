"""Looking at a job until it is over: often at first, when most jobs end, then ever less."""

from collections.abc import Callable, Iterator
from random import uniform

from matatika_deploy.platform.job import Job

# So many times as long do pauses become whenever the platform asks to wait, up to a limit.
_STRAIN, _MOST_STRAIN = 4.0, 10.0
# After so many pauses in which it asked for nothing, they are halved.
_PAUSES_TO_RECOVER = 10
# Between two readings of what is left of the log, once the job has ended, in seconds.
_CLOSING = 0.1
# Until the platform has recovered, the log is read only after every third look.
_LOOKS_PER_READING = 3


def poll(get: Callable[[Job], Job], job: Job, sleep: Callable[[], None]) -> Iterator[Job]:
    """Yield a job's states, one for each look, up to the one in which it is over.

    `get` looks at the job, `sleep` makes the pause before; what they raise ends the polling. Yields nothing for a job
    that is over already.
    """
    while not job.is_over:
        sleep()
        job = get(job)
        yield job


class Pace:
    """Pauses of 5 % of the time that has passed, within bounds; all in seconds but the fractions.

    The pause that a job of any length ends in is then a small part of that length. The jitter keeps steps that were
    started together from asking together.

    A platform that asks to wait gets longer pauses: many steps that only repeat what was refused, as they are told,
    keep a busy platform busy for ever. What makes room is that each asks for less, and does so at once.
    """

    def __init__(self, longest: float, shortest: float = 1.0, share: float = 0.05, jitter: float = 0.1) -> None:
        self.longest = longest
        self.shortest = shortest
        self.share = share
        self.jitter = jitter
        self._strain = 1.0
        self._calm = 0

    def pause(self, elapsed: float) -> float:
        """Return the pause to make `elapsed` seconds after the beginning."""
        pause = min(max(elapsed * self.share, self.shortest) * self._strain, self.longest)
        self._calm += 1
        if self._calm == _PAUSES_TO_RECOVER:
            self._strain, self._calm = max(self._strain / 2, 1.0), 0
        return pause * uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311

    def slow_down(self) -> None:
        """Make longer pauses for a while: the platform has asked for it."""
        self._strain, self._calm = min(self._strain * _STRAIN, _MOST_STRAIN, self.longest / self.shortest), 0

    @property
    def is_slow(self) -> bool:
        """Whether pauses are longer than they would be of themselves."""
        return self._strain > 1

    @property
    def looks_per_reading(self) -> int:
        """How many looks at the job there are to one reading of its log, while it is written."""
        return _LOOKS_PER_READING if self.is_slow else 1

    @property
    def apart(self) -> float:
        """The pause between a look at the job and the reading of its log that follows."""
        return self.shortest if self.is_slow else 0.0

    @property
    def closing(self) -> float:
        """The pause between two readings of what is left of the log, once the job has ended."""
        return self.shortest if self.is_slow else _CLOSING
