"""A step of a workflow, run as a process just as a runner does it: inputs, command files, signals, the post step."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from matatika_simulator import Simulator, constants
from matatika_simulator.runner import CommandFiles, github_environ, input_environ, state_environ
from tests.support.log import StepLog

ROOT = Path(__file__).parents[2]
MAIN = (sys.executable, str(ROOT / "entrypoint.py"))
POST = (sys.executable, "-m", "matatika_deploy.post")
# For a slow machine; what a test promises about time, it measures itself.
PATIENCE = 60.0


@dataclass(frozen=True)
class Result:
    """What a process of the step came to; outputs, state and summary are those of the whole step so far."""

    code: int
    printed: bytes
    """Standard output and error."""
    outputs: dict[str, str]
    state: dict[str, str]
    summary: str

    @property
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
        self.workspace = folder / "workspace"
        self.event = folder / "event.json"
        self._printed = folder / "printed"
        for name in ("workspace", "home", "commands"):
            (folder / name).mkdir(parents=True)
        self.event.write_bytes(b"{}")
        self.files = CommandFiles(folder / "commands")
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        if simulator:
            given = {
                "workspace-id": constants.WORKSPACE_ID,
                "token": constants.TOKEN,
                "api-url": simulator.api_url,
                "auth-url": simulator.auth_url,
                **given,
            }
        self.environ = {
            "PATH": os.environ["PATH"],
            **github_environ(str(self.workspace), str(self.event), str(folder / "home")),
            **self.files.environ(),
            **input_environ(ROOT / "action.yml", given),
        }

    def run(self, environ: Mapping[str, str] | None = None) -> Result:
        """Run the main step to its end; `environ` is what the workflow adds to its environment."""
        with self.started(environ) as process:
            return process.wait()

    def run_post(self, environ: Mapping[str, str] | None = None) -> Result:
        """Run the post step to its end, with the state that the main step has left."""
        with self._started(POST, {**state_environ(self.files.state), **(environ or {})}) as process:
            return process.wait()

    @contextmanager
    def started(self, environ: Mapping[str, str] | None = None) -> Iterator["StepProcess"]:
        """The main step while it runs: at the end of the block it is gone."""
        with self._started(MAIN, environ or {}) as process:
            yield process

    @contextmanager
    def _started(self, command: tuple[str, ...], environ: Mapping[str, str]) -> Iterator["StepProcess"]:
        with (
            self._printed.open("wb") as printed,
            subprocess.Popen(
                command,
                cwd=self.workspace,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                yield StepProcess(process, self._printed, self.files)
            finally:
                process.kill()


class StepProcess:
    """A process of a step."""

    def __init__(self, process: "subprocess.Popen[bytes]", printed: Path, files: CommandFiles) -> None:
        """All of it belongs to `Step`."""
        self._process = process
        self._printed = printed
        self._files = files

    @property
    def printed(self) -> bytes:
        """What it has printed so far."""
        return self._printed.read_bytes()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(signum)

    def wait(self, seconds: float = PATIENCE) -> Result:
        """Wait for its end."""
        code = self._process.wait(seconds)
        printed = self.printed
        # Shown with a test that fails.
        print(printed.decode("utf-8", "replace"))  # noqa: T201
        return Result(code, printed, self._files.outputs, self._files.state, self._files.summary)

    def wait_for_print(self, text: str) -> None:
        """Wait until it has printed `text`."""
        end = time.monotonic() + PATIENCE
        while text.encode() not in self.printed:
            if time.monotonic() > end or not self.is_running:
                raise TimeoutError(f"{text!r} was not printed:\n{self.printed.decode('utf-8', 'replace')}")
            time.sleep(0.01)
