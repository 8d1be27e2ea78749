"""The checks of a step: how strictly their findings are taken, and what they need from the platform.

The checks themselves are imported only when they run, since they bring a YAML parser with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matatika_deploy.errors import CheckFailed, PlatformError
from matatika_deploy.findings import Finding, Level
from matatika_deploy.github.inputs import Strictness
from matatika_deploy.platform.http import Request
from matatika_deploy.platform.job import JobStatus
from matatika_deploy.step import Step

if TYPE_CHECKING:
    from matatika_deploy.checks.source import Workspace


def check(step: Step) -> None:
    """Run the checks that are wanted before the trigger, and annotate what they find.

    Raises:
        CheckFailed: if a finding of level error stands against a check that is set to `error`.
        PlatformError: if the workspace must be read, and cannot be.
        Interrupted, DeadlineExceeded: as the step's waiter does.
    """
    settings = step.settings
    workspace = _read_workspace(step)
    refusing = []
    if settings.preflight is not Strictness.OFF:
        found = _preflight(step, workspace)
        refusing += found if settings.preflight is Strictness.ERROR else []
        step.findings += found
    if settings.verify_source is not Strictness.OFF and workspace:
        found = _verify_source(step, workspace)
        refusing += found if settings.verify_source is Strictness.ERROR else []
        step.findings += found
    step.workflow.annotate(step.findings)
    errors = sum(finding.level is Level.ERROR for finding in refusing)
    if errors:
        count = "one error was" if errors == 1 else f"{errors} errors were"
        raise CheckFailed(
            f"Nothing was deployed: {count} found before the trigger.",
            "Mend what the annotations name, or set the check to `warn`.",
        )


def check_commit(step: Step) -> None:
    """Compare the commit that was deployed with the one that the workflow runs for; never an error: it is deployed."""
    if step.settings.verify_source is Strictness.OFF or step.job is None or step.job.status != JobStatus.COMPLETE:
        return
    from matatika_deploy.checks import source

    found = source.compare_commit(step.job.commit_id, step.environ)
    step.findings += found
    step.workflow.annotate(found)


def _preflight(step: Step, workspace: Workspace | None) -> list[Finding]:
    from matatika_deploy.checks import preflight

    directory = step.settings.workspace_directory
    default = workspace.directory if workspace else None
    is_required = step.settings.preflight is Strictness.ERROR
    checkout = Path(step.environ.get("GITHUB_WORKSPACE") or ".")
    # An errand, so that a signal need not wait for ten thousand files.
    return step.waiter.run(
        lambda: preflight.check(checkout, directory, default, is_required=is_required).findings, step.settings.timeout
    )


def _verify_source(step: Step, workspace: Workspace) -> list[Finding]:
    from matatika_deploy.checks import source

    found = source.compare(workspace, step.environ)
    return found if step.settings.verify_source is Strictness.ERROR else source.lowered(found)


def _read_workspace(step: Step) -> Workspace | None:
    """Read what the checks need to know of the workspace; a warning if that is all that depends on it."""
    settings = step.settings
    wants_directory = settings.preflight is not Strictness.OFF and settings.workspace_directory is None
    if not settings.can_sign_in or not (
        settings.dry_run or wants_directory or settings.verify_source is not Strictness.OFF
    ):
        return None
    from matatika_deploy.checks.source import Workspace

    address = f"{settings.api_url}/workspaces/{settings.workspace_id}"
    request = Request("read the workspace", "GET", address, step.client.access)
    if settings.dry_run or settings.verify_source is Strictness.ERROR:
        return step.client.call(request, lambda answer: Workspace.from_json(answer.json()))
    try:
        return step.client.call_once(
            request, lambda answer: Workspace.from_json(answer.json()), within=step.tuning.check
        )
    except PlatformError as error:
        step.workflow.warning(f"{error.message} It is not known what it deploys.", title="Workspace not checked")
        return None
