"""One step: what it works with, what it knows so far, and what it hands on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, TypeVar

from matatika_deploy.checks import run as checks
from matatika_deploy.errors import CheckFailed, NotTheApi, PlatformError, RequestRejected
from matatika_deploy.findings import Finding
from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import Console
from matatika_deploy.github.event import push_event
from matatika_deploy.github.inputs import Logs, Settings, Strictness
from matatika_deploy.github.state import Stage
from matatika_deploy.outcome import StepResult, job_outputs
from matatika_deploy.platform import links
from matatika_deploy.platform.auth import AccessToken, WebhookSignature, token_request
from matatika_deploy.platform.client import Client, Contact, Platform
from matatika_deploy.platform.followed_job import FollowedJob
from matatika_deploy.platform.http import HttpConfig
from matatika_deploy.platform.job import WORKSPACE_DEPLOY
from matatika_deploy.platform.jobs import Jobs
from matatika_deploy.platform.log import FollowedLog, LogReader
from matatika_deploy.platform.polling import Pace
from matatika_deploy.platform.redaction import Redactor
from matatika_deploy.platform.responses import Request
from matatika_deploy.platform.trigger import KnownJobs, Target, Trigger, TriggeredJob, known_jobs
from matatika_deploy.runtime.cancellation import CancelScope, Clock, DeadlineExceeded, Task
from matatika_deploy.runtime.limits import Limits
from matatika_deploy.text import lines_of, one_line
from matatika_deploy.version import __version__

if TYPE_CHECKING:
    from matatika_deploy.checks.source import Workspace
    from matatika_deploy.github.summary import SummaryPage

T = TypeVar("T")

USER_AGENT = f"matatika-deploy-action/{__version__}"

_SIGNATURE_HINTS = dict.fromkeys(
    (401, 403),
    "Is `deployment-secret` the one in the workspace's settings? The platform compares signatures made with it.",
)


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
        self.deployment: FollowedJob | None = None
        """The job that this step queued, once it is known."""
        self._console = console
        self._outputs: dict[str, str] = {}

    def announce(self) -> None:
        """Say what is deployed where."""
        action = "Checking, without deploying," if self.settings.dry_run else "Deploying"
        self.commands.info(f"{action} workspace {self.settings.workspace_id} at {self.settings.api_url}")

    def start_reading(self, read: Callable[[Client], T]) -> Task[T]:
        """Start to read something that the step can do without, for a few seconds, beside whatever else is done."""
        scope = CancelScope(self.scope.clock, deadline=self.scope.clock.monotonic() + self.limits.before_trigger)
        client = Client(self.client.platform, scope)
        return self.scope.start(lambda: read(client))

    def finish_reading(self, task: Task[T], what: str) -> T | PlatformError:
        """Wait for the end of a reading: returns what was read, or why it could not be.

        Raises:
            PlatformError: if nothing that the step could still do would succeed: the token, the workspace's id, the
                address or the connection is wrong.
        """
        try:
            return self.scope.join(task, inf)
        except NotTheApi:
            raise
        except RequestRejected as rejected:
            if rejected.status in (None, 401, 404):
                raise
            return rejected
        except PlatformError as error:
            return error
        except DeadlineExceeded:
            self.scope.checkpoint()
            return PlatformError(f"Could not {what} within {self.limits.before_trigger:.0f} s.")

    def prepare(self) -> None:
        """Read what the trigger and the checks need to know, run the checks, and annotate what they find.

        Raises:
            CheckFailed: if a check that is set to `error` found something of that level.
            PlatformError: if the workspace must be read and cannot be, or nothing after it could succeed.
            Cancelled, DeadlineExceeded: as the scope does.
        """
        listing = self._start_listing()
        self.workspace = self._read_workspace()
        self.publish()
        # A task, so that a signal need not wait for ten thousand files.
        checked = self.scope.run(lambda: checks.before_trigger(self.settings, self.workspace, self.environ), inf)
        self.tolerated = checked.tolerated
        self.annotate(checked.findings)
        self._finish_listing(listing)
        if checked.refusing:
            raise CheckFailed(checked.refusal, "Fix what the annotations name, or set the check to `warn`.")

    def annotate(self, findings: list[Finding]) -> None:
        """Show findings as annotations, and keep them for the summary."""
        self.findings += findings
        self.commands.annotate(findings)

    def _read_workspace(self) -> Workspace | None:
        """Read what the checks need to know of the workspace; a warning if that is all that depends on it."""
        settings = self.settings
        wants_directory = settings.preflight is not Strictness.OFF and settings.workspace_directory is None
        is_wanted = settings.dry_run or wants_directory or settings.verify_source is not Strictness.OFF
        if not settings.can_sign_in or not is_wanted:
            return None
        from matatika_deploy.checks.source import Workspace

        def read(client: Client) -> Workspace:
            url = f"{settings.api_url}{self.workspace_path}"
            request = Request("read the workspace", "GET", url, client.platform.token)
            clean = client.platform.redactor.clean
            return client.call(request, lambda response: Workspace.from_json(response.json(), clean))

        if settings.dry_run or settings.verify_source is Strictness.ERROR:
            return read(self.client)
        found = self.finish_reading(self.start_reading(read), "read the workspace")
        if isinstance(found, PlatformError):
            text = f"{found.message} It is not known what it deploys."
            self.commands.warning(text, title="Workspace not checked")
            return None
        return found

    def _start_listing(self) -> Task[KnownJobs] | None:
        """Start to list the workspace's jobs, which tells them from the one that will be triggered."""
        if self.settings.dry_run or not self.settings.can_sign_in:
            return None
        return self.start_reading(lambda client: known_jobs(Jobs(client), f"{self.workspace_path}/jobs"))

    def _finish_listing(self, task: Task[KnownJobs] | None) -> None:
        """Wait for the list of jobs; without one, a trigger whose answer is lost cannot be told from others' jobs.

        Raises:
            PlatformError: see `finish_reading`.
        """
        if task:
            listed = self.finish_reading(task, "list the jobs")
            self.trigger.known = None if isinstance(listed, PlatformError) else listed

    def adopt(self, triggered: TriggeredJob) -> FollowedJob:
        """Take a job for this step's: from now on the next steps and the post step know it."""
        self.deployment = FollowedJob(triggered, self.client)
        self.trigger.pending = None
        job = triggered.job
        stage = Stage.RUNNING if triggered.is_ours else Stage.FINISHED
        state.save(self.commands, stage, job_id=job.id, job_status=job.status)
        self.publish()
        self.commands.info(f"Job {job.id} is {job.status}: {self.deployment.url}")
        return self.deployment

    def follow(self, followed: FollowedJob) -> None:
        """Follow a job to its end, and its log if that is wanted."""
        missing_until = followed.triggered_at + self.limits.missing_after_trigger
        if self.settings.logs is not Logs.NONE:
            followed.log = self._log(followed, missing_until)
        if followed.log and self.settings.logs is Logs.STREAM:
            followed.log.start()
        for _ in followed.follow(missing_until, lambda: self._console.activity):
            self.publish()

    def publish(self, result: StepResult | None = None) -> None:
        """Write the outputs that are new or have changed."""
        outputs = {"workspace-url": self.workspace_url}
        if self.workspace and self.workspace.name:
            outputs["workspace-name"] = one_line(self.workspace.name)
        if self.deployment:
            outputs |= job_outputs(self.deployment.job, self.deployment.url)
        if result:
            outputs["outcome"] = result.outcome
        for name, value in outputs.items():
            if self._outputs.get(name) != value:
                self.commands.output(name, value)
        self._outputs |= outputs

    def page(self, result: StepResult) -> SummaryPage:
        """Return what the step's summary shows."""
        from matatika_deploy.github.summary import SummaryPage

        job = self.deployment.job if self.deployment else None
        commit, sha = (job.commit_id or "" if job else ""), self.environ.get("GITHUB_SHA", "")
        server, repository = self.environ.get("GITHUB_SERVER_URL"), self.environ.get("GITHUB_REPOSITORY")
        base = f"{server}/{repository}" if server and repository and sha else ""
        followed = self.deployment
        return SummaryPage(
            result.outcome,
            result.title,
            result.message,
            result.hint,
            log_tail=self._shown(followed.log.reader.tail) if followed and followed.log else b"",
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

    def _shown(self, tail: bytes) -> bytes:
        """Return the end of a log without what it repeats of credentials; nobody masks the summary."""
        return self.client.platform.redactor.clean("\n".join(lines_of(tail))).encode("utf-8", "replace")

    def _target(self) -> Target:
        settings = self.settings
        url = f"{settings.api_url}{self.workspace_path}/deployments"
        action = "trigger the deployment"
        if settings.deployment_secret:
            signature = WebhookSignature(settings.deployment_secret, USER_AGENT)
            event = push_event(self.environ)
            request = Request(action, "POST", f"{url}/github-webhook", signature, body=event, hints=_SIGNATURE_HINTS)
        else:
            headers = {"Content-Type": "application/json"}
            request = Request(action, "POST", url, self.client.platform.token, headers)
        return Target(
            request,
            f"{self.workspace_path}/jobs" if settings.can_sign_in else None,
            WORKSPACE_DEPLOY,
            "deployment",
            "The platform deploys a workspace once at a time: let the workflow's deployments wait for each other with "
            "`concurrency`.",
        )

    def _log(self, followed: FollowedJob, missing_until: float) -> FollowedLog:
        client = Client(self.client.platform, CancelScope(self.scope.clock))
        reader = LogReader(client, followed.job, self._console.log, self.scope.wake, missing_until)
        return FollowedLog(reader, self.scope, self._console.end_log)
