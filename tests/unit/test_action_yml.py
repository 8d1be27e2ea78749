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


def test_declares_the_inputs_of_the_table_in_its_order() -> None:
    assert list(ACTION["inputs"]) == [one.name for one in INPUTS]


@pytest.mark.parametrize("one", INPUTS, ids=lambda one: one.name)
def test_each_input_has_the_tables_default_and_meaning(one: Input) -> None:
    about = ACTION["inputs"][one.name]
    assert about.get("default", "") == one.default
    assert about["description"].startswith(one.meaning)
    assert re.match(r"[,.:;]? |[.]$", about["description"].removeprefix(one.meaning))


def test_declares_the_outputs_that_a_job_has() -> None:
    then = Timestamp(datetime(2023, 3, 23, tzinfo=UTC), resolution=1.0)
    job = Job("id", "COMPLETE", created=then, started=then, ended=then, exit_code=0, commit_id="1e81ff3")
    assert {
        "workspace-url",
        "workspace-name",
        "outcome",
        "message",
        "plan",
        "pipeline-jobs",
        *job_outputs(job, "https://app.matatika.com/api/jobs/id"),
    } == set(ACTION["outputs"])


def test_requires_the_workspace_alone() -> None:
    assert [name for name, about in ACTION["inputs"].items() if about["required"]] == ["workspace-id"]


@pytest.mark.parametrize("name", ACTION["inputs"])
def test_each_input_says_its_default(name: str) -> None:
    about = ACTION["inputs"][name]
    expected = "Required" if about["required"] else "Default is"
    assert expected in about["description"]
    # A URL is named by what it leads to.
    default = about.get("default", "")
    if not default.startswith("https://"):
        assert default in about["description"]


@pytest.mark.parametrize("name", ["timeout", "poll-interval"])
def test_each_duration_says_its_unit(name: str) -> None:
    assert "in seconds or as" in ACTION["inputs"][name]["description"]


def test_keeps_within_the_limits_of_the_marketplace() -> None:
    assert len(ACTION["description"]) < 125
    assert ACTION["branding"].keys() == {"icon", "color"}


def test_post_step_runs_whatever_became_of_the_job() -> None:
    # `continue-on-error` turns a step that was killed into a success, so no `post-if` is right. Runners in Kubernetes
    # start no container action without `entrypoint`. `args` would be shared by main and post: neither takes any.
    assert ACTION["runs"] == {
        "using": "docker",
        "image": "Dockerfile",
        "entrypoint": "/opt/action/main",
        "post-entrypoint": "/opt/action/post",
    }
