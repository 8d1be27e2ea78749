"""`action.yml` says what the program reads; workflows and types agree with it; actions of others are pinned."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from matatika_deploy.github.converters import Choice, boolean
from matatika_deploy.github.inputs import CREDENTIALS, INPUTS
from matatika_deploy.outcome import Outcome, job_outputs
from matatika_deploy.platform.job import Job, parse_timestamp
from tests.support.readme import EXAMPLES, NAME, load

ROOT = Path(__file__).parents[2]
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
WORKFLOWS = {name: load(text) for name, text in TEXTS.items()}
# The jobs of all workflows whose token can write anything.
WRITING = {
    f"{file}: {name}": job
    for file, workflow in WORKFLOWS.items()
    for name, job in workflow["jobs"].items()
    if "write" in job["permissions"].values()
}
ACTION = load((ROOT / "action.yml").read_text(encoding="utf-8"))
TYPES = load((ROOT / "action-types.yml").read_text(encoding="utf-8"))
FLEET = WORKFLOWS["deploy-workspaces.yml"]
CALLED = FLEET["on"]["workflow_call"]
OTHER_OUTPUTS = {"workspace-url", "workspace-name", "outcome", "message", "plan", "pipeline-jobs"}
OPTIONS = set(CALLED["inputs"]) - {"workspaces", "max-parallel", "fail-fast", "runs-on"}


def test_inputs_and_outputs_are_those_of_the_program() -> None:
    then = parse_timestamp("2023-03-23T21:48:40")
    job = Job("id", "COMPLETE", created=then, started=then, ended=then, exit_code=0, commit_id="1e81ff3")
    for one, (name, about) in zip(INPUTS, ACTION["inputs"].items(), strict=True):
        assert (name, about.get("default", "")) == (one.name, one.default)
        assert about["required"] == ("true" if one.name == "workspace-id" else "false")
        assert about["description"].startswith(one.meaning), name
        # A URL is named by what it leads to.
        assert one.default in about["description"] or one.default.startswith("https://")
    assert set(ACTION["outputs"]) == OTHER_OUTPUTS | job_outputs(job, "https://app.matatika.com/api/jobs/id").keys()
    # The limit of the marketplace.
    assert len(ACTION["description"]) < 125


def test_post_step_runs_whatever_became_of_the_job() -> None:
    # `continue-on-error` turns a step that was killed into a success, so no `post-if` is right. Runners in Kubernetes
    # start no container action without `entrypoint`. `args` would be shared by main and post: neither takes any.
    assert ACTION["runs"] == {
        "using": "docker",
        "image": "Dockerfile",
        "entrypoint": "/opt/action/main",
        "post-entrypoint": "/opt/action/post",
    }


def test_fleets_have_and_hand_on_every_option_and_leave_the_defaults_to_the_action() -> None:
    """What is not given is empty, and so not given to the action either; only a boolean cannot be empty."""
    given = FLEET["jobs"]["deploy"]["steps"][-1]["with"]
    assert set(ACTION["inputs"]) - {"workspace-id", *CREDENTIALS} == OPTIONS
    assert set(given) == set(ACTION["inputs"])
    expected = {name: f"${{{{ inputs.{name} }}}}" for name in OPTIONS}
    expected["api-url"] = "${{ matrix.workspace.api-url || inputs.api-url }}"
    for name in CREDENTIALS:
        secret = f"MATATIKA_{name.replace('-', '_').upper()}"
        expected[name] = f"${{{{ secrets.{secret} }}}}"
        assert CALLED["secrets"][secret]["required"] == "false"
    assert expected.items() <= given.items()
    for one in INPUTS:
        about = CALLED["inputs"].get(one.name, {"type": ""})
        assert about.get("default") == (one.default if about["type"] == "boolean" else None), one.name
    # One label, or a JSON list of labels.
    runs_on = "${{ startsWith(inputs.runs-on, '[') && fromJSON(inputs.runs-on) || inputs.runs-on }}"
    assert {job["runs-on"] for job in FLEET["jobs"].values()} == {runs_on}


@pytest.mark.parametrize(
    ("workspaces", "errors"),
    [
        (" [ ] ", []),
        ('[{"id": "1", "name": "Orders", "environment": "sales", "api-url": "https://example.com/api"}]', []),
        ('[{"id": "1", "environment": null, "api-url": ""}]', []),
        ('{"id": "1"}', ["`workspaces` must be a JSON list"]),
        *((text, ["`workspaces` is not JSON"]) for text in ("", "[{'id': '1'}]")),
        ('["1"]', ["entry 1: not an object with an `id`"]),
        ('[{}, {"id": " "}, {"id": 2}]', [f"entry {number}: there is no `id`" for number in (1, 2, 3)]),
        ('[{"id": "1", "name": ["a"]}]', ["entry 1: `name` is not text"]),
        ('[{"id": "1"}, {"workspace-id": "2"}]', ['entry 2: "workspace-id" is not a key', "entry 2: there is no `id`"]),
        ('[{"id": "1", "a%0A\\n::b": 1}]', ['entry 1: "a%250A\\n::b" is not a key']),
    ],
)
def test_fleet_names_the_entries_that_it_cannot_use(workspaces: str, errors: list[str]) -> None:
    """Its check of the list runs as the runner does it."""
    (step,) = FLEET["jobs"]["check"]["steps"]
    environ = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "WORKSPACES": workspaces}
    checked = subprocess.run(["bash", "-e", "-c", step["run"]], env=environ, capture_output=True, text=True)
    assert checked.returncode == bool(errors)
    for line, error in zip(f"{checked.stdout}{checked.stderr}".splitlines(), errors, strict=True):
        assert line.startswith("::error title=Bad input::`workspaces`")
        assert error in line


def test_types_cover_the_interface_and_are_what_inputs_are_converted_to() -> None:
    assert list(TYPES["inputs"]) == list(ACTION["inputs"])
    assert list(TYPES["outputs"]) == list(ACTION["outputs"])
    assert TYPES["outputs"]["outcome"] == {"type": "enum", "allowed-values": list(Outcome)}
    for one in INPUTS:
        expected: object = {"type": "boolean" if one.convert is boolean else "string"}
        if isinstance(one.convert, type) and issubclass(one.convert, Choice):
            expected = {"type": "enum", "allowed-values": list(one.convert)}
        assert TYPES["inputs"][one.name] == expected, one.name


def test_actions_of_others_are_pinned_to_the_commit_of_one_version() -> None:
    """Examples use the same major versions: whoever copies one wants one to read."""
    pins: dict[str, tuple[str, str]] = {}
    for uses in re.findall(r"^ +(?:- )?uses: (.+)", "\n".join(TEXTS.values()), re.MULTILINE):
        if uses.startswith(("./", NAME)):
            continue
        match = re.fullmatch(r"([\w-]+/[\w-]+)[\w/-]*@([0-9a-f]{40} # (v\d+)\.\d+\.\d+)", uses)
        assert match, uses
        assert pins.setdefault(match[1], (match[2], match[3])) == (match[2], match[3]), uses
    used = {uses for text in EXAMPLES.values() for uses in re.findall(r"uses: (actions/\S+)", text)}
    assert used
    assert used <= {f"{name}@{major}" for name, (_, major) in pins.items()}
    updates = load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "pip", "docker"}


def test_jobs_have_the_permissions_that_they_ask_for_and_those_that_write_run_no_code_of_the_repository() -> None:
    """Their scripts stand in the workflow, and start no file of the checkout; CodeQL only reads it."""
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {}, name
    assert set(WRITING) == {"release.yml: image", "release.yml: release", "ci.yml: codeql"}
    for step in (step for job in WRITING.values() for step in job["steps"]):
        assert not step.get("uses", "").startswith("./")
        assert not re.search(r"\bmake\b|\bpython|\bpip|\btools\b|\bsrc/|\./|buildx build", step.get("run", ""))


def test_a_release_waits_for_its_environment_and_needs_no_secret_but_the_workflows_own_token() -> None:
    publishing = [job for name, job in WRITING.items() if name.startswith("release.yml")]
    assert [job["environment"] for job in publishing] == ["release", "release"]
    assert "secrets." not in TEXTS["release.yml"]
