"""The reusable workflow for many workspaces: one fails, one is misspelt, there is none. See also `examples/fleet.yml`.

act cannot read `max-parallel` and `fail-fast` from expressions (it says so, and takes its own defaults), runs no job of
the calling workflow after a called one that failed, and calls each job of a matrix a failure once one is.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from matatika_simulator import Simulator, constants
from tests.e2e.containers import Engine
from tests.e2e.workflow_run import WorkflowRun, run_workflow

FLEETS = ".github/workflows/deploy-workspaces.yml"
WORKSPACES = [constants.WORKSPACE_ID, *(f"00000000-51a1-4000-8000-00000000000{number}" for number in range(2, 4))]
DEPLOY = "Deploy the workspace"


@pytest.fixture(scope="module")
def fleet(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose reusable workflow uses the action beside it instead of a released one."""
    copy = tmp_path_factory.mktemp("fleet") / "checkout"
    shutil.copytree(released, copy)
    text = (copy / FLEETS).read_text(encoding="utf-8")
    assert text.count("uses: OWNER/matatika-deploy-action@v1") == 1
    (copy / FLEETS).write_text(text.replace("uses: OWNER/matatika-deploy-action@v1", "uses: ./"), encoding="utf-8")
    return copy


def _run(engine: Engine, fleet: Path, simulator: Simulator, workspaces: object) -> WorkflowRun:
    variables = {"WORKSPACES": json.dumps(workspaces), "API_URL": simulator.api_url}
    secrets = {"TOKEN": constants.TOKEN}
    return run_workflow(engine, fleet, "tests/e2e/workflows/fleet.yml", variables, secrets)


def _results(run: WorkflowRun) -> list[str]:
    """How the deployment steps of the whole matrix ended."""
    ends = [entry for entry in run.log if entry.get("stepResult") and entry["step"] == DEPLOY]
    return sorted(entry["stepResult"] for entry in ends if entry["stage"] == "Main")


def _scenario(*, failing: str | None) -> dict[str, object]:
    ends = {workspace: "ERROR" if workspace == failing else "COMPLETE" for workspace in WORKSPACES[1:]}
    others = [{"id": workspace, "job": {"ends": end}} for workspace, end in ends.items()]
    return {"job": {"runs": "0.5s", "log": [{"text": "INFO  Deployed"}]}, "other-workspaces": others}


def test_one_of_three_fails(engine: Engine, fleet: Path) -> None:
    workspaces = [
        {"id": workspace, "name": f"Number {number}", "environment": "production"}
        for number, workspace in enumerate(WORKSPACES, 1)
    ]
    with Simulator(_scenario(failing=WORKSPACES[1])) as simulator:
        run = _run(engine, fleet, simulator, workspaces)
        assert sorted(job.workspace_id for job in simulator.jobs) == sorted(WORKSPACES)
    assert run.code != 0
    assert _results(run) == ["failure", "success", "success"]
    jobs = " ".join(entry["job"] for entry in run.log if entry.get("step") == DEPLOY)
    # act adds the job's number in the matrix.
    assert set(re.findall(r"Deploy (Number \d)-\d", jobs)) == {workspace["name"] for workspace in workspaces}
    assert run.printed_by("Say it") == ["Deployments -- failure"]


def test_a_misspelt_key_deploys_nothing(engine: Engine, fleet: Path) -> None:
    with Simulator(_scenario(failing=None)) as simulator:
        run = _run(engine, fleet, simulator, [{"id": WORKSPACES[0]}, {"workspace-id": WORKSPACES[1]}])
        assert not simulator.journal
    assert run.code != 0
    assert any("entry 2" in message for message in run.said("Check the list of workspaces", "error"))
    assert run.printed_by("Say it") == ["Deployments -- failure"]


def test_an_empty_list_is_skipped(engine: Engine, fleet: Path) -> None:
    with Simulator(_scenario(failing=None)) as simulator:
        run = _run(engine, fleet, simulator, [])
        assert not simulator.journal
    assert run.code == 0
    assert run.printed_by("Show the result") == ["result skipped"]
