"""The README says what is true: its tables, and every block that somebody may copy."""

import itertools
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from matatika_deploy.outcome import Result
from matatika_deploy.settings import read_settings
from matatika_deploy.version import __version__

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
FLEETS: dict[str, Any] = yaml.load(
    (ROOT / ".github" / "workflows" / "deploy-workspaces.yml").read_text(encoding="utf-8"), yaml.BaseLoader
)
NAME = "OWNER/matatika-deploy-action"
TOOLS = Path(sys.executable).parent
WORKSPACE_ID = "5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e"


def _tokens(name: str) -> list[Token]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return MarkdownIt("commonmark").enable("table").parse(text)


README = _tokens("README.md")


def _blocks(language: str) -> dict[str, str]:
    """The code blocks of a language, each by the heading above it."""
    blocks, heading = {}, ""
    for before, token in zip([None, *README], README, strict=False):
        if before and before.type == "heading_open":
            heading = token.content
        if token.type == "fence" and token.info == language:
            assert heading not in blocks, f"two blocks under {heading}"
            blocks[heading] = token.content
    return blocks


def _table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, as they are written."""
    start = next(index for index, token in enumerate(README) if token.content == heading and token.type == "inline")
    rows: list[list[str]] = []
    for token, following in zip(README[start:], README[start + 1 :], strict=False):
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        if token.type == "td_open":
            rows[-1].append(following.content)
    return rows[1:]


def _names(heading: str) -> list[str]:
    return [cells[0].strip("`") for cells in _table(heading)]


BLOCKS = _blocks("yaml")
SNIPPET = "Deploy to Matatika Cloud and Meltano Cloud"
GITLAB = "Outside of github.com"
WORKFLOWS = {heading: text for heading, text in BLOCKS.items() if text.startswith("name: ")}
"""The recipes: whole files."""


def _load(text: str) -> Any:
    """YAML as the runner reads it: every scalar as the text that it is."""
    return yaml.load(text, yaml.BaseLoader)


def _steps() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every step that uses the action, with the heading that it stands under, as its `with`."""
    for heading, text in BLOCKS.items():
        content = _load(text)
        jobs = content.get("jobs", {}).values() if isinstance(content, dict) else [{"steps": content}]
        for step in (step for job in jobs for step in job.get("steps", [])):
            if step.get("uses", "").startswith(NAME):
                yield heading, step["with"]


STEPS = list(_steps())


def test_table_of_inputs() -> None:
    assert _names("Inputs") == list(ACTION["inputs"])
    shown = {cells[0].strip("`"): cells[1].strip("`") for cells in _table("Inputs")}
    assert shown.pop("workspace-id") == "*required*"
    assert shown.pop("audience") == "api-url"
    assert shown == {name: about.get("default", "") for name, about in ACTION["inputs"].items() if name in shown}


def test_table_of_outputs() -> None:
    assert _names("Outputs") == list(ACTION["outputs"])


def test_table_of_exit_codes() -> None:
    assert _names("Exit codes") == ["0", "1", "2", "3", "4", "5", "130", "143"]
    outcomes = {outcome.strip("` ") for cells in _table("Exit codes") for outcome in cells[1].split(",")}
    assert outcomes == set(Result)


def test_every_outcome_is_explained() -> None:
    (explained,) = [cells[2] for cells in _table("Outputs") if cells[0] == "`outcome`"]
    assert set(re.findall(r"`([a-z-]+)`", explained)) == set(Result)


def test_every_exit_code_has_its_help() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    helped = text.partition("\n## When it fails\n")[2].partition("\n## ")[0]
    bold = " ".join(re.findall(r"^- \*\*(.+?)\*\*", helped, re.MULTILINE))
    assert re.findall(r"`(\d+)`", bold) == _names("Exit codes")[1:]


def test_every_block_is_known() -> None:
    assert {token.info for token in README if token.type == "fence"} <= {"yaml", "bash"}
    assert set(BLOCKS) - set(WORKFLOWS) == {SNIPPET, GITLAB}


def test_workflows_are_clean(tmp_path: Path) -> None:
    files = []
    for number, text in enumerate([*WORKFLOWS.values(), _around(BLOCKS[SNIPPET])]):
        files.append(tmp_path / f"{number}.yml")
        files[-1].write_text(text, encoding="utf-8")
    _check("actionlint", "-shellcheck=", "-pyflakes=", "-no-color", *files)
    _check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)


def _check(tool: str, *arguments: str | Path) -> None:
    checked = subprocess.run([TOOLS / tool, *arguments], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _around(steps: str) -> str:
    """A workflow of these steps."""
    return f"on: push\njobs:\n  deploy:\n    runs-on: ubuntu-latest\n    steps:\n{textwrap.indent(steps, '      ')}"


def test_gitlab_block_is_valid(tmp_path: Path) -> None:
    file = tmp_path / ".gitlab-ci.yml"
    file.write_text(BLOCKS[GITLAB], encoding="utf-8")
    _check("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", file)
    (job,) = _load(BLOCKS[GITLAB]).values()
    _read({name.removeprefix("INPUT_").replace("_", "-").lower(): value for name, value in job["variables"].items()})


@pytest.mark.parametrize(("heading", "given"), STEPS, ids=[heading for heading, _ in STEPS])
def test_steps_give_what_the_action_takes(heading: str, given: Mapping[str, str]) -> None:
    assert set(given) <= set(ACTION["inputs"])
    _read({name: value for name, value in given.items() if name != "ca-bundle"})


def _read(inputs: Mapping[str, str]) -> None:
    """Read inputs as the action does, with something fitting where the workflow has an expression or a variable."""
    environ = {}
    for name, value in inputs.items():
        is_filled_in = value.startswith(("${{", "$"))
        environ[f"INPUT_{name.upper()}"] = (
            value if not is_filled_in else WORKSPACE_ID if name == "workspace-id" else "filled-in"
        )
    read_settings(environ)


@pytest.mark.parametrize("heading", WORKFLOWS)
def test_recipes_ask_for_permissions(heading: str) -> None:
    assert _load(WORKFLOWS[heading])["permissions"]["contents"] in ("read", "write")


def test_fleet_gives_what_the_reusable_workflow_takes() -> None:
    fleet = _load(BLOCKS["A fleet of workspaces"])["jobs"]["fleet"]
    assert fleet["uses"] == f"{NAME}/.github/workflows/deploy-workspaces.yml@v{__version__.split('.')[0]}"
    called = FLEETS["on"]["workflow_call"]
    assert set(fleet["with"]) <= set(called["inputs"])
    assert set(fleet["secrets"]) <= set(called["secrets"])
    workspaces = yaml.safe_load(fleet["with"]["workspaces"])
    assert {key for workspace in workspaces for key in workspace} == {"id", "environment", "api-url"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_versions_are_the_present_one(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    versions = re.findall(rf"{NAME}(?:/[\w./-]+)?[:@]v?([\d.]+\d|\d)", text)
    assert set(versions) <= {__version__, __version__.split(".")[0]}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_within_the_repository_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", (ROOT / name).read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists() if path else True, target
        if anchor:
            assert anchor in _anchors(path or name), target


def _anchors(name: str) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    tokens = _tokens(name)
    headings = [token.content for before, token in itertools.pairwise(tokens) if before.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_recipe_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Recipes\n")[0]
    linked = set(re.findall(r"\]\(#([^)]+)\)", contents))
    # The chapters of the table of contents itself, and the title.
    assert _anchors("README.md") - linked == {"deploy-to-matatika-cloud-and-meltano-cloud", "recipes"}


def test_the_map_of_the_house_is_complete() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "matatika_deploy"
    modules = {path.name for path in package.rglob("*.py")} - {"__init__.py"}
    assert modules == set(re.findall(r"\b\w+\.py\b", text.partition("matatika_deploy/\n")[2].partition("src/")[0]))
