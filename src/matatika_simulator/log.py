"""A job's log as a function of time: how much of it is written, where a line starts, what stands there.

What is due at a time is always compared as `began + at`, never as `now - began`: the two differ by rounding, and who
waits for the one must not find the other.

Nothing here is ever held in memory twice, and generated lines are not held at all, so that a log may have a gigabyte.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

PIECE = 256 * 1024  # bytes that are read at once, at most


class Part(Protocol):
    """A stretch of a log. Its own times are seconds since the job began to run, its positions bytes from its start."""

    @property
    def begins(self) -> float:
        """When its first byte is written."""

    @property
    def ends(self) -> float:
        """When its last byte is written."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    @property
    def newlines(self) -> int:
        """LF bytes in all."""

    def written(self, now: float, began: float) -> int:
        """Bytes written by now, if the job began to run at that time."""

    def next_write(self, now: float, began: float) -> float:
        """When the next bytes after now are written; infinity after the last."""

    def after_newline(self, number: int) -> int:
        """Position right after the LF of that number, counted from 1."""

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` up to `stop`, in pieces."""


@dataclass(frozen=True)
class Text:
    """Bytes that are written all at once."""

    at: float
    data: bytes

    @property
    def begins(self) -> float:  # noqa: D102 (see Part; likewise below)
        return self.at

    @property
    def ends(self) -> float:  # noqa: D102
        return self.at

    @property
    def size(self) -> int:  # noqa: D102
        return len(self.data)

    @property
    def newlines(self) -> int:  # noqa: D102
        return len(self._line_ends)

    def written(self, now: float, began: float) -> int:  # noqa: D102
        return len(self.data) if began + self.at <= now else 0

    def next_write(self, now: float, began: float) -> float:  # noqa: D102
        return began + self.at if began + self.at > now else math.inf

    def after_newline(self, number: int) -> int:  # noqa: D102
        return self._line_ends[number - 1]

    def read(self, start: int, stop: int) -> Iterator[bytes]:  # noqa: D102
        for position in range(start, stop, PIECE):
            yield self.data[position : min(position + PIECE, stop)]

    @cached_property
    def _line_ends(self) -> list[int]:
        return [match.end() for match in re.finditer(b"\n", self.data)]


@dataclass(frozen=True)
class Lines:
    """Numbered lines of equal length, written evenly over a time.

    `prefix`, the line's number from 0 with leading zeros, `suffix`, LF. Equal lengths make every position plain
    arithmetic.
    """

    at: float
    over: float
    count: int
    prefix: bytes
    suffix: bytes

    _BLOCK_DIGITS = 3

    @property
    def begins(self) -> float:  # noqa: D102
        return self.at

    @property
    def ends(self) -> float:  # noqa: D102
        return self.at + self.over

    @property
    def size(self) -> int:  # noqa: D102
        return self.count * self.line_size

    @property
    def newlines(self) -> int:  # noqa: D102
        return self.count

    @cached_property
    def line_size(self) -> int:
        """Bytes of one line, with its LF."""
        return len(self.prefix) + self._digits + len(self.suffix) + 1

    def written(self, now: float, began: float) -> int:  # noqa: D102
        return self._lines_written(now, began) * self.line_size

    def next_write(self, now: float, began: float) -> float:  # noqa: D102
        lines = self._lines_written(now, began)
        return began + self._time_of(lines) if lines < self.count else math.inf

    def after_newline(self, number: int) -> int:  # noqa: D102
        return number * self.line_size

    def read(self, start: int, stop: int) -> Iterator[bytes]:  # noqa: D102
        block_size = self.line_size * 10**self._BLOCK_DIGITS
        for number in range(start // block_size, -(-stop // block_size)):
            offset = number * block_size
            block = self._block(number)[max(start - offset, 0) : stop - offset]
            for position in range(0, len(block), PIECE):
                yield block[position : position + PIECE]

    @cached_property
    def _digits(self) -> int:
        return max(len(str(self.count - 1)), self._BLOCK_DIGITS)

    def _time_of(self, line: int) -> float:
        return self.at + self.over * line / self.count

    def _lines_written(self, now: float, began: float) -> int:
        return bisect_right(range(self.count), now, key=lambda line: began + self._time_of(line))

    def _block(self, number: int) -> bytes:
        """A thousand lines that differ from those of another block in their leading digits alone.

        Replacing these in a ready-made block is an order of magnitude faster than formatting each line.
        """
        leading = self._digits - self._BLOCK_DIGITS
        return self._template.replace(b"\0" * leading, b"%0*d" % (leading, number)) if leading else self._template

    @cached_property
    def _template(self) -> bytes:
        head = self.prefix + b"\0" * (self._digits - self._BLOCK_DIGITS)
        lines = min(self.count, 10**self._BLOCK_DIGITS)
        return b"".join(b"%b%0*d%b\n" % (head, self._BLOCK_DIGITS, line, self.suffix) for line in range(lines))


@dataclass(frozen=True)
class Log:
    """Parts, one after the other. Times are seconds since the job began to run, positions bytes from the start."""

    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` if a part begins before the one in front of it is written."""
        for earlier, later in pairwise(self.parts):
            if later.begins < earlier.ends:
                raise ValueError(
                    f"what is written at {later.begins:g} s comes after what is written at {earlier.ends:g} s"
                )

    def written(self, now: float, began: float = 0.0) -> int:
        """Bytes written by now, if the job began to run at that time."""
        return sum(part.written(now, began) for part in self.parts)

    def next_write(self, now: float, began: float = 0.0) -> float:
        """When the next bytes after now are written; infinity after the last."""
        return min((part.next_write(now, began) for part in self.parts), default=math.inf)

    def start_of_line(self, number: int) -> int | None:
        """Where the line of that number (from 0) starts, or None if the log never gets so far."""
        offset = 0
        for part in self.parts:
            if number <= part.newlines:
                return offset + (part.after_newline(number) if number else 0)
            number -= part.newlines
            offset += part.size
        return None if number else offset

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` up to `stop`, in pieces of `PIECE` bytes at most."""
        offset = 0
        for part in self.parts:
            first, last = max(start - offset, 0), min(stop - offset, part.size)
            if first < last:
                yield from part.read(first, last)
            offset += part.size
