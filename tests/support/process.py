"""A step's process at close quarters: its two streams apart, its signal handlers as the kernel knows them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.step import MAIN, PATIENCE, Result, Step

_LOOK_EVERY = 0.005


class Process:
    """A main step that runs. Where it prints, and that it prints nothing to standard error, is checked by the tests."""

    def __init__(self, step: Step, popen: "subprocess.Popen[bytes]", printed: Path, errors: Path) -> None:
        """All of it belongs to `started`."""
        self._step = step
        self._popen = popen
        self._printed = printed
        self._errors = errors

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
        return self._step.files.outputs

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

    def wait(self) -> Result:
        """Wait for its end."""
        code = self._popen.wait(PATIENCE)
        files = self._step.files
        return Result(code, self.printed, files.outputs, files.state, files.summary)


@contextmanager
def started(step: Step, environ: Mapping[str, str] | None = None, *, stdout: int | None = None) -> Iterator[Process]:
    """The main step of `step` while it runs; at the end of the block it is gone.

    `environ` is what the workflow adds to its environment, `stdout` where it prints to instead of a file.
    """
    folder = step.workspace.parent
    printed, errors = folder / "standard-output", folder / "standard-error"
    with (
        printed.open("wb") as output,
        errors.open("wb") as error,
        subprocess.Popen(
            MAIN,
            cwd=step.workspace,
            env={**step.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=error,
        ) as popen,
    ):
        try:
            yield Process(step, popen, printed, errors)
        finally:
            popen.kill()


@contextmanager
def unread_pipe(*, is_full: bool) -> Iterator[int]:
    """The end to write to of a pipe that nobody reads, and that takes not a single byte more if it `is_full`."""
    reading, writing = os.pipe()
    try:
        if is_full:
            os.set_blocking(writing, False)
            while _takes(writing):
                pass
            os.set_blocking(writing, True)
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


def _takes(descriptor: int) -> bool:
    try:
        return os.write(descriptor, bytes(4096)) > 0
    except BlockingIOError:
        return False
