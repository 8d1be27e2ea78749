"""The examples, run: copied as they stand, with the simulator in place of the platform.

act cannot read `max-parallel` and `fail-fast` from expressions (it says so, and takes its own defaults), runs no job of
the calling workflow after a called one that failed, and calls each job of a matrix a failure once one is.
"""

import html
import json
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from matatika_simulator import Simulator, constants
from tests.e2e.conftest import FLEETS
from tests.e2e.containers import Engine
from tests.e2e.workflow_run import WorkflowRun, commit_all, copy_files, run_workflow
from tests.support.readme import DOCKER, NAME, ROOT, WORKFLOWS, load
from tests.support.repository import write_files
from tests.support.tls import make_certificate

EXAMPLE = ".github/workflows/example.yml"
AUTHORITY = "certificates/authority.pem"
IMAGE = re.compile(rf"ghcr\.io/{NAME.lower()}:[\d.]+", re.IGNORECASE)
ARCHIVE = re.compile(rf"https://github\.com/{NAME}/archive/\S+")
JOB = {"queued": "0.2s", "runs": "0.5s", "log": [{"text": "INFO  Deployed"}]}
LAST_LINE = "ERROR <!channel> & @everyone"
PIPELINES = ("extract-orders", "transform-orders")
REPOSITORY = "simulated-org/simulated-workspace"
FLEET = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", WORKFLOWS["fleet.yml"])
FAILS = "00000000-51a1-4000-8000-000000000002"
STAND_IN = Path(__file__).with_name("stand_in.py")
AT_ONCE = min(os.cpu_count() or 1, 4)
"""Workflows that run side by side: act and the engine wait for each other most of the time."""
SECRETS = {
    "MATATIKA_CLIENT_ID": constants.CLIENT_ID,
    "MATATIKA_CLIENT_SECRET": constants.CLIENT_SECRET,
    "MATATIKA_DEPLOYMENT_SECRET": constants.DEPLOYMENT_SECRET,
    "SLACK_WEBHOOK_URL": "https://hooks.slack.invalid/services/T000/B000/secret",
}


def _has_its_files_checked(run: WorkflowRun, simulator: Simulator) -> None:
    """A pull request from a fork, which gets neither variables nor secrets."""
    assert not simulator.journal
    assert "notice" in [entry.get("command") for entry in run.log]


def _has_deployed_every_workspace(run: WorkflowRun, simulator: Simulator) -> None:
    assert {job.workspace_id for job in simulator.jobs} == set(FLEET)
    assert run.printed_by("Show the result") == ["All workspaces -- success"]
    # act adds the job's number in the matrix.
    titles = re.findall(r"Deploy (\S+)-\d\b", " ".join(entry.get("job", "") for entry in run.log))
    assert set(titles) == {"Sales", "Finance", FLEET[-1]}


def _has_failed_as_a_whole(run: WorkflowRun, _: Simulator) -> None:
    assert run.printed_by("Say it") == ["Deployments -- failure"]


def _has_been_skipped(run: WorkflowRun, _: Simulator) -> None:
    assert run.printed_by("Show the result") == ["All workspaces -- skipped"]


def _has_told_the_commit_and_slack(run: WorkflowRun, simulator: Simulator) -> None:
    (comment,) = run.printed_by("Comment on the commit")
    api, path, flag, body = json.loads(comment)
    assert (api, flag) == ("api", "--raw-field")
    fence, shown, end, run_link = body.removeprefix("body=").splitlines()
    address = re.fullmatch(r"\[The run\]\((https://.*/actions/runs/\d+)\)", run_link)
    assert address
    assert (fence, end) == ("```", "```")
    assert (LAST_LINE if simulator.jobs else "The deploy step gave no result.") in shown
    assert re.fullmatch(r"repos/[^/]+/[^/]+/commits/[0-9a-f]{40}/comments", path)
    (message,) = run.printed_by("Tell Slack")
    *_rest, data, url = json.loads(message)
    assert json.loads(data) == {"text": f"{html.escape(shown, quote=False)}\n{address[1]}"}
    assert url == "***"  # the secret, which the runner masks


def _has_one_comment_that_is_kept_up_to_date(run: WorkflowRun, _: Simulator) -> None:
    for step, address, is_update in (("Comment", "7/comments", False), ("Comment again", "comments/1", True)):
        (call,) = map(json.loads, run.printed_by(step))
        assert [part for part in call if part.startswith("repos/")] == [f"repos/{REPOSITORY}/issues/{address}"]
        assert ("PATCH" in call) == is_update
        (body,) = (part for part in call if part.startswith("body="))
        assert {"+ transform-orders", "~ extract-orders", "- legacy"} <= set(body.splitlines())


@dataclass(frozen=True)
class Case:
    """How an example is started, and what the platform sees of it."""

    example: str
    event: str = "push"
    options: tuple[str, ...] = ()
    payload: Mapping[str, Any] = field(default_factory=dict)
    is_from_fork: bool = False
    workspaces: Sequence[Mapping[str, str]] | None = None
    """Of a fleet, if not those of the example."""
    job: Mapping[str, Any] = field(default_factory=lambda: JOB)
    pipelines: tuple[Mapping[str, Any], ...] = tuple({"name": name, "job": JOB} for name in PIPELINES)
    replaced: tuple[str, str] = ("", "")
    """In the example's text."""
    code: int = 0
    calls: Mapping[str, int] = field(default_factory=lambda: {"trigger": 1})
    statuses: tuple[str, ...] = ("COMPLETE",)
    check: Callable[[WorkflowRun, Simulator], None] = lambda _, __: None


_FROM_THE_REPOSITORY = ("--env", f"GITHUB_REPOSITORY={REPOSITORY}")
# `verify-source: error` wants the workspace's own repository and branch.
_AS_THE_WORKSPACE = (*_FROM_THE_REPOSITORY, "--env", "GITHUB_REF=refs/heads/main")
_HEAD = {"ref": "add-orders", "repo": {"full_name": REPOSITORY}}
_DRY: dict[str, Any] = {"event": "pull_request", "calls": {"trigger": 0, "workspace": 1}, "statuses": ()}
_TWO, _THREE = ("COMPLETE",) * 2, ("COMPLETE",) * 3
_FAILING = {**JOB, "ends": "ERROR"}
_NO_TRIGGER: dict[str, Any] = {"calls": {"trigger": 0}, "statuses": ()}
CASES = {
    # The longest first, so that none is left to run alone.
    "fleet": Case("fleet.yml", calls={"trigger": 3}, statuses=_THREE, check=_has_deployed_every_workspace),
    "fleet, one fails": Case(
        "fleet.yml",
        workspaces=[{"id": it} for it in (FLEET[0], FAILS, FLEET[1])],
        code=1,
        calls={"trigger": 3},
        statuses=(*_TWO, "ERROR"),
        check=_has_failed_as_a_whole,
    ),
    "fleet, a misspelt key deploys nothing": Case(
        "fleet.yml", workspaces=[{"workspace-id": FAILS}], code=1, check=_has_failed_as_a_whole, **_NO_TRIGGER
    ),
    "fleet, empty": Case("fleet.yml", workspaces=[], check=_has_been_skipped, **_NO_TRIGGER),
    "promote": Case("promote.yml", "push", _AS_THE_WORKSPACE, calls={"trigger": 3, "run": 2}, statuses=_THREE + _TWO),
    "promote, main has moved on": Case(
        "promote.yml", options=(*_AS_THE_WORKSPACE, "--env", f"HEAD_OF_MAIN={'0a' * 20}"), code=1
    ),
    "deploy": Case("deploy.yml"),
    "deploy, pull request": Case("deploy.yml", **_DRY),
    "deploy, pull request from a fork": Case(
        "deploy.yml", is_from_fork=True, check=_has_its_files_checked, **{**_DRY, "calls": {"trigger": 0}}
    ),
    "by-hand": Case("by-hand.yml", "workflow_dispatch", ("--input", "environment=production")),
    "pull-request-plan": Case(
        "pull-request-plan.yml",
        options=_FROM_THE_REPOSITORY,
        payload={"number": 7, "pull_request": {"base": {"ref": "main"}, "head": _HEAD}},
        pipelines=({"name": "extract-orders", "fields": {"timeout": 60}}, {"name": "legacy"}),
        check=_has_one_comment_that_is_kept_up_to_date,
        **_DRY,
    ),
    "notify": Case(
        "notify.yml",
        code=1,
        job={**_FAILING, "log": [{"text": LAST_LINE}]},
        statuses=("ERROR",),
        check=_has_told_the_commit_and_slack,
    ),
    "notify, the deployment did not start": Case(
        "notify.yml",
        replaced=("steps:\n", "steps:\n      - run: exit 1\n"),
        code=1,
        check=_has_told_the_commit_and_slack,
        **_NO_TRIGGER,
    ),
    "newest-wins": Case("newest-wins.yml"),
    "self-hosted": Case("self-hosted.yml"),
    "webhook": Case("webhook.yml", calls={"trigger": 0, "webhook": 1, "job": 0}),
    "without-docker": Case("without-docker.yml"),
}


Runs = Mapping[str, "Future[tuple[WorkflowRun, Simulator]]"]


@pytest.fixture(scope="module")
def runs(
    engine: Engine, released: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """The runs that the selected tests wait for, a few at once, in the tests' order."""
    items = (item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec"))
    wanted = [str(item.callspec.params["name"]) for item in items if item.module is request.module]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            folders = {name: tmp_path_factory.mktemp("example") for name in wanted}
            yield {name: pool.submit(_run, engine, released, CASES[name], folders[name]) for name in wanted}
        finally:
            pool.shutdown(cancel_futures=True)


def test_every_example_is_run() -> None:
    assert {case.example for case in CASES.values()} == set(WORKFLOWS)


@pytest.mark.parametrize("name", CASES)
def test_example_does_what_it_says(runs: Runs, name: str) -> None:
    case, (run, simulator) = CASES[name], runs[name].result()
    run.show()
    assert run.code == case.code
    assert {call: len(simulator.calls(call)) for call in case.calls} == case.calls
    queued = max(case.calls.get("webhook", 0), case.calls["trigger"]) + case.calls.get("run", 0)
    assert len(simulator.jobs) == queued
    if case.calls.get("job") != 0:  # followed
        assert tuple(sorted(job.status for job in simulator.jobs)) == case.statuses
    assert not [entry for entry in run.log if any(token in entry["msg"] for token in simulator.issued_tokens)]
    case.check(run, simulator)


def _run(engine: Engine, released: Path, case: Case, folder: Path) -> tuple[WorkflowRun, Simulator]:
    """Run an example in a repository of its own, against a platform of its own; the `folder` is empty."""
    options = [*case.options]
    if case.payload:
        (folder / "event.json").write_text(json.dumps(case.payload), encoding="utf-8")
        options += ["--eventpath", str(folder / "event.json")]
    if case.example in ("notify.yml", "promote.yml", "pull-request-plan.yml"):
        volumes = (f"--volume {STAND_IN}:/usr/local/bin/{program}:ro" for program in ("gh", "curl"))
        options += ["--container-options", " ".join(volumes)]
    variables, secrets = ({"MATATIKA_WORKSPACE_ID": constants.WORKSPACE_ID}, SECRETS)
    if case.is_from_fork:
        variables, secrets = {}, {}
    others: list[Any] = [{"id": FAILS, "job": _FAILING}, *({"id": workspace} for workspace in FLEET)]
    scenario = {"job": case.job, "pipelines": list(case.pipelines), "other-workspaces": others}
    with Simulator(scenario, tls=make_certificate(folder)) as simulator:
        repository = _repository(released, case, simulator, folder)
        return run_workflow(engine, repository, EXAMPLE, variables, secrets, *options, event=case.event), simulator


def _repository(released: Path, case: Case, simulator: Simulator, folder: Path) -> Path:
    """A workspace's repository, an example among its workflows; `folder` has the simulator's certificate.

    Beside it is what the example uses of the action: less to copy into each job.
    """
    repository = folder / "repository"
    copy_files(released, repository, ["action.yml", FLEETS])
    if ARCHIVE.search(WORKFLOWS[case.example]):
        copy_files(ROOT, repository, ["LICENSE", "README.md", "pyproject.toml", "src/matatika_deploy"])
    files = {f"pipelines/{pipeline}.yml": "version: pipelines/v0.1\n" for pipeline in PIPELINES}
    write_files(repository, {"workspace.yml": "version: workspaces/v0.2\nname: Orders\n", **files})
    # act names the containers of jobs after workflow and job.
    unique = uuid.uuid4().hex
    fleets = (repository / FLEETS).read_text("utf-8").replace("name: Deploy workspaces", f"name: Fleet {unique}")
    example = _adapted(WORKFLOWS[case.example].replace(*case.replaced), case.workspaces, simulator, unique)
    write_files(repository, {EXAMPLE: example, FLEETS: fleets})
    write_files(repository, {AUTHORITY: (folder / "certificate.pem").read_bytes()})
    commit_all(repository)
    return repository


def _adapted(text: str, workspaces: Any, simulator: Simulator, unique: str) -> str:
    """An example with the action beside it instead of a released one, and the simulator instead of the platform."""
    workflow = load(ARCHIVE.sub(".", text))
    workflow["name"] += f" {unique}"
    addresses = {"api-url": simulator.api_url, "auth-url": simulator.auth_url, "audience": simulator.api_url}
    given = {**addresses, "ca-bundle": AUTHORITY}
    for job in workflow["jobs"].values():
        if job.get("uses", "").startswith(NAME):
            job["uses"] = f"./{FLEETS}"
            job["with"] |= given
            listed = job["with"]["workspaces"] if workspaces is None else json.dumps(workspaces)
            job["with"]["workspaces"] = re.sub(r'"https://[^"]+"', f'"{simulator.api_url}"', listed)
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
    # Plain scalars where the runner wants no text: act reads `'3'` as text where a number is due.
    dumped = yaml.safe_dump(workflow, sort_keys=False, width=1000)
    return re.sub(r": '(true|false|\d+)'$", r": \1", dumped, flags=re.MULTILINE)


def test_docker_run_of_the_documents_deploys(engine: Engine, image: str, tmp_path: Path) -> None:
    """Where a user would run it: in the checkout, with the secrets in the environment."""
    command, count = IMAGE.subn(image, DOCKER)
    assert count == 1
    secrets = {"INPUT_CLIENT_ID": constants.CLIENT_ID, "INPUT_CLIENT_SECRET": constants.CLIENT_SECRET}
    with Simulator({"job": JOB}, tls=make_certificate(tmp_path)) as simulator, engine.removed_afterwards() as name:
        options = f"--env INPUT_API_URL={simulator.api_url} --env INPUT_AUTH_URL={simulator.auth_url}"
        options += f" --env INPUT_CA_BUNDLE=certificate.pem --network host --name {name}"
        # Not with `--rm`, with which some engines lose the exit code.
        command = command.replace("--rm", options)
        command = re.sub(r"(?<=INPUT_WORKSPACE_ID=)\S+", constants.WORKSPACE_ID, command)
        ran = subprocess.run(
            ["/bin/bash", "-c", command], cwd=tmp_path, env=os.environ | secrets, stdout=subprocess.PIPE, text=True
        )
        assert ran.returncode == 0
        assert "INFO  Deployed" in ran.stdout.splitlines()
        # No runner obeys a mask there.
        assert not [one for one in (constants.CLIENT_SECRET, *simulator.issued_tokens) if one in ran.stdout]
        assert [job.status for job in simulator.jobs] == ["COMPLETE"]
