"""A runner on which threads cannot be started: an old container engine refuses `clone3`, or processes are limited."""

import sys
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_simulator import Simulator
from matatika_simulator.runner import state_environ
from tests.support.result import Result
from tests.support.step import Step

RUNNING: Final[dict[str, Any]] = {"job": {"runs": "forever", "log": [{"text": "a line"}]}}
JOB: Final = "7127b1d3-a114-4bec-b108-004f374f0b77"
CAUSE: Final = "No thread can be started here."


def program(module: str, threads: int) -> tuple[str, ...]:
    """Return the command of a program in which so many threads can be started, and no more."""
    code = (
        "import threading\n"
        "started, start = [], threading.Thread.start\n"
        "def refuse(thread):\n"
        "    started.append(thread)\n"
        f"    if len(started) > {threads}:\n"
        '        raise RuntimeError("can\'t start new thread")\n'
        "    start(thread)\n"
        "threading.Thread.start = refuse\n"
        "from matatika_deploy.runtime import bootstrap\n"
        f"bootstrap.run({module!r})\n"
    )
    return (sys.executable, "-c", code)


def run(folder: Path, simulator: Simulator, threads: int, **inputs: str) -> Result:
    result = Step(folder, simulator, **inputs).run_process(command=program("matatika_deploy.main", threads))
    assert b"Traceback" not in result.printed
    return result


@pytest.mark.parametrize("threads", [0, 2, 4])
def test_one_readable_error_names_the_cause(threads: int, tmp_path: Path) -> None:
    """Wherever it happens first, and with the job named if there is one."""
    with Simulator(RUNNING) as simulator:
        result = run(tmp_path, simulator, threads, timeout="20s")
        jobs = simulator.jobs
    assert result.code == 3
    assert result.outputs["outcome"] == "error"
    (error,) = result.log.of("error")
    assert error.data.startswith(f"Internal error: {CAUSE}")
    assert "clone3" in error.data
    for job in jobs:
        assert job.id in error.data or "may have been queued" in error.data
    assert result.outputs["message"] == error.data[: len(result.outputs["message"])]


def test_the_job_is_named_if_it_happens_while_it_is_followed(tmp_path: Path) -> None:
    with Simulator(RUNNING) as simulator:
        inputs = {"verify_source": "off", "preflight": "off", "logs": "none", "timeout": "20s"}
        result = run(tmp_path, simulator, 5, **inputs)
        (job,) = simulator.jobs
    assert result.code == 3
    (error,) = result.log.of("error")
    assert CAUSE in error.data
    assert f"Job {job.id} may be running still" in error.data


def test_the_post_step_warns_and_names_the_job(tmp_path: Path) -> None:
    with Simulator(RUNNING) as simulator:
        here = Step(tmp_path, simulator)
        state = {"deployment": "running", "job": f'{{"id": "{JOB}", "status": "RUNNING"}}'}
        result = here.run_process(state_environ(state), program("matatika_deploy.post", 0))
    assert result.code == 0
    assert b"Traceback" not in result.printed
    (warning,) = result.log.of("warning")
    assert f"Job {JOB} could not be withdrawn" in warning.data
