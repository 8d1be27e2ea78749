"""The platform's state: its workspaces, jobs and tokens, and the rules by which they change."""

from collections import deque

from matatika_simulator.clock import Clock
from matatika_simulator.faults import Fault, Faults
from matatika_simulator.jobs import Job, Jobs, Status
from matatika_simulator.policies import OtherJob, Workspace
from matatika_simulator.scenario import Scenario
from matatika_simulator.tokens import Tokens


class Platform:
    """One simulated platform. Everything in it happens on the server's thread."""

    def __init__(self, scenario: Scenario, clock: Clock) -> None:
        self.scenario = scenario
        self.clock = clock
        self.started = clock.now()
        self.workspaces = {workspace.id: workspace for workspace in scenario.workspaces}
        self.jobs = Jobs()
        self.tokens = Tokens(scenario.tokens)
        self._faults = Faults(scenario.faults)
        self._let_in: deque[float] = deque()
        self._first_deployment: float | None = None
        self._awaiting_trigger = [job for job in scenario.other_jobs if job.since == "first-trigger"]
        for job in scenario.other_jobs:
            if job.since == "start":
                self._add_other(job, self.started)

    def time(self) -> float:
        """The time that the platform tells the world, in seconds since 1970."""
        return self.clock.now() + self.scenario.clock_skew

    def choose_fault(self, call: str) -> Fault | None:
        """Count a request of that call; return what is to go wrong with it."""
        if call in ("trigger", "webhook"):
            self._trigger_is_near()
        since = self._first_deployment
        return self._faults.choose(call, None if since is None else self.clock.now() - since)

    def is_over_limit(self) -> bool:
        """Whether the gateway refuses a request that comes now, since it let in too many of late."""
        limit, now = self.scenario.rate_limit, self.clock.now()
        if limit is None:
            return False
        while self._let_in and self._let_in[0] <= now - limit.per:
            self._let_in.popleft()
        if len(self._let_in) >= limit.requests:
            return True
        self._let_in.append(now)
        return False

    def deploy(self, workspace: Workspace, triggered_by: str) -> Job | None:
        """Queue a deployment; None if another one stands in its way."""
        now = self.clock.now()
        if self.scenario.while_another_runs == "refuse" and self.jobs.deploying(workspace.id, now):
            return None
        job = Job(workspace.id, workspace.plan, created=now, triggered_by=triggered_by)
        self.jobs.add(job)
        if self._first_deployment is None:
            self._first_deployment = now
        return job

    def withdraw(self, job: Job) -> int | None:
        """Stop a job; return None, or the status of the refusal."""
        now = self.clock.now()
        status = job.status(now)
        if status.is_final:
            return 409
        if status is Status.QUEUED and self.scenario.withdrawal.queued != "accept":
            return self.scenario.withdrawal.queued
        if job.withdrawn is None:
            job.withdrawn = now if status is Status.QUEUED else now + self.scenario.withdrawal.takes
        self.clock.notify()
        return None

    def delete(self, job: Job) -> None:
        """Delete a job, which stops it."""
        job.deleted = self.clock.now()
        self.clock.notify()

    def _trigger_is_near(self) -> None:
        now = self.clock.now()
        while self._awaiting_trigger:
            self._add_other(self._awaiting_trigger.pop(), now)

    def _add_other(self, other: OtherJob, origin: float) -> None:
        created = origin + other.at
        self.jobs.add(Job(other.workspace_id, other.plan, created=created, triggered_by="other", type=other.type))
