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

Wait = Callable[[CancelScope, threading.Event], object]

WAITS: dict[str, Wait] = {
    "wakeable sleep": lambda scope, _: scope.sleep(LONG, wakeable=True),
    "sleep": lambda scope, _: scope.sleep(LONG),
    "task": lambda scope, is_over: scope.run(lambda: is_over.wait(LONG), LONG),
}


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals = Signals()
    signals.catch()
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def is_over() -> Iterator[threading.Event]:
    is_over = threading.Event()
    yield is_over
    is_over.set()


def test_signals_of_one_moment_are_remembered_as_one_request(signals: Signals) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
        os.kill(os.getpid(), signum)
    # Python calls its handlers between two bytecodes, soon after.
    assert [signals.inbox.get(timeout=10) for _ in range(3)] == [None] * 3
    assert (signals.first, signals.count) == (signal.SIGTERM, 1)


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize(
    ("signum", "receiver"), [(signal.SIGINT, "main thread"), (signal.SIGTERM, "another thread")], ids=["main", "other"]
)
def test_signal_ends_the_wait(
    wait: Wait, signals: Signals, is_over: threading.Event, signum: int, receiver: str
) -> None:
    """If another thread gets it, nothing but Python's own flag tells the main thread.

    That is the same as with a signal just before the wait begins.
    """

    def receive() -> None:
        time.sleep(0.05)
        if receiver == "main thread":
            signal.pthread_kill(threading.main_thread().ident or 0, signum)
        else:
            signal.pthread_kill(threading.get_ident(), signum)

    scope = CancelScope(SYSTEM_CLOCK, signals)
    thread = threading.Thread(target=receive)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(Cancelled) as caught:
            wait(scope, is_over)
        assert time.monotonic() - began < SOON
        assert caught.value.signum == signum
    finally:
        is_over.set()
        thread.join()
