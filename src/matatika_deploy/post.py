"""The post step, top to bottom: withdraw the job that main left behind, because it was killed before it could.

It runs always, since `continue-on-error` turns a killed step into a successful one. It never triggers, never guesses,
and never fails the run.
"""

if __name__ == "__main__":
    # Imports this module anew, once the signals are caught, and ends the process: nothing below is reached from here.
    from matatika_deploy.runtime.bootstrap import run

    run("matatika_deploy.post")

from collections.abc import Mapping

from matatika_deploy import outcome
from matatika_deploy.errors import BadInput, DeployError
from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import STANDARD_OUTPUT, Console, flush
from matatika_deploy.github.inputs import JobPolicy, Settings, read_secrets, read_settings
from matatika_deploy.github.state import SavedState, Stage
from matatika_deploy.platform import links
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.job import Job, parse_job
from matatika_deploy.platform.jobs import Ended, Jobs
from matatika_deploy.platform.responses import InvalidResponse
from matatika_deploy.runtime.cancellation import SYSTEM_CLOCK, Cancelled, CancelScope, Clock, DeadlineExceeded
from matatika_deploy.runtime.limits import DEFAULT, Limits
from matatika_deploy.runtime.signals import Signals
from matatika_deploy.step import connect


def main(
    environ: Mapping[str, str],
    signals: Signals,
    started: float,
    *,
    clock: Clock = SYSTEM_CLOCK,
    limits: Limits = DEFAULT,
    descriptor: int = STANDARD_OUTPUT,
) -> int:
    """Do what main has left to do, if anything; the exit code is always 0."""
    saved = state.load(environ)
    if saved.stage is None or saved.stage is Stage.FINISHED:
        return 0
    console = Console(descriptor)
    commands = WorkflowCommands(environ, console)
    scope = CancelScope(clock, signals, deadline=started + limits.post)
    try:
        settings = read_settings(environ)
        if settings.dry_run or settings.on_cancel is JobPolicy.LEAVE:
            return 0
        for secret in read_secrets(environ):
            commands.mask(secret)
        clean_up(settings, saved, environ, commands, scope, limits)
    except BadInput as error:
        # They were good when main read them: a file that `ca-bundle` names may be gone since.
        _warn(commands, f"Job {saved.job_id}" if saved.job_id else "A job", error.message)
    except Exception as error:
        # Whatever this is: the post step fails no run.
        _warn(commands, f"Job {saved.job_id}" if saved.job_id else "A job", outcome.crashed(error).message)
    flush(console, scope, limits.last_output, limits.grace_after_signal)
    return 0


def clean_up(
    settings: Settings,
    saved: SavedState,
    environ: Mapping[str, str],
    commands: WorkflowCommands,
    scope: CancelScope,
    limits: Limits,
) -> None:
    """Withdraw the job that main left running, or warn that there may be one."""
    # While a trigger is under way, a job that was saved before is an earlier one.
    job = _read_job(saved.job_id, saved.job_status) if saved.stage is Stage.RUNNING else None
    if job is None:
        is_run = saved.stage is Stage.TRIGGERING and bool(saved.job_id)
        what = (
            "its request to run a pipeline was under way: a run"
            if is_run
            else "its trigger was under way: a deployment"
        )
        page = links.workspace_page(settings.api_url, settings.workspace_id)
        commands.warning(
            f"The step was killed while {what} may have been queued. Look at {page}",
            title="Deployment unknown",
        )
        return
    client = Client(connect(settings, environ, commands, limits, scope.clock), scope)
    problem = _withdraw(client, job, commands) if settings.can_sign_in else "That takes a token."
    if problem:
        _warn(commands, f"Job {job.id}", f"{problem} See {links.documented(settings.api_url, job, links.SELF)}")


def _read_job(job_id: str, status: str) -> Job | None:
    """Return the job that main saved, without links: its addresses are built from `api-url` and its id."""
    try:
        return parse_job({"id": job_id, "status": status})
    except InvalidResponse:
        return None


def _withdraw(client: Client, job: Job, commands: WorkflowCommands) -> str:
    """Withdraw the job; returns the reason if that fails, else ""."""
    try:
        client.sign_in()
        withdrawal = Jobs(client).withdraw(job)
    except DeployError as error:
        return str(error)
    except (DeadlineExceeded, Cancelled):
        return "There was no time left."
    if withdrawal.ended is Ended.OVER:
        commands.info(f"Job {job.id} is over already: {withdrawal.job.status}.")
    elif withdrawal.ended is not Ended.FAILED:
        commands.info(f"Job {job.id}, which the step left running, was {withdrawal.ended}.")
    return withdrawal.reason


def _warn(commands: WorkflowCommands, job: str, problem: str) -> None:
    text = f"{job} could not be withdrawn, and may be running still. {problem}"
    commands.warning(text, title="Deployment left running")
