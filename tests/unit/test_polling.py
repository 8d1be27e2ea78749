"""The pause between two looks: 5 % of the time so far, within bounds, give or take 10 %."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.platform.polling import Pace


@given(st.floats(0, 1e6), st.floats(1, 300))
def test_every_pause_is_near_the_middle(elapsed: float, longest: float) -> None:
    middle = min(max(0.05 * elapsed, 1), longest)
    assert 0.9 * middle <= Pace(longest).pause(elapsed) <= 1.1 * middle


@pytest.mark.parametrize(
    ("elapsed", "middle"), [(0, 1), (2, 1), (20, 1), (40, 2), (100, 5), (200, 10), (1800, 10), (86400, 10)]
)
def test_pauses_use_the_whole_of_their_range(elapsed: float, middle: float) -> None:
    random.seed(1)
    pauses = [Pace(longest=10).pause(elapsed) for _ in range(200)]
    assert 0.9 * middle <= min(pauses) < 0.92 * middle
    assert 1.08 * middle < max(pauses) <= 1.1 * middle


def middle(pace: Pace, elapsed: float = 0) -> float:
    """The pause without its jitter."""
    random.seed(1)
    share = random.uniform(0.9, 1.1)
    random.seed(1)
    return pace.pause(elapsed) / share


def test_pauses_stay_long_while_the_platform_still_asks() -> None:
    pace = Pace(longest=10)
    for _ in range(5):
        pace.slow_down()
    for _ in range(50):
        assert round(middle(pace), 6) == 10
        pace.slow_down()


class TestBusyPlatform:
    """A platform that asks to wait gets longer pauses, for a while."""

    def middle(self, pace: Pace, elapsed: float = 0.0) -> float:
        """The pause without its jitter."""
        return round(pace.pause(elapsed), 6)

    def steady(self, longest: float = 10) -> Pace:
        return Pace(longest=longest, jitter=0)

    def test_each_wish_makes_the_pauses_four_times_as_long_up_to_the_longest(self) -> None:
        pace = self.steady()
        pauses = []
        for _ in range(4):
            pauses.append(self.middle(pace))
            pace.slow_down()
        assert pauses == [1, 4, 10, 10]

    def test_long_pauses_grow_too_and_stay_within_the_bounds(self) -> None:
        pace = self.steady()
        pace.slow_down()
        assert self.middle(pace, 40) == 8
        assert self.middle(pace, 1000) == 10

    def test_ten_calm_pauses_halve_them_and_nothing_makes_them_shorter_than_usual(self) -> None:
        pace = self.steady()
        pace.slow_down()
        assert [self.middle(pace) for _ in range(35)] == [4] * 10 + [2] * 10 + [1] * 15

    def test_a_further_wish_begins_the_calm_anew(self) -> None:
        pace = self.steady()
        pace.slow_down()
        for _ in range(9):
            pace.pause(0)
        pace.slow_down()
        assert [self.middle(pace) for _ in range(11)] == [10] * 10 + [5]

    def test_pauses_that_are_the_longest_already_do_not_change(self) -> None:
        pace = self.steady(longest=1)
        pace.slow_down()
        assert self.middle(pace) == 1

    def test_look_and_log_are_read_apart_as_long_as_it_is_busy(self) -> None:
        pace = self.steady()
        assert pace.apart == 0
        pace.slow_down()
        assert pace.apart == 1
        for _ in range(20):
            pace.pause(0)
        assert pace.apart == 0

    def test_the_log_is_read_less_often_as_long_as_it_is_busy(self) -> None:
        pace = self.steady()
        assert (pace.looks_per_reading, pace.closing) == (1, 0.1)
        pace.slow_down()
        assert (pace.looks_per_reading, pace.closing) == (3, 1)
