"""How long to wait between two looks: often at first, when most jobs end, then ever less."""

from dataclasses import dataclass
from random import uniform


@dataclass
class Pace:
    """Pauses of 5 % of the time that has passed, within bounds; all in seconds but the fractions.

    The pause that a job of any length ends in is then a small part of that length. The jitter keeps steps that were
    started together from asking together.
    """

    longest: float
    shortest: float = 1.0
    share: float = 0.05
    jitter: float = 0.1
    apart: float = 0.0
    """Between a look at the job and the reading of its log that follows."""
    closing: float = 0.1
    """Between two readings of what is left of the log, once the job has ended."""

    def pause(self, elapsed: float) -> float:
        """Give the pause to make `elapsed` seconds after the beginning."""
        pause = min(max(elapsed * self.share, self.shortest), self.longest)
        return pause * uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311

    def slow_down(self) -> None:
        """Ask as seldom as may be from now on: the platform has said that it is asked too often.

        Many steps that only repeat what was refused, as they are told, keep a busy platform busy for ever; what makes
        room is that each asks for less.
        """
        self.shortest, self.apart, self.closing = self.longest, 1.0, 1.0
