"""What main leaves behind is what the post step finds, and no nonsense becomes anything."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matatika_deploy.github import state
from matatika_deploy.github.commands import Workflow
from matatika_deploy.github.console import Console
from matatika_deploy.github.state import Stage
from matatika_deploy.platform.job import Job
from matatika_simulator.runner import CommandFiles, state_environ

JOB = Job(
    id="7127b1d3",
    status="RUNNING",
    links={"self": "https://app.matatika.com/api/jobs/7127b1d3", "withdraw job": "/api/jobs/7127b1d3/stopped\nx<<EOF"},
)


# The descriptor is never written to.
NOWHERE = Console(-1)


class Main:
    """The main step's side."""

    def __init__(self, folder: Path) -> None:
        self._files = CommandFiles(folder)
        # Nothing is printed: state goes through files.
        self.workflow = Workflow(self._files.environ(), NOWHERE)

    def left(self) -> tuple[Stage | None, Job | None]:
        """What the post step finds."""
        return state.load(state_environ(self._files.state))


@pytest.fixture
def main(tmp_path: Path) -> Main:
    return Main(tmp_path)


def test_nothing_was_left(main: Main) -> None:
    assert main.left() == (None, None)


def test_a_trigger_under_way(main: Main) -> None:
    state.save(main.workflow, Stage.TRIGGERING)
    assert main.left() == (Stage.TRIGGERING, None)


def test_a_job(main: Main) -> None:
    state.save(main.workflow, Stage.TRIGGERING)
    state.save(main.workflow, Stage.RUNNING, JOB)
    assert main.left() == (Stage.RUNNING, JOB)


def test_a_job_that_is_done_with(main: Main) -> None:
    state.save(main.workflow, Stage.RUNNING, JOB)
    state.save(main.workflow, Stage.FINISHED)
    assert main.left() == (Stage.FINISHED, JOB)


@pytest.mark.parametrize("stage", ["", "running ", "RUNNING", "x"])
def test_an_unknown_stage_is_none(stage: str) -> None:
    assert state.load({"STATE_deployment": stage}) == (None, None)


@pytest.mark.parametrize(
    "job", ["", "x", "{}", "[]", "null", '{"id": "a/b", "status": "x"}', '{"id": "1"}', "[" * 100_000, '{"id":']
)
def test_a_job_that_cannot_be_read_is_none(job: str) -> None:
    assert state.load({"STATE_deployment": "running", "STATE_job": job}) == (Stage.RUNNING, None)


@given(st.text(), st.text())
def test_whatever_is_found(stage: str, job: str) -> None:
    assert state.load({"STATE_deployment": stage, "STATE_job": job})[1] is None
