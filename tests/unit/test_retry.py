"""Failures that may pass are met with backoff and jitter, or what the platform asks for, until somebody gives up."""

import random

import pytest

from matatika_deploy.platform.responses import Kind, Verdict
from matatika_deploy.platform.retry import TransientError, retry
from matatika_deploy.runtime.limits import RetryPolicy


def failure(phrase: str = "502", retry_after: float | None = None) -> TransientError:
    return TransientError(Verdict(Kind.AMBIGUOUS, phrase, retry_after=retry_after))


class Attempts:
    """Something that fails as often as it is told to, and is good then; keeps the pauses that were made."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = [*failures]
        self.pauses: list[float] = []

    def __call__(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "good"

    def retry(self, **policy: float) -> list[float]:
        bounds, sleep = RetryPolicy(**policy), self.pauses.append
        assert retry(self, policy=bounds, sleep=sleep, give_up=lambda verdict: verdict.phrase == "last") == "good"
        return self.pauses


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("error", [failure("last"), KeyError("last")], ids=["given up", "another error"])
def test_failure_that_is_given_up_and_any_other_error_are_raised(before: int, error: Exception) -> None:
    attempts = Attempts(*[failure()] * before, error, failure("not reached"))
    with pytest.raises(type(error)) as caught:
        attempts.retry()
    assert caught.value is error
    assert (len(attempts.failures), len(attempts.pauses)) == (1, before)


def test_backoff_doubles_up_to_a_limit_and_its_jitter_is_full() -> None:
    random.seed(1)
    runs = [Attempts(*[failure()] * 8).retry() for _ in range(50)]
    for number, pauses in enumerate(zip(*runs, strict=True)):
        top = min(0.5 * 2**number, 15)
        assert 0 <= min(pauses) < 0.1 * top
        assert 0.9 * top < max(pauses) <= top
    assert max(Attempts(*[failure()] * 5).retry(first=0.001, longest=0.002)) <= 0.002


def test_retry_after_replaces_one_pause_plus_up_to_a_quarter() -> None:
    random.seed(1)
    pauses = Attempts(*[failure("429", retry_after=8), failure()] * 100).retry()
    asked, usual = pauses[::2], pauses[1::2]
    assert 8 <= min(asked) < 8.1
    assert 9.9 < max(asked) <= 10
    assert max(usual) <= 15
