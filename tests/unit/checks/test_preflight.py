"""Each rule with a file that breaks it and one that does not, and which files are looked at at all."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from matatika_deploy.checks import document, preflight, triggers
from matatika_deploy.checks.budget import Budget
from matatika_deploy.findings import Finding, Level

Content = str | bytes
Check = Callable[[Mapping[str, Content]], list[Finding]]
CheckOne = Callable[[str, Content], Finding]
Write = Callable[[Mapping[str, Content]], Path]

PIPELINE = "version: pipelines/v0.1\n"
DATASET = "version: datasets/v0.2\n"
WORKSPACE = "version: workspaces/v0.2\n"

GOOD = {
    "workspace.yml": """\
version: workspaces/v0.2
name: My workspace
domains: [example.com]
default_data_store: Warehouse
state_data_store: Warehouse
pipelines_image: image:latest
image_url: https://example.com/logo.png
dataset_paths:
- analyze/datasets
- .meltano/analyze/datasets
channel_paths: [analyze/channels]
pipeline_paths: [pipelines]
plugin_paths: [plugins]
data_store_paths: [datastores]
app_properties:
  DASHBOARD_CONTENT: |-
    <div style={{'display':'flex'}}></div>
""",
    "workspace-dev.yml": "version: workspaces/v0.1\nname: My workspace (dev)\n",
    "meltano.yml": "version: 1\ndefault_environment: dev\nplugins:\n  extractors: [{name: tap-x}]\n",
    "pipelines/daily/load.yml": """\
version: pipelines/v0.1
data_components: [tap-x, Warehouse]
actions:
- dbt:run
inline_script: |
  meltano run\ttap-x
timeout: 300
max_retries: 3
properties:
  tap-x.start: 2023-01-01
schedule: 0 0 9-17 * * MON-FRI
triggered_by: [deploy, report]
""",
    "pipelines/report.yaml": "version: pipelines/v0.1\ntriggered_by:\n- daily/load\n- DEPLOY\n",
    "plugins/extractors/tap-x.yml": "",
    "analyze/datasets/sales.yml": """\
version: datasets/v0.2
title: 2023
source: null
questions:
description: |-
  Sales
query: SELECT 1
rawData: "[]"
metadata: |-
  {"name": "sales",
  \t"label": "tab\there"}
visualisation: '{"chartjs-chart": {"chartType": "bar"}}'
""",
    "analyze/channels/sales.yml": "version: channels/v0.1\nname: Sales\ndescription: x\npicture: y\nimage: z\n",
    "datastores/Warehouse.yml": "version: datastores/v0.1\ndata_plugin: target-x\nproperties: {max-threads: -1}\n",
}


def test_a_good_repository_has_no_findings(check: Check) -> None:
    assert check(GOOD) == []


@pytest.mark.parametrize("name", [name for name in GOOD if not name.startswith("plugins/")])
def test_every_file_of_a_good_repository_is_checked(errors: Check, name: str) -> None:
    assert [it.file for it in errors({**GOOD, name: "a: b: c\n"})] == [name]


@pytest.mark.parametrize(
    ("name", "content", "line", "column", "words"),
    [
        pytest.param("pipelines/a.yml", f"{PIPELINE}actions: [a\n", 2, 10, "not YAML", id="not YAML"),
        pytest.param("meltano.yml", "version: 1\n\tplugins: {}\n", 2, 1, "not YAML", id="not YAML in meltano.yml"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}# caf\xe9\n".encode("latin-1"), 2, 6, "not UTF-8", id="not UTF-8"),
        pytest.param("workspace.yml", "- a\n", 1, 1, "workspace file must be a map", id="workspace.yml is no map"),
        pytest.param("workspace-dev.yml", "a\n", 1, 1, "workspace file must be a map", id="overlay is no map"),
        pytest.param("pipelines/a.yml", "- actions\n", 1, 1, "pipeline file must be a map", id="pipeline is no map"),
        pytest.param(
            "pipelines/a.yml", f"{PIPELINE}actions: dbt:run\n", 2, 10, "did you mean '[dbt:run]'?", id="no list"
        ),
        pytest.param(
            "pipelines/a.yml", f"{PIPELINE}actions:\n- dbt: run\n", 3, 3, "did you mean 'dbt:run'?", id="map in list"
        ),
        pytest.param("pipelines/a.yml", f"{PIPELINE}triggered_by: x\n", 2, 15, "list of strings", id="triggered_by"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}properties: x\n", 2, 13, "must be a map", id="no map"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}inline_script:\n- x\n", 3, 1, "must be a string", id="no string"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}timeout: soon\n", 2, 10, "must be a number", id="no number"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}timeout: 5m\n", 2, 10, "did you mean '300'?", id="duration"),
        pytest.param(
            "pipelines/a.yml", f"{PIPELINE}max_retries: [1]\n", 2, 14, "must be a number", id="list for number"
        ),
        pytest.param(
            "pipelines/a.yml",
            f"{PIPELINE}schedule: 0 0 9 * * MON 2024\n",
            *(
                2,
                11,
                "'schedule' has 7 fields; the platform's cron has 6, seconds first: did you mean '0 0 9 * * MON'?",
            ),
            id="cron",
        ),
        pytest.param(
            "pipelines/a.yml", f"{PIPELINE}schedule: [0 0 9 * * *]\n", 2, 11, "must be a string", id="cron list"
        ),
        pytest.param("pipelines/a.yml", "schedule: daily\nversion: pipelines/v0.1\n", 1, 11, "1 field", id="order"),
        pytest.param("workspace.yml", f"{WORKSPACE}name: {{}}\n", 2, 7, "must be a string", id="workspace string"),
        pytest.param("workspace.yml", f"{WORKSPACE}domains:\n- [a]\n", 3, 3, "a list", id="domains of a list"),
        pytest.param("workspace.yml", f"{WORKSPACE}plugin_paths: a\n", 2, 15, "list of strings", id="workspace list"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}label: [x]\n", 2, 8, "a string", id="label"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}script:\n  a: b\n", 3, 3, "a string", id="script"),
        pytest.param("workspace.yml", f"{WORKSPACE}app_properties: x\n", 2, 17, "a map", id="workspace map"),
        pytest.param("workspace-dev.yml", f"{WORKSPACE}pipelines_image: [x]\n", 2, 18, "a string", id="overlay"),
        pytest.param("analyze/datasets/a.yml", f"{DATASET}title: [x]\n", 2, 8, "a string", id="dataset string"),
        pytest.param("analyze/datasets/a.yml", f"{DATASET}rawData:\n- x: 1\n", 3, 1, "a string", id="dataset list"),
        pytest.param("analyze/datasets/a.yml", f"{DATASET}metadata: {{a: 1}}\n", 2, 11, "quotes", id="metadata map"),
        pytest.param(
            "analyze/datasets/a.yml",
            DATASET + 'metadata: |-\n  {"a": 1,\n   "b":\n   c}\n',
            *(2, 11, "in line 3 of the value"),
            id="metadata no JSON",
        ),
        pytest.param(
            "analyze/datasets/a.yml",
            DATASET + "visualisation: \"{'a': 1}\"\n",
            2,
            16,
            "double quotes",
            id="visualisation",
        ),
        pytest.param("analyze/datasets/a.yml", DATASET + "metadata: '[1,]'\n", 2, 11, "comma", id="trailing comma"),
        pytest.param("analyze/channels/a.yml", "version: channels/v0.1\nname: [x]\n", 2, 7, "a string", id="channel"),
        pytest.param("datastores/a.yml", "version: datastores/v0.1\nproperties: x\n", 2, 13, "a map", id="datastore"),
        pytest.param("datastores/a.yml", "data_plugin: {}\nversion: datastores/v0.1\n", 1, 14, "a string", id="plugin"),
    ],
)
def test_a_mistake_is_an_error(
    check_one: CheckOne, name: str, content: Content, line: int, column: int, words: str
) -> None:
    finding = check_one(name, content)
    assert finding.level is Level.ERROR
    assert (finding.line, finding.column) == (line, column)
    assert words in finding.message


@pytest.mark.parametrize(
    ("name", "content", "line", "column", "words"),
    [
        pytest.param("pipelines/a.yml", "\nactions: []\n", 2, 1, "'pipelines/v0.1'", id="no version"),
        pytest.param("pipelines/a.yml", "version:\nactions: []\n", 1, 1, "'pipelines/v0.1'", id="null version"),
        pytest.param("workspace-dev.yml", "name: x\n", 1, 1, "'workspaces/v0.2'", id="no version in overlay"),
        pytest.param(
            "pipelines/a.yml",
            f"{PIPELINE}a: 1\na: 2\n",
            *(3, 1, "twice in this map, first on line 2; only the last one counts"),
            id="key twice",
        ),
        pytest.param(
            "meltano.yml",
            "version: 1\nplugins:\n  loaders:\n  - name: a\n    name: b\n",
            *(5, 5, "'name' stands twice"),
            id="key twice deep in meltano.yml",
        ),
        pytest.param(
            "pipelines/a.yml",
            f"{PIPELINE}schedule: 0 9 * * MON-FRI\n",
            *(2, 11, "'schedule' has 5 fields"),
            id="cron of 5 fields",
        ),
        pytest.param("pipelines/a.yml", DATASET, 1, 10, "did you mean 'pipelines/v0.1'?", id="another kind's version"),
        pytest.param("pipelines/a.yml", "version: pipeline/v0.1\n", 1, 10, "'pipelines/v0.1'", id="misspelt version"),
        pytest.param("analyze/datasets/a.yml", "version: 2\nmodels: []\n", 1, 10, "another tool", id="dbt"),
        pytest.param(
            "analyze/datasets/a.yml", "version: 2\ntitle: []\na: 1\na: 2\n", 1, 10, "another tool", id="lowered"
        ),
        pytest.param("analyze/datasets/a.yml", "- x\n", 1, 1, "dataset file must be a map", id="no map"),
        pytest.param(
            "pipelines/a.yml", f"{PIPELINE}actions: {{dbt: run}}\n", 2, 10, "should be a list", id="map for list"
        ),
        pytest.param("pipelines/a.yml", f"{PIPELINE}properties: [a]\n", 2, 13, "should be a map", id="list for map"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}actions: ''\n", 2, 10, "list of strings", id="empty for list"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}timeout: true\n", 2, 10, "a number", id="boolean for number"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}schedule: '@daily'\n", 2, 11, "macro", id="macro"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}triggered_by: [lost]\n", 2, 16, "no pipeline here", id="trigger"),
        pytest.param(
            "pipelines/load.yml", f"{PIPELINE}triggered_by: [loads]\n", 2, 16, "did you mean 'load'?", id="meant"
        ),
        pytest.param("workspace.yml", f"{WORKSPACE}plugin_paths:\n- nowhere\n", 3, 3, "'nowhere'", id="no such path"),
        pytest.param(
            "workspace-dev.yml", f"{WORKSPACE}dataset_paths: [x]\n", 2, 17, "'x'", id="no such path in overlay"
        ),
        pytest.param(
            "analyze/datasets/a.yml",
            DATASET + 'metadata: |-\n  {"a": {{ a }}}\n',
            2,
            11,
            "must hold JSON",
            id="template",
        ),
        pytest.param(
            "analyze/datasets/a.yml", f"{DATASET}metadata: '{'[' * 100_000}'\n", 2, 11, "nests too deep", id="deep JSON"
        ),
        pytest.param(
            "pipelines/a.yml", f"{PIPELINE}a: {'[' * 300}{']' * 300}\n", 2, 203, "nest deeper", id="deep YAML"
        ),
        pytest.param("pipelines/a.yml", f"#{' ' * 5 * 2**20}\n", 1, 1, "5.0 MiB", id="too large"),
    ],
)
def test_a_mistake_is_a_warning(check: Check, name: str, content: Content, line: int, column: int, words: str) -> None:
    findings = check({name: content})
    assert {finding.level for finding in findings} == {Level.WARNING}
    first = findings[0]
    assert (first.file, first.line, first.column) == (name, line, column)
    assert words in first.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("pipelines/a.yml", "", id="empty"),
        pytest.param("pipelines/a.yml", "# nothing yet\n", id="only a comment"),
        pytest.param("pipelines/a.yml", "---\n", id="null"),
        pytest.param("pipelines/a.yml", "{}", id="empty map"),
        pytest.param("workspace.yml", "~", id="null workspace"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}no_such_key: [1]\n", id="unknown key"),
        pytest.param("meltano.yml", "plugins: {}\n", id="no version in meltano.yml"),
        pytest.param("workspace.yml", "version: workspaces/v0.1\ndomains: example.com\n", id="domain as string"),
        pytest.param("workspace.yml", "version: workspaces/v0.1\ndomains: '@a.com'\n", id="domain as quoted string"),
        pytest.param("workspace.yml", f"{WORKSPACE}domains: b.com\n", id="domain as string in v0.2"),
        pytest.param(
            "workspace.yml", f"{WORKSPACE}meltano_version: V4_2\nstate_datastore: x\n", id="Meltano's version"
        ),
        pytest.param("pipelines/a.yml", f"{PIPELINE}script: |\n  \tmeltano run x\n", id="tab after the indentation"),
        pytest.param("pipelines/a.yml", f'{PIPELINE}label: "\\ud83d\\ude00"\n', id="surrogate escapes"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}schedule: 0 0 0 * * FRIL\n", id="last Friday"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}schedule: '-'\n", id="no schedule"),
        pytest.param(
            "analyze/datasets/a.yml", f'{DATASET}metadata: |-\n  \t{{"a": "\\ud83d\\ude00"}}\n', id="tab before JSON"
        ),
        pytest.param(
            "workspace.yml",
            f"{WORKSPACE}dataset_paths: [./analyze/datasets/]\nchannel_paths: [/analyze/channels]\n"
            "pipeline_paths: [pipelines]\nplugin_paths: [plugins]\ndata_store_paths: [datastores]\n",
            id="default folders that do not exist",
        ),
        pytest.param("pipelines/a.yml", "version: pipelines/v0.9\nactions: x\ntriggered_by: [y]\n", id="newer version"),
        pytest.param("datastores/a.yml", "version: datastores/v1\nproperties: x\n", id="newer version of a datastore"),
        pytest.param("meltano.yml", "version: 2\nplugins: x\n", id="newer Meltano"),
        pytest.param(
            "pipelines/a.yml",
            f"{PIPELINE}actions: ~\ninline_script: null\ntimeout:\nproperties:\nschedule:\ntriggered_by: Null\n",
            id="nulls",
        ),
        pytest.param("pipelines/a.yml", f"{PIPELINE}actions: [a, ~, 1, true]\n", id="scalars in a list of strings"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}actions: {{}}\nproperties: []\n", id="empty collections"),
        pytest.param("pipelines/a.yml", f'{PIPELINE}timeout: "300"\nmax_retries: 1e1\n', id="numbers as strings"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}timeout: 0x1F\nmax_retries: 1_000\n", id="YAML's other numbers"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}timeout: ${{T}}\nschedule: '{{{{ x }}}}'\n", id="templates"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}schedule: ''\ntimeout: ''\n", id="empty strings"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}timeout: !env T\nactions: !reference [x, y]\n", id="tags"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}triggered_by: !reference [x, y]\n", id="tagged triggers"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}actions: [!secret x, !ref [y]]\n", id="tags in a list"),
        pytest.param("pipelines/a.yml", "!include other.yml\n", id="tag on the whole"),
        pytest.param("pipelines/a.yml", f"x: &x [a]\n{PIPELINE}actions: *x\n", id="alias"),
        pytest.param("pipelines/a.yml", "x: &x\n  version: pipelines/v0.1\n<<: *x\n", id="merged version"),
        pytest.param("pipelines/a.yml", f"x: &x {{timeout: soon}}\n{PIPELINE}<<: *x\n", id="merged values"),
        pytest.param("pipelines/a.yml", f"{PIPELINE}---\nversion: pipelines/v0.1\nactions: x\n", id="second document"),
        pytest.param("analyze/datasets/a.yml", f"{DATASET}metadata: ''\nvisualisation: ' '\n", id="no JSON at all"),
        pytest.param("analyze/datasets/a.yml", f"{DATASET}metadata: 1\nvisualisation: true\n", id="JSON scalars"),
        pytest.param("analyze/datasets/a.yml", f"{DATASET}metadata: '{'1' * 5000}'\n", id="JSON with a huge number"),
        pytest.param(
            "analyze/datasets/a.yml", "version: datasets/v0.1\ntitle: 2023\nsource: true\n", id="scalars as strings"
        ),
        pytest.param("analyze/datasets/a.yml", f"\ufeff{DATASET}".replace("\n", "\r\n"), id="byte order mark, CRLF"),
        pytest.param(
            "workspace.yml", f"{WORKSPACE}pipeline_paths: ['pipe*', '${{X}}', '{{{{ y }}}}']\n", id="patterns"
        ),
        pytest.param("workspace.yml", f"{WORKSPACE}dataset_paths: [.meltano/analyze/datasets]\n", id="generated path"),
    ],
)
def test_a_file_has_no_finding(check: Check, name: str, content: Content) -> None:
    assert check({name: content}) == []


class TestFiles:
    def test_only_yaml_below_the_paths_counts(self, check: Check) -> None:
        broken = "a: b: c\n"
        of_other_tools = [
            ".github/workflows/ci.yml",
            "transform/dbt_project.yml",
            "other.yml",
            "meltano.yaml",
            "sub/workspace.yml",
            "sub/meltano.yml",
            "my-workspace.yml",
            "workspace.yml.bak",
            "analyze/other/a.yml",
            "plugins/a.yml",
            "pipelines/a.txt",
            "pipelines/a.yml.j2",
            "pipelines/A.YML",
            "pipelines/._a.yml",
            "pipelines/.git/a.yml",
            "pipelines/.hidden/a.yml",
            "pipelines/node_modules/x/a.yml",
        ]
        assert check({**GOOD, **dict.fromkeys(of_other_tools, broken)}) == []

    def test_workspace_yml_names_the_paths(self, errors: Check) -> None:
        named = {
            "workspace.yml": f"{WORKSPACE}pipeline_paths: [./etl/, /more, one/single.yml]\n",
            "etl/deep/er/a.yml": "a: b: c\n",
            "more/b.yaml": "a: b: c\n",
            "one/single.yml": "a: b: c\n",
            "one/other.yml": "a: b: c\n",
            "pipelines/not-a-pipeline.yml": "a: b: c\n",
        }
        assert [it.file for it in errors(named)] == ["etl/deep/er/a.yml", "more/b.yaml", "one/single.yml"]

    def test_overlays_add_theirs_to_the_defaults(self, errors: Check) -> None:
        named = {
            "workspace-dev.yml": f"{WORKSPACE}pipeline_paths: [dev]\n",
            "dev/a.yml": "a: b: c\n",
            "pipelines/a.yml": "a: b: c\n",
        }
        assert [it.file for it in errors(named)] == ["dev/a.yml", "pipelines/a.yml"]

    def test_an_empty_list_of_paths_means_none(self, check: Check) -> None:
        assert check({"workspace.yml": f"{WORKSPACE}pipeline_paths: []\n", "pipelines/a.yml": "a: b: c\n"}) == []

    @pytest.mark.parametrize("paths", ["!reference [etl]", "[!env ETL]", "etl"])
    def test_paths_that_cannot_be_known_are_not_guessed(self, check: Check, paths: str) -> None:
        findings = check({"workspace.yml": f"{WORKSPACE}pipeline_paths: {paths}\n", "pipelines/a.yml": "a: b: c\n"})
        assert all(finding.file == "workspace.yml" and finding.level is Level.ERROR for finding in findings)
        assert len(findings) == (paths == "etl")

    def test_a_missing_list_means_the_defaults(self, errors: Check) -> None:
        files = {"workspace.yml": f"{WORKSPACE}pipeline_paths:\n", "pipelines/a.yml": "a: b: c\n"}
        assert [it.file for it in errors(files)] == ["pipelines/a.yml"]

    def test_paths_are_followed_through_merge_keys(self, check: Check) -> None:
        files = {
            "workspace.yml": f"{WORKSPACE}x: &x\n  pipeline_paths: [etl]\n<<: *x\n",
            "etl/a.yml": PIPELINE,
            "pipelines/a.yml": "a: b: c\n",
        }
        assert check(files) == []

    def test_a_path_may_lead_elsewhere_in_the_repository_but_not_out_of_it(self, write: Write) -> None:
        root = write(
            {
                "teams/a/workspace.yml": f"{WORKSPACE}pipeline_paths: [../../shared, ../../../outside]\n",
                "shared/a.yml": "a: b: c\n",
                "../outside/b.yml": "a: b: c\n",
            }
        )
        findings = preflight.check(root, "teams/a").findings
        assert [(it.level, it.file) for it in findings] == [
            (Level.ERROR, "shared/a.yml"),
            (Level.WARNING, "teams/a/workspace.yml"),
        ]

    def test_a_misspelt_path_gets_a_suggestion(self, check: Check) -> None:
        finding, *others = check({"workspace.yml": f"{WORKSPACE}dataset_paths: [analyse/dataset]\n", **_DATASETS})
        assert others == []
        assert "did you mean 'analyze/datasets'?" in finding.message

    def test_defaults_are_not_checked_if_workspace_yml_may_name_other_paths(self, check: Check) -> None:
        findings = check({"workspace.yml": f"{WORKSPACE}\t\npipeline_paths: [etl]\n", "pipelines/a.yml": "a: b: c\n"})
        assert [(it.level, it.file) for it in findings] == [(Level.WARNING, "workspace.yml")]

    def test_a_file_below_the_paths_of_two_kinds_is_of_the_kind_that_its_version_says(self, check: Check) -> None:
        files = {
            "workspace.yml": f"{WORKSPACE}dataset_paths: [analyze]\nchannel_paths: [analyze]\n",
            "analyze/a.yml": "version: channels/v0.1\nname: x\ntitle: []\n",
            "analyze/b.yml": "version: channels/v0.1\nname: []\n",
            "analyze/c.yml": "title: []\nname: []\n",
        }
        findings = check(files)
        assert [(it.level, it.file) for it in findings] == [
            (Level.ERROR, "analyze/b.yml"),
            (Level.WARNING, "analyze/c.yml"),
        ]

    def test_the_workspace_may_lie_in_a_folder(self, write: Write) -> None:
        root = write({"workspace.yml": "a: b: c\n", "my/space/pipelines/a.yml": f"{PIPELINE}actions: x\n"})
        assert [it.file for it in preflight.check(root, "my/space").findings] == ["my/space/pipelines/a.yml"]

    def test_the_workspaces_folder_may_be_the_folder_of_a_kind(self, check: Check) -> None:
        files = {"workspace.yml": f"{WORKSPACE}pipeline_paths: [.]\n", "meltano.yml": "version: 1\n", "a.yml": PIPELINE}
        assert check(files) == []


_DATASETS = {"analyze/datasets/a.yml": DATASET, "analyze/channels/b.yml": "version: channels/v0.1\n"}


class TestTriggers:
    @pytest.mark.parametrize(
        "reference",
        [
            "load",
            "Load",
            "daily/load",
            "pipelines/daily/load",
            "pipelines/daily/load.yml",
            "./pipelines/daily/load.yml",
            "My Pipeline",
            "my-pipeline",
            "my_label",
            "my-label",
            "My (Label)",
            "deploy",
            "Deploy",
            "7127b1d3-a114-4bec-b108-004f374f0b77",
            "${PIPELINE}",
            "{{ pipeline }}",
        ],
    )
    def test_any_plausible_name_is_accepted(self, check: Check, reference: str) -> None:
        files = {
            "pipelines/daily/load.yml": f"{PIPELINE}name: My Pipeline\nlabel: my label\n",
            "pipelines/b.yml": f"{PIPELINE}triggered_by:\n- '{reference}'\n",
        }
        assert check(files) == []

    def test_a_text_longer_than_any_name_is_no_name(self, check: Check) -> None:
        long = "x" * 201
        assert check({"pipelines/a.yml": f"{PIPELINE}triggered_by: [{long}]\n"}) == []
        root = document.read(f"name: {long}\nlabel: short\n".encode(), Budget()).root
        assert list(triggers.names("a.yml", root)) == ["a", "short"]

    def test_a_pipeline_counts_even_if_it_could_not_be_read(self, check: Check) -> None:
        files = {
            "pipelines/a.yml": f"{PIPELINE}triggered_by: [b, c]\n",
            "pipelines/b.yml": "x: y: z\n",
            "pipelines/c.yml": "",
        }
        assert [it.file for it in check(files)] == ["pipelines/b.yml"]

    def test_only_the_workspaces_pipelines_count(self, check: Check) -> None:
        files = {"pipelines/a.yml": f"{PIPELINE}triggered_by: [b]\n", "analyze/datasets/b.yml": DATASET}
        assert [it.file for it in check(files)] == ["pipelines/a.yml"]

    def test_only_the_first_20_references_get_a_suggestion(self, check: Check) -> None:
        references = {f"pipelines/{number}.yml": f"{PIPELINE}triggered_by: [laod]\n" for number in range(25)}
        findings = check({"pipelines/load.yml": PIPELINE, **references})
        assert len(findings) == 25
        assert sum("did you mean 'load'?" in finding.message for finding in findings) == 20


class TestOrder:
    def test_errors_come_first_then_files_and_lines(self, check: Check) -> None:
        findings = check(
            {
                "pipelines/b.yml": "actions: x\nschedule: x\n",
                "pipelines/a.yml": f"{PIPELINE}triggered_by: [x]\nactions: y\n",
                "analyze/datasets/c.yml": f"{DATASET}title: []\n",
            }
        )
        assert [(str(it.level), it.file, it.line) for it in findings] == [
            ("error", "analyze/datasets/c.yml", 2),
            ("error", "pipelines/a.yml", 3),
            ("error", "pipelines/b.yml", 1),
            ("error", "pipelines/b.yml", 2),
            ("warning", "pipelines/a.yml", 2),
            ("warning", "pipelines/b.yml", 1),
        ]

    def test_only_the_first_20_findings_of_a_file_are_shown(self, check: Check) -> None:
        findings = check({"pipelines/a.yml": PIPELINE + "a: 1\n" * 10_000})
        assert len(findings) == 21
        assert findings[-1].level is Level.NOTICE
        assert "first 20" in findings[-1].message


class TestNothingToCheck:
    def test_no_such_folder(self, tmp_path: Path) -> None:
        self._is_no_checkout(preflight.check(tmp_path / "nowhere").findings)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        self._is_no_checkout(preflight.check(tmp_path).findings)

    @pytest.mark.parametrize("directory", [None, "space"])
    def test_no_checkout_is_an_error_where_the_check_is_required(self, tmp_path: Path, directory: str | None) -> None:
        self._is_no_checkout(preflight.check(tmp_path, directory, is_required=True).findings, Level.ERROR)

    def test_no_workspace_is_an_error_where_the_check_is_required(self, write: Write) -> None:
        root = write({"README.md": "", "space/README.md": ""})
        for directory in (None, "space"):
            self._is_no_checkout(preflight.check(root, directory, is_required=True).findings, Level.ERROR)

    def test_a_wrong_directory_of_the_platform_is_a_notice(self, write: Write) -> None:
        root = write({"README.md": ""})
        self._is_no_checkout(preflight.check(root, None, "space").findings)
        self._is_no_checkout(preflight.check(root, None, "space", is_required=True).findings, Level.ERROR)

    def test_the_users_directory_comes_before_the_platforms(self, write: Write) -> None:
        root = write({"a/pipelines/a.yml": "a: b: c\n", "b/pipelines/b.yml": "a: b: c\n"})
        assert [it.file for it in preflight.check(root, "a", "b").findings] == ["a/pipelines/a.yml"]
        assert [it.file for it in preflight.check(root, None, "b").findings] == ["b/pipelines/b.yml"]

    def test_a_file_for_a_folder(self, write: Write) -> None:
        self._is_no_checkout(preflight.check(write({"a": ""}) / "a").findings)

    @pytest.mark.parametrize("directory", ["nowhere", "README.md", "..", "../..", "/", "/etc", "a\0b", "x" * 5000])
    def test_a_wrong_directory_of_the_user_is_an_error(self, write: Write, directory: str) -> None:
        self._is_no_checkout(preflight.check(write({"README.md": ""}), directory).findings, Level.ERROR)

    def test_no_workspace_at_all(self, check: Check) -> None:
        findings = check({"README.md": "", "src/a.yml": "a: b: c\n"})
        self._is_no_checkout(findings)
        assert "workspace-directory" in findings[0].message

    def test_a_workspace_without_workspace_yml_is_one(self, check: Check) -> None:
        assert check({"pipelines/a.yml": PIPELINE}) == []

    def _is_no_checkout(self, findings: list[Finding], level: Level = Level.NOTICE) -> None:
        assert [finding.level for finding in findings] == [level]
        assert findings[0].message.endswith("Nothing was checked.")
        assert findings[0].message.startswith("No checkout")
        assert findings[0].file is None
