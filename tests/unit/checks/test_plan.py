"""What a deployment does to pipelines, by the files of the checkout and the platform's list."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_deploy.checks import plan, preflight
from matatika_deploy.checks.plan import Pipeline, Plan

MakePlan = Callable[..., Plan]

PIPELINE = "version: pipelines/v0.1\n"
CHANGED = f"{PIPELINE}timeout: 7\n"
NOTHING: dict[str, list[str]] = {"create": [], "change": [], "delete": []}


def on_platform(name: str, path: Any = None, **fields: object) -> dict[str, object]:
    return {"id": "x", "name": name, "status": "READY", "repositoryPath": path, **fields}


@pytest.fixture
def make_plan(write: Callable[[Mapping[str, str]], Path]) -> MakePlan:
    """Compares a checkout of such files with such items of the platform's list."""

    def make_plan(files: Mapping[str, str], *items: Mapping[str, object], directory: str | None = None) -> Plan:
        report = preflight.check(write(files), directory)
        assert report.pipelines is not None
        pipelines = [found for item in items if (found := Pipeline.from_json(item))]
        return plan.compare(report.pipelines, pipelines, report.has_file, directory or "")

    return make_plan


def test_file_without_a_pipeline_creates_one(make_plan: MakePlan) -> None:
    contents = {"a": PIPELINE, "b/c d": PIPELINE, "newer": "version: pipelines/v0.2\n", "without": "actions: []\n"}
    found = make_plan({f"pipelines/{name}.yaml": content for name, content in contents.items()})
    assert found.to_json() == {**NOTHING, "create": ["a", "b/c d", "newer", "without"]}


@pytest.mark.parametrize("content", ["x: y: z\n", "", "[]\n", "version: 2\n", "version: datasets/v0.1\n", "!env X\n"])
def test_file_that_cannot_be_read_or_may_be_no_pipeline_changes_nothing(make_plan: MakePlan, content: str) -> None:
    for path in ("pipelines/a.yml", None, "pipelines/old/a.yml"):
        assert make_plan({"pipelines/a.yml": content}, on_platform("a", path, timeout=7)).to_json() == NOTHING
    assert make_plan({"pipelines/a.yml": content}).to_json() == NOTHING


def test_pipeline_whose_file_is_gone_is_deleted(make_plan: MakePlan) -> None:
    files = {"pipelines/a.yml": PIPELINE}
    found = make_plan(files, on_platform("a", "pipelines/a.yml"), on_platform("b", "pipelines/b.yml"))
    assert found.to_json() == {**NOTHING, "delete": ["b"]}
    assert found.rows() == [("-", "b", "deleted: its file pipelines/b.yml is gone")]


@pytest.mark.parametrize(
    "path", [None, " ", 7, "meltano.yml", "./meltano.yml", "/meltano.yml", "pipelines/.hidden/a.yml", "x.json"]
)
def test_pipeline_without_a_file_or_with_one_that_exists_is_not_deleted(make_plan: MakePlan, path: object) -> None:
    files = {"pipelines/a.yml": PIPELINE, "meltano.yml": "", "pipelines/.hidden/a.yml": "", "x.json": ""}
    assert make_plan(files, on_platform("a"), on_platform("b", path)).to_json() == NOTHING


@pytest.mark.parametrize(
    "path", ["teams/a/pipelines/x.yml", "pipelines/x.yml", "/pipelines/x.yml", "./pipelines/x.yml"]
)
def test_path_counts_from_the_repositorys_root_or_the_workspaces_folder(make_plan: MakePlan, path: str) -> None:
    found = make_plan({"teams/a/pipelines/x.yml": CHANGED}, on_platform("another-name", path), directory="teams/a")
    assert found.to_json() == {**NOTHING, "change": ["another-name"]}


@pytest.mark.parametrize(
    ("file", "content", "item"),
    [
        ("mysql-to-/dev/null", "", on_platform("mysql-to-/dev/null")),
        ("MySQL - MariaDB", "", on_platform("mysql---mariadb")),
        ("NetSuite (REST)", "", on_platform("netsuite-rest")),
        ("load_orders", "", on_platform("load-orders", "pipelines/elsewhere.yml")),
        ("a", "name: My Orders\n", on_platform("my-orders")),
    ],
)
def test_names_match_by_slug(make_plan: MakePlan, file: str, content: str, item: dict[str, object]) -> None:
    assert make_plan({f"pipelines/{file}.yml": f"{PIPELINE}{content}"}, item).to_json() == NOTHING


def test_path_comes_before_a_name(make_plan: MakePlan) -> None:
    files = {"pipelines/a.yml": f"{PIPELINE}timeout: 1\n", "pipelines/b.yml": f"{PIPELINE}timeout: 2\n"}
    items = (on_platform("b", "pipelines/a.yml", timeout=1), on_platform("a", "pipelines/b.yml", timeout=2))
    assert make_plan(files, *items).to_json() == NOTHING


@pytest.mark.parametrize(
    ("files", "items"),
    [
        (["My Orders", "my-orders"], [on_platform("my-orders")]),
        (["My Orders", "my-orders"], [on_platform("my-orders", "pipelines/my-orders.yml")]),
        (["My Orders", "my-orders"], []),
        (["a", "A-"], [on_platform("a", "pipelines/a.yml", timeout=7)]),
        (["a"], [on_platform("a"), on_platform("A")]),
        (["a"], [on_platform("x", "pipelines/a.yml"), on_platform("y", "pipelines/a.yml")]),
        (["A b"], [on_platform("a-b", "pipelines/x.yml"), on_platform("a--b", "pipelines/y.yml")]),
    ],
)
def test_name_or_path_that_could_be_two_is_left_out(
    make_plan: MakePlan, files: list[str], items: list[dict[str, object]]
) -> None:
    assert make_plan({f"pipelines/{name}.yml": CHANGED for name in files}, *items).to_json() == NOTHING


def test_path_that_could_be_two_files_is_left_out(make_plan: MakePlan) -> None:
    files = {f"{folder}pipelines/a.yml": CHANGED for folder in ("", "sub/")}
    files["sub/workspace.yml"] = "version: workspaces/v0.2\npipeline_paths: [pipelines, ..]\n"
    assert make_plan(files, on_platform("z", "pipelines/a.yml"), directory="sub").to_json() == NOTHING


@pytest.mark.parametrize(
    ("content", "fields", "expected"),
    [
        ("label: B\n", {"label": "A"}, "label: A → B"),
        ("data_components: [a, a]\n", {"dataComponents": ["a"]}, "data_components: a → a, a"),
        ("", {"dataComponents": ["a"]}, "data_components: a → none"),
        ("actions: [b, a]\n", {"actions": ["a", "b"]}, "actions: a, b → b, a"),
        ("timeout: 60\n", {}, "timeout: 300 → 60"),
        ("", {"timeout": 60}, "timeout: 60 → 300"),
        ("timeout: 1000000\n", {"timeout": 0}, "timeout: 300 → 1000000"),
        ("max_retries: 2\n", {"maxRetries": None}, "max_retries: 0 → 2"),
        ("schedule: 0 0 6 * * *\n", {}, "schedule: - → 0 0 6 * * *"),
        ("", {"schedule": "0 0 6 * * *"}, "schedule: 0 0 6 * * * → -"),
        ("triggered_by: [deploy]\n", {"triggeredBy": ["a"]}, "triggered_by: a → deploy"),
        ("script: b\n", {"script": "a"}, "script changed"),
        ("", {"script": "a"}, "script changed"),
        ("inline_script: b\n", {}, "script changed"),
        ("timeout: 1\ntimeout: 2\n", {"timeout": 1}, "timeout: 1 → 2"),
        ("<<: {timeout: 2}\n", {"timeout": 1}, "timeout: 1 → 2"),
        (
            "schedule: 0 0 6 * * *\ntimeout: 7\nscript: x\nlabel: B\n",
            {"label": "A"},
            "label: A → B; script changed; timeout: 300 → 7; schedule: - → 0 0 6 * * *",
        ),
    ],
)
def test_key_that_differs_is_told_with_both_values(
    make_plan: MakePlan, content: str, fields: dict[str, object], expected: str
) -> None:
    found = make_plan({"pipelines/a.yml": f"{PIPELINE}{content}"}, on_platform("a", "pipelines/a.yml", **fields))
    assert found.to_json() == {**NOTHING, "change": ["a"]}
    assert found.rows() == [("~", "a", expected)]


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("", {}),
        ("label: A\n", {"label": None}),
        ("", {"label": "A"}),
        ("timeout: 0\n", {"timeout": 300}),
        ("timeout: 300\n", {"timeout": 0}),
        ("timeout: '300'\nmax_retries: 2.0\n", {"timeout": 300.0, "maxRetries": "2"}),
        ("timeout:\nmax_retries: ''\nschedule: ~\n", {"timeout": None, "maxRetries": 0, "schedule": None}),
        ("schedule: '-'\n", {}),
        ("schedule: 0  0 6 * * mon-fri\n", {"schedule": "0 0 6 * * MON-FRI"}),
        ("actions: []\n", {"actions": None, "dataComponents": [], "triggeredBy": None}),
        ("data_components: [b, a]\n", {"dataComponents": ["a", "b"]}),
        ("triggered_by: [Deploy, My Pipeline]\n", {"triggeredBy": ["my-pipeline", "DEPLOY"]}),
        ("script: |\n  a \n  b\n", {"script": "a\nb"}),
        ("inline_script: a\n", {"script": "a"}),
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
    assert make_plan({"pipelines/a.yml": f"{PIPELINE}{content}"}, item).to_json() == NOTHING


def test_long_values_are_cut(make_plan: MakePlan) -> None:
    content = f"{PIPELINE}label: {'x' * 5000}\nactions: [{', '.join(['y'] * 500)}]\n"
    (row,) = make_plan({"pipelines/a.yml": content}, on_platform("a", label="z\n::error::\u202e" * 500)).rows()
    assert len(row[2]) < 300
    assert row[2].isprintable()


def test_scripts_and_properties_are_never_shown(make_plan: MakePlan) -> None:
    content = f"{PIPELINE}script: run hunter2\nproperties: {{a: hunter2}}\ntimeout: 7\n"
    item = on_platform("a", "pipelines/a.yml", script="hunter2", properties={"a": "hunter2", "hunter2": 1})
    gone = on_platform("b", "pipelines/b.yml", script="hunter2", properties={"hunter2": "b"})
    new = f"{PIPELINE}script: hunter2\nproperties: hunter2\n"
    found = make_plan({"pipelines/a.yml": content, "pipelines/c.yml": new}, item, gone)
    assert [sign for sign, _, _ in found.rows()] == ["~", "-", "+"]
    assert "hunter2" not in f"{found.create[0].names}{found.rows()}{found.to_json()}"


def test_renamed_file_is_a_deletion_and_a_creation_side_by_side(make_plan: MakePlan) -> None:
    contents = {"a": "", "new": "timeout: 7\nactions: [x]\n", "z": "timeout: 9\n"}
    files = {f"pipelines/{name}.yml": f"{PIPELINE}{content}" for name, content in contents.items()}
    found = make_plan(files, on_platform("old", "pipelines/old.yml", timeout=7, actions=["x"]))
    assert found.to_json() == {"create": ["a", "new", "z"], "change": [], "delete": ["old"]}
    assert [(sign, name) for sign, name, _ in found.rows()] == [("+", "a"), ("+", "z"), ("-", "old"), ("+", "new")]
    assert "renamed" in found.rows()[2][2]


def test_renaming_is_not_guessed_at_among_files_that_are_alike(make_plan: MakePlan) -> None:
    files = {"pipelines/a.yml": PIPELINE, "pipelines/b.yml": PIPELINE}
    found = make_plan(files, on_platform("old", "pipelines/old.yml"))
    assert found.to_json() == {"create": ["a", "b"], "change": [], "delete": ["old"]}
    assert "renamed" not in str(found.rows())


def test_slug_is_a_name_in_lower_case_with_dashes() -> None:
    assert plan.slug(" My Orders_2/É! ") == "my-orders-2/é-"


def test_large_plan_takes_less_than_a_second() -> None:
    began = time.thread_time()
    text = "ab" * 100
    files = [plan.PipelineFile(f"pipelines/{text}{n}.yml", f"{text}{n}", {}) for n in range(2000)]
    items = (Pipeline.from_json(on_platform(f"{text}{n}", f"pipelines/{text}{n}")) for n in range(1000, 3000))
    found = plan.compare(files, [item for item in items if item], lambda _: False)
    assert (len(found.create), len(found.delete)) == (1000, 1000)
    assert time.thread_time() - began < 1


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
FIELDS = st.sampled_from(["name", "repositoryPath", "timeout", "schedule", "script", "actions", "triggeredBy", "label"])


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(SCALARS | st.dictionaries(FIELDS, SCALARS | st.lists(SCALARS, max_size=2)), max_size=3))
def test_no_answer_makes_the_plan_raise(items: list[object]) -> None:
    files = [plan.PipelineFile("a.yml", "a", {"timeout": 1.0}), plan.PipelineFile("b.yml", "b", None)]
    found = plan.compare(files, [it for item in items if (it := Pipeline.from_json(item))], lambda _: False)
    assert all(text.isprintable() for row in found.rows() for text in row)
