"""The checks of a step: which run, and how strictly their findings are taken.

The checks themselves are imported only when they run, since they bring a YAML parser with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from matatika_deploy.findings import Finding, Level, as_warnings
from matatika_deploy.github.inputs import Settings, Strictness

if TYPE_CHECKING:
    from matatika_deploy.checks.plan import Plan
    from matatika_deploy.checks.preflight import Report
    from matatika_deploy.checks.source import Workspace


class Checked(NamedTuple):
    """What the checks before the trigger found, and how many of the findings refuse the deployment.

    `files` counts those that were read, by kind. `plan` is None if it cannot be told what the deployment changes.
    """

    findings: list[Finding]
    refusing: int
    files: Mapping[str, int]
    plan: Plan | None
    tolerated: int = 0
    """How many errors are shown as warnings."""
    why_no_plan: str = ""
    """A sentence, where the user can do something about it."""

    @property
    def refusal(self) -> str:
        """The first error with its place, and how many there are."""
        first = next(finding for finding in self.findings if finding.level is Level.ERROR)
        place = f"{first.place}: " if first.place else ""
        count = "one error was" if self.refusing == 1 else f"{self.refusing} errors were"
        return f"{place}{first.message} Nothing was deployed: {count} found before the trigger."


def before_trigger(
    settings: Settings,
    workspace: Workspace | None,
    environ: Mapping[str, str],
    pipelines: Sequence[object] | None = None,
) -> Checked:
    """Run the checks that the settings ask for.

    Arguments:
        workspace: what the platform says of the workspace, if it was read.
        environ: the runner's variables.
        pipelines: the entries of the platform's list of pipelines, if it was read.
    """
    findings: list[Finding] = []
    refusing = tolerated = 0
    files: Mapping[str, int] = {}
    plan, why_no_plan = None, ""
    if settings.preflight is not Strictness.OFF:
        from matatika_deploy.checks import preflight

        report = preflight.check(
            Path(environ.get("GITHUB_WORKSPACE") or "."),
            settings.workspace_directory,
            workspace.directory if workspace else None,
            is_required=settings.preflight is Strictness.ERROR,
        )
        refused, shown = _take(report.findings, settings.preflight, findings)
        refusing, tolerated = refusing + refused, tolerated + shown
        files = report.files
        if workspace and pipelines is not None:
            plan, why_no_plan = _plan(report, workspace, environ, pipelines)
    if settings.verify_source is not Strictness.OFF and workspace:
        from matatika_deploy.checks import source

        refused, shown = _take(source.compare(workspace, environ), settings.verify_source, findings)
        refusing, tolerated = refusing + refused, tolerated + shown
    return Checked(findings, refusing, files, plan, tolerated, why_no_plan)


def after_deployment(settings: Settings, commit_id: str | None, environ: Mapping[str, str]) -> list[Finding]:
    """Compare the commit that was deployed with the one that the workflow runs for; never an error: it is deployed."""
    if settings.verify_source is Strictness.OFF:
        return []
    from matatika_deploy.checks import source

    return source.compare_commit(commit_id, environ)


def _plan(
    report: Report, workspace: Workspace, environ: Mapping[str, str], pipelines: Sequence[object]
) -> tuple[Plan | None, str]:
    """Compare the checkout with the platform, if both are known to mean the same; else perhaps say why not."""
    from matatika_deploy.checks import files, plan, source
    from matatika_deploy.checks.wording import short

    if report.pipelines is None or report.where is None or not source.deploys_this(workspace, environ):
        return None, ""
    root, folder = report.where
    if workspace.directory and files.linked(root, root / workspace.directory) != folder:
        where = f"The workspace lies in '{short(workspace.directory)}'"
        return None, f"{where}, not in the folder of `workspace-directory`."
    listed = filter(None, (plan.Pipeline.from_json(item) for item in pipelines))
    directory = folder.relative_to(root).as_posix()
    return plan.compare(report.pipelines, listed, report.has_file, "" if directory == "." else directory), ""


def _take(found: list[Finding], strictness: Strictness, findings: list[Finding]) -> tuple[int, int]:
    """Add what a check found; returns how many errors refuse the deployment, and how many are shown as warnings."""
    errors = sum(finding.level is Level.ERROR for finding in found)
    if strictness is Strictness.ERROR:
        findings += found
        return errors, 0
    findings += as_warnings(found)
    return 0, errors
