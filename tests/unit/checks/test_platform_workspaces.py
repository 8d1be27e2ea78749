"""Workspaces as the platform itself creates and commits them: none may have a finding."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import preflight
from matatika_deploy.findings import Finding

Check = Callable[[Mapping[str, str]], list[Finding]]

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
NEW = {
    **{f"{folder}/.gitkeep": "" for folder in ("analyze", "extract", "load", "notebook", "orchestrate")},
    "output/.gitignore": "*\n!.gitignore\n",
    "analyze/datasets/welcome.yml": (
        "version: datasets/v0.2\ntitle: Welcome to the workspace\ndescription: |-\n  <p>\n  Your feed.</p>\n"
    ),
    "datastores/Warehouse.yml": (
        "version: datastores/v0.1\nname: Warehouse\ndata_plugin: loaders/target-postgres--matatika\n"
    ),
}
LOCKS = {
    "plugins/extractors/tap-spreadsheets-anywhere--matatika.lock": "{}\n",
    "plugins/loaders/target-postgres--matatika.lock": "{}\n",
}
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


def v1(name: str, **files: str) -> dict[str, str]:
    """A workspace of the older version, whose pipelines are named as a person wrote them."""
    workspace = f"version: workspaces/v0.1\nname: {name}\napp_properties:\n  WELCOME_DATASET_ALIAS: welcome\n"
    return {
        **NEW,
        "workspace.yml": f"{workspace}default_data_store: Warehouse\n{PATHS}",
        "meltano.yml": f"version: 1\ndefault_environment: dev\nproject_id: x\n{PLUGINS}",
        **LOCKS,
        **files,
    }


def v2(name: str, **files: str) -> dict[str, str]:
    """A workspace of the newer version, whose pipelines have slugs for names."""
    workspace = f"version: workspaces/v0.2\nname: {name}\nmeltano_version: V4_2\ndomains: []\napp_properties: {{}}\n"
    return {
        **NEW,
        "workspace.yml": f"{workspace}default_data_store: Warehouse\nstate_data_store: Warehouse\n{PATHS}",
        "meltano.yml": f"default_environment: dev\nproject_id: x\nenvironments:\n- name: dev\n{PLUGINS}",
        **LOCKS,
        **files,
    }


def pipeline(**values: object) -> str:
    shared = {"timeout": 0, "data_components": ["tap-orders", "Warehouse"]}
    return yaml.safe_dump({"version": "pipelines/v0.1", **values, **shared}, sort_keys=False, allow_unicode=True)


SCRIPT = 'meltano run --state-id-suffix "$PIPELINE_ID" tap-orders target-postgres\n  \tdbt:run'

WORKSPACES = {
    "v0.1 new": v1("Orders"),
    "v0.1 with a domain": {**v1("Orders"), "workspace.yml": f"version: workspaces/v0.1\ndomains: '@a.com'\n{PATHS}"},
    "v0.1 with pipelines": v1(
        "'Ada''s orders'",
        **{
            "pipelines/Orders from the shop.yml": pipeline(name="Orders from the shop"),
            'pipelines/Ada\'s "orders".yml': pipeline(name='Ada\'s "orders"'),
            "pipelines/Nightly.yml": pipeline(name="Nightly", schedule="0 0 0 * * *", max_retries=2),
        },
    ),
    "v0.1 with scripts": v1(
        '"Orders: all"',
        **{
            "pipelines/Load.yml": f"version: pipelines/v0.1\nname: Load\ntimeout: 0\nscript: |-\n  {SCRIPT}\n",
            "pipelines/Tab.yml": "version: pipelines/v0.1\nname: Tab\nscript: |-\n  \tmeltano run a b\n",
        },
    ),
    "v0.1 with a channel and a data store": v1(
        "Orders 😀",
        **{
            "analyze/channels/Sales team.yml": "version: channels/v0.1\nname: Sales team\ndescription: ''\n",
            "datastores/Snow flake.yml": (
                "version: datastores/v0.1\nname: Snow flake\ndata_plugin: x\nproducer: true\nproperties: {}\n"
            ),
        },
    ),
    "v0.2 new": v2("Orders"),
    "v0.2 with domains": {
        **v2("Orders"),
        "workspace.yml": f"version: workspaces/v0.2\nmeltano_version: V4_2\ndomains:\n- a.com\n- a.com\n{PATHS}",
    },
    "v0.2 with pipelines": v2(
        "Orders / returns",
        **{
            "pipelines/mysql-to-/dev/null.yml": pipeline(
                label="MySQL to /dev/null", script="meltano invoke tap-orders"
            ),
            "pipelines/mysql---mariadb.yml": pipeline(label="MySQL - MariaDB", max_retries=0),
            "pipelines/mysql-mariadb.yml": pipeline(label="MySQL MariaDB", schedule="0 30 8 * * 5"),
        },
    ),
    "v0.2 with triggers and no schedule": v2(
        "Orders",
        **{
            "pipelines/a.yml": pipeline(label='"A" & b', schedule="-", triggered_by=["DEPLOY"], actions=["dbt:run"]),
            "pipelines/b.yml": pipeline(label="B: then", triggered_by=["a"], properties={"tap-orders.start": "2023"}),
        },
    ),
    "v0.2 with datasets": v2(
        "Orders",
        **{
            "analyze/datasets/orders/by region.yml": (
                "version: datasets/v0.2\ntitle: Orders by region\nmetadata: |-\n"
                '  {"name": "orders", "label": "\\ud83d\\ude00"}\nvisualisation: |-\n  {"chartjs-chart": {}}\n'
            )
        },
    ),
}


@pytest.mark.parametrize("files", WORKSPACES.values(), ids=WORKSPACES.keys())
def test_the_platforms_own_workspace_has_no_finding(check: Check, files: Mapping[str, str]) -> None:
    assert check(files) == []


NAMES = st.text(alphabet="abcXYZ019 -_'\"/&:,.()éß漢", min_size=1, max_size=20).filter(lambda name: name.strip(" ./"))
TEXTS = st.text(alphabet="abc XYZ'\"\\#:,[]{}&*!|>%@`-?\n\té漢😀", max_size=40)


def file_name(name: str) -> str:
    """A path that a name can have: no hidden or empty parts."""
    return "/".join(part.strip() for part in name.split("/") if part.strip(" .'")) or "x"


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, str]:
    """Pipelines with names of their own, as the older or the newer version of the platform writes them."""
    written: dict[str, str] = {}
    is_older = draw(st.booleans())
    for number, name in enumerate(draw(st.lists(NAMES, max_size=3))):
        values: dict[str, object] = {"name" if is_older else "label": f"{name} {number}"}
        if draw(st.booleans()):
            values["script"] = draw(TEXTS)
        if draw(st.booleans()):
            values["schedule"] = draw(st.sampled_from(["-", "0 0 0 * * *", "0 0 */12 * * MON-FRI", "0 0 0 * * FRIL"]))
        if draw(st.booleans()):
            values |= {"max_retries": draw(st.integers(0, 9)), "triggered_by": ["deploy"]}
        if draw(st.booleans()):
            values["properties"] = draw(st.dictionaries(NAMES, st.none() | TEXTS | st.booleans(), max_size=3))
        path = file_name(f"{name} {number}")
        written[f"pipelines/{path.lstrip('.')}.yml"] = pipeline(**values)
    return written


@st.composite
def workspaces(draw: st.DrawFn) -> dict[str, str]:
    """A workspace of either version, any number of commits after its first."""
    make = draw(st.sampled_from([v1, v2]))
    files = make(json.dumps(draw(NAMES), ensure_ascii=False), **draw(pipelines()))
    for name in draw(st.lists(NAMES, max_size=2, unique_by=file_name)):
        dataset = {"version": "datasets/v0.2", "title": name, "query": draw(TEXTS), "rawData": "[]"}
        dataset["metadata"] = json.dumps({name: draw(TEXTS)}, ensure_ascii=draw(st.booleans()))
        path = f"analyze/datasets/{file_name(name).lstrip('.')}.yml"
        files[path] = yaml.safe_dump(dataset, allow_unicode=draw(st.booleans()), sort_keys=False)
    if draw(st.booleans()):
        store = {
            "version": "datastores/v0.1",
            "name": draw(NAMES),
            "data_plugin": "x",
            "properties": {"a": draw(TEXTS)},
        }
        files["datastores/Other store.yml"] = yaml.safe_dump(store, sort_keys=False)
    if draw(st.booleans()):
        files = {name: text for name, text in files.items() if not name.startswith(("datastores", "analyze"))}
    return files


@settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(workspaces())
def test_generated_workspaces_of_the_platform_have_no_finding(files: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, newline="")
        assert preflight.check(Path(folder)).findings == []
