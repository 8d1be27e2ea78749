"""The examples, run: copied as they stand, with the simulator in place of the platform."""

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from matatika_simulator import Simulator, constants
from tests.e2e.containers import Engine
from tests.e2e.workflow_run import WorkflowRun, commit_all, copy_files, run_workflow, runner_image
from tests.support.readme import DOCKER, GITLAB, NAME, ROOT, WORKFLOWS, load
from tests.support.tls import make_certificate

FLEETS = ".github/workflows/deploy-workspaces.yml"
EXAMPLE = ".github/workflows/example.yml"
AUTHORITY = "certificates/authority.pem"
IMAGE = re.compile(rf"ghcr\.io/{NAME.lower()}:[\d.]+", re.IGNORECASE)
ARCHIVE = re.compile(rf"https://github\.com/{NAME}/archive/\S+")
JOB = {"queued": "0.2s", "runs": "0.5s", "log": [{"text": "INFO  Deployed"}]}
PIPELINES = ("extract-orders", "transform-orders")
REPOSITORY = "simulated-org/simulated-workspace"
STAND_IN = Path(__file__).with_name("stand_in.py")
AT_ONCE = min(os.cpu_count() or 1, 4)
"""Workflows that run side by side: act and the engine wait for each other most of the time."""
VARIABLES = {"MATATIKA_WORKSPACE_ID": constants.WORKSPACE_ID}
SECRETS = {
    "MATATIKA_CLIENT_ID": constants.CLIENT_ID,
    "MATATIKA_CLIENT_SECRET": constants.CLIENT_SECRET,
    "MATATIKA_DEPLOYMENT_SECRET": constants.DEPLOYMENT_SECRET,
    "SLACK_WEBHOOK_URL": "https://hooks.slack.invalid/services/T000/B000/secret",
}


@dataclass(frozen=True)
class Case:
    """How an example is started, and what the platform sees of it."""

    example: str
    event: str = "push"
    options: tuple[str, ...] = ()
    payload: Mapping[str, Any] | None = None
    is_from_fork: bool = False
    job: Mapping[str, Any] = field(default_factory=lambda: JOB)
    pipelines: tuple[Mapping[str, Any], ...] = tuple({"name": name, "job": JOB} for name in PIPELINES)
    code: int = 0
    calls: Mapping[str, int] = field(default_factory=lambda: {"trigger": 1})
    statuses: tuple[str, ...] = ("COMPLETE",)


class Run(NamedTuple):
    """An example that was run, and the platform that it was run against."""

    case: Case
    workflow: WorkflowRun
    simulator: Simulator


_FROM_THE_REPOSITORY = ("--env", f"GITHUB_REPOSITORY={REPOSITORY}")
# `verify-source: error` wants the workspace's own repository and branch.
_AS_THE_WORKSPACE = (*_FROM_THE_REPOSITORY, "--env", "GITHUB_REF=refs/heads/main")
_PULL_REQUEST = {
    "number": 7,
    "pull_request": {"base": {"ref": "main"}, "head": {"ref": "add-orders", "repo": {"full_name": REPOSITORY}}},
}
_DRY = {"trigger": 0, "workspace": 1}
CASES = {
    # The longest first, so that none is left to run alone.
    "fleet": Case("fleet.yml", calls={"trigger": 3}, statuses=("COMPLETE",) * 3),
    "promote": Case(
        "promote.yml", options=_AS_THE_WORKSPACE, calls={"trigger": 3, "run": 2}, statuses=("COMPLETE",) * 5
    ),
    "deploy": Case("deploy.yml"),
    "deploy, pull request": Case("deploy.yml", "pull_request", calls=_DRY, statuses=()),
    "deploy, pull request from a fork": Case(
        "deploy.yml", "pull_request", is_from_fork=True, calls={"trigger": 0, "workspace": 0}, statuses=()
    ),
    "by-hand": Case("by-hand.yml", "workflow_dispatch", ("--input", "environment=production")),
    "pull-request-plan": Case(
        "pull-request-plan.yml",
        "pull_request",
        options=_FROM_THE_REPOSITORY,
        payload=_PULL_REQUEST,
        pipelines=({"name": "extract-orders", "fields": {"timeout": 60}}, {"name": "legacy"}),
        calls=_DRY,
        statuses=(),
    ),
    "notify": Case("notify.yml", job={**JOB, "ends": "ERROR"}, code=1, statuses=("ERROR",)),
    "newest-wins": Case("newest-wins.yml"),
    "self-hosted": Case("self-hosted.yml"),
    "webhook": Case("webhook.yml", calls={"trigger": 0, "webhook": 1, "job": 0}),
    "without-docker": Case("without-docker.yml"),
}


@pytest.fixture(scope="module")
def workspaces() -> list[str]:
    """The ids that the fleet has in it."""
    return sorted(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", WORKFLOWS["fleet.yml"]))


@pytest.fixture(scope="module")
def runs(
    engine: Engine,
    released: Path,
    workspaces: list[str],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, Future[Run]]]:
    """The runs that the selected tests wait for, a few at once, in the tests' order."""
    items = (item for item in request.session.items if isinstance(item, pytest.Function) and "run" in item.fixturenames)
    wanted = dict.fromkeys(str(item.callspec.params["run"]) for item in items if item.module is request.module)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            yield {
                name: pool.submit(_run, engine, released, CASES[name], workspaces, tmp_path_factory.mktemp("example"))
                for name in wanted
            }
        finally:
            pool.shutdown(cancel_futures=True)


@pytest.fixture
def run(runs: Mapping[str, Future[Run]], request: pytest.FixtureRequest) -> Run:
    """The run of the case that the test names."""
    run = runs[request.param].result()
    run.workflow.show()
    return run


def test_every_example_is_run() -> None:
    assert {case.example for case in CASES.values()} == set(WORKFLOWS)


def of(*names: str) -> pytest.MarkDecorator:
    """The cases whose runs a test is given."""
    return pytest.mark.parametrize("run", names, indirect=True)


@of(*CASES)
def test_example(run: Run) -> None:
    case, simulator = run.case, run.simulator
    assert run.workflow.code == case.code
    assert {call: len(simulator.calls(call)) for call in case.calls} == case.calls
    queued = max(case.calls.get("webhook", 0), case.calls["trigger"]) + case.calls.get("run", 0)
    assert len(simulator.jobs) == queued
    if case.calls.get("job") != 0:  # followed
        assert tuple(job.status for job in simulator.jobs) == case.statuses


@of("deploy, pull request from a fork")
def test_pull_request_from_a_fork_has_its_files_checked(run: Run) -> None:
    """It gets neither variables nor secrets."""
    assert not run.simulator.journal
    assert "notice" in [entry.get("command") for entry in run.workflow.log]


@of("fleet")
def test_fleet_deploys_every_workspace(run: Run, workspaces: list[str]) -> None:
    assert sorted(job.workspace_id for job in run.simulator.jobs) == workspaces
    assert run.workflow.printed_by("Show the result") == ["All workspaces -- success"]


@of("notify")
def test_failed_deployment_is_told_to_the_commit_and_to_slack(run: Run) -> None:
    (comment,) = run.workflow.printed_by("Comment on the commit")
    api, path, flag, body = json.loads(comment)
    assert (api, flag) == ("api", "--raw-field")
    assert body.startswith("body=Deployment failed: ")
    assert re.fullmatch(r"repos/[^/]+/[^/]+/commits/[0-9a-f]{40}/comments", path)
    (message,) = run.workflow.printed_by("Tell Slack")
    *_, data, url = json.loads(message)
    assert json.loads(data) == {"text": body.removeprefix("body=")}
    assert url == "***"  # the secret, which the runner masks


@of("pull-request-plan")
def test_plan_is_one_comment_that_is_kept_up_to_date(run: Run) -> None:
    (first,), (second,) = (run.workflow.printed_by(step) for step in ("Comment", "Comment again"))
    (created,), (updated,) = (
        [part for part in json.loads(call) if part.startswith("repos/")] for call in (first, second)
    )
    assert created == f"repos/{REPOSITORY}/issues/7/comments"
    assert updated == f"repos/{REPOSITORY}/issues/comments/1"
    assert "PATCH" not in first
    assert "PATCH" in second
    for call in (first, second):
        (body,) = (part for part in json.loads(call) if part.startswith("body="))
        assert {"+ transform-orders", "~ extract-orders", "- legacy"} <= set(body.splitlines())


def _run(engine: Engine, released: Path, case: Case, workspaces: list[str], folder: Path) -> Run:
    """Run an example in a repository of its own, against a platform of its own; the `folder` is empty."""
    runner = runner_image(engine)
    options = [*case.options]
    for label in ("self-hosted", "macos-latest"):
        options += ["--platform", f"{label}={runner}"]
    if case.payload is not None:
        (folder / "event.json").write_text(json.dumps(case.payload), encoding="utf-8")
        options += ["--eventpath", str(folder / "event.json")]
    if case.example in ("notify.yml", "pull-request-plan.yml"):
        volumes = (f"--volume {STAND_IN}:/usr/local/bin/{program}:ro" for program in ("gh", "curl"))
        options += ["--container-options", " ".join(volumes)]
    variables, secrets = ({}, {}) if case.is_from_fork else (VARIABLES, SECRETS)
    others = [{"id": workspace} for workspace in workspaces]
    scenario = {"job": case.job, "pipelines": list(case.pipelines), "other-workspaces": others}
    with Simulator(scenario, tls=make_certificate(folder)) as simulator:
        repository = _repository(released, case.example, simulator, folder)
        workflow = run_workflow(engine, repository, EXAMPLE, variables, secrets, *options, event=case.event, show=False)
    return Run(case, workflow, simulator)


def _repository(released: Path, example: str, simulator: Simulator, folder: Path) -> Path:
    """A workspace's repository, an example among its workflows; `folder` has the simulator's certificate.

    Beside it is what the example uses of the action: less to copy into each job.
    """
    repository = folder / "repository"
    copy_files(released, repository, ["action.yml", FLEETS])
    if ARCHIVE.search(WORKFLOWS[example]):
        copy_files(ROOT, repository, ["LICENSE", "README.md", "pyproject.toml", "src/matatika_deploy"])
    (repository / "workspace.yml").write_text("version: workspaces/v0.2\nname: Orders\n", encoding="utf-8")
    (repository / "pipelines").mkdir()
    for pipeline in PIPELINES:
        (repository / f"pipelines/{pipeline}.yml").write_text("version: pipelines/v0.1\n", encoding="utf-8")
    (repository / "certificates").mkdir()
    shutil.copy(folder / "certificate.pem", repository / AUTHORITY)
    (repository / EXAMPLE).write_text(_adapted(WORKFLOWS[example], simulator), encoding="utf-8")
    fleets = (repository / FLEETS).read_text(encoding="utf-8").replace(f"uses: {NAME}@v1", "uses: ./")
    (repository / FLEETS).write_text(fleets, encoding="utf-8")
    commit_all(repository)
    return repository


def _adapted(text: str, simulator: Simulator) -> str:
    """An example with the action beside it instead of a released one, and the simulator instead of the platform."""
    workflow = load(ARCHIVE.sub(".", text))
    # act names the containers of jobs after workflow and job.
    workflow["name"] += f" {uuid.uuid4().hex}"
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
        for step in job["steps"]:
            if step.get("uses", "").startswith(NAME):
                step["uses"] = "./"
                step["with"] |= given
            elif "INPUT_WORKSPACE_ID" in step.get("env", {}):
                step["env"] |= {f"INPUT_{name.replace('-', '_').upper()}": value for name, value in given.items()}
        # Once more, as for the next commit.
        job["steps"] += [{**step, "name": "Comment again"} for step in job["steps"] if step.get("name") == "Comment"]
    return _dumped(workflow)


def _dumped(workflow: Any) -> str:
    """Plain scalars where the runner wants no text: act reads `'3'` as text where a number is due."""
    text = yaml.safe_dump(workflow, sort_keys=False, width=1000)
    return re.sub(r": '(true|false|\d+)'$", r": \1", text, flags=re.MULTILINE)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    """The platform, with a certificate of its own."""
    with Simulator({"job": JOB}, tls=make_certificate(tmp_path)) as running:
        yield running


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
