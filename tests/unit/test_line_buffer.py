"""The log comes out whole and once, wherever connections break; and little of it is ever held in memory."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy.platform.log import LONGEST_HELD_LINE, LineBuffer


def test_buffer_hands_on_whole_lines_at_once_and_holds_unfinished_ones() -> None:
    buffer = LineBuffer()
    buffer.resume()
    assert buffer.feed(b"one\ntwo\nthr") == b"one\ntwo\n"
    assert (buffer.lines, buffer.position) == (2, (2, 3))
    assert buffer.feed(b"ee") == b""
    assert buffer.feed(b"\n") == b"three\n"
    assert (buffer.lines, buffer.position) == (3, (3, 0))


def test_reading_that_breaks_inside_a_line_is_resumed_at_its_start() -> None:
    buffer = LineBuffer()
    buffer.resume()
    assert buffer.feed(b"one\ntw") == b"one\n"
    buffer.resume()
    assert buffer.lines == 1
    assert buffer.feed(b"two\n") == b"two\n"


def test_reading_that_brings_less_than_the_one_before_goes_back() -> None:
    buffer = LineBuffer()
    buffer.resume()
    buffer.feed(b"unfinished")
    assert buffer.position == (0, 10)
    buffer.resume()
    buffer.feed(b"unf")
    assert buffer.position == (0, 3)


def test_long_line_is_handed_on_in_parts_none_of_them_twice() -> None:
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


def test_rest_of_an_unfinished_line_comes_last_and_once() -> None:
    buffer = LineBuffer()
    buffer.resume()
    assert buffer.feed(b"one\nunfinished") == b"one\n"
    assert buffer.rest() == b"unfinished"
    assert buffer.rest() == b""


def test_rest_of_a_line_that_was_handed_on_in_parts_is_only_what_is_new() -> None:
    buffer = LineBuffer()
    buffer.resume()
    long = b"x" * (LONGEST_HELD_LINE + 1)
    assert buffer.feed(long) == long
    buffer.resume()
    assert buffer.feed(long + b"end") == b""
    assert buffer.rest() == b"end"


class TestCarriageReturn:
    """A CR ends a line for whoever watches; the platform counts lines by LF alone."""

    def test_progress_bar_is_handed_on_as_it_comes(self) -> None:
        buffer = LineBuffer()
        buffer.resume()
        shown = [buffer.feed(chunk) for chunk in (b"10 %\r", b"20 %\r30 ", b"%\r", b"done\nnext")]
        assert shown == [b"10 %\r", b"20 %\r", b"30 %\r", b"done\n"]
        assert (buffer.lines, buffer.position) == (1, (1, 4))
        assert buffer.rest() == b"next"

    def test_line_that_was_shown_up_to_a_cr_is_read_again_and_not_repeated(self) -> None:
        buffer = LineBuffer()
        buffer.resume()
        assert buffer.feed(b"one\n10 %\r20 ") == b"one\n10 %\r"
        buffer.resume()
        assert buffer.lines == 1
        assert buffer.feed(b"10 %\r20 %\rdone\n") == b"20 %\rdone\n"

    def test_cr_and_lf_in_two_chunks_are_one_line(self) -> None:
        buffer = LineBuffer()
        buffer.resume()
        assert [buffer.feed(b"one\r"), buffer.feed(b"\ntwo\r\n")] == [b"one\r", b"\ntwo\r\n"]
        assert buffer.lines == 2

    @given(
        st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bc", b"d" * (LONGEST_HELD_LINE + 1)]), max_size=20),
        st.lists(st.floats(0, 1), max_size=6),
        st.lists(st.floats(0, 1), max_size=10),
    )
    @example([b"a", b"\r", b"bc", b"\r\n", b"a"], [0.5, 0.2, 0.8], [0.3, 0.6])
    def test_bytes_handed_on_and_the_rest_are_exactly_the_log(
        self, parts: list[bytes], breaks: list[float], cuts: list[float]
    ) -> None:
        """Over any splits and any resumed readings, each of which may bring less than the one before."""
        log = b"".join(parts)
        offsets = sorted(int(cut * len(log)) for cut in cuts)
        buffer = LineBuffer()
        printed = b""
        for end in [*(int(share * len(log)) for share in breaks), len(log)]:
            buffer.resume()
            start = _start_of_line(log, buffer.lines)
            for chunk in _chunks(log, start, max(end, start), offsets):
                ready = buffer.feed(chunk)
                printed += ready
                assert log.startswith(printed)
            assert buffer.lines == printed.count(b"\n")
        held = buffer.rest()
        assert printed + held == log
        assert b"\r" not in held
        assert b"\n" not in held


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


def _chunks(log: bytes, start: int, end: int, cuts: list[int]) -> list[bytes]:
    bounds = [start, *(cut for cut in cuts if start < cut < end), end]
    return [log[begin:stop] for begin, stop in pairwise(bounds)]


lengths = st.sampled_from([0, 1, 7, LONGEST_HELD_LINE - 1, LONGEST_HELD_LINE + 1, 2 * LONGEST_HELD_LINE])
shares = st.floats(0, 1)


@given(st.lists(lengths, max_size=6), st.booleans(), st.lists(shares, max_size=5), st.lists(shares, max_size=8))
@example([7, 2 * LONGEST_HELD_LINE, 7], False, [0.5, 0.2, 0.9], [0.3, 0.6])
def test_any_log_comes_out_whole_in_any_chunks_with_any_breaks(
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
        for chunk in _chunks(log, start, max(end, start), offsets):
            read += len(chunk)
            printed += buffer.feed(chunk)
            assert read - len(printed) <= LONGEST_HELD_LINE
            assert _start_of_line(log, buffer.position[0]) + buffer.position[1] == read
        assert log.startswith(printed)
        # Only a line that is too long to be held is ever handed on unfinished.
        unfinished = len(printed) - printed.rfind(b"\n") - 1
        assert unfinished == 0 or unfinished > LONGEST_HELD_LINE
    assert printed + buffer.rest() == log
    assert buffer.lines == log.count(b"\n")
