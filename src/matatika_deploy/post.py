"""The post step's story: withdraw the job that main left behind, because it was killed before it could.

It runs when the job was cancelled or failed. It never triggers, never guesses, and never fails the run.
"""

if __name__ == "__main__":
    # Imports this module anew, once the signals are caught, and ends the process: nothing below is reached from here.
    from matatika_deploy.runtime.bootstrap import run

    run("matatika_deploy.post")

from collections.abc import Mapping

from matatika_deploy import outcome
from matatika_deploy.connection import connect, workspace_url
from matatika_deploy.errors import BadInput, DeployError
from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import STANDARD_OUTPUT, Console, flush
from matatika_deploy.github.inputs import JobPolicy, Settings, read_secrets, read_settings
from matatika_deploy.github.state import SavedState, Stage
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.job import Job, Unreadable, parse_job
from matatika_deploy.platform.jobs import Ended, withdraw
from matatika_deploy.platform.links import job_address
from matatika_deploy.platform.pace import Pace
from matatika_deploy.runtime.cancellation import SYSTEM_CLOCK, Clock, DeadlineExceeded, Interrupted, Waiter
from matatika_deploy.runtime.limits import DEFAULT, Tuning
from matatika_deploy.runtime.signals import Signals


def main(
    environ: Mapping[str, str],
    signals: Signals,
    started: float,
    *,
    clock: Clock = SYSTEM_CLOCK,
    tuning: Tuning = DEFAULT,
    descriptor: int = STANDARD_OUTPUT,
) -> int:
    """Do what main has left to do, if anything; the exit code is always 0."""
    saved = state.load(environ)
    if saved.stage is None or saved.stage is Stage.FINISHED:
        return 0
    job = read_job(saved)
    console = Console(descriptor)
    workflow = WorkflowCommands(environ, console)
    waiter = Waiter(clock, signals, deadline=started + tuning.post)
    try:
        settings = read_settings(environ)
    except BadInput as error:
        # They were good when main read them: a file that `ca-bundle` names may be gone since.
        warn_of(workflow, f"Job {job.id}" if job else "A job", error.message)
        flush(console, waiter, tuning.last_output, tuning.hurry)
        return 0
    if settings.on_cancel is JobPolicy.LEAVE:
        return 0
    for secret in read_secrets(environ):
        workflow.mask(secret)
    if job is None:
        workflow.warning(
            "The step was killed while its trigger was under way: a deployment may have been queued. "
            f"Look at {workspace_url(settings)}",
            title="Deployment unknown",
        )
    else:
        pace = Pace(longest=settings.poll_interval)
        client = connect(settings, environ, workflow=workflow, waiter=waiter, tuning=tuning, pace=pace)
        problem = end_job(client, settings, job, workflow)
        if problem:
            warn_of(workflow, f"Job {job.id}", f"{problem} See {job_address(settings.api_url, job)}")
    flush(console, waiter, tuning.last_output, tuning.hurry)
    return 0


def read_job(saved: SavedState) -> Job | None:
    """Give the job that main saved, without links: its addresses are built from `api-url` and its id."""
    try:
        return parse_job({"id": saved.job_id, "status": saved.job_status})
    except Unreadable:
        return None


def warn_of(workflow: WorkflowCommands, job: str, problem: str) -> None:
    """Warn that a job was left running."""
    text = f"{job} could not be withdrawn, and may be running still. {problem}"
    workflow.warning(text, title="Deployment left running")


def end_job(client: Client, settings: Settings, job: Job, workflow: WorkflowCommands) -> str:
    """Withdraw the job that main left running; gives the reason if that fails, else ""."""
    if not settings.can_sign_in:
        return "That takes a token."
    try:
        client.sign_in()
        withdrawal = withdraw(client, settings.api_url, job)
    except DeployError as error:
        return str(error)
    except (DeadlineExceeded, Interrupted):
        return "There was no time left."
    except Exception as error:
        # Whatever this is: the post step fails no run.
        return outcome.crashed(error).message
    if withdrawal.ended is Ended.OVER:
        workflow.info(f"Job {job.id} is over already: {withdrawal.job.status}.")
    elif withdrawal.ended is not Ended.FAILED:
        workflow.info(f"Job {job.id}, which the step left running, was {withdrawal.ended}.")
    return withdrawal.reason
