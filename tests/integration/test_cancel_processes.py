"""Signals that reach a process: at its start, again and again, in any thread, and while nobody reads what it prints.

The exit code alone would prove nothing, since the default action on a signal gives it too.
"""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from typing import Final

import pytest

from matatika_deploy.runtime.cancellation import SYSTEM_CLOCK, Cancelled, CancelScope
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import Simulator
from tests.support.result import Result
from tests.support.step import RUNNING, Step, StepProcess

# Without a signal, whoever reads standard output has 30 s.
HASTY: Final = 20.0
# More of the log waits for whoever reads it than is ever held in memory.
ENDLESS: Final = {"job": {"runs": "forever", "log": [{"lines": 50_000, "text": "line {n}", "line-bytes": 100}]}}


def assert_withdrawn(result: Result, simulator: Simulator, number: signal.Signals) -> None:
    assert [job.status for job in simulator.jobs] == ["STOPPED"]
    assert result.code == 128 + number
    assert (result.outputs["outcome"], result.outputs["status"]) == ("cancelled", "STOPPED")
    assert "was withdrawn" in result.summary


def test_a_storm_of_signals_is_as_good_as_one(tmp_path: Path) -> None:
    first = signal.SIGTERM
    with Simulator(RUNNING) as simulator:
        step = Step(tmp_path / "step", simulator)
        with step.started() as running:
            running.wait_for_print("INFO  Working")
            running.signal(first)
            # Of two that wait together, the lower number would win, whichever came first.
            simulator.wait_for("withdraw", timeout=60)
            running.signal(*([signal.SIGINT, signal.SIGTERM] * 25))
            result = running.wait()
        assert_withdrawn(result, simulator, first)
        assert step.run_post().printed == b""
    assert [end.name for end in result.log.ends] == ["notice"]


def test_a_process_whose_output_nobody_reads_ends_in_order(tmp_path: Path) -> None:
    """Its pipe takes not a single byte more: see `test_withdrawal_goes_out_before_anything_is_printed`."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    with Simulator(ENDLESS) as simulator, Step(tmp_path, simulator).started(stdout=writing) as running:
        simulator.wait_for("job", timeout=60)
        running.signal(signal.SIGINT)
        assert_withdrawn(running.wait(HASTY), simulator, signal.SIGINT)
    os.close(reading)
    os.close(writing)


def test_process_ends_at_the_deadline_of_a_real_clock(tmp_path: Path) -> None:
    with Simulator({"job": {"runs": "forever"}}) as simulator:
        result = Step(tmp_path, simulator, timeout="3s").run_process()
    assert (result.code, result.outputs["outcome"], result.outputs["status"]) == (4, "timed-out", "STOPPED")
    assert len(simulator.calls("withdraw")) == 1


def is_handling(running: StepProcess) -> bool:
    """Whether it has a handler for SIGTERM: see proc_pid_status(5)."""
    status = Path(f"/proc/{running.popen.pid}/status").read_text(encoding="ascii", errors="replace")
    mask = int(status.partition("\nSigCgt:")[2].split()[0], 16)
    return bool(mask >> (signal.SIGTERM - 1) & 1)


def test_a_signal_at_any_moment_of_the_start_ends_the_process(tmp_path: Path) -> None:
    """Before there are handlers, the default action ends a program that has done nothing yet; then it ends in order."""

    def end(moment: int) -> None:
        with Simulator(RUNNING) as simulator, Step(tmp_path / str(moment), simulator).started() as running:
            if moment:
                # Moments after the handlers are there, and hardly anything else of the program.
                running.wait_until(lambda: is_handling(running), "its handlers")
            time.sleep(moment * 0.03)
            running.signal(signal.SIGTERM)
            result = running.wait()
            if result.code == -signal.SIGTERM:
                assert (moment, result.outputs, simulator.journal) == (0, {}, [])
            else:
                assert (result.code, result.outputs["outcome"]) == (143, "cancelled")
            assert {job.status for job in simulator.jobs} <= {"STOPPED"}

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(end, range(8)))


@pytest.mark.parametrize("module", ["matatika_deploy.main", "matatika_deploy.post"])
def test_signals_are_caught_before_anything_slow_is_imported(module: str) -> None:
    """As the first process of its container, a program loses every signal that comes before that."""
    look = (
        "import os, sys; from matatika_deploy.runtime import bootstrap, signals; "
        "signals.Signals.catch = lambda self: os._exit('requests' in sys.modules or 'ssl' in sys.modules); "
        f"bootstrap.run({module!r})"
    )
    assert subprocess.run([sys.executable, "-c", look]).returncode == 0


def test_a_signal_that_another_thread_gets_ends_the_wait_as_well() -> None:
    """Nothing but Python's own flag tells the main thread: as with a signal just before the wait."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals = Signals()
    signals.catch()

    def receive() -> None:
        time.sleep(0.05)
        signal.pthread_kill(get_ident(), signal.SIGTERM)

    began = time.monotonic()
    with ThreadPoolExecutor(1) as aside:
        aside.submit(receive)
        try:
            with pytest.raises(Cancelled) as caught:
                CancelScope(SYSTEM_CLOCK, signals).sleep(60)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    # On whatever machine, that is long before the sleep would have been over.
    assert time.monotonic() - began < 30
    assert caught.value.signum == signal.SIGTERM
