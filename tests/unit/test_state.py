"""What the main step saves is what the post step loads; what cannot be read is empty."""

from pathlib import Path

import pytest

from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import Console
from matatika_deploy.github.state import SavedState, Stage
from matatika_simulator.runner import CommandFiles, state_environ


def test_what_the_main_step_has_saved_last_is_loaded(tmp_path: Path) -> None:
    files = CommandFiles(tmp_path)
    # Nothing is printed to the descriptor: state goes through files.
    commands = WorkflowCommands(files.environ(), Console(-1))

    def saved() -> SavedState:
        return state.load(state_environ(files.state))

    assert saved() == SavedState(None, "", "")
    state.save(commands, Stage.TRIGGERING)
    assert saved() == SavedState(Stage.TRIGGERING, "", "")
    state.save(commands, Stage.RUNNING, job_id="deployment", job_status="QUEUED\nx<<EOF")
    assert saved() == SavedState(Stage.RUNNING, "deployment", "QUEUED\nx<<EOF")
    # The job of a pipeline takes the place of the deployment, and stays when only the stage is saved.
    state.save(commands, Stage.RUNNING, job_id="pipeline", job_status="RUNNING")
    state.save(commands, Stage.FINISHED)
    assert saved() == SavedState(Stage.FINISHED, "pipeline", "RUNNING")


@pytest.mark.parametrize("job", ["", "x", "{}", "[]", "null", "7", '{"id": 1, "status": [1]}', "[" * 100_000, '{"id":'])
def test_what_cannot_be_read_is_empty(job: str) -> None:
    assert state.load({"STATE_deployment": "running", "STATE_job": job}) == SavedState(Stage.RUNNING, "", "")
    for stage in ("", "running ", "RUNNING", "日"):
        assert state.load({"STATE_deployment": stage}).stage is None
