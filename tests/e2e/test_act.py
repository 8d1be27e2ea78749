"""The action in real workflows, under act."""

import json
from pathlib import Path
from typing import Any

import pytest

from matatika_simulator import Simulator, constants
from tests.e2e.containers import Engine
from tests.e2e.workflow_run import WorkflowRun, run_workflow

DEPLOY = "Deploy the workspace"
QUICK = {"based-on": "success", "job": {"queued": "0.2s", "runs": "0.5s", "log": [{"text": "INFO  Deployed"}]}}
FAILING = {"job": {"runs": "0.5s", "ends": "ERROR", "log": [{"text": "ERROR No such data component"}]}}
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


def _run(
    engine: Engine, released: Path, simulator: Simulator, workflow: str = "deploy.yml", **secrets: str
) -> WorkflowRun:
    variables = {
        "WORKSPACE_ID": constants.WORKSPACE_ID,
        "API_URL": simulator.api_url,
        "AUTH_URL": simulator.auth_url,
        "CLIENT_ID": constants.CLIENT_ID if "CLIENT_SECRET" in secrets else "",
    }
    return run_workflow(engine, released, f"tests/e2e/workflows/{workflow}", variables, secrets)


def _outputs(run: WorkflowRun) -> Any:
    """What the workflow's next step saw."""
    text = "\n".join(run.printed_by("Show the outputs"))
    return json.loads(text.removeprefix("outputs "))


def test_success(engine: Engine, released: Path) -> None:
    with Simulator(QUICK) as simulator:
        run = _run(engine, released, simulator, CLIENT_SECRET=constants.CLIENT_SECRET)
        (job,), (token,) = simulator.jobs, simulator.issued_tokens
    assert run.code == 0
    assert run.result_of(DEPLOY) == "success"
    assert run.result_of("Clean up after a failure") is None
    outputs = _outputs(run)
    assert outputs["outcome"] == "success"
    assert outputs["status"] == "COMPLETE"
    assert outputs["job-id"] == job.id
    assert outputs["job-url"] == f"{simulator.api_url}/jobs/{job.id}"
    assert outputs["workspace-url"] == f"{simulator.url}/workspaces/{constants.WORKSPACE_ID}"
    assert outputs["commit-id"] == constants.COMMIT_ID
    assert outputs["exit-code"] == "0"
    assert "INFO  Deployed" in run.printed_by(DEPLOY)
    assert run.commands_of(DEPLOY).count("add-mask") == len(["client-secret", "access token"])
    assert not [entry for entry in run.log if token in entry["msg"]]


def test_failure_reaches_the_next_step(engine: Engine, released: Path) -> None:
    with Simulator(FAILING) as simulator:
        run = _run(engine, released, simulator, TOKEN=constants.TOKEN)
    assert run.code == 1
    assert run.result_of(DEPLOY) == "failure"
    assert run.printed_by("Clean up after a failure") == ["cleaning up after failure ERROR"]
    assert _outputs(run)["exit-code"] == "1"
    assert run.commands_of(DEPLOY).count("error") == 1
    assert "ERROR No such data component" in run.printed_by(DEPLOY)


@pytest.mark.parametrize("stream", ["ends", "held"])
def test_log_has_no_effect(engine: Engine, released: Path, stream: str) -> None:
    log = [{"text": line} for line in HOSTILE_LINES]
    scenario = {"job": {"runs": "1s", "log": log}, "logs": {"stream": stream}}
    with Simulator(scenario) as simulator:
        run = _run(engine, released, simulator, "hostile.yml", TOKEN=constants.TOKEN)
    assert run.code == 0
    assert run.commands_of("Print unguarded") == ["set-output"]
    deploy, unguarded = _outputs(run)
    assert unguarded == {"stolen": "from-the-log"}
    assert deploy["outcome"] == "success"
    assert "stolen" not in deploy
    assert run.printed_by("Show the environment") == ["untouched"]
    commands = run.commands_of(DEPLOY)
    # All that act itself would have obeyed; it knows neither `##[` in mid-line nor a line that a CR ends.
    assert commands.count("ignored") == len(HOSTILE_LINES) - 2
    assert commands.count("add-mask") == 1
    assert commands.count("set-output") == len(deploy)
    assert not {"set-env", "add-path", "error", "warning", "save-state", "x"} & set(commands)


def test_preflight_annotates_the_files_and_deploys_nothing(engine: Engine, released: Path) -> None:
    with Simulator(QUICK) as simulator:
        run = _run(engine, released, simulator, "preflight.yml", TOKEN=constants.TOKEN)
        assert not simulator.calls("trigger")
        assert not simulator.jobs
    assert run.result_of(DEPLOY) == "failure"
    assert _outputs(run)["outcome"] == "error"
    folder = "src/matatika_simulator/workspace"
    for level, name, key in (
        ("warning", f"{folder}/pipelines/publish-reports.yml", "schedule:"),
        ("error", f"{folder}/analyze/datasets/orders-by-month.yml", "visualisation:"),
    ):
        assert run.annotated(DEPLOY, level) == {(name, _line_of(released / name, key))}


def _line_of(file: Path, text: str) -> str:
    """The number, from 1, of the line that begins with `text`."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return str(1 + next(index for index, line in enumerate(lines) if line.startswith(text)))
