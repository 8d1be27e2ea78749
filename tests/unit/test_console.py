"""One thread writes to standard output: no other waits for its reader, and everything comes out in order."""

import os
from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Thread

import pytest

from matatika_deploy.github.console import Console, flush
from matatika_deploy.runtime.cancellation import CancelScope, SystemClock
from matatika_deploy.runtime.signals import Signals
from tests.support.log import StepLog

# More than any pipe holds.
MUCH = 1024 * 1024


class Pipe:
    """A pipe whose reader takes its time."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        content = b""
        while len(content) < size:
            content += os.read(self.reading, size - len(content))
        return content

    def close(self) -> None:
        for descriptor in (self.reading, self.writing):
            with suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def in_background(console: Console) -> Thread:
    """Let the console finish, while somebody else reads."""
    thread = Thread(target=console.finish)
    thread.start()
    return thread


def test_lines_and_log_come_out_in_order(pipe: Pipe) -> None:
    console = Console(pipe.writing)
    job_log = console.open_log()
    console.say("One")
    job_log.write(b"two\nthr")
    console.say("Four")
    job_log.write(b"ee\n")
    job_log.write(b"five")
    job_log.end(b" and six")
    console.say("Sévèn")
    console.finish()
    log = StepLog(os.read(pipe.reading, 65536))
    assert log.job_log == b"two\nthree\nfive and six\n"
    assert log.lines == ["One", "Four", "Sévèn"]


def test_pieces_that_come_after_the_end_of_their_log_are_dropped(pipe: Pipe) -> None:
    console = Console(pipe.writing)
    first, second = console.open_log(), console.open_log()
    first.write(b"one\n")
    first.end(b"two\n")
    second.write(b"three\n")
    first.write(b"a straggler\n")
    first.end(b"another one\n")
    second.end(b"four\n")
    console.finish()
    assert StepLog(os.read(pipe.reading, 65536)).job_log == b"one\ntwo\nthree\nfour\n"


def test_a_line_that_cannot_wait_comes_out_in_the_middle_of_a_line(pipe: Pipe) -> None:
    console = Console(pipe.writing)
    job_log = console.open_log()
    job_log.write(b"unfini")
    console.say("Waits")
    console.say("::add-mask::s3cret", at_once=True)
    job_log.write(b"shed\n")
    console.finish()
    log = StepLog(os.read(pipe.reading, 65536))
    assert log.job_log == b"unfini\nshed\n"
    assert log.lines == ["The log's last line is not finished: it may go on below.", "Waits", "::add-mask::s3cret"]


def test_every_step_has_a_token_of_its_own() -> None:
    tokens = set()
    for _ in range(5):
        reading, writing = os.pipe()
        console = Console(writing)
        job_log = console.open_log()
        job_log.write(b"x\n")
        job_log.end(b"")
        console.finish()
        opening = os.read(reading, 65536).split(b"\n")[0]
        os.close(reading)
        os.close(writing)
        assert opening.startswith(b"::stop-commands::")
        tokens.add(opening.rpartition(b":")[2])
    assert len(tokens) == 5
    assert all(len(token) >= 32 and token.isalnum() for token in tokens)


def test_lines_never_wait_for_the_reader(pipe: Pipe) -> None:
    console = Console(pipe.writing)
    job_log = console.open_log()
    job_log.write(b"x" * MUCH + b"\n")
    for number in range(1000):
        console.say(f"Line {number}")
    job_log.end(b"")
    thread = in_background(console)
    token = pipe.read(len("::stop-commands::") + 41)
    assert pipe.read(MUCH + 1) == b"x" * MUCH + b"\n"
    pipe.read(len(token) - len("stop-commands::") + 2)
    lines = b"".join(b"Line %d\n" % number for number in range(1000))
    assert pipe.read(len(lines)) == lines
    thread.join()


def test_the_log_waits_for_the_reader_so_that_little_of_it_is_held_in_memory(pipe: Pipe) -> None:
    console = Console(pipe.writing)
    job_log = console.open_log()
    taken: list[int] = []
    stuck = Event()

    def read_log() -> None:
        for number in range(20):
            job_log.write(b"%d" % (number % 10) * MUCH)
            taken.append(number)
            if number >= 4:
                stuck.set()
        job_log.end(b"")
        console.finish()

    thread = Thread(target=read_log)
    thread.start()
    assert stuck.wait(10)
    # One piece is being written and four wait: there is no room for a sixth, however long it takes.
    thread.join(0.05)
    assert len(taken) == 5
    pipe.read(len("::stop-commands::") + 41)
    for number in range(20):
        assert pipe.read(MUCH) == b"%d" % (number % 10) * MUCH
    thread.join()


@pytest.mark.parametrize("is_blocking", [True, False])
def test_a_slow_reader_gets_everything(pipe: Pipe, is_blocking: bool) -> None:
    os.set_blocking(pipe.writing, is_blocking)
    console = Console(pipe.writing)
    console.say("x" * MUCH)
    thread = in_background(console)
    content = b""
    while len(content) < MUCH + 1:
        content += os.read(pipe.reading, 5000)
    assert content == b"x" * MUCH + b"\n"
    thread.join()


def test_a_reader_that_went_away_stops_nothing(pipe: Pipe) -> None:
    console = Console(pipe.writing)
    job_log = console.open_log()
    os.close(pipe.reading)
    for number in range(20):
        console.say(f"Line {number}")
        job_log.write(b"x\n")
    job_log.end(b"")
    console.finish()


def test_activity_counts_what_is_printed(pipe: Pipe) -> None:
    console = Console(pipe.writing)
    job_log = console.open_log()
    before = console.activity
    console.say("One")
    said = console.activity
    job_log.write(b"two\n")
    assert before < said < console.activity
    console.finish()


class TestFlush:
    """At the end everything is printed, if somebody reads it in time."""

    def test_flush_waits_for_the_reader(self, pipe: Pipe) -> None:
        console = Console(pipe.writing)
        console.say("x" * MUCH)
        scope = CancelScope(SystemClock(), Signals(), deadline=0)
        thread = Thread(target=lambda: flush(console, scope, 30, 1))
        thread.start()
        assert pipe.read(MUCH + 1) == b"x" * MUCH + b"\n"
        thread.join()

    def test_flush_does_not_wait_for_ever(self, pipe: Pipe) -> None:
        console = Console(pipe.writing)
        console.say("x" * MUCH)
        flush(console, CancelScope(SystemClock(), Signals(), deadline=0), 0.05, 1)
        # What was not read is lost, and the program can end.
        assert len(os.read(pipe.reading, MUCH)) <= 65536
