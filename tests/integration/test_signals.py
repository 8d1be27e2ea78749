"""Signals of the kernel end every wait, in whichever thread and at whichever moment they arrive."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from matatika_deploy.runtime.cancellation import SYSTEM_CLOCK, Cancelled, CancelScope
from matatika_deploy.runtime.signals import Signals

# What is waited for is that far away; a signal ends the wait in a tenth of a second, on whatever machine long before.
LONG = 60.0
SOON = 30.0


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals = Signals()
    signals.catch()
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_of_one_moment_are_remembered_as_one_request(signals: Signals) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
        os.kill(os.getpid(), signum)
    # Python calls its handlers between two bytecodes, soon after.
    assert [signals.inbox.get(timeout=10) for _ in range(3)] == [None] * 3
    assert (signals.first, signals.count) == (signal.SIGTERM, 1)


@pytest.mark.parametrize(
    "wait",
    [
        lambda scope, _: scope.sleep(LONG, wakeable=True),
        lambda scope, _: scope.sleep(LONG),
        lambda scope, is_over: scope.run(lambda: is_over.wait(LONG), LONG),
    ],
    ids=["wakeable sleep", "sleep", "task"],
)
@pytest.mark.parametrize(("signum", "by_main"), [(signal.SIGINT, True), (signal.SIGTERM, False)], ids=["main", "other"])
def test_signal_ends_the_wait(
    wait: Callable[[CancelScope, threading.Event], object], signals: Signals, signum: int, by_main: bool
) -> None:
    """If another thread gets it, nothing but Python's flag tells the main thread: as with one just before the wait."""
    main = threading.get_ident()

    def receive() -> None:
        time.sleep(0.05)
        signal.pthread_kill(main if by_main else threading.get_ident(), signum)

    is_over, thread = threading.Event(), threading.Thread(target=receive)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(Cancelled) as caught:
            wait(CancelScope(SYSTEM_CLOCK, signals), is_over)
        assert time.monotonic() - began < SOON
        assert caught.value.signum == signum
    finally:
        is_over.set()
        thread.join()
