"""A step of a workflow that uses the action: in this process on a clock that tests move, or as a process of its own."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matatika_deploy import post
from matatika_deploy.main import main
from matatika_deploy.runtime.cancellation import Clock
from matatika_deploy.runtime.limits import HttpLimits, Limits
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import Simulator, constants
from matatika_simulator.runner import StepFolder, state_environ
from tests.support import secrecy
from tests.support.result import Result, StepLog

ROOT = Path(__file__).parents[2]
MAIN = (sys.executable, str(ROOT / "entrypoint.py"))
POST = (sys.executable, "-m", "matatika_deploy.post")
# Inputs: another credential than the personal token; the job is to be left.
API_KEY: dict[str, Any] = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
WEBHOOK: dict[str, Any] = {"token": "", "deployment_secret": constants.DEPLOYMENT_SECRET}
LEAVE: dict[str, Any] = {"on_cancel": "leave"}
# Scenarios: a job that runs, and one that waits, until it is withdrawn.
RUNNING: dict[str, Any] = {"job": {"runs": "forever", "log": [{"text": "INFO  Working"}]}}
QUEUED: dict[str, Any] = {"job": {"queued": "forever"}}
# One that waits, and can only be deleted; and one of two that may be ours, since the answer to the trigger is lost.
REFUSED: dict[str, Any] = {**QUEUED, "withdrawal": {"queued": 409}}
SOMEBODY_ELSES: dict[str, Any] = {
    **RUNNING,
    "faults": [{"calls": "trigger", "requests": {"first": 1}, "drop": "close", "after": True}],
    "other-jobs": [{"at": "0s", "since": "first-trigger", "runs": "forever"}],
    "deployments": {"while-another-runs": "queue"},
}
# For a slow machine; what a test promises about time, it measures itself.
PATIENCE = 60.0
_LOOK_EVERY = 0.005
# Limits on a peer's silence are real seconds even on a clock that tests move.
PATIENT = Limits(http=HttpLimits(connect=5, read_timeout=10, total=20))
_SECRETS = ("TOKEN", "CLIENT-SECRET", "DEPLOYMENT-SECRET")
# Bytes of a step's log that are shown with a test that fails.
_SHOWN = 20_000


class Step:
    """One step of a workflow that uses the action."""

    def __init__(self, folder: Path, simulator: Simulator | None = None, /, **inputs: str) -> None:
        """`folder` is empty; `inputs` are named with underscores, and have no white space added or taken.

        With a simulator, its addresses, its workspace and its personal token are given, unless `inputs` say otherwise
        (`token=""` for none).
        """
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        if simulator:
            of_simulator = {"api-url": simulator.api_url, "auth-url": simulator.auth_url}
            given = {"workspace-id": constants.WORKSPACE_ID, "token": constants.TOKEN, **of_simulator, **given}
        self.folder, made = folder, StepFolder(folder, ROOT / "action.yml", given)
        self.workspace, self.event, self.files, self.environ = made.workspace, made.event, made.files, made.environ

    def run(
        self, clock: Clock, limits: Limits = PATIENT, signals: Signals | None = None, *, hides_secrets: bool = True
    ) -> Result:
        """Run the main step to its end in this process, and check that none of its secrets shows anywhere.

        To signal it, pass `signals` and call its `receive`, for example by `clock.call_later`.
        """
        signals = signals or Signals(clock.monotonic)
        with (self.folder / "printed").open("ab") as output:
            started, descriptor = clock.monotonic(), output.fileno()
            result = self.ended(main(self.environ, signals, started, clock=clock, limits=limits, descriptor=descriptor))
        if hides_secrets:
            given = [self.environ[f"INPUT_{name}"].strip() for name in _SECRETS]
            secrecy.check(result, [secret for secret in given if secret])
        return result

    def run_post(self) -> StepLog:
        """Run the post step in this process, with less patience than the real one; gives what it printed."""
        environ, path = {**self.environ, **state_environ(self.files.state)}, self.folder / "post"
        with path.open("ab") as output:
            limits = Limits(post=1.0)
            assert post.main(environ, Signals(), time.monotonic(), limits=limits, descriptor=output.fileno()) == 0
        return StepLog(path.read_bytes())

    def run_process(self, environ: Mapping[str, str] | None = None, command: Sequence[str] = MAIN) -> Result:
        """Run the main step as a process to its end, or another command: see `started`."""
        with self.started(environ, command) as process:
            return process.wait()

    @contextmanager
    def started(
        self, environ: Mapping[str, str] | None = None, command: Sequence[str] = MAIN, stdout: int | None = None
    ) -> Iterator["StepProcess"]:
        """The main step as a process while it runs, or another command; at the end of the block it is gone.

        Arguments:
            environ: what the workflow adds to its environment. The state is that which the step has left, if it has.
            stdout: where it prints, if not to a file.
        """
        with (
            (self.folder / "printed").open("wb") as output,
            (self.folder / "errors").open("wb") as errors,
            subprocess.Popen(
                command,
                cwd=self.workspace,
                env={**self.environ, **state_environ(self.files.state), **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=errors,
            ) as popen,
        ):
            try:
                yield StepProcess(popen, self)
            finally:
                popen.kill()

    @property
    def printed(self) -> bytes:
        """What the main step, or its process, has printed so far, if that is not elsewhere."""
        return (self.folder / "printed").read_bytes()

    def ended(self, code: int) -> Result:
        """What the step has come to, and show it with a test that fails."""
        print(self.printed[:_SHOWN].decode("utf-8", "replace"))  # noqa: T201
        return Result(code, self.printed, self.files.outputs, self.files.state, self.files.summary)


class StepProcess:
    """A process of a step."""

    def __init__(self, popen: "subprocess.Popen[bytes]", step: Step) -> None:
        self.popen, self._step = popen, step

    def signal(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            self.popen.send_signal(number)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while self.popen.poll() is None and time.monotonic() < end:
            if condition():
                return
            time.sleep(_LOOK_EVERY)
        if not condition():
            raise TimeoutError(f"waited for {what}; it printed {self._step.printed!r}")

    def wait_for_print(self, text: str) -> None:
        self.wait_until(lambda: text.encode() in self._step.printed, text)

    def wait(self, seconds: float = PATIENCE) -> Result:
        """Wait for its end; check that it has printed nothing to standard error."""
        code = self.popen.wait(seconds)
        assert (self._step.folder / "errors").read_text(encoding="utf-8", errors="replace") == ""
        return self._step.ended(code)
