"""A runner on which threads cannot be started: an old container engine refuses `clone3`, or processes are limited."""

import sys
from pathlib import Path
from typing import Final

import pytest

from matatika_simulator import Simulator
from matatika_simulator.runner import state_environ
from tests.support.step import RUNNING, Step

JOB: Final = "7127b1d3-a114-4bec-b108-004f374f0b77"
BRIEF: Final = {"verify_source": "off", "preflight": "off", "logs": "none"}
PROGRAM: Final = """
import threading
started, start = [], threading.Thread.start
def refuse(thread):
    started.append(thread)
    if len(started) > {threads}:
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = refuse
from matatika_deploy.runtime import bootstrap
bootstrap.run({module!r})
"""


def program(module: str, threads: int) -> tuple[str, ...]:
    """Return the command of a program in which so many threads can be started, and no more."""
    return (sys.executable, "-c", PROGRAM.format(module=module, threads=threads))


@pytest.mark.parametrize(("threads", "inputs"), [(0, {}), (2, {}), (4, {}), (5, BRIEF)])
def test_one_readable_error_names_the_cause(threads: int, inputs: dict[str, str], tmp_path: Path) -> None:
    """Wherever it happens first, and with the job named if there is one: at last while it is followed."""
    with Simulator(RUNNING) as simulator:
        step = Step(tmp_path, simulator, timeout="20s", **inputs)
        result = step.run_process(command=program("matatika_deploy.main", threads))
        jobs = simulator.jobs
    assert b"Traceback" not in result.printed
    assert (result.code, result.outputs["outcome"]) == (3, "error")
    (error,) = result.log.said("error")
    assert error.startswith("Internal error: No thread can be started here.")
    assert "clone3" in error
    assert result.outputs["message"] == error[: len(result.outputs["message"])]
    for job in jobs:
        assert f"Job {job.id} may be running still" in error or (not inputs and "may have been queued" in error)
    assert jobs or not inputs


def test_the_post_step_warns_and_names_the_job(tmp_path: Path) -> None:
    with Simulator(RUNNING) as simulator:
        state = {"deployment": "running", "job": f'{{"id": "{JOB}", "status": "RUNNING"}}'}
        command = program("matatika_deploy.post", 0)
        result = Step(tmp_path, simulator).run_process(state_environ(state), command)
    assert result.code == 0
    assert b"Traceback" not in result.printed
    (warning,) = result.log.said("warning")
    assert f"Job {JOB} could not be withdrawn" in warning
