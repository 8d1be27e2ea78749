"""A signal ends every wait, in whichever thread and at whichever moment it arrives."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from math import inf

import pytest

from matatika_deploy.runtime.cancellation import Interrupted, SystemClock, Waiter
from matatika_deploy.runtime.signals import Signals

# What is waited for is that far away; a signal ends the wait in a tenth of a second.
LONG = 20.0
SOON = 1.0

WAITS: dict[str, Callable[[Waiter, threading.Event], object]] = {
    "pause": lambda waiter, _: waiter.pause(LONG),
    "rest": lambda waiter, _: waiter.rest(LONG),
    "errand": lambda waiter, over: waiter.run(lambda: over.wait(LONG), LONG),
}


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals = Signals()
    signals.catch()
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_signal_that_another_thread_gets_ends_the_wait(
    wait: Callable[[Waiter, threading.Event], object], signals: Signals
) -> None:
    """Nothing but Python's own flag tells the main thread: the same as with a signal just before the wait begins."""
    waiter = Waiter(SystemClock(), signals, deadline=inf)
    over = threading.Event()

    def receive() -> None:
        time.sleep(0.05)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    receiver = threading.Thread(target=receive)
    receiver.start()
    began = time.monotonic()
    try:
        with pytest.raises(Interrupted):
            wait(waiter, over)
        assert time.monotonic() - began < SOON
    finally:
        over.set()
        receiver.join()
