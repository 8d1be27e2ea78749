"""A signal at every point of a run of two pipelines: exactly the one that runs is withdrawn."""

import json
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any, Final

import pytest

from tests.support.cancelled_step import LATEST, SOON, Cancelled, Cases, Point, calls, prints, running_all, shown

LATE: Final = 1.0
INPUTS: Final = {"run_pipelines": "first, second"}


def scenario(first: str = "forever", second: str = "forever", **more: Any) -> dict[str, Any]:
    """A quick deployment, and two pipelines that run so long."""
    pipelines = [
        {"name": name, "job": {"runs": runs, "log": [{"text": f"INFO  {name} works"}]}}
        for name, runs in (("first", first), ("second", second))
    ]
    return {"job": {"runs": "0.1s"}, "pipelines": pipelines, **more}


def fault(call: str, number: int, **what: Any) -> dict[str, Any]:
    return {"faults": [{"calls": call, "requests": {"numbers": [number]}, **what}]}


def provisioned() -> dict[str, Any]:
    whole = scenario()
    whole["pipelines"][0] |= {"on-deploy": "change", "configuration": {"runs": "forever"}}
    return whole


def queued() -> dict[str, Any]:
    whole = scenario()
    whole["pipelines"][0]["job"]["queued"] = "forever"
    return whole


POINTS: Mapping[str, Point] = {
    "first-is-not-ready": Point(provisioned(), prints("waiting for it"), inputs=INPUTS),
    "runs-of-first-are-listed": Point(scenario(**fault("runs", 1, hang=True)), calls("runs"), inputs=INPUTS),
    "first-is-asked-for": Point(scenario(**fault("run", 1, delay=LATE)), calls("run"), inputs=INPUTS),
    "first-is-queued": Point(queued(), prints("'first', job"), inputs=INPUTS),
    "first-runs": Point(scenario(), prints("INFO  first works"), inputs=INPUTS),
    # The first list is that before the deployment.
    "second-is-looked-for": Point(
        scenario("0.1s", **fault("pipelines", 3, hang=True)), calls("pipelines", 3), inputs=INPUTS
    ),
    "second-is-asked-for": Point(scenario("0.1s", **fault("run", 2, delay=LATE)), calls("run", 2), inputs=INPUTS),
    "second-runs": Point(scenario("0.1s"), prints("INFO  second works"), inputs=INPUTS),
}
# The pipeline that runs then, and the one before it that is over.
RUNNING: Final = {
    "first-is-asked-for": "first",
    "first-is-queued": "first",
    "first-runs": "first",
    "second-is-asked-for": "second",
    "second-runs": "second",
}


@pytest.fixture(scope="module")
def cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cases]:
    with running_all(request, tmp_path_factory, POINTS) as cases:
        yield cases


@pytest.fixture
def cancelled(cases: Cases, point: str, signals: str) -> Cancelled:
    return shown(cases[point, signals].result())


# `test_cancel.py` has every point of the deployment with each signal.
at_every_point = pytest.mark.parametrize(("point", "signals"), list(zip(POINTS, cycle(["SIGINT", "SIGTERM"]))))


@at_every_point
def test_exactly_the_run_in_progress_is_withdrawn_at_once(cancelled: Cancelled, point: str) -> None:
    runs = [job for job in cancelled.jobs if job.type == "PIPELINE_RUN"]
    before = [("first", "COMPLETE")] if point.startswith("second") else []
    running = RUNNING.get(point)
    assert [(job.pipeline, job.status) for job in runs] == [*before, *([(running, "STOPPED")] if running else [])]
    assert [job.status for job in cancelled.jobs if job.type == "WORKSPACE_DEPLOY"] == ["COMPLETE"]
    withdrawals = cancelled.calls("withdraw")
    assert [entry.path.split("/")[3] for entry in withdrawals] == [job.id for job in runs if job.status == "STOPPED"]
    assert not cancelled.calls("delete")
    if running:
        known_at = cancelled.calls("run")[-1].time + (LATE if point.endswith("is-asked-for") else 0)
        assert withdrawals[0].time - max(cancelled.signalled_at, known_at) < SOON


@at_every_point
def test_the_step_ends_in_good_order(cancelled: Cancelled, point: str) -> None:
    assert cancelled.errors == ""
    assert cancelled.result.code == 128 + cancelled.numbers[0]
    assert cancelled.took < LATEST
    outputs = cancelled.result.outputs
    assert (outputs["outcome"], outputs["status"]) == ("cancelled", "COMPLETE")
    runs = [job for job in cancelled.jobs if job.type == "PIPELINE_RUN"]
    assert [run["id"] for run in json.loads(outputs["pipeline-jobs"])] == [job.id for job in runs]
    assert cancelled.end.name == "notice"
    assert "The deployment itself succeeded." in cancelled.end.data
    left = [f"'{name}'" for name in ("first", "second")[len(runs) :]]
    assert (f"Not run: {', '.join(left)}." in cancelled.end.data) == bool(left)
    if running := RUNNING.get(point):
        assert f"Pipeline '{running}', job {runs[-1].id}, was withdrawn" in cancelled.end.data
    # The post step has nothing to do.
    assert (cancelled.post, cancelled.asked_by_post) == ("", [])
