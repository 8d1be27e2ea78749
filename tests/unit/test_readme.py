"""The README says what is true: its tables, and every block that somebody may copy."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from matatika_deploy.github.inputs import read_settings
from matatika_deploy.outcome import Result
from matatika_deploy.version import __version__
from tests.support.readme import BLOCKS, GITLAB, NAME, README, RECIPES, ROOT, SNIPPET, headings, load, table, tokens

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"]
ACTION: dict[str, Any] = load((ROOT / "action.yml").read_text(encoding="utf-8"))
FLEETS: dict[str, Any] = load((ROOT / ".github/workflows/deploy-workspaces.yml").read_text(encoding="utf-8"))
TOOLS = Path(sys.executable).parent
WORKSPACE_ID = "5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e"
MAJOR = __version__.split(".")[0]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _names(heading: str) -> list[str]:
    """The first column of the table under a heading."""
    return [cells[0].strip("`") for cells in table(README, heading)]


def _steps() -> Iterator[Any]:
    """The `with` of every step that uses the action."""
    workflows = [load(text) for text in RECIPES.values()] + [{"jobs": {"snippet": {"steps": load(SNIPPET)}}}]
    for workflow in workflows:
        for job in workflow["jobs"].values():
            for step in job.get("steps", []):
                if step.get("uses", "").startswith(NAME):
                    assert step["uses"] == f"{NAME}@v{MAJOR}"
                    yield step["with"]


def test_table_of_inputs() -> None:
    assert _names("Inputs") == list(ACTION["inputs"])
    shown = {cells[0].strip("`"): cells[1].strip("`") for cells in table(README, "Inputs")}
    assert shown.pop("workspace-id") == "*required*"
    assert shown.pop("audience") == "api-url"
    assert shown == {name: about.get("default", "") for name, about in ACTION["inputs"].items() if name in shown}


def test_table_of_outputs() -> None:
    assert _names("Outputs") == list(ACTION["outputs"])


def test_table_of_exit_codes() -> None:
    assert _names("Exit codes") == ["0", "1", "2", "3", "4", "5", "130", "143"]
    outcomes = {outcome.strip("` ") for cells in table(README, "Exit codes") for outcome in cells[1].split(",")}
    assert outcomes == set(Result)


def test_every_outcome_is_explained() -> None:
    (explained,) = [cells[2] for cells in table(README, "Outputs") if cells[0] == "`outcome`"]
    assert set(re.findall(r"`([a-z-]+)`", explained)) == set(Result)


def test_every_exit_code_has_its_help() -> None:
    helped = _text("README.md").partition("\n## When it fails\n")[2].partition("\n## ")[0]
    bold = " ".join(re.findall(r"^- \*\*(.+?)\*\*", helped, re.MULTILINE))
    assert re.findall(r"`(\d+)`", bold) == _names("Exit codes")[1:]


def test_every_block_is_known() -> None:
    assert {token.info for token in README if token.type == "fence"} <= {"yaml", "bash"}
    assert sorted(BLOCKS.values()) == sorted([*RECIPES.values(), SNIPPET, GITLAB])


def test_workflows_are_clean(tmp_path: Path) -> None:
    snippet = (
        f"on: push\njobs:\n  deploy:\n    runs-on: ubuntu-latest\n    steps:\n{textwrap.indent(SNIPPET, '      ')}"
    )
    files = []
    for number, text in enumerate([*RECIPES.values(), snippet]):
        files.append(tmp_path / f"{number}.yml")
        files[-1].write_text(text, encoding="utf-8")
    _check("actionlint", "-shellcheck=", "-pyflakes=", "-no-color", *files)
    _check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)


def test_gitlab_block_is_clean(tmp_path: Path) -> None:
    file = tmp_path / ".gitlab-ci.yml"
    file.write_text(GITLAB, encoding="utf-8")
    _check("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", file)
    (job,) = load(GITLAB).values()
    _read({name.removeprefix("INPUT_").replace("_", "-").lower(): value for name, value in job["variables"].items()})


def _check(tool: str, *arguments: str | Path) -> None:
    checked = subprocess.run([TOOLS / tool, *arguments], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("given", list(_steps()))
def test_steps_give_what_the_action_takes(given: Mapping[str, str]) -> None:
    assert set(given) <= set(ACTION["inputs"])
    _read({name: value for name, value in given.items() if name != "ca-bundle"})


def _read(inputs: Mapping[str, str]) -> None:
    """Read inputs as the action does, with something fitting where there is an expression or a variable."""

    def filled_in(name: str, value: str) -> str:
        if not value.startswith("$"):
            return value
        return WORKSPACE_ID if name == "workspace-id" else "filled-in"

    read_settings({f"INPUT_{name.upper()}": filled_in(name, value) for name, value in inputs.items()})


@pytest.mark.parametrize("heading", RECIPES)
def test_recipes_ask_for_permissions(heading: str) -> None:
    assert load(RECIPES[heading])["permissions"]["contents"] in ("read", "write")


def test_fleet_gives_what_the_reusable_workflow_takes() -> None:
    fleet = load(RECIPES["A fleet of workspaces"])["jobs"]["fleet"]
    assert fleet["uses"] == f"{NAME}/.github/workflows/deploy-workspaces.yml@v{MAJOR}"
    called = FLEETS["on"]["workflow_call"]
    assert set(fleet["with"]) <= set(called["inputs"])
    assert set(fleet["secrets"]) <= set(called["secrets"])
    workspaces = yaml.safe_load(fleet["with"]["workspaces"])
    assert {key for workspace in workspaces for key in workspace} == {"id", "environment", "api-url"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_versions_are_the_present_one(name: str) -> None:
    assert set(re.findall(rf"{NAME}[\w./-]*[:@]v?(\d[\d.]*\d|\d)", _text(name))) <= {__version__, MAJOR}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_within_the_repository_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", _text(name)):
        path, _, anchor = target.partition("#")
        assert not path or (ROOT / path).exists(), target
        assert not anchor or anchor in _anchors(path or name), target


def test_every_recipe_is_in_the_table_of_contents() -> None:
    linked = set(re.findall(r"\]\(#([^)]+)\)", _text("README.md").partition("\n## Recipes\n")[0]))
    _title, *anchors = _anchors("README.md")
    assert set(anchors) - linked == {"recipes"}


def _anchors(name: str) -> list[str]:
    """The anchors that GitHub gives a document's headings."""
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(tokens(name))]


def test_the_map_of_the_house_is_complete() -> None:
    modules = {path.name for path in (ROOT / "src/matatika_deploy").rglob("*.py")} - {"__init__.py"}
    drawn = _text("CONTRIBUTING.md").partition("src/matatika_deploy/\n")[2].partition("src/")[0]
    assert set(re.findall(r"\b\w+\.py\b", drawn)) == modules
