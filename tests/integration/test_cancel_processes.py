"""Signals that reach a process: at its start, at its end, again and again, and while nobody reads what it prints.

The exit code alone would prove nothing, since the default action on a signal gives it too.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_simulator import Simulator
from tests.support.result import Result
from tests.support.step import API_KEY, RUNNING, Step, StepProcess

# Without a signal, whoever reads standard output has 30 s.
HASTY: Final = 20.0
# More of the log waits for whoever reads it than is ever held in memory.
ENDLESS: Final = {"job": {"runs": "forever", "log": [{"lines": 50_000, "text": "line {n}", "line-bytes": 100}]}}
# Larger than a pipe's buffer once it is escaped, so that the step hangs in the middle of writing its summary.
LONG_LINES: Final = [{"text": "\n".join("<&>" * 400 for _ in range(50))}]


def assert_withdrawn(result: Result, simulator: Simulator, number: signal.Signals) -> None:
    assert [job.status for job in simulator.jobs] == ["STOPPED"]
    assert result.code == 128 + number
    assert (result.outputs["outcome"], result.outputs["status"]) == ("cancelled", "STOPPED")
    assert "was withdrawn" in result.summary


def test_a_signal_in_the_sign_in_ends_the_process_in_order(tmp_path: Path) -> None:
    number = signal.SIGINT
    with Simulator({**RUNNING, "faults": [{"calls": "token", "hang": True}]}) as simulator:
        step = Step(tmp_path / "step", simulator, **API_KEY)
        with step.started() as running:
            simulator.wait_for("token", timeout=60)
            running.signal(number)
            result = running.wait()
        assert step.run_post().printed == b""
        assert [entry.call for entry in simulator.journal] == ["token"]
    assert (result.code, result.outputs["outcome"]) == (128 + number, "cancelled")
    (end,) = result.log.ends
    assert (end.name, "Nothing was deployed" in end.data) == ("notice", True)


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


@contextmanager
def unread_pipe(*, is_full: bool) -> Iterator[int]:
    """The end to write to of a pipe that nobody reads, and that takes not a single byte more if it `is_full`."""
    reading, writing = os.pipe()
    try:
        if is_full:
            os.set_blocking(writing, False)
            with suppress(BlockingIOError):
                while True:
                    os.write(writing, bytes(4096))
            os.set_blocking(writing, True)
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


def test_a_withdrawal_does_not_wait_for_whoever_reads_standard_output(tmp_path: Path) -> None:
    """Whether nobody reads at all, or not to the end."""

    def withdraw(is_full: bool, scenario: dict[str, Any]) -> None:
        with (
            Simulator(scenario) as simulator,
            unread_pipe(is_full=is_full) as stdout,
            Step(tmp_path / str(is_full), simulator).started(stdout=stdout) as running,
        ):
            simulator.wait_for("job", timeout=60)
            running.signal(signal.SIGINT)
            assert_withdrawn(running.wait(HASTY), simulator, signal.SIGINT)

    with ThreadPoolExecutor() as pool:
        list(pool.map(withdraw, (True, False), (RUNNING, ENDLESS)))


def signals(running: StepProcess, kind: str) -> set[signal.Signals]:
    """A set of signals of which the kernel keeps account: see proc_pid_status(5)."""
    try:
        status = Path(f"/proc/{running.popen.pid}/status").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return set()
    mask = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith(f"{kind}:")), 0)
    return {number for number in (signal.SIGINT, signal.SIGTERM) if mask >> (number - 1) & 1}


def signal_in_the_summary(
    folder: Path, scenario: dict[str, Any], first: list[signal.Signals], then: list[signal.Signals]
) -> tuple[Result, str]:
    """Signal a step before its end if `first` says so, and while it writes its summary, which is a pipe."""
    summary = folder / "summary"
    os.mkfifo(summary)
    with Simulator(scenario) as simulator:
        step = Step(folder / "step", simulator)
        with step.started({"GITHUB_STEP_SUMMARY": str(summary)}) as running:
            if first:
                running.wait_for_print("&>")
                running.signal(*first)
            # Opened as soon as the step begins to write.
            with summary.open("rb") as pipe:
                running.wait_until(lambda: "outcome" in step.files.outputs, "its outcome")
                for number in then:
                    running.signal(number)
                    running.wait_until(
                        lambda: not signals(running, "SigPnd") | signals(running, "ShdPnd"), "the signal's delivery"
                    )
                text = pipe.read().decode()
            result = running.wait()
        assert step.run_post().printed == b""
    return result, text


def test_a_signal_after_the_end_changes_nothing(tmp_path: Path) -> None:
    scenario = {"job": {"runs": "0s", "ends": "ERROR", "log": LONG_LINES}}
    result, summary = signal_in_the_summary(tmp_path, scenario, [], [signal.SIGINT, signal.SIGTERM])
    assert (result.code, result.outputs["outcome"]) == (1, "failure")
    assert len(result.log.said("error")) == 1
    assert "Deployment cancelled" not in summary
    assert summary.partition("<pre>")[2].count("&lt;&amp;&gt;") == 50 * 400


def test_a_signal_in_the_summary_of_a_cancelled_step_changes_nothing(tmp_path: Path) -> None:
    scenario = {"job": {"runs": "forever", "log": LONG_LINES}}
    result, summary = signal_in_the_summary(tmp_path, scenario, [signal.SIGTERM], [signal.SIGINT])
    assert result.code == 143
    assert (result.outputs["outcome"], result.outputs["status"]) == ("cancelled", "STOPPED")
    assert [end.name for end in result.log.ends] == ["notice"]
    assert summary.count("&lt;&amp;&gt;") == 50 * 400
    assert summary.endswith("</code>\n")


def test_a_signal_at_any_moment_of_the_start_ends_the_process(tmp_path: Path) -> None:
    """Before there are handlers, the default action ends a program that has done nothing yet; then it ends in order."""

    def end(moment: int) -> None:
        with Simulator(RUNNING) as simulator, Step(tmp_path / str(moment), simulator).started() as running:
            if moment:
                # Moments after the handlers are there, and hardly anything else of the program.
                running.wait_until(lambda: signal.SIGTERM in signals(running, "SigCgt"), "its handlers")
            time.sleep(moment * 0.03)
            running.signal(signal.SIGTERM)
            result = running.wait()
            if result.code == -signal.SIGTERM:
                assert moment == 0
                assert (result.outputs, simulator.journal) == ({}, [])
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
