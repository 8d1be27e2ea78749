"""The main step, top to bottom: inputs, checks, trigger, follow, report."""

from collections.abc import Mapping

from matatika_deploy import outcome, shutdown
from matatika_deploy.checks.preparation import prepare
from matatika_deploy.errors import DeployError
from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import STANDARD_OUTPUT, Console, flush
from matatika_deploy.github.inputs import read_secrets, read_settings
from matatika_deploy.github.state import Stage
from matatika_deploy.outcome import Outcome, StepResult
from matatika_deploy.runtime.cancellation import SYSTEM_CLOCK, Cancelled, CancelScope, Clock, DeadlineExceeded
from matatika_deploy.runtime.limits import DEFAULT, Limits
from matatika_deploy.runtime.signals import Signals
from matatika_deploy.step import Step
from matatika_deploy.text import one_line

_LONGEST_MESSAGE = 500


def main(
    environ: Mapping[str, str],
    signals: Signals,
    started: float,
    *,
    clock: Clock = SYSTEM_CLOCK,
    limits: Limits = DEFAULT,
    descriptor: int = STANDARD_OUTPUT,
) -> int:
    """Run the step that `environ` describes, and return its exit code; `started` is by the clock's `monotonic`.

    Raises:
        Exception: if even an error could not be told.
    """
    console = Console(descriptor)
    commands = WorkflowCommands(environ, console)
    scope = CancelScope(clock, signals)
    step = None
    try:
        for secret in read_secrets(environ):
            commands.mask(secret)
        settings = read_settings(environ)
        scope.deadline = started + settings.timeout
        step = Step(settings, environ, commands, console, scope, limits)
        result = run(step)
    except DeployError as error:
        result = outcome.failed(error)
    except Exception as error:
        # Whatever this is, the user gets one readable error, and the post step takes care of a job that still runs.
        result = shutdown.crashed(step, error)
    try:
        report(environ, commands, step, result)
    except Exception as error:
        # No summary: it may be what could not be written.
        result = shutdown.crashed(step, error)
        report_briefly(commands, result)
    flush(console, scope, limits.last_output, limits.grace_after_signal)
    if console.error:
        # The step's own error may be what was not printed: `bootstrap` has the last word.
        _hand_on(commands, outcome.crashed(console.error))
        raise console.error
    return result.exit_code


def run(step: Step) -> StepResult:
    """Deploy, and see to it that every way to end is a proper one."""
    try:
        return deploy(step)
    except Cancelled as cancelled:
        return shutdown.cancelled(step, cancelled.signum or 0)
    except DeadlineExceeded:
        return shutdown.timed_out(step)
    except DeployError as error:
        return shutdown.failed(step, error)


def deploy(step: Step) -> StepResult:
    """Trigger the deployment and follow it to its end.

    Raises:
        DeployError: when the step cannot go on.
        Cancelled, DeadlineExceeded: as the step's scope does. `step` has what is known of the deployment by then.
    """
    settings = step.settings
    step.scope.checkpoint()
    step.publish()
    step.announce()
    step.client.sign_in()
    prepare(step)
    if settings.dry_run:
        if not settings.can_sign_in:
            step.commands.notice(
                "Only inputs and files were checked: reading the workspace takes a `token`, or a `client-id` and a "
                "`client-secret`."
            )
        return outcome.checked()
    state.save(step.commands, Stage.TRIGGERING)
    deployment = step.adopt(step.trigger.run())
    if not settings.wait:
        return shutdown.submitted(step, deployment)
    if not settings.can_sign_in:
        step.commands.notice(
            "The deployment is not followed: that takes a `token`, or a `client-id` and a `client-secret`, beside the "
            "`deployment-secret`."
        )
        return shutdown.submitted(step, deployment)
    step.follow(deployment)
    if not step.not_run or not deployment.job.has_succeeded:
        return shutdown.over(step, deployment)
    result = shutdown.finish(step, deployment)
    # The step's result comes only after the pipelines.
    step.commands.info(f"The deployment succeeded{outcome.after(deployment.job)}.")
    # One after the other, up to the first that does not succeed.
    while step.not_run and result.is_good:
        run = step.start_run(step.not_run[0])
        step.follow(run)
        is_last = not step.not_run or not run.job.has_succeeded
        result = (shutdown.over if is_last else shutdown.finish)(step, run)
        if result.is_good:
            step.commands.info(f"Pipeline '{run.pipeline}' succeeded{outcome.after(run.job)}.")
    return result


def report(environ: Mapping[str, str], commands: WorkflowCommands, step: Step | None, result: StepResult) -> None:
    """Hand on the result: as outputs, as the summary, and in the log."""
    # Imported only now, when no trigger waits for it any more.
    from matatika_deploy.github import summary

    if step:
        step.publish()
    _hand_on(commands, result)
    page = summary.SummaryPage(result.outcome, result.title, result.message, result.hint)
    commands.summarize(summary.render(step.page(result) if step else page))
    announce(commands, result, help_page(environ, result))


def report_briefly(commands: WorkflowCommands, result: StepResult) -> None:
    """Hand on a result with as little as possible that could fail."""
    _hand_on(commands, result)
    announce(commands, result)


def _hand_on(commands: WorkflowCommands, result: StepResult) -> None:
    commands.output("outcome", result.outcome)
    commands.output("message", one_line(result.headline, _LONGEST_MESSAGE))


def help_page(environ: Mapping[str, str], result: StepResult) -> str:
    """Return where the documentation tells more of an error, as a sentence; "" for a result that tells enough.

    The runner names the action's repository and version: see
    https://docs.github.com/actions/reference/workflows-and-actions/variables.
    """
    if result.outcome is not Outcome.ERROR:
        return ""
    heading = f"docs/troubleshooting.md#{result.title.lower().replace(' ', '-')}"
    repository, ref = environ.get("GITHUB_ACTION_REPOSITORY"), environ.get("GITHUB_ACTION_REF")
    if not repository or not ref:
        return f'More: "{result.title}" in the action\'s docs/troubleshooting.md'
    server = environ.get("GITHUB_SERVER_URL", "").rstrip("/") or "https://github.com"
    return f"More: {server}/{repository}/blob/{ref}/{heading}"


def announce(commands: WorkflowCommands, result: StepResult, more: str = "") -> None:
    """Print the result, as the last line of the log; one error if the step failed."""
    said = " ".join(text for text in (result.headline, result.hint, more) if text)
    if result.is_good:
        commands.info(said)
    elif result.is_notice:
        commands.notice(said, title=result.title)
    else:
        commands.error(said, title=result.title)
