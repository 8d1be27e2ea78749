"""The plan: what the deployment does to pipelines, told before it is triggered."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from matatika_simulator import constants
from tests.integration.faults.faults import api_error, html
from tests.support.page import Page
from tests.support.peer import answer, silence
from tests.support.result import Result
from tests.support.stage import SECRET_PROPERTY, Stage, check_out, stage_with_pipelines
from tests.support.step import API_KEY, WEBHOOK

GONE = {"name": "gone", "on-deploy": "delete"}
CHANGED = "timeout: 900\nschedule: 0 0 6 * * *\nproperties: {tap.password: of-the-file-0123}\n"
PIPELINES: list[dict[str, Any]] = [
    {"name": "changed", "fields": {"timeout": 0, "properties": {"tap.password": SECRET_PROPERTY}}},
    {"name": "same", "fields": {"label": "Same", "maxRetries": 2}},
    {"name": "gone"},
]
FILES = {"changed": CHANGED, "same": "label: Same\nmax_retries: 2\n", "new": "timeout: 5\n"}
PLAN = {"create": ["new"], "change": ["changed"], "delete": ["gone"]}
LINES = [
    "+ new: new: pipelines/new.yml",
    "~ changed: timeout: 300 → 900; schedule: - → 0 0 6 * * *",
    "- gone: deleted: its file pipelines/gone.yml is gone",
]
REPOSITORY = constants.REPOSITORY_URL.removeprefix("https://github.com/")
UNKNOWN = "What the deployment changes is not known."


def plan_lines(result: Result) -> list[str]:
    return [line for line in result.log.lines if line[:2] in ("+ ", "~ ", "- ")]


def plan_of(result: Result) -> Any:
    return json.loads(result.outputs["plan"])


def deploys_without_a_plan(here: Stage) -> Result:
    result = here.run()
    assert result.code == 0
    assert "plan" not in result.outputs
    assert plan_lines(result) == []
    assert "What the deployment changes" not in result.summary
    return result


def test_plan_is_shown_before_the_trigger_in_the_summary_and_as_an_output(tmp_path: Path) -> None:
    with stage_with_pipelines(tmp_path, PIPELINES, FILES, run_pipelines="changed", logs="stream") as here:
        result = here.run()
        assert here.peer.count("workspace") == 1
    assert result.code == 0
    assert plan_lines(result) == LINES
    # A person can still cancel.
    assert result.log.own.index(LINES[2]) < result.log.own.index("/deployments: 202")
    assert plan_of(result) == PLAN
    assert result.log.said("warning") == ["The deployment deletes 'gone', since the files are gone."]
    rows = re.findall(r"^\| (＋|～|－) \| <code>(\w+)</code> \| (.*) \|$", result.summary, re.MULTILINE)  # noqa: RUF001
    assert [row[:2] for row in rows] == [("＋", "new"), ("～", "changed"), ("－", "gone")]  # noqa: RUF001
    assert rows[1][2].startswith("timeout: 300 → 900; schedule:")
    everything = [result.printed.decode(), result.summary, *result.outputs.values(), *result.state.values()]
    assert not any(SECRET_PROPERTY in text or "of-the-file-0123" in text for text in everything)


def test_renamed_file_is_a_deletion_beside_a_creation(tmp_path: Path) -> None:
    fields = {"timeout": 77, "dataComponents": ["tap-a"]}
    files = {"a": "", "new-name": "timeout: 77\ndata_components: [tap-a]\n", "z": ""}
    with stage_with_pipelines(tmp_path, [{"name": "old-name", "fields": fields}], files) as here:
        lines = plan_lines(here.run())
    assert [line.partition(":")[0] for line in lines] == ["+ a", "+ z", "- old-name", "+ new-name"]
    assert "renamed" in lines[2]


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
        assert here.peer.count("trigger") == 0
    assert (result.code, result.outputs["outcome"]) == (0, "checked")
    assert plan_of(result) == PLAN
    assert plan_lines(result) == LINES
    assert "The deployment would delete 'gone', since the files are gone." in result.log.said("warning")
    said = Page(result.summary).text
    assert "Files: workspace 1, pipeline 3." in said
    assert "Signed in with an API key." in said
    assert f"The workspace 'Simulated workspace' is READY, and deploys {REPOSITORY}, branch main." in said


class TestOnDelete:
    def test_allowed_deletion_is_shown_all_the_same(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, FILES, on_delete="allow") as here:
            result = here.run()
        assert result.code == 0
        assert result.log.said("warning") == []
        assert plan_lines(result) == LINES
        assert plan_of(result) == PLAN

    @pytest.mark.parametrize("dry_run", ["false", "true"])
    def test_refused_deletion_triggers_nothing(self, tmp_path: Path, dry_run: str) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, FILES, on_delete="refuse", dry_run=dry_run) as here:
            result = here.run()
            assert here.peer.count("trigger") == 0
        assert (result.code, result.outputs["outcome"]) == (5, "error")
        (error,) = result.log.said("error")
        assert error.startswith("Checks failed: Nothing was deployed: the deployment would delete 'gone'")
        assert plan_of(result) == PLAN

    @pytest.mark.parametrize("given", [{}, {"dry_run": "true", "token": ""}], ids=["no-checkout", "no-credentials"])
    def test_refuse_without_a_plan_is_a_warning(self, tmp_path: Path, given: dict[str, str]) -> None:
        files = FILES if given else None
        with stage_with_pipelines(tmp_path, PIPELINES, files, on_delete="refuse", preflight="warn", **given) as here:
            result = here.run()
        assert result.code == 0
        assert any(warning.startswith("`on-delete` was not applied") for warning in result.log.said("warning"))


class TestNoPlan:
    """Rather none than a wrong one."""

    @pytest.mark.parametrize(
        ("environ", "fields"),
        [
            # Which these are, `test_source.py` proves.
            ({"GITHUB_REPOSITORY": "simulated-org/another"}, {}),
            ({}, {"repositoryBranch": None}),
        ],
        ids=str,
    )
    def test_of_another_or_an_unknown_repository_or_branch(
        self, tmp_path: Path, environ: dict[str, str], fields: dict[str, Any]
    ) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, FILES, {"workspace": {"fields": fields}}) as here:
            here.step.environ |= environ
            deploys_without_a_plan(here)

    @pytest.mark.parametrize(
        ("files", "given"),
        [
            (None, {"preflight": "warn"}),
            (FILES, {"preflight": "off"}),
            (FILES, WEBHOOK),
        ],
        ids=["no-checkout", "no-preflight", "no-token"],
    )
    def test_without_what_it_takes_and_the_platform_is_not_asked(
        self, tmp_path: Path, files: Mapping[str, str] | None, given: dict[str, str]
    ) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, files, **given) as here:
            deploys_without_a_plan(here)
            assert here.peer.count("pipelines") == 0

    def test_of_a_sparse_checkout(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, FILES) as here:
            git = here.step.workspace / ".git"
            (git / "info").mkdir(parents=True)
            (git / "config").write_text("[core]\n\tsparseCheckout = true\n")
            deploys_without_a_plan(here)

    def test_of_a_checkout_that_is_not_there(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, FILES) as here:
            here.step.environ["GITHUB_WORKSPACE"] = str(tmp_path / "nowhere")
            deploys_without_a_plan(here)

    def test_of_a_checkout_without_a_workspace(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, {}) as here:
            (here.step.workspace / "workspace.yml").rename(here.step.workspace / "README.md")
            deploys_without_a_plan(here)

    def test_of_a_workspace_that_cannot_be_read(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, FILES) as here:
            here.peer.on("workspace", api_error(403))
            deploys_without_a_plan(here)


class TestListing:
    @pytest.mark.parametrize(("verify_source", "directory"), [("warn", "."), ("error", "")])
    def test_workspace_is_read_once_whatever_verify_source_says(
        self, tmp_path: Path, verify_source: str, directory: str
    ) -> None:
        given = {"verify_source": verify_source, "workspace_directory": directory}
        with stage_with_pipelines(tmp_path, PIPELINES, FILES, **given) as here:
            assert plan_of(here.run()) == PLAN
            assert here.peer.count("workspace") == 1

    # Every fault of this call is a row of RELIABILITY.md.
    def test_list_that_cannot_be_read_within_10_seconds_is_one_plain_line(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, FILES) as here:
            here.peer.on("pipelines", html(502))
            result = deploys_without_a_plan(here)
            (trigger,) = here.peer.calls("trigger")
            assert trigger.at <= 11
            assert here.peer.calls("pipelines")[-1].at <= 10.5
        (line,) = [line for line in result.log.lines if UNKNOWN in line]
        assert line.startswith("Could not list the pipelines")
        assert result.log.said("warning") == []

    def test_list_that_never_comes_is_given_up(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, PIPELINES, FILES) as here:
            here.peer.on("pipelines", silence(12))
            result = here.run()
        assert result.code == 0
        assert UNKNOWN in result.log.own

    @pytest.mark.parametrize(("paging", "requests"), [(True, 3), (False, 1)])
    def test_list_costs_one_request_for_each_page(self, tmp_path: Path, paging: bool, requests: int) -> None:
        many = [{"name": f"p{number:03}"} for number in range(45)]
        files = {f"p{number:03}": "" for number in range(44)}
        with stage_with_pipelines(tmp_path, many, files, {"lists": {"paging": paging}}) as here:
            assert plan_of(here.run())["delete"] == ["p044"]
            assert here.peer.count("pipelines") == requests

    def test_entries_may_lack_anything(self, tmp_path: Path) -> None:
        entries: list[Any] = [{}, {"name": "x"}, {"id": None, "name": "gone", "repositoryPath": "pipelines/gone.yml"}]
        with stage_with_pipelines(tmp_path, (), {}) as here:
            here.peer.on("pipelines", answer(200, json.dumps({"_embedded": {"pipelines": entries}}).encode()))
            assert plan_of(here.run())["delete"] == ["gone"]


def test_workspace_in_a_folder_is_compared_with_its_own_files(tmp_path: Path) -> None:
    workspace = {"fields": {"repositoryDirectory": "teams/a"}}
    # Only its path tells which file it has.
    called = {"name": "called-otherwise", "fields": {"repositoryPath": "pipelines/file.yml", "timeout": 60}}
    pipelines = [*PIPELINES, called]
    with stage_with_pipelines(tmp_path, pipelines, None, {"workspace": workspace}, preflight="warn") as here:
        check_out(here.step, {**FILES, "file": ""}, "teams/a")
        (here.step.workspace / "pipelines").mkdir()
        (here.step.workspace / "pipelines/elsewhere.yml").write_text("version: pipelines/v0.1\n")
        assert plan_of(here.run()) == {**PLAN, "change": ["called-otherwise", "changed"]}


def test_plan_is_there_in_a_repository_that_is_named_in_another_case(tmp_path: Path) -> None:
    with stage_with_pipelines(tmp_path, [GONE], {}) as here:
        here.step.environ["GITHUB_REPOSITORY"] = here.step.environ["GITHUB_REPOSITORY"].upper()
        assert plan_of(here.run())["delete"] == ["gone"]
