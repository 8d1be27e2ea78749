"""The pause between two looks: 5 % of the time so far, within bounds, give or take 10 %."""

import random

import pytest

from matatika_deploy.platform.polling import Pace


@pytest.mark.parametrize(("elapsed", "middle"), [(0, 1), (20, 1), (40, 2), (100, 5), (200, 10), (86400, 10)])
def test_pauses_use_the_whole_of_their_range(elapsed: float, middle: float) -> None:
    random.seed(1)
    pauses = [Pace(longest=10).pause(elapsed) for _ in range(200)]
    assert 0.9 * middle <= min(pauses) < 0.92 * middle
    assert 1.08 * middle < max(pauses) <= 1.1 * middle


def test_platform_that_asks_to_wait_gets_pauses_four_times_as_long_which_ten_calm_ones_halve() -> None:
    pace = Pace(longest=10, jitter=0)
    pace.slow_down()
    assert (pace.apart, pace.looks_per_reading, pace.closing) == (1, 3, 1)
    assert [pace.pause(0) for _ in range(35)] == [4] * 10 + [2] * 10 + [1] * 15
    assert (pace.apart, pace.looks_per_reading, pace.closing) == (0, 1, 0.1)
    pace.slow_down()
    assert [pace.pause(elapsed) for elapsed in (0, 40, 1000)] == [4, 8, 10]
    # A further wish begins the calm anew.
    for _ in range(50):
        pace.slow_down()
    assert [pace.pause(0) for _ in range(11)] == [10] * 10 + [5]
    # Pauses that are never longer than 2 s are not halved more often than that takes.
    short = Pace(longest=2, jitter=0)
    short.slow_down()
    assert [short.pause(0) for _ in range(11)] == [2] * 10 + [1]
