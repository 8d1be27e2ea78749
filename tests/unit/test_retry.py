"""Faults are met with patience: backoff with jitter, or what the platform asks for, until somebody gives up."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.platform.retry import Fault, RetryPolicy, http_date, persist, retry_after

NOW = datetime(2023, 3, 23, 21, 48, 40, tzinfo=UTC)


class TestRetryAfter:
    """`Retry-After`, as RFC 9110, 10.2.3 has it, and as servers really send it."""

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("1", 1),
            ("120", 120),
            (" 5 ", 5),
            ("007", 7),
            ("Thu, 23 Mar 2023 21:49:40 GMT", 60),
            ("Thursday, 23-Mar-23 21:49:40 GMT", 60),
            ("Thu Mar 23 21:49:40 2023", 60),
            ("Thu, 23 Mar 2023 22:49:40 +0100", 60),
            ("Fri, 24 Mar 2023 21:48:40 GMT", 86400),
        ],
    )
    def test_asks_for_a_pause(self, value: str, seconds: float) -> None:
        assert retry_after(value, NOW.timestamp()) == seconds

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "",
            "0",
            "000",
            "-5",
            "+5",
            "1.5",
            "5s",
            "1e3",
            "soon",
            "inf",
            "nan",
            "\u0661",
            "Thu, 23 Mar 2023 21:48:40 GMT",
            "Thu, 23 Mar 2023 21:40:00 GMT",
            "Thu, 99 Foo 2023 99:99:99 GMT",
            "Thu, 23 Mar 99999999999 21:49:40 GMT",
        ],
    )
    def test_asks_for_none(self, value: str | None) -> None:
        assert retry_after(value, NOW.timestamp()) is None

    @pytest.mark.parametrize("value", ["99999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
    def test_may_ask_for_more_than_anyone_will_wait(self, value: str) -> None:
        assert (retry_after(value, NOW.timestamp()) or 0) > 24 * 3600

    @given(st.text() | st.from_regex(r"[A-Za-z]{3}, [0-9]{1,3} [A-Za-z]{3} [0-9]{1,5} [0-9:]{1,9} ?[A-Z+-]*[0-9]*"))
    def test_anything_else_is_none_or_a_pause(self, value: str) -> None:
        found = retry_after(value, NOW.timestamp())
        assert found is None or found > 0


class TestHttpDate:
    """The dates of HTTP, in whole seconds."""

    @given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))
    def test_every_date_is_read_back(self, moment: datetime) -> None:
        assert http_date(format_datetime(moment, usegmt=True)) == int(moment.timestamp())

    @pytest.mark.parametrize("value", [None, "", "now", "1679608120"])
    def test_nonsense_is_none(self, value: str | None) -> None:
        assert http_date(value) is None

    def test_one_without_a_zone_is_utc(self) -> None:
        assert http_date("Thu, 23 Mar 2023 21:48:40 -0000") == NOW.timestamp()
        assert http_date("Thu, 23 Mar 2023 21:48:40") == NOW.timestamp()


class Attempts:
    """Something that fails as often as it is told to; keeps the pauses that were made."""

    def __init__(self, *faults: Fault) -> None:
        self._faults = list(faults)
        self.pauses: list[float] = []
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if self._faults:
            raise self._faults.pop(0)
        return "good"

    def persist(self, give_up: Callable[[Fault], bool] = lambda _: False, policy: RetryPolicy | None = None) -> str:
        return persist(self, policy=policy or RetryPolicy(), pause=self.pauses.append, give_up=give_up)


class TestPersist:
    """Trying again."""

    def test_what_succeeds_is_done_once(self) -> None:
        attempts = Attempts()
        assert attempts.persist() == "good"
        assert (attempts.count, attempts.pauses) == (1, [])

    def test_each_fault_costs_a_pause_and_a_further_attempt(self) -> None:
        attempts = Attempts(*[Fault("502")] * 3)
        assert attempts.persist() == "good"
        assert attempts.count == 4
        assert len(attempts.pauses) == 3

    def test_the_last_fault_is_raised_when_it_is_time_to_give_up(self) -> None:
        faults = [Fault("first"), Fault("second"), Fault("third")]
        attempts = Attempts(*faults)
        with pytest.raises(Fault) as caught:
            attempts.persist(give_up=lambda fault: fault.message == "second")
        assert caught.value is faults[1]
        assert attempts.count == 2

    def test_the_first_fault_may_be_the_last(self) -> None:
        attempts = Attempts(Fault("first"))
        with pytest.raises(Fault, match="first"):
            attempts.persist(give_up=lambda _: True)
        assert (attempts.count, attempts.pauses) == (1, [])

    @pytest.mark.parametrize("is_first", [True, False])
    def test_other_errors_pass_through(self, is_first: bool) -> None:
        faults = [] if is_first else [Fault("502")]

        def attempt() -> str:
            if faults:
                raise faults.pop()
            raise KeyError("x")

        with pytest.raises(KeyError):
            persist(attempt, policy=RetryPolicy(), pause=lambda _: None, give_up=lambda _: False)

    def test_backoff_doubles_up_to_a_limit_and_its_jitter_is_full(self) -> None:
        random.seed(1)
        runs = []
        for _ in range(200):
            attempts = Attempts(*[Fault("502")] * 8)
            attempts.persist()
            runs.append(attempts.pauses)
        for number, pauses in enumerate(zip(*runs, strict=True)):
            top = min(0.5 * 2**number, 15)
            assert 0 <= min(pauses) < 0.1 * top
            assert 0.9 * top < max(pauses) <= top

    def test_what_the_platform_asks_for_counts_instead_plus_up_to_a_quarter(self) -> None:
        random.seed(1)
        attempts = Attempts(*[Fault("429", retry_after=8)] * 200)
        attempts.persist()
        assert 8 <= min(attempts.pauses) < 8.1
        assert 9.9 < max(attempts.pauses) <= 10

    def test_it_counts_for_the_one_pause_alone(self) -> None:
        attempts = Attempts(Fault("429", retry_after=100), Fault("502"))
        attempts.persist()
        asked, usual = attempts.pauses
        assert asked >= 100
        assert usual <= 1

    def test_the_policy_sets_the_bounds(self) -> None:
        attempts = Attempts(*[Fault("502")] * 5)
        attempts.persist(policy=RetryPolicy(first=0.001, longest=0.002))
        assert max(attempts.pauses) <= 0.002
