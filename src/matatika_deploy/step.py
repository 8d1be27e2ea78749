"""One step: what it works with, what it knows so far, and what it says about it."""

from collections.abc import Mapping
from typing import Any

from matatika_deploy.connection import USER_AGENT, connect, new_http, push_event, workspace_url
from matatika_deploy.findings import Finding
from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import Console
from matatika_deploy.github.inputs import Logs, Settings
from matatika_deploy.github.state import Stage
from matatika_deploy.outcome import Outcome, job_outputs
from matatika_deploy.platform import links
from matatika_deploy.platform.auth import WebhookSignature
from matatika_deploy.platform.job import Job
from matatika_deploy.platform.log import LogReader
from matatika_deploy.platform.pace import Pace
from matatika_deploy.platform.polling import LogFollower, watch
from matatika_deploy.platform.trigger import Deployment, Deployments
from matatika_deploy.runtime.cancellation import Waiter
from matatika_deploy.runtime.limits import Tuning
from matatika_deploy.text import format_duration


class Step:
    """A deployment step from its settings on.

    `deployment` is what it queued, once that is known, and `job` the same job as it was last seen.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        workflow: WorkflowCommands,
        console: Console,
        waiter: Waiter,
        tuning: Tuning,
    ) -> None:
        self.settings = settings
        self.environ = environ
        self.workflow = workflow
        self.waiter = waiter
        self.tuning = tuning
        self._pace = Pace(longest=settings.poll_interval)
        self.client = connect(settings, environ, workflow=workflow, waiter=waiter, tuning=tuning, pace=self._pace)
        self.deployments = self._deployments()
        self.deployment: Deployment | None = None
        self.findings: list[Finding] = []
        self.job: Job | None = None
        self.log: LogFollower | None = None
        self.workspace_url = workspace_url(settings)
        self._console = console
        self._outputs: dict[str, str] = {}
        self._triggered_at = 0.0
        self._status_since = 0.0

    @property
    def job_url(self) -> str | None:
        """The job's own link."""
        return self.address(self.job) if self.job else None

    def address(self, job: Job) -> str:
        """Give a job's own link."""
        return links.job_address(self.settings.api_url, job)

    def announce(self) -> None:
        """Say what is deployed where."""
        deed = "Checking, without deploying," if self.settings.dry_run else "Deploying"
        self.workflow.info(f"{deed} workspace {self.settings.workspace_id} at {self.settings.api_url}")

    def adopt(self, deployment: Deployment) -> None:
        """Take a deployment for this step's: from now on its job is known to the next steps, and to the post step."""
        self.deployment, self.job = deployment, deployment.job
        self._triggered_at = self._status_since = self.waiter.clock.monotonic()
        stage = Stage.RUNNING if deployment.is_ours else Stage.FINISHED
        state.save(self.workflow, stage, job_id=self.job.id, job_status=self.job.status)
        self.publish()
        self.workflow.info(f"Job {self.job.id} is {self.job.status}: {self.job_url}")

    def saw(self, job: Job) -> None:
        """Take note of the job's present state, and report it if its status has changed."""
        before, self.job = self.job, job
        if self.log and not job.is_final:
            self.log.job_was_seen()
        self.publish()
        if before and before.status != job.status:
            now = self.waiter.clock.monotonic()
            spent = format_duration(now - self._status_since)
            self.workflow.info(f"Job {job.id} is {job.status}, after {spent} of {before.status}.")
            self._status_since = now

    def follow(self, deployment: Deployment) -> Job:
        """Watch the job, and its log if that is wanted, until the job is over."""
        missing_until = self._triggered_at + self.tuning.missing_after_trigger
        if self.settings.logs is not Logs.NONE:
            self.log = self._log_follower(deployment.job, missing_until)
        if self.log and self.settings.logs is Logs.STREAM:
            self.log.start()
        return watch(
            self.client,
            self.settings.api_url,
            deployment.job,
            pace=self._pace,
            triggered_at=self._triggered_at,
            missing_until=missing_until,
            saw=self.saw,
            still=self._still,
            activity=lambda: self._console.activity,
        )

    def publish(self, outcome: Outcome | None = None) -> None:
        """Write the outputs that are new or have changed."""
        outputs = {"workspace-url": self.workspace_url}
        if self.job and self.job_url:
            outputs |= job_outputs(self.job, self.job_url)
        if outcome:
            outputs["outcome"] = outcome.result
        for name, value in outputs.items():
            if self._outputs.get(name) != value:
                self.workflow.output(name, value)
        self._outputs |= outputs

    def facts(self) -> dict[str, Any]:
        """Give what the step's summary shows besides the outcome, as fields of its page."""
        server, repository = self.environ.get("GITHUB_SERVER_URL"), self.environ.get("GITHUB_REPOSITORY")
        sha = self.environ.get("GITHUB_SHA")
        base = f"{server}/{repository}" if server and repository and sha else ""
        facts: dict[str, Any] = {
            "workspace_name": self.settings.workspace_id,
            "workspace_url": self.workspace_url,
            "findings": tuple(self.findings),
            "blob_url": base and f"{base}/blob/{sha}",
            "log_tail": self.log.tail if self.log else b"",
        }
        if job := self.job:
            commit = job.commit_id or ""
            facts |= {"job_id": job.id, "duration": job.duration, "commit_id": commit}
            # Another commit may be one of another repository.
            facts["commit_url"] = f"{base}/commit/{sha}" if base and commit == sha else ""
        return facts

    def _still(self) -> None:
        if self.job:
            spent = format_duration(self.waiter.clock.monotonic() - self._status_since)
            self.workflow.info(f"Job {self.job.id} is still {self.job.status}, since {spent}.")

    def _deployments(self) -> Deployments:
        settings = self.settings
        secret = settings.deployment_secret
        return Deployments(
            self.client,
            settings.api_url,
            settings.workspace_id,
            signature=WebhookSignature(secret, USER_AGENT) if secret else None,
            event=push_event(self.environ) if secret else b"",
            can_list=settings.can_sign_in,
            pace=self._pace,
            say=self.workflow.info,
            warn=self.workflow.warning,
        )

    def _log_follower(self, job: Job, missing_until: float) -> LogFollower:
        api_url = self.settings.api_url
        reader = LogReader(
            new_http(self.settings, self.environ, self.workflow, self.tuning, self.waiter.clock),
            self.client.access,
            address=lambda sequence: links.log_address(api_url, job, sequence),
            hand_on=self._console.log,
            pace=self._pace,
            tell_news=self.waiter.tell_news,
            warn=self.workflow.warning,
            clock=self.waiter.clock,
            policy=self.tuning.retry,
            missing_until=missing_until,
        )
        return LogFollower(reader, self._console, self.client)
