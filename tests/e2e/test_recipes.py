"""The examples, run: copied as they stand, with the simulator in place of the platform."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from matatika_simulator import Simulator, constants
from tests.e2e.containers import Engine
from tests.e2e.workflow_run import WorkflowRun, run_workflow, runner_image
from tests.support.readme import DOCKER, GITLAB, NAME, WORKFLOWS, load
from tests.support.tls import make_certificate

FLEETS = ".github/workflows/deploy-workspaces.yml"
EXAMPLE = ".github/workflows/example.yml"
AUTHORITY = "certificates/authority.pem"
IMAGE = re.compile(rf"ghcr\.io/{NAME.lower()}:[\d.]+", re.IGNORECASE)
ARCHIVE = re.compile(rf"https://github\.com/{NAME}/archive/\S+")
JOB = {"queued": "0.2s", "runs": "0.5s", "log": [{"text": "INFO  Deployed"}]}
PIPELINES = ("extract-orders", "transform-orders")
STAND_IN = """#!/usr/bin/env python3
import json, sys
print(json.dumps(sys.argv))
"""
"""Of `gh` and `curl`, whose services are not here: it shows what it was called with."""


@dataclass(frozen=True)
class Run:
    """How an example is started, and what the platform sees of it."""

    example: str
    event: str = "push"
    options: tuple[str, ...] = ()
    calls: Mapping[str, int] = field(default_factory=lambda: {"trigger": 1})
    statuses: tuple[str, ...] = ("COMPLETE",)


# `verify-source: error` wants the workspace's own repository and branch.
_AS_THE_WORKSPACE = (
    *("--env", "GITHUB_REPOSITORY=simulated-org/simulated-workspace"),
    *("--env", "GITHUB_REF=refs/heads/main"),
)
RUNS = [
    Run("deploy.yml"),
    Run("deploy.yml", "pull_request", calls={"trigger": 0, "workspace": 1}, statuses=()),
    Run("by-hand.yml", "workflow_dispatch", ("--input", "environment=production")),
    Run("fleet.yml", calls={"trigger": 3}, statuses=("COMPLETE",) * 3),
    Run("promote.yml", options=_AS_THE_WORKSPACE, calls={"trigger": 3, "run": 2}, statuses=("COMPLETE",) * 5),
    Run("newest-wins.yml"),
    Run("self-hosted.yml"),
    Run("webhook.yml", calls={"trigger": 0, "webhook": 1, "job": 0}),
    Run("without-docker.yml"),
]


@pytest.fixture(scope="module")
def workspaces() -> list[str]:
    """The ids that the fleet has in it."""
    return sorted(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", WORKFLOWS["fleet.yml"]))


@pytest.fixture
def simulator(workspaces: list[str], tmp_path: Path) -> Iterator[Simulator]:
    """The platform, with a certificate of its own."""
    scenario = {
        "job": JOB,
        "other-workspaces": [{"id": workspace} for workspace in workspaces],
        "pipelines": [{"name": name, "job": JOB} for name in PIPELINES],
    }
    with Simulator(scenario, tls=make_certificate(tmp_path)) as running:
        yield running


def test_every_example_is_run() -> None:
    assert {run.example for run in RUNS} | {"notify.yml", "pull-request-plan.yml"} == set(WORKFLOWS)


@pytest.mark.parametrize("expected", RUNS, ids=lambda run: f"{run.example}-{run.event}")
def test_example(
    engine: Engine, released: Path, workspaces: list[str], simulator: Simulator, tmp_path: Path, expected: Run
) -> None:
    repository = _repository(released, expected.example, simulator, tmp_path)
    run = _run(engine, repository, expected, _VARIABLES, _SECRETS)
    assert run.code == 0
    assert {call: len(simulator.calls(call)) for call in expected.calls} == expected.calls
    queued = max(expected.calls.get("webhook", 0), expected.calls["trigger"]) + expected.calls.get("run", 0)
    assert len(simulator.jobs) == queued
    if expected.calls.get("job") != 0:  # followed
        assert tuple(job.status for job in simulator.jobs) == expected.statuses
    if expected.example == "fleet.yml":
        assert sorted(job.workspace_id for job in simulator.jobs) == workspaces
        assert run.printed_by("Show the result") == ["All workspaces -- success"]


def test_pull_request_from_a_fork(engine: Engine, released: Path, simulator: Simulator, tmp_path: Path) -> None:
    """It gets neither variables nor secrets."""
    repository = _repository(released, "deploy.yml", simulator, tmp_path)
    run = _run(engine, repository, Run("deploy.yml", "pull_request"), {}, {})
    assert run.code == 0
    assert not simulator.journal
    assert "notice" in [entry.get("command") for entry in run.log]


def test_notifications_of_a_deployment_that_fails(engine: Engine, released: Path, tmp_path: Path) -> None:
    with Simulator({"job": {**JOB, "ends": "ERROR"}}, tls=make_certificate(tmp_path)) as simulator:
        repository = _repository(released, "notify.yml", simulator, tmp_path)
        run = _run(engine, repository, Run("notify.yml"), _VARIABLES, _SECRETS)
    assert run.code == 1
    (comment,) = run.printed_by("Comment on the commit")
    _gh, api, path, flag, body = json.loads(comment)
    assert (api, flag) == ("api", "--raw-field")
    assert body.startswith("body=Deployment failed: ")
    assert re.fullmatch(r"repos/[^/]+/[^/]+/commits/[0-9a-f]{40}/comments", path)
    (message,) = run.printed_by("Tell Slack")
    *_, data, url = json.loads(message)
    assert json.loads(data) == {"text": body.removeprefix("body=")}
    assert url == "***"  # the secret, which the runner masks


_VARIABLES = {"MATATIKA_WORKSPACE_ID": constants.WORKSPACE_ID}
_SECRETS = {
    "MATATIKA_CLIENT_ID": constants.CLIENT_ID,
    "MATATIKA_CLIENT_SECRET": constants.CLIENT_SECRET,
    "MATATIKA_DEPLOYMENT_SECRET": constants.DEPLOYMENT_SECRET,
    "SLACK_WEBHOOK_URL": "https://hooks.slack.invalid/services/T000/B000/secret",
}


def _run(
    engine: Engine, repository: Path, example: Run, variables: Mapping[str, str], secrets: Mapping[str, str]
) -> WorkflowRun:
    runner = runner_image(engine)
    platforms = [option for label in ("self-hosted", "macos-latest") for option in ("--platform", f"{label}={runner}")]
    options = (*example.options, *platforms)
    return run_workflow(engine, repository, EXAMPLE, variables, secrets, *options, event=example.event)


def _repository(released: Path, example: str, simulator: Simulator, folder: Path) -> Path:
    """A workspace's repository, an example among its workflows; `folder` has the simulator's certificate."""
    repository = folder / "repository"
    shutil.copytree(released, repository)
    (repository / "workspace.yml").write_text("version: workspaces/v0.2\nname: Orders\n", encoding="utf-8")
    (repository / "pipelines").mkdir()
    for pipeline in PIPELINES:
        (repository / f"pipelines/{pipeline}.yml").write_text("version: pipelines/v0.1\n", encoding="utf-8")
    (repository / "certificates").mkdir()
    shutil.copy(folder / "certificate.pem", repository / AUTHORITY)
    (repository / "stand-ins").mkdir()
    for program in ("gh", "curl"):
        (repository / "stand-ins" / program).write_text(STAND_IN, encoding="utf-8")
        (repository / "stand-ins" / program).chmod(0o755)
    (repository / EXAMPLE).write_text(_adapted(WORKFLOWS[example], simulator), encoding="utf-8")
    fleets = (repository / FLEETS).read_text(encoding="utf-8").replace(f"uses: {NAME}@v1", "uses: ./")
    (repository / FLEETS).write_text(fleets, encoding="utf-8")
    return repository


def _adapted(text: str, simulator: Simulator) -> str:
    """An example with the action beside it instead of a released one, and the simulator instead of the platform."""
    workflow = load(ARCHIVE.sub(".", text))
    addresses = {"api-url": simulator.api_url, "auth-url": simulator.auth_url, "audience": simulator.api_url}
    given = {**addresses, "ca-bundle": AUTHORITY}
    for job in workflow["jobs"].values():
        if job.get("uses", "").startswith(NAME):
            job["uses"] = f"./{FLEETS}"
            job["with"] |= given
            job["with"]["workspaces"] = re.sub(r'"https://[^"]+"', f'"{simulator.api_url}"', job["with"]["workspaces"])
            continue
        # Python is there, and nobody can fetch an action.
        job["steps"] = [step for step in job["steps"] if not step.get("uses", "").startswith("actions/setup-")]
        job["steps"].insert(1, {"run": 'echo "$GITHUB_WORKSPACE/stand-ins" >>"$GITHUB_PATH"'})
        for step in job["steps"]:
            if step.get("uses", "").startswith(NAME):
                step["uses"] = "./"
                step["with"] |= given
            elif "INPUT_WORKSPACE_ID" in step.get("env", {}):
                step["env"] |= {f"INPUT_{name.replace('-', '_').upper()}": value for name, value in given.items()}
    return _dumped(workflow)


def _dumped(workflow: Any) -> str:
    """Plain scalars where the runner wants no text: act reads `'3'` as text where a number is due."""
    text = yaml.safe_dump(workflow, sort_keys=False, width=1000)
    return re.sub(r": '(true|false|\d+)'$", r": \1", text, flags=re.MULTILINE)


def test_docker_run(engine: Engine, image: str, simulator: Simulator, tmp_path: Path) -> None:
    command, count = IMAGE.subn(image, DOCKER)
    assert count == 1
    with engine.removed_afterwards() as name:
        # Not with `--rm`, with which some engines lose the exit code.
        command = command.replace("--rm", f"--name {name} --network host {_addresses(simulator)}")
        command = re.sub(r"(?<=INPUT_WORKSPACE_ID=)\S+", constants.WORKSPACE_ID, command)
        ran = _shell(command, tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert "INFO  Deployed" in ran.stdout.splitlines()
    assert [job.status for job in simulator.jobs] == ["COMPLETE"]


def test_gitlab_script(engine: Engine, image: str, simulator: Simulator, tmp_path: Path) -> None:
    (job,) = load(GITLAB).values()
    assert IMAGE.fullmatch(job["image"]["name"])
    assert job["image"]["entrypoint"] == [""]
    (script,) = job["script"]
    assert set(job["variables"]) == {"INPUT_WORKSPACE_ID", "INPUT_CLIENT_ID", "INPUT_CLIENT_SECRET"}
    with engine.removed_afterwards() as name:
        command = (
            f"docker run --name {name} --network host {_addresses(simulator)} --entrypoint /bin/sh "
            f"--env INPUT_WORKSPACE_ID={constants.WORKSPACE_ID} --env INPUT_CLIENT_ID --env INPUT_CLIENT_SECRET "
            f'--volume "$PWD:/builds" --workdir /builds {image} -c "{script}"'
        )
        ran = _shell(command, tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert [job.status for job in simulator.jobs] == ["COMPLETE"]


def _addresses(simulator: Simulator) -> str:
    return (
        f"--env INPUT_API_URL={simulator.api_url} --env INPUT_AUTH_URL={simulator.auth_url} "
        "--env INPUT_CA_BUNDLE=certificate.pem"
    )


def _shell(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command where a user would: in the checkout, with the secrets in the environment."""
    secrets = {"INPUT_CLIENT_ID": constants.CLIENT_ID, "INPUT_CLIENT_SECRET": constants.CLIENT_SECRET}
    return subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=folder,
        env=os.environ | secrets,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
