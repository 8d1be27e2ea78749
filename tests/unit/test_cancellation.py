"""Every wait of a scope ends by time, a wake-up, a cancellation, a signal or the deadline, whichever comes first."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from math import inf
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

import pytest

from matatika_deploy.runtime.cancellation import Cancelled, CancelScope, DeadlineExceeded, SystemClock, TaskTimeout
from matatika_deploy.runtime.signals import Inbox, Signals
from tests.support.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def signals(clock: FakeClock) -> Signals:
    return Signals(clock.monotonic)


@pytest.fixture
def scope(clock: FakeClock, signals: Signals) -> CancelScope:
    return CancelScope(clock, signals, deadline=100)


class Gate:
    """Something for a task to wait for, while time passes: `wait` returns True once the gate is open."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._event = Event()
        self._held = ExitStack()

    def wait(self) -> bool:
        self._held.enter_context(self._clock.held(inf))
        try:
            return self._event.wait(10)
        finally:
            self._held.close()

    def open(self) -> None:
        # From now on the task has something to do, whenever its thread wakes up.
        self._held.close()
        self._event.set()


@pytest.fixture
def gate(clock: FakeClock) -> Iterator[Gate]:
    """A gate that is opened at the test's end if not before."""
    gate = Gate(clock)
    yield gate
    gate.open()


class TestSleep:
    """On a clock that is moved by hand."""

    @pytest.mark.parametrize("wakeable", [True, False])
    def test_sleep_lets_time_pass(self, scope: CancelScope, clock: FakeClock, wakeable: bool) -> None:
        scope.sleep(7.5, wakeable=wakeable)
        assert clock.passed == 7.5

    @pytest.mark.parametrize("seconds", [0, -1])
    @pytest.mark.parametrize("wakeable", [True, False])
    def test_sleep_of_no_time_returns_at_once(
        self, scope: CancelScope, clock: FakeClock, wakeable: bool, seconds: float
    ) -> None:
        scope.sleep(seconds, wakeable=wakeable)
        assert clock.passed == 0

    @pytest.mark.parametrize("wakeable", [True, False])
    def test_sleep_ignores_what_else_is_in_the_inbox(
        self, scope: CancelScope, clock: FakeClock, signals: Signals, wakeable: bool
    ) -> None:
        for _ in range(5):
            signals.inbox.put(None)
            signals.inbox.put("a task that nobody waits for any more")
        scope.sleep(7.5, wakeable=wakeable)
        assert clock.passed == 7.5

    def test_wake_ends_a_wakeable_sleep(self, scope: CancelScope, clock: FakeClock) -> None:
        clock.call_later(3, scope.wake)
        scope.sleep(10, wakeable=True)
        assert clock.passed == 3

    def test_wake_before_a_wakeable_sleep_ends_it_at_once(self, scope: CancelScope, clock: FakeClock) -> None:
        scope.wake()
        scope.sleep(10, wakeable=True)
        assert clock.passed == 0

    def test_two_wakes_end_one_sleep(self, scope: CancelScope, clock: FakeClock) -> None:
        scope.wake()
        scope.wake()
        scope.sleep(10, wakeable=True)
        scope.sleep(10, wakeable=True)
        assert clock.passed == 10

    def test_wake_ends_no_other_sleep(self, scope: CancelScope, clock: FakeClock) -> None:
        clock.call_later(3, scope.wake)
        scope.sleep(10)
        assert clock.passed == 10

    def test_wake_during_another_sleep_ends_the_next_wakeable_one(self, scope: CancelScope, clock: FakeClock) -> None:
        clock.call_later(3, scope.wake)
        scope.sleep(10)
        scope.sleep(10, wakeable=True)
        assert clock.passed == 10


class TestDeadline:
    """No wait goes beyond it."""

    @pytest.mark.parametrize("wakeable", [True, False])
    def test_deadline_ends_a_sleep(self, scope: CancelScope, clock: FakeClock, wakeable: bool) -> None:
        with pytest.raises(DeadlineExceeded):
            scope.sleep(1000, wakeable=wakeable)
        assert clock.passed == 100

    def test_deadline_that_is_reached_exactly_has_passed(self, scope: CancelScope) -> None:
        with pytest.raises(DeadlineExceeded):
            scope.sleep(100)

    def test_remaining_counts_down_to_zero(self, scope: CancelScope, clock: FakeClock) -> None:
        scope.sleep(60)
        assert (scope.remaining, scope.deadline) == (40, 100)
        clock.advance(60)
        assert scope.remaining == 0

    def test_nothing_begins_after_the_deadline(self, scope: CancelScope, clock: FakeClock) -> None:
        clock.advance(100)
        begun: list[None] = []
        for attempt in (scope.checkpoint, lambda: scope.sleep(0), lambda: scope.start(lambda: begun.append(None))):
            with pytest.raises(DeadlineExceeded):
                attempt()
        assert not begun

    def test_deadline_can_be_set_later(self, scope: CancelScope, clock: FakeClock) -> None:
        scope.deadline = 5
        with pytest.raises(DeadlineExceeded):
            scope.sleep(10)
        assert clock.passed == 5

    def test_deadline_is_closer_within_fail_after(self, scope: CancelScope, clock: FakeClock) -> None:
        scope.sleep(10)
        with pytest.raises(DeadlineExceeded), scope.fail_after(5):
            scope.sleep(20)
        assert clock.passed == 15
        scope.sleep(20)
        assert clock.passed == 35

    def test_fail_after_never_moves_the_deadline_away(self, scope: CancelScope, clock: FakeClock) -> None:
        with pytest.raises(DeadlineExceeded), scope.fail_after(500):
            scope.sleep(200)
        assert clock.passed == 100

    def test_fail_after_can_be_nested(self, scope: CancelScope, clock: FakeClock) -> None:
        with scope.fail_after(50):
            with pytest.raises(DeadlineExceeded), scope.fail_after(5):
                scope.sleep(20)
            with pytest.raises(DeadlineExceeded), scope.fail_after(500):
                scope.sleep(200)
        assert clock.passed == 50


Wait = Callable[[CancelScope, Gate], object]


def _sleep_within_fail_after(scope: CancelScope, _: Gate) -> None:
    with scope.fail_after(20):
        scope.sleep(10)


def _hold_a_lock_of_another_thread(scope: CancelScope, _: Gate) -> None:
    lock = Lock()
    lock.acquire()
    with scope.fail_after(20), scope.hold(lock):
        pass


WAITS: dict[str, Wait] = {
    "sleep": lambda scope, _: scope.sleep(10),
    "wakeable sleep": lambda scope, _: scope.sleep(10, wakeable=True),
    "run": lambda scope, gate: scope.run(gate.wait, 10),
    "join": lambda scope, gate: scope.join(scope.start(gate.wait), 10),
    "fail_after": _sleep_within_fail_after,
    "hold": _hold_a_lock_of_another_thread,
}
every_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)


@every_wait
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
class TestSignal:
    """The first signal ends whatever wait there is."""

    def test_signal_before_a_wait_ends_it(
        self, scope: CancelScope, signals: Signals, gate: Gate, wait: Wait, signum: int
    ) -> None:
        signals.receive(signum)
        with pytest.raises(Cancelled) as caught:
            wait(scope, gate)
        assert caught.value.signum == signum

    def test_signal_during_a_wait_ends_it(
        self, scope: CancelScope, signals: Signals, clock: FakeClock, gate: Gate, wait: Wait, signum: int
    ) -> None:
        clock.call_later(3, lambda: signals.receive(signum))
        with pytest.raises(Cancelled) as caught:
            wait(scope, gate)
        assert caught.value.signum == signum
        assert clock.passed == 3


@every_wait
@pytest.mark.parametrize("has_signals", [True, False])
def test_cancel_by_another_thread_ends_every_wait(
    clock: FakeClock, signals: Signals, gate: Gate, wait: Wait, has_signals: bool
) -> None:
    scope = CancelScope(clock, signals if has_signals else None)
    clock.call_later(3, scope.cancel)
    with pytest.raises(Cancelled) as caught:
        wait(scope, gate)
    assert caught.value.signum is None
    assert clock.passed == 3
    with pytest.raises(Cancelled):
        scope.checkpoint()


class TestShutdown:
    """While the step ends, signals raise nothing, but leave less time."""

    def test_handled_signal_leaves_the_new_deadline(
        self, scope: CancelScope, signals: Signals, clock: FakeClock
    ) -> None:
        signals.receive(signal.SIGINT)
        scope.begin_shutdown(5, grace_after_signal=1, handled_signals=1)
        scope.sleep(3)
        with pytest.raises(DeadlineExceeded):
            scope.sleep(10)
        assert clock.passed == 5

    def test_further_signal_leaves_the_grace(self, scope: CancelScope, signals: Signals, clock: FakeClock) -> None:
        signals.receive(signal.SIGINT)
        scope.begin_shutdown(5, grace_after_signal=1, handled_signals=1)
        clock.call_later(2, lambda: signals.receive(signal.SIGTERM))
        with pytest.raises(DeadlineExceeded):
            scope.sleep(10)
        assert clock.passed == 3

    def test_further_signal_never_leaves_more(self, scope: CancelScope, signals: Signals, clock: FakeClock) -> None:
        scope.begin_shutdown(5, grace_after_signal=60, handled_signals=0)
        signals.receive(signal.SIGINT)
        with pytest.raises(DeadlineExceeded):
            scope.sleep(10)
        assert clock.passed == 5

    def test_signal_that_nobody_handled_counts_as_a_further_one(
        self, scope: CancelScope, signals: Signals, clock: FakeClock
    ) -> None:
        signals.receive(signal.SIGINT)
        scope.begin_shutdown(5, grace_after_signal=1, handled_signals=0)
        with pytest.raises(DeadlineExceeded):
            scope.sleep(10)
        assert clock.passed == 1

    def test_second_signal_within_a_second_leaves_the_deadline(
        self, scope: CancelScope, signals: Signals, clock: FakeClock
    ) -> None:
        """Ctrl-C in a terminal reaches the program twice; a withdrawal of 1.5 s must not be cut short by that."""
        signals.receive(signal.SIGINT)
        scope.begin_shutdown(5, grace_after_signal=1, handled_signals=1)
        clock.call_later(0.9, lambda: signals.receive(signal.SIGINT))
        with pytest.raises(DeadlineExceeded):
            scope.sleep(10)
        assert clock.passed == 5

    def test_shutdown_may_begin_after_the_deadline(self, scope: CancelScope, clock: FakeClock) -> None:
        clock.advance(100)
        scope.begin_shutdown(105, grace_after_signal=1, handled_signals=0)
        scope.sleep(3)
        assert clock.passed == 103

    def test_shutdown_that_begins_again_moves_the_deadline_earlier_only(self, scope: CancelScope) -> None:
        scope.begin_shutdown(50, grace_after_signal=1, handled_signals=0)
        scope.begin_shutdown(70, grace_after_signal=1, handled_signals=0)
        assert scope.deadline == 50
        scope.begin_shutdown(20, grace_after_signal=1, handled_signals=0)
        assert scope.deadline == 20


class TestTasks:
    """Work in a thread of its own."""

    def test_task_runs_in_a_daemon_thread_and_gives_its_result(self, scope: CancelScope) -> None:
        assert scope.run(lambda: threading.current_thread().daemon, 10)

    def test_task_raises_its_error(self, scope: CancelScope) -> None:
        def fail() -> None:
            raise KeyError("x")

        with pytest.raises(KeyError):
            scope.run(fail, 10)

    def test_task_may_take_too_long(self, scope: CancelScope, gate: Gate) -> None:
        with pytest.raises(TaskTimeout):
            scope.run(gate.wait, 10)

    def test_task_can_be_joined_again_after_a_signal(self, scope: CancelScope, signals: Signals, gate: Gate) -> None:
        task = scope.start(gate.wait)
        signals.receive(signal.SIGINT)
        with pytest.raises(Cancelled):
            scope.join(task, 10)
        scope.begin_shutdown(100, grace_after_signal=1, handled_signals=1)
        gate.open()
        assert scope.join(task, 10)

    def test_task_that_is_done_can_be_joined_after_the_deadline(self, scope: CancelScope, clock: FakeClock) -> None:
        task = scope.start(lambda: "done")
        scope.join(task, 10)
        clock.advance(1000)
        assert scope.join(task, 0) == "done"

    def test_task_that_nobody_waits_for_disturbs_no_later_one(
        self, scope: CancelScope, clock: FakeClock, gate: Gate
    ) -> None:
        with pytest.raises(TaskTimeout):
            scope.run(gate.wait, 10)
        later = Gate(clock)
        second = scope.start(lambda: later.wait() and "second")
        gate.open()
        clock.call_later(3, later.open)
        assert scope.join(second, 10) == "second"


class TestHold:
    """A lock that several threads want."""

    def test_hold_takes_the_lock_for_the_block_alone(self, scope: CancelScope) -> None:
        lock = Lock()
        with scope.hold(lock):
            assert lock.locked()
        assert not lock.locked()

    def test_hold_releases_the_lock_after_an_error(self, scope: CancelScope) -> None:
        lock = Lock()
        with pytest.raises(KeyError), scope.hold(lock):
            raise KeyError("x")
        assert not lock.locked()

    def test_hold_waits_for_the_other_thread(self, scope: CancelScope, clock: FakeClock) -> None:
        lock = Lock()
        lock.acquire()
        clock.call_later(3, lock.release)
        with scope.hold(lock):
            assert clock.passed == pytest.approx(3, abs=0.1)

    def test_hold_ends_with_the_deadline_and_leaves_the_lock_alone(self, scope: CancelScope, clock: FakeClock) -> None:
        lock = Lock()
        lock.acquire()
        scope.deadline = 5
        with pytest.raises(DeadlineExceeded), scope.hold(lock):
            pytest.fail("the lock is somebody else's")
        assert clock.passed == 5
        assert lock.locked()


class TestSystemClock:
    """The machine's own."""

    def test_clock_tells_the_time(self) -> None:
        assert SystemClock().monotonic() == pytest.approx(time.monotonic(), abs=1)
        assert SystemClock().time() == pytest.approx(time.time(), abs=1)

    def test_wait_gives_what_comes(self) -> None:
        inbox: Inbox = SimpleQueue()
        inbox.put("x")
        assert SystemClock().wait(inbox, 10) == "x"

    @pytest.mark.parametrize("seconds", [0.01, 0, -5])
    def test_wait_ends_when_its_time_is_over(self, seconds: float) -> None:
        with pytest.raises(Empty):
            SystemClock().wait(SimpleQueue(), seconds)

    def test_wait_ends_though_its_time_is_over_as_soon_as_it_begins(self) -> None:
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
