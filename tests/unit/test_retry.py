"""Failures that may pass are met with backoff and jitter, or what the platform asks for, until somebody gives up."""

import random
from collections.abc import Callable

import pytest

from matatika_deploy.platform.responses import Kind, Verdict
from matatika_deploy.platform.retry import TransientError, retry
from matatika_deploy.runtime.limits import RetryPolicy


def failure(phrase: str = "502", retry_after: float | None = None) -> TransientError:
    return TransientError(Verdict(Kind.AMBIGUOUS, phrase, retry_after=retry_after))


class Attempts:
    """Something that fails as often as it is told to; keeps the pauses that were made."""

    def __init__(self, *failures: TransientError) -> None:
        self._failures = list(failures)
        self.pauses: list[float] = []
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if self._failures:
            raise self._failures.pop(0)
        return "good"

    def retry(self, give_up: Callable[[Verdict], bool] = lambda _: False, policy: RetryPolicy | None = None) -> str:
        return retry(self, policy=policy or RetryPolicy(), sleep=self.pauses.append, give_up=give_up)


class TestRetry:
    """Trying again."""

    def test_attempt_that_succeeds_is_the_only_one(self) -> None:
        attempts = Attempts()
        assert attempts.retry() == "good"
        assert (attempts.count, attempts.pauses) == (1, [])

    def test_each_failure_costs_a_pause_and_a_further_attempt(self) -> None:
        attempts = Attempts(*[failure()] * 3)
        assert attempts.retry() == "good"
        assert attempts.count == 4
        assert len(attempts.pauses) == 3

    def test_last_failure_is_raised_when_the_caller_gives_up(self) -> None:
        failures = [failure("first"), failure("second"), failure("third")]
        attempts = Attempts(*failures)
        with pytest.raises(TransientError) as caught:
            attempts.retry(give_up=lambda verdict: verdict.phrase == "second")
        assert caught.value is failures[1]
        assert attempts.count == 2

    def test_first_failure_may_be_the_last(self) -> None:
        attempts = Attempts(failure("first"))
        with pytest.raises(TransientError, match="first"):
            attempts.retry(give_up=lambda _: True)
        assert (attempts.count, attempts.pauses) == (1, [])

    @pytest.mark.parametrize("is_first", [True, False])
    def test_other_errors_pass_through(self, is_first: bool) -> None:
        failures = [] if is_first else [failure()]

        def attempt() -> str:
            if failures:
                raise failures.pop()
            raise KeyError("x")

        with pytest.raises(KeyError):
            retry(attempt, policy=RetryPolicy(), sleep=lambda _: None, give_up=lambda _: False)

    def test_backoff_doubles_up_to_a_limit_and_its_jitter_is_full(self) -> None:
        random.seed(1)
        runs = []
        for _ in range(200):
            attempts = Attempts(*[failure()] * 8)
            attempts.retry()
            runs.append(attempts.pauses)
        for number, pauses in enumerate(zip(*runs, strict=True)):
            top = min(0.5 * 2**number, 15)
            assert 0 <= min(pauses) < 0.1 * top
            assert 0.9 * top < max(pauses) <= top

    def test_retry_after_replaces_the_backoff_plus_up_to_a_quarter(self) -> None:
        random.seed(1)
        attempts = Attempts(*[failure("429", retry_after=8)] * 200)
        attempts.retry()
        assert 8 <= min(attempts.pauses) < 8.1
        assert 9.9 < max(attempts.pauses) <= 10

    def test_retry_after_counts_for_one_pause_alone(self) -> None:
        attempts = Attempts(failure("429", retry_after=100), failure())
        attempts.retry()
        asked, usual = attempts.pauses
        assert asked >= 100
        assert usual <= 1

    def test_policy_sets_the_bounds(self) -> None:
        attempts = Attempts(*[failure()] * 5)
        attempts.retry(policy=RetryPolicy(first=0.001, longest=0.002))
        assert max(attempts.pauses) <= 0.002
