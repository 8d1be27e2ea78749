"""What a step came to: the outcome, its exit code, and the outputs that the next steps get."""

import signal
import traceback
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Self

from matatika_deploy.errors import BadInput, CheckFailed, DeployError, PipelineFailed
from matatika_deploy.platform.followed_job import FollowedJob
from matatika_deploy.platform.job import Job, JobStatus
from matatika_deploy.text import format_duration, sentence
from matatika_deploy.version import __version__

# Any other error ends with 3; a job that was followed and a step that was stopped have theirs in the functions below.
_EXIT_CODES = {PipelineFailed: 1, BadInput: 2, CheckFailed: 5}

RAISE_TIMEOUT = "If deployments take that long, raise the input `timeout`."


class Outcome(StrEnum):
    """The values of the output `outcome`."""

    SUCCESS = "success"
    FAILURE = "failure"
    STOPPED = "stopped"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"
    SUBMITTED = "submitted"
    CHECKED = "checked"
    ERROR = "error"


class StepResult(NamedTuple):
    """How a step ended. `title`, `message` and `hint` are for people, and may hold text from the platform.

    `is_notice` tells that a step without success needs no error.
    """

    outcome: Outcome
    exit_code: int
    title: str
    message: str = ""
    hint: str = ""
    is_notice: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the step succeeds."""
        return self.exit_code == 0

    @property
    def headline(self) -> str:
        """What happened and why: "Deployment failed: …"."""
        return f"{self.title}: {self.message}" if self.message else self.title

    def adding(self, sentence: str) -> Self:
        """Return the same with a further sentence in the message."""
        return self._replace(message=f"{self.message} {sentence}".strip())


def ended(job: Job, reason: str = "", where_to_look: str = "") -> StepResult:
    """The result of a job that was followed to its end.

    `reason` says why it failed, if that is known; else the hint is `where_to_look`.
    """
    if job.has_succeeded:
        return StepResult(Outcome.SUCCESS, 0, "Deployed", f"Job {job.id} is {job.status}{after(job)}.")
    if job.status == JobStatus.STOPPED:
        why = (job.message and reason) or "Somebody stopped it, or it reached the platform's own limit."
        # What the log says last is no reason to stop a job, but tells where it was.
        last = f" At the end of its log: {sentence(reason)}" if reason and not job.message else ""
        return StepResult(
            Outcome.STOPPED,
            1,
            "Deployment stopped",
            f"{_end(job, why)}{last}",
            "Run the workflow again if that was not intended.",
        )
    hint = "" if reason else where_to_look
    return StepResult(Outcome.FAILURE, 1, "Deployment failed", _end(job, reason), hint)


def pipeline_ended(name: str, job: Job, reason: str = "", where_to_look: str = "") -> StepResult:
    """The result of a pipeline's run that did not succeed after the deployment."""
    hint = "" if reason else where_to_look
    return StepResult(Outcome.FAILURE, 1, "Pipeline failed", f"'{name}': {_end(job, reason)}", hint)


def _end(job: Job, reason: str = "") -> str:
    code = "" if job.exit_code is None else f" (exit code {job.exit_code})"
    end = f"Job {job.id} ended with {job.status}{code}{after(job)}."
    return f"{sentence(reason)} {end}" if reason else end


def after(job: Job) -> str:
    """Say how long a job took: " after 3 min"; "" if that is not known."""
    return "" if job.duration is None else f" after {format_duration(job.duration)}"


def with_pipelines(result: StepResult, pipelines: Sequence[str]) -> StepResult:
    """Return the result of a deployment with the pipelines that were run after it, and succeeded."""
    if not pipelines:
        return result
    names = ", ".join(f"'{name}'" for name in pipelines)
    return result.adding(f"Then {'pipeline' if len(pipelines) == 1 else 'pipelines'} {names} succeeded.")


def submitted(job: Job) -> StepResult:
    """The result of a job that is not waited for."""
    message = f"Job {job.id} is {job.status} and is not waited for."
    return StepResult(Outcome.SUBMITTED, 0, "Deployment submitted", message)


def checked() -> StepResult:
    """The result of a dry run."""
    return StepResult(Outcome.CHECKED, 0, "Checked", "Nothing was deployed, since this was a dry run.")


def timed_out(message: str, hint: str = RAISE_TIMEOUT) -> StepResult:
    """The result of a step that ran out of time."""
    return StepResult(Outcome.TIMED_OUT, 4, "Deployment timed out", message, hint)


def cancelled(signum: int, message: str, hint: str = "", *, may_run_on: bool) -> StepResult:
    """The result of a step that a signal ended; a job that `may_run_on` does so against the user's wish."""
    name = signal.Signals(signum).name
    stop = "." if message.endswith(".") else ""
    said = f"{message.removesuffix('.')} ({name}){stop}" if message else f"The step got {name}."
    return StepResult(Outcome.CANCELLED, 128 + signum, "Deployment cancelled", said, hint, is_notice=not may_run_on)


def failed(error: DeployError) -> StepResult:
    """The result of a step that could not do its work."""
    kind = Outcome.FAILURE if isinstance(error, PipelineFailed) else Outcome.ERROR
    code = next((code for each, code in _EXIT_CODES.items() if isinstance(error, each)), 3)
    return StepResult(kind, code, error.title, error.message, error.hint)


def plan_heading(result: StepResult, job: Job | None) -> str:
    """What to call the plan once the step is over; `job` is the deployment's, if there is one."""
    if job and (result.is_good or job.has_succeeded):
        return "What the deployment changes"
    was_checked_only = result.exit_code in (0, _EXIT_CODES[CheckFailed])
    return "What the deployment would change" if was_checked_only else "What was to change"


def run_output(run: FollowedJob) -> dict[str, object]:
    """Return what the output `pipeline-jobs` tells of a run; what is not known is left out."""
    job = run.job
    values = {"name": run.pipeline, "id": job.id, "url": run.url, "status": job.status, "duration": job.duration}
    return {name: value for name, value in values.items() if value is not None}


def crashed(error: Exception) -> StepResult:
    """The result of an error of the program itself; its text is not shown, since it could hold a secret."""
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        message = "No thread can be started here."
        hint = (
            "The container engine of this runner is too old or too strict: its seccomp profile refuses `clone3`, or "
            "the number of processes is limited."
        )
        return StepResult(Outcome.ERROR, 3, "Internal error", message, hint)
    place = traceback.extract_tb(error.__traceback__)[-1]
    message = f"The action failed with {type(error).__name__} in {place.name}, line {place.lineno} of {place.filename}."
    return StepResult(
        Outcome.ERROR,
        3,
        "Internal error",
        message,
        f"This is a defect of the action, version {__version__}: please report it.",
    )


def job_outputs(job: Job, job_url: str) -> dict[str, str]:
    """Return the outputs that describe a job; what is not known is left out."""
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
