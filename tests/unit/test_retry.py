"""Failures that may pass are met with backoff and jitter, or what the platform asks for, until somebody gives up."""

import random
from collections.abc import Callable
from itertools import chain, repeat

import pytest

from matatika_deploy.platform.responses import Kind, Verdict
from matatika_deploy.platform.retry import TransientError, retry
from matatika_deploy.runtime.limits import RetryPolicy


def failure(phrase: str = "502", retry_after: float | None = None) -> TransientError:
    return TransientError(Verdict(Kind.AMBIGUOUS, phrase, retry_after=retry_after))


class Attempts:
    """Something that fails as often as it is told to, and is good then; keeps the pauses that were made."""

    def __init__(self, *failures: Exception) -> None:
        self.ends = chain(failures, repeat(None))
        self.pauses: list[float] = []
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if error := next(self.ends):
            raise error
        return "good"

    def retry(self, give_up: Callable[[Verdict], bool] = lambda _: False, policy: RetryPolicy | None = None) -> str:
        return retry(self, policy=policy or RetryPolicy(), sleep=self.pauses.append, give_up=give_up)


@pytest.mark.parametrize("failures", [0, 3])
def test_each_failure_costs_a_pause_and_a_further_attempt(failures: int) -> None:
    attempts = Attempts(*[failure()] * failures)
    assert attempts.retry() == "good"
    assert (attempts.count, len(attempts.pauses)) == (failures + 1, failures)


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("error", [failure("last"), KeyError("last")], ids=["given up", "another error"])
def test_failure_that_is_given_up_and_any_other_error_are_raised(before: int, error: Exception) -> None:
    attempts = Attempts(*[failure()] * before, error, failure("not reached"))
    with pytest.raises(type(error)) as caught:
        attempts.retry(give_up=lambda verdict: verdict.phrase == "last")
    assert caught.value is error
    assert (attempts.count, len(attempts.pauses)) == (before + 1, before)


def test_backoff_doubles_up_to_a_limit_and_its_jitter_is_full() -> None:
    random.seed(1)
    runs = [Attempts(*[failure()] * 8) for _ in range(50)]
    for attempts in runs:
        attempts.retry()
    for number, pauses in enumerate(zip(*(attempts.pauses for attempts in runs), strict=True)):
        top = min(0.5 * 2**number, 15)
        assert 0 <= min(pauses) < 0.1 * top
        assert 0.9 * top < max(pauses) <= top


def test_policy_sets_the_bounds() -> None:
    attempts = Attempts(*[failure()] * 5)
    attempts.retry(policy=RetryPolicy(first=0.001, longest=0.002))
    assert max(attempts.pauses) <= 0.002


def test_retry_after_replaces_one_pause_plus_up_to_a_quarter() -> None:
    random.seed(1)
    attempts = Attempts(*[failure("429", retry_after=8), failure()] * 100)
    attempts.retry()
    asked, usual = attempts.pauses[::2], attempts.pauses[1::2]
    assert 8 <= min(asked) < 8.1
    assert 9.9 < max(asked) <= 10
    assert max(usual) <= 15
