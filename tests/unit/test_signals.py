"""Signals are remembered and counted: the first decides, and two within a second are one request to stop."""

import signal

import pytest

from matatika_deploy.runtime.signals import Signals


class Moment:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def signals(moment: Moment) -> Signals:
    return Signals(moment)


def test_no_signal_is_no_request(signals: Signals) -> None:
    assert (signals.first, signals.count) == (None, 0)
    assert signals.inbox.empty()


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("later", "count"), [(0.0, 1), (0.5, 1), (0.99, 1), (1.0, 2), (1.5, 2), (3600.0, 2)])
def test_signal_within_a_second_of_the_first_is_the_same_request(
    signals: Signals, moment: Moment, second: int, later: float, count: int
) -> None:
    signals.receive(signal.SIGINT)
    moment.seconds += later
    signals.receive(second)
    assert (signals.first, signals.count) == (signal.SIGINT, count)


def test_second_is_counted_from_the_first_signal(signals: Signals, moment: Moment) -> None:
    for _ in range(4):
        signals.receive(signal.SIGTERM)
        moment.seconds += 0.6
    # At 0, 0.6, 1.2 and 1.8 s: a user who goes on pressing Ctrl-C is heard.
    assert signals.count == 3


def test_every_signal_wakes_whoever_waits(signals: Signals) -> None:
    for _ in range(3):
        signals.receive(signal.SIGTERM)
    assert [signals.inbox.get_nowait() for _ in range(3)] == [None] * 3
