"""The reusable workflow for many workspaces: one fails, one is misspelt, there is none. See also `examples/fleet.yml`.

act cannot read `max-parallel` and `fail-fast` from expressions (it says so, and takes its own defaults), runs no job of
the calling workflow after a called one that failed, and calls each job of a matrix a failure once one is.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from matatika_simulator import Simulator, constants
from tests.e2e.containers import Engine
from tests.e2e.workflow_run import run_workflow

FIRST, FAILING, THIRD = constants.WORKSPACE_ID, *(f"00000000-51a1-4000-8000-00000000000{it}" for it in (2, 3))
DEPLOY = "Deploy the workspace"
SCENARIO = {"job": {"runs": "0.5s"}, "other-workspaces": [{"id": FAILING, "job": {"ends": "ERROR"}}, {"id": THIRD}]}
NAMED = [{"id": it, "name": f"Number {it[-1]}", "environment": "production"} for it in (FIRST, FAILING, THIRD)]


@pytest.mark.parametrize(
    ("workspaces", "results", "result"),
    [
        (NAMED, {FIRST: "success", FAILING: "failure", THIRD: "success"}, "failure"),
        ([{"id": FIRST}, {"workspace-id": THIRD}], {}, "failure"),
        ([], {}, "skipped"),
    ],
    ids=["one of three fails", "a misspelt key deploys nothing", "an empty list is skipped"],
)
def test_fleet_deploys_what_is_listed_and_has_one_result(
    engine: Engine, released: Path, workspaces: list[Any], results: dict[str, str], result: str
) -> None:
    with Simulator(SCENARIO) as simulator:
        variables = {"WORKSPACES": json.dumps(workspaces), "API_URL": simulator.api_url}
        secrets = {"TOKEN": constants.TOKEN}
        run = run_workflow(engine, released, "tests/e2e/workflows/fleet.yml", variables, secrets)
        run.show()
        assert sorted(job.workspace_id for job in simulator.jobs) == sorted(results)
    assert (run.code != 0) == (result == "failure")
    assert sorted(run.results_of(DEPLOY)) == sorted(results.values())
    # act adds the job's number in the matrix.
    titles = re.findall(r"Deploy (Number \d)-\d", " ".join(entry.get("job", "") for entry in run.log))
    assert set(titles) == {f"Number {workspace[-1]}" for workspace in results}
    assert run.printed_by("Say it") == [f"Deployments -- {result}"]
