"""What goes wrong, with which calls, when. Choosing is pure; `matatika_simulator.wire` does the harm."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

CALLS: Final = ("token", "trigger", "webhook", "jobs", "job", "logs", "withdraw", "delete", "workspace")
"""The names of the calls, as they stand in scenarios and in the journal."""


@dataclass(frozen=True)
class Selection:
    """Which requests of a call are meant, counted from 1 for each call; every condition must hold."""

    numbers: frozenset[int] | None = None
    start: int = 1
    stop: float = math.inf
    every: int = 1
    during: tuple[float, float] | None = None
    """Seconds since the first deployment that was triggered here; never before there is one."""

    def matches(self, number: int, elapsed: float | None) -> bool:
        """Whether the `number`th request is meant, `elapsed` seconds after the first trigger (None: before it)."""
        if self.during is not None and (elapsed is None or not self.during[0] <= elapsed < self.during[1]):
            return False
        if self.numbers is not None and number not in self.numbers:
            return False
        return self.start <= number <= self.stop and number % self.every == 0


@dataclass(frozen=True)
class Canned:
    """An answer that stands in the scenario. A body of None is the API's own error body."""

    status: int
    body: bytes | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str | None = None
    """The `message` of the API's error body."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. Without `answer`, `drop`, `hang` and `expire_token` the true answer is given."""

    calls: frozenset[str]
    requests: Selection = field(default_factory=Selection)
    answer: Canned | None = None
    drop: Literal["close", "reset"] | None = None
    hang: bool = False
    expire_token: bool = False
    after: bool = False
    """The call has its effect first; only then things go wrong."""
    delay: float = 0.0
    cut: int | None = None
    """Close the connection after so many bytes of the body."""
    stall: int | None = None
    """Fall silent for good after so many bytes of the body."""

    def describe(self) -> str:
        """A few words for the journal."""
        words = []
        if self.delay:
            words.append(f"delay {self.delay:g} s")
        if self.answer is not None:
            words.append(f"status {self.answer.status}")
        if self.drop is not None:
            words.append("reset" if self.drop == "reset" else "drop")
        if self.hang:
            words.append("hang")
        if self.expire_token:
            words.append("expire token")
        if self.cut is not None:
            words.append(f"cut at {self.cut}")
        if self.stall is not None:
            words.append(f"stall at {self.stall}")
        return ", ".join(words) + (" after the effect" if self.after else "")


class Faults:
    """Counts the requests of each call and finds what is to go wrong with the next."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = tuple(faults)
        self._seen: Counter[str] = Counter()

    def choose(self, call: str, elapsed: float | None) -> Fault | None:
        """Count a request; return the first fault that means it. `elapsed` as in `Selection.matches`."""
        self._seen[call] += 1
        number = self._seen[call]
        return next((f for f in self._faults if call in f.calls and f.requests.matches(number, elapsed)), None)
