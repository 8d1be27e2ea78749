"""Jobs as pure functions of time. Times are simulated seconds since 1970, durations seconds."""

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from matatika_simulator import constants
from matatika_simulator.log import Log

DEPLOYMENT: Final = "WORKSPACE_DEPLOY"


class Status(StrEnum):
    """What the platform says of a job; the last three are final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"
    STOPPED = "STOPPED"

    @property
    def is_final(self) -> bool:
        """Whether nothing more can become of the job."""
        return self not in (Status.QUEUED, Status.RUNNING)


@dataclass(frozen=True)
class Plan:
    """What a job will do if nobody stops it. `queued` and `runs` may be infinite."""

    queued: float = 0.0
    runs: float = 1.0
    ends: Status = Status.COMPLETE
    exit_code: int | None = 0
    commit_id: str | None = constants.COMMIT_ID
    log: Log = field(default_factory=Log)
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the answer that are given as they stand here, whatever the job does."""


@dataclass
class Job:
    """One job: its plan, and what was done to it."""

    workspace_id: str
    plan: Plan
    created: float
    triggered_by: str
    type: str = DEPLOYMENT
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    withdrawn: float | None = None
    """When an accepted withdrawal takes effect."""
    deleted: float | None = None

    def started(self, now: float) -> float | None:
        """When it began to run, or None if it has not."""
        return self._starts if self._starts <= now and self._starts < self._stops else None

    def ended(self, now: float) -> float | None:
        """When it ended, or None if it has not."""
        return self.ends if self.ends <= now else None

    @property
    def ends(self) -> float:
        """When it will end as things stand."""
        return min(self._planned_end, self._stops)

    def status(self, now: float) -> Status:
        """What the platform says of it at that time."""
        if self.ended(now) is not None:
            return self.plan.ends if self._planned_end <= self._stops else Status.STOPPED
        return Status.QUEUED if self.started(now) is None else Status.RUNNING

    def exit_code(self, now: float) -> int | None:
        """The exit code of a job that ended by itself."""
        ended_as_planned = self.ended(now) is not None and self._planned_end <= self._stops
        return self.plan.exit_code if ended_as_planned else None

    def log_written(self, now: float) -> int:
        """Bytes of its log that can be read by then. What is due after the end still comes, unless it was stopped."""
        if self.started(now) is None:
            return 0
        return self.plan.log.written(min(now, self._stops), self._starts)

    def next_event(self, now: float) -> float:
        """When its log grows or it ends, whichever comes first after `now`; infinity if neither will."""
        next_write = self.plan.log.next_write(now, self._starts)
        return min(next_write, self.ends if self.ends > now else math.inf)

    @property
    def _stops(self) -> float:
        """When someone stops it, infinity if nobody does."""
        return min((time for time in (self.withdrawn, self.deleted) if time is not None), default=math.inf)

    @property
    def _starts(self) -> float:
        return self.created + self.plan.queued

    @property
    def _planned_end(self) -> float:
        return self._starts + self.plan.runs


@dataclass(frozen=True)
class JobState:
    """What is true of a job at a time, whatever the API says of it. Times are simulated seconds since 1970."""

    id: str
    workspace_id: str
    type: str
    status: str
    triggered_by: str
    """`token`, `webhook`, or `other`: somebody else."""
    created: float
    started: float | None
    ended: float | None
    withdrawn: bool
    deleted: bool


class Jobs:
    """Every job of every workspace, in the order in which they were added."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def add(self, job: Job) -> None:
        """Make a job known."""
        self._jobs.append(job)

    def states(self, now: float) -> list[JobState]:
        """Every job that there ever was by then, deleted ones included."""
        return [_state(job, now) for job in list(self._jobs) if job.created <= now]

    def find(self, job_id: str, now: float) -> Job | None:
        """The job of that id, unless it is deleted."""
        return next((job for job in self._visible(now) if job.id == job_id), None)

    def of_workspace(self, workspace_id: str, now: float) -> list[Job]:
        """The jobs of a workspace, without deleted ones."""
        return [job for job in self._visible(now) if job.workspace_id == workspace_id]

    def deploying(self, workspace_id: str, now: float) -> Job | None:
        """The first deployment of a workspace that is queued or running."""
        jobs = self.of_workspace(workspace_id, now)
        return next((job for job in jobs if job.type == DEPLOYMENT and not job.status(now).is_final), None)

    def _visible(self, now: float) -> list[Job]:
        return [job for job in self._jobs if job.created <= now and job.deleted is None]


def _state(job: Job, now: float) -> JobState:
    return JobState(
        id=job.id,
        workspace_id=job.workspace_id,
        type=job.type,
        status=job.status(now).value,
        triggered_by=job.triggered_by,
        created=job.created,
        started=job.started(now),
        ended=job.ended(now),
        withdrawn=job.withdrawn is not None,
        deleted=job.deleted is not None,
    )
