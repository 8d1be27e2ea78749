"""Following jobs for real: all contenders side by side, each in a process and with a platform of its own."""

import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders import ALL, HELD, command, lengths
from matatika_simulator import Simulator

# How many jobs of each length a contender follows, when the first of them is triggered (seconds), and how far apart
# they are. The long ones come first: they leave the machine idle for the others.
COUNTS = {2: 9, 20: 9, 200: 9}
_BEGINNINGS = {200: 0.0, 20: 20.0, 2: 70.0}
_APART = 0.25


@dataclass(frozen=True)
class Run:
    """One job that was followed: seconds from its end to the follower's, and the requests that it took."""

    lag: float
    requests: int
    late_requests_a_minute: float = 0.0
    """Of them, those of the last minutes before the job's end."""


def plan(length: float, lines: int) -> dict[str, Any]:
    """A job that runs for so many seconds, and writes so many lines evenly."""
    return {"runs": length, "log": [{"lines": lines, "over": length, "text": "line {n}", "line-bytes": 100}]}


def follow() -> dict[tuple[str, int], list[Run]]:
    """Follow all jobs; gives the runs of each contender and length."""
    began = time.monotonic()
    with ThreadPoolExecutor(sum(COUNTS.values()) * len(ALL)) as pool:
        runs: dict[tuple[str, int], list[Future[Run]]] = {(name, length): [] for name in ALL for length in COUNTS}
        for length, count in COUNTS.items():
            begin = began + _BEGINNINGS[length]
            for number in range(count):
                for name in ALL:
                    seconds = lengths(name, length, count)[number]
                    runs[name, length].append(pool.submit(_follow, name, seconds, begin))
                    begin += _APART
        return {key: [run.result() for run in of_key] for key, of_key in runs.items()}


def _follow(name: str, length: float, begin: float) -> Run:
    """Let a contender follow a job of so many seconds, from a moment of `time.monotonic` on."""
    time.sleep(max(0.0, begin - time.monotonic()))
    lines = int(length / (0.5 if length < 100 else 2))
    scenario = {"job": plan(length, lines), "logs": {"stream": "held" if name == HELD else "ends"}}
    with tempfile.TemporaryDirectory() as folder, Simulator(scenario) as simulator:
        code = command(name, simulator.api_url, Path(folder)).start().wait()
        ended = time.time()
        (job,) = simulator.jobs
        if code != 0 or job.ended is None:
            raise RuntimeError(f"exit code {code} of {name}; the job is {job.status}")
        return Run(ended - job.ended, len(simulator.journal))
