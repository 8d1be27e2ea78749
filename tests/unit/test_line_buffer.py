"""The log comes out whole and once, wherever connections break; and little of it is ever held in memory."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy.platform.log import LONGEST_HELD_LINE, LineBuffer


def test_whole_lines_are_handed_on_at_once_and_unfinished_ones_are_held() -> None:
    buffer = LineBuffer()
    buffer.resume()
    assert buffer.feed(b"one\ntwo\nthr") == b"one\ntwo\n"
    assert (buffer.lines, buffer.position) == (2, (2, 3))
    assert buffer.feed(b"ee") == b""
    assert buffer.feed(b"\n") == b"three\n"
    assert (buffer.lines, buffer.position) == (3, (3, 0))


def test_a_reading_that_breaks_inside_a_line_is_resumed_at_its_start() -> None:
    buffer = LineBuffer()
    buffer.resume()
    assert buffer.feed(b"one\ntw") == b"one\n"
    buffer.resume()
    assert buffer.lines == 1
    assert buffer.feed(b"two\n") == b"two\n"


def test_a_reading_that_says_less_than_the_one_before_goes_back() -> None:
    buffer = LineBuffer()
    buffer.resume()
    buffer.feed(b"unfinished")
    assert buffer.position == (0, 10)
    buffer.resume()
    buffer.feed(b"unf")
    assert buffer.position == (0, 3)


def test_a_long_line_is_handed_on_in_parts_none_of_them_twice() -> None:
    buffer = LineBuffer()
    buffer.resume()
    long = bytes(range(1, 10)) * LONGEST_HELD_LINE
    assert buffer.feed(long[:LONGEST_HELD_LINE]) == b""
    assert buffer.feed(long[LONGEST_HELD_LINE : LONGEST_HELD_LINE + 1]) == long[: LONGEST_HELD_LINE + 1]
    buffer.resume()
    assert buffer.lines == 0
    assert buffer.feed(long[:1000]) == b""
    assert buffer.feed(long[1000:] + b"\nnext\n") == long[LONGEST_HELD_LINE + 1 :] + b"\nnext\n"
    assert buffer.lines == 2


def test_the_end_of_an_unfinished_line_comes_last_and_once() -> None:
    buffer = LineBuffer()
    buffer.resume()
    assert buffer.feed(b"one\nunfinished") == b"one\n"
    assert buffer.rest() == b"unfinished"
    assert buffer.rest() == b""


def test_the_rest_of_a_line_that_was_handed_on_in_parts_is_only_what_is_new() -> None:
    buffer = LineBuffer()
    buffer.resume()
    long = b"x" * (LONGEST_HELD_LINE + 1)
    assert buffer.feed(long) == long
    buffer.resume()
    assert buffer.feed(long + b"end") == b""
    assert buffer.rest() == b"end"


def _start_of_line(log: bytes, number: int) -> int:
    start = 0
    for _ in range(number):
        start = log.index(b"\n", start) + 1
    return start


def _log(lengths: list[int], *, is_finished: bool) -> bytes:
    """Lines of these lengths, in which every stretch of some bytes stands at one place only."""
    lines = (
        b"".join(b"%d:%d " % (line, byte) for byte in range(size // 4 + 1))[:size] for line, size in enumerate(lengths)
    )
    return b"\n".join(lines) + (b"\n" if is_finished else b"")


def _pieces(log: bytes, start: int, end: int, cuts: list[int]) -> list[bytes]:
    bounds = [start, *(cut for cut in cuts if start < cut < end), end]
    return [log[begin:stop] for begin, stop in pairwise(bounds)]


lengths = st.sampled_from([0, 1, 7, LONGEST_HELD_LINE - 1, LONGEST_HELD_LINE + 1, 2 * LONGEST_HELD_LINE])
shares = st.floats(0, 1)


@given(st.lists(lengths, max_size=6), st.booleans(), st.lists(shares, max_size=5), st.lists(shares, max_size=8))
@example([7, 2 * LONGEST_HELD_LINE, 7], False, [0.5, 0.2, 0.9], [0.3, 0.6])
def test_any_log_in_any_pieces_with_any_breaks(
    line_lengths: list[int], is_finished: bool, breaks: list[float], cuts: list[float]
) -> None:
    log = _log(line_lengths, is_finished=is_finished)
    offsets = sorted(int(cut * len(log)) for cut in cuts)
    buffer = LineBuffer()
    printed = b""
    for end in [*(int(share * len(log)) for share in breaks), len(log)]:
        buffer.resume()
        start = _start_of_line(log, buffer.lines)
        read = start
        for piece in _pieces(log, start, max(end, start), offsets):
            read += len(piece)
            printed += buffer.feed(piece)
            assert read - len(printed) <= LONGEST_HELD_LINE
            assert _start_of_line(log, buffer.position[0]) + buffer.position[1] == read
        assert log.startswith(printed)
        # Only a line that is too long to be held is ever handed on unfinished.
        unfinished = len(printed) - printed.rfind(b"\n") - 1
        assert unfinished == 0 or unfinished > LONGEST_HELD_LINE
    assert printed + buffer.rest() == log
    assert buffer.lines == log.count(b"\n")
