"""What a deployment does to pipelines, by the files of the checkout and the platform's list."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import plan, preflight
from matatika_deploy.checks.plan import Pipeline, Plan
from tests.support.repository import PIPELINE, Write

MakePlan = Callable[..., Plan]
Item = Mapping[str, object]

CHANGED = f"{PIPELINE}timeout: 7\n"
NOTHING: dict[str, list[str]] = {"create": [], "change": [], "delete": []}


def on_platform(name: str, path: Any = None, **fields: object) -> Item:
    return {"id": "x", "name": name, "status": "READY", "repositoryPath": path, **fields}


@pytest.fixture
def make_plan(write: Write) -> MakePlan:
    """Compares pipeline files, each given by its name without suffix, with items of the platform's list."""

    def make_plan(files: Mapping[str, str], *items: Item, directory: str = "", **others: str) -> Plan:
        written = {f"{directory}/pipelines/{name}.yml".strip("/"): content for name, content in files.items()}
        report = preflight.check(write(written | others), directory)
        assert report.pipelines is not None
        pipelines = [found for item in items if (found := Pipeline.from_json(item))]
        return plan.compare(report.pipelines, pipelines, report.has_file, directory)

    return make_plan


def test_file_without_a_pipeline_creates_one_and_pipeline_whose_file_is_gone_is_deleted(make_plan: MakePlan) -> None:
    files = {"a": PIPELINE, "b/c d": PIPELINE, "newer": "version: pipelines/v0.2\n", "without": "actions: []\n"}
    found = make_plan(files, on_platform("a", "pipelines/a.yml"), on_platform("x", "pipelines/x.yml"))
    assert found.to_json() == {"create": ["b/c d", "newer", "without"], "change": [], "delete": ["x"]}
    assert found.rows()[-1] == ("-", "x", "deleted: its file pipelines/x.yml is gone")


@pytest.mark.parametrize("content", ["x: y: z\n", "", "[]\n", "version: 2\n", "version: datasets/v0.1\n", "!env X\n"])
def test_file_that_cannot_be_read_or_may_be_no_pipeline_changes_nothing(make_plan: MakePlan, content: str) -> None:
    for path in ("pipelines/a.yml", None, "pipelines/old/a.yml"):
        assert make_plan({"a": content}, on_platform("a", path, timeout=7)).to_json() == NOTHING
    assert make_plan({"a": content}).to_json() == NOTHING


@pytest.mark.parametrize("path", [None, " ", 7, "./meltano.yml", "/meltano.yml", "pipelines/.hidden/a.yml", "x.json"])
def test_pipeline_without_a_file_or_with_one_that_exists_is_not_deleted(make_plan: MakePlan, path: object) -> None:
    files = {"a": PIPELINE, ".hidden/a": ""}
    others = {"meltano.yml": "", "x.json": ""}
    assert make_plan(files, on_platform("a"), on_platform("b", path), **others).to_json() == NOTHING


@pytest.mark.parametrize(
    "path", ["teams/a/pipelines/x.yml", "pipelines/x.yml", "/pipelines/x.yml", "./pipelines/x.yml"]
)
def test_path_counts_from_the_repositorys_root_or_the_workspaces_folder(make_plan: MakePlan, path: str) -> None:
    found = make_plan({"x": CHANGED}, on_platform("another-name", path), directory="teams/a")
    assert found.to_json() == {**NOTHING, "change": ["another-name"]}


@pytest.mark.parametrize(
    ("files", "items"),
    [
        # Names match by slug.
        ({"mysql-to-/dev/null": ""}, [on_platform("mysql-to-/dev/null")]),
        ({"MySQL - MariaDB": ""}, [on_platform("mysql---mariadb")]),
        ({"NetSuite (REST)": ""}, [on_platform("netsuite-rest")]),
        ({"load_orders": ""}, [on_platform("load-orders", "pipelines/elsewhere.yml")]),
        ({"a": "name: My Orders\n"}, [on_platform("my-orders")]),
        # A path comes before a name.
        (
            {"a": "timeout: 1\n", "b": "timeout: 2\n"},
            [on_platform("b", "pipelines/a.yml", timeout=1), on_platform("a", "pipelines/b.yml", timeout=2)],
        ),
        # What could be two is left out.
        *(
            ({"My Orders": "timeout: 7\n", "my-orders": "timeout: 7\n"}, items)
            for items in ([], [on_platform("my-orders")], [on_platform("my-orders", "pipelines/my-orders.yml")])
        ),
        ({"a": "timeout: 7\n", "A-": "timeout: 7\n"}, [on_platform("a", "pipelines/a.yml", timeout=7)]),
        ({"a": "timeout: 7\n"}, [on_platform("a"), on_platform("A")]),
        ({"a": "timeout: 7\n"}, [on_platform("x", "pipelines/a.yml"), on_platform("y", "pipelines/a.yml")]),
        ({"A b": "timeout: 7\n"}, [on_platform("a-b", "pipelines/x.yml"), on_platform("a--b", "pipelines/y.yml")]),
    ],
)
def test_pipelines_are_matched_with_files_where_that_is_certain(
    make_plan: MakePlan, files: Mapping[str, str], items: list[Item]
) -> None:
    contents = {name: f"{PIPELINE}{content}" for name, content in files.items()}
    assert make_plan(contents, *items).to_json() == NOTHING


def test_path_that_could_be_two_files_is_left_out(make_plan: MakePlan) -> None:
    others = {"pipelines/a.yml": CHANGED, "sub/workspace.yml": "pipeline_paths: [pipelines, ..]\n"}
    item = on_platform("z", "pipelines/a.yml")
    assert make_plan({"a": CHANGED}, item, directory="sub", **others).to_json() == NOTHING


@pytest.mark.parametrize(
    ("content", "fields", "expected"),
    [
        (
            "label: B\nactions: [b, a]\ndata_components: [a, a]\nscript: b\ntriggered_by: [deploy]\n",
            {"label": "A", "actions": ["a", "b"], "dataComponents": ["a"], "script": "a", "triggeredBy": ["a"]},
            "label: A → B; data_components: a → a, a; actions: a, b → b, a; script changed; triggered_by: a → deploy",
        ),
        (
            "",
            {"dataComponents": ["a"], "timeout": 60, "script": "a", "schedule": "0 0 6 * * *"},
            "data_components: a → none; script changed; timeout: 60 → 300; schedule: 0 0 6 * * * → -",
        ),
        (
            "timeout: 60\nmax_retries: 2\nschedule: 0 0 6 * * *\ninline_script: b\n",
            {"timeout": 0, "maxRetries": None},
            "script changed; timeout: 300 → 60; max_retries: 0 → 2; schedule: - → 0 0 6 * * *",
        ),
        ("timeout: 1000000\n", {}, "timeout: 300 → 1000000"),
        ("timeout: 1\ntimeout: 2\n", {"timeout": 1}, "timeout: 1 → 2"),
        ("<<: {timeout: 2}\n", {"timeout": 1}, "timeout: 1 → 2"),
    ],
)
def test_key_that_differs_is_told_with_both_values(
    make_plan: MakePlan, content: str, fields: dict[str, object], expected: str
) -> None:
    found = make_plan({"a": f"{PIPELINE}{content}"}, on_platform("a", "pipelines/a.yml", **fields))
    assert found.to_json() == {**NOTHING, "change": ["a"]}
    assert found.rows() == [("~", "a", expected)]


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("label: A\ntimeout: 0\nschedule: '-'\ninline_script: a\n", {"label": None, "timeout": 300, "script": "a"}),
        ("timeout: '300'\nmax_retries: 2.0\n", {"label": "A", "timeout": 0, "maxRetries": "2"}),
        ("timeout:\nmax_retries: ''\nschedule: ~\n", {"timeout": 300.0, "maxRetries": 0, "schedule": None}),
        ("schedule: 0  0 6 * * mon-fri\nactions: []\n", {"schedule": "0 0 6 * * MON-FRI", "actions": None}),
        ("data_components: [b, a]\n", {"dataComponents": ["a", "b"], "actions": [], "triggeredBy": None}),
        (
            "triggered_by: [Deploy, My Pipeline]\nscript: |\n  a \n  b\n",
            {"triggeredBy": ["my-pipeline", "DEPLOY"], "script": "a\nb"},
        ),
        *(
            ("label: A B\ntriggered_by: [" + it + "]\n", {"triggeredBy": ["a"]})
            for it in ("A B", "pipelines/a.yml", "X")
        ),
        ("script: a\ninline_script: b\n", {"script": "c"}),
        ("properties: hunter2\n", {"properties": {"password": "other"}}),
        ("timeout: ${TIMEOUT}\nschedule: '{{ cron }}'\n", {"timeout": 7, "schedule": "0 0 6 * * *"}),
        ("timeout: !env X\nactions: [!env X]\nscript: !include x\n", {"timeout": 7, "actions": ["a"], "script": "a"}),
        ("timeout: soon\nactions: x\nlabel: [x]\nscript: {}\n", {"timeout": 7, "actions": ["a"], "label": "A"}),
        ("timeout: 7\nactions: [a]\nlabel: A\n", {"timeout": True, "actions": "a", "label": 7}),
        ("timeout: .nan\nmax_retries: 1e999\n", {"timeout": 7, "maxRetries": 7}),
        ("version: pipelines/v0.2\n", {"timeout": 7}),
    ],
)
def test_value_that_is_equal_or_unknown_is_no_change(
    make_plan: MakePlan, content: str, fields: dict[str, object]
) -> None:
    item = on_platform("a", "pipelines/a.yml", **fields)
    assert make_plan({"a": f"{PIPELINE}{content}"}, item).to_json() == NOTHING


def test_values_are_cleaned_as_they_were_sent_and_cut(make_plan: MakePlan) -> None:
    content = f"{PIPELINE}label: {'x' * 5000}\nactions: [{', '.join(['y'] * 500)}]\n"
    (row,) = make_plan({"a": content}, on_platform("a", label="z\n::error::\u202e" * 500)).rows()
    assert len(row[2]) < 300
    assert row[2].isprintable()
    (row,) = make_plan({"a": content}, on_platform("a", label="s3\ncret")).rows(
        lambda text: text.replace("s3\ncret", "***")
    )
    assert row[2].startswith("label: *** → xxx")


def test_scripts_and_properties_are_never_shown(make_plan: MakePlan) -> None:
    secret = f"{PIPELINE}script: run hunter2\nproperties: {{a: hunter2}}\n"
    fields = {"script": "hunter2", "properties": {"a": "hunter2", "hunter2": 1}}
    items = (on_platform("a", **fields), on_platform("b", "pipelines/b.yml", **fields))
    found = make_plan({"a": secret, "c": secret}, *items)
    assert {sign for sign, _, _ in found.rows()} == {"~", "-", "+"}
    assert "hunter2" not in f"{found.create[0].names}{found.rows()}{found.to_json()}"


def test_renamed_file_is_a_deletion_and_a_creation_side_by_side(make_plan: MakePlan) -> None:
    contents = {"a": "", "new": "timeout: 7\nactions: [x]\n", "z": ""}
    files = {name: f"{PIPELINE}{content}" for name, content in contents.items()}
    items = on_platform("old", "pipelines/old.yml", timeout=7, actions=["x"]), on_platform("same", "pipelines/same.yml")
    found = make_plan(files, *items)
    assert found.to_json() == {"create": ["a", "new", "z"], "change": [], "delete": ["old", "same"]}
    signs = [("+", "a"), ("+", "z"), ("-", "old"), ("+", "new"), ("-", "same")]
    assert [(sign, name) for sign, name, _ in found.rows()] == signs
    # Among files that are alike it is not guessed at.
    assert ["renamed" in what for _, _, what in found.rows()] == [False, False, True, False, False]


@pytest.mark.parametrize(("half", "count"), [(1000, 0), (50, 200)])
def test_large_plan_takes_less_than_a_second(half: int, count: int) -> None:
    began = time.thread_time()
    text, triggers = "ab" * 100, [f"trigger {n}" for n in range(count)]
    settings = plan._settings({"triggered_by": triggers})
    files = [plan.PipelineFile(f"pipelines/{text}{n}.yml", f"{text}{n}", settings) for n in range(2 * half)]
    items = (
        Pipeline.from_json(on_platform(f"{text}{n}", f"pipelines/{text}{n}", triggeredBy=triggers))
        for n in range(half, 3 * half)
    )
    found = plan.compare(files, [item for item in items if item], lambda _: False)
    assert (len(found.create), len(found.delete)) == (half, half)
    assert time.thread_time() - began < 1


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
FIELDS = st.sampled_from(["name", "repositoryPath", "timeout", "schedule", "script", "actions", "triggeredBy", "label"])


@settings(max_examples=50)
@given(st.lists(SCALARS | st.dictionaries(FIELDS, SCALARS | st.lists(SCALARS, max_size=2)), max_size=3))
def test_no_answer_makes_the_plan_raise(items: list[object]) -> None:
    files = [plan.PipelineFile("a.yml", "a", {"timeout": 1.0}), plan.PipelineFile("b.yml", "b", None)]
    found = plan.compare(files, [it for item in items if (it := Pipeline.from_json(item))], lambda _: False)
    assert all(text.isprintable() for row in found.rows() for text in row)
