"""The job's log as a resumable stream of bytes, read in a thread of its own while the job is followed.

It is read from the number of lines that were handed on whole: a connection that breaks loses no line and repeats none.
Nothing that happens here changes how the step ends.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from random import uniform
from typing import Final

from requests import Response

from matatika_deploy.errors import PlatformError
from matatika_deploy.platform.auth import AccessToken
from matatika_deploy.platform.client import passing, refusal
from matatika_deploy.platform.http import Answer, Http, Request, Silence
from matatika_deploy.platform.pace import Pace
from matatika_deploy.platform.retry import Fault, RetryPolicy, persist
from matatika_deploy.runtime.cancellation import Clock
from matatika_deploy.runtime.signals import Inbox

LONGEST_HELD_LINE: Final = 64 * 1024
TAIL_BYTES: Final = 64 * 1024

# A stream that was open for longer was held by the platform, which ends it when the job does.
_HELD_AFTER = 1.0
_QUIET_ANSWERS = 2
_LONGEST_FINAL_PAUSE = 1.0
# What the platform asks for is kept to even then, unless it would leave no time to read the rest.
_LONGEST_FINAL_WISH = 5.0
# So many failures in a row, while the job itself can be seen, are worth a warning.
_FAILURES_TO_WARN = 5


class LineBuffer:
    """The log as a resumable stream: counts whole lines, and holds the unfinished one back.

    `lines` is the number of lines (LF) that were handed on whole, so the line to resume from. Each reading starts with
    `resume`; what a reading says again of an unfinished line is left out.
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
        """Start over at line `lines`: a new reading begins. It may bring less than the one before, and be the last."""
        self._repeated = self._handed_on + len(self._held)

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the stream; give what can be printed now."""
        if self._repeated:
            skipped = min(self._repeated, len(piece))
            self._repeated -= skipped
            piece = piece[skipped:]
        end = piece.rfind(b"\n") + 1
        ready = b""
        if end:
            # One copy, of what may be a large piece.
            ready = b"".join((self._held, memoryview(piece)[:end]))
            self.lines += piece.count(b"\n", 0, end)
            self._handed_on = 0
            self._held = piece[end:]
        else:
            self._held += piece
        if len(self._held) > LONGEST_HELD_LINE:
            ready += self._held
            self._handed_on += len(self._held)
            self._held = b""
        return ready

    def rest(self) -> bytes:
        """Give the held part of the last line, once nothing can follow it."""
        held, self._held = self._held, b""
        self._handed_on += len(held)
        return held


class LogReader:
    """Follows one job's log until `finish`, then to its end. `run` is the thread's work, the rest for others.

    `address` gives the log's address from a line on, `hand_on` takes the bytes, `tell_news` is called when it is time
    to look at the job, `warn` once if the log cannot be read. A log that has ended is read again after a further look
    at the job (`job_was_seen`), so no more often than the job.
    """

    def __init__(
        self,
        http: Http,
        access: AccessToken,
        *,
        address: Callable[[int], str],
        hand_on: Callable[[bytes], None],
        tell_news: Callable[[], None],
        warn: Callable[[str], None],
        clock: Clock,
        pace: Pace,
        policy: RetryPolicy,
        missing_until: float,
    ) -> None:
        self._http = http
        self._access = access
        self._address = address
        self._hand_on = hand_on
        self._tell_news = tell_news
        self._warn = warn
        self._clock = clock
        self._pace = pace
        self._policy = policy
        self._missing_until = missing_until
        self._buffer = LineBuffer()
        self._furthest = (0, 0)
        self._inbox: Inbox = SimpleQueue()
        self._is_over = False
        self._is_left = False
        self._is_taking = False
        self._looks = 0
        self._began = 0.0
        self._must_wait = False
        self._failures = 0
        self._is_job_seen = False
        self._has_warned = False
        self.tail = b""
        self.needs_token = False
        """Whether a reading was refused with the token that is still the present one."""

    def job_was_seen(self) -> None:
        """Tell that the job was looked at: the platform answers, so that failures are the log's alone."""
        self._looks += 1
        self._is_job_seen = True
        self._inbox.put(None)

    def finish(self) -> None:
        """Let the reader end: the job is over, and only what is left of the log is still to be read."""
        self._is_over = True
        self._inbox.put(None)

    def warn_once(self, why: str) -> None:
        """Warn that the log is not shown whole, unless that was said already."""
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"The job's log cannot be shown whole: {why}")

    def leave(self) -> bytes:
        """Give the end of an unfinished last line; a reader that has not ended is of no use any more, and will."""
        self._is_left = True
        self._inbox.put(None)
        # What it is about to hand on comes too late now, and without it the rest would stand behind a hole.
        rest = b"" if self._is_taking else self._buffer.rest()
        self.tail = (self.tail + rest)[-TAIL_BYTES:]
        return rest

    def run(self) -> bool:
        """Read until the end; says whether the log was read whole."""
        if self._pace.is_slow and not self._is_over:
            self._await_look()
        quiet = 0
        while quiet < _QUIET_ANSWERS and not self._is_left:
            was_over = self._is_over
            try:
                is_new, is_broken = persist(self._read, policy=self._policy, pause=self._rest, give_up=self._gives_up)
            except PlatformError as error:
                self.warn_once(error.message)
                return False
            except Fault:
                # The reader was left in the middle of its retries: nobody wants to know any more.
                return False
            quiet = quiet + 1 if was_over and not is_new and not is_broken else 0
            if is_broken:
                self._rest(uniform(0, self._policy.first))  # noqa: S311
            elif was_over:
                self._rest(self._pace.closing if quiet < _QUIET_ANSWERS else 0)
            else:
                if self._clock.monotonic() - self._began > _HELD_AFTER:
                    self._tell_news()
                self._await_look()
        return True

    def _read(self) -> tuple[bool, bool]:
        """Make one reading: says whether it brought something new, and whether it broke off in the middle."""
        self._began = self._clock.monotonic()
        self._must_wait = False
        self._buffer.resume()
        request = Request(
            "read the job's log",
            "GET",
            self._address(self._buffer.lines),
            self._access,
            {"Accept": "text/plain"},
        )
        before = self._furthest
        token = self._access.value
        try:
            with closing(self._http.open(request)) as response:
                self._check(response, request, token)
                if response.status_code != 204:
                    for piece in self._http.pieces(response):
                        self._take(piece)
        except Silence:
            return self._furthest > before, True
        except Fault as fault:
            if self._furthest > before:
                return True, True
            self._count_failure(fault)
            raise
        self._failures = 0
        self.needs_token = False
        return self._furthest > before, False

    def _take(self, piece: bytes) -> None:
        self._is_taking = True
        ready = self._buffer.feed(piece)
        self._furthest = max(self._furthest, self._buffer.position)
        if ready:
            self._hand_on(ready)
            self.tail = ready[-TAIL_BYTES:] if len(ready) >= TAIL_BYTES else (self.tail + ready)[-TAIL_BYTES:]
        self._is_taking = False

    def _check(self, response: Response, request: Request, token: str) -> None:
        """Raise what an answer other than the log means."""
        if 200 <= response.status_code < 300:
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise Fault("a web page instead of the log")
            return
        answer = Answer(response.status_code, self._http.headers(response), b"", 0.0, 0.0)
        if answer.status == 401:
            if self._access.value == token and not self.needs_token:
                self.needs_token = True
                self._tell_news()
            raise Fault(answer.phrase)
        if fault := passing(answer, self._clock.time()):
            raise fault
        if answer.status == 404 and self._clock.monotonic() < self._missing_until:
            raise Fault(answer.phrase)
        raise refusal(answer, request, {})

    def _count_failure(self, fault: Fault) -> None:
        if self._failures == 0:
            self._is_job_seen = False
        self._failures += 1
        if self._failures >= _FAILURES_TO_WARN and self._is_job_seen:
            self.warn_once(f"{fault.message}. It is tried again and again.")

    def _gives_up(self, fault: Fault) -> bool:
        """Take note of a failed reading; say whether nobody wants another."""
        if fault.retry_after is not None:
            self._pace.slow_down()
            self._must_wait = fault.retry_after <= _LONGEST_FINAL_WISH
        return self._is_left

    def _rest(self, seconds: float) -> None:
        """Pause. The job's end ends it, and leaves little time for further ones, unless the platform asked for it."""
        was_over = self._is_over
        if was_over and not self._must_wait:
            seconds = min(seconds, _LONGEST_FINAL_PAUSE)
        self._wait(seconds, lambda: self._is_over != was_over and not self._must_wait)

    def _await_look(self) -> None:
        """Pause until it is time for the next reading, or the job is over; not for ever, since looks may be failing."""
        looks, to_come = self._looks, self._pace.looks_per_reading
        self._wait(2 * to_come * self._pace.longest, lambda: self._is_over or self._looks >= looks + to_come)
        self._wait(self._pace.apart, lambda: False)

    def _wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        end = self._clock.monotonic() + seconds
        while not (self._is_left or is_over()) and (left := end - self._clock.monotonic()) > 0:
            with suppress(Empty):
                self._clock.wait(self._inbox, left)
