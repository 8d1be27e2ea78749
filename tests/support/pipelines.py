"""A step in this process whose workspace has pipelines, some of them in the checkout."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from matatika_simulator import constants
from tests.support.in_process import Stage, stage
from tests.support.step import Step

VERSION: Final = "version: pipelines/v0.1\n"
REPOSITORY: Final = "simulated-org/simulated-workspace"
SECRET_PROPERTY: Final = "pr0perty-0f-a-pipeline"

DEPLOYMENT: Final[Mapping[str, Any]] = {"runs": "3s", "commit-id": constants.COMMIT_ID}
A_DELETION: Final = ({"name": "gone", "on-deploy": "delete"},)


def check_out(step: Step, pipelines: Mapping[str, str], folder: str = "") -> None:
    """Check a workspace out that has these pipeline files, each with its version, for a push to its branch."""
    root = step.workspace / folder
    (root / "pipelines").mkdir(parents=True)
    (root / "workspace.yml").write_text("version: workspaces/v0.2\nname: Orders\n", encoding="utf-8")
    for name, content in pipelines.items():
        (root / f"pipelines/{name}.yml").write_text(f"{VERSION}{content}", encoding="utf-8")
    step.environ |= {
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_REF": f"refs/heads/{constants.REPOSITORY_BRANCH}",
        "GITHUB_SHA": constants.COMMIT_ID,
    }


@contextmanager
def stage_with_pipelines(
    folder: Path,
    pipelines: Sequence[Mapping[str, Any]] = (),
    files: Mapping[str, str] | None = None,
    scenario: Mapping[str, Any] | None = None,
    /,
    **inputs: str,
) -> Iterator[Stage]:
    """Set a stage for one step: `pipelines` are the platform's, as in a scenario, and `files` those of the checkout.

    Without `files` there is no checkout, and no preflight. `scenario` has what else the platform does.
    """
    whole = {"job": DEPLOYMENT, "pipelines": list(pipelines), **(scenario or {})}
    preflight = "off" if files is None else "warn"
    with stage(folder, whole, **{"preflight": preflight, **inputs}) as here:
        if files is not None:
            check_out(here.step, files)
        yield here
