"""What can go wrong with one exchange and may be right the next time, and how long it is tried again."""

import re
from collections.abc import Callable
from email.utils import mktime_tz, parsedate_tz
from random import uniform
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

_SECONDS = re.compile(r"[0-9]+", re.ASCII)


class Fault(Exception):
    """An exchange that failed in a way that may pass.

    `message` is a phrase for the user ("502 Bad Gateway", "connection refused"). `was_sent` is False only if it is
    certain that the request did not reach the platform. `retry_after` is what the platform asked for, in seconds.
    """

    def __init__(self, message: str, *, was_sent: bool = True, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.was_sent = was_sent
        self.retry_after = retry_after


class RetryPolicy(NamedTuple):
    """How faults are met: with exponential backoff and full jitter, or what the platform asks for, and for how long.

    See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ for why the jitter is full. All in
    seconds but `retry_after_jitter`, a fraction.
    """

    first: float = 0.5
    longest: float = 15.0
    outage: float = 300.0
    retry_after_jitter: float = 0.25


def persist(
    attempt: Callable[[], T],
    *,
    policy: RetryPolicy,
    pause: Callable[[float], None],
    give_up: Callable[[Fault], bool],
) -> T:
    """Call `attempt` until it raises no `Fault`, with a pause after each, or `give_up` says so: then raise the last.

    Anything else that is raised, by the attempt or the pause, passes through.
    """
    try:
        return attempt()
    except Fault as fault:
        first = fault
    # Imported only now: it takes 30 ms, and most steps never need it.
    from tenacity import Retrying, retry_if_exception_type, wait_random_exponential

    backoff = wait_random_exponential(multiplier=policy.first, max=policy.longest)

    def last_fault(state: "RetryCallState") -> Fault:
        fault = state.outcome.exception() if state.outcome else None
        return fault if isinstance(fault, Fault) else first

    def wait(state: "RetryCallState") -> float:
        asked = last_fault(state).retry_after
        return backoff(state) if asked is None else asked * uniform(1, 1 + policy.retry_after_jitter)  # noqa: S311

    failures = iter([first])

    def again() -> T:
        for failure in failures:
            raise failure
        return attempt()

    retrying = Retrying(
        retry=retry_if_exception_type(Fault),
        stop=lambda state: give_up(last_fault(state)),
        wait=wait,
        sleep=pause,
        reraise=True,
    )
    return retrying(again)


def retry_after(value: str | None, now: float) -> float | None:
    """Read a `Retry-After` header (RFC 9110, 10.2.3): seconds, or a date, seen from `now` (seconds since 1970).

    None for what is neither, and for what asks for no pause at all: then the backoff counts.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text) or None
    date = http_date(text)
    return date - now if date is not None and date > now else None


def http_date(value: str | None) -> float | None:
    """Read an HTTP date as seconds since 1970; None if it is none."""
    try:
        parts = parsedate_tz(value or "")
        return None if parts is None else float(mktime_tz(parts))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
