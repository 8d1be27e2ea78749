"""SIGINT, and SIGTERM with a second signal after it, at every point of a step; the other two orders where a job runs.

The exit code alone would prove nothing, since the default action on a signal gives it too: what the platform was asked,
the outputs, the summary and the one notice have to be there as well.
"""

import signal
from collections.abc import Iterator, Mapping

import pytest

from matatika_simulator import constants
from tests.support.cancelled_step import (
    LATEST,
    QUEUED,
    RUNNING,
    SOON,
    Cancelled,
    Cases,
    Point,
    calls,
    noticed,
    prints,
    running_all,
    shown,
)

API_KEY = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
# How long the answer to the trigger takes that is late.
LATE = 1.0

BEFORE_THE_TRIGGER: Mapping[str, Point] = {
    # The handlers are there, and hardly anything else of the program.
    "start": Point(
        RUNNING,
        lambda running, _: running.wait_until(lambda: signal.SIGTERM in running.catches, "its handlers"),
        then=noticed,
    ),
    "token": Point({**RUNNING, "faults": [{"calls": "token", "hang": True}]}, calls("token"), noticed, API_KEY),
    "checks": Point({**RUNNING, "faults": [{"calls": "workspace", "hang": True}]}, calls("workspace"), noticed),
}
WITH_A_JOB: Mapping[str, Point] = {
    # Nothing is queued before the answer: to list jobs in place of waiting for it would not find this one.
    "trigger": Point({**RUNNING, "faults": [{"calls": "trigger", "delay": LATE}]}, calls("trigger")),
    "queued": Point(QUEUED, calls("job")),
    "queued-and-not-to-be-withdrawn": Point({**QUEUED, "withdrawal": {"queued": 409}}, calls("job")),
    "running": Point(RUNNING, prints("is RUNNING")),
    "log-read": Point({**RUNNING, "logs": {"stream": "held"}}, prints("INFO  Working")),
    "retry-pause": Point(
        {
            **RUNNING,
            "faults": [{"calls": "job", "requests": {"first": 1}, "status": 503, "headers": {"Retry-After": "60"}}],
        },
        prints("trying again"),
    ),
    "withdrawing": Point({**RUNNING, "faults": [{"calls": "withdraw", "delay": "300ms"}]}, calls("job")),
    "withdrawal-in-its-second-try": Point(
        {**RUNNING, "faults": [{"calls": "withdraw", "requests": {"first": 1}, "status": 502, "body": "html"}]},
        calls("job"),
        then=prints("is STOPPED"),
    ),
}
POINTS = {**BEFORE_THE_TRIGGER, **WITH_A_JOB}


@pytest.fixture(scope="module")
def cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cases]:
    with running_all(request, tmp_path_factory, POINTS) as cases:
        yield cases


@pytest.fixture
def cancelled(cases: Cases, point: str, signals: str) -> Cancelled:
    return shown(cases[point, signals].result())


def at(points: Mapping[str, Point]) -> pytest.MarkDecorator:
    """Have `cancelled` be a step that was signalled at each of these points."""
    names = [(point, name) for point in points for name in ("SIGINT", "SIGTERM-SIGINT")]
    more = [("running", "SIGTERM"), ("running", "SIGINT-SIGTERM")] if "running" in points else []
    return pytest.mark.parametrize(("point", "signals"), names + more)


@at(POINTS)
def test_the_step_ends_in_good_order(cancelled: Cancelled) -> None:
    assert cancelled.errors == ""
    assert cancelled.result.code == 128 + cancelled.numbers[0]
    assert cancelled.took < LATEST
    assert cancelled.end.name == "notice"
    assert cancelled.end.properties == {"title": "Deployment cancelled"}
    assert cancelled.end.data.startswith("Deployment cancelled: ")
    assert f"({cancelled.numbers[0].name})" in cancelled.end.data
    assert cancelled.result.outputs["message"] == cancelled.end.data
    assert cancelled.result.outputs["outcome"] == "cancelled"
    assert cancelled.result.outputs["workspace-url"].endswith(f"/workspaces/{constants.WORKSPACE_ID}")
    assert "Deployment cancelled" in cancelled.result.summary
    assert constants.WORKSPACE_ID in cancelled.result.summary


@at(POINTS)
def test_no_job_is_left_running(cancelled: Cancelled) -> None:
    assert {job.status for job in cancelled.jobs} <= {"STOPPED"}
    assert len(cancelled.calls("trigger")) <= 1


@at(POINTS)
def test_the_post_step_has_nothing_to_do(cancelled: Cancelled) -> None:
    assert (cancelled.post, cancelled.asked_by_post) == ("", [])


@at(BEFORE_THE_TRIGGER)
def test_nothing_is_deployed(cancelled: Cancelled) -> None:
    assert not cancelled.jobs
    assert not cancelled.calls("trigger")
    assert "Nothing was deployed" in cancelled.end.data
    assert "Nothing was deployed" in cancelled.result.summary


@at(WITH_A_JOB)
def test_the_job_is_withdrawn_at_once(cancelled: Cancelled, point: str) -> None:
    known_at = cancelled.calls("trigger")[0].time + (LATE if point == "trigger" else 0)
    assert cancelled.calls("withdraw")[0].time - max(cancelled.signalled_at, known_at) < SOON


@at(WITH_A_JOB)
def test_the_job_is_known_to_the_next_steps_and_named_to_the_user(cancelled: Cancelled) -> None:
    (job,) = cancelled.jobs
    assert cancelled.result.outputs["job-id"] == job.id
    assert cancelled.result.outputs["job-url"].endswith(f"/api/jobs/{job.id}")
    assert job.id in cancelled.end.data
    assert job.id in cancelled.result.summary


@at(WITH_A_JOB)
def test_a_job_is_deleted_only_if_its_withdrawal_is_refused(cancelled: Cancelled, point: str) -> None:
    asked = [(entry.call, entry.status) for entry in cancelled.calls("withdraw", "delete")]
    if point == "queued-and-not-to-be-withdrawn":
        assert asked == [("withdraw", 409), ("delete", 204)]
        assert "was deleted" in cancelled.end.data
    else:
        assert asked[-1] == ("withdraw", 202)
        assert "was withdrawn" in cancelled.end.data
        assert cancelled.result.outputs["status"] == "STOPPED"
