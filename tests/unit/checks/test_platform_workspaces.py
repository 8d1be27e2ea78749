"""Workspaces as the platform itself creates and commits them: none may have a finding."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import preflight
from tests.support.repository import CHANNEL, DATA_STORE, PIPELINE, Check, write_files

PATHS = """\
dataset_paths:
- analyze/datasets
- .meltano/analyze/datasets
channel_paths:
- analyze/channels
pipeline_paths:
- pipelines
plugin_paths:
- plugins
data_store_paths:
- datastores
"""
PLUGINS = """\
plugins:
  extractors:
  - name: tap-spreadsheets-anywhere
    variant: matatika
    pip_url: git+https://example.com/tap.git
  - name: tap-orders
    inherit_from: tap-spreadsheets-anywhere
  loaders:
  - name: target-postgres
    variant: meltanolabs
    pip_url: target-postgres
"""
NEW = {
    **{f"{folder}/.gitkeep": "" for folder in ("analyze", "extract", "load", "notebook", "orchestrate")},
    "output/.gitignore": "*\n!.gitignore\n",
    "analyze/datasets/welcome.yml": (
        "version: datasets/v0.2\ntitle: Welcome to the workspace\ndescription: |-\n  <p>\n  Your feed.</p>\n"
    ),
    "datastores/Warehouse.yml": DATA_STORE + "name: Warehouse\ndata_plugin: loaders/target-postgres--matatika\n",
    "plugins/extractors/tap-spreadsheets-anywhere--matatika.lock": "{}\n",
    "plugins/loaders/target-postgres--matatika.lock": "{}\n",
}


def v1(name: str) -> dict[str, str]:
    """A workspace of the older version, whose pipelines are named as a person wrote them."""
    workspace = f"version: workspaces/v0.1\nname: {name}\napp_properties:\n  WELCOME_DATASET_ALIAS: welcome\n"
    return {
        **NEW,
        "workspace.yml": f"{workspace}domains: '@a.com'\ndefault_data_store: Warehouse\n{PATHS}",
        "meltano.yml": f"version: 1\ndefault_environment: dev\nproject_id: x\n{PLUGINS}",
    }


def v2(name: str) -> dict[str, str]:
    """A workspace of the newer version, whose pipelines have slugs for names."""
    workspace = f"version: workspaces/v0.2\nname: {name}\nmeltano_version: V4_2\ndomains: []\napp_properties: {{}}\n"
    return {
        **NEW,
        "workspace.yml": f"{workspace}default_data_store: Warehouse\nstate_data_store: Warehouse\n{PATHS}",
        "meltano.yml": f"default_environment: dev\nproject_id: x\nenvironments:\n- name: dev\n{PLUGINS}",
    }


def pipeline(**values: object) -> str:
    shared = {"timeout": 0, "data_components": ["tap-orders", "Warehouse"]}
    return yaml.safe_dump({"version": "pipelines/v0.1", **values, **shared}, sort_keys=False, allow_unicode=True)


def test_a_workspace_of_the_older_version_has_no_finding(check: Check) -> None:
    files = {
        'pipelines/Ada\'s "orders".yml': pipeline(name='Ada\'s "orders"', schedule="0 0 0 * * *", max_retries=2),
        "pipelines/From the shop.yml": PIPELINE + "name: From the shop\nscript: |-\n  \tmeltano run a b\n",
        "analyze/channels/Sales team.yml": CHANNEL + "name: Sales team\ndescription: ''\n",
        "datastores/Snow flake.yml": DATA_STORE + "name: Snow flake\ndata_plugin: x\nproducer: true\nproperties: {}\n",
    }
    assert check({**v1("'Ada''s orders 😀'"), **files}) == []


def test_a_workspace_of_the_newer_version_has_no_finding(check: Check) -> None:
    files = {
        "pipelines/mysql-to-/dev/null.yml": pipeline(
            label="MySQL to /dev/null", script="meltano invoke\n  \ttap-orders"
        ),
        "pipelines/mysql---mariadb.yml": pipeline(label="MySQL - MariaDB", max_retries=0),
        "pipelines/mysql-mariadb.yml": pipeline(label="MySQL MariaDB", schedule="0 30 8 * * 5"),
        "pipelines/a.yml": pipeline(label='"A" & b', schedule="-", triggered_by=["DEPLOY"], actions=["dbt:run"]),
        "pipelines/b.yml": pipeline(label="B: then", triggered_by=["a"], properties={"tap-orders.start": "2023"}),
        "analyze/datasets/orders/by region.yml": (
            "version: datasets/v0.2\ntitle: Orders by region\nmetadata: |-\n"
            '  {"name": "orders", "label": "\\ud83d\\ude00"}\nvisualisation: |-\n  {"chartjs-chart": {}}\n'
        ),
    }
    assert check({**v2("Orders / returns"), **files}) == []


NAMES = st.text(alphabet="abcXYZ019 -_'\"/&:,.()éß漢", min_size=1, max_size=20).filter(lambda name: name.strip(" ./"))
TEXTS = st.text(alphabet="abc XYZ'\"\\#:,[]{}&*!|>%@`-?\n\té漢😀", max_size=40)
# Keys of pipelines, all of them optional.
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "script": TEXTS,
        "schedule": st.sampled_from(["-", "0 0 0 * * *", "0 0 */12 * * MON-FRI", "0 0 0 * * FRIL"]),
        "max_retries": st.integers(0, 9),
        "triggered_by": st.just(["deploy"]),
        "properties": st.dictionaries(NAMES, st.none() | TEXTS | st.booleans(), max_size=3),
    },
)


def file_name(name: str) -> str:
    """A path that a name can have: no hidden or empty parts."""
    return ("/".join(part.strip() for part in name.split("/") if part.strip(" .'")) or "x").lstrip(".")


@st.composite
def workspaces(draw: st.DrawFn) -> dict[str, str]:
    """A workspace of either version, any number of commits after its first."""
    is_older = draw(st.booleans())
    files = (v1 if is_older else v2)(json.dumps(draw(NAMES), ensure_ascii=False))
    for number, name in enumerate(draw(st.lists(NAMES, max_size=3))):
        values = {"name" if is_older else "label": f"{name} {number}", **draw(SETTINGS)}
        files[f"pipelines/{file_name(f'{name} {number}')}.yml"] = pipeline(**values)
    for name in draw(st.lists(NAMES, max_size=2, unique_by=file_name)):
        dataset = {"version": "datasets/v0.2", "title": name, "query": draw(TEXTS), "rawData": "[]"}
        dataset["metadata"] = json.dumps({name: draw(TEXTS)}, ensure_ascii=draw(st.booleans()))
        dumped = yaml.safe_dump(dataset, allow_unicode=draw(st.booleans()), sort_keys=False)
        files[f"analyze/datasets/{file_name(name)}.yml"] = dumped
    store = {"version": "datastores/v0.1", "name": draw(NAMES), "data_plugin": "x", "properties": {"a": draw(TEXTS)}}
    files["datastores/Other store.yml"] = yaml.safe_dump(store, sort_keys=False)
    if draw(st.booleans()):
        files = {name: text for name, text in files.items() if not name.startswith(("datastores", "analyze"))}
    return files


@settings(max_examples=30)
@given(workspaces())
def test_generated_workspaces_of_the_platform_have_no_finding(files: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        assert preflight.check(write_files(Path(folder), files)).findings == []
