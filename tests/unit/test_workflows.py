"""The workflows, and the types of the action, agree with `action.yml`; actions of others are what their version was."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from matatika_deploy.github.converters import Choice, boolean
from matatika_deploy.github.inputs import CREDENTIALS, INPUTS, Input
from matatika_deploy.outcome import Outcome
from tests.support.readme import EXAMPLES, NAME

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))


def _load(path: Path) -> Any:
    """YAML with every scalar as the text that it is."""
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)


ACTION = _load(ROOT / "action.yml")
TYPES = _load(ROOT / "action-types.yml")
FLEET = _load(FOLDER / "deploy-workspaces.yml")
CALLED = FLEET["on"]["workflow_call"]
STEP = FLEET["jobs"]["deploy"]["steps"][-1]
DEFAULTS = {one.name: one.default for one in INPUTS}
OF_ONE_WORKSPACE = {"workspace-id", *CREDENTIALS}
OF_THE_FLEET = {"workspaces", "max-parallel", "fail-fast", "runs-on"}


def test_fleets_have_all_of_the_options() -> None:
    assert set(CALLED["inputs"]) - OF_THE_FLEET == set(ACTION["inputs"]) - OF_ONE_WORKSPACE
    assert set(STEP["with"]) == set(ACTION["inputs"])


def test_fleets_hand_on_every_option() -> None:
    for name in set(CALLED["inputs"]) - OF_THE_FLEET - {"api-url"}:
        assert STEP["with"][name] == f"${{{{ inputs.{name} }}}}"
    assert STEP["with"]["api-url"] == "${{ matrix.workspace.api-url || inputs.api-url }}"
    for name in CREDENTIALS:
        secret = f"MATATIKA_{name.replace('-', '_').upper()}"
        assert STEP["with"][name] == f"${{{{ secrets.{secret} }}}}"
        assert CALLED["secrets"][secret]["required"] == "false"


def _check_list(workspaces: str) -> "subprocess.CompletedProcess[str]":
    """Run the fleet's check of its list, as the runner does."""
    (step,) = FLEET["jobs"]["check"]["steps"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        env={"PATH": path, "WORKSPACES": workspaces},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    "workspaces",
    [
        "[]",
        " [ ] ",
        '[{"id": "1"}]',
        '[{"id": "1", "name": "Orders", "environment": "sales", "api-url": "https://example.com/api"}]',
        '[{"id": "1", "environment": null, "api-url": ""}]',
    ],
)
def test_fleet_takes_a_list_of_workspaces(workspaces: str) -> None:
    checked = _check_list(workspaces)
    assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.parametrize(
    ("workspaces", "errors"),
    [
        ('{"id": "1"}', ["`workspaces` must be a JSON list"]),
        ('"1"', ["`workspaces` must be a JSON list"]),
        ("", ["`workspaces` is not JSON"]),
        ("[{'id': '1'}]", ["`workspaces` is not JSON"]),
        ('["1"]', ["entry 1: not an object with an `id`"]),
        ("[{}]", ["entry 1: there is no `id`"]),
        ('[{"id": "1"}, {"id": " "}]', ["entry 2: there is no `id`"]),
        ('[{"id": "1"}, {"id": 2}]', ["entry 2: there is no `id`"]),
        ('[{"id": "1", "name": ["a"]}]', ["entry 1: `name` is not text"]),
        ('[{"id": "1"}, {"workspace-id": "2"}]', ['entry 2: "workspace-id" is not a key', "entry 2: there is no `id`"]),
        ('[{"id": "1", "a%0A\\n::b": 1}]', ['entry 1: "a%250A\\n::b" is not a key']),
        (
            '[{"id": "1", "enviroment": "sales"}, {"id": "2"}, {"ID": "3", "id": "3"}]',
            ['entry 1: "enviroment" is not a key', 'entry 3: "ID" is not a key'],
        ),
    ],
)
def test_fleet_names_the_entry_that_it_cannot_use(workspaces: str, errors: list[str]) -> None:
    checked = _check_list(workspaces)
    assert checked.returncode == 1
    lines = checked.stdout.splitlines()
    assert all(line.startswith("::error title=Bad input::`workspaces`") for line in lines)
    assert len(lines) == len(errors)
    assert all(error in line for error, line in zip(errors, lines, strict=True))


def test_fleet_runs_every_job_where_it_is_told() -> None:
    """One label, or a JSON list of labels."""
    expected = "${{ startsWith(inputs.runs-on, '[') && fromJSON(inputs.runs-on) || inputs.runs-on }}"
    assert {job["runs-on"] for job in FLEET["jobs"].values()} == {expected}


def test_fleets_leave_the_defaults_to_the_action() -> None:
    """What is not given is empty, and so not given to the action either; only a boolean cannot be empty."""
    for name in set(CALLED["inputs"]) - OF_THE_FLEET:
        about = CALLED["inputs"][name]
        assert about.get("default") == (DEFAULTS[name] if about["type"] == "boolean" else None), name


def test_types_cover_the_interface() -> None:
    assert list(TYPES["inputs"]) == list(ACTION["inputs"])
    assert list(TYPES["outputs"]) == list(ACTION["outputs"])


@pytest.mark.parametrize("one", INPUTS, ids=lambda one: one.name)
def test_types_of_inputs_are_those_that_they_are_converted_to(one: Input) -> None:
    about = TYPES["inputs"][one.name]
    if isinstance(one.convert, type) and issubclass(one.convert, Choice):
        assert about == {"type": "enum", "allowed-values": list(one.convert)}
    else:
        assert about == {"type": "boolean" if one.convert is boolean else "string"}


def test_type_of_the_outcome_has_every_outcome() -> None:
    assert TYPES["outputs"]["outcome"] == {"type": "enum", "allowed-values": list(Outcome)}


def test_actions_of_others_are_pinned_to_the_commit_of_a_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for uses in re.findall(r"^ +(?:- )?uses: (.+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            if uses.startswith(("./", NAME)):
                continue
            match = re.fullmatch(r"([\w-]+/[\w-]+)[\w/-]*@([0-9a-f]{40} # v\d+\.\d+\.\d+)", uses)
            assert match, uses
            pins.setdefault(match[1], set()).add(match[2])
    assert pins
    assert not {name: versions for name, versions in pins.items() if len(versions) > 1}


def test_examples_use_the_versions_that_the_workflows_do() -> None:
    """A major version: whoever copies an example wants one to read."""
    pinned = {
        f"{name}@{version}"
        for path in WORKFLOWS
        for name, version in re.findall(r"uses: (actions/[\w-]+)@\w+ # (v\d+)", path.read_text(encoding="utf-8"))
    }
    used = {uses for text in EXAMPLES.values() for uses in re.findall(r"uses: (actions/\S+)", text)}
    assert used
    assert used <= pinned


def test_dependabot_looks_at_everything_that_is_pinned() -> None:
    updates = _load(ROOT / ".github/dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "pip", "docker"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_have_the_permissions_that_they_ask_for(path: Path) -> None:
    workflow = _load(path)
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())


def _jobs_that_can_write() -> dict[str, Any]:
    """The jobs of all workflows whose token can write anything, by `file: job`."""
    return {
        f"{path.name}: {name}": job
        for path in WORKFLOWS
        for name, job in _load(path)["jobs"].items()
        if "write" in job["permissions"].values()
    }


def test_jobs_that_can_write_run_no_code_of_the_repository() -> None:
    """Their scripts stand in the workflow, and start no file of the checkout; CodeQL only reads it."""
    jobs = _jobs_that_can_write()
    assert set(jobs) == {"release.yml: image", "release.yml: release", "ci.yml: codeql"}
    for job in jobs.values():
        for step in job["steps"]:
            assert not step.get("uses", "").startswith("./")
            assert not re.search(r"\bmake\b|\bpython|\bpip|\btools\b|\bsrc/|\./|buildx build", step.get("run", ""))


def test_whatever_publishes_waits_for_the_environment_of_releases() -> None:
    publishing = [job for name, job in _jobs_that_can_write().items() if name.startswith("release.yml")]
    assert [job["environment"] for job in publishing] == ["release", "release"]


def test_a_release_needs_no_secret_but_the_workflows_own_token() -> None:
    assert "secrets." not in (FOLDER / "release.yml").read_text(encoding="utf-8")
