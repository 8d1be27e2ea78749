"""Whatever fails in the program itself: one readable error, exit code 3, and the job named if it may run on."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from matatika_deploy.github.console import Console
from matatika_simulator import Simulator, constants
from matatika_simulator.runner import state_environ
from tests.support.stage import stage
from tests.support.step import RUNNING, Step

CHECKED: Final = {"logs": "stream", "preflight": "warn", "verify_source": "warn"}
# What is broken, and how the job is told of.
BROKEN: Final = {
    "main.prepare": "",
    "platform.trigger.Trigger.run": "",
    "step.Step.adopt": "may have been queued",
    "platform.followed_job.FollowedJob.saw": "may be running still",
    "platform.responses.Response.json": "",
    "shutdown.over": "",
    "step.Step.page": "",
    "github.summary.render": "",
}
ERRORS: Final = (RuntimeError, OSError, MemoryError, KeyError, RecursionError)


@pytest.mark.parametrize(("number", "place"), list(enumerate(BROKEN)))
def test_defect_is_one_error_that_shows_nothing_and_names_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, place: str
) -> None:
    kind = ERRORS[number % len(ERRORS)]

    def broken(*_: object, **__: object) -> None:
        raise kind(constants.TOKEN)

    # In the middle of a line of the log, which is held up for the rest of it.
    log = [{"text": "x" * 100_000, "unfinished": True}]
    with stage(tmp_path, {"job": {"queued": "1s", "runs": "10s", "log": log}}, **CHECKED) as here:
        monkeypatch.setattr(f"matatika_deploy.{place}", broken)
        result = here.run()
    assert not result.log.is_stopped
    assert b"Traceback" not in result.printed
    assert (result.code, result.outputs["outcome"]) == (3, "error")
    (error,) = result.log.said("error")
    assert error.startswith(result.outputs["message"])
    assert error.startswith(f"Internal error: The action failed with {kind.__name__}")
    assert BROKEN[place] in error
    assert not BROKEN[place].endswith("still") or here.simulator.jobs[0].id in error


@pytest.mark.parametrize("name", ["_write", "_take"])
def test_log_that_cannot_be_printed_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    real = getattr(Console, name)
    failed: list[bytes] = []

    def fail_once(console: Console, piece: bytes, *log: object) -> object:
        if not failed and b"a line" in piece:
            failed.append(piece)
            raise MemoryError
        return real(console, piece, *log)

    monkeypatch.setattr(Console, name, fail_once)
    scenario = {"job": {"runs": "5s", "log": [{"text": "a line"}]}}
    with stage(tmp_path, scenario, **CHECKED) as here, pytest.raises(MemoryError):
        here.run(hides_secrets=False)
    outputs = here.step.files.outputs
    assert outputs["outcome"] == "error"
    assert outputs["message"].startswith("Internal error: The action failed with MemoryError")


@pytest.mark.parametrize(("module", "level", "code"), [("nowhere", "error", 3), ("nowhere.post", "warning", 0)])
def test_process_has_the_last_word(module: str, level: str, code: int) -> None:
    program = f"from matatika_deploy.runtime import bootstrap; bootstrap.run('matatika_deploy.{module}')"
    environ = {"STATE_deployment": "running"}
    ran = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (code, "")
    (line,) = ran.stdout.splitlines()
    said = f"::{level} title=Internal error::Internal error: The action failed with ModuleNotFoundError"
    assert line.startswith(said)


FEW_THREADS: Final = """
import threading
started, start = [], threading.Thread.start
def refuse(thread):
    started.append(thread)
    if len(started) > {threads}:
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = refuse
from matatika_deploy.runtime import bootstrap
bootstrap.run("matatika_deploy.{module}")
"""


@pytest.mark.parametrize("threads", [0, 2, 4, 5])
def test_runner_on_which_no_thread_can_be_started_is_named_with_the_job(threads: int, tmp_path: Path) -> None:
    """An old container engine refuses `clone3`, or processes are limited; wherever it happens first."""
    inputs = {"verify_source": "off", "preflight": "off", "logs": "none"} if threads == 5 else {}
    program = (sys.executable, "-c", FEW_THREADS.format(threads=threads, module="main"))
    with Simulator(RUNNING) as simulator:
        result = Step(tmp_path, simulator, timeout="20s", **inputs).run_process(command=program)
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


def test_post_step_without_threads_warns_and_names_the_job(tmp_path: Path) -> None:
    state = state_environ({"deployment": "running", "job": '{"id": "7127b1d3", "status": "RUNNING"}'})
    program = (sys.executable, "-c", FEW_THREADS.format(threads=0, module="post"))
    with Simulator(RUNNING) as simulator:
        result = Step(tmp_path, simulator).run_process(state, program)
    assert (result.code, b"Traceback" in result.printed) == (0, False)
    (warning,) = result.log.said("warning")
    assert "Job 7127b1d3 could not be withdrawn" in warning
