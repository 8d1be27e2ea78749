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


def test_a_platform_that_is_asked_too_often_is_asked_as_seldom_as_may_be() -> None:
    pace = Pace(longest=10)
    pace.slow_down()
    pace.slow_down()
    assert all(9 <= pace.pause(elapsed) <= 11 for elapsed in (0, 2, 20, 2000))
    assert pace.apart == pace.closing == 1
