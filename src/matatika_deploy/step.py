"""One step: what it works with, what it knows so far, and what it hands on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from matatika_deploy.errors import PlatformError
from matatika_deploy.findings import Finding
from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import Console
from matatika_deploy.github.event import push_event
from matatika_deploy.github.inputs import Logs, Settings
from matatika_deploy.github.state import Stage
from matatika_deploy.outcome import StepResult, job_outputs, plan_heading, run_output
from matatika_deploy.platform import links
from matatika_deploy.platform.auth import AccessToken, WebhookSignature, token_request
from matatika_deploy.platform.client import Client, Contact, Platform
from matatika_deploy.platform.followed_job import FollowedJob
from matatika_deploy.platform.http import HttpConfig
from matatika_deploy.platform.jobs import Jobs
from matatika_deploy.platform.log import FollowedLog, LogReader
from matatika_deploy.platform.pipelines import Named, Pipeline, await_ready, list_pipelines, run_target
from matatika_deploy.platform.polling import Pace
from matatika_deploy.platform.reading import Reading
from matatika_deploy.platform.redaction import Redactor
from matatika_deploy.platform.trigger import KnownJobs, Target, Trigger, TriggeredJob, deployment_target, known_jobs
from matatika_deploy.runtime.cancellation import CancelScope, Clock
from matatika_deploy.runtime.limits import SAY_AGAIN_AFTER, Limits
from matatika_deploy.text import lines_of, one_line
from matatika_deploy.version import __version__

if TYPE_CHECKING:
    from matatika_deploy.checks.plan import Plan
    from matatika_deploy.checks.source import Workspace
    from matatika_deploy.github.summary import SummaryPage

T = TypeVar("T")

USER_AGENT = f"matatika-deploy-action/{__version__}"


def connect(
    settings: Settings, environ: Mapping[str, str], commands: WorkflowCommands, limits: Limits, clock: Clock
) -> Platform:
    """Return the platform that the settings name, as whom they name."""
    redactor = Redactor(commands.secrets)

    def add_secret(secret: str) -> None:
        commands.mask(secret)
        redactor.add(secret)

    def trace(method: str, path: str, end: str, seconds: float) -> None:
        commands.debug(f"{method} {path}: {end} after {seconds:.2f} s")

    key = settings.api_key
    request = token_request(settings.auth_url, settings.audience, key.client_id, key.client_secret) if key else None
    return Platform(
        settings.api_url,
        AccessToken(settings.token or "", request, add_secret),
        HttpConfig(environ, USER_AGENT, settings.ca_bundle, limits.http, trace, clock.time),
        redactor,
        limits.retry,
        Pace(longest=settings.poll_interval),
        commands,
        Contact(),
    )


class Step:
    """A deployment step from its settings on."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        commands: WorkflowCommands,
        console: Console,
        scope: CancelScope,
        limits: Limits,
    ) -> None:
        self.settings = settings
        self.environ = environ
        self.commands = commands
        self.scope = scope
        self.limits = limits
        self.workspace_path = f"/workspaces/{settings.workspace_id}"
        self.workspace_url = links.workspace_page(settings.api_url, settings.workspace_id)
        self.client = Client(connect(settings, environ, commands, limits, scope.clock), scope)
        self.trigger = Trigger(self.client, self._target(), limits)
        self.workspace: Workspace | None = None
        """What the platform says of it, once that was read."""
        self.findings: list[Finding] = []
        self.tolerated = 0
        """How many errors of the checks did not keep it from deploying."""
        self.plan: Plan | None = None
        """What the deployment does to pipelines, if that is known."""
        self.directory = settings.workspace_directory or ""
        """The workspace's folder in the repository."""
        self.files: Mapping[str, int] = {}
        """How many files of each kind were checked."""
        self.not_run: list[Named] = []
        """The pipelines that are still to be run."""
        self.deployment: FollowedJob | None = None
        """The deployment, once its job is known."""
        self.runs: list[FollowedJob] = []
        """The runs of pipelines so far."""
        self.following: FollowedJob | None = None
        """The job that is followed now: the deployment, or a pipeline's run."""
        self.waits_for = ""
        """What keeps a pipeline from being run, as a clause."""
        self._console = console
        self._outputs: dict[str, str] = {}

    def announce(self) -> None:
        """Say what is deployed where."""
        action = "Checking, without deploying," if self.settings.dry_run else "Deploying"
        self.commands.info(f"{action} workspace {self.settings.workspace_id} at {self.settings.api_url}")

    def clean(self, text: str) -> str:
        """Return text of the platform as one line without credentials."""
        return one_line(self.client.platform.redactor.clean(text))

    def plan_rows(self) -> list[tuple[str, str, str]]:
        """Return a sign, a name and a description for each pipeline that the deployment changes."""
        rows = self.plan.rows(self.client.platform.redactor.clean) if self.plan else ()
        return [(sign, name, one_line(what)) for sign, name, what in rows]

    def annotate(self, findings: list[Finding]) -> None:
        """Show findings as annotations, and keep them for the summary."""
        self.findings += findings
        self.commands.annotate(findings)

    def read(self, action: str, read: Callable[[Client], T]) -> Reading[T]:
        """Start to read something that the step can do without, for a few seconds, beside whatever else is done."""
        return Reading(self.client, action, read, self.limits.before_trigger)

    def list_jobs(self) -> Reading[KnownJobs]:
        """Start to list the jobs that there are before the next trigger: none of them will be its own."""
        path = self.trigger.target.jobs_path or ""
        return self.read("list the jobs", lambda client: known_jobs(Jobs(client), path))

    def know_jobs(self, listing: Reading[KnownJobs]) -> None:
        """Wait for the list of jobs; without one, a trigger whose answer is lost cannot be told from others' jobs.

        Raises:
            PlatformError, Cancelled, DeadlineExceeded: as `Reading.result_or_error` does.
        """
        known = listing.result_or_error()
        self.trigger.known = None if isinstance(known, PlatformError) else known

    def start_run(self, named: Named) -> FollowedJob:
        """Run a pipeline, once it is ready.

        Raises:
            PipelineFailed: if it cannot become ready.
            PlatformError, Cancelled, DeadlineExceeded: as `Trigger.run` does.
        """
        pace, clock = self.client.platform.pace, self.scope.clock
        began = said_at = clock.monotonic()

        def wait(clause: str) -> None:
            nonlocal said_at
            if clause != self.waits_for or clock.monotonic() - said_at >= SAY_AGAIN_AFTER:
                self.commands.info(f"{clause[0].upper()}{clause[1:]}: waiting for it.")
                said_at = clock.monotonic()
            self.waits_for = clause
            self.scope.sleep(pace.pause(clock.monotonic() - began))

        pipeline = await_ready(named, lambda: list_pipelines(self.client, self.workspace_path), wait, self.directory)
        self.waits_for = ""
        if pipeline.runs_after_deployments and not (named.before and named.before.runs_after_deployments):
            self.notice_second_run(pipeline)
        self.trigger = Trigger(self.client, run_target(self.client, pipeline), self.limits)
        self.know_jobs(self.list_jobs())
        state.save(self.commands, Stage.TRIGGERING)
        return self.adopt(self.trigger.run())

    def notice_second_run(self, pipeline: Pipeline) -> None:
        """Say that a pipeline that is to be run also runs by itself."""
        self.commands.notice(
            f"Pipeline '{pipeline.title}' is triggered by deployments: besides the run that `run-pipelines` asks for, "
            "each deployment runs it."
        )

    def adopt(self, triggered: TriggeredJob) -> FollowedJob:
        """Take a job for this step's: from now on the next steps and the post step know it."""
        followed = self.following = FollowedJob(triggered, self.client, self.trigger.target.pipeline)
        if followed.pipeline:
            self.runs.append(followed)
            self.not_run.pop(0)
        else:
            self.deployment = followed
        self.trigger.pending.clear()
        job = triggered.job
        stage = Stage.RUNNING if triggered.is_ours else Stage.FINISHED
        state.save(self.commands, stage, job_id=job.id, job_status=job.status)
        self.publish()
        self.commands.info(f"{followed.label} is {job.status}: {followed.url}")
        return followed

    def follow(self, followed: FollowedJob) -> None:
        """Follow a job to its end, and its log if that is wanted."""
        missing_until = followed.triggered_at + self.limits.missing_after_trigger
        if self.settings.logs is not Logs.NONE:
            followed.log = self._log(followed, missing_until)
        if followed.log and self.settings.logs is Logs.STREAM:
            followed.log.start()
        for _ in followed.follow(missing_until, lambda: self._console.activity):
            self.publish()

    def publish(self) -> None:
        """Write the outputs that are new or have changed."""
        outputs = {"workspace-url": self.workspace_url}
        if self.workspace and self.workspace.name:
            outputs["workspace-name"] = one_line(self.workspace.name)
        if self.deployment:
            outputs |= job_outputs(self.deployment.job, self.deployment.url)
        if self.plan and "plan" not in self._outputs:
            names = {key: [self.clean(name) for name in listed] for key, listed in self.plan.to_json().items()}
            outputs["plan"] = json.dumps(names)
        if self.settings.run_pipelines and self.deployment:
            outputs["pipeline-jobs"] = json.dumps([run_output(run) for run in self.runs])
        for name, value in outputs.items():
            if self._outputs.get(name) != value:
                self.commands.output(name, value)
        self._outputs |= outputs

    def page(self, result: StepResult) -> SummaryPage:
        """Return what the step's summary shows."""
        from matatika_deploy.github.summary import PlanRow, RunRow, SummaryPage

        job = self.deployment.job if self.deployment else None
        commit, sha = (job.commit_id or "" if job else ""), self.environ.get("GITHUB_SHA", "")
        server, repository = (
            self.environ.get("GITHUB_SERVER_URL", "").rstrip("/"),
            self.environ.get("GITHUB_REPOSITORY"),
        )
        base = f"{server}/{repository}" if server and repository and sha else ""
        # The log that tells why is that of the last job, unless that succeeded.
        last = self.runs[-1] if self.runs else self.deployment
        log = last.log if last and not last.job.has_succeeded else None
        return SummaryPage(
            result.outcome,
            result.title,
            result.message,
            result.hint,
            checked=self._checked() if result.outcome == "checked" else (),
            plan=[PlanRow(*row) for row in self.plan_rows()],
            plan_heading=plan_heading(result, job),
            runs=[RunRow(run.pipeline, run.job.status, run.job.duration, run.job.id) for run in self.runs],
            log_tail=self.shown(log.reader.tail) if log else b"",
            findings=self.findings,
            blob_url=base and f"{base}/blob/{sha}",
            workspace_name=(self.workspace and self.workspace.name) or self.settings.workspace_id,
            workspace_url=self.workspace_url,
            repository=self.workspace.repository.path if self.workspace and self.workspace.repository else "",
            branch=(self.workspace and self.workspace.branch) or "",
            commit_id=commit,
            # Another commit may be one of another repository.
            commit_url=f"{base}/commit/{sha}" if base and commit == sha else "",
            duration=job.duration if job else None,
            job_id=job.id if job else "",
        )

    def shown(self, tail: bytes) -> bytes:
        """Return the end of a log without what it repeats of credentials, in one line or several."""
        return self.client.platform.redactor.clean("\n".join(lines_of(tail))).encode("utf-8", "replace")

    def _checked(self) -> list[str]:
        """Say what a dry run has checked, a sentence each."""
        counts = ", ".join(f"{kind} {count}" for kind, count in self.files.items())
        said = [f"Files: {counts}." if counts else "Files: none."]
        if not self.settings.can_sign_in:
            return [*said, "Not signed in: the workspace was not read."]
        how = "an API key" if self.settings.api_key else "the token"
        said.append(f"Signed in with {how}.")
        if self.workspace:
            repository = (self.workspace.repository and self.workspace.repository.path) or "an unknown repository"
            said.append(
                f"The workspace '{self.workspace.name or self.settings.workspace_id}' is "
                f"{self.workspace.status or 'in an unknown state'}, and deploys {repository}, "
                f"branch {self.workspace.branch or 'unknown'}."
            )
        return said

    def _target(self) -> Target:
        secret = self.settings.deployment_secret
        signature, event = (WebhookSignature(secret, USER_AGENT), push_event(self.environ)) if secret else (None, b"")
        can_sign_in = self.settings.can_sign_in
        return deployment_target(self.client, self.workspace_path, signature, event, can_sign_in=can_sign_in)

    def _log(self, followed: FollowedJob, missing_until: float) -> FollowedLog:
        client = Client(self.client.platform, CancelScope(self.scope.clock))
        log = self._console.open_log()
        reader = LogReader(client, followed.job, log.write, self.scope.wake, missing_until)
        return FollowedLog(reader, self.scope, log.end)
