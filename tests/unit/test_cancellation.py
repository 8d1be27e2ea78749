"""Every wait of a scope ends by time, a wake-up, a cancellation, a signal or the deadline, whichever comes first."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from signal import SIGINT, SIGTERM
from threading import Thread

import pytest

from matatika_deploy.runtime.cancellation import Cancelled, CancelScope, DeadlineExceeded, SystemClock, TaskTimeout
from matatika_deploy.runtime.signals import Inbox, Signals
from tests.support.clock import FakeClock


class Scope(CancelScope):
    """A scope on a clock that is moved by hand, whose deadline is after 100 s."""

    clock: FakeClock
    signals: Signals

    def __init__(self) -> None:
        clock = FakeClock()
        super().__init__(clock, Signals(clock.monotonic), deadline=100)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something before the next wait (0), or during it."""
        if seconds:
            self.clock.call_later(seconds, action)
        else:
            action()


@pytest.fixture
def scope() -> Iterator[Scope]:
    scope = Scope()
    yield scope
    # Whatever naps still, wakes up.
    scope.clock.advance(1000)


def nap(scope: CancelScope, seconds: float) -> Callable[[], None]:
    """Work for a task: to let time pass, whatever becomes of the scope."""
    return lambda: CancelScope(scope.clock).sleep(seconds)


@pytest.mark.parametrize(
    ("wakes", "are_wakeable", "seconds", "passed"),
    [
        ([], [False], 7.5, 7.5),
        ([], [True], 7.5, 7.5),
        ([], [False, True], -1, 0),
        ([3], [True], 10, 3),
        # Two wakes end one sleep.
        ([0, 0], [True, True], 10, 10),
        # A wake ends no sleep that is not wakeable, but the next one that is.
        ([3], [False, True], 10, 10),
    ],
)
def test_sleep_lets_time_pass_whatever_is_in_the_inbox_and_a_wake_ends_one_that_is_wakeable(
    scope: Scope, wakes: list[float], are_wakeable: list[bool], seconds: float, passed: float
) -> None:
    for moment in wakes:
        scope.after(moment, scope.wake)
    for wakeable in are_wakeable:
        scope.signals.inbox.put("a task that nobody waits for any more")
        scope.sleep(seconds, wakeable=wakeable)
    assert scope.clock.passed == passed


def test_nothing_begins_after_the_deadline(scope: Scope) -> None:
    scope.deadline = 50
    scope.sleep(30)
    assert (scope.remaining, scope.deadline) == (20, 50)
    scope.clock.advance(20)
    assert scope.remaining == 0
    begun: list[None] = []
    for attempt in (scope.checkpoint, lambda: scope.sleep(0), lambda: scope.start(lambda: begun.append(None))):
        with pytest.raises(DeadlineExceeded):
            attempt()
    assert not begun


def test_fail_after_moves_the_deadline_closer_within_its_block_and_never_away(scope: Scope) -> None:
    with scope.fail_after(50):
        for seconds, passed in ((5, 5), (500, 50)):
            with pytest.raises(DeadlineExceeded), scope.fail_after(seconds):
                scope.sleep(200)
            assert scope.clock.passed == passed
    with pytest.raises(DeadlineExceeded), scope.fail_after(500):
        scope.sleep(200)
    assert scope.clock.passed == 100


@pytest.mark.parametrize(
    "wait",
    [
        lambda scope: scope.sleep(10),
        lambda scope: scope.sleep(10, wakeable=True),
        lambda scope: scope.run(nap(scope, 20), 10),
    ],
    ids=["sleep", "wakeable sleep", "task"],
)
@pytest.mark.parametrize(
    ("end", "moment", "error"),
    [
        (lambda scope: setattr(scope, "deadline", 0.3), 0.3, DeadlineExceeded()),
        (lambda scope: scope.signals.receive(SIGINT), 0, Cancelled(SIGINT)),
        (lambda scope: scope.after(0.3, lambda: scope.signals.receive(SIGTERM)), 0.3, Cancelled(SIGTERM)),
        (lambda scope: scope.after(0.3, scope.cancel), 0.3, Cancelled(None)),
    ],
    ids=["deadline", "earlier signal", "signal", "cancelled by another thread"],
)
def test_deadline_signal_and_cancellation_end_every_wait(
    scope: Scope, wait: Callable[[Scope], None], end: Callable[[Scope], None], moment: float, error: Exception
) -> None:
    end(scope)
    with pytest.raises(type(error)) as caught:
        wait(scope)
    assert (str(caught.value), scope.clock.passed) == (str(error), moment)


@pytest.mark.parametrize(
    ("signalled_at", "handled", "grace", "passed"),
    [
        ([0], 1, 1, 5),
        # A further signal leaves the grace, and never more than there was.
        ([0, 2], 1, 1, 3),
        ([0, 2], 1, 60, 5),
        # One that nobody handled counts as a further one.
        ([0], 0, 1, 1),
        # Ctrl-C in a terminal reaches the program twice; a withdrawal of 1.5 s must not be cut short by that.
        ([0, 0.9], 1, 1, 5),
    ],
)
def test_signal_during_shutdown_leaves_less_time(
    scope: Scope, signalled_at: list[float], handled: int, grace: float, passed: float
) -> None:
    for moment in signalled_at:
        scope.after(moment, lambda: scope.signals.receive(SIGINT))
    scope.begin_shutdown(5, grace, handled)
    with pytest.raises(DeadlineExceeded):
        scope.sleep(10)
    assert scope.clock.passed == passed


def test_shutdown_may_begin_after_the_deadline_and_again_only_move_it_earlier(scope: Scope) -> None:
    scope.clock.advance(100)
    scope.signals.receive(SIGINT)
    for deadline, handled, expected in ((150, 1, 150), (170, 0, 150), (120, 0, 120)):
        scope.begin_shutdown(deadline, 1, handled)
        scope.checkpoint()
        assert scope.deadline == expected


def test_task_runs_in_a_daemon_thread_and_gives_its_result_or_error_and_disturbs_no_later_one(scope: Scope) -> None:
    assert scope.run(lambda: threading.current_thread().daemon, 10)
    with pytest.raises(ZeroDivisionError):
        scope.run(lambda: 1 / 0, 10)
    with pytest.raises(TaskTimeout):
        scope.run(nap(scope, 20), 10)
    scope.run(nap(scope, 15), 30)
    assert scope.clock.passed == 25


def test_task_can_be_joined_again_after_a_signal_and_after_the_deadline(scope: Scope) -> None:
    task = scope.start(nap(scope, 5))
    scope.signals.receive(SIGINT)
    with pytest.raises(Cancelled):
        scope.join(task, 10)
    scope.begin_shutdown(100, grace_after_signal=1, handled_signals=1)
    scope.join(task, 10)
    assert scope.clock.passed == 5
    scope.clock.advance(1000)
    scope.join(task, 0)


def test_system_clock_tells_the_time_and_waits_for_what_comes_until_its_time_is_over() -> None:
    assert SystemClock().monotonic() == pytest.approx(time.monotonic(), abs=1)
    assert SystemClock().time() == pytest.approx(time.time(), abs=1)
    inbox: Inbox = SimpleQueue()
    inbox.put("x")
    assert SystemClock().wait(inbox, 10) == "x"
    for seconds in (0.01, 0, -5):
        with pytest.raises(Empty):
            SystemClock().wait(inbox, seconds)


def test_wait_ends_though_its_time_is_over_as_soon_as_it_begins() -> None:
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
