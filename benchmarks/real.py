"""Following jobs for real: all contenders side by side, each in a process and with a workspace of its own."""

import tempfile
import time
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import jobs
from benchmarks.commands import Command
from benchmarks.contenders import ALL, HELD, command, lengths
from benchmarks.jobs import Run
from matatika_simulator import Simulator

# How many jobs of each length a contender follows, when the first of them is triggered (seconds), and how far apart
# they are. The long ones come first: they leave the machine idle for the others.
COUNTS = {2: 9, 20: 9, 200: 9}
_BEGINNINGS = {200: 0.0, 20: 20.0, 2: 70.0}
_APART = 0.25
# From then on (seconds) only the long jobs run, and the machine is idle.
IDLE_AFTER = 115.0


@dataclass(frozen=True)
class _Start:
    """A contender that is to follow a job: for how long it runs, when it begins, and which workspace is its own."""

    name: str
    length: int
    seconds: float
    begin: float
    workspace: int


def follow() -> dict[tuple[str, int], list[Run]]:
    """Follow all jobs; gives the runs of each contender and length."""
    starts = _plan()
    found = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        simulators = {}
        for is_held in (False, True):
            own = [start.seconds for start in starts if (start.name == HELD) == is_held]
            simulators[is_held] = stack.enter_context(Simulator(jobs.scenario(own, is_held=is_held)))
        pool = stack.enter_context(ThreadPoolExecutor(len(starts)))
        began = time.monotonic()
        ends: dict[_Start, Future[float]] = {}
        for number, start in enumerate(starts):
            own_folder = Path(folder, str(number))
            own_folder.mkdir()
            process = command(start.name, simulators[start.name == HELD].api_url, start.workspace, own_folder)
            ends[start] = pool.submit(_until_end, process, began + start.begin)
        moments = {start: end.result() for start, end in ends.items()}
        journals = {is_held: simulator.journal for is_held, simulator in simulators.items()}
        for start, moment in moments.items():
            is_held = start.name == HELD
            run = jobs.evaluate(simulators[is_held], journals[is_held], start.workspace, moment)
            found[start.name, start.length].append(run)
    return dict(found)


def _plan() -> list[_Start]:
    starts: list[_Start] = []
    for length, count in COUNTS.items():
        begin = _BEGINNINGS[length]
        of_each = {name: lengths(name, length, count) for name in ALL}
        for number in range(count):
            for name in ALL:
                workspace = sum((start.name == HELD) == (name == HELD) for start in starts)
                starts.append(_Start(name, length, of_each[name][number], begin, workspace))
                begin += _APART
    return starts


def _until_end(command: Command, begin: float) -> float:
    """Start a process at a moment of `time.monotonic`; give the moment of its end, in seconds since 1970."""
    time.sleep(max(0.0, begin - time.monotonic()))
    code = command.start().wait()
    ended = time.time()
    if code != 0:
        raise RuntimeError(f"exit code {code}: {command.arguments}")
    return ended
