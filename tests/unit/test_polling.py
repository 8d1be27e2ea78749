"""The pause between two looks: 5 % of the time so far, within bounds, give or take 10 %."""

import random

import pytest

from matatika_deploy.platform.polling import Pace


@pytest.mark.parametrize(
    ("elapsed", "middle"), [(0, 1), (2, 1), (20, 1), (40, 2), (100, 5), (200, 10), (1800, 10), (86400, 10)]
)
def test_pauses_use_the_whole_of_their_range(elapsed: float, middle: float) -> None:
    random.seed(1)
    pauses = [Pace(longest=10).pause(elapsed) for _ in range(200)]
    assert 0.9 * middle <= min(pauses) < 0.92 * middle
    assert 1.08 * middle < max(pauses) <= 1.1 * middle


class TestBusyPlatform:
    """A platform that asks to wait gets longer pauses, for a while."""

    def steady(self, longest: float = 10) -> Pace:
        """A pace that was slowed down once, without jitter."""
        pace = Pace(longest=longest, jitter=0)
        pace.slow_down()
        return pace

    def test_each_wish_makes_the_pauses_four_times_as_long_up_to_the_longest(self) -> None:
        pace = self.steady()
        assert [pace.pause(elapsed) for elapsed in (0, 40, 1000)] == [4, 8, 10]
        for _ in range(50):
            pace.slow_down()
            assert pace.pause(0) == 10
        steady = self.steady(longest=2)
        assert [steady.pause(0) for _ in range(11)] == [2] * 10 + [1]

    def test_ten_calm_pauses_halve_them_and_nothing_makes_them_shorter_than_usual(self) -> None:
        pace = self.steady()
        assert [pace.pause(0) for _ in range(35)] == [4] * 10 + [2] * 10 + [1] * 15

    def test_a_further_wish_begins_the_calm_anew(self) -> None:
        pace = self.steady()
        for _ in range(9):
            pace.pause(0)
        pace.slow_down()
        assert [pace.pause(0) for _ in range(11)] == [10] * 10 + [5]

    def test_the_log_is_read_less_often_and_apart_from_looks_as_long_as_it_is_busy(self) -> None:
        pace = self.steady()
        assert (pace.apart, pace.looks_per_reading, pace.closing) == (1, 3, 1)
        for _ in range(20):
            pace.pause(0)
        assert (pace.apart, pace.looks_per_reading, pace.closing) == (0, 1, 0.1)
