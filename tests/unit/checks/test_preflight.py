"""Each rule with a file that breaks it and one that does not, and which files are looked at at all."""

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
        ("- actions\n", "error", "1:1", "pipeline file must be a map (name: value), but this is a list."),
        ("'~'\n", "error", "1:1", "A pipeline file must be a map (name: value), but this is a string."),
        (PIPELINE + "actions: dbt:run\n", "error", "2:10", "did you mean '[dbt:run]'?"),
        (PIPELINE + "actions:\n- dbt: run\n", "error", "3:3", "did you mean 'dbt:run'?"),
        (PIPELINE + "data_components:\n- name: tap-x\n", "error", "3:3", "did you mean 'tap-x'?"),
        (PIPELINE + "timeout: 5m\n", "error", "2:10", "is the string '5m': did you mean '300'?"),
        ("schedule: daily\nversion: pipelines/v0.1\n", "error", "1:11", "1 field"),
        ("\nactions: []\n", "warning", "2:1", "'pipelines/v0.1'"),
        *(
            (f"version: '{version}'\n", "warning", "1:10", "did you mean 'pipelines/v0.1'?")
            for version in ("pipeline/v0.1", "pipelines/0.1", "pipelines/", "pipelines/v0.1 ", "pipelines/v0.x")
        ),
        (DATASET, "warning", "1:10", "did you mean 'pipelines/v0.1'?"),
        (PIPELINE + "a: 1\na: 2\n", "warning", "3:1", "twice in this map, first on line 2; only the last one counts"),
        (PIPELINE + "actions: {dbt: run}\n", "warning", "2:10", "should be a list"),
        (PIPELINE + "properties: [a]\n", "warning", "2:13", "should be a map"),
        (PIPELINE + "actions: ''\n", "warning", "2:10", "list of strings"),
        (PIPELINE + "timeout: true\n", "warning", "2:10", "a number"),
        (PIPELINE + "schedule: 0 9 * * MON-FRI\n", "warning", "2:11", "'schedule' has 5 fields"),
        (PIPELINE + "label: long\ntriggered_by: [lnog]\n", "warning", "3:16", "that name: did you mean 'long'?"),
        (PIPELINE + f"triggered_by: [{'a' * 61}]\n", "warning", "2:16", "…', but no pipeline here has that name."),
        (PIPELINE + f"a: {'[' * 300}{']' * 300}\n", "warning", "2:203", "nest deeper"),
        (f"#{' ' * 5 * 2**20}\n", "warning", "1:1", "5.0 MiB"),
    ],
    "workspace.yml": [
        ("- a\n", "error", "1:1", "workspace file must be a map"),
        (WORKSPACE + "plugin_paths:\n- nowhere\n", "warning", "3:3", "'nowhere'"),
    ],
    "workspace-dev.yml": [
        ("name: x\n", "warning", "1:1", "'workspaces/v0.2'"),
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
        ("version: 2\nmodels: []\ntitle: []\n", "warning", "1:10", "another tool"),
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


FINE = {
    "pipelines/a.yml": [
        *("", "# nothing yet\n", "---\n", "{}", "!include other.yml\n"),
        PIPELINE + 'no_such_key: [1]\ntimeout: "300"\nmax_retries: 0x1F\n',
        "version: pipelines/v0.9\nactions: x\ntriggered_by: [y]\n",
        f"x: &x [a]\n{PIPELINE}actions: *x\n",
        "x: &x\n  version: pipelines/v0.1\n  timeout: soon\n<<: *x\n",
        f"{PIPELINE}---\n{PIPELINE}actions: x\na: 1\na: 2\n",
    ],
    "workspace.yml": [
        "~",
        WORKSPACE + "state_datastore: x\npipeline_paths: ['pipe*', '${X}', '{{ y }}']\n",
        WORKSPACE
        + "dataset_paths: [./analyze/datasets/]\nchannel_paths: [/analyze/channels]\nplugin_paths: [plugins]\n",
        WORKSPACE + "pipeline_paths: [pipeline]\n",
    ],
    "meltano.yml": ["plugins: {}\n", "version: 2\nplugins: x\n"],
    "analyze/datasets/a.yml": [DATASET + "title: 2023\nsource: true\n"],
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
    for text, level in (("pipeline_paths: etl\n", "error"), ("\t\npipeline_paths: [etl]\n", "warning")):
        files = {"workspace.yml": WORKSPACE + text, "pipelines/a.yml": BROKEN}
        assert brief(check(files)) == [f"{level} workspace.yml"]


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
    workspace = WORKSPACE + "pipeline_paths: [../../shared, ../../../outside]\n"
    shared = {"workspace.yml": BROKEN, "shared/a.yml": BROKEN, "../outside/b.yml": BROKEN}
    root = write({**shared, "teams/a/workspace.yml": workspace})
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
        f"pipelines/{'c' * 150}/{'d' * 150}.yml": f"{PIPELINE}timeout: {'9' * 101}\n",
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


def test_only_the_first_20_findings_of_a_file_are_shown(check: Check) -> None:
    findings = check({"pipelines/a.yml": PIPELINE + "a: 1\n" * 10_000})
    assert brief(findings) == [*["warning pipelines/a.yml"] * 20, "notice pipelines/a.yml"]
    assert "first 20" in findings[-1].message


BASES = ("workspace.yml", "workspace-dev.yaml")
README = {"README.md": "", "space/README.md": ""}


@pytest.mark.parametrize(
    ("files", "directory", "default", "level", "words"),
    [
        ({}, None, None, Level.NOTICE, "Run actions/checkout"),
        ({**README, "src/a.yml": BROKEN}, None, None, Level.NOTICE, "`workspace-directory`"),
        (README, "space", None, Level.NOTICE, "`workspace-directory`"),
        *(({name: "load_from: [x]\n"}, None, None, Level.NOTICE, "neither a workspace.yml nor") for name in BASES),
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


def test_a_checkout_that_is_no_folder_or_a_workspace_without_a_file_is_none(write: Write) -> None:
    root = write({"a": ""})
    for path in ("", "a", "nowhere"):
        report = preflight.check(root / path)
        assert brief(report.findings) == ["notice"]
        assert report.pipelines is None


def test_the_users_directory_comes_before_the_platforms(write: Write) -> None:
    root = write({"a/pipelines/a.yml": BROKEN, "b/pipelines/b.yml": BROKEN})
    assert brief(preflight.check(root, "a", "b").findings) == ["error a/pipelines/a.yml"]
    assert brief(preflight.check(root, None, "b").findings) == ["error b/pipelines/b.yml"]
