"""The ways in which a step ends: what happens to its job, and what the user is told."""

from dataclasses import dataclass

from matatika_deploy import checking, outcome, state
from matatika_deploy.errors import DeployError, PlatformError
from matatika_deploy.outcome import Outcome
from matatika_deploy.platform.deployments import Deployment
from matatika_deploy.platform.job import Job
from matatika_deploy.platform.jobs import Ended, look, withdraw
from matatika_deploy.settings import Ending, Logs
from matatika_deploy.state import Stage
from matatika_deploy.step import Step
from matatika_deploy.waiting import DeadlineExceeded
from matatika_deploy.workflow import spell


def over(step: Step, job: Job) -> Outcome:
    """The job is over: its result stands, whatever signal comes. What is left of its log is shown."""
    _unwind(step, step.tuning.log_end, handled_signals=0)
    state.save(step.workflow, Stage.FINISHED)
    result = outcome.ended(job)
    if not _is_log_read(step, step.tuning.log_end, has_failed=not result.is_good) and step.log:
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
        return outcome.cancelled(signum, *_without_job(step))
    end = _end_job(step, deployment, step.job or deployment.job, step.settings.on_cancel, "on-cancel")
    if found:
        step.adopt(found)
    step.saw(end.job)
    state.save(step.workflow, end.stage)
    if end.was_over:
        return over(step, end.job)
    _confirm(step, end)
    _finish_log(step, 0.0 if end.is_gone else step.tuning.confirm, has_failed=True)
    return outcome.cancelled(signum, end.said, end.hint)


def timed_out(step: Step) -> Outcome:
    """The deadline has passed: the job is looked at once more before that counts."""
    _unwind(step, step.tuning.after_deadline, handled_signals=0)
    timeout = spell(step.settings.timeout)
    if step.deployment is None:
        with step.waiter.within(step.tuning.last_listing):
            found = step.deployments.settle(answer_within=0, listings=2)
        if found:
            step.adopt(found)
    if step.deployment is None or step.job is None:
        state.save(step.workflow, Stage.FINISHED)
        said, _ = _without_job(step)
        return outcome.timed_out(f"No deployment was known to be queued within {timeout}: {said}")
    try:
        with step.waiter.within(step.tuning.last_look):
            step.saw(look(step.client, step.settings.api_url, step.job))
    except (PlatformError, DeadlineExceeded):
        step.workflow.say("The platform did not answer the last look at the job.")
    if step.job.is_final:
        return over(step, step.job)
    end = _end_job(step, step.deployment, step.job, step.settings.on_timeout, "on-timeout")
    step.saw(end.job)
    state.save(step.workflow, end.stage)
    if end.was_over:
        return over(step, end.job)
    _confirm(step, end)
    _finish_log(step, 0.0 if end.is_gone else step.tuning.log_end, has_failed=True)
    return outcome.timed_out(f"The job was not over within {timeout}. {end.said}")


def failed(step: Step, error: DeployError) -> Outcome:
    """The step cannot go on: a job that may be running still is named."""
    _unwind(step, step.tuning.after_deadline, handled_signals=0)
    result = outcome.failed(error)
    state.save(step.workflow, Stage.FINISHED)
    _finish_log(step, step.tuning.log_end, has_failed=True)
    if step.job and not step.job.is_final:
        return outcome.adding(result, f"Job {step.job.id} may be running still: {step.job_url}")
    if step.deployments.may_be_queued:
        return outcome.adding(result, _MAY_BE_QUEUED.format(step.workspace_url))
    return result


_MAY_BE_QUEUED = "A deployment may have been queued all the same: look at {}"
_STOP_IT = "Stop it in the app if it must not go on."


@dataclass(frozen=True)
class _JobEnd:
    """What became of the job when the step ended before it."""

    job: Job
    said: str
    stage: Stage
    hint: str = ""
    is_ending: bool = False
    is_gone: bool = False
    was_over: bool = False


def _end_job(step: Step, deployment: Deployment, job: Job, wanted: Ending, option: str) -> _JobEnd:
    """Withdraw the job, if it is ours and that is wanted. Prints nothing: the withdrawal comes before everything."""
    if not deployment.is_ours:
        return _JobEnd(job, f"Job {job.id} runs on, since it may be somebody else's.", Stage.FINISHED)
    if wanted is Ending.LEAVE:
        return _JobEnd(job, f"Job {job.id} runs on, as `{option}: leave` says.", Stage.FINISHED)
    if not step.settings.can_sign_in:
        said = f"Job {job.id} could not be withdrawn, since that takes a token: {step.address(job)}"
        return _JobEnd(job, said, Stage.FINISHED, _STOP_IT)
    withdrawal = withdraw(step.client, step.settings.api_url, job)
    job = withdrawal.job
    if withdrawal.ended is Ended.FAILED:
        said = f"Job {job.id} could not be withdrawn, and may be running still: {step.address(job)} {withdrawal.reason}"
        return _JobEnd(job, said, Stage.RUNNING, _STOP_IT)
    if withdrawal.ended is Ended.OVER:
        return _JobEnd(job, f"Job {job.id} was over already.", Stage.FINISHED, was_over=True)
    if withdrawal.ended is Ended.DELETED:
        return _JobEnd(job, f"Job {job.id} was still queued, and was deleted.", Stage.FINISHED, is_gone=True)
    return _JobEnd(job, f"Job {job.id} was withdrawn.", Stage.FINISHED, is_ending=True)


def _confirm(step: Step, end: _JobEnd) -> None:
    """See whether a job that was withdrawn ends quickly, so that its last status and its log are known."""
    job = end.job
    try:
        with step.waiter.within(step.tuning.confirm):
            while end.is_ending and not job.is_final:
                job = look(step.client, step.settings.api_url, job)
                step.saw(job)
                if not job.is_final:
                    step.waiter.rest(step.tuning.confirm_pause)
    except (PlatformError, DeadlineExceeded):
        return


def _without_job(step: Step) -> tuple[str, str]:
    if step.deployments.may_be_queued:
        return _MAY_BE_QUEUED.format(step.workspace_url), "If there is one that must not go on, stop it in the app."
    return "nothing was deployed.", ""


def _finish_log(step: Step, seconds: float, *, has_failed: bool) -> None:
    """Show the rest of the log as far as it comes in a hurry; none of it without any `seconds`."""
    if not _is_log_read(step, seconds, has_failed=has_failed) and seconds:
        step.workflow.say("The end of the job's log could not be read: it may be incomplete here.")


def _is_log_read(step: Step, seconds: float, *, has_failed: bool) -> bool:
    """Show the rest of the log, or all of it if it is wanted only now; says whether nothing is missing."""
    if step.log is None or (step.settings.logs is Logs.ON_FAILURE and not has_failed):
        return True
    return step.log.finish(seconds)


def _unwind(step: Step, seconds: float, *, handled_signals: int) -> None:
    """Begin the end: from now on signals only hasten it. Connections that a wait was torn from are not used again."""
    step.waiter.unwind(step.waiter.clock.monotonic() + seconds, step.tuning.hurry, handled_signals)
    step.client.http.disconnect()
