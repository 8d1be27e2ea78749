"""The workflows, and the types of the action, agree with `action.yml`; actions of others are what their version was."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from matatika_deploy.github.inputs import DEFAULTS, SECRET_INPUTS, Ending, Logs, Strictness
from matatika_deploy.outcome import Result

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
OF_ONE_WORKSPACE = {"workspace-id", *SECRET_INPUTS}
OF_THE_FLEET = {"workspaces", "max-parallel", "fail-fast"}


def test_fleets_have_all_of_the_options() -> None:
    assert set(CALLED["inputs"]) - OF_THE_FLEET == set(ACTION["inputs"]) - OF_ONE_WORKSPACE
    assert set(STEP["with"]) == set(ACTION["inputs"])


def test_fleets_hand_on_every_option() -> None:
    for name in set(CALLED["inputs"]) - OF_THE_FLEET - {"api-url"}:
        assert STEP["with"][name] == f"${{{{ inputs.{name} }}}}"
    assert STEP["with"]["api-url"] == "${{ matrix.workspace.api-url || inputs.api-url }}"
    for name in SECRET_INPUTS:
        secret = f"MATATIKA_{name.replace('-', '_').upper()}"
        assert STEP["with"][name] == f"${{{{ secrets.{secret} }}}}"
        assert CALLED["secrets"][secret]["required"] == "false"


def test_fleets_leave_the_defaults_to_the_action() -> None:
    """What is not given is empty, and so not given to the action either; only a boolean cannot be empty."""
    for name in set(CALLED["inputs"]) - OF_THE_FLEET:
        about = CALLED["inputs"][name]
        assert about.get("default") == (DEFAULTS[name] if about["type"] == "boolean" else None), name


def test_types_cover_the_interface() -> None:
    assert list(TYPES["inputs"]) == list(ACTION["inputs"])
    assert list(TYPES["outputs"]) == list(ACTION["outputs"])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("logs", Logs),
        ("on-timeout", Ending),
        ("on-cancel", Ending),
        ("preflight", Strictness),
        ("verify-source", Strictness),
    ],
)
def test_types_of_choices(name: str, values: type[Logs] | type[Ending] | type[Strictness]) -> None:
    assert TYPES["inputs"][name] == {"type": "enum", "allowed-values": list(values)}


def test_types_of_the_rest() -> None:
    assert TYPES["outputs"]["outcome"] == {"type": "enum", "allowed-values": list(Result)}
    booleans = {name for name, about in TYPES["inputs"].items() if about["type"] == "boolean"}
    assert booleans == {name for name, default in DEFAULTS.items() if default in ("true", "false")}


def test_actions_of_others_are_pinned_to_the_commit_of_a_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for uses in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8")):
            if uses.startswith(("./", "OWNER/")):
                continue
            match = re.fullmatch(r"([\w-]+/[\w-]+)[\w/-]*@([0-9a-f]{40} # v\d+\.\d+\.\d+)", uses)
            assert match, uses
            pins.setdefault(match[1], set()).add(match[2])
    assert pins
    assert not {name: versions for name, versions in pins.items() if len(versions) > 1}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_have_the_permissions_that_they_ask_for(path: Path) -> None:
    workflow = _load(path)
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())


def test_a_release_needs_no_secret_but_the_workflows_own_token() -> None:
    assert "secrets." not in (FOLDER / "release.yml").read_text(encoding="utf-8")
