"""How long to wait between two looks: often at first, when most jobs end, then ever less."""

from dataclasses import dataclass
from random import uniform


@dataclass(frozen=True)
class Pace:
    """Pauses of 5 % of the time that has passed, within bounds; all in seconds but the fractions.

    The pause that a job of any length ends in is then a small part of that length. The jitter keeps steps that were
    started together from asking together.
    """

    longest: float
    shortest: float = 1.0
    share: float = 0.05
    jitter: float = 0.1

    def pause(self, elapsed: float) -> float:
        """Give the pause to make `elapsed` seconds after the beginning."""
        pause = min(max(elapsed * self.share, self.shortest), self.longest)
        return pause * uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311  # noqa: S311
