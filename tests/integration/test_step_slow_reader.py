"""A runner that takes its time to read the step's standard output."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from matatika_deploy.main import main
from matatika_deploy.runtime.limits import Limits
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import Simulator
from tests.support.result import StepLog
from tests.support.step import PATIENCE, Step

# Much more than fits into a pipe and into the memory that is meant for it, in pieces that do not end with a line.
LOG = "".join(f"{number} {'x' * 1000}\n" for number in range(4000))


def test_gets_the_log_s_beginning_without_a_hole_if_it_reads_too_late(tmp_path: Path) -> None:
    reading, writing = os.pipe()

    def read_late() -> bytes:
        end = time.monotonic() + PATIENCE
        # By then the step has waited in vain for the end of the log, and only wants to be rid of what it has.
        while not step.files.summary and time.monotonic() < end:
            time.sleep(0.01)
        with os.fdopen(reading, "rb") as pipe:
            return pipe.read()

    with Simulator({"job": {"runs": 0.5, "log": [{"text": LOG}]}}) as simulator, ThreadPoolExecutor(1) as aside:
        step = Step(tmp_path, simulator, preflight="off")
        read = aside.submit(read_late)
        limits = Limits(log_end=0.3)
        code = main(step.environ, Signals(), time.monotonic(), limits=limits, descriptor=writing)
        os.close(writing)
        log = StepLog(read.result())
    assert code == 0
    shown = log.job_log.decode()
    assert shown
    # Compared by their numbers first, for an answer that fits on a screen.
    assert [line.split()[0] for line in shown.splitlines()] == [
        str(number) for number in range(len(shown.splitlines()))
    ]
    assert LOG.startswith(shown.removesuffix("\n"))
    assert any("cannot be shown whole" in warning for warning in log.said("warning"))
