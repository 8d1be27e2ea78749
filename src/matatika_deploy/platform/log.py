"""The job's log as a resumable stream of bytes, read in a thread of its own while the job is followed.

It is read from the number of lines that were handed on whole: a connection that breaks loses no line and repeats none.
Nothing that happens here changes how the step ends.
"""

from collections import deque
from collections.abc import Callable
from contextlib import closing
from enum import Enum, auto
from queue import Empty, SimpleQueue
from random import uniform
from threading import Lock
from typing import Final

import requests

from matatika_deploy.errors import PlatformError
from matatika_deploy.platform import links
from matatika_deploy.platform.client import Client, Exchange
from matatika_deploy.platform.job import Job
from matatika_deploy.platform.jobs import Jobs
from matatika_deploy.platform.responses import (
    Failure,
    Kind,
    Request,
    Response,
    TransportError,
    Verdict,
    classify,
)
from matatika_deploy.platform.retry import TransientError, retry
from matatika_deploy.runtime.cancellation import Cancelled, CancelScope, DeadlineExceeded, Task, TaskTimeout

LONGEST_HELD_LINE: Final = 64 * 1024
TAIL_BYTES: Final = 64 * 1024
# Among these lines, the reason is looked for. One of a structured log may hold a traceback.
LAST_LINES: Final = 200
_LONGEST_LAST_LINE = 8 * 1024

# A stream that was open for longer was held by the platform, which ends it when the job does (seconds).
_HELD_AFTER = 1.0
_QUIET_ANSWERS = 2
_LONGEST_FINAL_PAUSE = 1.0
# What the platform asks for is kept to even then, unless it would leave no time to read the rest (seconds).
_LONGEST_FINAL_RETRY_AFTER = 5.0
# So many failures in a row, while the job itself can be seen, are worth a warning.
_FAILURES_TO_WARN = 5


class LineBuffer:
    """The log as a resumable stream: counts whole lines, and holds the unfinished one back.

    `lines` is the number of lines (LF) that were handed on whole, so the line to resume from. A CR ends a line only
    for whoever watches: what stands before it is handed on. Each reading starts with `resume`; what a reading repeats
    of an unfinished line is left out.
    """

    def __init__(self) -> None:
        self.lines = 0
        self._handed_on = 0
        self._repeated = 0
        self._held = b""

    @property
    def position(self) -> tuple[int, int]:
        """How far the log is known: whole lines, and bytes of the line after them."""
        return self.lines, self._handed_on + len(self._held) - self._repeated

    def resume(self) -> None:
        """Begin a reading at line `lines`. The server may send less than last time; bytes already seen are skipped."""
        self._repeated = self._handed_on + len(self._held)

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk of the stream; return what can be printed now."""
        if self._repeated:
            skipped = min(self._repeated, len(chunk))
            self._repeated -= skipped
            chunk = chunk[skipped:]
        line_end = chunk.rfind(b"\n") + 1
        end = max(line_end, chunk.rfind(b"\r", line_end) + 1)
        ready = b""
        if end:
            # One copy, of what may be a large chunk.
            ready = b"".join((self._held, memoryview(chunk)[:end]))
            self.lines += chunk.count(b"\n", 0, line_end)
            self._handed_on = end - line_end if line_end else self._handed_on + len(ready)
            self._held = chunk[end:]
        else:
            self._held += chunk
        if len(self._held) > LONGEST_HELD_LINE:
            ready += self._held
            self._handed_on += len(self._held)
            self._held = b""
        return ready

    def rest(self) -> bytes:
        """Return the held part of the last line, once nothing can follow it."""
        held, self._held = self._held, b""
        self._handed_on += len(held)
        return held


class LogEnd:
    """The end of a log: its last bytes, and its last lines, whole or cut at their ends, however long they are."""

    def __init__(self) -> None:
        self.tail = b""
        self._lines: deque[bytes] = deque(maxlen=LAST_LINES)

    @property
    def last_lines(self) -> bytes:
        """The last 200 lines."""
        return b"".join(self._lines)

    def add(self, chunk: bytes) -> None:
        """Take more of the log."""
        self.tail = chunk[-TAIL_BYTES:] if len(chunk) >= TAIL_BYTES else (self.tail + chunk)[-TAIL_BYTES:]
        lines = chunk.splitlines(keepends=True)
        if lines and self._lines and not self._lines[-1].endswith((b"\n", b"\r")):
            lines[0] = self._lines.pop() + lines[0]
        for line in lines[-LAST_LINES:]:
            end = b"\n" if line.endswith((b"\n", b"\r")) else b""
            self._lines.append(line if len(line) <= _LONGEST_LAST_LINE else line[:_LONGEST_LAST_LINE] + end)


class _Message(Enum):
    """What the main thread tells the reader."""

    READ = auto()
    """The job was looked at, so that the log may be read again; and failures are the log's alone."""
    START_OVER = auto()
    PAUSE = auto()


class LogReader:
    """Reads one job's log in a thread of its own (`run`); the other methods are for the main thread.

    A log that has ended is read again after a further look at the job, so no more often than the job.
    """

    def __init__(
        self, client: Client, job: Job, sink: Callable[[bytes], None], wake: Callable[[], None], missing_until: float
    ) -> None:
        """The client belongs to the thread.

        Arguments:
            sink: takes the log's bytes; it may block.
            wake: called when it is time to look at the job.
            missing_until: until this moment of the scope's clock, there may be no log yet.
        """
        self._client = client
        self._scope = client.scope
        self._pace = client.platform.pace
        self._jobs = Jobs(client)
        self._job = job
        self._sink = sink
        self._wake = wake
        self._missing_until = missing_until
        self._messages: SimpleQueue[_Message | float] = SimpleQueue()
        # What both threads use: the buffer, the end, and whether a chunk is on its way from one to the other.
        self._lock = Lock()
        self._buffer = LineBuffer()
        self._end = LogEnd()
        self._is_handing_on = False
        self._is_abandoned = False
        self._has_warned = False
        # The rest belongs to the reader's thread.
        self._opened: requests.Response | None = None
        self._furthest = (0, 0)
        self._looks = 0
        self._is_finishing = False
        self._starts_over = False
        self._is_paused = False
        self._is_job_seen = False
        self._must_wait = False
        self._failures = 0
        self._may_renew = True

    @property
    def tail(self) -> bytes:
        """The last bytes of what was read."""
        with self._lock:
            return self._end.tail

    @property
    def last_lines(self) -> bytes:
        """The last lines of what was read."""
        with self._lock:
            return self._end.last_lines

    def job_was_seen(self) -> None:
        """Tell the reader that the job was looked at."""
        self._send(_Message.READ)

    def start_over(self, *, may_read: bool = True) -> None:
        """Read the log from its beginning: a new attempt of the job writes it anew.

        Until that has begun, it `may_read` nothing: there may be the log of the attempt before, or a part of the new.
        """
        self._send(_Message.START_OVER if may_read else _Message.PAUSE)

    def finish(self, seconds: float) -> None:
        """Let the reader end with what is left of the log, within `seconds`: the job is over."""
        self._send(self._scope.clock.monotonic() + seconds)

    def abandon(self) -> bytes:
        """Make the reader stop, wherever it is; returns the held end of an unfinished last line.

        From now on, nothing reaches the end. The chunk that the reader may be handing on can come too late to be
        printed; then nothing is returned, since the end of the line would follow a gap.
        """
        with self._lock:
            self._is_abandoned = True
            rest = b"" if self._is_handing_on else self._buffer.rest()
            self._end.add(rest)
        self._scope.cancel()
        return rest

    def warn_once(self, why: str) -> None:
        """Warn that the log is not shown whole, unless that was said already."""
        with self._lock:
            has_warned, self._has_warned = self._has_warned, True
        if not has_warned:
            self._client.platform.reporter.warning(f"The job's log cannot be shown whole: {why}")

    def run(self) -> bool:
        """Read until the end; returns whether the log was read whole."""
        try:
            return self._run()
        except PlatformError as error:
            self.warn_once(error.message)
        except (Cancelled, DeadlineExceeded):
            pass
        return False

    def _run(self) -> bool:
        if self._pace.is_slow and not self._is_finishing:
            self._await_look()
        quiet = 0
        while quiet < _QUIET_ANSWERS:
            self._receive()
            was_finishing = self._is_finishing
            began = self._scope.clock.monotonic()
            is_new, is_broken = retry(
                self._read, policy=self._client.platform.retry, sleep=self._sleep_to_retry, give_up=lambda _: False
            )
            quiet = quiet + 1 if was_finishing and not is_new and not is_broken else 0
            if is_broken:
                self._sleep_to_retry(uniform(0, self._client.platform.retry.first))  # noqa: S311
            elif was_finishing:
                self._sleep_to_retry(self._pace.closing if quiet < _QUIET_ANSWERS else 0)
            else:
                if self._scope.clock.monotonic() - began > _HELD_AFTER:
                    self._wake()
                self._await_look()
        return True

    def _read(self) -> tuple[bool, bool]:
        """Make one reading: returns whether it brought something new, and whether it broke off in the middle."""
        while self._is_paused and not self._is_finishing:
            self._sleep(self._pace.longest, lambda: not self._is_paused or self._is_finishing)
        self._must_wait = False
        self._begin_reading()
        before = self._furthest
        verdict = self._open()
        try:
            if verdict is None and self._opened:
                with closing(self._opened):
                    for chunk in self._client.http.chunks(self._opened):
                        self._take(chunk)
                        self._receive()
                        if self._starts_over:
                            return True, True
        except TransportError as error:
            if error.failure is Failure.BODY_SILENT:
                return self._furthest > before, True
            verdict = self._client.learn(classify(error), self._request())
        if verdict is None:
            self._failures = 0
            self._may_renew = True
            return self._furthest > before, False
        if self._furthest > before:
            return True, True
        self._count_failure(verdict)
        raise TransientError(verdict)

    def _begin_reading(self) -> None:
        with self._lock:
            if self._starts_over:
                self._starts_over = False
                rest = self._buffer.rest()
                self._buffer = LineBuffer()
                self._furthest = (0, 0)
                self._end = LogEnd()
            else:
                rest = b""
            self._buffer.resume()
        if rest:
            self._sink(rest)

    def _request(self) -> Request:
        request = self._jobs.request(self._job, links.LOGS, "GET", "read the job's log")
        lines = self._buffer.lines
        return request._replace(
            url=links.from_line(request.url, lines),
            fallback_url=links.from_line(request.fallback_url, lines) if request.fallback_url else "",
            headers={"Accept": "text/plain"},
        )

    def _open(self) -> Verdict | None:
        """Open the log for a reading; returns why it could not be, if that may pass.

        Raises:
            RequestRejected: if the log cannot be had.
        """
        exchange = self._client.perform(self._request(), self._exchange, may_renew=self._may_renew)
        self._may_renew = self._may_renew and not exchange.has_renewed
        request, verdict = exchange.request, exchange.verdict
        if verdict.kind is Kind.OK:
            return None
        if not self._client.may_pass(verdict, request, self._missing_until, is_following=True):
            raise self._client.rejected(verdict, request)
        return verdict

    def _exchange(self, request: Request) -> Exchange:
        """Send a request. The body of an answer that has the log stays to be read, from `_opened`."""
        sent_at = self._client.platform.http.now()
        try:
            opened = self._client.http.open(request)
            verdict = classify(Response(opened.status_code, opened.headers, b"", sent_at, sent_at))
            if verdict.kind is Kind.OK:
                self._opened = opened
            else:
                with closing(opened):
                    verdict = classify(self._client.http.read(opened, sent_at))
        except TransportError as error:
            verdict = classify(error)
        return Exchange(request, self._client.learn(verdict, request))

    def _take(self, chunk: bytes) -> None:
        """Hand on what a chunk of the log completes."""
        with self._lock:
            if self._is_abandoned:
                return
            ready = self._buffer.feed(chunk)
            self._furthest = max(self._furthest, self._buffer.position)
            self._end.add(ready)
            self._is_handing_on = bool(ready)
        if ready:
            self._sink(ready)
            with self._lock:
                self._is_handing_on = False

    def _count_failure(self, verdict: Verdict) -> None:
        if self._failures == 0:
            self._is_job_seen = False
        self._failures += 1
        if self._failures >= _FAILURES_TO_WARN and self._is_job_seen:
            self.warn_once(f"{verdict}. It is tried again and again.")
        asked = verdict.retry_after
        self._must_wait = asked is not None and asked <= _LONGEST_FINAL_RETRY_AFTER

    def _sleep_to_retry(self, seconds: float) -> None:
        """Sleep. The job's end ends it, and leaves little time for further ones, unless the platform asked for it."""
        was_finishing = self._is_finishing
        if was_finishing and not self._must_wait:
            seconds = min(seconds, _LONGEST_FINAL_PAUSE)
        self._sleep(seconds, lambda: self._is_finishing != was_finishing and not self._must_wait)

    def _await_look(self) -> None:
        """Sleep until it is time for the next reading, or the job is over; not for ever, since looks may be failing."""
        looks, to_come = self._looks, self._pace.looks_per_reading
        self._sleep(2 * to_come * self._pace.longest, lambda: self._is_finishing or self._looks >= looks + to_come)
        self._sleep(self._pace.apart, lambda: False)

    def _sleep(self, seconds: float, is_over: Callable[[], bool]) -> None:
        end = self._scope.clock.monotonic() + seconds
        while not is_over() and (left := end - self._scope.clock.monotonic()) > 0:
            self._scope.sleep(left, wakeable=True)
            self._receive()

    def _send(self, message: _Message | float) -> None:
        self._messages.put(message)
        self._scope.wake()

    def _receive(self) -> None:
        """Take what the main thread has said meanwhile."""
        self._scope.checkpoint()
        try:
            while True:
                message = self._messages.get_nowait()
                if message is _Message.READ:
                    self._looks += 1
                    self._is_job_seen = True
                elif message is _Message.PAUSE:
                    self._is_paused = True
                elif message is _Message.START_OVER:
                    self._starts_over, self._is_paused = True, False
                else:
                    self._is_finishing = True
                    self._scope.deadline = message
        except Empty:
            return


class FollowedLog:
    """A job's log on its way to the console, as the main thread sees it."""

    def __init__(self, reader: LogReader, scope: CancelScope, end: Callable[[bytes], None]) -> None:
        """`scope` is the main thread's, and `end` takes the last bytes of the log."""
        self.reader = reader
        self._scope = scope
        self._end = end
        self._task: Task[bool] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._task = self._scope.start(self.reader.run)

    def finish(self, seconds: float) -> bool:
        """Read what is left, for at most `seconds`, and end the log; returns whether it was read whole."""
        self.reader.finish(seconds)
        try:
            with self._scope.fail_after(seconds):
                task = self._task or self._scope.start(self.reader.run)
                return self._scope.join(task, seconds)
        except (DeadlineExceeded, TaskTimeout):
            return False
        finally:
            self._end(self.reader.abandon())
