"""The simulated jobs that contenders follow: one workspace for each, so that every request is known for whose it is."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matatika_simulator import Entry, Simulator

LATE_MINUTES = 20

# One line of log in so many seconds, of jobs of that length or more.
_LINE_EVERY = {0: 0.5, 100: 2.0, 1000: 10.0}


@dataclass(frozen=True)
class Run:
    """One job that was followed: seconds from its end to the follower's, and the requests that it took."""

    lag: float
    requests: int
    late_requests: int = 0
    """Of them, those of the last `LATE_MINUTES` before the job's end."""


def line_every(length: float) -> float:
    """Seconds between two lines of a job's log."""
    return next(pause for least, pause in reversed(_LINE_EVERY.items()) if length >= least)


def plan(length: float) -> dict[str, Any]:
    """A job that runs for so many seconds and writes a line now and then."""
    count = int(length / line_every(length))
    return {"runs": length, "log": [{"lines": count, "over": length, "text": "line {n}", "line-bytes": 100}]}


def workspace_id(number: int) -> str:
    """The id of a workspace."""
    return str(uuid.UUID(int=number + 1))


def scenario(lengths: Sequence[float], *, is_held: bool) -> Mapping[str, Any]:
    """A platform with a workspace for each job: `workspace_id(0)` deploys the first, and so on."""
    return {
        "job": plan(lengths[0]),
        "workspace": {"id": workspace_id(0)},
        "other-workspaces": [
            {"id": workspace_id(number), "job": plan(length)} for number, length in enumerate(lengths) if number
        ],
        "logs": {"stream": "held" if is_held else "ends"},
    }


def evaluate(simulator: Simulator, journal: Sequence[Entry], number: int, ended: float) -> Run:
    """What it took to follow a workspace's one job, by a follower that ended at that moment."""
    (job,) = [job for job in simulator.jobs if job.workspace_id == workspace_id(number)]
    if job.status != "COMPLETE" or job.ended is None:
        raise RuntimeError(f"job {job.id} is {job.status}")
    requests = [entry for entry in journal if job.id in entry.path or job.workspace_id in entry.path]
    late = [entry for entry in requests if job.ended - 60 * LATE_MINUTES <= entry.time < job.ended]
    return Run(ended - job.ended, len(requests), len(late))
