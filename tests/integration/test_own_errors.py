"""Whatever fails in the program itself: one readable error, exit code 3, and the job named if it may run on."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pytest

import matatika_deploy
from matatika_deploy.github.console import Console
from matatika_deploy.main import main
from matatika_deploy.runtime.limits import Limits
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import JobState, Simulator
from matatika_simulator.runner import state_environ
from tests.support.result import Result, StepLog
from tests.support.stage import stage
from tests.support.step import API_KEY, PATIENCE, RUNNING, Step

# What is made to fail may be what closes a connection: it is collected while that is no warning.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

ERRORS: Final[tuple[Callable[[], Exception], ...]] = (
    *(lambda: RuntimeError("boom"), lambda: OSError(5, "boom"), MemoryError, lambda: KeyError("boom")),
    *(lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "boom"), lambda: RecursionError("boom")),
)
LOG: Final = [{"text": "a line"}, {"text": "ERROR: no such table"}]
CHECKED: Final = {"logs": "stream", "preflight": "warn", "verify_source": "warn"}
STEPS: Final[Mapping[str, tuple[dict[str, Any], dict[str, str]]]] = {
    "succeeds": ({"job": {"runs": "5s", "log": LOG}}, CHECKED),
    "fails": ({"job": {"runs": "5s", "ends": "ERROR", "log": LOG}}, {"logs": "on-failure", **API_KEY}),
    "times out": ({"job": {"runs": "forever", "log": LOG}}, {"logs": "stream", "timeout": "10s"}),
}
PACKAGE: Final = str(Path(matatika_deploy.__file__).parent)
# Without these nothing can be printed at all, or nothing is waited for: see `test_process_has_the_last_word`.
LAST_WORD: Final = (
    *("Task._run", "CancelScope.", "Signals.__init__", "console.", "log_guard.", "main.main", "text.one_line"),
    *("WorkflowCommands.__init__", "<"),
)
# A `ValueError` from these is what they say of a bad input.
BAD_INPUT: Final = ("converters.", "inputs.")


@pytest.fixture(autouse=True)
def collect_what_was_left_open() -> Iterator[None]:
    yield
    gc.collect()


def name_of(code: CodeType) -> str:
    return f"{Path(code.co_filename).stem}.{code.co_qualname}"


def play(
    folder: Path, name: str, target: CodeType | None = None, call: int = 0, error: Exception | None = None
) -> tuple[Result, list[JobState], Counter[CodeType]]:
    """Run a step, and let one call of a function fail, if any; gives how often each function was called as well."""
    calls: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            calls[code] += 1
            if error and code is target and calls[code] == call:
                raise error

    scenario, inputs = STEPS[name]
    before = sys.gettrace()
    with stage(folder, scenario, **inputs) as here:
        threading.settrace(trace)
        sys.settrace(trace)
        try:
            return here.run(hides_secrets=False), here.simulator.jobs, calls
        finally:
            sys.settrace(before)
            threading.settrace(before)


@pytest.mark.parametrize("name", STEPS)
def test_step_says_what_failed_and_names_its_job(tmp_path: Path, name: str) -> None:
    """Every sixtieth function that the step calls, others in each step: its first call or its last."""
    *_, calls = play(tmp_path / "whole", name)
    called = sorted(calls, key=name_of)
    chosen = [code for code in called if not any(part in name_of(code) for part in LAST_WORD)]
    assert len(chosen) > 100
    summary = [code for code in called if name_of(code) == "summary.render"]
    for number, code in enumerate(chosen[20 * list(STEPS).index(name) :: 60] + summary):
        what, error = name_of(code), ERRORS[number % len(ERRORS)]()
        is_input = any(part in what for part in BAD_INPUT)
        result, jobs, _ = play(tmp_path / str(number), name, code, 1 if number % 2 else calls[code], error)
        assert b"Traceback" not in result.printed, what
        assert "boom" not in result.log.own or is_input, what
        assert result.outputs["outcome"], what
        assert result.outputs["message"], what
        assert result.code in (0, 1, 3, 4) or is_input, what
        if result.code:
            (said,) = result.log.said("error")
            assert said.startswith(result.outputs["message"]), what
            running = [job.id for job in jobs if job.status in ("QUEUED", "RUNNING")]
            assert all(job in said or "may have been queued" in said for job in running), what


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
    with stage(tmp_path, STEPS["succeeds"][0], **CHECKED) as here, pytest.raises(MemoryError):
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


def test_runner_that_reads_too_late_gets_the_log_s_beginning_without_a_hole(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    # Much more than fits into a pipe and into the memory that is meant for it, in pieces that do not end with a line.
    text = "".join(f"{number} {'x' * 1000}\n" for number in range(4000))

    def read_late() -> bytes:
        end = time.monotonic() + PATIENCE
        # By then the step has waited in vain for the end of the log, and only wants to be rid of what it has.
        while not step.files.summary and time.monotonic() < end:
            time.sleep(0.01)
        with os.fdopen(reading, "rb") as pipe:
            return pipe.read()

    with Simulator({"job": {"runs": 0.5, "log": [{"text": text}]}}) as simulator, ThreadPoolExecutor(1) as aside:
        step = Step(tmp_path, simulator, preflight="off")
        read = aside.submit(read_late)
        limits = Limits(log_end=0.3)
        assert main(step.environ, Signals(), time.monotonic(), limits=limits, descriptor=writing) == 0
        os.close(writing)
        log = StepLog(read.result())
    numbers = [int(line.split()[0]) for line in log.job_log.splitlines()]
    assert 0 < len(numbers) < 4000
    assert numbers == list(range(len(numbers)))
    assert text.startswith(log.job_log.decode().removesuffix("\n"))
    assert any("cannot be shown whole" in warning for warning in log.said("warning"))
