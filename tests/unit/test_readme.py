"""The documents say what is true: their tables, their links, and everything that somebody may copy."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from matatika_deploy.github.inputs import read_settings
from matatika_deploy.outcome import Outcome
from matatika_deploy.version import __version__
from matatika_simulator.scenario import names
from tests.support.readme import (
    EXAMPLES,
    GITLAB,
    NAME,
    README,
    ROOT,
    SNIPPET,
    WORKFLOWS,
    headings,
    load,
    table,
    tokens,
)

DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]
ACTION: dict[str, Any] = load((ROOT / "action.yml").read_text(encoding="utf-8"))
FLEETS: dict[str, Any] = load((ROOT / ".github/workflows/deploy-workspaces.yml").read_text(encoding="utf-8"))
WORKSPACE_ID = "5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e"
MAJOR = __version__.split(".")[0]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _names(heading: str) -> list[str]:
    """The first column of the table under a heading."""
    return [cells[0].strip("`") for cells in table(README, heading)]


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Inputs that are given as variables."""
    return {
        name.removeprefix("INPUT_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("INPUT_")
    }


def _inputs() -> Iterator[Any]:
    """What every step of the examples and of the README gives the action."""
    workflows = [load(text) for text in WORKFLOWS.values()] + [{"jobs": {"snippet": {"steps": load(SNIPPET)}}}]
    for workflow in workflows:
        for job in workflow["jobs"].values():
            for step in job.get("steps", []):
                if step.get("uses", "").startswith(NAME):
                    assert step["uses"] == f"{NAME}@v{MAJOR}"
                    yield step["with"]
                elif given := _variables(step.get("env", {})):
                    yield given
    (job,) = load(GITLAB).values()
    yield _variables(job["variables"])


def test_table_of_inputs() -> None:
    assert _names("Inputs") == list(ACTION["inputs"])
    shown = {cells[0].strip("`"): cells[1].strip("`") for cells in table(README, "Inputs")}
    assert shown.pop("workspace-id") == "*required*"
    assert shown.pop("audience") == "api-url"
    assert shown == {name: about.get("default", "") for name, about in ACTION["inputs"].items() if name in shown}


def test_table_of_outputs() -> None:
    assert _names("Outputs") == list(ACTION["outputs"])


def test_every_outcome_is_explained() -> None:
    outcomes = {outcome.strip("` ") for cells in table(README, "When it fails") for outcome in cells[1].split(",")}
    assert outcomes == set(Outcome)


def test_every_block_is_known() -> None:
    """What is copied is the snippet, or a file under `examples/`; a drawing and commands are the rest."""
    fences = {
        name: [token.info for token in tokens(name) if token.type == "fence" and token.info not in ("bash", "console")]
        for name in DOCUMENTS
    }
    assert {name: infos for name, infos in fences.items() if infos} == {
        "README.md": ["yaml"],
        "CONTRIBUTING.md": [""],
        "docs/how-it-works.md": ["mermaid"],
    }


def test_snippet_is_the_step_of_the_first_example() -> None:
    """The examples are linted by `make check`, and run by `make e2e`."""
    used = {step["uses"]: step for step in load(WORKFLOWS["deploy.yml"])["jobs"]["deploy"]["steps"]}
    for step in load(SNIPPET):
        assert step.get("with", {}).items() <= used[step["uses"]]["with"].items()


@pytest.mark.parametrize("given", list(_inputs()))
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


@pytest.mark.parametrize("name", WORKFLOWS)
def test_examples_use_outputs_that_there_are(name: str) -> None:
    used = set(re.findall(r"steps\.deploy\.outputs\.([\w-]+)", WORKFLOWS[name]))
    assert used <= set(ACTION["outputs"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_examples_with_secrets_use_an_environment(name: str) -> None:
    """So that not every branch has production's secrets. A dry run and a fleet need none of their own."""
    for job in load(WORKFLOWS[name])["jobs"].values():
        for step in job.get("steps", []):
            if "secrets." in str(step) and step.get("with", {}).get("dry-run") != "true":
                assert job["environment"]["url"] == "${{ steps.deploy.outputs.workspace-url }}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_say_for_whom_they_are(name: str) -> None:
    first, second, third = EXAMPLES[name].splitlines()[:3]
    assert first.startswith("# For ")
    assert second.startswith("# ")
    assert not third.startswith("#")


def test_readme_names_every_example() -> None:
    assert set(re.findall(r"\]\(examples/([^)]+)\)", _text("README.md"))) == set(EXAMPLES)


def test_readme_names_scenarios_of_the_demo() -> None:
    named = re.search(r"Other scenarios are (.*?)\.", _text("README.md"), re.DOTALL)
    assert named
    assert set(re.findall(r"`([\w-]+)`", named[1])) | {"failure"} <= set(names())


def test_fleet_gives_what_the_reusable_workflow_takes() -> None:
    fleet = load(WORKFLOWS["fleet.yml"])["jobs"]["fleet"]
    assert fleet["uses"] == f"{NAME}/.github/workflows/deploy-workspaces.yml@v{MAJOR}"
    called = FLEETS["on"]["workflow_call"]
    assert set(fleet["with"]) <= set(called["inputs"])
    assert set(fleet["secrets"]) <= set(called["secrets"])
    workspaces = yaml.safe_load(fleet["with"]["workspaces"])
    assert {key for workspace in workspaces for key in workspace} == {"id", "name", "environment", "api-url"}


@pytest.mark.parametrize("name", [*DOCUMENTS, *(f"examples/{name}" for name in EXAMPLES)])
def test_versions_are_the_present_one(name: str) -> None:
    found = re.findall(rf"{NAME}[\w./-]*(?:[:@]|/tags/)v?(\d[\d.]*\d|\d)", _text(name), re.IGNORECASE)
    assert set(found) <= {__version__, MAJOR}


@pytest.mark.parametrize("name", [*DOCUMENTS, "RELIABILITY.md", "BENCHMARKS.md", "CHANGELOG.md"])
def test_links_within_the_repository_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:|\.\./\.\./\.\./)([^)\s]+)\)", _text(name)):
        path, _, anchor = target.partition("#")
        linked = (ROOT / name).parent / path if path else ROOT / name
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked.resolve().relative_to(ROOT).as_posix()), target


def test_every_document_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", _text("README.md")))
    assert {name for name in DOCUMENTS if name.startswith("docs/")} <= linked


def _anchors(name: str) -> list[str]:
    """The anchors that GitHub gives a document's headings."""
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(tokens(name))]


def test_the_map_of_the_house_is_complete() -> None:
    modules = {path.name for path in (ROOT / "src/matatika_deploy").rglob("*.py")} - {"__init__.py"}
    drawn = _text("CONTRIBUTING.md").partition("src/matatika_deploy/\n")[2].partition("src/")[0]
    assert set(re.findall(r"\b\w+\.py\b", drawn)) == modules
