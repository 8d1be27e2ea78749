"""What can be asked of one job: how it is, and to end."""

from enum import StrEnum, auto
from typing import NamedTuple

from matatika_deploy.errors import PlatformError
from matatika_deploy.platform import links
from matatika_deploy.platform.client import Client, Refusal
from matatika_deploy.platform.http import Answer, Request
from matatika_deploy.platform.job import Job, JobStatus, Unreadable, parse_job
from matatika_deploy.runtime.cancellation import DeadlineExceeded


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


def look(client: Client, api_url: str, job: Job, *, missing_until: float = 0.0) -> Job:
    """Ask for the job's present state; its links stay known if the answer leaves them out.

    Raises:
        PlatformError, Interrupted, DeadlineExceeded: as `Client.call` does.
    """

    def parse(answer: Answer) -> Job:
        seen = parse_job(answer.json())
        if seen.id.lower() != job.id.lower():
            raise Unreadable("expected the job that was asked for")
        return seen

    hints = {404: "Was the job deleted? Look at the workspace's jobs in the app."}
    request = Request("read the job", "GET", links.job_address(api_url, job), auth=client.access, hints=hints)
    return client.call(request, parse, missing_until=missing_until)


def withdraw(client: Client, api_url: str, job: Job) -> Withdrawal:
    """Withdraw a job; one that is still queued, and whose withdrawal is refused, is deleted.

    Takes as long as the client's waiter lets it; raises `Interrupted` only.
    """
    try:
        return _withdraw(client, api_url, job)
    except PlatformError as error:
        return Withdrawal(job, Ended.FAILED, error.message)
    except DeadlineExceeded:
        return Withdrawal(job, Ended.FAILED, "The platform did not answer in time.")


def _withdraw(client: Client, api_url: str, job: Job) -> Withdrawal:
    withdrawal = Request("withdraw the job", "PUT", links.withdrawal_address(api_url, job), auth=client.access)
    try:
        client.call(withdrawal, _accepted)
    except Refusal as refusal:
        seen = look(client, api_url, job)
        if refusal.is_repeated and seen.status == JobStatus.STOPPED:
            return Withdrawal(seen, Ended.WITHDRAWN)
        if seen.is_final:
            return Withdrawal(seen, Ended.OVER)
        if seen.status != JobStatus.QUEUED:
            return Withdrawal(seen, Ended.FAILED, refusal.message)
        _delete(client, api_url, seen)
        return Withdrawal(seen, Ended.DELETED)
    return Withdrawal(job, Ended.WITHDRAWN)


def _delete(client: Client, api_url: str, job: Job) -> None:
    deletion = Request("delete the job", "DELETE", links.deletion_address(api_url, job), auth=client.access)
    try:
        client.call(deletion, _accepted)
    except Refusal as refusal:
        if not (refusal.is_repeated and refusal.status == 404):
            raise


def _accepted(answer: Answer) -> None:
    """Take any answer of the platform that is no refusal: the reference and the OpenAPI document differ on its form.

    Raises:
        Unreadable: if it is a web page, so that something else has answered.
    """
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise Unreadable("expected an answer of the platform, not a web page")
