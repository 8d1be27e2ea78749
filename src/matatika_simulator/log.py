"""A job's log as a function of time: how much of it is written, where a line starts, what stands there.

What is due at a time is always compared as `began + at`, never as `now - began`: the two differ by rounding, and who
waits for the one must not find the other.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import accumulate

PIECE = 256 * 1024  # bytes that are handed out at once, at most


class Log:
    """What a job writes. Times are seconds since it began to run, positions bytes from the start of the log."""

    def __init__(self, writes: Iterable[tuple[float, bytes]] = ()) -> None:
        """`writes` are times, which never go back, and what is written then."""
        parts = list(writes)
        self._data = b"".join(data for _, data in parts)
        self._times = [at for at, _ in parts]
        self._sizes = [0, *accumulate(len(data) for _, data in parts)]

    def written(self, now: float, began: float) -> int:
        """Bytes written by now, if the job began to run at that time."""
        return self._sizes[self._due(now, began)]

    def next_write(self, now: float, began: float) -> float:
        """When the next bytes after now are written; infinity after the last."""
        due = self._due(now, began)
        return began + self._times[due] if due < len(self._times) else math.inf

    def start_of_line(self, number: int) -> int:
        """Where the line of that number (from 0) starts; the end of the log if it never gets so far."""
        return self._line_starts[number] if number < len(self._line_starts) else len(self._data)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` up to `stop`, in pieces of `PIECE` bytes at most."""
        for position in range(start, stop, PIECE):
            yield self._data[position : min(position + PIECE, stop)]

    def _due(self, now: float, began: float) -> int:
        return bisect_right(self._times, now, key=lambda at: began + at)

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer(b"\n", self._data))]


def numbered_lines(count: int, text: str, size: int) -> list[bytes]:
    """Lines of equal length, `size` bytes at least, each with its number (from 0, with leading zeros) for `{n}`."""
    before, _, after = text.partition("{n}")
    digits = max(3, len(str(count - 1)))
    padding = "." * (size - len(f"{before}{after}\n".encode()) - digits)
    return [f"{before}{number:0{digits}}{after}{padding}\n".encode() for number in range(count)]
