"""Every way to end a step: what happens to its job, and what the user is told."""

from typing import NamedTuple

from matatika_deploy import outcome
from matatika_deploy.checks import run as checks
from matatika_deploy.errors import DeployError, PlatformError
from matatika_deploy.github import state
from matatika_deploy.github.inputs import JobPolicy, Logs, timeout_hint
from matatika_deploy.github.state import Stage
from matatika_deploy.outcome import Outcome, StepResult
from matatika_deploy.platform.followed_job import FollowedJob
from matatika_deploy.platform.job import Job
from matatika_deploy.platform.jobs import Ended
from matatika_deploy.platform.polling import poll
from matatika_deploy.runtime.cancellation import DeadlineExceeded
from matatika_deploy.step import Step
from matatika_deploy.text import format_duration

_QUEUE = (
    "Let the workflow's deployments of one workspace wait for each other with `concurrency`, or raise the input "
    "`timeout`."
)
_IS_IT_UP = "Is the platform up, and are its addresses right?"
_SHOW_LOG = "The job's log says why: with `logs: on-failure`, it is shown here."


def over(step: Step, followed: FollowedJob) -> StepResult:
    """End a step whose last job is over: its result stands, whatever signal comes."""
    _begin(step, step.limits.log_end, handled_signals=0)
    return finish(step, followed)


def finish(step: Step, followed: FollowedJob) -> StepResult:
    """Return the result of a job that is over, once the rest of its log is shown."""
    step.following = None
    state.save(step.commands, Stage.FINISHED)
    job, logs = followed.job, step.settings.logs
    is_wanted = logs is Logs.STREAM or not job.has_succeeded
    if followed.log and is_wanted and not followed.log.finish(step.limits.log_end):
        followed.log.reader.warn_once("its end did not come in time.")
    if job.has_succeeded and not followed.pipeline:
        step.annotate(checks.after_deployment(step.settings, job.commit_id, step.environ))
    where = _SHOW_LOG if logs is Logs.NONE else f"Neither the platform nor the log says why: {_look(step)}"
    why = "" if job.has_succeeded else _reason(step, followed)
    if job.has_succeeded and job.exit_code:
        what = f"Pipeline '{followed.pipeline}'" if followed.pipeline else "The deployment"
        step.commands.warning(f"{what} succeeded, although its exit code is {job.exit_code}.")
    if followed.pipeline and not job.has_succeeded:
        return after_deployment(step, outcome.pipeline_ended(followed.pipeline, job, why, where))
    result = outcome.ended(step.deployment.job if step.deployment else job, why, where)
    if result.outcome is Outcome.SUCCESS and step.tolerated:
        count = "an error" if step.tolerated == 1 else f"{step.tolerated} errors"
        result = result.adding(f"It was deployed although the checks had found {count}.")
    return outcome.with_pipelines(result, [run.pipeline for run in step.runs])


def _reason(step: Step, followed: FollowedJob) -> str:
    """Say why a job failed: in the platform's words, or those of the log."""
    if followed.job.message or not followed.log:
        return followed.job.message or ""
    # Imported only now, since it compiles a number of patterns.
    from matatika_deploy.platform.reason import reason

    # A credential may go over two lines, of which the reason is one.
    return reason(step.shown(followed.log.reader.last_lines))


def submitted(step: Step, followed: FollowedJob) -> StepResult:
    """End a step whose job is not waited for."""
    state.save(step.commands, Stage.FINISHED)
    return outcome.submitted(followed.job)


def cancelled(step: Step, signum: int) -> StepResult:
    """End a step that got a signal: the job is withdrawn first, and everything else has to be quick."""
    _begin(step, step.limits.cancel, handled_signals=1)
    followed, found = step.following, None
    if followed is None:
        with step.scope.fail_after(step.limits.cancel_answer + step.limits.cancel_listing):
            found = step.trigger.resolve_pending(answer_within=step.limits.cancel_answer, listings=1)
        if found is None:
            state.save(step.commands, Stage.FINISHED)
            if step.trigger.pending:
                unknown = outcome.cancelled(signum, _may_be_queued(step), _look_first(step), may_run_on=True)
                return after_deployment(step, unknown)
            said = "" if step.deployment else "Nothing was deployed."
            return after_deployment(step, outcome.cancelled(signum, said, may_run_on=False))
        followed = FollowedJob(found, step.client, step.trigger.target.pipeline)
    end = _end_job(step, followed, step.settings.on_cancel, "on-cancel")
    if found:
        followed = step.adopt(found)
    _note(step, followed, end)
    if end.ended is Ended.OVER:
        return _over_after_all(step, followed, outcome.cancelled(signum, "", may_run_on=False))
    said = f"{followed.label} {_await_end(step, followed, end, step.limits.confirm)}."
    return after_deployment(step, outcome.cancelled(signum, said, end.hint, may_run_on=end.may_run_on))


def timed_out(step: Step) -> StepResult:
    """End a step whose deadline has passed: the job is looked at once more before that counts."""
    trouble = _trouble(step)
    hint = _out_of_time(step)
    _begin(step, step.limits.after_deadline, handled_signals=0)
    timeout = format_duration(step.settings.timeout)
    if step.following is None:
        with step.scope.fail_after(step.limits.last_listing):
            triggered = step.trigger.resolve_pending(answer_within=0, listings=2)
        if triggered:
            step.adopt(triggered)
    followed = step.following
    if followed is None:
        state.save(step.commands, Stage.FINISHED)
        because = f": {trouble}" if trouble else ""
        said = f"No deployment could be triggered within {timeout}{because}."
        if step.deployment and step.not_run:
            pipeline = step.not_run[0].title
            said = f"Pipeline '{pipeline}' could not be run within {timeout}{because}."
        return after_deployment(step, _naming_job(step, outcome.timed_out(said, hint)))
    try:
        with step.scope.fail_after(step.limits.last_look):
            followed.saw(followed.jobs.get(followed.job))
        step.publish()
        trouble = ""
    except (PlatformError, DeadlineExceeded):
        trouble = trouble or _trouble(step)
    out_of_time = outcome.timed_out(f"The step has taken {timeout}.", hint)
    if followed.job.is_over:
        return _over_after_all(step, followed, out_of_time)
    end = _end_job(step, followed, step.settings.on_timeout, "on-timeout")
    _note(step, followed, end)
    if end.ended is Ended.OVER:
        return _over_after_all(step, followed, out_of_time)
    said = _await_end(step, followed, end, step.limits.log_end)
    message = f"{followed.label} was not over within {timeout}: it {said}."
    if trouble:
        message = f"{message} At the end, {trouble}."
    return after_deployment(step, outcome.timed_out(message, end.hint or hint))


def _over_after_all(step: Step, followed: FollowedJob, result: StepResult) -> StepResult:
    """End a step whose job turned out to be over: `result` counts only if pipelines are still to be run."""
    ended = over(step, followed)
    return after_deployment(step, result) if ended.is_good and step.not_run else ended


def failed(step: Step, error: DeployError) -> StepResult:
    """End a step that cannot go on: a job that may be running still is named."""
    _begin(step, step.limits.after_deadline, handled_signals=0)
    result = outcome.failed(error)
    state.save(step.commands, Stage.FINISHED)
    if step.following:
        _leave_log(step, step.following)
    return after_deployment(step, _naming_job(step, result))


def crashed(step: Step | None, error: Exception) -> StepResult:
    """End a step after an error of the program itself. The post step takes care of a job that may be running."""
    result = outcome.crashed(error)
    return after_deployment(step, _naming_job(step, result)) if step else result


def after_deployment(step: Step, result: StepResult) -> StepResult:
    """Say that the deployment itself succeeded, and which pipelines were not run, if the step failed after it."""
    if step.deployment is None or step.deployment is step.following or not step.settings.run_pipelines:
        return result
    result = result.adding("The deployment itself succeeded.")
    # A run that may have been queued is told of as such.
    names = [f"'{named.title}'" for named in step.not_run[1 if step.trigger.pending else 0 :]]
    if not names:
        return result
    return result.adding(f"Not run: {', '.join(names)}.")


class _JobEnd(NamedTuple):
    """What became of the job when the step ended before it; `ended` is None if nothing was done about it.

    `said` is a clause about the job ("was withdrawn"); a job that `may_run_on` does so against the user's wish.
    """

    job: Job
    said: str
    ended: Ended | None = None
    hint: str = ""
    may_run_on: bool = False


def _end_job(step: Step, followed: FollowedJob, policy: JobPolicy, option: str) -> _JobEnd:
    """Withdraw the job, if it is ours and the policy says so. Prints nothing: the withdrawal comes first."""
    job = followed.job
    if policy is JobPolicy.LEAVE:
        return _JobEnd(job, f"runs on, as `{option}: leave` says")
    if not followed.is_ours:
        return _JobEnd(job, "runs on, since it may be somebody else's", may_run_on=True)
    if not step.settings.can_sign_in:
        said = f"could not be withdrawn, and may be running still: {followed.url} (that takes a token or an API key)"
        return _JobEnd(job, said, hint=_stop_it(step), may_run_on=True)
    withdrawal = followed.jobs.withdraw(job)
    if withdrawal.ended is Ended.FAILED:
        why = withdrawal.reason.removeprefix("Could not withdraw the job: ").rstrip(".")
        said = f"could not be withdrawn, and may be running still: {followed.url} ({why[:1].lower()}{why[1:]})"
        return _JobEnd(withdrawal.job, said, withdrawal.ended, _stop_it(step), may_run_on=True)
    said = "was still queued, and was deleted" if withdrawal.ended is Ended.DELETED else "was withdrawn"
    if followed.is_only or withdrawal.ended is Ended.OVER:
        return _JobEnd(withdrawal.job, said, withdrawal.ended)
    said = f"{said}, but a second {step.trigger.target.noun} may have been queued"
    return _JobEnd(withdrawal.job, said, withdrawal.ended, _stop_it(step), may_run_on=True)


def _note(step: Step, followed: FollowedJob, end: _JobEnd) -> None:
    """Report the state in which the job was left, to people, next steps and post step."""
    followed.saw(end.job)
    step.publish()
    state.save(step.commands, Stage.RUNNING if end.ended is Ended.FAILED else Stage.FINISHED)


def _await_end(step: Step, followed: FollowedJob, end: _JobEnd, log_seconds: float) -> str:
    """Follow a job that was withdrawn to its end, if that comes quickly, with its log; returns what became of it."""
    if end.ended is not Ended.WITHDRAWN:
        _leave_log(step, followed)
        return end.said
    try:
        with step.scope.fail_after(step.limits.confirm):
            if not followed.job.is_over:
                followed.saw(followed.jobs.get(followed.job))
            for seen in poll(followed.jobs.get, followed.job, lambda: step.scope.sleep(step.limits.confirm_pause)):
                followed.saw(seen)
    except (PlatformError, DeadlineExceeded):
        # It was accepted; that the end was not seen changes nothing.
        pass
    step.publish()
    if followed.log and not followed.log.finish(log_seconds):
        step.commands.info("The end of the job's log did not come in time: it may be incomplete here.")
    job = followed.job
    was_too_late = job.is_over and outcome.ended(job).outcome is not Outcome.STOPPED
    return f"was withdrawn too late: it is {job.status}" if was_too_late else end.said


def _leave_log(step: Step, followed: FollowedJob) -> None:
    """Show no more of a log that goes on, or cannot be had; if it is wanted only now, what there is of it."""
    if followed.log:
        followed.log.finish(step.limits.confirm if step.settings.logs is Logs.ON_FAILURE else 0.0)


def _trouble(step: Step) -> str:
    """What kept the step from going on when its time was over, as a clause; "" if nothing did but time."""
    if step.waits_for or step.trigger.waits_for:
        return step.waits_for or step.trigger.waits_for
    return f"the step {step.client.trouble}" if step.client.trouble else ""


def _out_of_time(step: Step) -> str:
    """What to do about it, if time alone was missing, or what took it."""
    if step.trigger.waits_for:
        return _QUEUE
    if step.client.trouble:
        return _IS_IT_UP
    return timeout_hint(step.environ) or outcome.RAISE_TIMEOUT


def _naming_job(step: Step, result: StepResult) -> StepResult:
    """Name the job that may be running when the step gives up."""
    followed = step.following
    if followed is None and step.trigger.pending:
        result = result.adding(_may_be_queued(step))
    elif followed and not followed.job.is_over:
        result = result.adding(f"Job {followed.job.id} may be running still.")
    else:
        return result
    return result._replace(hint=f"{result.hint} {_look_first(step)}".strip())


def _may_be_queued(step: Step) -> str:
    return f"A {step.trigger.target.noun} may have been queued."


def _look_first(step: Step) -> str:
    return f"Before you run the workflow again, {_look(step)}"


def _stop_it(step: Step) -> str:
    return f"If it must not go on, stop it in the app: {step.workspace_url}"


def _look(step: Step) -> str:
    """Where a person sees how jobs are; the address comes last, so that nothing is read as a part of it."""
    return f"look at the workspace: {step.workspace_url}"


def _begin(step: Step, seconds: float, *, handled_signals: int) -> None:
    """Begin the shutdown: from now on signals only shorten it. Connections that a wait was torn from are not reused."""
    deadline = step.scope.clock.monotonic() + seconds
    step.scope.begin_shutdown(deadline, step.limits.grace_after_signal, handled_signals)
    step.client.http.disconnect()
