"""What the main step saves is what the post step loads; what cannot be read is empty."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.github import state
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import Console
from matatika_deploy.github.state import SavedState, Stage
from matatika_simulator.runner import CommandFiles, state_environ

# The descriptor is never written to.
NOWHERE = Console(-1)


class Main:
    """The main step, as far as it saves state."""

    def __init__(self, folder: Path) -> None:
        self._files = CommandFiles(folder)
        # Nothing is printed: state goes through files.
        self.commands = WorkflowCommands(self._files.environ(), NOWHERE)

    def saved(self) -> SavedState:
        """What the post step loads."""
        return state.load(state_environ(self._files.state))


@pytest.fixture
def main(tmp_path: Path) -> Main:
    return Main(tmp_path)


def test_a_step_that_saved_nothing_has_no_stage(main: Main) -> None:
    assert main.saved() == SavedState(None, "", "")


def test_a_trigger_is_saved_without_a_job(main: Main) -> None:
    state.save(main.commands, Stage.TRIGGERING)
    assert main.saved() == SavedState(Stage.TRIGGERING, "", "")


def test_a_job_is_saved_with_its_status(main: Main) -> None:
    state.save(main.commands, Stage.TRIGGERING)
    state.save(main.commands, Stage.RUNNING, job_id="7127b1d3", job_status="QUEUED\nx<<EOF")
    assert main.saved() == SavedState(Stage.RUNNING, "7127b1d3", "QUEUED\nx<<EOF")


def test_a_job_stays_when_only_the_stage_is_saved(main: Main) -> None:
    state.save(main.commands, Stage.RUNNING, job_id="7127b1d3", job_status="RUNNING")
    state.save(main.commands, Stage.FINISHED)
    assert main.saved() == SavedState(Stage.FINISHED, "7127b1d3", "RUNNING")


def test_the_job_of_a_pipeline_takes_the_place_of_the_deployment(main: Main) -> None:
    state.save(main.commands, Stage.RUNNING, job_id="deployment", job_status="COMPLETE")
    state.save(main.commands, Stage.RUNNING, job_id="pipeline", job_status="RUNNING")
    assert main.saved() == SavedState(Stage.RUNNING, "pipeline", "RUNNING")


@pytest.mark.parametrize("stage", ["", "running ", "RUNNING", "x"])
def test_an_unknown_stage_is_none(stage: str) -> None:
    assert state.load({"STATE_deployment": stage}).stage is None


@pytest.mark.parametrize("job", ["", "x", "{}", "[]", "null", "7", '{"id": 1, "status": []}', "[" * 100_000, '{"id":'])
def test_a_job_that_cannot_be_read_is_empty(job: str) -> None:
    assert state.load({"STATE_deployment": "running", "STATE_job": job}) == SavedState(Stage.RUNNING, "", "")


@given(st.text(), st.text())
def test_any_text_can_be_loaded(stage: str, job: str) -> None:
    assert state.load({"STATE_deployment": stage, "STATE_job": job}).job_id == ""
