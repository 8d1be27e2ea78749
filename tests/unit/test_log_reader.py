"""A log reader that is abandoned at any moment leaves no gap in the log, and feeds nothing afterwards."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from queue import SimpleQueue
from threading import Event

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.platform import log
from matatika_deploy.platform.job import Job
from matatika_deploy.platform.log import FollowedLog, LineBuffer, LogReader
from matatika_deploy.platform.responses import Request
from matatika_deploy.runtime.cancellation import CancelScope, SystemClock, Task
from tests.support import platform
from tests.support.clock import FakeClock

PATIENCE = 10.0


class Reading:
    """A reader in its thread; the test gives it chunks, and says when the sink takes them."""

    def __init__(self) -> None:
        self.printed: list[bytes] = []
        self.starts: list[int] = []
        """From which lines on the log was asked for."""
        self.sink_was_entered = Event()
        self._may_print = Event()
        self._may_print.set()
        self._given = 0
        clock = FakeClock()
        self.scope = CancelScope(clock)
        """That of the test's own thread."""
        client = platform.make_client(clock)
        client.http.open = self._open  # type: ignore[method-assign]
        client.http.chunks = self._chunks  # type: ignore[method-assign]
        self._stream: SimpleQueue[bytes | None] = SimpleQueue()
        self._asked = 0
        """How many chunks were asked for: with the next one, the reader is done with all before."""
        self.reader = LogReader(client, Job("1", "RUNNING"), self._sink, lambda: None, missing_until=0)
        self._task: Task[bool] | None = None

    def start(self) -> None:
        self._task = self.scope.start(self.reader.run)

    def give(self, *chunks: bytes | None) -> None:
        """Let chunks arrive; None ends a stream."""
        for chunk in chunks:
            self._given += 1
            self._stream.put(chunk)

    def wait_until_taken(self) -> None:
        """Wait until the reader asks for a chunk that was not given."""
        end = time.monotonic() + PATIENCE
        while self._asked <= self._given:
            assert time.monotonic() < end
            time.sleep(0.001)

    def wait_for_end(self) -> None:
        if self._task:
            self.scope.join(self._task, 100 * PATIENCE)

    def block_sink(self) -> None:
        self.sink_was_entered.clear()
        self._may_print.clear()

    def release_sink(self) -> None:
        self._may_print.set()

    def _open(self, request: Request) -> requests.Response:
        self.starts.append(int(request.url.rpartition("=")[2]))
        opened = requests.Response()
        opened.raw, opened.status_code = BytesIO(), 200
        opened.headers["Content-Type"] = "text/plain"
        return opened

    def _chunks(self, opened: requests.Response) -> Iterator[bytes]:
        self._asked += 1
        while (chunk := self._stream.get(timeout=10)) is not None:
            yield chunk
            self._asked += 1

    def _sink(self, chunk: bytes) -> None:
        self.sink_was_entered.set()
        assert self._may_print.wait(PATIENCE)
        self.printed.append(chunk)


@contextmanager
def open_reading() -> Iterator[Reading]:
    """A reading that ends with the block, whatever it waits for."""
    reading = Reading()
    try:
        yield reading
    finally:
        reading.release_sink()
        reading.reader.abandon()
        reading.give(None)
        reading.wait_for_end()


@pytest.fixture(name="reading")
def _reading() -> Iterator[Reading]:
    with open_reading() as reading:
        yield reading


def test_abandoned_reader_gives_the_held_end_of_the_last_line_and_takes_nothing_more(reading: Reading) -> None:
    reading.start()
    reading.give(b"one\ntw", b"o")
    reading.wait_until_taken()
    assert reading.reader.abandon() == b"two"
    reading.give(b" and more\nthree\n", None)
    reading.wait_for_end()
    assert reading.printed == [b"one\n"]
    assert reading.reader.tail == b"one\ntwo"


def test_tail_is_64_kibibytes_however_long_the_log_is(reading: Reading) -> None:
    reading.start()
    reading.give(*[b"x" * 1023 + b"\n"] * 100)
    reading.wait_until_taken()
    assert len(reading.reader.tail) == 64 * 1024


def test_reader_that_is_stopped_at_the_sink_leaves_no_gap_and_feeds_no_tail(reading: Reading) -> None:
    """The chunk that is on its way may never be printed: the line after it must not be, either."""
    reading.block_sink()
    reading.start()
    reading.give(b"one\ntwo\nthr")
    assert reading.sink_was_entered.wait(PATIENCE)
    assert reading.reader.abandon() == b""
    tail = reading.reader.tail
    reading.give(b"ee\nfour\n", None)
    reading.release_sink()
    reading.wait_for_end()
    assert reading.printed == [b"one\ntwo\n"]
    assert reading.reader.tail == tail


def test_chunk_that_arrives_while_the_reader_is_abandoned_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads are switched at the worst moment: when the held line is about to be taken from the buffer."""

    chunks = [b"ne\ntwo\nthr"]

    class SwitchingBuffer(LineBuffer):
        def rest(self) -> bytes:
            if chunks:
                reading.block_sink()
                reading.give(chunks.pop())
                # The reader gets all the time that it needs to take the chunk, if nothing keeps it from that.
                reading.sink_was_entered.wait(0.1)
            return super().rest()

    monkeypatch.setattr(log, "LineBuffer", SwitchingBuffer)
    with open_reading() as reading:
        reading.start()
        reading.give(b"zero\no")
        reading.wait_until_taken()
        rest = reading.reader.abandon()
        # What was not printed by now is dropped: see `Console.end_log`.
        shown = b"".join(reading.printed) + rest
        assert shown == reading.reader.tail == b"zero\no"
    assert reading.reader.tail == shown


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from([b"a", b"\n", b"b\n", b"c\nd", b"\r", b"e\r\n", b"f\n\ng\n"]), min_size=1, max_size=6),
    st.integers(0, 6),
)
def test_whatever_is_shown_is_a_beginning_of_the_log(chunks: list[bytes], free: int) -> None:
    """The sink takes as many chunks as it likes, and then nothing more until the reader was abandoned."""
    with open_reading() as reading:
        reading.start()
        reading.give(*chunks[:free])
        reading.wait_until_taken()
        reading.block_sink()
        reading.give(*chunks[free:])
        reading.sink_was_entered.wait(0.01)
        shown = b"".join(reading.printed) + reading.reader.abandon()
        tail = reading.reader.tail
    assert b"".join(chunks).startswith(shown)
    assert b"".join(chunks).startswith(tail)
    assert reading.reader.tail == tail


def test_reader_resumes_at_the_line_that_it_has_not_handed_on(reading: Reading) -> None:
    reading.reader.finish(PATIENCE)
    reading.start()
    reading.give(b"one\ntwo\nthr", None, b"three\n", None, None, None)
    reading.wait_for_end()
    assert b"".join(reading.printed) == b"one\ntwo\nthree\n"
    assert reading.starts == [0, 2, 3, 3]


def test_log_that_starts_over_is_shown_from_its_beginning(reading: Reading) -> None:
    reading.start()
    reading.give(b"one\ntwo\nunfinished")
    reading.wait_until_taken()
    reading.reader.start_over()
    # The next chunk still belongs to the first attempt's stream.
    reading.give(b" line")
    reading.reader.finish(PATIENCE)
    reading.give(b"one\n", None, None, None)
    reading.wait_for_end()
    assert b"".join(reading.printed) == b"one\ntwo\nunfinished lineone\n"
    assert reading.starts == [0, 0, 1, 1]


def test_end_of_a_followed_log_comes_once_and_last(reading: Reading) -> None:
    ends: list[bytes] = []
    followed = FollowedLog(reading.reader, reading.scope, ends.append)
    followed.start()
    reading.give(b"one\ntwo", *[None, b"two"] * 9)
    assert followed.finish(PATIENCE)
    assert (reading.printed, ends) == ([b"one\n"], [b"two"])


def test_log_whose_end_does_not_come_is_ended_all_the_same(reading: Reading) -> None:
    ends: list[bytes] = []
    followed = FollowedLog(reading.reader, CancelScope(SystemClock()), ends.append)
    followed.start()
    reading.give(b"one\ntwo")
    reading.wait_until_taken()
    assert not followed.finish(0.05)
    assert (reading.printed, ends) == ([b"one\n"], [b"two"])
