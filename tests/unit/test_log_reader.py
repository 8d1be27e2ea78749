"""A log reader that is abandoned at any moment leaves no gap in the log, and feeds nothing afterwards."""

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from threading import Event, Thread

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.platform import log
from matatika_deploy.platform.job import Job
from matatika_deploy.platform.log import FollowedLog, LineBuffer, LogReader
from matatika_deploy.platform.responses import Request
from matatika_deploy.runtime.cancellation import CancelScope, SystemClock
from tests.support import platform
from tests.support.clock import FakeClock


class Reading:
    """A reader, and the script of what it reads: chunks, ends of streams (None), and what happens between them."""

    def __init__(self, *script: bytes | Callable[[], object] | None) -> None:
        self.printed: list[bytes] = []
        self.starts: list[int] = []
        """From which lines on the log was asked for."""
        self.at_sink: Callable[[], object] = lambda: None
        """What happens before a chunk is printed."""
        self.rest = self.shown = b""
        """When it was abandoned: the end that was held, and all that was printed by then, with that end."""
        client = platform.make_client(FakeClock())
        client.http.open = self._open  # type: ignore[method-assign]
        client.http.chunks = self._chunks  # type: ignore[method-assign]
        self.reader = LogReader(client, Job("1", "RUNNING"), self._sink, lambda: None, missing_until=0)
        self.script = iter(script)

    def run(self, *script: bytes | Callable[[], object] | None) -> None:
        self.script = iter(script)
        self.reader.run()

    def abandon(self) -> None:
        self.rest = self.reader.abandon()
        # What was not printed by now is dropped: see `Console.end_log`.
        self.shown = b"".join([*self.printed, self.rest])

    def _open(self, request: Request) -> requests.Response:
        self.starts.append(int(request.url.rpartition("=")[2]))
        opened = requests.Response()
        opened.raw, opened.status_code = BytesIO(), 200
        opened.headers["Content-Type"] = "text/plain"
        return opened

    def _chunks(self, opened: requests.Response) -> Iterator[bytes]:
        for step in self.script:
            if step is None:
                return
            if isinstance(step, bytes):
                yield step
            else:
                step()

    def _sink(self, chunk: bytes) -> None:
        self.at_sink()
        self.printed.append(chunk)


def test_abandoned_reader_gives_the_held_end_of_the_last_line_and_takes_nothing_more() -> None:
    reading = Reading()
    reading.run(b"one\ntw", b"o", reading.abandon, b" and more\nthree\n")
    assert (reading.printed, reading.rest, reading.reader.tail) == ([b"one\n"], b"two", b"one\ntwo")


def test_tail_is_64_kibibytes_however_long_the_log_is() -> None:
    reading = Reading()
    tails: list[bytes] = []
    reading.run(*[b"x" * 1023 + b"\n"] * 100, lambda: tails.append(reading.reader.tail), reading.abandon)
    assert [len(tail) for tail in [*tails, reading.reader.tail]] == [64 * 1024] * 2


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_last_lines_begin_whole_and_are_cut_at_their_ends(end: bytes) -> None:
    long = b"x" * 70_000
    reading = Reading()
    reading.run(b"old" + end, b"x" + end, long, long + end, *[long[:9000] + end] * 198, reading.abandon)
    assert [len(cut) for cut in reading.reader.last_lines.splitlines()] == [1] + [8 * 1024] * 199


def test_reader_that_is_stopped_at_the_sink_leaves_no_gap_and_feeds_no_tail() -> None:
    """The chunk that is on its way may never be printed: the line after it must not be, either."""
    reading = Reading()
    reading.at_sink = reading.abandon
    reading.run(b"one\ntwo\nthr", b"ee\nfour\n")
    assert (reading.printed, reading.rest, reading.reader.tail) == ([b"one\ntwo\n"], b"", b"one\ntwo\n")


def test_chunk_that_arrives_while_the_reader_is_abandoned_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads are switched at the worst moment: when the held line is about to be taken from the buffer."""
    is_held, may_arrive, is_at_sink = Event(), Event(), Event()

    class SwitchingBuffer(LineBuffer):
        def rest(self) -> bytes:
            reading.at_sink = is_at_sink.set
            may_arrive.set()
            # The reader gets all the time that it needs to take the chunk, if nothing keeps it from that.
            is_at_sink.wait(0.1)
            return super().rest()

    monkeypatch.setattr(log, "LineBuffer", SwitchingBuffer)
    reading = Reading(b"zero\no", is_held.set, partial(may_arrive.wait, 10), b"ne\ntwo\nthr")
    thread = Thread(target=reading.reader.run)
    thread.start()
    assert is_held.wait(10)
    reading.abandon()
    thread.join(10)
    assert reading.shown == reading.reader.tail == b"zero\no"


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from([b"a", b"\n", b"b\n", b"c\nd", b"\r", b"e\r\n", b"f\n\ng\n"]), min_size=1, max_size=6),
    st.integers(0, 6),
    st.booleans(),
)
def test_whatever_is_shown_is_a_beginning_of_the_log(chunks: list[bytes], free: int, is_stopped_at_sink: bool) -> None:
    """The reader is abandoned before a chunk, or while the sink takes the next one."""
    reading = Reading()

    def stop() -> None:
        if is_stopped_at_sink:
            reading.at_sink = reading.abandon
        else:
            reading.abandon()

    reading.run(*chunks[:free], stop, *chunks[free:], reading.abandon)
    assert b"".join(chunks).startswith(reading.shown)
    assert b"".join(chunks).startswith(reading.reader.tail)


def test_log_that_starts_over_is_shown_from_its_beginning() -> None:
    reading = Reading()
    finish = partial(reading.reader.finish, 10)
    # The next chunk still belongs to the first attempt's stream.
    reading.run(b"one\ntwo\nunfinished", reading.reader.start_over, b" line", finish, b"one\n", None, None, None)
    assert b"".join(reading.printed) == b"one\ntwo\nunfinished lineone\n"
    assert reading.starts == [0, 0, 1, 1]
    assert reading.reader.tail == b"one\n"


def test_log_whose_end_does_not_come_is_ended_all_the_same() -> None:
    ends: list[bytes] = []
    is_held, may_end = Event(), Event()
    reading = Reading(b"one\ntwo", is_held.set, partial(may_end.wait, 10))
    followed = FollowedLog(reading.reader, CancelScope(SystemClock()), ends.append)
    followed.start()
    assert is_held.wait(10)
    assert not followed.finish(0.05)
    may_end.set()
    assert (reading.printed, ends) == ([b"one\n"], [b"two"])
