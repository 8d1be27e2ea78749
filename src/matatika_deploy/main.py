"""The main step's story: settings, checks, trigger, follow, report."""

from collections.abc import Mapping
from math import inf

from matatika_deploy import outcome, shutdown
from matatika_deploy.checks import run as checking
from matatika_deploy.errors import BadInput, DeployError
from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import STANDARD_OUTPUT, Console, flush
from matatika_deploy.github.inputs import read_secrets, read_settings
from matatika_deploy.github.state import Stage
from matatika_deploy.outcome import Outcome
from matatika_deploy.runtime.cancellation import SYSTEM_CLOCK, Clock, DeadlineExceeded, Interrupted, Waiter
from matatika_deploy.runtime.limits import DEFAULT, Tuning
from matatika_deploy.runtime.signals import Signals
from matatika_deploy.step import Step


def main(
    environ: Mapping[str, str],
    signals: Signals,
    started: float,
    *,
    clock: Clock = SYSTEM_CLOCK,
    tuning: Tuning = DEFAULT,
    descriptor: int = STANDARD_OUTPUT,
) -> int:
    """Run the step that `environ` describes, and give its exit code; `started` is by the clock's `monotonic`."""
    console = Console(descriptor)
    workflow = WorkflowCommands(environ, console)
    for secret in read_secrets(environ):
        workflow.mask(secret)
    waiter = Waiter(clock, signals, deadline=inf)
    step = None
    try:
        settings = read_settings(environ)
        waiter.set_deadline(started + settings.timeout)
        step = Step(settings, environ, workflow=workflow, console=console, waiter=waiter, tuning=tuning)
        result = run(step)
    except BadInput as error:
        result = outcome.failed(error)
    except Exception as error:
        # Whatever this is, the user gets one readable error, and the post step takes care of a job that still runs.
        result = outcome.crashed(error)
    try:
        report(workflow, step, result)
    except Exception as error:
        # Without what the step knows: that is what could not be reported.
        result = outcome.crashed(error)
        report(workflow, None, result)
    flush(console, waiter, tuning.last_output, tuning.hurry)
    return result.exit_code


def run(step: Step) -> Outcome:
    """Deploy, and see to it that every way to end is a proper one."""
    try:
        return deploy(step)
    except Interrupted as interruption:
        return shutdown.cancelled(step, interruption.signum)
    except DeadlineExceeded:
        return shutdown.timed_out(step)
    except DeployError as error:
        return shutdown.failed(step, error)


def deploy(step: Step) -> Outcome:
    """Trigger the deployment and follow it to its end.

    Raises:
        DeployError: when the step cannot go on.
        Interrupted, DeadlineExceeded: see `Waiter`. What is known of the deployment by then stands in `step`.
    """
    settings = step.settings
    step.waiter.check()
    step.publish()
    step.announce()
    step.client.sign_in()
    checking.check(step)
    if settings.dry_run:
        if not settings.can_sign_in:
            step.workflow.notice(
                "Only inputs and files were checked: reading the workspace takes a `token`, or a `client-id` and a "
                "`client-secret`."
            )
        return outcome.checked()
    state.save(step.workflow, Stage.TRIGGERING)
    deployment = step.deployments.trigger()
    step.adopt(deployment)
    if not settings.wait:
        return shutdown.submitted(step, deployment.job)
    if not settings.can_sign_in:
        step.workflow.notice(
            "The deployment is not followed: that takes a `token`, or a `client-id` and a `client-secret`, beside the "
            "`deployment-secret`."
        )
        return shutdown.submitted(step, deployment.job)
    return shutdown.over(step, step.follow(deployment))


def report(workflow: WorkflowCommands, step: Step | None, result: Outcome) -> None:
    """Hand on the outcome: as outputs, as the summary, and as the last line of the log."""
    # Imported only now, when no trigger waits for it any more.
    from matatika_deploy.github import summary

    if step:
        step.publish(result)
    else:
        workflow.output("outcome", result.result)
    page = summary.SummaryPage(result.result, result.title, result.message, result.hint)
    workflow.summarize(summary.render(page._replace(**step.facts()) if step else page))
    said = f"{result.message} {result.hint}".strip()
    if result.is_good:
        workflow.info(f"{result.title}: {said}")
    else:
        workflow.error(said, title=result.title)
