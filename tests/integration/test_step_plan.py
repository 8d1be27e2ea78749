"""The plan: what the deployment does to pipelines, told before it is triggered. `test_plan.py` has how it compares."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from matatika_simulator import constants
from tests.integration.faults.faults import api_error
from tests.support.page import Page
from tests.support.peer import Behaviour, silence
from tests.support.result import Result
from tests.support.stage import SECRET_PROPERTY, check_out, stage_with_pipelines
from tests.support.step import API_KEY, WEBHOOK

PIPELINES: list[dict[str, Any]] = [
    {"name": "changed", "fields": {"timeout": 0, "properties": {"tap.password": SECRET_PROPERTY}}},
    {"name": "same", "fields": {"label": "Same", "maxRetries": 2}},
    {"name": "gone"},
]
FILES = {
    "changed": "timeout: 900\nschedule: 0 0 6 * * *\nproperties: {tap.password: of-the-file-0123}\n",
    "same": "label: Same\nmax_retries: 2\n",
    "new": "timeout: 5\n",
}
PLAN = {"create": ["new"], "change": ["changed"], "delete": ["gone"]}
LINES = [
    "+ new: new: pipelines/new.yml",
    "~ changed: timeout: 300 → 900; schedule: - → 0 0 6 * * *",
    "- gone: deleted: its file pipelines/gone.yml is gone",
]
REPOSITORY = constants.REPOSITORY_URL.removeprefix("https://github.com/")


def plan_lines(result: Result) -> list[str]:
    return [line for line in result.log.lines if line[:2] in ("+ ", "~ ", "- ")]


def plan_of(result: Result) -> Any:
    return json.loads(result.outputs["plan"])


def test_plan_is_shown_before_the_trigger_in_the_summary_and_as_an_output(tmp_path: Path) -> None:
    with stage_with_pipelines(tmp_path, PIPELINES, FILES, run_pipelines="changed", logs="stream") as here:
        result = here.run()
        assert here.peer.count("workspace") == 1
    assert result.code == 0
    assert plan_lines(result) == LINES
    # A person can still cancel.
    assert result.log.own.index(LINES[2]) < result.log.own.index("/deployments: 202")
    assert plan_of(result) == PLAN
    assert result.log.said("warning") == ["The deployment deletes 'gone', since its file is gone."]
    rows = re.findall(r"^\| (＋|～|－) \| <code>(\w+)</code> \| (.*) \|$", result.summary, re.MULTILINE)  # noqa: RUF001
    assert [row[:2] for row in rows] == [("＋", "new"), ("～", "changed"), ("－", "gone")]  # noqa: RUF001
    assert rows[1][2].startswith("timeout: 300 → 900; schedule:")
    everything = [result.printed.decode(), result.summary, *result.outputs.values(), *result.state.values()]
    assert not any(SECRET_PROPERTY in text or "of-the-file-0123" in text for text in everything)


def test_plan_without_changes_has_no_line_and_three_empty_lists(tmp_path: Path) -> None:
    with stage_with_pipelines(tmp_path, [{"name": "same"}], {"same": ""}, on_delete="refuse") as here:
        result = here.run()
    assert result.code == 0
    assert plan_of(result) == {"create": [], "change": [], "delete": []}
    assert plan_lines(result) == result.log.said("warning") == []
    assert "What the deployment changes" not in result.summary


def test_credentials_and_characters_that_hide_text_show_nowhere(tmp_path: Path) -> None:
    # `run` also looks for the token in everything that the step has written.
    pipelines: list[dict[str, Any]] = [
        {"name": f"a-{constants.TOKEN}", "fields": {"repositoryPath": "pipelines/x.yml"}},
        {"name": "changed", "fields": {"label": constants.TOKEN, "schedule": constants.TOKEN[:14]}},
        {"name": "gone\u202e\n::error::x"},
    ]
    with stage_with_pipelines(tmp_path, pipelines, {"changed": "label: B\n"}) as here:
        result = here.run()
    assert plan_of(result) == {"create": [], "change": ["changed"], "delete": ["a-***", "gone ::error::x"]}
    assert constants.TOKEN[:14] not in result.summary
    assert result.log.said("error") == []


@pytest.mark.parametrize(
    "environ",
    [
        {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": "main"},
        {"GITHUB_REF": f"refs/heads/gh-readonly-queue/main/pr-7-{'1e81ff3' * 3}"},
    ],
    ids=["pull-request", "merge-queue"],
)
def test_dry_run_says_what_merging_would_do(tmp_path: Path, environ: dict[str, str]) -> None:
    with stage_with_pipelines(tmp_path, PIPELINES, FILES, dry_run="true", **API_KEY) as here:
        here.step.environ |= environ
        result = here.run()
        assert (here.peer.requests[0].call, here.peer.count("trigger")) == ("token", 0)
    assert (result.code, result.outputs["outcome"]) == (0, "checked")
    assert plan_of(result) == PLAN
    assert plan_lines(result) == LINES
    assert "#### What the deployment would change\n" in result.summary
    assert "The deployment would delete 'gone', since its file is gone." in result.log.said("warning")
    said = Page(result.summary).text
    assert "Files: workspace 1, pipeline 3." in said
    assert "Signed in with an API key." in said
    assert f"The workspace 'Simulated workspace' is READY, and deploys {REPOSITORY}, branch main." in said


@pytest.mark.parametrize(
    ("on_delete", "dry_run", "verify_source", "code"),
    [("allow", "false", "error", 0), ("refuse", "false", "warn", 5), ("refuse", "true", "off", 5)],
)
def test_on_delete_allows_or_refuses_a_deletion(
    tmp_path: Path, on_delete: str, dry_run: str, verify_source: str, code: int
) -> None:
    given = {"on_delete": on_delete, "dry_run": dry_run, "verify_source": verify_source, "workspace_directory": "."}
    with stage_with_pipelines(tmp_path, PIPELINES, FILES, **given) as here:
        result = here.run()
        assert here.peer.count("workspace") == 1
        assert here.peer.count("trigger") == (code == 0)
    assert (result.code, result.outputs["outcome"]) == (code, "error" if code else "success")
    assert result.log.said("warning") == []
    errors = [error.partition(", since")[0] for error in result.log.said("error")]
    refusal = "Checks failed: Nothing was deployed: the deployment would delete 'gone'"
    assert errors == ([refusal] if code else [])
    assert plan_lines(result) == LINES
    assert plan_of(result) == PLAN


@pytest.mark.parametrize("given", [{}, {"dry_run": "true", "token": ""}], ids=["no-checkout", "no-credentials"])
def test_refuse_without_a_plan_is_a_warning(tmp_path: Path, given: dict[str, str]) -> None:
    files = FILES if given else None
    with stage_with_pipelines(tmp_path, PIPELINES, files, on_delete="refuse", preflight="warn", **given) as here:
        result = here.run()
    assert result.code == 0
    assert any(warning.startswith("`on-delete` was not applied") for warning in result.log.said("warning"))


NO_PLAN: dict[str, tuple[Mapping[str, str] | None, dict[str, str], dict[str, str], dict[str, Behaviour], int]] = {
    # `test_source.py` has which repositories and branches are others, `test_checkout.py` which checkouts count.
    "another repository": (FILES, {}, {"GITHUB_REPOSITORY": "simulated-org/another"}, {}, 1),
    "no checkout": (None, {"preflight": "warn"}, {}, {}, 0),
    "no such folder": (FILES, {}, {"GITHUB_WORKSPACE": "/nowhere"}, {}, 0),
    "no preflight": (FILES, {"preflight": "off"}, {}, {}, 0),
    "no token": (FILES, WEBHOOK, {}, {}, 0),
    "a workspace that cannot be read": (FILES, {}, {}, {"workspace": api_error(403)}, 1),
    # Every fault of this call is a row of RELIABILITY.md.
    "a list that is refused": (FILES, {}, {}, {"pipelines": api_error(403)}, 1),
    "a list that does not come": (FILES, {}, {}, {"pipelines": silence(10.5)}, 1),
}


@pytest.mark.parametrize(("files", "given", "environ", "faults", "lists"), NO_PLAN.values(), ids=NO_PLAN)
def test_no_plan_is_better_than_a_wrong_one(
    tmp_path: Path,
    files: Mapping[str, str] | None,
    given: dict[str, str],
    environ: dict[str, str],
    faults: dict[str, Behaviour],
    lists: int,
) -> None:
    with stage_with_pipelines(tmp_path, PIPELINES, files, **given) as here:
        here.step.environ |= environ
        for call, fault in faults.items():
            here.peer.on(call, fault)
        result = here.run()
        assert here.peer.count("pipelines") == lists
        assert [request.at <= 11 for request in here.peer.requests if request.call == "trigger"] in ([True], [])
    assert result.code == 0
    assert "plan" not in result.outputs
    assert plan_lines(result) == []
    assert "What the deployment changes" not in result.summary
    unknown = [line for line in result.log.lines if line.endswith("What the deployment changes is not known.")]
    assert [line.startswith("Could not list the pipelines") for line in unknown] == [True] * ("pipelines" in faults)
    assert not any("pipelines" in warning for warning in result.log.said("warning"))


@pytest.mark.parametrize(
    ("directory", "is_its_own"), [("", True), ("teams/a/", True), ("teams/b", False), (".", False)]
)
def test_workspace_in_a_folder_is_compared_with_its_own_files(tmp_path: Path, directory: str, is_its_own: bool) -> None:
    workspace = {"fields": {"repositoryDirectory": "teams/a"}}
    # Only its path tells which file it has.
    called = {"name": "called-otherwise", "fields": {"repositoryPath": "pipelines/file.yml", "timeout": 60}}
    pipelines = [*PIPELINES, called]
    given = {"preflight": "warn", "workspace_directory": directory}
    with stage_with_pipelines(tmp_path, pipelines, None, {"workspace": workspace}, **given) as here:
        check_out(here.step, {**FILES, "file": ""}, "teams/a")
        for other in ("", "teams/b"):
            check_out(here.step, {"elsewhere": ""}, other)
        result = here.run()
    plan = {**PLAN, "change": ["called-otherwise", "changed"]}
    assert (plan_of(result) if "plan" in result.outputs else None) == (plan if is_its_own else None)
    assert result.log.own.count("The workspace lies in 'teams/a', not in the folder") == (not is_its_own)
