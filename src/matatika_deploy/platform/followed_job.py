"""A job that is followed to its end: how it is, since when, whether it is ours, and its log."""

from collections.abc import Callable, Iterator

from matatika_deploy.platform.client import Client
from matatika_deploy.platform.job import Job, JobStatus
from matatika_deploy.platform.jobs import Jobs
from matatika_deploy.platform.log import FollowedLog
from matatika_deploy.platform.polling import poll
from matatika_deploy.platform.trigger import TriggeredJob
from matatika_deploy.runtime.limits import SAY_AGAIN_AFTER
from matatika_deploy.text import format_duration


class FollowedJob:
    """A job from its trigger on, as it was last seen."""

    def __init__(self, triggered: TriggeredJob, client: Client, pipeline: str = "") -> None:
        """`pipeline` is the name of the pipeline that the job runs, if it runs one."""
        self.pipeline = pipeline
        self.job = triggered.job
        self.is_ours = triggered.is_ours
        """A job that may be somebody else's is never withdrawn."""
        self.is_only = triggered.is_only
        self.log: FollowedLog | None = None
        self.jobs = Jobs(client)
        self._starts_over = False
        self._client = client
        self._reporter = client.platform.reporter
        self.triggered_at = self._status_since = self._now()
        """By the clock of the client's scope."""

    @property
    def label(self) -> str:
        """The job for people: "Job 7127…"."""
        return f"Pipeline '{self.pipeline}', job {self.job.id}," if self.pipeline else f"Job {self.job.id}"

    @property
    def url(self) -> str:
        """The job's own link."""
        return self.jobs.url(self.job)

    def follow(self, missing_until: float, activity: Callable[[], int]) -> Iterator[Job]:
        """Look at the job until it is over, reporting what changes; yields each state.

        Arguments:
            missing_until: until this moment, a `404` may pass.
            activity: counts what was printed, so that a line can say now and then that the step is alive.

        Raises:
            PlatformError, Cancelled, DeadlineExceeded: as `Client.call` does.
        """
        pace, scope = self._client.platform.pace, self._client.scope
        quiet_since, printed = self._now(), activity()
        states = poll(
            lambda job: self.jobs.get(job, missing_until=missing_until),
            self.job,
            lambda: scope.sleep(pace.pause(self._now() - self.triggered_at), wakeable=True),
        )
        for job in states:
            # The step's result tells how the job ended.
            self.saw(job, announce=not job.is_over)
            yield job
            if activity() == printed and self._now() - quiet_since >= SAY_AGAIN_AFTER:
                spent = format_duration(self._now() - self._status_since)
                self._reporter.info(f"{self.label} is still {job.status}, since {spent}.")
            if activity() != printed:
                quiet_since, printed = self._now(), activity()

    def saw(self, job: Job, *, announce: bool = True) -> None:
        """Note the job's present state, and `announce` a status that has changed."""
        before, self.job = self.job, job
        if self.log and not job.is_over:
            self.log.reader.job_was_seen()
        if before.status != job.status and announce:
            spent = format_duration(self._now() - self._status_since)
            self._reporter.info(f"{self.label} is {job.status}, after {spent} of {before.status}.")
        if before.status != job.status:
            self._status_since = self._now()
        if _starts_over(before, job):
            self._reporter.info(f"{self.label} starts over: its log is shown from the beginning.")
            self._starts_over = True
        if self._starts_over and self.log:
            self.log.reader.start_over(may_read=job.status != JobStatus.QUEUED)
        self._starts_over = self._starts_over and job.status == JobStatus.QUEUED

    def _now(self) -> float:
        return self._client.scope.clock.monotonic()


def _starts_over(before: Job, now: Job) -> bool:
    """Whether the platform makes a new attempt at a job, which writes its log anew."""
    if before.attempt is not None and now.attempt is not None and now.attempt > before.attempt:
        # A count that begins with the first run is no second attempt.
        return before.status != JobStatus.QUEUED
    return before.status == JobStatus.RUNNING and now.status == JobStatus.QUEUED
