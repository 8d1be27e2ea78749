"""One thread writes to standard output: no other waits for its reader, and everything comes out in order."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

import pytest

from matatika_deploy.github.console import Console, flush
from matatika_deploy.runtime.cancellation import CancelScope, SystemClock
from matatika_deploy.runtime.signals import Signals
from tests.support.result import StepLog

# More than any pipe holds.
MUCH = 1024 * 1024
OPENING = len("::stop-commands::") + 41
SCOPE = CancelScope(SystemClock(), Signals(), deadline=0)


class Pipe:
    """A console's pipe, whose reader takes its time."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.console = Console(self.writing)

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        content = b""
        while len(content) < size:
            content += os.read(self.reading, size - len(content))
        return content

    def log(self) -> StepLog:
        """Let the console finish, and read what fits into the pipe."""
        self.console.finish()
        return StepLog(os.read(self.reading, 65536))


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for descriptor in (pipe.reading, pipe.writing):
        with suppress(OSError):
            os.close(descriptor)


def test_lines_and_logs_come_out_in_order(pipe: Pipe) -> None:
    first, second = pipe.console.open_log(), pipe.console.open_log()
    pipe.console.say("One")
    first.write(b"two\nthr")
    # It counts what is printed.
    assert pipe.console.activity == 2
    pipe.console.say("Four")
    first.write(b"ee\nfive")
    first.end(b" and six")
    pipe.console.say("Sévèn")
    second.write(b"eight\nunfini")
    # Pieces that come after the end of their log are dropped.
    first.write(b"a straggler\n")
    first.end(b"another one\n")
    pipe.console.say("Waits")
    pipe.console.say("::add-mask::s3cret", at_once=True)
    second.end(b"shed\n")
    log = pipe.log()
    assert log.job_log == b"two\nthree\nfive and six\neight\nunfini\nshed\n"
    unfinished = "The log's last line is not finished: it may go on below."
    assert log.lines == ["One", "Four", "Sévèn", unfinished, "Waits", "::add-mask::s3cret"]


def test_every_step_has_a_token_of_its_own(pipe: Pipe) -> None:
    for console in (pipe.console, Console(pipe.writing)):
        console.open_log().write(b"x\n")
        console.finish()
    first, second = re.findall(rb"^::stop-commands::(\w{32,})$", os.read(pipe.reading, 65536), re.MULTILINE)
    assert first != second


def test_lines_never_wait_for_the_reader(pipe: Pipe) -> None:
    job_log = pipe.console.open_log()
    job_log.write(b"x" * MUCH + b"\n")
    for number in range(1000):
        pipe.console.say(f"Line {number}")
    job_log.end(b"")
    printed = pipe.read(OPENING + MUCH + 1 + len(b"::::\n") + 40)
    assert StepLog(printed).job_log == b"x" * MUCH + b"\n"
    lines = b"".join(b"Line %d\n" % number for number in range(1000))
    assert pipe.read(len(lines)) == lines


def test_log_waits_for_the_reader_so_that_little_of_it_is_held_in_memory(pipe: Pipe) -> None:
    job_log = pipe.console.open_log()
    pieces = [b"%d" % number * MUCH for number in range(8)]
    taken: SimpleQueue[None] = SimpleQueue()

    def read_log() -> None:
        for piece in pieces:
            job_log.write(piece)
            taken.put(None)

    thread = Thread(target=read_log)
    thread.start()
    # One piece is being written and four wait: there is no room for a sixth, however long it takes.
    for _ in range(5):
        taken.get(timeout=10)
    thread.join(0.05)
    assert taken.empty()
    pipe.read(OPENING)
    for piece in pieces:
        assert pipe.read(MUCH) == piece
    thread.join()


def test_slow_reader_gets_everything_before_the_end(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    pipe.console.say("x" * MUCH)
    thread = Thread(target=flush, args=(pipe.console, SCOPE, 30, 1))
    thread.start()
    assert pipe.read(MUCH + 1) == b"x" * MUCH + b"\n"
    thread.join()


def test_reader_that_went_away_stops_nothing(pipe: Pipe) -> None:
    os.close(pipe.reading)
    job_log = pipe.console.open_log()
    for number in range(20):
        pipe.console.say(f"Line {number}")
        job_log.write(b"x\n")
    pipe.console.finish()
    assert pipe.console.error is None


def test_flush_does_not_wait_for_ever(pipe: Pipe) -> None:
    pipe.console.say("x" * MUCH)
    flush(pipe.console, SCOPE, 0.05, 1)
    # What was not read is lost, and the program can end.
    assert len(os.read(pipe.reading, MUCH)) <= 65536
