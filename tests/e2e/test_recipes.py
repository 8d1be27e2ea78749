"""The README's recipes, run: copied as they stand, with the simulator in place of the platform."""

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
from tests.e2e.workflow_run import LOCAL_RUNNER, PUBLIC_RUNNER, WorkflowRun, run_workflow
from tests.support.readme import DOCKER, GITLAB, NAME, RECIPES, load
from tests.support.tls import make_certificate

FLEETS = ".github/workflows/deploy-workspaces.yml"
RECIPE = ".github/workflows/recipe.yml"
AUTHORITY = "certificates/authority.pem"
IMAGE = re.compile(rf"ghcr\.io/{NAME}:[\d.]+")
JOB = {"queued": "0.2s", "runs": "0.5s", "log": [{"text": "INFO  Deployed"}]}


@dataclass(frozen=True)
class Recipe:
    """What a recipe is started by, and what the platform sees of it."""

    event: str = "push"
    options: tuple[str, ...] = ()
    calls: Mapping[str, int] = field(default_factory=lambda: {"trigger": 1})
    statuses: tuple[str, ...] = ("COMPLETE",)
    left_out: tuple[str, ...] = ()
    """Steps that need a service that is not here."""


EXPECTED = {
    "Deploy each push to main": Recipe(),
    "Choose a workspace by hand": Recipe("workflow_dispatch", ("--input", "workspace=sales")),
    "Check pull requests": Recipe("pull_request", calls={"trigger": 0, "workspace": 1}, statuses=()),
    "From dev to staging to production": Recipe(calls={"trigger": 3}, statuses=("COMPLETE",) * 3),
    "Meltano Cloud": Recipe(),
    "Your own installation, private CA, proxy": Recipe(),
    "With the webhook secret alone": Recipe(calls={"trigger": 0, "webhook": 1, "job": 0}),
    "Fire and forget": Recipe("schedule", calls={"trigger": 1, "job": 0}),
    "The newest push wins": Recipe(),
    "Use the outputs": Recipe(left_out=("Comment on the commit", "Tell Slack")),
    "A fleet of workspaces": Recipe(calls={"trigger": 3}, statuses=("COMPLETE",) * 3),
}


@pytest.fixture(scope="module")
def workspaces() -> list[str]:
    """The ids that the recipes have in them."""
    return sorted(set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", "".join(RECIPES.values()))))


@pytest.fixture
def simulator(workspaces: list[str], tmp_path: Path) -> Iterator[Simulator]:
    """The platform, with a certificate of its own."""
    scenario = {"job": JOB, "other-workspaces": [{"id": workspace} for workspace in workspaces]}
    with Simulator(scenario, tls=make_certificate(tmp_path)) as running:
        yield running


def test_every_recipe_is_run() -> None:
    assert list(EXPECTED) == list(RECIPES)


@pytest.mark.parametrize("heading", EXPECTED)
def test_recipe(
    engine: Engine, checkout: Path, workspaces: list[str], simulator: Simulator, tmp_path: Path, heading: str
) -> None:
    expected = EXPECTED[heading]
    repository = _repository(checkout, heading, simulator, tmp_path)
    run = _run(engine, repository, expected, _VARIABLES, _SECRETS)
    assert run.code == 0
    assert {call: len(simulator.calls(call)) for call in expected.calls} == expected.calls
    assert len(simulator.jobs) == max(expected.calls.get("webhook", 0), expected.calls["trigger"])
    if expected.calls.get("job") != 0:  # followed
        assert tuple(job.status for job in simulator.jobs) == expected.statuses
    if heading == "Choose a workspace by hand":
        assert [job.workspace_id for job in simulator.jobs] == [json.loads(_ids(heading))["sales"]]
    if heading == "Use the outputs":
        (text,) = [
            entry["arg"] for entry in run.log if entry.get("command") == "set-output" and entry["name"] == "text"
        ]
        assert re.fullmatch(rf"Deployment -- success after \d+ s, see {simulator.url}/workspaces/.*", text)
    if heading == "A fleet of workspaces":
        assert sorted(job.workspace_id for job in simulator.jobs) == workspaces
        assert "All workspaces -- success" in [entry["msg"].rstrip() for entry in run.log]


def _ids(heading: str) -> str:
    return str(load(RECIPES[heading])["jobs"]["deploy"]["env"]["WORKSPACES"])


def test_pull_request_from_a_fork(engine: Engine, checkout: Path, simulator: Simulator, tmp_path: Path) -> None:
    heading = "Check pull requests"
    run = _run(engine, _repository(checkout, heading, simulator, tmp_path), EXPECTED[heading], {}, {})
    assert run.code == 0
    assert not simulator.journal
    assert "notice" in [entry.get("command") for entry in run.log]


_VARIABLES = {"MATATIKA_WORKSPACE_ID": constants.WORKSPACE_ID, "MELTANO_WORKSPACE_ID": constants.WORKSPACE_ID}
_SECRETS = {
    **dict.fromkeys(("MATATIKA_CLIENT_ID", "MELTANO_CLIENT_ID"), constants.CLIENT_ID),
    **dict.fromkeys(("MATATIKA_CLIENT_SECRET", "MELTANO_CLIENT_SECRET"), constants.CLIENT_SECRET),
    "MATATIKA_DEPLOYMENT_SECRET": constants.DEPLOYMENT_SECRET,
}


def _run(
    engine: Engine, repository: Path, recipe: Recipe, variables: Mapping[str, str], secrets: Mapping[str, str]
) -> WorkflowRun:
    runner = LOCAL_RUNNER if engine.has_image(LOCAL_RUNNER) else PUBLIC_RUNNER
    options = (*recipe.options, "--platform", f"self-hosted={runner}")
    return run_workflow(engine, repository, RECIPE, variables, secrets, *options, event=recipe.event)


def _repository(checkout: Path, heading: str, simulator: Simulator, folder: Path) -> Path:
    """A repository with a recipe among its workflows; `folder` has the simulator's certificate."""
    repository = folder / "repository"
    shutil.copytree(checkout, repository)
    (repository / "certificates").mkdir()
    shutil.copy(folder / "certificate.pem", repository / AUTHORITY)
    recipe = _adapted(RECIPES[heading], simulator, EXPECTED[heading].left_out)
    (repository / RECIPE).write_text(recipe, encoding="utf-8")
    fleets = (repository / FLEETS).read_text(encoding="utf-8").replace(f"uses: {NAME}@v1", "uses: ./")
    (repository / FLEETS).write_text(fleets, encoding="utf-8")
    return repository


def _adapted(text: str, simulator: Simulator, left_out: tuple[str, ...]) -> str:
    """A recipe with the action beside it instead of a released one, and the simulator instead of the platform."""
    workflow = load(text)
    addresses = {"api-url": simulator.api_url, "auth-url": simulator.auth_url, "audience": simulator.api_url}
    for job in workflow["jobs"].values():
        if job.get("uses", "").startswith(NAME):
            job["uses"] = f"./{FLEETS}"
            job["with"] |= {**addresses, "ca-bundle": AUTHORITY}
            job["with"]["workspaces"] = re.sub(r'"https://[^"]+"', f'"{simulator.api_url}"', job["with"]["workspaces"])
        job["steps"] = [step for step in job.get("steps", []) if step.get("name") not in left_out]
        for step in job["steps"]:
            if step.get("uses", "").startswith(NAME):
                step["uses"] = "./"
                # The simulated workspace is none of this repository's.
                step["with"] |= {**addresses, "ca-bundle": AUTHORITY, "verify-source": "warn"}
        if not job["steps"]:
            del job["steps"]
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
