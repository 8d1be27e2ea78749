"""Every limit of a step in one place. Tests pass their own; users set theirs through inputs."""

from typing import NamedTuple

from matatika_deploy.platform.http import Limits
from matatika_deploy.platform.retry import RetryPolicy


class Tuning(NamedTuple):
    """How long things may take, in seconds."""

    limits: Limits = Limits()
    retry: RetryPolicy = RetryPolicy()
    missing_after_trigger: float = 10.0
    """So long after the trigger, the job and its log may not be there yet."""
    check: float = 10.0
    """For a check that only warns."""
    last_listing: float = 5.0
    """For finding a deployment whose trigger was under way at the deadline."""
    last_look: float = 3.0
    """For the last look at the job, after the deadline."""
    after_deadline: float = 10.0
    """For that look, the withdrawal and the log's end together."""
    log_end: float = 10.0
    """For the rest of the log, once the job is over."""
    cancel_answer: float = 4.0
    """From the first signal on, for the answer to a trigger that is under way."""
    cancel_listing: float = 0.4
    """And then for the list of jobs, if there was none."""
    cancel: float = 4.6
    """From the first signal on, for everything but the last output: the process must be gone within 6 s."""
    confirm: float = 2.0
    """For the job to end after its withdrawal was accepted."""
    confirm_pause: float = 0.2
    hurry: float = 1.0
    """What a further signal leaves for everything."""
    last_output: float = 30.0
    """For whoever reads standard output to take the rest of it."""
    post: float = 60.0
    """For the post step's withdrawal."""


DEFAULT = Tuning()
