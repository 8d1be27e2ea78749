"""A log reader that is abandoned at any moment leaves no gap in the log, and feeds nothing afterwards."""

import time
from collections.abc import Iterator
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.platform import log
from matatika_deploy.platform.job import Job
from matatika_deploy.platform.log import FollowedLog, LineBuffer, LogReader
from matatika_deploy.platform.responses import Request, Response
from matatika_deploy.runtime.cancellation import CancelScope, SystemClock, Task
from tests.support import platform
from tests.support.clock import FakeClock

PATIENCE = 10.0


class Reading:
    """A reader in its thread; the test gives it chunks, and says when the sink takes them."""

    def __init__(self) -> None:
        self.printed: list[bytes] = []
        self.given = 0
        self.sink_was_entered = Event()
        self._may_print = Event()
        self._may_print.set()
        self.requests: list[str] = []
        clock = FakeClock()
        self.scope = CancelScope(clock)
        """That of the test's own thread."""
        made = platform.make_platform(clock, platform.Reports())
        self.client = platform.make_client(made, CancelScope(clock), self._answer)
        self.reader = LogReader(self.client, Job("1", "RUNNING"), self._sink, lambda: None, missing_until=0)
        self._task: Task[bool] | None = None

    @property
    def http(self) -> platform.ScriptedHttp:
        assert isinstance(self.client.http, platform.ScriptedHttp)
        return self.client.http

    def start(self) -> None:
        self._task = self.scope.start(self.reader.run)

    def wait(self) -> None:
        """Wait for the reader's end."""
        if self._task:
            self.scope.join(self._task, 100 * PATIENCE)

    def give(self, *chunks: bytes | None) -> None:
        """Let chunks arrive; None ends a stream."""
        for chunk in chunks:
            self.given += 1
            self.http.stream.put(chunk)

    def block_sink(self) -> None:
        self.sink_was_entered.clear()
        self._may_print.clear()

    def release_sink(self) -> None:
        self._may_print.set()

    def wait_until_taken(self) -> None:
        """Wait until the reader asks for a chunk that was not given."""
        end = time.monotonic() + PATIENCE
        while self.http.asked <= self.given:
            assert time.monotonic() < end
            time.sleep(0.001)

    def end(self) -> None:
        """Let the reader end, whatever it waits for."""
        self.release_sink()
        self.reader.abandon()
        self.give(None)
        self.wait()

    def _answer(self, request: Request) -> Response:
        self.requests.append(request.url)
        return platform.respond(FakeClock(), 200, headers={"Content-Type": "text/plain"})

    def _sink(self, chunk: bytes) -> None:
        self.sink_was_entered.set()
        assert self._may_print.wait(PATIENCE)
        self.printed.append(chunk)


@pytest.fixture
def reading() -> Iterator[Reading]:
    reading = Reading()
    yield reading
    reading.end()


def test_abandoned_reader_gives_the_held_end_of_the_last_line(reading: Reading) -> None:
    reading.start()
    reading.give(b"one\ntw", b"o")
    reading.wait_until_taken()
    assert reading.reader.abandon() == b"two"
    assert reading.printed == [b"one\n"]
    assert reading.reader.tail == b"one\ntwo"


def test_chunk_after_the_end_reaches_neither_sink_nor_tail(reading: Reading) -> None:
    reading.start()
    reading.give(b"one\ntwo")
    reading.wait_until_taken()
    reading.reader.abandon()
    reading.give(b" and more\nthree\n", None)
    reading.wait()
    assert reading.printed == [b"one\n"]
    assert reading.reader.tail == b"one\ntwo"


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
    reading.wait()
    assert reading.printed == [b"one\ntwo\n"]
    assert reading.reader.tail == tail


def test_chunk_that_arrives_while_the_reader_is_abandoned_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads are switched at the worst moment: when the held line is about to be taken from the buffer."""
    readings: list[Reading] = []

    class SwitchingBuffer(LineBuffer):
        def rest(self) -> bytes:
            (reading,) = readings
            reading.block_sink()
            reading.give(b"ne\ntwo\nthr")
            # The reader gets all the time that it needs to take the chunk, if nothing keeps it from that.
            reading.sink_was_entered.wait(0.3)
            return super().rest()

    monkeypatch.setattr(log, "LineBuffer", SwitchingBuffer)
    reading = Reading()
    readings.append(reading)
    reading.start()
    try:
        reading.give(b"zero\no")
        reading.wait_until_taken()
        rest = reading.reader.abandon()
        tail = reading.reader.tail
        # What was not printed by now is dropped: see `Console.end_log`.
        shown = b"".join(reading.printed) + rest
        reading.release_sink()
        reading.give(None)
        reading.wait()
        assert b"zero\none\ntwo\nthr".startswith(shown)
        assert shown == b"zero\no"
        assert reading.reader.tail == tail == shown
    finally:
        monkeypatch.undo()
        reading.end()


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"b\n", b"c\nd", b"\r", b"e\r\n", b"f\n\ng\n"]), min_size=1, max_size=6),
    st.integers(0, 6),
)
def test_whatever_is_shown_is_a_beginning_of_the_log(chunks: list[bytes], free: int) -> None:
    """The sink takes as many chunks as it likes, and then nothing more until the reader was abandoned."""
    reading = Reading()
    reading.start()
    try:
        reading.give(*chunks[:free])
        reading.wait_until_taken()
        reading.block_sink()
        reading.give(*chunks[free:])
        reading.sink_was_entered.wait(0.01)
        shown = b"".join(reading.printed) + reading.reader.abandon()
        tail = reading.reader.tail
        assert b"".join(chunks).startswith(shown)
    finally:
        reading.end()
    assert reading.reader.tail == tail
    assert b"".join(chunks).startswith(tail)


def test_reader_resumes_at_the_line_that_it_has_not_handed_on(reading: Reading) -> None:
    reading.reader.finish(PATIENCE)
    reading.start()
    reading.give(b"one\ntwo\nthr", None)
    reading.give(b"three\n", None, None, None)
    reading.wait()
    assert b"".join(reading.printed) == b"one\ntwo\nthree\n"
    starts = [int(url.rpartition("=")[2]) for url in reading.requests]
    assert starts == [0, 2, 3, 3]


def test_log_that_starts_over_is_shown_from_its_beginning(reading: Reading) -> None:
    reading.start()
    reading.give(b"one\ntwo\nunfinished")
    reading.wait_until_taken()
    reading.reader.start_over()
    # The next chunk still belongs to the first attempt's stream.
    reading.give(b" line")
    reading.reader.finish(PATIENCE)
    reading.give(b"one\n", None, None, None)
    reading.wait()
    assert b"".join(reading.printed) == b"one\ntwo\nunfinished lineone\n"
    assert [int(url.rpartition("=")[2]) for url in reading.requests] == [0, 0, 1, 1]


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
