"""Signals are remembered and counted: the first decides, and two within a second are one request to stop."""

import signal
from collections.abc import Sequence

import pytest

from matatika_deploy.runtime.signals import Signals


@pytest.mark.parametrize(
    ("moments", "count"),
    # Counted from the first: a user who goes on pressing Ctrl-C is heard.
    [([], 0), ([0], 1), ([0, 0.99], 1), ([0, 1], 2), ([0, 3600], 2), ([0, 0.6, 1.2, 1.8], 3)],
)
@pytest.mark.parametrize("later", [signal.SIGINT, signal.SIGTERM])
def test_signals_within_a_second_of_the_first_are_the_same_request(
    moments: Sequence[float], count: int, later: int
) -> None:
    now = 0.0
    signals = Signals(lambda: now)
    for now, signum in zip(moments, [signal.SIGINT, *[later] * len(moments)], strict=False):  # noqa: B007
        signals.receive(signum)
    assert (signals.first, signals.count) == (signal.SIGINT if moments else None, count)
    # Each of them wakes whoever waits.
    assert signals.inbox.qsize() == len(moments)
