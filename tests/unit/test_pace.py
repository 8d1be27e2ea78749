"""The pause between two looks: 5 % of the time so far, within bounds, give or take 10 %."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.pace import Pace


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


def test_a_platform_that_asks_for_it_gets_pauses_of_twice_the_length_each_time_up_to_the_longest() -> None:
    pace = Pace(longest=10)
    pauses = []
    for _ in range(6):
        pace.slow_down()
        pauses.append(round(middle(pace), 6))
    assert pauses == [2, 4, 8, 10, 10, 10]
    assert pace.apart == pace.closing == 1


def test_pauses_grow_short_again_when_the_platform_asks_no_more() -> None:
    pace = Pace(longest=10)
    pace.slow_down()
    pace.slow_down()
    pauses = [round(middle(pace), 6) for _ in range(25)]
    assert pauses == [4] * 10 + [2] * 10 + [1] * 5
    assert (pace.apart, pace.closing) == (0, 0.1)


def test_pauses_stay_long_while_the_platform_still_asks() -> None:
    pace = Pace(longest=10)
    for _ in range(5):
        pace.slow_down()
    for _ in range(50):
        assert round(middle(pace), 6) == 10
        pace.slow_down()
