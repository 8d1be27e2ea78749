"""How long each part of a step may take (seconds), how often things are said, and how large an answer may be (bytes).

Users set their own limits through inputs; tests pass theirs.
"""

from typing import NamedTuple

CHECK_SECONDS = 8.0
"""CPU seconds of a check of a repository, which takes half of it for 10,000 files of 50 MB."""
SAY_AGAIN_AFTER = 60.0
"""While failures last, or nothing is printed: so long from one line that tells of it to the next."""
MOST_CHUNKS_WAITING = 4
"""Chunks of a job's log that may wait to be printed. This bounds the memory that a slow reader costs."""


class HttpLimits(NamedTuple):
    """The limits of one exchange over HTTP."""

    connect: float = 10.0
    read_timeout: float = 30.0
    """Between two bytes of an answer."""
    total: float = 60.0
    body: int = 8 * 1024 * 1024
    error_body: int = 64 * 1024
    chunk_size: int = 256 * 1024


class RetryPolicy(NamedTuple):
    """How long, and after which pauses, a call is tried again.

    Pauses grow exponentially with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/),
    or are what the platform asks for, plus a random part of up to `retry_after_jitter`, a fraction.
    """

    first: float = 0.5
    longest: float = 15.0
    retry_after_jitter: float = 0.25
    outage: float = 300.0
    """Without one good answer."""
    unresolved_name: float = 60.0
    """While the host's name has never been resolved."""
    web_page: float = 5.0
    """While the API has given no good answer, and every answer is a web page."""


class Limits(NamedTuple):
    """How long the parts of a step may take, in seconds."""

    http: HttpLimits = HttpLimits()
    retry: RetryPolicy = RetryPolicy()
    before_trigger: float = 10.0
    """For reading what may be left out: the workspace, and the list of jobs."""
    missing_after_trigger: float = 10.0
    """So long after the trigger, the job and its log may not be there yet."""
    unlisted: float = 15.0
    """So long after a trigger whose answer was lost, its job may not be in the list yet."""
    listing_pause: float = 2.0
    conflict: float = 120.0
    """For a conflict to pass that no listed job explains."""
    last_listing: float = 5.0
    """For finding the job of a trigger that was in flight at the deadline."""
    last_look: float = 3.0
    """For the last look at the job, after the deadline."""
    after_deadline: float = 10.0
    """For that look, the withdrawal and the log's end together."""
    log_end: float = 10.0
    """For the rest of the log, once the job is over."""
    cancel_answer: float = 4.0
    """From the first signal on, for the answer to a trigger that is in flight."""
    cancel_listing: float = 0.4
    """And then for the list of jobs, if there was none."""
    cancel: float = 4.6
    """From the first signal on, for everything but the last output: the process must be gone within 6 s."""
    confirm: float = 2.0
    """For the job to end after its withdrawal was accepted."""
    confirm_pause: float = 0.2
    grace_after_signal: float = 1.0
    """What a further signal leaves for everything."""
    last_output: float = 30.0
    """For whoever reads standard output to take the rest of it."""
    post: float = 60.0
    """For the post step's withdrawal."""


DEFAULT = Limits()
