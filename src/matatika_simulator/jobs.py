"""Jobs as pure functions of time. Times are simulated seconds since 1970."""

import math
import uuid
from dataclasses import dataclass, field

from matatika_simulator.scenario import DEPLOYMENT, Pipeline, Plan

RUN = "PIPELINE_RUN"
CONFIGURATION = "PIPELINE_CONFIG"


@dataclass
class Job:
    """One job: its plan, and what was done to it."""

    workspace_id: str
    plan: Plan
    created: float
    triggered_by: str
    type: str = DEPLOYMENT
    pipeline: Pipeline | None = None
    deployment: "Job | None" = None
    """The deployment with whose success it comes to be; None: it comes by itself."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    withdrawn: float | None = None
    """When an accepted withdrawal takes effect."""
    deleted: float | None = None

    def exists(self, now: float) -> bool:
        """Whether it was created by then."""
        return self.created <= now and (self.deployment is None or self.deployment.has_succeeded(now))

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

    def status(self, now: float) -> str:
        """What the platform says of it at that time."""
        if self.ended(now) is not None:
            return self.plan.ends if self._planned_end <= self._stops else "STOPPED"
        return "QUEUED" if self.started(now) is None else "RUNNING"

    def has_succeeded(self, now: float) -> bool:
        """Whether it has ended well."""
        return self.status(now) == "COMPLETE"

    def exit_code(self, now: float) -> int | None:
        """The exit code of a job that ended by itself."""
        ended_as_planned = self.ended(now) is not None and self._planned_end <= self._stops
        return self.plan.final_exit_code if ended_as_planned else None

    def log_written(self, now: float) -> int:
        """Bytes of its log that can be read by then. What is due after the end still comes, unless it was stopped."""
        if self.started(now) is None:
            return 0
        return self.plan.writes.written(min(now, self._stops), self._starts)

    def next_event(self, now: float) -> float:
        """When its log grows or it ends, whichever comes first after `now`; infinity if neither will."""
        return min(self.plan.writes.next_write(now, self._starts), self.ends if self.ends > now else math.inf)

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
    """`token`, `webhook`, `deployment`, or `other`: somebody else."""
    created: float
    started: float | None
    ended: float | None
    withdrawn: bool
    deleted: bool
    pipeline: str | None
    """The name of its pipeline."""


def state_of(job: Job, now: float) -> JobState:
    """What is true of a job at that time."""
    return JobState(
        id=job.id,
        workspace_id=job.workspace_id,
        type=job.type,
        status=job.status(now),
        triggered_by=job.triggered_by,
        created=job.created,
        started=job.started(now),
        ended=job.ended(now),
        withdrawn=job.withdrawn is not None,
        deleted=job.deleted is not None,
        pipeline=job.pipeline.name if job.pipeline else None,
    )
