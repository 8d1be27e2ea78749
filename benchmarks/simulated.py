"""Following long jobs in this process, on a clock that leaves out the waits."""

import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

from benchmarks import commands, jobs
from benchmarks.clock import SkippingClock
from benchmarks.jobs import Run
from matatika_deploy.main import main
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import Simulator

# So many at once: each waits most of the time, for the other side to have nothing more to do.
_AT_ONCE = 4


def follow(lengths: Iterable[float], *, is_held: bool = False, leap: float = 0.0) -> list[Run]:
    """Follow jobs of so many seconds each, their logs held open or not.

    `leap` seconds after the first look at a job are left out altogether, as if it had not been looked at meanwhile.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda length: _follow(length, is_held, leap), lengths))


def _follow(length: float, is_held: bool, leap: float) -> Run:
    clock = SkippingClock(is_held)
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(jobs.scenario([length], is_held=is_held), clock=clock.time) as simulator,
        ThreadPoolExecutor(1) as aside,
    ):
        aside.submit(simulator.wait_for, "job").add_done_callback(lambda _: clock.leap(leap))
        clock.next_event = lambda now: _next_event(simulator, length, now)
        inputs = {"workspace-id": jobs.workspace_id(0), "timeout": "2h"}
        environ = commands.action_environ(Path(folder), simulator.api_url, inputs)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            code = main(environ, Signals(), clock.monotonic(), clock=clock, descriptor=nowhere)
            ended = clock.time()
        finally:
            os.close(nowhere)
        if code != 0:
            raise RuntimeError(f"exit code {code}")
        return jobs.evaluate(simulator, simulator.journal, 0, ended)


def _next_event(simulator: Simulator, length: float, now: float) -> float:
    """When the job next writes a line, or ends."""
    if not simulator.jobs:
        return inf
    began = simulator.jobs[0].created
    pause = length / int(length / jobs.line_every(length))
    return min(began + length if now < began + length else inf, began + ((now - began) // pause + 1) * pause)
