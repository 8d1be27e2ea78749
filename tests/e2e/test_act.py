"""The action in real workflows, under act."""

import json
from pathlib import Path
from typing import Any

from matatika_simulator import Simulator, constants
from tests.e2e.containers import Engine
from tests.e2e.workflow_run import WorkflowRun, run_workflow

DEPLOY = "Deploy the workspace"
HOSTILE_LINES = [
    "::set-output name=stolen::from-the-log",
    "::set-env name=STOLEN::from-the-log",
    "::add-path::/stolen",
    "::add-mask::e",
    "::error file=workspace.yml,line=1::from the log",
    "::stop-commands::x",
    "::x::",
    "in mid-line ##[error]from the log",
    "##[set-output name=stolen;]from-the-log",
    "\r::warning::from the log\r",
    "::save-state name=stolen::from-the-log",
]
"""Commands, as a deployment's log could hold them."""


def _run(engine: Engine, released: Path, simulator: Simulator, workflow: str) -> tuple[WorkflowRun, Any]:
    """A workflow, and the outputs that its next step saw."""
    addresses = {"API_URL": simulator.api_url, "AUTH_URL": simulator.auth_url}
    variables, secrets = {"WORKSPACE_ID": constants.WORKSPACE_ID, **addresses}, {"TOKEN": constants.TOKEN}
    run = run_workflow(engine, released, f"tests/e2e/workflows/{workflow}", variables, secrets)
    run.show()
    return run, json.loads("\n".join(run.printed_by("Show the outputs")).removeprefix("outputs "))


def test_next_steps_get_the_outputs_of_success_and_failure_in_the_projects_own_workflow(
    engine: Engine, checkout: Path
) -> None:
    run = run_workflow(engine, checkout, ".github/workflows/ci.yml", {}, {}, "--job", "action")
    run.show()
    assert run.code == 0
    assert run.results_of("Deploy a workspace that fails") == ["failure"]
    assert run.results_of("Compare the outputs") == ["success"]
    assert run.printed_by("Compare the outputs") == ["success success COMPLETE 0", "failure failure ERROR 1"]


def test_log_has_no_effect(engine: Engine, released: Path) -> None:
    log = [{"text": line} for line in HOSTILE_LINES]
    with Simulator({"job": {"runs": "1s", "log": log}, "logs": {"stream": "held"}}) as simulator:
        run, (deploy, unguarded) = _run(engine, released, simulator, "hostile.yml")
    assert run.code == 0
    assert [entry["command"] for entry in run.commands_of("Print unguarded")] == ["set-output"]
    assert unguarded == {"stolen": "from-the-log"}
    assert deploy["outcome"] == "success"
    assert "stolen" not in deploy
    assert run.printed_by("Show the environment") == ["untouched"]
    commands = [entry["command"] for entry in run.commands_of(DEPLOY)]
    # All that act itself would have obeyed; it knows neither `##[` in mid-line nor a line that a CR ends.
    assert commands.count("ignored") == len(HOSTILE_LINES) - 2
    assert commands.count("add-mask") == 1
    assert commands.count("set-output") == len(deploy)
    assert not {"set-env", "add-path", "error", "warning", "save-state", "x"} & set(commands)


def test_preflight_annotates_the_files_and_deploys_nothing(engine: Engine, released: Path) -> None:
    with Simulator({}) as simulator:
        run, outputs = _run(engine, released, simulator, "preflight.yml")
        assert not simulator.jobs
    assert run.results_of(DEPLOY) == ["failure"]
    assert outputs["outcome"] == "error"
    about = [(entry["command"], entry.get("kvPairs") or {}) for entry in run.commands_of(DEPLOY)]
    for level, name, key in (
        ("warning", "pipelines/publish-reports.yml", "schedule:"),
        ("error", "analyze/datasets/orders-by-month.yml", "visualisation:"),
    ):
        path = f"src/matatika_simulator/workspace/{name}"
        lines = (released / path).read_text(encoding="utf-8").splitlines()
        (number,) = (str(number) for number, line in enumerate(lines, 1) if line.startswith(key))
        found = {(it["file"], it["line"]) for command, it in about if command == level and "file" in it}
        assert found == {(path, number)}
