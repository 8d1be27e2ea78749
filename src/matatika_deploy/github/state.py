"""What main leaves to the post step: where the deployment stands, should main be killed at any moment.

It travels through `GITHUB_STATE`, and holds no credential.
"""

import json
from collections.abc import Mapping
from enum import StrEnum

from matatika_deploy.github.commands import Workflow
from matatika_deploy.platform.job import Job, Unreadable, parse_job

_STAGE, _JOB = "deployment", "job"
# The links that ending the job takes. Others could be any number, and a variable may not grow without bound.
_RELATIONS = ("self", "withdraw job", "delete job")


class Stage(StrEnum):
    """How far main has come."""

    TRIGGERING = "triggering"
    """A trigger is under way: a deployment may be queued or not."""
    RUNNING = "running"
    """The job is known, and main is responsible for it, or could not withdraw it."""
    FINISHED = "finished"
    """There is nothing left to do for the post step."""


def save(workflow: Workflow, stage: Stage, job: Job | None = None) -> None:
    """Hand the stage, and the job once it is known, to the post step."""
    if job:
        links = {relation: {"href": job.links[relation]} for relation in _RELATIONS if relation in job.links}
        workflow.save_state(_JOB, json.dumps({"id": job.id, "status": job.status, "_links": links}))
    workflow.save_state(_STAGE, stage)


def load(environ: Mapping[str, str]) -> tuple[Stage | None, Job | None]:
    """Read what main has left; None for what it has not."""
    stage = environ.get(f"STATE_{_STAGE}", "")
    try:
        job = parse_job(json.loads(environ.get(f"STATE_{_JOB}", "")))
    except (ValueError, RecursionError, Unreadable):
        job = None
    return (Stage(stage) if stage in list(Stage) else None), job
