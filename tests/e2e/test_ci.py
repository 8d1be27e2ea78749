"""The workflow of the project itself: the job that a runner of GitHub's and act both run."""

from pathlib import Path

from tests.e2e.containers import Engine
from tests.e2e.workflow_run import run_workflow


def test_the_action_as_a_step(engine: Engine, checkout: Path) -> None:
    run = run_workflow(engine, checkout, ".github/workflows/ci.yml", {}, {}, "--job", "action")
    assert run.code == 0
    assert run.result_of("Deploy a workspace that fails") == "failure"
    assert run.result_of("Compare the outputs") == "success"
    assert run.printed_by("Compare the outputs") == ["success success COMPLETE 0", "failure failure ERROR 1"]
