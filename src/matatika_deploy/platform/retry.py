"""Calls that are tried again: which failures are worth it, and after which pauses."""

from collections.abc import Callable
from random import uniform
from typing import TYPE_CHECKING, TypeVar

from matatika_deploy.platform.responses import Verdict
from matatika_deploy.runtime.limits import RetryPolicy

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")


class TransientError(Exception):
    """An exchange that failed in a way that may pass; `verdict` says how."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict


def retry(
    attempt: Callable[[], T],
    *,
    policy: RetryPolicy,
    sleep: Callable[[float], None],
    give_up: Callable[[Verdict], bool],
) -> T:
    """Call `attempt` until it raises no `TransientError`, or `give_up` says so: then raise the last one.

    Arguments:
        sleep: waits for the seconds that it gets; what it raises ends the retries.
        give_up: told of each failure.
    """
    # Imported only now, which is while the first request is under way: it takes 16 ms.
    from tenacity import Retrying, retry_if_exception_type, wait_random_exponential

    backoff = wait_random_exponential(multiplier=policy.first, max=policy.longest)

    def wait(state: "RetryCallState") -> float:
        asked = _verdict(state).retry_after
        return backoff(state) if asked is None else asked * uniform(1, 1 + policy.retry_after_jitter)  # noqa: S311

    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait,
        stop=lambda state: give_up(_verdict(state)),
        sleep=sleep,
        reraise=True,
    )
    return retrying(attempt)


def _verdict(state: "RetryCallState") -> Verdict:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, TransientError):
        raise TypeError("tenacity asks about failures only")
    return error.verdict
