"""Trigger once: one job for one step, whatever happens to the answer.

A trigger cannot simply be repeated, since it may have been carried out although its answer was lost. If an answer
leaves that open, the list of jobs is compared with the list from before the trigger: a job that is new is the one that
was asked for. Only if there is none is the request repeated.
"""

from typing import NamedTuple

from matatika_deploy.errors import DeploymentUnknown, PlatformError, RequestRejected
from matatika_deploy.platform.auth import WebhookSignature
from matatika_deploy.platform.client import Client, Exchange, web_page_error
from matatika_deploy.platform.job import WORKSPACE_DEPLOY, Job
from matatika_deploy.platform.jobs import JobPage, Jobs
from matatika_deploy.platform.polling import poll
from matatika_deploy.platform.responses import InvalidResponse, Kind, Request, Response, Verdict, classify
from matatika_deploy.platform.retry import TransientError
from matatika_deploy.runtime.cancellation import DeadlineExceeded, Task
from matatika_deploy.runtime.limits import Limits

# A job that was created so long before the trigger, by the platform's clock, was not triggered by it (seconds).
_MARGIN = 60.0

_SIGNATURE_HINTS = dict.fromkeys(
    (401, 403),
    "Is `deployment-secret` the one in the workspace's settings? The platform compares signatures made with it.",
)


class Target(NamedTuple):
    """What is triggered: the request, the list in which its job shows, and what people call it.

    `jobs_path` is a path below the API's root, or None if there is no token to read it with. `pipeline` is the name of
    the pipeline that is to be run, whose own list that is; "" for a deployment.
    """

    request: Request
    jobs_path: str | None
    job_type: str
    pipeline: str = ""

    @property
    def noun(self) -> str:
        """What is queued, for people."""
        return f"run of pipeline '{self.pipeline}'" if self.pipeline else "deployment"

    @property
    def call(self) -> str:
        """The request, for people."""
        return f"the request to run pipeline '{self.pipeline}'" if self.pipeline else "the trigger"

    @property
    def risk(self) -> str:
        """What may come of a request that is repeated, as a sentence."""
        return "The pipeline may run twice." if self.pipeline else "Two deployments of the same commit may run."

    def may_be_in_the_way(self, job: Job) -> bool:
        """Whether a job that is not over may be why the request is refused.

        That is another deployment; of a pipeline, any job, since its configuration is one as well.
        """
        return not job.is_over and bool(self.pipeline or job.type == self.job_type)


def deployment_target(
    client: Client, workspace_path: str, signature: WebhookSignature | None, event: bytes, *, can_sign_in: bool
) -> Target:
    """Return what deploys a workspace: with a `signature`, its webhook, which gets `event`.

    `workspace_path` is the workspace's path below the API's root.
    """
    action, url = "trigger the deployment", f"{client.platform.api_url}{workspace_path}/deployments"
    if signature:
        request = Request(action, "POST", f"{url}/github-webhook", signature, body=event, hints=_SIGNATURE_HINTS)
    else:
        headers = {"Content-Type": "application/json"}
        request = Request(action, "POST", url, client.platform.token, headers)
    return Target(request, f"{workspace_path}/jobs" if can_sign_in else None, WORKSPACE_DEPLOY)


class TriggeredJob(NamedTuple):
    """The job that a trigger queued. One that may be somebody else's is not `is_ours`, and is never withdrawn."""

    job: Job
    is_ours: bool = True


class PendingTrigger(NamedTuple):
    """A request on its way, or (`task` is None) one whose answer left open what it did.

    `sent_at` is in seconds since 1970 by this machine's clock.
    """

    sent_at: float
    task: Task[Response] | None


class KnownJobs(NamedTuple):
    """The jobs of a list before the trigger: none of them is ours.

    `since` is when the oldest of them was created, if older ones were left out, in seconds since 1970.
    """

    ids: frozenset[str]
    since: float | None = None


class Trigger:
    """Triggers one job, and finds it again if the answer was lost."""

    def __init__(self, client: Client, target: Target, limits: Limits) -> None:
        self._client = client
        self._jobs = Jobs(client)
        self._request = target.request
        self._limits = limits
        self._may_renew = True
        self._unanswered_since: float | None = None
        self._clock_ahead: float | None = None
        self.known: KnownJobs | None = None
        """The jobs that were listed before the trigger; None if they could not be."""
        self.pending: PendingTrigger | None = None
        """A request that may have queued a job, until whoever follows that job clears it; None if there is none."""
        self.target = target
        self.waits_for = ""
        """What is in the way while a conflict lasts, as a clause."""

    def run(self) -> TriggeredJob:
        """Queue a job, or find the one that was queued.

        Raises:
            DeploymentUnknown: if a job may have been queued, and cannot be told.
            PlatformError: if there is none.
            Cancelled, DeadlineExceeded: as the scope does; `resolve_pending` tells what became of the request.
        """
        unexplained_since: float | None = None
        while True:
            result = self._client.retry(self._attempt, self._request)
            if isinstance(result, TriggeredJob):
                return result
            other = self._running_job()
            if other:
                self._wait_for(other, result)
                unexplained_since = None
            else:
                unexplained_since = unexplained_since or self._now()
                self._wait_unexplained(result, unexplained_since)
            self._list_again(other)

    def resolve_pending(self, *, answer_within: float, listings: int) -> TriggeredJob | None:
        """After an interruption, find out what became of the request that was on its way.

        Waits `answer_within` seconds for its answer; if that does not tell, lists the jobs up to `listings` times.
        """
        if self.pending is None:
            return None
        try:
            if self.pending.task:
                exchange = self._client.finish(self.pending.task, self._request, within=answer_within)
                self.pending = self._pending_after(exchange.verdict, self.pending.sent_at)
                result = self._judge(exchange)
                return result if isinstance(result, TriggeredJob) else None
        except (TransientError, PlatformError, DeadlineExceeded):
            # `pending` says whether the list has to tell.
            pass
        if self.pending is None or self.target.jobs_path is None:
            return None
        try:
            return self._find(listings, self._limits.listing_pause)
        except (PlatformError, DeadlineExceeded):
            return None

    def _attempt(self) -> TriggeredJob | Verdict:
        """Send the request: returns the job, or the verdict of a conflict."""
        try:
            result = self._judge(self._send())
        except TransientError as error:
            if self.pending is None:
                raise
            is_first = self._unanswered_since is None
            self._unanswered_since = self._unanswered_since or self.pending.sent_at
            lost = f"The answer to {self.target.call} was lost ({error.verdict})"
            if self.target.jobs_path is None:
                raise DeploymentUnknown(f"{lost}.") from None
            self._client.platform.reporter.info(f"{lost}: looking for its job.")
            listings = 1 + int(self._limits.unlisted / self._limits.listing_pause)
            found = self._find(listings, self._limits.unlisted / (listings - 1))
            if found:
                return found
            self.pending = None
            if is_first:
                self._client.platform.reporter.warning(
                    f"{lost}, and no list shows its job: the request is sent again. {self.target.risk}"
                )
            raise
        if isinstance(result, Verdict) and self._unanswered_since is not None:
            # What is in the way may be what the request without an answer has queued.
            return self._find(1, 0.0) or result
        return result

    def _send(self) -> Exchange:
        """Send the request; once more without the body if that is too large."""
        exchange = self._perform()
        if exchange.verdict.status == 413 and self._request.body not in (None, b"{}"):
            self._request = self._request._replace(body=b"{}")
            exchange = self._perform()
        return exchange

    def _perform(self) -> Exchange:
        exchange = self._client.perform(self._request, self._exchange, may_renew=self._may_renew)
        self._may_renew = self._may_renew and not exchange.has_renewed
        return exchange

    def _exchange(self, request: Request) -> Exchange:
        # A kept connection that the platform has closed would look like a lost answer.
        self._client.http.disconnect()
        sent_at = self._client.scope.clock.time()
        task = self._client.start(request)
        self.pending = PendingTrigger(sent_at, task)
        exchange = self._client.finish(task, request)
        self.pending = self._pending_after(exchange.verdict, sent_at)
        return exchange

    def _pending_after(self, verdict: Verdict, sent_at: float) -> PendingTrigger | None:
        """What is pending once there is an answer: nothing, unless it may name a job that is not known yet."""
        is_open = verdict.kind in (Kind.OK, Kind.AMBIGUOUS)
        # A conflict may be with a job that an earlier run has queued, which nobody can look up without a list.
        is_unexplained = verdict.kind is Kind.CONFLICT and self.target.jobs_path is None
        return PendingTrigger(sent_at, None) if is_open or is_unexplained else None

    def _judge(self, exchange: Exchange) -> TriggeredJob | Verdict:
        """Say what the end of the request means: the job, or a conflict.

        Raises:
            TransientError: if it is open (then `pending` is set), or if nothing was queued for now.
            PlatformError: if nothing was queued, and nothing would be.
        """
        verdict = exchange.verdict
        if exchange.response and verdict.kind is Kind.OK:
            try:
                job = self._jobs.parse(exchange.response.json())
            except InvalidResponse as error:
                raise TransientError(classify(error)) from None
            self._client.platform.contact.answered.add("api-url")
            return TriggeredJob(job)
        if verdict.may_be_web_app and "api-url" not in self._client.platform.contact.answered:
            self.pending = None
            if self.target.jobs_path is None:
                raise web_page_error(self._request.action, self._request.url, "api-url")
            raise TransientError(verdict)
        if verdict.kind in (Kind.AMBIGUOUS, Kind.NOT_EXECUTED):
            raise TransientError(verdict)
        if verdict.kind is Kind.CONFLICT:
            if self.target.jobs_path is None:
                raise self._conflict(verdict)
            return verdict
        if verdict.status == 400 and self.target.pipeline and self._running_job():
            # Which status refuses a run while another one goes on is not documented.
            return verdict
        raise self._client.rejected(verdict, self._request)

    def _find(self, listings: int, pause: float) -> TriggeredJob | None:
        """Look for a job that was queued since the first request without an answer was sent."""
        for listing in range(listings):
            if listing:
                self._client.scope.sleep(pause)
            ours, doubtful = self._new_jobs()
            if doubtful and not ours:
                raise DeploymentUnknown(
                    f"The answer to {self.target.call} was lost, and the list of jobs does not tell whether job "
                    f"{doubtful[0].id} is the one that it queued.",
                )
            if ours:
                if len(ours) > 1:
                    self._client.platform.reporter.warning(
                        f"{len(ours)} jobs were queued while the answer to {self.target.call} was lost: the oldest is "
                        "followed. Since it may be somebody else's, it will not be withdrawn."
                    )
                oldest = min(ours, key=lambda job: job.created.moment.timestamp() if job.created else 0.0)
                return TriggeredJob(oldest, is_ours=len(ours) == 1)
        return None

    def _new_jobs(self) -> tuple[list[Job], list[Job]]:
        """List the jobs that were not there before the request: those that it queued, and those that it may have."""
        ours: list[Job] = []
        doubtful: list[Job] = []
        for page in self._jobs.pages(self.target.jobs_path or ""):
            self._learn_clock(page)
            for job in page.jobs:
                if job.type not in (self.target.job_type, None) or self._is_known(job):
                    continue
                is_recent = self._is_recent(job)
                if self.known is None and not is_recent:
                    continue
                is_ours = self.known is not None and job.type and is_recent
                (ours if is_ours else doubtful).append(job)
            if page.is_newest_first and (self.known is not None or not self._is_recent(page.jobs[-1])):
                break
        else:
            if page.has_more and not ours:
                raise DeploymentUnknown(
                    f"The answer to {self.target.call} was lost, and the list of jobs is too long to find its job.",
                )
        return ours, doubtful

    def _is_known(self, job: Job) -> bool:
        """Whether a job was there before the request."""
        if self.known is None:
            return False
        is_older = (
            self.known.since is not None
            and job.created is not None
            and job.created.moment.timestamp() < self.known.since
        )
        return job.id in self.known.ids or is_older

    def _is_recent(self, job: Job) -> bool:
        """Whether a job may have been created since the request, or in the minute before, by the platform's clock."""
        since = self._unanswered_since or (self.pending.sent_at if self.pending else 0.0)
        return job.created is None or job.created.moment.timestamp() >= since + (self._clock_ahead or 0.0) - _MARGIN

    def _learn_clock(self, page: JobPage) -> None:
        if page.clock_ahead is not None:
            ahead = self._clock_ahead
            self._clock_ahead = page.clock_ahead if ahead is None else max(ahead, page.clock_ahead)

    def _running_job(self) -> Job | None:
        jobs = (job for page in self._jobs.pages(self.target.jobs_path or "") for job in page.jobs)
        return next((job for job in jobs if self.target.may_be_in_the_way(job)), None)

    def _wait_for(self, other: Job, conflict: Verdict) -> None:
        """Wait until somebody else's job is over."""
        reporter, scope = self._client.platform.reporter, self._client.scope
        is_same = other.type == self.target.job_type
        what = f"another {self.target.noun}" if is_same else f"a job of pipeline '{self.target.pipeline}'"
        reporter.info(f"{what[0].upper()}{what[1:]} is {other.status} ({conflict}): waiting for job {other.id} to end.")
        began = self._now()

        def clause(job: Job) -> str:
            created = f" (created {job.created})" if job.created else ""
            return f"{what}, job {job.id}{created}, was {job.status} ({conflict})"

        self.waits_for = clause(other)
        pace = self._client.platform.pace
        try:
            for other in poll(self._jobs.get, other, lambda: scope.sleep(pace.pause(self._now() - began))):  # noqa: B020
                self.waits_for = clause(other)
            reporter.info(f"Job {other.id} ended with {other.status}.")
        except RequestRejected as rejected:
            if rejected.status != 404:
                raise
            reporter.info(f"Job {other.id} is gone.")
        self.waits_for = ""

    def _wait_unexplained(self, conflict: Verdict, since: float) -> None:
        """Wait a while, since a queued job may not be listed; raises if the conflict has lasted too long."""
        elapsed = self._now() - since
        if elapsed >= self._limits.conflict:
            raise self._conflict(conflict)
        if not elapsed:
            self._client.platform.reporter.info(
                f"The platform refuses {self.target.call} for now ({conflict}), and lists no job that is in the way: "
                f"trying again for up to {self._limits.conflict / 60:.0f} minutes."
            )
        self.waits_for = f"the platform refused {self.target.call} ({conflict})"
        pause = self._client.platform.pace.pause(elapsed)
        self._client.scope.sleep(min(pause, max(self._limits.conflict - elapsed, 0.0)))

    def _list_again(self, other: Job | None) -> None:
        """Note the jobs that are there before the request is repeated; none of them is ours."""
        if self._unanswered_since is None:
            try:
                with self._client.scope.fail_after(self._limits.before_trigger):
                    self.known = known_jobs(self._jobs, self.target.jobs_path or "")
            except (PlatformError, DeadlineExceeded):
                self._client.scope.checkpoint()
                self.known = None
        if other and self.known:
            self.known = self.known._replace(ids=self.known.ids | {other.id})

    def _conflict(self, conflict: Verdict) -> RequestRejected:
        error = self._client.rejected(conflict, self._request)
        if self.target.pipeline:
            error.hint = "A job of the pipeline may be queued or running already: look at it in the app."
            return error
        error.title = "Another deployment is running"
        error.hint = (
            "The platform deploys a workspace once at a time: let the workflow's deployments wait for each other with "
            "`concurrency`."
        )
        if self.target.jobs_path is None:
            error.hint += " With a token or an API key as well, the step waits by itself."
        return error

    def _now(self) -> float:
        return self._client.scope.clock.monotonic()


def known_jobs(jobs: Jobs, path: str) -> KnownJobs:
    """List the jobs before a trigger. Of a list that is sorted newest first, the first page is enough.

    Raises:
        PlatformError, Cancelled, DeadlineExceeded: as `Jobs.pages` does.
    """
    ids: set[str] = set()
    for page in jobs.pages(path):
        ids.update(job.id for job in page.jobs)
        if page.has_more and page.is_newest_first:
            last = page.jobs[-1].created
            return KnownJobs(frozenset(ids), last.moment.timestamp() if last else None)
    return KnownJobs(frozenset(ids))
