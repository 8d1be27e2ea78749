"""A step of a workflow, run as a process just as a runner does it: inputs, command files, signals, the post step."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from matatika_simulator import JobState, Simulator, constants
from matatika_simulator.runner import CommandFiles, StepFolder, state_environ
from tests.support.log import StepLog

ROOT = Path(__file__).parents[2]
MAIN = (sys.executable, str(ROOT / "entrypoint.py"))
POST = (sys.executable, "-m", "matatika_deploy.post")
# For a slow machine; what a test promises about time, it measures itself.
PATIENCE = 60.0
_LOOK_EVERY = 0.005


@dataclass(frozen=True)
class Result:
    """What a process of the step came to; outputs, state and summary are those of the whole step so far."""

    code: int
    printed: bytes
    """Standard output and error."""
    outputs: dict[str, str]
    state: dict[str, str]
    summary: str

    @cached_property
    def log(self) -> StepLog:
        """What it printed, as the runner reads it."""
        return StepLog(self.printed)


class Step:
    """One step of a workflow that uses the action."""

    def __init__(self, folder: Path, simulator: Simulator | None = None, /, **inputs: str) -> None:
        """`folder` is empty; `inputs` are named with underscores, and have no white space added or taken.

        With a simulator, its addresses, its workspace and its personal token are given, unless `inputs` say otherwise
        (`token=""` for none).
        """
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        if simulator:
            given = {
                "workspace-id": constants.WORKSPACE_ID,
                "token": constants.TOKEN,
                "api-url": simulator.api_url,
                "auth-url": simulator.auth_url,
                **given,
            }
        self._folder, made = folder, StepFolder(folder, ROOT / "action.yml", given)
        self.workspace, self.event, self.files, self.environ = made.workspace, made.event, made.files, made.environ

    def run(self, environ: Mapping[str, str] | None = None) -> Result:
        """Run the main step to its end; `environ` is what the workflow adds to its environment."""
        with self.started(environ) as process:
            return process.wait()

    def run_post(self, environ: Mapping[str, str] | None = None) -> Result:
        """Run the post step to its end, with the state that the main step has left."""
        with self.started({**state_environ(self.files.state), **(environ or {})}, command=POST) as process:
            return process.wait()

    @contextmanager
    def started(
        self, environ: Mapping[str, str] | None = None, *, stdout: int | None = None, command: Sequence[str] = ()
    ) -> Iterator["StepProcess"]:
        """The main step while it runs, or another `command`; at the end of the block it is gone.

        `stdout` is where it prints, if not to a file.
        """
        printed, errors = self._folder / "standard-output", self._folder / "standard-error"
        with (
            printed.open("wb") as output,
            errors.open("wb") as error,
            subprocess.Popen(
                command or MAIN,
                cwd=self.workspace,
                env={**self.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=error,
            ) as popen,
        ):
            try:
                yield StepProcess(popen, printed, errors, self.files)
            finally:
                popen.kill()


class StepProcess:
    """A process of a step."""

    def __init__(self, popen: "subprocess.Popen[bytes]", printed: Path, errors: Path, files: CommandFiles) -> None:
        """All of it belongs to `Step`."""
        self._popen = popen
        self._printed = printed
        self._errors = errors
        self._files = files

    @property
    def printed(self) -> bytes:
        """Its standard output so far, if that is not elsewhere."""
        return self._printed.read_bytes()

    @property
    def errors(self) -> str:
        """Its standard error so far: a traceback, if there is one."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs that it has written so far."""
        return self._files.outputs

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def catches(self) -> set[signal.Signals]:
        """Which of SIGINT and SIGTERM have a handler."""
        return self._signals("SigCgt")

    @property
    def has_pending_signals(self) -> bool:
        """Whether one of them was sent, and not yet handed on to the program."""
        return bool(self._signals("SigPnd") | self._signals("ShdPnd"))

    def _signals(self, name: str) -> set[signal.Signals]:
        """A set of signals of which the kernel keeps account: see proc_pid_status(5)."""
        try:
            status = Path(f"/proc/{self._popen.pid}/status").read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return set()
        mask = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith(f"{name}:")), 0)
        return {number for number in (signal.SIGINT, signal.SIGTERM) if mask >> (number - 1) & 1}

    def signal(self, *numbers: signal.Signals) -> float:
        """Send it signals, in that order; gives the moment of the first (seconds since 1970)."""
        moment = time.time()
        for number in numbers:
            self._popen.send_signal(number)
        return moment

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that it does."""
        end = time.monotonic() + PATIENCE
        while self.is_running and time.monotonic() < end:
            if condition():
                return
            time.sleep(_LOOK_EVERY)
        if not condition():
            raise TimeoutError(f"waited for {what}; it printed {self.printed!r} and {self.errors!r}")

    def wait_for_print(self, text: str) -> None:
        """Wait until it has printed a text."""
        self.wait_until(lambda: text.encode() in self.printed, text)

    def wait(self, seconds: float = PATIENCE) -> Result:
        """Wait for its end."""
        code = self._popen.wait(seconds)
        printed = self.printed + self._errors.read_bytes()
        # Shown with a test that fails.
        print(printed.decode("utf-8", "replace"))  # noqa: T201
        return Result(code, printed, self._files.outputs, self._files.state, self._files.summary)


@dataclass(frozen=True)
class EndedStep:
    """A step that has ended, and what the platform knows of it."""

    result: Result
    simulator: Simulator
    took: float
    """Seconds, of the clock that it ran on."""

    @property
    def job(self) -> JobState:
        """The deployment that the step triggered."""
        (job,) = [job for job in self.simulator.jobs if job.triggered_by != "other"]
        return job

    @property
    def calls(self) -> list[str | None]:
        """The calls that were made, in order, each series of the same call as one."""
        names = [entry.call for entry in self.simulator.journal]
        return [name for name, before in zip(names, [None, *names], strict=False) if name != before]

    def times(self, call: str) -> list[float]:
        """When the requests of a call came, in seconds since the job was created."""
        return [entry.time - self.job.created for entry in self.simulator.calls(call)]


def run_step(folder: Path, scenario: Mapping[str, Any], /, **inputs: str) -> EndedStep:
    """Run a step to its end, as a process."""
    with Simulator(scenario) as simulator:
        began = time.monotonic()
        return EndedStep(Step(folder, simulator, **inputs).run(), simulator, time.monotonic() - began)
