"""Trigger once: one job for one step, whatever happens to the answer.

A trigger cannot simply be repeated, since it may have been carried out although its answer was lost. If an answer
leaves that open, the list of jobs is compared with the list from before the trigger: a job that is new is the one that
was asked for. Only if there is none is the request repeated.
"""

from itertools import chain
from math import inf
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
from matatika_deploy.runtime.limits import SAY_AGAIN_AFTER, Limits

# A job that was created so long before the trigger, or after its answer was lost, by the platform's clock, was not
# triggered by it (seconds).
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
    """The job that a trigger queued. One that may be somebody else's is not `is_ours`, and is never withdrawn.

    It is not `is_only` if another request of the same trigger may have queued one as well.
    """

    job: Job
    is_ours: bool = True
    is_only: bool = True


class PendingTrigger(NamedTuple):
    """A request on its way, or (`task` is None) one that has queued a job, or whose answer left open what it did.

    It was sent at `sent_at`, and its end came at `ended_at`: in seconds since 1970 by this machine's clock.
    """

    sent_at: float
    task: Task[Response] | None
    ended_at: float = inf


class _ConflictError(Exception):
    """The request was refused for now, since something is in its way; `verdict` says so."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict


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
        self._refused_at: float | None = None
        self._waited_for: dict[str, float] = {}
        self._said_at = 0.0
        self._clock_ahead: float | None = None
        self.known: KnownJobs | None = None
        """The jobs that were listed before the trigger; None if they could not be."""
        self.pending: list[PendingTrigger] = []
        """The requests that may have queued a job, until whoever follows that job clears them."""
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
            try:
                return self._client.retry(self._attempt, self._request)
            except _ConflictError as error:
                conflict = error.verdict
            self.waits_for = f"the platform refused {self.target.call} ({conflict})"
            if not self.pending:
                self._refused_at = self._client.scope.clock.time()
            other = self._running_job(newest=unexplained_since is not None)
            if other:
                self._wait_for(other, conflict)
                unexplained_since = None
            else:
                unexplained_since = self._wait_unexplained(conflict, unexplained_since)
            self._list_again()

    def resolve_pending(self, *, answer_within: float, listings: int) -> TriggeredJob | None:
        """After an interruption, find out what became of the requests that may have queued a job.

        Waits `answer_within` seconds for an answer; if that does not tell, lists the jobs up to `listings` times.
        """
        try:
            if self.pending and self.pending[-1].task:
                exchange = self._client.finish(self.pending[-1].task, self._request, within=answer_within)
                self._note_end(exchange.verdict)
                return self._judge(exchange)
        except (_ConflictError, TransientError, PlatformError, DeadlineExceeded):
            # `pending` says whether the list has to tell.
            pass
        if not self.pending or self.target.jobs_path is None:
            return None
        try:
            return self._find(listings, self._limits.listing_pause)
        except (PlatformError, DeadlineExceeded):
            return None

    def _attempt(self) -> TriggeredJob:
        """Send the request, and return the job.

        Raises:
            _ConflictError: if something is in the way, and that is not what an earlier request has queued.
        """
        lost_before = len(self.pending)
        try:
            return self._judge(self._send())
        except _ConflictError:
            # What is in the way may be what a request without an answer has queued.
            found = self._find(1, 0.0) if self.pending else None
            if found:
                return found
            raise
        except TransientError as error:
            if len(self.pending) == lost_before:
                raise
            lost = f"The answer to {self.target.call} was lost ({error.verdict})"
            if self.target.jobs_path is None:
                raise DeploymentUnknown(f"{lost}.") from None
            self._client.platform.reporter.info(f"{lost}: looking for its job.")
            listings = 1 + int(self._limits.unlisted / self._limits.listing_pause)
            found = self._find(listings, self._limits.unlisted / (listings - 1))
            if found:
                return found
            if not lost_before:
                self._client.platform.reporter.warning(
                    f"{lost}, and no list shows its job: the request is sent again. {self.target.risk}"
                )
            raise

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
        self.pending.append(PendingTrigger(sent_at, task))
        exchange = self._client.finish(task, request)
        self._note_end(exchange.verdict)
        return exchange

    def _note_end(self, verdict: Verdict) -> None:
        """Note the end of the last request: nothing is pending, unless it may have queued a job."""
        self.waits_for = ""
        ended = self.pending.pop()._replace(task=None, ended_at=self._client.scope.clock.time())
        is_open = verdict.kind in (Kind.OK, Kind.AMBIGUOUS) and not self._is_of_web_app(verdict)
        # A conflict may be with a job that an earlier run has queued, which nobody can look up without a list.
        is_unexplained = verdict.kind is Kind.CONFLICT and self.target.jobs_path is None
        if is_open or is_unexplained:
            self.pending.append(ended)

    def _is_of_web_app(self, verdict: Verdict) -> bool:
        """Whether an answer does not seem to be the API's, which has given none so far."""
        return verdict.may_be_web_app and "api-url" not in self._client.platform.contact.answered

    def _judge(self, exchange: Exchange) -> TriggeredJob:
        """Say what the end of the request means: returns the job.

        Raises:
            _ConflictError: if something is in the way.
            TransientError: if it is open (then it is `pending`), or if nothing was queued for now.
            PlatformError: if nothing was queued, and nothing would be.
        """
        verdict = exchange.verdict
        if exchange.response and verdict.kind is Kind.OK:
            try:
                job = self._jobs.parse(exchange.response.json())
            except InvalidResponse as error:
                raise TransientError(classify(error)) from None
            self._client.platform.contact.answered.add("api-url")
            return TriggeredJob(job, is_ours=not self._is_known(job), is_only=len(self.pending) == 1)
        if self._is_of_web_app(verdict):
            if self.target.jobs_path is None:
                raise web_page_error(self._request.action, self._request.url, "api-url")
            raise TransientError(verdict)
        if verdict.kind in (Kind.AMBIGUOUS, Kind.NOT_EXECUTED):
            raise TransientError(verdict)
        if verdict.kind is Kind.CONFLICT:
            if self.target.jobs_path is None:
                raise self._conflict(verdict)
            raise _ConflictError(verdict)
        if verdict.status == 400 and self.target.pipeline and self._running_job():
            # Which status refuses a run while another one goes on is not documented.
            raise _ConflictError(verdict)
        raise self._client.rejected(verdict, self._request)

    def _find(self, listings: int, pause: float) -> TriggeredJob | None:
        """Look for a job that a request without an answer has queued."""
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
                return TriggeredJob(oldest, is_ours=len(ours) == 1, is_only=len(self.pending) == 1)
        return None

    def _new_jobs(self) -> tuple[list[Job], list[Job]]:
        """List the jobs that were not there before the request: those that it queued, and those that it may have."""
        ours: list[Job] = []
        doubtful: list[Job] = []
        for page in self._jobs.pages(self.target.jobs_path or ""):
            self._learn_clock(page)
            for job in page.jobs:
                is_ours = self._is_ours(job)
                if is_ours:
                    ours.append(job)
                elif is_ours is None:
                    doubtful.append(job)
            if page.is_newest_first and (self.known is not None or self._is_older(page.jobs[-1])):
                break
        else:
            if page.has_more and not ours:
                raise DeploymentUnknown(
                    f"The answer to {self.target.call} was lost, and the list of jobs is too long to find its job.",
                )
        return ours, doubtful

    def _is_known(self, job: Job) -> bool:
        """Whether a job was there before the request, or was waited for."""
        if job.id in self._waited_for:
            return True
        known = self.known or KnownJobs(frozenset())
        return job.id in known.ids or bool(job.created and job.created.moment.timestamp() < (known.since or 0.0))

    def _is_older(self, job: Job) -> bool:
        """Whether a job was created more than a minute before the first pending request, by the platform's clock."""
        earliest = self.pending[0].sent_at + (self._clock_ahead or 0.0) - _MARGIN
        return job.created is not None and job.created.moment.timestamp() < earliest

    def _is_ours(self, job: Job) -> bool | None:
        """Whether a pending request has queued a job; None if that cannot be told."""
        if job.type not in (self.target.job_type, None) or self._is_known(job):
            return False
        if self._is_older(job):
            return None if self.known else False
        if job.created and self._clock_ahead is not None:
            created = job.created.moment.timestamp() - self._clock_ahead
            if not any(sent.sent_at - _MARGIN <= created <= sent.ended_at + _MARGIN for sent in self.pending):
                return False
            if self._refused_at and created + job.created.resolution < self._refused_at:
                # It may be what was in the way of an earlier request.
                return None
        return True if self.known and job.type else None

    def _learn_clock(self, page: JobPage) -> None:
        if page.clock_ahead is not None:
            ahead = self._clock_ahead
            self._clock_ahead = page.clock_ahead if ahead is None else max(ahead, page.clock_ahead)

    def _running_job(self, *, newest: bool = False) -> Job | None:
        """Return somebody else's job that may be in the way; of a sorted list, `newest` reads the first page only."""
        for page in self._jobs.pages(self.target.jobs_path or ""):
            for job in page.jobs:
                if self.target.may_be_in_the_way(job) and not (self.pending and self._is_ours(job)):
                    return job
            if newest and page.is_newest_first:
                break
        return None

    def _wait_for(self, other: Job, conflict: Verdict) -> None:
        """Wait until somebody else's job is over."""
        scope, pace = self._client.scope, self._client.platform.pace
        is_same = other.type == self.target.job_type
        what = f"another {self.target.noun}" if is_same else f"a job of pipeline '{self.target.pipeline}'"
        self._say(f"{what[0].upper()}{what[1:]} is {other.status} ({conflict}): waiting for job {other.id} to end.")
        created = f" (created {other.created})" if other.created else ""
        # A job that is listed as running, though it is over or gone, is not looked at ever so often.
        began = self._waited_for.setdefault(other.id, self._now())
        states = poll(self._jobs.get, other, lambda: scope.sleep(pace.pause(self._now() - began)))
        try:
            for other in chain((other,), states):  # noqa: B020
                self.waits_for = f"{what}, job {other.id}{created}, was {other.status} ({conflict})"
                if not other.is_over:
                    self._say(f"Job {other.id} is still {other.status}: waiting for its end.", again=True)
            self._say(f"Job {other.id} ended with {other.status}.")
        except RequestRejected as rejected:
            if rejected.status != 404:
                raise
            self._say(f"Job {other.id} is gone.")
        self.waits_for = ""

    def _wait_unexplained(self, conflict: Verdict, since: float | None) -> float:
        """Wait a while, since a queued job may not be listed; raises if the conflict has lasted too long.

        Takes and returns the moment since which no listed job explains it.
        """
        if since is None:
            since = self._now()
            self._say(
                f"The platform refuses {self.target.call} for now ({conflict}), and lists no job that is in the way: "
                f"trying again for up to {self._limits.conflict / 60:.0f} minutes."
            )
        elapsed = self._now() - since
        if elapsed >= self._limits.conflict:
            raise self._conflict(conflict)
        self._say(f"The platform still refuses {self.target.call} ({conflict}).", again=True)
        pause = self._client.platform.pace.pause(elapsed)
        self._client.scope.sleep(min(pause, max(self._limits.conflict - elapsed, 0.0)))
        return since

    def _say(self, text: str, *, again: bool = False) -> None:
        """Print a line; one that only says the same `again` now and then."""
        if not again or self._now() - self._said_at >= SAY_AGAIN_AFTER:
            self._client.platform.reporter.info(text)
            self._said_at = self._now()

    def _list_again(self) -> None:
        """Note the jobs that are there before the request is repeated; none of them is ours."""
        if self.pending:
            return
        try:
            with self._client.scope.fail_after(self._limits.before_trigger):
                self.known = known_jobs(self._jobs, self.target.jobs_path or "")
        except (PlatformError, DeadlineExceeded):
            self._client.scope.checkpoint()
            self.known = None

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
