"""What the main step saves for the post step: how far the deployment has come, should main be killed at any moment.

It travels through `GITHUB_STATE`, and holds no credential. Other steps of the job can set the variables in which it
arrives, so whoever loads it checks the values before using them.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from matatika_deploy.github.commands import WorkflowCommands

_STAGE, _JOB = "deployment", "job"


class Stage(StrEnum):
    """How far main has come."""

    TRIGGERING = "triggering"
    """A trigger may have reached the platform, and its job is unknown."""
    RUNNING = "running"
    """The job is known, and may be running."""
    FINISHED = "finished"
    """The post step has nothing to do."""


class SavedState(NamedTuple):
    """What main has saved; the job's id and status are "" if they are missing or cannot be read."""

    stage: Stage | None
    job_id: str
    job_status: str


def save(commands: WorkflowCommands, stage: Stage, *, job_id: str = "", job_status: str = "") -> None:
    """Save the stage, with the job once it is known; a job that was saved before stays."""
    if job_id:
        commands.save_state(_JOB, json.dumps({"id": job_id, "status": job_status}))
    commands.save_state(_STAGE, stage)


def load(environ: Mapping[str, str]) -> SavedState:
    """Read what main has saved."""
    stage = environ.get(f"STATE_{_STAGE}", "")
    try:
        job = json.loads(environ.get(f"STATE_{_JOB}", ""))
    except (ValueError, RecursionError):
        job = None
    job_id, status = (job.get(key) if isinstance(job, dict) else None for key in ("id", "status"))
    return SavedState(
        Stage(stage) if stage in list(Stage) else None,
        job_id if isinstance(job_id, str) else "",
        status if isinstance(status, str) else "",
    )
