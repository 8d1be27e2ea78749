"""Each rule with a file that breaks it and one that does not, and which files are looked at at all."""

from pathlib import Path

import pytest

from matatika_deploy.checks import preflight
from matatika_deploy.findings import Level
from tests.support.repository import (
    BROKEN,
    CHANNEL,
    DATA_STORE,
    DATASET,
    PIPELINE,
    WORKSPACE,
    Check,
    Files,
    Write,
    brief,
)

GOOD = {
    "workspace.yml": WORKSPACE
    + "dataset_paths: [analyze/datasets, .meltano/analyze/datasets]\nplugin_paths: [plugins]\n",
    "workspace-dev.yml": "version: workspaces/v0.1\nname: My workspace (dev)\n",
    "meltano.yml": "version: 1\nplugins:\n  extractors: [{name: tap-x}]\n",
    "pipelines/daily/load.yml": PIPELINE + "inline_script: |\n  meltano run\ttap-x\ntriggered_by: [deploy, report]\n",
    "pipelines/report.yaml": PIPELINE + "triggered_by:\n- daily/load\n- DEPLOY\n",
    "analyze/datasets/sales.yml": DATASET + 'metadata: |-\n  {"name": "sales",\n  \t"label": "tab\there"}\n',
    "analyze/channels/sales.yml": CHANNEL + "name: Sales\n",
    "datastores/Warehouse.yml": DATA_STORE + "properties: {max-threads: -1}\n",
}


def test_every_file_of_a_good_repository_is_checked_and_has_no_finding(check: Check) -> None:
    assert check(GOOD) == []
    assert brief(check(dict.fromkeys(GOOD, BROKEN))) == [f"error {name}" for name in sorted(GOOD)]


def test_only_yaml_below_the_workspaces_folders_counts(check: Check) -> None:
    of_other_tools = [
        *(".github/workflows/ci.yml", "transform/dbt_project.yml", "other.yml", "analyze/other/a.yml", "plugins/a.yml"),
        *("meltano.yaml", "sub/workspace.yml", "sub/meltano.yml", "my-workspace.yml", "workspace.yml.bak"),
        *("pipelines/a.txt", "pipelines/a.yml.j2", "pipelines/A.YML", "pipelines/._a.yml", "pipelines/.git/a.yml"),
        *("pipelines/.hidden/a.yml", "pipelines/node_modules/x/a.yml"),
    ]
    assert check({**GOOD, **dict.fromkeys(of_other_tools, BROKEN)}) == []


@pytest.mark.parametrize(
    ("name", "version", "keys", "wrong", "wanted"),
    [
        ("workspace.yml", WORKSPACE, "name default_data_store state_data_store meltano_version", "{}", "a string"),
        ("workspace.yml", WORKSPACE, "pipelines_image image_url default_environment", "[x]", "a string"),
        ("workspace.yml", WORKSPACE, "dataset_paths channel_paths pipeline_paths", "x", "a list of strings"),
        ("workspace.yml", WORKSPACE, "plugin_paths data_store_paths", "x", "a list of strings"),
        ("workspace-dev.yml", WORKSPACE, "domains", "[[a]]", "a list of strings"),
        ("workspace-dev.yml", WORKSPACE, "app_properties", "x", "a map"),
        ("pipelines/a.yml", PIPELINE, "name label script inline_script schedule", "[x]", "a string"),
        ("pipelines/a.yml", PIPELINE, "data_components actions triggered_by", "x", "a list of strings"),
        ("pipelines/a.yml", PIPELINE, "timeout max_retries", "[1]", "a number"),
        ("pipelines/a.yml", PIPELINE, "timeout max_retries", "soon", "a number"),
        ("pipelines/a.yml", PIPELINE, "properties", "x", "a map"),
        ("analyze/datasets/a.yml", DATASET, "title source questions description query rawData", "{a: b}", "a string"),
        ("analyze/datasets/a.yml", DATASET, "metadata visualisation", "{a: 1}", "in quotes"),
        ("analyze/channels/a.yml", CHANNEL, "name description picture image", "[x]", "a string"),
        ("datastores/a.yml", DATA_STORE, "name data_plugin", "{}", "a string"),
        ("datastores/a.yml", DATA_STORE, "properties", "x", "a map"),
    ],
)
def test_every_key_has_its_type(check: Check, name: str, version: str, keys: str, wrong: str, wanted: str) -> None:
    findings = check({name: version + "".join(f"{key}: {wrong}\n" for key in keys.split())})
    expected = [("error", key, line) for line, key in enumerate(keys.split(), 2)]
    assert [(it.level, it.message.split("'")[1], it.line) for it in findings] == expected
    assert all(wanted in finding.message for finding in findings)


MISTAKES = {
    "pipelines/a.yml": [
        (PIPELINE + "actions: [a\n", "error", "2:10", "not YAML"),
        ("- actions\n", "error", "1:1", "pipeline file must be a map"),
        (PIPELINE + "actions: dbt:run\n", "error", "2:10", "did you mean '[dbt:run]'?"),
        (PIPELINE + "actions:\n- dbt: run\n", "error", "3:3", "did you mean 'dbt:run'?"),
        (PIPELINE + "timeout: 5m\n", "error", "2:10", "did you mean '300'?"),
        (PIPELINE + "max_retries: 5m\n", "error", "2:14", "'5m'."),
        (PIPELINE + "schedule: 0 0 9 * * MON 2024\n", "error", "2:11", "did you mean '0 0 9 * * MON'?"),
        ("schedule: daily\nversion: pipelines/v0.1\n", "error", "1:11", "1 field"),
        ("\nactions: []\n", "warning", "2:1", "'pipelines/v0.1'"),
        ("version:\nactions: []\n", "warning", "1:1", "'pipelines/v0.1'"),
        ("version: pipeline/v0.1\n", "warning", "1:10", "'pipelines/v0.1'"),
        (DATASET, "warning", "1:10", "did you mean 'pipelines/v0.1'?"),
        (PIPELINE + "a: 1\na: 2\n", "warning", "3:1", "twice in this map, first on line 2; only the last one counts"),
        (PIPELINE + "actions: {dbt: run}\n", "warning", "2:10", "should be a list"),
        (PIPELINE + "properties: [a]\n", "warning", "2:13", "should be a map"),
        (PIPELINE + "actions: ''\n", "warning", "2:10", "list of strings"),
        (PIPELINE + "timeout: true\n", "warning", "2:10", "a number"),
        (PIPELINE + "schedule: 0 9 * * MON-FRI\n", "warning", "2:11", "'schedule' has 5 fields"),
        (PIPELINE + "triggered_by: [lost]\n", "warning", "2:16", "no pipeline here"),
        (PIPELINE + "label: long\ntriggered_by: [longs]\n", "warning", "3:16", "did you mean 'long'?"),
        (PIPELINE + f"a: {'[' * 300}{']' * 300}\n", "warning", "2:203", "nest deeper"),
        (f"#{' ' * 5 * 2**20}\n", "warning", "1:1", "5.0 MiB"),
    ],
    "workspace.yml": [
        ("- a\n", "error", "1:1", "workspace file must be a map"),
        (WORKSPACE + "plugin_paths:\n- nowhere\n", "warning", "3:3", "'nowhere'"),
    ],
    "workspace-dev.yml": [
        ("name: x\n", "warning", "1:1", "'workspaces/v0.2'"),
        (WORKSPACE + "dataset_paths: [x]\n", "warning", "2:17", "'x'"),
    ],
    "meltano.yml": [
        ("version: 1\n\tplugins: {}\n", "error", "2:1", "not YAML"),
        ("plugins:\n  loaders:\n  - name: a\n    name: b\n", "warning", "4:5", "'name' stands twice"),
    ],
    "analyze/datasets/a.yml": [
        (DATASET + 'metadata: |-\n  {"a": 1,\n   "b":\n   c}\n', "error", "2:11", "in line 3 of the value"),
        (DATASET + "visualisation: \"{'a': 1}\"\n", "error", "2:16", "double quotes"),
        (DATASET + "metadata: '[1,]'\n", "error", "2:11", "no comma before"),
        (DATASET + 'metadata: |-\n  {"a": {{ a }}}\n', "warning", "2:11", "must hold JSON"),
        (DATASET + f"metadata: '{'[' * 100_000}'\n", "warning", "2:11", "nests too deep"),
        ("- x\n", "warning", "1:1", "dataset file must be a map"),
        ("version: 2\nmodels: []\n", "warning", "1:10", "another tool"),
    ],
}


@pytest.mark.parametrize(
    ("name", "content", "level", "place", "words"),
    [(name, *mistake) for name, mistakes in MISTAKES.items() for mistake in mistakes],
    ids=lambda value: repr(value)[-60:],
)
def test_a_mistake_is_found_at_its_place(
    check: Check, name: str, content: str, level: str, place: str, words: str
) -> None:
    (finding,) = check({name: content})
    assert (finding.level, finding.place) == (level, f"{name}:{place}")
    assert words in finding.message


def test_a_file_of_another_tool_has_no_error(check: Check) -> None:
    findings = check({"analyze/datasets/a.yml": "version: 2\ntitle: []\na: 1\na: 2\n"})
    assert brief(findings) == ["warning analyze/datasets/a.yml"] * 2


FINE = {
    "pipelines/a.yml": [
        *("", "# nothing yet\n", "---\n", "{}", "!include other.yml\n"),
        PIPELINE + "no_such_key: [1]\nscript: |\n  \tmeltano run x\n" + 'label: "\\ud83d\\ude00"\n',
        PIPELINE + "schedule: 0 0 0 * * FRIL\ntimeout: 0x1F\nmax_retries: 1_000\n",
        PIPELINE + "schedule: '-'\ntimeout: \"300\"\nmax_retries: 1e1\n",
        PIPELINE + "schedule: ''\ntimeout: ''\nactions: {}\nproperties: []\n",
        PIPELINE + "schedule: '{{ x }}'\ntimeout: ${T}\nactions: [a, ~, 1, true, !secret x, !ref [y]]\n",
        PIPELINE + "actions: ~\nscript: null\ntimeout:\nproperties:\nschedule:\ntriggered_by: Null\n",
        PIPELINE + "timeout: !env T\nactions: !reference [x, y]\ntriggered_by: !reference [x, y]\n",
        "version: pipelines/v0.9\nactions: x\ntriggered_by: [y]\n",
        f"x: &x [a]\n{PIPELINE}actions: *x\n",
        "x: &x\n  version: pipelines/v0.1\n  timeout: soon\n<<: *x\n",
        f"{PIPELINE}---\n{PIPELINE}actions: x\n",
    ],
    "workspace.yml": [
        "~",
        "version: workspaces/v0.1\ndomains: '@a.com'\n",
        WORKSPACE + "meltano_version: V4_2\nstate_datastore: x\ndomains: b.com\n",
        WORKSPACE + "pipeline_paths: ['pipe*', '${X}', '{{ y }}']\n",
        WORKSPACE + "dataset_paths: [./analyze/datasets/]\nchannel_paths: [/analyze/channels]\n"
        "pipeline_paths: [pipelines]\nplugin_paths: [plugins]\ndata_store_paths: [datastores]\n",
    ],
    "meltano.yml": ["plugins: {}\n", "version: 2\nplugins: x\n"],
    "analyze/datasets/a.yml": [
        DATASET + 'metadata: |-\n  \t{"a": "\\ud83d\\ude00"}\nvisualisation: true\n',
        DATASET + f"metadata: '{'1' * 5000}'\nvisualisation: ' '\n",
        ("\ufeffversion: datasets/v0.1\ntitle: 2023\nsource: true\n").replace("\n", "\r\n"),
    ],
    "datastores/a.yml": ["version: datastores/v1\nproperties: x\n"],
}


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name, contents in FINE.items() for content in contents],
    ids=lambda value: repr(value)[-60:],
)
def test_what_deploys_has_no_finding(check: Check, name: str, content: str) -> None:
    assert check({name: content}) == []


DATASETS = {"analyze/datasets/x.yml": DATASET, "analyze/channels/y.yml": CHANNEL}


@pytest.mark.parametrize(
    ("name", "text", "files", "expected"),
    [
        ("workspace.yml", "pipeline_paths: [./etl/, /more]", "etl/x/a.yml more/b.yaml pipelines/c.yml", [0, 1]),
        ("workspace.yml", "pipeline_paths: [one/single.yml]", "one/single.yml one/other.yml", [0]),
        ("workspace.yml", "pipeline_paths: [.]", "a.yml", [0]),
        ("workspace.yml", "pipeline_paths: []", "pipelines/a.yml", []),
        ("workspace.yml", "pipeline_paths:", "pipelines/a.yml", [0]),
        ("workspace-dev.yml", "pipeline_paths: [dev]", "dev/a.yml pipelines/a.yml", [0, 1]),
        ("workspace.yml", "x: &x\n  pipeline_paths: [etl]\n<<: *x", "etl/a.yml pipelines/a.yml", [0]),
        # What cannot be known is not guessed.
        ("workspace.yml", "pipeline_paths: !reference [etl]", "pipelines/a.yml", []),
        ("workspace.yml", "pipeline_paths: [!env ETL]", "pipelines/a.yml", []),
    ],
)
def test_workspace_files_name_the_folders(check: Check, name: str, text: str, files: str, expected: list[int]) -> None:
    findings = check({name: f"{WORKSPACE}{text}\n", **dict.fromkeys(files.split(), BROKEN)})
    assert brief(findings) == [f"error {files.split()[number]}" for number in expected]


def test_defaults_are_not_checked_if_a_mistake_may_hide_other_folders(check: Check) -> None:
    files = {"workspace.yml": WORKSPACE + "pipeline_paths: etl\n", "pipelines/a.yml": BROKEN}
    assert brief(check(files)) == ["error workspace.yml"]
    files["workspace.yml"] = WORKSPACE + "\t\npipeline_paths: [etl]\n"
    assert brief(check(files)) == ["warning workspace.yml"]


def test_a_misspelt_path_gets_a_suggestion(check: Check) -> None:
    (finding,) = check({"workspace.yml": WORKSPACE + "dataset_paths: [analyse/dataset]\n", **DATASETS})
    assert "did you mean 'analyze/datasets'?" in finding.message


def test_a_file_in_the_folders_of_two_kinds_is_of_the_kind_that_its_version_says(check: Check) -> None:
    files = {
        "workspace.yml": WORKSPACE + "dataset_paths: [analyze]\nchannel_paths: [analyze]\n",
        "analyze/a.yml": CHANNEL + "name: x\ntitle: []\n",
        "analyze/b.yml": CHANNEL + "name: []\n",
        "analyze/c.yml": "title: []\nname: []\n",
    }
    assert brief(check(files)) == ["error analyze/b.yml", "warning analyze/c.yml"]


def test_a_workspace_in_a_folder_may_use_the_whole_repository_and_nothing_else(write: Write) -> None:
    root = write(
        {
            "workspace.yml": BROKEN,
            "teams/a/workspace.yml": WORKSPACE + "pipeline_paths: [../../shared, ../../../outside]\n",
            "shared/a.yml": BROKEN,
            "../outside/b.yml": BROKEN,
        }
    )
    assert brief(preflight.check(root, "teams/a").findings) == ["error shared/a.yml", "warning teams/a/workspace.yml"]


def test_any_plausible_name_of_a_pipeline_is_known(check: Check) -> None:
    names = [
        *("load", "Load", "daily/load", "pipelines/daily/load", "pipelines/daily/load.yml"),
        *("./pipelines/daily/load.yml", "My Pipeline", "my-pipeline", "my_label", "my-label", "My (Label)"),
        *("deploy", "Deploy", "7127b1d3-a114-4bec-b108-004f374f0b77", "${PIPELINE}", "{{ pipeline }}", "x" * 201),
    ]
    files = {
        "pipelines/daily/load.yml": PIPELINE + "name: My Pipeline\nlabel: my label\n",
        "pipelines/b.yml": PIPELINE + "triggered_by:\n" + "".join(f"- '{name}'\n" for name in names),
    }
    assert check(files) == []


def test_a_pipeline_is_known_even_if_it_cannot_be_read_but_a_file_of_another_kind_is_none(check: Check) -> None:
    files = {
        "pipelines/a.yml": PIPELINE + "triggered_by: [b, c]\n",
        "pipelines/b.yml": BROKEN,
        "pipelines/c.yml": "",
        "pipelines/d.yml": PIPELINE + "triggered_by: [x]\n",
        **DATASETS,
    }
    assert brief(check(files)) == ["error pipelines/b.yml", "warning pipelines/d.yml"]


def test_only_the_first_20_references_get_a_suggestion(check: Check) -> None:
    references = {f"pipelines/{number}.yml": PIPELINE + "triggered_by: [laod]\n" for number in range(25)}
    findings = check({"pipelines/load.yml": PIPELINE, **references})
    assert len(findings) == 25
    assert sum("did you mean 'load'?" in finding.message for finding in findings) == 20


def test_errors_come_first_then_files_and_lines(check: Check) -> None:
    findings = check(
        {
            "pipelines/b.yml": "actions: x\nschedule: x\n",
            "pipelines/a.yml": PIPELINE + "triggered_by: [x]\nactions: y\n",
            "analyze/datasets/c.yml": DATASET + "title: []\n",
        }
    )
    assert [f"{it.level} {it.file}:{it.line}" for it in findings] == [
        "error analyze/datasets/c.yml:2",
        "error pipelines/a.yml:3",
        "error pipelines/b.yml:1",
        "error pipelines/b.yml:2",
        "warning pipelines/a.yml:2",
        "warning pipelines/b.yml:1",
    ]


def test_only_the_first_20_findings_of_a_file_are_shown(check: Check) -> None:
    findings = check({"pipelines/a.yml": PIPELINE + "a: 1\n" * 10_000})
    assert brief(findings) == [*["warning pipelines/a.yml"] * 20, "notice pipelines/a.yml"]
    assert "first 20" in findings[-1].message


README = {"README.md": "", "space/README.md": ""}


@pytest.mark.parametrize(
    ("files", "directory", "default", "level", "words"),
    [
        ({}, None, None, Level.NOTICE, "Run actions/checkout"),
        ({**README, "src/a.yml": BROKEN}, None, None, Level.NOTICE, "`workspace-directory`"),
        (README, "space", None, Level.NOTICE, "`workspace-directory`"),
        (README, None, "nowhere", Level.NOTICE, "no folder 'nowhere'"),
        *((README, wrong, None, Level.ERROR, "no folder") for wrong in ("README.md", "..", "/etc", "a\0b", "x" * 5000)),
    ],
)
def test_nothing_to_check_is_told(
    write: Write, files: Files, directory: str | None, default: str | None, level: Level, words: str
) -> None:
    root = write(files)
    for is_required in (False, True):
        (finding,) = preflight.check(root, directory, default, is_required=is_required).findings
        assert (finding.level, finding.file) == (Level.ERROR if is_required else level, None)
        assert finding.message.startswith("No checkout")
        assert words in finding.message
        assert finding.message.endswith("Nothing was checked.")


def test_a_checkout_that_is_no_folder_is_none(write: Write, tmp_path: Path) -> None:
    write({"a": ""})
    for path in ("checkout/a", "nowhere"):
        assert brief(preflight.check(tmp_path / path).findings) == ["notice"]


def test_the_users_directory_comes_before_the_platforms(write: Write) -> None:
    root = write({"a/pipelines/a.yml": BROKEN, "b/pipelines/b.yml": BROKEN})
    assert brief(preflight.check(root, "a", "b").findings) == ["error a/pipelines/a.yml"]
    assert brief(preflight.check(root, None, "b").findings) == ["error b/pipelines/b.yml"]
