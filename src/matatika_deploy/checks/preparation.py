"""What a step does before its trigger: it reads what it has to know of the workspace, and runs the checks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from matatika_deploy.checks import run as checks
from matatika_deploy.errors import BadInput, CheckFailed, NotTheApi, PlatformError
from matatika_deploy.github.inputs import DeletePolicy, Strictness
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.pipelines import Pipeline, find, list_pipelines, require_id
from matatika_deploy.platform.reading import Reading
from matatika_deploy.platform.responses import Request
from matatika_deploy.step import Step

if TYPE_CHECKING:
    from matatika_deploy.checks.source import Workspace

_UNKNOWN = "What the deployment changes is not known."


def prepare(step: Step) -> None:
    """Read what the trigger and the checks need to know, run the checks, and show what they find.

    Raises:
        CheckFailed: if a check that is set to `error` found something of that level, or a pipeline must not be deleted.
        BadInput: if `run-pipelines` names what is no pipeline.
        PlatformError: if what must be read cannot be, or nothing after it could succeed.
        Cancelled, DeadlineExceeded: as the step's scope does.
    """
    listing = step.list_jobs() if step.settings.can_sign_in and not step.settings.dry_run else None
    pipelines_listing = _start_listing_pipelines(step)
    step.workspace = _read_workspace(step)
    step.publish()
    step.directory = step.directory or (step.workspace and step.workspace.directory) or ""
    pipelines = _finish_listing_pipelines(step, pipelines_listing)
    entries = None if pipelines is None else [pipeline.fields for pipeline in pipelines]
    # A task, so that a signal need not wait for ten thousand files.
    checked = step.scope.run(lambda: checks.before_trigger(step.settings, step.workspace, step.environ, entries), inf)
    step.files, step.plan, step.tolerated = checked.files, checked.plan, checked.tolerated
    step.annotate(checked.findings)
    if checked.why_no_plan:
        step.commands.info(f"{step.clean(checked.why_no_plan)} {_UNKNOWN}")
    if listing:
        step.know_jobs(listing)
    _show_plan(step)
    _find_pipelines(step, pipelines or ())
    if checked.refusing:
        raise CheckFailed(checked.refusal, "Fix what the annotations name, or set the check to `warn`.")


def _read_workspace(step: Step) -> Workspace | None:
    """Read what the checks need to know of the workspace; a warning if that is all that depends on it."""
    settings = step.settings
    is_wanted = (
        settings.dry_run or settings.preflight is not Strictness.OFF or settings.verify_source is not Strictness.OFF
    )
    if not settings.can_sign_in or not is_wanted:
        return None
    from matatika_deploy.checks.source import Workspace

    def read(client: Client) -> Workspace:
        url = f"{settings.api_url}{step.workspace_path}"
        request = Request("read the workspace", "GET", url, client.platform.token)
        clean = client.platform.redactor.clean
        return client.call(request, lambda response: Workspace.from_json(response.json(), clean))

    if settings.dry_run or settings.verify_source is Strictness.ERROR:
        return read(step.client)
    found = step.read("read the workspace", read).result_or_error()
    if isinstance(found, PlatformError):
        text = f"{found.message} It is not known what it deploys."
        step.commands.warning(text, title="Workspace not checked")
        return None
    return found


def _start_listing_pipelines(step: Step) -> Reading[tuple[Pipeline, ...]] | None:
    """Start to list the workspace's pipelines, if the plan or `run-pipelines` needs them."""
    settings = step.settings
    may_have_plan = settings.preflight is not Strictness.OFF and _has_checkout(step)
    if not settings.can_sign_in or not (may_have_plan or settings.run_pipelines):
        return None
    return step.read("list the pipelines", lambda client: list_pipelines(client, step.workspace_path))


def _has_checkout(step: Step) -> bool:
    """Whether there is any file that the plan could be made of."""
    try:
        with os.scandir(step.environ.get("GITHUB_WORKSPACE") or ".") as entries:
            return any(True for _ in entries)
    except OSError:
        return False


def _finish_listing_pipelines(step: Step, listing: Reading[tuple[Pipeline, ...]] | None) -> tuple[Pipeline, ...] | None:
    """Wait for the list of pipelines; without one there is no plan.

    Raises:
        PlatformError: if pipelines are to be run, or `api-url` is the address of something else.
    """
    if listing is None:
        return None
    try:
        return listing.result()
    except PlatformError as error:
        if step.settings.run_pipelines or isinstance(error, NotTheApi):
            raise
        step.commands.info(f"{error.message} {_UNKNOWN}")
        return None


def _show_plan(step: Step) -> None:
    """Show what the deployment does to pipelines; whether it may delete any depends on `on-delete`.

    Raises:
        CheckFailed: if it would delete one, and must not.
    """
    policy, plan = step.settings.on_delete, step.plan
    if plan is None:
        if policy is DeletePolicy.REFUSE:
            step.commands.warning(
                "`on-delete` was not applied: it is not known which pipelines the deployment deletes."
            )
        return
    step.publish()
    for sign, name, what in step.plan_rows():
        step.commands.info(f"{sign} {name}: {what}")
    if not plan.delete or policy is DeletePolicy.ALLOW:
        return
    names = step.clean(", ".join(f"'{name}'" for name, _ in plan.delete))
    files, gone = ("file", "its file is gone") if len(plan.delete) == 1 else ("files", "the files are gone")
    if policy is DeletePolicy.REFUSE:
        raise CheckFailed(
            f"Nothing was deployed: the deployment would delete {names}, since {gone}.",
            f"Restore the {files}, or set `on-delete` to `warn` or `allow`.",
        )
    verb = "would delete" if step.settings.dry_run else "deletes"
    step.commands.warning(f"The deployment {verb} {names}, since {gone}.")


def _find_pipelines(step: Step, pipelines: Sequence[Pipeline]) -> None:
    """Find what `run-pipelines` names.

    Raises:
        BadInput: if a name is unknown, or could be two.
        PlatformError: if the platform gives no id for one.
    """
    entries, plan = step.settings.run_pipelines, step.plan
    if not entries or not step.settings.can_sign_in:
        return
    created = [creation.names for creation in plan.create] if plan else []
    deleted = [name for name, _ in plan.delete] if plan else []
    step.not_run, problems = find(entries, pipelines, created, deleted, step.directory)
    if problems:
        raise BadInput([step.clean(problem) for problem in problems])
    for named in step.not_run:
        if named.before:
            require_id(named.before)
            if named.before.runs_after_deployments:
                step.notice_second_run(named.before)
