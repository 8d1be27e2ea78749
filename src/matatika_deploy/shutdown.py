"""The ways in which a step ends: what happens to its job, and what the user is told."""

from typing import NamedTuple

from matatika_deploy import outcome
from matatika_deploy.checks import run as checking
from matatika_deploy.errors import DeployError, PlatformError
from matatika_deploy.github import state
from matatika_deploy.github.inputs import JobPolicy, Logs
from matatika_deploy.github.state import Stage
from matatika_deploy.outcome import Outcome
from matatika_deploy.platform.job import Job
from matatika_deploy.platform.jobs import Ended, look, withdraw
from matatika_deploy.platform.trigger import Deployment
from matatika_deploy.runtime.cancellation import DeadlineExceeded
from matatika_deploy.step import Step
from matatika_deploy.text import format_duration

_STOP_IT = "Stop it in the app if it must not go on."


def over(step: Step, job: Job) -> Outcome:
    """The job is over: its result stands, whatever signal comes. What is left of its log is shown."""
    _unwind(step, step.tuning.log_end, handled_signals=0)
    state.save(step.workflow, Stage.FINISHED)
    result = outcome.ended(job, shows_log=step.settings.logs is not Logs.NONE)
    is_wanted = step.settings.logs is Logs.STREAM or not result.is_good
    if step.log and is_wanted and not step.log.finish(step.tuning.log_end):
        step.log.warn("its end did not come in time.")
    checking.check_commit(step)
    return result


def submitted(step: Step, job: Job) -> Outcome:
    """The job is not waited for."""
    state.save(step.workflow, Stage.FINISHED)
    return outcome.submitted(job)


def cancelled(step: Step, signum: int) -> Outcome:
    """A signal came: the job is withdrawn first, and everything else has to be quick."""
    _unwind(step, step.tuning.cancel, handled_signals=1)
    found = None
    if step.deployment is None:
        with step.waiter.within(step.tuning.cancel_answer + step.tuning.cancel_listing):
            found = step.deployments.settle(answer_within=step.tuning.cancel_answer, listings=1)
    deployment = step.deployment or found
    if deployment is None:
        state.save(step.workflow, Stage.FINISHED)
        return outcome.cancelled(signum, _may_be_queued(step) or "Nothing was deployed.")
    end = _end_job(step, deployment, step.job or deployment.job, step.settings.on_cancel, "on-cancel")
    if found:
        step.adopt(found)
    step.saw(end.job)
    state.save(step.workflow, end.stage)
    if end.ended is Ended.OVER:
        return over(step, end.job)
    said = _see_end(step, end, step.tuning.confirm)
    return outcome.cancelled(signum, f"Job {end.job.id} {said}.", end.hint)


def timed_out(step: Step) -> Outcome:
    """The deadline has passed: the job is looked at once more before that counts."""
    trouble = _trouble(step)
    _unwind(step, step.tuning.after_deadline, handled_signals=0)
    timeout = format_duration(step.settings.timeout)
    if step.deployment is None:
        with step.waiter.within(step.tuning.last_listing):
            found = step.deployments.settle(answer_within=0, listings=2)
        if found:
            step.adopt(found)
    if step.deployment is None or step.job is None:
        state.save(step.workflow, Stage.FINISHED)
        because = f": {trouble}" if trouble else ""
        said = f"No deployment could be triggered within {timeout}{because}. {_may_be_queued(step)}"
        return outcome.timed_out(said.strip(), "Run the workflow again later, or raise the input `timeout`.")
    try:
        with step.waiter.within(step.tuning.last_look):
            step.saw(look(step.client, step.settings.api_url, step.job))
        trouble = ""
    except (PlatformError, DeadlineExceeded):
        trouble = trouble or _trouble(step)
    if step.job.is_final:
        return over(step, step.job)
    end = _end_job(step, step.deployment, step.job, step.settings.on_timeout, "on-timeout")
    step.saw(end.job)
    state.save(step.workflow, end.stage)
    if end.ended is Ended.OVER:
        return over(step, end.job)
    said = f"Job {end.job.id} was not over within {timeout}: it {_see_end(step, end, step.tuning.log_end)}."
    if trouble:
        return outcome.timed_out(f"{said} At the end, {trouble}.", end.hint)
    return outcome.timed_out(said, end.hint) if end.hint else outcome.timed_out(said)


def failed(step: Step, error: DeployError) -> Outcome:
    """The step cannot go on: a job that may be running still is named."""
    _unwind(step, step.tuning.after_deadline, handled_signals=0)
    result = outcome.failed(error)
    state.save(step.workflow, Stage.FINISHED)
    _leave_log(step)
    if step.job and not step.job.is_final:
        return outcome.adding(result, f"Job {step.job.id} may be running still: {step.job_url}")
    if _may_be_queued(step):
        return outcome.adding(result, _may_be_queued(step))
    return result


class _JobEnd(NamedTuple):
    """What became of the job when the step ended before it; `ended` is None if nothing was done about it.

    `said` is a clause about the job ("was withdrawn").
    """

    job: Job
    said: str
    stage: Stage = Stage.FINISHED
    hint: str = ""
    ended: Ended | None = None


def _end_job(step: Step, deployment: Deployment, job: Job, wanted: JobPolicy, option: str) -> _JobEnd:
    """Withdraw the job, if it is ours and that is wanted. Prints nothing: the withdrawal comes before everything."""
    if not deployment.is_ours:
        return _JobEnd(job, "runs on, since it may be somebody else's")
    if wanted is JobPolicy.LEAVE:
        return _JobEnd(job, f"runs on, as `{option}: leave` says")
    if not step.settings.can_sign_in:
        return _JobEnd(job, f"could not be withdrawn, since that takes a token: {step.address(job)}", hint=_STOP_IT)
    withdrawal = withdraw(step.client, step.settings.api_url, job)
    job = withdrawal.job
    if withdrawal.ended is Ended.FAILED:
        reason = withdrawal.reason.rstrip(".")
        said = f"could not be withdrawn, and may be running still: {step.address(job)} ({reason})"
        return _JobEnd(job, said, Stage.RUNNING, _STOP_IT, withdrawal.ended)
    said = "was still queued, and was deleted" if withdrawal.ended is Ended.DELETED else "was withdrawn"
    return _JobEnd(job, said, ended=withdrawal.ended)


def _see_end(step: Step, end: _JobEnd, log_seconds: float) -> str:
    """See a job that was withdrawn to its end, if that comes quickly, with its log; say what became of it."""
    if end.ended is not Ended.WITHDRAWN:
        _leave_log(step)
        return end.said
    job = end.job
    try:
        with step.waiter.within(step.tuning.confirm):
            while not job.is_final:
                job = look(step.client, step.settings.api_url, job)
                step.saw(job)
                if not job.is_final:
                    step.waiter.rest(step.tuning.confirm_pause)
    except (PlatformError, DeadlineExceeded):
        # It was accepted; that the end was not seen changes nothing.
        pass
    if step.log and not step.log.finish(log_seconds):
        step.workflow.info("The end of the job's log did not come in time: it may be incomplete here.")
    was_too_late = job.is_final and outcome.ended(job).result is not outcome.Result.STOPPED
    return f"was withdrawn too late: it is {job.status}" if was_too_late else end.said


def _leave_log(step: Step) -> None:
    """Show no more of a log that goes on, or cannot be had; if it is wanted only now, what there is of it."""
    if step.log:
        step.log.finish(step.tuning.confirm if step.settings.logs is Logs.ON_FAILURE else 0.0)


def _trouble(step: Step) -> str:
    """What kept the step from going on when its time was over, as a clause; "" if nothing did but time."""
    other = step.deployments.waits_for
    if other:
        return f"another deployment of the workspace, job {other.id}, was {other.status}"
    return f"the step {step.client.trouble}" if step.client.trouble else ""


def _may_be_queued(step: Step) -> str:
    if not step.deployments.may_be_queued:
        return ""
    return f"A deployment may have been queued: look at {step.workspace_url}"


def _unwind(step: Step, seconds: float, *, handled_signals: int) -> None:
    """Begin the end: from now on signals only hasten it. Connections that a wait was torn from are not used again."""
    step.waiter.unwind(step.waiter.clock.monotonic() + seconds, step.tuning.hurry, handled_signals)
    step.client.http.disconnect()
