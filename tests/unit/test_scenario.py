"""Scenarios: what is read from a file, how mistakes are reported, and what jobs make of it over time."""

import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from matatika_simulator.jobs import Job
from matatika_simulator.scenario import CALLS, Plan, Scenario, ScenarioError, Selection, load, names

FOLDER = Path(__file__).parents[2] / "src/matatika_simulator"


def written(plan: Plan, elapsed: float = math.inf) -> bytes:
    return b"".join(plan.writes.read(0, plan.writes.written(elapsed, 0)))


def plan_of(**job: object) -> Plan:
    return load({"job": job}).job


@pytest.mark.parametrize("name", names())
def test_a_named_scenario_says_what_it_is_and_ends_soon(name: str) -> None:
    scenario = load(name)
    assert scenario.description
    plans = [scenario.job, *(pipeline.job for pipeline in scenario.pipelines if pipeline.on_deploy != "delete")]
    for plan in plans if name != "queued-forever" else ():
        assert plan.queued + plan.runs <= 30
        assert written(plan, plan.runs) == written(plan) != b""


@pytest.mark.parametrize(
    ("keys", "hit"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"first": 2}, [1, 2]),
        ({"numbers": [1, 3]}, [1, 3]),
        ({"first": 5, "every": 2}, [2, 4]),
        ({"during": ["0.25s", "0.45s"]}, [3, 4]),
    ],
)
def test_a_fault_means_requests_by_number_and_time(keys: dict[str, object], hit: list[int]) -> None:
    selection = Selection.model_validate(keys)
    assert [number for number in range(1, 7) if selection.matches(number, number / 10)] == hit
    assert selection.matches(1, None) == (1 in hit)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(90, 90), ("90s", 90), ("15m", 900), ("1h30m5s", 5405), ("250ms", 0.25), ("forever", math.inf)],
)
def test_a_duration_has_units(text: object, seconds: float) -> None:
    assert plan_of(runs=text).runs == seconds


@pytest.mark.parametrize(
    ("item", "content"),
    [
        ({"text": "one"}, b"one\n"),
        ({"text": "one\ntwo\n"}, b"one\ntwo\n"),
        ({"text": "50 %", "unfinished": True}, b"50 %"),
        ({"base64": "AP8K"}, b"\x00\xff\n"),
        ({"lines": 2}, b"line 000\nline 001\n"),
        ({"lines": 2, "text": "<{n}>", "line-bytes": 10}, b"<000>....\n<001>....\n"),
    ],
)
def test_a_log_has_what_stands_there(item: dict[str, object], content: bytes) -> None:
    assert written(plan_of(log=[item])) == content


def test_a_log_is_written_when_it_says_so() -> None:
    log = [{"at": "1s", "text": "a"}, {"text": "b"}, {"at": 2, "lines": 4, "over": "4s"}, {"text": "c"}]
    plan = plan_of(log=log)
    assert [written(plan, at).count(b"\n") for at in (0, 1, 2, 3, 4.9, 5.9, 6)] == [0, 2, 3, 4, 5, 6, 7]


def test_what_a_scenario_is_based_on_is_merged_but_lists_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty.yml").write_text("")
    assert load({}) == load(tmp_path / "empty.yml") == Scenario()
    (tmp_path / "base.yml").write_text("{based-on: held-stream, job: {queued: 5s}}")
    (tmp_path / "my.yml").write_text("{based-on: base.yml, job: {runs: 6s}}")
    scenario = load(tmp_path / "my.yml")
    assert (scenario.logs.stream, scenario.job.queued, scenario.job.runs) == ("held", 5, 6)
    assert scenario.job.log == load("success").job.log
    assert load({"based-on": "success", "job": {"log": []}}).job.log == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{jobs: {}}", "jobs: Extra inputs are not permitted"),
        ("{job: {queued: soon}}", "job.queued: Value error, expected a duration such as 250ms, 1.5s or 1h30m"),
        ("{job: {runs: -1s}}", "job.runs: Input should be greater than or equal to 0"),
        ("{faults: [{calls: job}]}", "faults.0: Value error, expected one of status, drop, hang and expire-token, or"),
        ("{faults: [{calls: job, drop: close, hang: true}]}", "faults.0: Value error, expected one of status, drop"),
        ("job: [", "not YAML"),
        ("{based-on: sucess}", "scenario sucess: no such file, and no such name; names are conflict, "),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_was_expected(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "my.yml"
    path.write_text(content)
    with pytest.raises(ScenarioError, match=re.escape(message)) as caught:
        load(path)
    assert "based-on" in content or "my.yml" in str(caught.value)


def test_the_readme_shows_every_key_of_a_scenario_that_can_be_played() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), re.DOTALL)
    assert load(yaml.safe_load(example)).job.fields == {"triggeredBy": "me"}
    sections = Scenario.model_json_schema()["$defs"].values()
    keys = {key for section in [Scenario.model_json_schema(), *sections] for key in section["properties"]}
    assert keys <= set(re.findall(r"[\w-]+(?=:(?: |\n))", example))
    assert all(call in example for call in CALLS)


@given(created=st.floats(0, 2e9), at=st.floats(0, 100))
def test_what_is_announced_is_there_at_that_very_moment(created: float, at: float) -> None:
    """However the times are rounded: whoever waits for the next line must not wait for ever."""
    log = [{"at": at, "text": ""}, {"lines": 3, "over": 1}]
    job = Job("workspace", plan_of(runs="forever", log=log), created, "token")
    now, seen = created - 1, 0
    while (now := job.next_event(now)) < math.inf:
        assert job.log_written(now) > seen
        seen = job.log_written(now)
    assert seen == len("\n") + 3 * len("line 000\n")
