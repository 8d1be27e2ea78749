"""What a step came to: the outcome, its exit code, and the outputs that the next steps get."""

import signal
import traceback
from enum import StrEnum
from typing import NamedTuple

from matatika_deploy.errors import DeployError
from matatika_deploy.platform.job import Job, JobStatus


class Result(StrEnum):
    """The values of the output `outcome`."""

    SUCCESS = "success"
    FAILURE = "failure"
    STOPPED = "stopped"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"
    SUBMITTED = "submitted"
    CHECKED = "checked"
    ERROR = "error"


_OF_STATUS = {
    JobStatus.COMPLETE: Result.SUCCESS,
    JobStatus.ERROR: Result.FAILURE,
    JobStatus.STOPPED: Result.STOPPED,
}


class Outcome(NamedTuple):
    """How a step ended. `title`, `message` and `hint` are for people, and may hold text from the platform."""

    result: Result
    exit_code: int
    title: str
    message: str = ""
    hint: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the step succeeds."""
        return self.exit_code == 0


def ended(job: Job, *, shows_log: bool = True) -> Outcome:
    """The outcome of a job that was followed to its end, with or without its log."""
    result = _OF_STATUS[JobStatus(job.status)]
    spent = "" if job.duration is None else f" after {job.duration} s"
    code = "" if job.exit_code is None else f" (exit code {job.exit_code})"
    if result is Result.SUCCESS:
        return Outcome(result, 0, "Deployed", f"Job {job.id} is {job.status}{spent}.")
    if result is Result.FAILURE:
        return Outcome(
            result,
            1,
            "Deployment failed",
            f"Job {job.id} ended with {job.status}{code}.",
            "The end of the job's log says why."
            if shows_log
            else "With `logs: on-failure`, the job's log would say why.",
        )
    return Outcome(
        result,
        1,
        "Deployment stopped",
        f"Job {job.id} ended with {job.status}{code}: somebody stopped it, or it ran out of the platform's own time.",
        "Run the workflow again if that was not meant to be.",
    )


def submitted(job: Job) -> Outcome:
    """The outcome of a job that is not waited for."""
    return Outcome(Result.SUBMITTED, 0, "Deployment submitted", f"Job {job.id} is {job.status} and is not waited for.")


def checked() -> Outcome:
    """The outcome of a dry run."""
    return Outcome(Result.CHECKED, 0, "Checked", "Nothing was deployed: this was a dry run.")


def timed_out(message: str, hint: str = "If deployments take that long, raise the input `timeout`.") -> Outcome:
    """The outcome of a step that ran out of time."""
    return Outcome(Result.TIMED_OUT, 4, "Deployment timed out", message, hint)


def cancelled(signum: int, message: str, hint: str = "") -> Outcome:
    """The outcome of a step that a signal ended."""
    said = f"{signal.Signals(signum).name}: {message}"
    return Outcome(Result.CANCELLED, 128 + signum, "Deployment cancelled", said, hint)


def failed(error: DeployError) -> Outcome:
    """The outcome of a step that could not do its work."""
    return Outcome(Result.ERROR, error.exit_code, error.title, error.message, error.hint)


def crashed(error: Exception) -> Outcome:
    """The outcome of a defect in the action itself; the error's text is not shown, since it could hold a secret."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    message = f"The action failed with {type(error).__name__} in {place.name}, line {place.lineno} of {place.filename}."
    return Outcome(Result.ERROR, 3, "Internal error", message, "This is a defect of the action: please report it.")


def adding(outcome: Outcome, sentence: str) -> Outcome:
    """Give an outcome with a further sentence in its message."""
    return outcome._replace(message=f"{outcome.message} {sentence}")


def job_outputs(job: Job, job_url: str) -> dict[str, str]:
    """Give the outputs that describe a job; what is not known is left out."""
    values = {
        "job-id": job.id,
        "job-url": job_url,
        "status": job.status,
        "exit-code": job.exit_code,
        "commit-id": job.commit_id,
        "created-at": job.created,
        "started-at": job.started,
        "ended-at": job.ended,
        "duration": job.duration,
    }
    return {name: str(value) for name, value in values.items() if value is not None}
