"""No wait is endless, however short it was meant to be."""

from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from matatika_deploy.runtime.cancellation import SystemClock
from matatika_deploy.runtime.signals import Inbox


def test_a_wait_ends_though_its_time_is_over_as_soon_as_it_begins() -> None:
    inbox: Inbox = SimpleQueue()

    def wait_often() -> None:
        for number in range(20_000):
            # What comes while nobody waits, and is taken without a wait, leaves a queue in a state of its own.
            inbox.put(None)
            inbox.get()
            with suppress(Empty):
                SystemClock().wait(inbox, (number % 40) * 1e-7)

    thread = Thread(target=wait_often, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
