"""A step that is run to a point and signalled there, and everything that is seen of it afterwards."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from matatika_deploy import post
from matatika_deploy.runtime.limits import Limits
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import Simulator
from matatika_simulator.jobs import JobState
from matatika_simulator.journal import Entry
from matatika_simulator.runner import state_environ
from tests.support.log import Command
from tests.support.step import Result, Step, StepProcess

# The promise is 0.5 s from the signal to the withdrawal; the rest is for a machine with much else to do.
SOON = 1.0
# The promise is 6 s from the first signal to the end of the program; at 7.5 s the runner loses its patience.
LATEST = 7.0

SIGNALS: Mapping[str, tuple[signal.Signals, ...]] = {
    "SIGINT": (signal.SIGINT,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGINT-SIGTERM": (signal.SIGINT, signal.SIGTERM),
    "SIGTERM-SIGINT": (signal.SIGTERM, signal.SIGINT),
}
RUNNING: Mapping[str, Any] = {"job": {"runs": "forever", "log": [{"text": "INFO  Working"}]}}
QUEUED: Mapping[str, Any] = {"job": {"queued": "forever"}}

# A post step with less patience than the real one.
QUICK = Limits(post=1.0)

Reach = Callable[[StepProcess, Simulator], object]


def calls(name: str, count: int = 1) -> Reach:
    """Until the platform has got a call."""
    return lambda _, simulator: simulator.wait_for(name, count, timeout=30)


WITHDRAWING = calls("withdraw")


def prints(text: str) -> Reach:
    """Until the step has printed a text."""
    return lambda running, _: running.wait_for_print(text)


@dataclass(frozen=True)
class Point:
    """Where a step is when the signal comes; `scenario` and `inputs` make it get there."""

    scenario: Mapping[str, Any]
    reach: Reach
    then: Reach = WITHDRAWING
    """When a second signal comes: of two that wait together, the lower number would win, whichever came first."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    stdout: Callable[[], AbstractContextManager[int | None]] = nullcontext
    """Where it prints to instead of a file."""


@dataclass(frozen=True)
class Cancelled:
    """A step that was signalled, and what the platform saw of it."""

    numbers: tuple[signal.Signals, ...]
    signalled_at: float
    """Seconds since 1970."""
    took: float
    """Seconds from the first signal to the end of the program."""
    result: Result
    errors: str
    """What it printed to standard error."""
    journal: list[Entry]
    jobs: list[JobState]
    post: str
    """What the post step printed then."""
    asked_by_post: list[str]
    """The calls that the post step made."""

    def calls(self, *names: str) -> list[Entry]:
        """The requests of some calls, without the post step's."""
        return [entry for entry in self.journal if entry.call in names]

    @property
    def end(self) -> Command:
        """The error with which the step ended, or the notice in its place; fails if there is another number of them."""
        (end,) = self.result.log.ends
        return end


def shown(cancelled: Cancelled) -> Cancelled:
    """Print what the step printed, to be seen with a test that fails."""
    print(cancelled.result.printed.decode("utf-8", "replace"), cancelled.errors)  # noqa: T201
    return cancelled


def cancel(folder: Path, point: Point, numbers: Sequence[signal.Signals]) -> Cancelled:
    """Run a step to a point, signal it there, see it to its end, and run the post step as the runner then would."""
    with Simulator(point.scenario) as simulator:
        step = Step(folder, simulator, **point.inputs)
        with point.stdout() as stdout, step.started(stdout=stdout) as running:
            point.reach(running, simulator)
            began = time.monotonic()
            signalled_at = running.signal(numbers[0])
            if numbers[1:]:
                point.then(running, simulator)
                running.signal(*numbers[1:])
            result = running.wait()
        took = time.monotonic() - began
        journal, jobs = simulator.journal, simulator.jobs
        said = run_post(step)
        asked = [str(entry.call) for entry in simulator.journal[len(journal) :]]
        return Cancelled(tuple(numbers), signalled_at, took, result, running.errors, journal, jobs, said, asked)


def run_post(step: Step) -> str:
    """Run the post step in this process; gives what it printed."""
    path = step.workspace.parent / "post"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        environ = {**step.environ, **state_environ(step.files.state)}
        assert post.main(environ, Signals(), time.monotonic(), limits=QUICK, descriptor=descriptor) == 0
    finally:
        os.close(descriptor)
    return path.read_text(encoding="utf-8")


Cases = Mapping[tuple[str, str], "Future[Cancelled]"]


@contextmanager
def running_all(
    request: pytest.FixtureRequest, folders: pytest.TempPathFactory, points: Mapping[str, Point]
) -> Iterator[Cases]:
    """Every case of `point` and `signals` that some test of this run wants, several at a time: a step mostly waits.

    They are begun in the order of `points`: those that take long belong first.
    """
    wanted = {
        (str(item.callspec.params["point"]), str(item.callspec.params["signals"]))
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and "cancelled" in item.fixturenames
    }
    ordered = [(point, name) for point in points for name in SIGNALS if (point, name) in wanted]
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield {
            (point, name): pool.submit(cancel, folders.mktemp(f"{point}-{name}"), points[point], SIGNALS[name])
            for point, name in ordered
        }


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
