"""Whatever fails in the program itself: one readable error, exit code 3, and the job named if it may run on."""

import gc
import importlib
import inspect
import pkgutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

import pytest

import matatika_deploy
from matatika_deploy.github.console import Console
from matatika_simulator import JobState
from tests.support.result import Result
from tests.support.stage import stage
from tests.support.step import API_KEY

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
# Without these nothing can be printed at all, or nothing is waited for: see `test_process_has_the_last_word`.
LAST_WORD: Final = (
    *("Task._run", "CancelScope.", "Signals.__init__", "console.", "log_guard.", "main.main", "text.one_line"),
    "WorkflowCommands.__init__",
)
# A `ValueError` from these is what they say of a bad input.
BAD_INPUT: Final = ("converters.", "inputs.")


@pytest.fixture(autouse=True)
def collect_what_was_left_open() -> Iterator[None]:
    yield
    gc.collect()


@cache
def functions() -> dict[CodeType, str]:
    """Return every function and method of the program."""
    found: dict[CodeType, str] = {}
    for module in pkgutil.walk_packages(matatika_deploy.__path__, "matatika_deploy."):
        if module.name.endswith(("__main__", ".bootstrap")):
            continue
        for _, thing in inspect.getmembers(importlib.import_module(module.name)):
            if getattr(thing, "__module__", None) != module.name:
                continue
            for function in vars(thing).values() if isinstance(thing, type) else [thing]:
                function = getattr(function, "fget", None) or getattr(function, "__func__", function)
                if isinstance(function, FunctionType) and function.__module__ == module.name:
                    found[function.__code__] = f"{module.name}.{function.__qualname__}"
    return found


def play(
    folder: Path, name: str, target: CodeType | None = None, call: int = 0, error: Exception | None = None
) -> tuple[Result, list[JobState], Counter[CodeType]]:
    """Run a step, and let one call of a function fail, if any; gives how often each function was called as well."""
    calls: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code in functions():
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
    called = sorted(calls, key=lambda code: functions()[code])
    chosen = [code for code in called if not any(part in functions()[code] for part in LAST_WORD)]
    assert len(chosen) > 100
    summary = [code for code in called if functions()[code].endswith("summary.render")]
    for number, code in enumerate(chosen[20 * list(STEPS).index(name) :: 60] + summary):
        what, error = functions()[code], ERRORS[number % len(ERRORS)]()
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
