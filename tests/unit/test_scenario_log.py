"""The log as a function of time, against the same log simply written out."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_simulator.log import PIECE, Lines, Log, Part, Text


def whole(log: Log) -> bytes:
    return b"".join(log.read(0, log.written(math.inf)))


def numbered(lines: Lines) -> bytes:
    digits = max(3, len(str(lines.count - 1)))
    return b"".join(b"%b%0*d%b\n" % (lines.prefix, digits, n, lines.suffix) for n in range(lines.count))


texts = st.builds(Text, at=st.just(0.0), data=st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xff"])).map(b"".join))
lines = st.builds(
    Lines,
    at=st.just(0.0),
    over=st.just(0.0),
    count=st.integers(1, 2500),
    prefix=st.sampled_from([b"", b"line "]),
    suffix=st.sampled_from([b"", b"!"]),
)
logs = st.lists(texts | lines, max_size=4).map(tuple).map(Log)


@settings(deadline=None)
@given(logs)
def test_lines_start_after_the_newlines_in_front_of_them(log: Log) -> None:
    content = whole(log)
    starts = [0] + [n + 1 for n, byte in enumerate(content) if byte == ord("\n")]
    assert [log.start_of_line(n) for n in range(len(starts))] == starts
    assert log.start_of_line(len(starts)) is None


@settings(deadline=None)
@given(logs, st.data())
def test_any_stretch_is_that_of_the_whole(log: Log, data: st.DataObject) -> None:
    content = whole(log)
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    assert b"".join(log.read(start, stop)) == content[start:stop]


@pytest.mark.parametrize("count", [1, 10, 999, 1000, 1001, 12_345])
def test_generated_lines_are_numbered_and_of_equal_length(count: int) -> None:
    generated = Lines(0, 0, count, b"<", b">")
    assert whole(Log((generated,))) == numbered(generated)


@settings(deadline=None)
@given(
    at=st.floats(0, 10),
    over=st.floats(0, 10),
    count=st.integers(1, 50),
    times=st.lists(st.floats(0, 25), min_size=2),
)
def test_generated_lines_come_one_by_one_and_when_announced(
    at: float, over: float, count: int, times: list[float]
) -> None:
    log = Log((Lines(at, over, count, b"", b""),))
    assert log.written(at - 0.001) == 0
    assert log.written(at + over) == count * 4
    for earlier, later in pairwise(sorted(times)):
        assert log.written(earlier) <= log.written(later)
        if log.next_write(earlier) > later:
            assert log.written(earlier) == log.written(later)
    time = -math.inf
    while (due := log.next_write(time)) < math.inf:
        assert log.written(due) > log.written(time)
        time = due
    assert log.written(time) == count * 4


def test_text_is_written_at_once() -> None:
    log = Log((Text(1, b"a\n"), Text(2, b"b\n")))
    assert [log.written(t) for t in (0, 0.99, 1, 1.5, 2, 9)] == [0, 0, 2, 2, 4, 4]
    assert [log.next_write(t) for t in (0, 1, 1.5, 2)] == [1, 2, 2, math.inf]


@pytest.mark.parametrize(
    "part", [Text(0, b"x" * 3 * PIECE), Lines(0, 0, 2, b"x" * PIECE, b""), Lines(0, 0, 9999, b"", b"." * 90)]
)
def test_pieces_are_bounded_but_large(part: Part) -> None:
    sizes = [len(piece) for piece in Log((part,)).read(0, part.size)]
    assert max(sizes) <= PIECE
    assert sum(sizes) / len(sizes) > 50_000


def test_a_gigabyte_is_neither_held_nor_searched() -> None:
    log = Log((Lines(0, 0, 10_000_000, b"", b"." * 92),))
    assert log.written(0) == 1_000_000_000
    start = log.start_of_line(9_999_999)
    assert start == 999_999_900
    assert b"".join(log.read(start, log.written(0))) == b"9999999" + b"." * 92 + b"\n"


def test_parts_that_overlap_in_time_are_refused() -> None:
    with pytest.raises(ValueError, match=r"written at 2 s comes after what is written at 3 s"):
        Log((Lines(1, 2, 5, b"", b""), Text(2, b"")))
