"""`action.yml` says what the program reads, and keeps within the marketplace's limits."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from matatika_deploy.github.inputs import INPUTS, Input
from matatika_deploy.outcome import job_outputs
from matatika_deploy.platform.job import Job, Timestamp

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
OTHER_OUTPUTS = {"workspace-url", "workspace-name", "outcome", "message", "plan", "pipeline-jobs"}


def test_inputs_and_outputs_are_those_of_the_program() -> None:
    then = Timestamp(datetime(2023, 3, 23, tzinfo=UTC), resolution=1.0)
    job = Job("id", "COMPLETE", created=then, started=then, ended=then, exit_code=0, commit_id="1e81ff3")
    assert list(ACTION["inputs"]) == [one.name for one in INPUTS]
    assert set(ACTION["outputs"]) == OTHER_OUTPUTS | job_outputs(job, "https://app.matatika.com/api/jobs/id").keys()
    # The limit of the marketplace.
    assert len(ACTION["description"]) < 125


@pytest.mark.parametrize("one", INPUTS, ids=lambda one: one.name)
def test_each_input_says_its_meaning_its_default_and_its_unit(one: Input) -> None:
    about = ACTION["inputs"][one.name]
    description = about["description"]
    assert about.get("default", "") == one.default
    assert re.match(rf"{re.escape(one.meaning)}([,.:;]? |\.$)", description)
    assert about["required"] == (one.name == "workspace-id")
    assert ("Required" if about["required"] else "Default is") in description
    # A URL is named by what it leads to.
    assert one.default in description or one.default.startswith("https://")
    is_duration = re.fullmatch(r"\d+[hms]", one.default)
    assert not is_duration or "in seconds or as" in description


def test_post_step_runs_whatever_became_of_the_job() -> None:
    # `continue-on-error` turns a step that was killed into a success, so no `post-if` is right. Runners in Kubernetes
    # start no container action without `entrypoint`. `args` would be shared by main and post: neither takes any.
    assert ACTION["runs"] == {
        "using": "docker",
        "image": "Dockerfile",
        "entrypoint": "/opt/action/main",
        "post-entrypoint": "/opt/action/post",
    }
