"""Repositories that deploy: those that the platform itself creates and commits, and those that have grown for years."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import preflight
from matatika_deploy.checks.kinds import IN_FOLDERS, PATHS_KEYS, WORKSPACE, Kind, Type
from matatika_deploy.findings import Level
from tests.support.repository import CHANNEL, DATA_STORE, PIPELINE, Check, write_files

SHARED = """\
default_data_store: Warehouse
dataset_paths: [analyze/datasets, .meltano/analyze/datasets]
channel_paths: [analyze/channels]
pipeline_paths: [pipelines]
plugin_paths: [plugins]
data_store_paths: [datastores]
app_properties:
  WELCOME_DATASET_ALIAS: welcome
"""
PLUGINS = """\
plugins:
  extractors:
  - {name: tap-spreadsheets-anywhere, variant: matatika, pip_url: git+https://example.com/tap.git}
  - {name: tap-orders, inherit_from: tap-spreadsheets-anywhere}
  loaders:
  - {name: target-postgres, variant: meltanolabs, pip_url: target-postgres}
"""
NEW = {
    **{f"{folder}/.gitkeep": "" for folder in ("analyze", "extract", "load", "notebook", "orchestrate")},
    "output/.gitignore": "*\n!.gitignore\n",
    "analyze/datasets/welcome.yml": "version: datasets/v0.2\ntitle: Hello\ndescription: |-\n  <p>\n  Your feed.</p>\n",
    "datastores/Warehouse.yml": DATA_STORE + "name: Warehouse\ndata_plugin: loaders/target-postgres--matatika\n",
    "plugins/extractors/tap-spreadsheets-anywhere--matatika.lock": "{}\n",
    "plugins/loaders/target-postgres--matatika.lock": "{}\n",
}


def pipeline(**values: object) -> str:
    shared = {"timeout": 0, "data_components": ["tap-orders", "Warehouse"]}
    return yaml.safe_dump({"version": "pipelines/v0.1", **values, **shared}, sort_keys=False, allow_unicode=True)


# Of the older version, whose pipelines are named as a person wrote them.
V1 = {
    **NEW,
    "workspace.yml": f"version: workspaces/v0.1\nname: 'Ada''s 😀'\ndomains: '@a.com'\n{SHARED}",
    "meltano.yml": f"version: 1\ndefault_environment: dev\nproject_id: x\n{PLUGINS}",
    'pipelines/Ada\'s "orders".yml': pipeline(name='Ada\'s "orders"', schedule="0 0 0 * * *", max_retries=2),
    "pipelines/From the shop.yml": PIPELINE + "name: From the shop\nscript: |-\n  \tmeltano run a b\n",
    "analyze/channels/Sales team.yml": CHANNEL + "name: Sales team\ndescription: ''\n",
    "datastores/Snow flake.yml": DATA_STORE + "name: Snow flake\ndata_plugin: x\nproducer: true\nproperties: {}\n",
}
# Of the newer version, whose pipelines have slugs for names.
V2 = {
    **NEW,
    "workspace.yml": f"version: workspaces/v0.2\nmeltano_version: V4_2\ndomains: []\nstate_data_store: W\n{SHARED}",
    "meltano.yml": f"default_environment: dev\nproject_id: x\nenvironments:\n- name: dev\n{PLUGINS}",
    "pipelines/mysql-to-/dev/null.yml": pipeline(label="MySQL to /dev/null", script="meltano invoke\n  \ttap-orders"),
    "pipelines/mysql---mariadb.yml": pipeline(label="MySQL - MariaDB", max_retries=0),
    "pipelines/mysql-mariadb.yml": pipeline(label="MySQL MariaDB", schedule="0 30 8 * * 5"),
    "pipelines/a.yml": pipeline(label='"A" & b', schedule="-", triggered_by=["DEPLOY"], actions=["dbt:run"]),
    "pipelines/b.yml": pipeline(label="B: then", triggered_by=["a"], properties={"tap-orders.start": "2023"}),
    "analyze/datasets/orders/by region.yml": (
        "version: datasets/v0.2\ntitle: Orders by region\nmetadata: |-\n"
        '  {"name": "orders", "label": "\\ud83d\\ude00"}\nvisualisation: |-\n  {"chartjs-chart": {}}\n'
    ),
}
TEXTS = st.text(alphabet="abc XYZ019'\"\\#:,/[]{}&*!|>%@`-?\n\té漢😀", max_size=40)

# The spellings of each type's values in YAML; a continuation line is indented by two blanks.
NOTHING = ["", " ~", " null", " # nothing yet", " !reference [x, y]", " !env X", " !!set {a, b}", " !!binary aGk="]
STRINGS = [
    *(" plain text over\n  two lines", " http://example.com/a?b=c#d", " &anchor anchored", " ! x", " ''", " 08", " <<"),
    *(" 2023", " true", " 2023-01-01", " 1.5e3", " .inf", " 12:30", " =", ' "\\ud83d\\ude00"', " |-\n\n  \tx\n   y"),
    *(" >\n  folded\n\n  # no comment", " |2+\n   x\n"),
]
LISTS = [
    *(" []", " {}", " [a, 'q', ~, 1, true, !secret x, &i b]"),
    *("\n- dbt:run", "\n    - a\n    - b", " [\n  a,\n  b,\n  ]"),
]
SPELLINGS = {
    Type.STRING: STRINGS,
    Type.STRINGS: LISTS,
    Type.STRING_OR_STRINGS: STRINGS + LISTS,
    Type.NUMBER: [
        *(" 300", " '300'", " 30.0", " 1_000", " 0x1F", " +1", " 1e3", " ${TIMEOUT}", " '{{ timeout }}'", " ''"),
    ],
    Type.MAP: [" {a: 1}", " {}", " []", "\n  a.b: c\n  d: [1]\n  e: {f: ~}"],
    Type.JSON: [' |-\n  {"a": [1,\n  2.5]}', " '\"x\"'", " true", " '  '", f" '{'1' * 5000}'"],
    Type.CRON: [
        *(" 0 0 9 * * MON-FRI", " '*/10 0  0 L-3W * ?'", " |-\n  0 0 9 * * ?", " '-'", " ''"),
        *(' "{{ cron }}"', " ${C}"),
    ],
}


@st.composite
def files_of(draw: st.DrawFn, kind: Kind) -> str:
    """A kind's keys in any order, among other keys, comments and documents."""
    quote = draw(st.sampled_from(["", "", "", "'", '"']))
    version = draw(st.sampled_from([*kind.versions, f"{kind.family}v9"]))
    entries = [f"version:{draw(st.sampled_from([' ', '   ', ' &v ', ' !!str ']))}{quote}{version}{quote}"]
    for key, wanted in kind.types.items():
        # Which folders and pipelines there are is not for these tests.
        spellings = NOTHING + ([] if key in (*PATHS_KEYS, "triggered_by") else 3 * SPELLINGS[wanted])
        if draw(st.integers(0, 4)):
            entries.append(f"{quote}{key}{quote}:{draw(st.sampled_from(spellings))}")
    entries += [f"x-{number}:{value}" for number, value in enumerate(draw(st.lists(st.sampled_from(STRINGS + LISTS))))]
    entries = draw(st.permutations(entries))
    if draw(st.booleans()):
        entries = ["x-shared: &shared\n  deep: &deep {deeper: [*shared, 1]}\n  deep2: *deep", *entries, "<<: *shared"]
    comment = draw(st.sampled_from(["", "# managed by a bundle\n", "\n\n", "   \n"]))
    start = draw(st.sampled_from(["", "", "---\n", "%YAML 1.2\n---\n", "# comment\n---\n", "\ufeff"]))
    end = draw(st.sampled_from(["", "", "...\n", "---\n", "---\nother: [document]\nother2: {}\n"]))
    text = start + comment.join(f"{entry}\n" for entry in entries) + end
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@st.composite
def repositories(draw: st.DrawFn) -> dict[str, str]:
    """A workspace of either version, or none, with files that the platform wrote, and files that people wrote."""
    files = dict(draw(st.sampled_from([V1, V2, {}])))
    name, text, is_ascii = draw(TEXTS), draw(TEXTS), draw(st.booleans())
    written = {"name": f"{name} 0", "label": name, "script": text, "properties": {name: text}}
    files["pipelines/from/the app.yml"] = pipeline(**written)
    dataset = {"version": "datasets/v0.2", "title": name, "query": text, "rawData": "[]"}
    dataset["metadata"] = json.dumps({name: text}, ensure_ascii=is_ascii)
    files["analyze/datasets/x.yml"] = yaml.safe_dump(dataset, allow_unicode=not is_ascii, sort_keys=False)
    for kind in IN_FOLDERS:
        folder = draw(st.sampled_from(["", "daily/", "a/b/c/", "with blank/", "v1.2/"]))
        files[f"{kind.default_paths[0]}/{folder}n.yaml"] = draw(files_of(kind))
    if draw(st.booleans()):
        # git keeps no empty folder.
        files = {path: content for path, content in files.items() if not path.startswith(("datastores", "analyze"))}
    files["workspace-prod.eu.yml"] = draw(files_of(WORKSPACE))
    return files


@settings(max_examples=100)
@given(repositories())
def test_repositories_that_deploy_have_no_finding(files: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        assert preflight.check(write_files(Path(folder), files)).findings == []


@pytest.mark.parametrize(
    "content",
    [
        *("", "# TODO\n", "models:\n- name: '{{ var(\"x\") }}'\n", "name: my_project\nversion: '1.0.0'\n"),
        "version: 2\nsources: [{name: x}]\ntitle: [x]\nschedule: hourly\nactions: x\nproperties: y\n",
        "version: '3.9'\nservices:\n  db: &db {image: x}\n  other: {<<: *db}\n",
        "trigger: [main]\npool: {vmImage: x}\nsteps:\n- script: echo $(x)\n",
    ],
)
def test_files_of_other_tools_have_no_error(check: Check, content: str) -> None:
    findings = check({f"{folder}/schema.yml": content for kind in IN_FOLDERS for folder in kind.default_paths})
    assert [finding for finding in findings if finding.level is Level.ERROR] == []
