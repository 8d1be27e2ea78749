"""Every wait ends by time, news, a signal or the deadline, whichever comes first."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Event

import pytest

from matatika_deploy.runtime.cancellation import DeadlineExceeded, ErrandTimeout, Interrupted, SystemClock, Waiter
from matatika_deploy.runtime.signals import Signals
from tests.support.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def signals() -> Signals:
    return Signals()


@pytest.fixture
def waiter(clock: FakeClock, signals: Signals) -> Waiter:
    return Waiter(clock, signals, deadline=100)


@pytest.fixture
def gate() -> Iterator[Event]:
    """Something for an errand to wait for: `gate.wait` returns True once it is set, at the test's end if not before."""
    gate = Event()
    yield gate
    gate.set()


class TestTime:
    """Pauses and rests on a clock that is moved by hand."""

    @pytest.mark.parametrize("way", ["rest", "pause"])
    def test_passes(self, waiter: Waiter, clock: FakeClock, way: str) -> None:
        getattr(waiter, way)(7.5)
        assert clock.passed == 7.5

    @pytest.mark.parametrize("seconds", [0, -1])
    @pytest.mark.parametrize("way", ["rest", "pause"])
    def test_no_time_is_no_wait(self, waiter: Waiter, clock: FakeClock, way: str, seconds: float) -> None:
        getattr(waiter, way)(seconds)
        assert clock.passed == 0

    @pytest.mark.parametrize("way", ["rest", "pause"])
    def test_passes_whatever_stale_things_are_in_the_inbox(
        self, waiter: Waiter, clock: FakeClock, signals: Signals, way: str
    ) -> None:
        for _ in range(5):
            signals.inbox.put(None)
            signals.inbox.put("a ticket that nobody waits for any more")
        getattr(waiter, way)(7.5)
        assert clock.passed == 7.5

    def test_left_counts_down_to_zero(self, waiter: Waiter, clock: FakeClock) -> None:
        waiter.rest(60)
        assert (waiter.left, waiter.deadline) == (40, 100)
        clock.advance(60)
        assert waiter.left == 0


class TestNews:
    """Somebody has seen that it is time to look."""

    def test_ends_a_pause(self, waiter: Waiter, clock: FakeClock) -> None:
        clock.call_later(3, waiter.tell_news)
        waiter.pause(10)
        assert clock.passed == 3

    def test_that_came_before_a_pause_ends_it_at_once(self, waiter: Waiter, clock: FakeClock) -> None:
        waiter.tell_news()
        waiter.pause(10)
        assert clock.passed == 0

    def test_ends_one_pause_only(self, waiter: Waiter, clock: FakeClock) -> None:
        waiter.tell_news()
        waiter.tell_news()
        waiter.pause(10)
        waiter.pause(10)
        assert clock.passed == 10

    def test_ends_no_rest(self, waiter: Waiter, clock: FakeClock) -> None:
        clock.call_later(3, waiter.tell_news)
        waiter.rest(10)
        assert clock.passed == 10

    def test_during_a_rest_ends_the_pause_after_it(self, waiter: Waiter, clock: FakeClock) -> None:
        waiter.tell_news()
        waiter.rest(10)
        waiter.pause(10)
        assert clock.passed == 10


class TestDeadline:
    """No wait goes beyond it."""

    @pytest.mark.parametrize("way", ["rest", "pause"])
    def test_ends_a_wait(self, waiter: Waiter, clock: FakeClock, way: str) -> None:
        with pytest.raises(DeadlineExceeded):
            getattr(waiter, way)(1000)
        assert clock.passed == 100

    def test_that_is_reached_exactly_has_passed(self, waiter: Waiter, clock: FakeClock) -> None:
        with pytest.raises(DeadlineExceeded):
            waiter.rest(100)

    def test_lets_nothing_begin_any_more(self, waiter: Waiter, clock: FakeClock) -> None:
        clock.advance(100)
        begun: list[None] = []
        for attempt in (waiter.check, lambda: waiter.rest(0), lambda: waiter.start(lambda: begun.append(None))):
            with pytest.raises(DeadlineExceeded):
                attempt()
        assert not begun

    def test_can_be_set_later(self, waiter: Waiter, clock: FakeClock) -> None:
        waiter.set_deadline(5)
        with pytest.raises(DeadlineExceeded):
            waiter.rest(10)
        assert clock.passed == 5

    def test_is_closer_for_a_part_of_the_way(self, waiter: Waiter, clock: FakeClock) -> None:
        waiter.rest(10)
        with pytest.raises(DeadlineExceeded), waiter.within(5):
            waiter.rest(20)
        assert clock.passed == 15
        waiter.rest(20)
        assert clock.passed == 35

    def test_is_never_moved_away_by_a_part(self, waiter: Waiter, clock: FakeClock) -> None:
        with pytest.raises(DeadlineExceeded), waiter.within(500):
            waiter.rest(200)
        assert clock.passed == 100

    def test_parts_can_be_nested(self, waiter: Waiter, clock: FakeClock) -> None:
        with waiter.within(50):
            with pytest.raises(DeadlineExceeded), waiter.within(5):
                waiter.rest(20)
            with pytest.raises(DeadlineExceeded), waiter.within(500):
                waiter.rest(200)
        assert clock.passed == 50


WAITS: dict[str, Callable[[Waiter, Event], object]] = {
    "rest": lambda waiter, _: waiter.rest(10),
    "pause": lambda waiter, _: waiter.pause(10),
    "run": lambda waiter, gate: waiter.run(gate.wait, 10),
    "join": lambda waiter, gate: waiter.join(waiter.start(gate.wait), 10),
    "within": lambda waiter, _: _rest_within(waiter),
}


def _rest_within(waiter: Waiter) -> None:
    with waiter.within(20):
        waiter.rest(10)


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
class TestSignal:
    """The first signal ends whatever wait there is."""

    def test_before_the_wait(
        self, waiter: Waiter, signals: Signals, gate: Event, wait: Callable[[Waiter, Event], object], signum: int
    ) -> None:
        signals.receive(signum)
        with pytest.raises(Interrupted) as caught:
            wait(waiter, gate)
        assert caught.value.signum == signum

    def test_during_the_wait(
        self,
        waiter: Waiter,
        signals: Signals,
        clock: FakeClock,
        gate: Event,
        wait: Callable[[Waiter, Event], object],
        signum: int,
    ) -> None:
        # On the clock for waits that pass time, from another thread for those that wait for one.
        clock.call_later(3, lambda: signals.receive(signum))
        timer = threading.Timer(0.02, lambda: signals.receive(signum))
        timer.start()
        with pytest.raises(Interrupted) as caught:
            wait(waiter, gate)
        timer.join()
        assert caught.value.signum == signum
        assert clock.passed <= 3


class TestUnwinding:
    """While the step ends, signals raise nothing, but leave less time."""

    def test_a_handled_signal_leaves_the_new_deadline(self, waiter: Waiter, signals: Signals, clock: FakeClock) -> None:
        signals.receive(signal.SIGINT)
        waiter.unwind(5, hurry=1, handled_signals=1)
        waiter.rest(3)
        with pytest.raises(DeadlineExceeded):
            waiter.rest(10)
        assert clock.passed == 5

    def test_a_further_signal_leaves_a_second(self, waiter: Waiter, signals: Signals, clock: FakeClock) -> None:
        signals.receive(signal.SIGINT)
        waiter.unwind(5, hurry=1, handled_signals=1)
        clock.call_later(2, lambda: signals.receive(signal.SIGTERM))
        with pytest.raises(DeadlineExceeded):
            waiter.rest(10)
        assert clock.passed == 3

    def test_a_further_signal_never_leaves_more(self, waiter: Waiter, signals: Signals, clock: FakeClock) -> None:
        waiter.unwind(5, hurry=60, handled_signals=0)
        signals.receive(signal.SIGINT)
        with pytest.raises(DeadlineExceeded):
            waiter.rest(10)
        assert clock.passed == 5

    def test_a_signal_that_nobody_handled_counts_as_a_further_one(
        self, waiter: Waiter, signals: Signals, clock: FakeClock
    ) -> None:
        signals.receive(signal.SIGINT)
        waiter.unwind(5, hurry=1, handled_signals=0)
        with pytest.raises(DeadlineExceeded):
            waiter.rest(10)
        assert clock.passed == 1

    def test_the_deadline_may_have_passed_before(self, waiter: Waiter, clock: FakeClock) -> None:
        clock.advance(100)
        waiter.unwind(105, hurry=1, handled_signals=0)
        waiter.rest(3)
        assert clock.passed == 103


class TestErrands:
    """Work in a thread of its own."""

    def test_gives_its_result(self, waiter: Waiter) -> None:
        assert waiter.run(lambda: threading.current_thread().daemon, 10)

    def test_raises_its_error(self, waiter: Waiter) -> None:
        def fail() -> None:
            raise KeyError("x")

        with pytest.raises(KeyError):
            waiter.run(fail, 10)

    def test_may_take_too_long(self, waiter: Waiter, gate: Event) -> None:
        with pytest.raises(ErrandTimeout):
            waiter.run(gate.wait, 0.01)

    def test_can_be_joined_again_after_an_interruption(self, waiter: Waiter, signals: Signals, gate: Event) -> None:
        errand = waiter.start(gate.wait)
        signals.receive(signal.SIGINT)
        with pytest.raises(Interrupted):
            waiter.join(errand, 10)
        waiter.unwind(100, hurry=1, handled_signals=1)
        gate.set()
        assert waiter.join(errand, 10)

    def test_can_be_joined_once_it_is_done_even_if_it_is_too_late(self, waiter: Waiter, clock: FakeClock) -> None:
        errand = waiter.start(lambda: "done")
        waiter.join(errand, 10)
        clock.advance(1000)
        assert waiter.join(errand, 0) == "done"

    def test_one_that_was_left_disturbs_no_later_one(self, waiter: Waiter, gate: Event) -> None:
        with pytest.raises(ErrandTimeout):
            waiter.run(gate.wait, 0.01)
        later = Event()
        second = waiter.start(lambda: later.wait(10) and "second")
        gate.set()
        threading.Timer(0.02, later.set).start()
        assert waiter.join(second, 10) == "second"


class TestSystemClock:
    """The machine's own."""

    def test_tells_the_time(self) -> None:
        assert SystemClock().monotonic() == pytest.approx(time.monotonic(), abs=1)
        assert SystemClock().time() == pytest.approx(time.time(), abs=1)

    def test_gives_what_comes(self) -> None:
        inbox: SimpleQueue[object] = SimpleQueue()
        inbox.put("x")
        assert SystemClock().wait(inbox, 10) == "x"

    @pytest.mark.parametrize("seconds", [0.01, 0, -5])
    def test_waits_no_longer_than_it_should(self, seconds: float) -> None:
        with pytest.raises(Empty):
            SystemClock().wait(SimpleQueue(), seconds)


class TestRealSignals:
    """Handlers that the kernel calls."""

    @pytest.fixture
    def caught(self) -> Iterator[Signals]:
        before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
        signals = Signals()
        signals.catch()
        yield signals
        for signum, handler in before.items():
            signal.signal(signum, handler)

    def test_the_first_is_remembered_and_all_are_counted(self, caught: Signals) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            os.kill(os.getpid(), signum)
        # Python calls its handlers between two bytecodes, soon after.
        assert [caught.inbox.get(timeout=10) for _ in range(3)] == [None] * 3
        assert (caught.first, caught.count) == (signal.SIGTERM, 3)

    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_one_ends_a_wait_of_minutes_at_once(self, caught: Signals, gate: Event, signum: int) -> None:
        waiter = Waiter(SystemClock(), caught, deadline=time.monotonic() + 600)
        threading.Timer(0.05, lambda: os.kill(os.getpid(), signum)).start()
        began = time.monotonic()
        with pytest.raises(Interrupted) as interruption:
            waiter.run(gate.wait, 600)
        assert interruption.value.signum == signum
        assert time.monotonic() - began < 5
