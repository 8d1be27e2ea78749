"""What can be asked of the platform's jobs: to list them, how one is, and to end."""

from collections.abc import Iterator, Mapping
from enum import StrEnum, auto
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple, Self

from matatika_deploy.errors import PlatformError, RequestRejected
from matatika_deploy.platform import links
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.job import WITHDRAW, Job, JobStatus, parse_job
from matatika_deploy.platform.pages import MOST_PAGES, PAGE_SIZE, parse_page
from matatika_deploy.platform.responses import InvalidResponse, Request, Response
from matatika_deploy.runtime.cancellation import DeadlineExceeded
from matatika_deploy.text import one_line

_GONE: Mapping[int, str] = MappingProxyType({404: "Was the job deleted?"})


class Ended(StrEnum):
    """How an attempt to end a job went."""

    WITHDRAWN = auto()
    DELETED = auto()
    OVER = auto()
    """It was over already."""
    FAILED = auto()
    """It may be running still."""


class Withdrawal(NamedTuple):
    """The job as it was last seen, how the attempt to end it went, and why it failed if it did."""

    job: Job
    ended: Ended
    reason: str = ""


class JobPage(NamedTuple):
    """One page of a list of jobs, and when the platform gave it, if it says so.

    `clock_ahead` is how far the platform's clock is ahead of this machine's, in seconds, never overestimated: its
    `Date` has whole seconds, and was set before the answer arrived.
    """

    jobs: tuple[Job, ...]
    has_more: bool
    last: int
    """The number of the list's last page, counted from 0."""
    clock_ahead: float | None

    @property
    def is_newest_first(self) -> bool:
        """Whether the page is sorted newest first; one of a single moment is not known to be."""
        moments = [job.created.moment for job in self.jobs if job.created]
        is_descending = all(first >= second for first, second in pairwise(moments))
        return bool(moments) and len(moments) == len(self.jobs) and is_descending and moments[0] > moments[-1]

    def reversed(self) -> Self:
        """Return the page with its jobs in the opposite order."""
        return self._replace(jobs=self.jobs[::-1])


class Jobs:
    """The platform's jobs, as one thread asks for them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._platform = client.platform

    def url(self, job: Job) -> str:
        """The job's own link."""
        return links.address(self._platform.api_url, job, links.SELF)

    def pages(self, path: str) -> Iterator[JobPage]:
        """Yield a list of jobs page by page, newest first if the platform sorts; `path` as `/workspaces/…/jobs`.

        A platform that sorts oldest first is read from its last page on. One that ignores paging gives everything on
        its first page, or the same page again, which ends the list.

        Raises:
            PlatformError, Cancelled, DeadlineExceeded: as `Client.call` does.
        """
        page = self._page(path, 0)
        if page.has_more and page.reversed().is_newest_first:
            for number in range(page.last, max(0, page.last - MOST_PAGES), -1):
                yield self._page(path, number).reversed()._replace(has_more=True)
            yield page.reversed()._replace(has_more=False)
            return
        seen: set[str] = set()
        for number in range(1, MOST_PAGES):
            is_new = not seen.issuperset(job.id for job in page.jobs)
            seen.update(job.id for job in page.jobs)
            yield page
            if not (page.has_more and is_new):
                return
            page = self._page(path, number)
        yield page

    def get(self, job: Job, *, missing_until: float = 0.0, is_following: bool = True) -> Job:
        """Look at a job.

        Raises:
            PlatformError, Cancelled, DeadlineExceeded: as `Client.call` does, with the same arguments.
        """

        def parse(response: Response) -> Job:
            seen = self._checked(parse_job(response.json()))
            if seen.id.lower() != job.id.lower():
                raise InvalidResponse("expected the job that was asked for")
            return seen

        request = self.request(job, links.SELF, "GET", "read the job")._replace(hints=_GONE)
        return self._client.call(request, parse, missing_until=missing_until, is_following=is_following)

    def request(self, job: Job, relation: str, method: str, action: str) -> Request:
        """Return the request for one of the job's links, with the documented address as its fallback."""
        url = links.address(self._platform.api_url, job, relation)
        documented = links.documented(self._platform.api_url, job, relation)
        if url in self._platform.contact.dead_links:
            url = documented
        return Request(action, method, url, self._platform.token, fallback_url="" if url == documented else documented)

    def withdraw(self, job: Job) -> Withdrawal:
        """Withdraw a job; delete one that is still queued, and whose withdrawal is rejected.

        Takes as long as the scope lets it.

        Raises:
            Cancelled: as the scope does.
        """
        try:
            return self._withdraw(job)
        except PlatformError as error:
            return Withdrawal(job, Ended.FAILED, error.message)
        except DeadlineExceeded:
            return Withdrawal(job, Ended.FAILED, "The platform did not answer in time.")

    def parse(self, value: object) -> Job:
        """Read a job from parsed JSON, without any credential that it may repeat.

        Raises:
            InvalidResponse: if it is no job, or its id holds a credential.
        """
        return self._checked(parse_job(value))

    def _withdraw(self, job: Job) -> Withdrawal:
        try:
            self._end(job, WITHDRAW, "PUT", "withdraw the job")
        except RequestRejected as rejected:
            seen = self.get(job, is_following=False)
            if rejected.is_repeated and seen.status == JobStatus.STOPPED:
                return Withdrawal(seen, Ended.WITHDRAWN)
            if seen.is_over:
                return Withdrawal(seen, Ended.OVER)
            if seen.status != JobStatus.QUEUED and job.status == JobStatus.QUEUED:
                # It was refused while the job was queued, which it is no more.
                return self._withdraw(seen)
            if seen.status != JobStatus.QUEUED:
                return Withdrawal(seen, Ended.FAILED, rejected.message)
            self._delete(seen)
            return Withdrawal(seen, Ended.DELETED)
        return Withdrawal(job, Ended.WITHDRAWN)

    def _delete(self, job: Job) -> None:
        try:
            self._end(job, links.DELETE, "DELETE", "delete the job")
        except RequestRejected as rejected:
            # The job is gone: an earlier attempt has deleted it.
            if not (rejected.is_repeated and rejected.status == 404):
                raise

    def _end(self, job: Job, relation: str, method: str, action: str) -> None:
        """Call a link of the job that ends it. The reference and the OpenAPI document differ on the answer's body."""
        self._client.call(self.request(job, relation, method, action), lambda _: None)

    def _page(self, path: str, number: int) -> JobPage:
        url = f"{self._platform.api_url}{path}?page={number}&size={PAGE_SIZE}&sort=created,desc"
        return self._client.call(Request("list the jobs", "GET", url, self._platform.token), self._parse_page)

    def _parse_page(self, response: Response) -> JobPage:
        """Read a page of jobs. One entry that cannot be read could be the job that is looked for.

        Raises:
            InvalidResponse: if it is no page of jobs.
        """
        page = parse_page(response, "jobs")
        ahead = None if response.date is None else response.date - response.received_at
        jobs = tuple(self.parse(entry) for entry in page.entries)
        return JobPage(jobs, page.has_more, page.last, ahead)

    def _checked(self, job: Job) -> Job:
        holds, clean = self._platform.redactor.holds, self._platform.redactor.clean
        if holds(job.id):
            raise InvalidResponse("expected a job with an id")
        return job._replace(
            status=one_line(clean(job.status)),
            commit_id=None if holds(job.commit_id or "") else job.commit_id,
            message=clean(job.message) if job.message else None,
            links={relation: href for relation, href in job.links.items() if not holds(href)},
        )
