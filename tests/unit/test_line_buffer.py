"""The log comes out whole and once, wherever connections break; and little of it is ever held in memory.

A CR ends a line for whoever watches; the platform counts lines by LF alone.
"""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy.platform.log import LONGEST_HELD_LINE, LineBuffer

# Of these, every stretch of some bytes stands at one place only.
NUMBERS = b" ".join(b"%d" % number for number in range(30_000))


def test_whole_lines_are_handed_on_at_once_and_nothing_of_an_unfinished_one_is_repeated() -> None:
    buffer = LineBuffer()
    buffer.resume()
    shown = [buffer.feed(chunk) for chunk in (b"one\ntwo\nthr", b"ee", b"\n10 %\r20 ")]
    assert shown == [b"one\ntwo\n", b"", b"three\n10 %\r"]
    buffer.resume()
    assert buffer.feed(b"10") == b""
    assert (buffer.lines, buffer.position) == (3, (3, 2))
    assert buffer.feed(b" %\r20 %\rdone\n30 ") == b"20 %\rdone\n"
    assert (buffer.rest(), buffer.rest()) == (b"30 ", b"")


def test_long_line_is_handed_on_in_parts_none_of_them_twice() -> None:
    buffer = LineBuffer()
    buffer.resume()
    line = NUMBERS[: 128 * 1024]
    assert buffer.feed(line[: 64 * 1024]) == b""
    assert buffer.feed(line[64 * 1024 :]) == line
    buffer.resume()
    assert buffer.feed(line + b"end") == b""
    assert (buffer.lines, buffer.rest()) == (0, b"end")


sizes = st.sampled_from([0, 1, 7, LONGEST_HELD_LINE - 1, LONGEST_HELD_LINE + 1, 2 * LONGEST_HELD_LINE])
lines = st.tuples(sizes, st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\r"]))
shares = st.floats(0, 1)


@given(st.lists(lines, max_size=6), sizes, st.lists(shares, max_size=5), st.lists(shares, max_size=8))
@example([(7, b"\n"), (2 * LONGEST_HELD_LINE, b"\r\n")], 7, [0.5, 0.2, 0.9], [0.3, 0.6])
@example([(1, b"\r"), (7, b"\r\n"), (1, b"\r")], 1, [0.5, 0.2, 0.8], [0.3, 0.6])
def test_any_log_comes_out_whole_in_any_chunks_with_any_breaks(
    before: list[tuple[int, bytes]], unfinished: int, breaks: list[float], cuts: list[float]
) -> None:
    """A reading that broke may bring more or less than the one before."""
    parts = (NUMBERS[1000 * index :][:size] + end for index, (size, end) in enumerate([*before, (unfinished, b"")]))
    log = b"".join(parts)
    offsets = sorted(int(cut * len(log)) for cut in cuts)
    buffer, printed = LineBuffer(), b""
    for end in [*(int(share * len(log)) for share in breaks), len(log)]:
        buffer.resume()
        read = start_of_line(log, buffer.lines)
        for start, stop in pairwise([read, *(cut for cut in offsets if read < cut < end), max(read, end)]):
            printed += buffer.feed(log[start:stop])
            assert log.startswith(printed)
            assert stop - len(printed) <= LONGEST_HELD_LINE
            assert start_of_line(log, buffer.position[0]) + buffer.position[1] == stop
        assert buffer.lines == printed.count(b"\n")
        # Only a line that is too long to be held is ever handed on unfinished.
        handed_on = len(printed) - max(printed.rfind(b"\n"), printed.rfind(b"\r")) - 1
        assert handed_on == 0 or handed_on > LONGEST_HELD_LINE
    rest = buffer.rest()
    assert printed + rest == log
    assert not {*b"\r\n"} & {*rest}


def start_of_line(log: bytes, number: int) -> int:
    return len(log) - len(log.split(b"\n", number)[number])
