"""The platform's state: its workspaces, pipelines, jobs and tokens, and the rules by which they change."""

from collections import Counter, deque
from typing import Any

from matatika_simulator.clock import Clock
from matatika_simulator.jobs import CONFIGURATION, RUN, Job
from matatika_simulator.scenario import DEPLOYMENT, Fault, OtherJob, Pipeline, Plan, RateLimit, Scenario, Workspace
from matatika_simulator.tokens import Tokens


class Platform:
    """One simulated platform. Everything in it happens on the server's thread."""

    def __init__(self, scenario: Scenario, clock: Clock) -> None:
        self.scenario = scenario
        self.clock = clock
        self.started = clock.now()
        self.workspaces = {it.id: it for it in (scenario.workspace, *scenario.other_workspaces)}
        self.tokens = Tokens(scenario.tokens)
        self._plans = {it.id: it.job for it in scenario.other_workspaces if it.job}
        self._pipelines = {it.id: it for it in scenario.pipelines}
        self._jobs: list[Job] = []
        self._requests: Counter[str] = Counter()
        self._let_in: deque[float] = deque()
        self._first_deployment: float | None = None
        self._awaiting_trigger = [job for job in scenario.other_jobs if job.since == "first-trigger"]
        for job in scenario.other_jobs:
            if job.since == "start":
                self._add_other(job, self.started)

    def time(self) -> float:
        """What the platform itself takes for the time: its clock may be ahead, or behind."""
        return self.clock.now() + self.scenario.clock_skew

    def choose_fault(self, call: str) -> Fault | None:
        """Count a request of that call; return what is to go wrong with it: the first fault that means it."""
        now = self.clock.now()
        if call in ("trigger", "webhook"):
            while self._awaiting_trigger:
                self._add_other(self._awaiting_trigger.pop(), now)
        self._requests[call] += 1
        number = self._requests[call]
        elapsed = None if self._first_deployment is None else now - self._first_deployment
        faults = (it for it in self.scenario.faults if call in it.calls and it.requests.matches(number, elapsed))
        return next(faults, None)

    def is_over(self, limit: RateLimit) -> bool:
        """Whether the gateway refuses a request that comes now, since it let in too many of late."""
        now = self.clock.now()
        while self._let_in and self._let_in[0] <= now - limit.per:
            self._let_in.popleft()
        if len(self._let_in) >= limit.requests:
            return True
        self._let_in.append(now)
        return False

    def jobs_so_far(self) -> list[Job]:
        """Every job that there ever was by now, deleted ones included, in the order in which they were added."""
        now = self.clock.now()
        return [job for job in list(self._jobs) if job.exists(now)]

    def jobs(self, *, workspace_id: str | None = None, pipeline: Pipeline | None = None) -> list[Job]:
        """The jobs that are not deleted: of a workspace, of a pipeline, or all."""
        found = [job for job in self.jobs_so_far() if job.deleted is None and workspace_id in (None, job.workspace_id)]
        return found if pipeline is None else [job for job in found if job.pipeline is pipeline]

    def deploy(self, workspace: Workspace, triggered_by: str) -> Job | None:
        """Queue a deployment; None if another one stands in its way."""
        now = self.clock.now()
        if self.scenario.deployments.while_another_runs == "refuse" and any(
            job.type == DEPLOYMENT and job.ended(now) is None for job in self.jobs(workspace_id=workspace.id)
        ):
            return None
        job = Job(workspace.id, self._plans.get(workspace.id, self.scenario.job), now, triggered_by)
        self._jobs.append(job)
        if workspace is self.scenario.workspace:
            self._add_consequences(job)
        if self._first_deployment is None:
            self._first_deployment = now
        return job

    def pipelines(self) -> list[Pipeline]:
        """The pipelines of the scenario's first workspace that there are now."""
        absent = "delete" if self._is_deployed() else "create"
        return [pipeline for pipeline in self._pipelines.values() if pipeline.on_deploy != absent]

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        """The pipeline of that id, if there is one now."""
        return next((pipeline for pipeline in self.pipelines() if pipeline.id == pipeline_id), None)

    def pipeline_fields(self, pipeline: Pipeline) -> dict[str, Any]:
        """What is different of a pipeline since a deployment, its status included."""
        now = self.clock.now()
        configuration = next((job for job in self.jobs(pipeline=pipeline) if job.type == CONFIGURATION), None)
        if configuration is None:
            return {"status": pipeline.status}
        if configuration.ended(now) is None:
            return {**pipeline.changes, "status": "PROVISIONING"}
        return {**pipeline.changes, "status": "READY" if configuration.has_succeeded(now) else "FAILED"}

    def run(self, pipeline: Pipeline) -> Job | str:
        """Queue a run of a pipeline; gives why not, if it is not ready or runs already."""
        now = self.clock.now()
        status = self.pipeline_fields(pipeline)["status"]
        if status != "READY":
            return f"Pipeline is {status}"
        if any(job.type == RUN and job.ended(now) is None for job in self.jobs(pipeline=pipeline)):
            return "Pipeline is already running"
        job = Job(self.scenario.workspace.id, pipeline.job, now, "token", RUN, pipeline)
        self._jobs.append(job)
        return job

    def withdraw(self, job: Job) -> bool:
        """Stop a job; says whether that is accepted."""
        now, policy = self.clock.now(), self.scenario.withdrawal
        is_queued = job.status(now) == "QUEUED"
        if job.ended(now) is not None or (is_queued and policy.queued != "accept"):
            return False
        if job.withdrawn is None:
            job.withdrawn = now if is_queued else now + policy.takes
        self.clock.notify()
        return True

    def delete(self, job: Job) -> None:
        """Delete a job, which stops it."""
        job.deleted = self.clock.now()
        self.clock.notify()

    def _is_deployed(self) -> bool:
        """Whether a deployment that was triggered here has succeeded."""
        own = [job for job in self.jobs_so_far() if job.type == DEPLOYMENT and job.triggered_by != "other"]
        first = self.scenario.workspace.id
        return any(job.workspace_id == first and job.has_succeeded(self.clock.now()) for job in own)

    def _add_consequences(self, deployment: Job) -> None:
        """The jobs that come to be when a deployment succeeds."""

        def add(pipeline: Pipeline, job_type: str, plan: Plan) -> None:
            workspace_id, created = deployment.workspace_id, deployment.ends
            self._jobs.append(Job(workspace_id, plan, created, "deployment", job_type, pipeline, deployment))

        is_first = not self._is_deployed()
        for pipeline in self._pipelines.values():
            if is_first and pipeline.on_deploy in ("create", "change"):
                add(pipeline, CONFIGURATION, pipeline.configuration)
            if pipeline.on_deploy != "delete" and "deploy" in map(str.lower, pipeline.triggered_by):
                add(pipeline, RUN, pipeline.job)

    def _add_other(self, other: OtherJob, origin: float) -> None:
        pipeline = next((it for it in self._pipelines.values() if it.name == other.pipeline), None)
        workspace_id = other.workspace_id or self.scenario.workspace.id
        self._jobs.append(Job(workspace_id, other, origin + other.at, "other", other.type, pipeline))
