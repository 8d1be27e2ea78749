"""Trigger once: one deployment for one step, whatever happens to the answer.

A trigger cannot simply be repeated, since it may have been carried out although its answer was lost. So the answers
fall into those that prove that nothing was queued, those that name the job, and those that leave it open: after one of
these the workspace's jobs are listed, and a deployment that appeared since is taken for the one that was asked for.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from requests.auth import AuthBase

from matatika_deploy.errors import PlatformError
from matatika_deploy.platform.client import Client, Refusal, passing, refusal
from matatika_deploy.platform.http import Answer, Request
from matatika_deploy.platform.job import WORKSPACE_DEPLOY, Job, Unreadable, parse_job
from matatika_deploy.platform.jobs import look
from matatika_deploy.platform.pace import Pace
from matatika_deploy.platform.retry import Fault
from matatika_deploy.runtime.cancellation import DeadlineExceeded, Errand, ErrandTimeout

# A job that was just queued may take a moment to appear in the list.
_LIST_AGAIN_AFTER = 2.0
_PAGE_SIZE = 20
_MOST_PAGES = 10

_SIGNED_HINTS = dict.fromkeys(
    (401, 403),
    "Is `deployment-secret` the one in the workspace's settings? The platform compares signatures made with it.",
)


class Deployment(NamedTuple):
    """The job that the trigger queued. `is_ours` is False if it may be somebody else's; it is then never withdrawn."""

    job: Job
    is_ours: bool = True


class Deployments:
    """The deployments of one workspace: triggers one, and finds it again if its answer was lost.

    `signature` triggers through the webhook; without it the client's token does. `can_list` says whether there is a
    token to list jobs with.
    """

    def __init__(
        self,
        client: Client,
        api_url: str,
        workspace_id: str,
        *,
        signature: AuthBase | None,
        event: bytes,
        can_list: bool,
        pace: Pace,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._client = client
        self._api_url = api_url
        self._workspace = f"{api_url}/workspaces/{workspace_id}"
        self._can_list = can_list
        self._pace = pace
        self._say = say
        self._warn = warn
        if signature:
            address = f"{self._workspace}/deployments/github-webhook"
            self._request = Request(
                "trigger the deployment", "POST", address, signature, body=event, hints=_SIGNED_HINTS
            )
        else:
            json = {"Content-Type": "application/json"}
            self._request = Request(
                "trigger the deployment", "POST", f"{self._workspace}/deployments", client.access, json
            )
        self._errand: Errand[Answer] | None = None
        self._sent_at = 0.0
        self._unanswered_since: float | None = None
        self._platform_ahead: float | None = None
        self.may_be_queued = False
        """Whether a deployment may have been queued that is not known."""
        self.waits_for: Job | None = None
        """Somebody else's deployment, whose end is waited for."""

    def trigger(self) -> Deployment:
        """Queue a deployment, or find the one that was queued.

        Raises:
            PlatformError: if there is none, or (`may_be_queued`) none that is known.
            Interrupted, DeadlineExceeded: as the client's waiter does; `settle` tells what became of the trigger.
        """
        was_refused = False
        while True:
            outcome = self._client.persist(self._attempt, self._request)
            if isinstance(outcome, Deployment):
                return outcome
            other = self._running_deployment() if self._can_list else None
            if other:
                self._wait_for(other)
            elif was_refused or not self._can_list:
                # What is in the way may be what an earlier run has queued.
                self.may_be_queued = not self._can_list
                raise refusal(outcome, self._request, {409: "Another deployment may be queued or running already."})
            else:
                was_refused = True
                self._client.waiter.rest(_LIST_AGAIN_AFTER)

    def settle(self, *, answer_within: float, listings: int) -> Deployment | None:
        """After an interruption, find out what became of the trigger that was under way.

        Waits `answer_within` seconds for its answer; if that tells nothing, lists the jobs up to `listings` times.
        """
        try:
            if self._errand:
                outcome = self._judge(self._client.waiter.join(self._errand, answer_within))
                return outcome if isinstance(outcome, Deployment) else None
        except (Fault, PlatformError, ErrandTimeout, DeadlineExceeded):
            # Either it is certain now that nothing was queued, or the list has to tell.
            pass
        if not self.may_be_queued or not self._can_list:
            return None
        self._unanswered_since = self._unanswered_since or self._sent_at
        try:
            return self._find(listings)
        except (PlatformError, DeadlineExceeded):
            return None

    def _attempt(self) -> Deployment | Answer:
        """Send the trigger: gives the deployment, or the answer that says that there is a conflict."""
        try:
            outcome = self._judge(self._send())
        except Fault as fault:
            if not self.may_be_queued:
                raise
            if not self._can_list:
                raise PlatformError(
                    f"The answer to the trigger was lost ({fault.message}).", "Look before you run the workflow again."
                ) from None
            self._say(f"The answer to the trigger was lost ({fault.message}): looking for its job.")
            self._unanswered_since = self._unanswered_since or self._sent_at
            found = self._find(2)
            if found is None:
                self.may_be_queued = False
                raise
            return found
        if isinstance(outcome, Answer) and self._unanswered_since is not None:
            return self._find(1) or outcome
        return outcome

    def _send(self) -> Answer:
        """Send the trigger; once more with a new token if its own has expired, for then nothing was queued."""
        answer = self._exchange()
        if answer.status == 401 and self._request.auth is self._client.access and self._client.renew():
            answer = self._exchange()
        return answer

    def _exchange(self) -> Answer:
        # A kept connection that went stale would look like a lost answer.
        self._client.http.disconnect()
        self._sent_at = self._client.waiter.clock.time()
        self._errand = self._client.begin(self._request)
        self.may_be_queued = True
        try:
            answer = self._client.finish(self._errand, self._request)
        except (Fault, PlatformError) as error:
            self._errand = None
            self.may_be_queued = isinstance(error, Fault) and error.was_sent
            raise
        self._errand = None
        self.may_be_queued = answer.status != 401
        return answer

    def _judge(self, answer: Answer) -> Deployment | Answer:
        """Say what an answer to the trigger means.

        Gives the deployment, or the answer itself if it is a conflict.

        Raises:
            Fault: if it leaves open what happened, or (then not `may_be_queued`) proves that nothing did, for now.
            PlatformError: if it proves that nothing was queued, and nothing would be.
        """
        self.may_be_queued = True
        if 200 <= answer.status < 300:
            try:
                job = parse_job(answer.json())
            except Unreadable as error:
                raise Fault(f"an answer that makes no sense ({error})") from None
            self.may_be_queued = False
            return Deployment(job)
        fault = passing(answer, self._client.waiter.clock.time())
        self.may_be_queued = fault is not None and not _proves_refusal(answer)
        if fault:
            raise fault
        if answer.status == 409:
            return answer
        raise refusal(answer, self._request, self._client.hints)

    def _find(self, listings: int) -> Deployment | None:
        """Look for a deployment that was queued since the first trigger without an answer was sent."""
        for listing in range(listings):
            if listing:
                self._client.waiter.rest(_LIST_AGAIN_AFTER)
            found, doubtful = self._queued_since()
            if doubtful and not found:
                raise PlatformError(
                    "The answer to the trigger was lost, and the list of jobs does not tell whether job "
                    f"{doubtful[0].id} is the one that it queued.",
                    "Look before you run the workflow again.",
                )
            if found:
                self.may_be_queued = False
                if len(found) > 1:
                    self._warn(
                        f"{len(found)} deployments were queued while the answer to the trigger was lost: the oldest is "
                        "followed. Since it may be somebody else's, it will not be withdrawn."
                    )
                oldest = min(found, key=lambda job: job.created.moment.timestamp() if job.created else 0.0)
                return Deployment(oldest, is_ours=len(found) == 1)
        return None

    def _queued_since(self) -> tuple[list[Job], list[Job]]:
        """List the deployments since the first unanswered trigger, and jobs that may be such for all that is told."""
        found: list[Job] = []
        doubtful: list[Job] = []
        for page in self._pages():
            recent = [job for job in page if job.type in (WORKSPACE_DEPLOY, None) and self._is_since(job) is not False]
            found += [job for job in recent if job.type and self._is_since(job)]
            doubtful += [job for job in recent if not (job.type and self._is_since(job)) and not job.is_final]
            if self._is_past(page):
                break
        return found, doubtful

    def _is_past(self, page: list[Job]) -> bool:
        """Whether what follows a page, newest first, is older still than the first unanswered trigger."""
        first, last = page[0].created, page[-1].created
        is_sorted = first is not None and last is not None and first.moment >= last.moment
        return is_sorted and self._is_since(page[-1]) is False

    def _is_since(self, job: Job) -> bool | None:
        """Whether a job was created since the first unanswered trigger was sent, by the platform's clock.

        `Date` has whole seconds and was set before the answer arrived, so that the difference of the clocks is never
        overestimated: the bound may be up to a second early, but never misses our own job. None if it is not told.
        """
        if job.created is None or self._unanswered_since is None:
            return None
        since = self._unanswered_since + (self._platform_ahead or 0.0)
        return job.created.moment.timestamp() + job.created.resolution > since

    def _learn_time(self, answer: Answer) -> None:
        """Learn how far the platform's clock is ahead; only from its own answers, since a gateway has a clock too."""
        if answer.date is not None:
            ahead = answer.date - answer.received_at
            self._platform_ahead = ahead if self._platform_ahead is None else max(self._platform_ahead, ahead)

    def _pages(self) -> Iterator[list[Job]]:
        """Give the workspace's jobs, newest first, page by page as they are taken; no page is empty."""
        for number in range(_MOST_PAGES):
            query = f"page={number}&size={_PAGE_SIZE}&sort=created,desc"
            request = Request(
                "list the workspace's jobs", "GET", f"{self._workspace}/jobs?{query}", self._client.access
            )
            jobs, has_more = self._client.call(request, self._read_page)
            if jobs:
                yield jobs
            if not has_more:
                return

    def _read_page(self, answer: Answer) -> tuple[list[Job], bool]:
        """Read a page of jobs, and whether there are more. A list that cannot be read whole could hide our own job."""
        self._learn_time(answer)
        page = answer.json()
        if not isinstance(page, dict) or not ("_embedded" in page or "page" in page):
            raise Unreadable("expected a page of jobs")
        embedded = page.get("_embedded") or {}
        entries = embedded.get("jobs", []) if isinstance(embedded, dict) else None
        if not isinstance(entries, list):
            raise Unreadable("expected a page of jobs")
        facts = page.get("page")
        number, total = (facts.get("number"), facts.get("totalPages")) if isinstance(facts, dict) else (None, None)
        has_more = isinstance(number, int) and isinstance(total, int) and number + 1 < total
        return [parse_job(entry) for entry in entries], has_more and bool(entries)

    def _running_deployment(self) -> Job | None:
        jobs = (job for page in self._pages() for job in page)
        return next((job for job in jobs if job.type == WORKSPACE_DEPLOY and not job.is_final), None)

    def _wait_for(self, other: Job) -> None:
        """Wait until somebody else's deployment is over."""
        self._say(f"Another deployment of the workspace is {other.status}: waiting for job {other.id} to end.")
        waiter = self._client.waiter
        begin = waiter.clock.monotonic()
        while not other.is_final:
            self.waits_for = other
            waiter.rest(self._pace.pause(waiter.clock.monotonic() - begin))
            try:
                other = look(self._client, self._api_url, other)
            except Refusal as gone:
                if gone.status != 404:
                    raise
                break
        self.waits_for = None
        self._say(f"Job {other.id} ended with {other.status}." if other.is_final else f"Job {other.id} is gone.")


def _proves_refusal(answer: Answer) -> bool:
    """Whether an answer with a passing fault comes from the API itself, which did not take the request.

    A gateway in front answers `503` too, after it may have handed the request on; only the API's error body has the
    status in it.
    """
    if answer.status in (425, 429):
        return True
    try:
        body = answer.json() if answer.status == 503 else None
    except Unreadable:
        return False
    return isinstance(body, dict) and body.get("status") == 503
