"""Measurements, and how they are written down."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Figures:
    """Measurements of one thing, at least one of them, in the order in which they were made."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figures":
        """Take measurements."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """The one in the middle."""
        return median(self.values)

    @property
    def least(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest."""
        return max(self.values)

    def over(self, others: "Figures") -> "Figures":
        """Give the ratio of two things that were measured in turns, round by round."""
        return Figures.of(one / other for one, other in zip(self.values, others.values, strict=True))

    def show(self, digits: int, unit: str = "") -> str:
        """Give the median with minimum and maximum beside it: `0.12 s (0.11 to 0.15)`."""
        return f"{self.median:.{digits}f}{unit and ' '}{unit} ({self.least:.{digits}f} to {self.most:.{digits}f})"


@dataclass(frozen=True)
class Row:
    """One promise: what was found, what was to be reached, and whether it was; None if it could not be measured."""

    what: str
    found: str
    to_reach: str
    is_met: bool | None


@dataclass(frozen=True)
class Section:
    """What one benchmark has to say: rows for the table of promises, and its own page."""

    title: str
    rows: Sequence[Row]
    text: str


@dataclass
class Table:
    """A Markdown table."""

    columns: Sequence[str]
    lines: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a line."""
        self.lines.append(cells)

    def __str__(self) -> str:
        """Give it as Markdown."""
        rows = [self.columns, ["---"] * len(self.columns), *self.lines]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def alternate(contenders: Sequence[Callable[[], float]], rounds: int) -> list[Figures]:
    """Measure several things in turns, so that whatever else the machine does meets all of them alike.

    The first round only warms up. Every second one goes in the opposite order.
    """
    found: list[list[float]] = [[] for _ in contenders]
    for number in range(rounds + 1):
        order = range(len(contenders)) if number % 2 else reversed(range(len(contenders)))
        for index in order:
            value = contenders[index]()
            if number:
                found[index].append(value)
    return [Figures.of(values) for values in found]
