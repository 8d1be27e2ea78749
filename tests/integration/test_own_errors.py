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
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

import pytest

import matatika_deploy
from tests.support.stage import stage
from tests.support.step import API_KEY

# What is made to fail may be what closes a connection: it is collected while that is no warning.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

ERRORS: Final[tuple[Callable[[], Exception], ...]] = (
    lambda: RuntimeError("boom"),
    lambda: OSError(5, "boom"),
    MemoryError,
    lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "boom"),
    lambda: KeyError("boom"),
    lambda: RecursionError("boom"),
)
_LOG: Final = [{"text": "a line"}, {"text": "ERROR: no such table"}]
STEPS: Final[Mapping[str, tuple[dict[str, Any], dict[str, str]]]] = {
    "succeeds": (
        {"job": {"runs": "5s", "log": _LOG}},
        {"logs": "stream", "preflight": "warn", "verify_source": "warn"},
    ),
    "fails": ({"job": {"runs": "5s", "ends": "ERROR", "log": _LOG}}, {"logs": "on-failure", **API_KEY}),
    "times out": ({"job": {"runs": "forever", "log": _LOG}}, {"logs": "stream", "timeout": "10s"}),
}
# Without these nothing can be printed at all, or nothing is waited for: see `test_process_has_the_last_word`.
LAST_WORD: Final = (
    "Task._run",
    "CancelScope.",
    "Signals.__init__",
    "console.",
    "log_guard.",
    "main.main",
    "WorkflowCommands.__init__",
    "text.one_line",
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


@dataclass
class Saboteur:
    """Counts the calls of the program's functions, and lets one call of one of them fail."""

    target: CodeType | None = None
    call: int = 1
    error: Exception = field(default_factory=RuntimeError)
    calls: Counter[CodeType] = field(default_factory=Counter)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        before = sys.gettrace()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)
            threading.settrace(before)

    def _trace(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code in functions():
            self.calls[code] += 1
            if code is self.target and self.calls[code] == self.call:
                raise self.error


def play(folder: Path, name: str, saboteur: Saboteur) -> tuple[Any, list[Any]]:
    scenario, inputs = STEPS[name]
    with stage(folder, scenario, **inputs) as here, saboteur.at_work():
        result = here.run(hides_secrets=False)
        return result, here.simulator.jobs


@pytest.mark.parametrize("name", STEPS)
def test_step_says_what_failed_and_names_its_job(tmp_path: Path, name: str) -> None:
    """Every sixtieth function that the step calls, others in each step: its first call or its last."""
    counting = Saboteur()
    play(tmp_path / "whole", name, counting)
    called = sorted(counting.calls, key=lambda code: functions()[code])
    chosen = [code for code in called if not any(part in functions()[code] for part in LAST_WORD)]
    assert len(chosen) > 100
    summary = [code for code in called if functions()[code].endswith("summary.render")]
    for number, code in enumerate(chosen[20 * list(STEPS).index(name) :: 60] + summary):
        what = functions()[code]
        call = 1 if number % 2 else counting.calls[code]
        saboteur = Saboteur(code, call, ERRORS[number % len(ERRORS)]())
        result, jobs = play(tmp_path / str(number), name, saboteur)
        assert b"Traceback" not in result.printed, what
        assert "boom" not in result.log.own or any(part in what for part in BAD_INPUT), what
        assert result.outputs["outcome"], what
        assert result.outputs["message"], what
        assert result.code in (0, 1, 3, 4) or any(part in what for part in BAD_INPUT), what
        if result.code:
            (error,) = result.log.said("error")
            assert error.startswith(result.outputs["message"]), what
            running = [job.id for job in jobs if job.status in ("QUEUED", "RUNNING")]
            assert all(job in error or "may have been queued" in error for job in running), what


@pytest.mark.parametrize("name", ["_write", "_take"])
def test_log_that_cannot_be_printed_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from matatika_deploy.github.console import Console

    real = getattr(Console, name)
    failed: list[bytes] = []

    def fail_once(console: Console, piece: bytes, *log: object) -> object:
        if not failed and b"a line" in piece:
            failed.append(piece)
            raise MemoryError
        return real(console, piece, *log)

    monkeypatch.setattr(Console, name, fail_once)
    scenario, inputs = STEPS["succeeds"]
    with stage(tmp_path, scenario, **inputs) as here, pytest.raises(MemoryError):
        here.run(hides_secrets=False)
    assert here.step.files.outputs["outcome"] == "error"
    assert here.step.files.outputs["message"].startswith("Internal error: The action failed with MemoryError")


@pytest.mark.parametrize(
    ("module", "level", "code"),
    [("matatika_deploy.nowhere", "error", 3), ("matatika_deploy.nowhere.post", "warning", 0)],
)
def test_process_has_the_last_word(module: str, level: str, code: int) -> None:
    program = f"from matatika_deploy.runtime import bootstrap; bootstrap.run({module!r})"
    environ = {"STATE_deployment": "running"}
    ran = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (code, "")
    (line,) = ran.stdout.splitlines()
    assert line.startswith(
        f"::{level} title=Internal error::Internal error: The action failed with ModuleNotFoundError"
    )
