"""The documents say what is true: their tables, their links, and everything that somebody may copy."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from matatika_deploy.github.inputs import read_settings
from matatika_deploy.version import __version__
from matatika_simulator.scenario import names
from tests.support import readme
from tests.support.readme import EXAMPLES, NAME, ROOT, WORKFLOWS, headings, load, table, tokens

DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]
ACTION: dict[str, Any] = load((ROOT / "action.yml").read_text(encoding="utf-8"))
FLEETS: dict[str, Any] = load((ROOT / ".github/workflows/deploy-workspaces.yml").read_text(encoding="utf-8"))
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "src/matatika_deploy").rglob("*.py"))}
MAJOR = __version__.split(".")[0]
# Of steps that succeed: they have no section.
OF_SUCCESS = {"Deployed", "Deployment submitted", "Checked"}
OF_OTHERS = {"Argument list too long", "Settings", "Webhooks"}


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _inputs() -> Iterator[Mapping[str, str]]:
    """What every step of the examples and of the README gives the action, as inputs or as variables."""
    workflows = [load(text) for text in WORKFLOWS.values()] + [{"jobs": {"snippet": {"steps": load(readme.SNIPPET)}}}]
    for step in (step for it in workflows for job in it["jobs"].values() for step in job.get("steps", [])):
        if step.get("uses", "").startswith(NAME):
            assert step["uses"] == f"{NAME}@v{MAJOR}"
            yield {f"INPUT_{name.upper()}": value for name, value in step["with"].items()}
        elif any(name.startswith("INPUT_") for name in step.get("env", {})):
            yield step["env"]
    (job,) = load(readme.GITLAB).values()
    yield job["variables"]


@pytest.mark.parametrize("given", list(_inputs()))
def test_steps_give_what_the_action_takes(given: Mapping[str, str]) -> None:
    """Something that fits takes the place of an expression or a variable."""
    values = {name.replace("_", "-"): value for name, value in given.items() if name.startswith("INPUT")}
    values = {name: "filled-in" if value.startswith("$") else value for name, value in values.items()}
    assert {name.removeprefix("INPUT-").lower() for name in values} <= set(ACTION["inputs"])
    values |= {"INPUT-WORKSPACE-ID": "5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e", "INPUT-CA-BUNDLE": ""}
    read_settings({name.replace("INPUT-", "INPUT_"): value for name, value in values.items()})


def test_tables_of_inputs_and_outputs_are_those_of_the_action() -> None:
    inputs = {name.strip("`"): default.strip("`") for name, default, *_ in table(readme.README, "Inputs")}
    defaults = {name: about.get("default", "") for name, about in ACTION["inputs"].items()}
    assert list(inputs) == list(ACTION["inputs"])
    assert inputs == defaults | {"workspace-id": "*required*", "audience": "api-url"}
    assert [cells[0].strip("`") for cells in table(readme.README, "Outputs")] == list(ACTION["outputs"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_examples_use_outputs_that_there_are_and_keep_secrets_in_an_environment(name: str) -> None:
    """So that not every branch has production's secrets. A dry run and a fleet need none of their own."""
    assert set(re.findall(r"steps\.deploy\.outputs\.([\w-]+)", WORKFLOWS[name])) <= set(ACTION["outputs"])
    for job in load(WORKFLOWS[name])["jobs"].values():
        for step in job.get("steps", []):
            if "secrets." in str(step) and step.get("with", {}).get("dry-run") != "true":
                assert job["environment"]["url"] == "${{ steps.deploy.outputs.workspace-url }}"


def test_readme_names_every_example_and_scenario_of_the_demo() -> None:
    assert set(re.findall(r"\]\(examples/([^)]+)\)", _text("README.md"))) == set(EXAMPLES)
    (named,) = re.findall(r"(?s)Other scenarios are (.*?)\.", _text("README.md"))
    assert {*re.findall(r"`([\w-]+)`", named), "success", "failure"} == set(names())


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


def _anchors(name: str) -> list[str]:
    """The anchors that GitHub gives a document's headings."""
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(tokens(name))]


def test_readme_links_every_document_and_the_map_of_the_house_is_complete() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", _text("README.md")))
    assert {name for name in DOCUMENTS if name.startswith("docs/")} <= linked
    drawn = _text("CONTRIBUTING.md").partition("src/matatika_deploy/\n")[2].partition("src/")[0]
    assert set(re.findall(r"\b\w+\.py\b", drawn)) == SOURCES.keys() - {"__init__.py"}


def test_every_title_of_an_error_has_its_section() -> None:
    program = "\n".join(SOURCES.values())
    lines = "\n".join(re.findall(r"(?i).*title.*", program))
    titles = {*re.findall(r'"([A-Z][\w-]+(?: [\w-]+)*)"', lines), *re.findall(r'StepResult\([^")]*"([^"]+)"', program)}
    assert titles >= OF_SUCCESS | {"Bad input", "Sign-in failed", "Deployment failed", "Workspace not checked"}
    assert titles - OF_SUCCESS <= set(headings(tokens("docs/troubleshooting.md")))


def test_words_that_are_searched_for_are_the_errors_own() -> None:
    """What stands in italics in an error's section is in the program's texts, with something variable for `…`."""
    # Literals that stand side by side are one text; what is variable in it is `…`.
    program = re.sub(r'\{[^{}"\n]*\}', "…", re.sub(r'"\s+f?"', "", "".join(SOURCES.values())))
    document = re.sub(r"\s+", " ", _text("docs/troubleshooting.md"))
    sections = document.partition("## Bad input")[2].partition("## Surprises")[0]
    quoted = set(re.findall(r"\*([^*]+)\*", re.sub(r"\*\*.*?\*\*", "", sections))) - OF_OTHERS
    assert len(quoted) > 20
    assert [phrase for phrase in quoted if phrase not in program] == []
