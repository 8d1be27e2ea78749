"""Jobs as functions of time."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matatika_simulator.jobs import Job, Jobs, Plan, Status
from matatika_simulator.log import Lines, Log, Text

LOG = Log((Text(0, b"a\n"), Text(1, b"b\n"), Text(5, b"late\n")))
PLAN = Plan(queued=10, runs=3, ends=Status.ERROR, exit_code=7, log=LOG)


def job(plan: Plan = PLAN, created: float = 100.0) -> Job:
    return Job("workspace", plan, created=created, triggered_by="token")


@pytest.mark.parametrize(
    ("now", "status", "started", "ended", "exit_code", "log"),
    [
        (100, Status.QUEUED, None, None, None, 0),
        (109.9, Status.QUEUED, None, None, None, 0),
        (110, Status.RUNNING, 110, None, None, 2),
        (112.9, Status.RUNNING, 110, None, None, 4),
        (113, Status.ERROR, 110, 113, 7, 4),
        (115, Status.ERROR, 110, 113, 7, 9),
    ],
)
def test_goes_as_planned(
    now: float, status: Status, started: float | None, ended: float | None, exit_code: int | None, log: int
) -> None:
    it = job()
    assert it.status(now) is status
    assert (it.started(now), it.ended(now)) == (started, ended)
    assert it.exit_code(now) == exit_code
    assert it.log_written(now) == log


def test_withdrawn_while_it_queues_it_never_starts() -> None:
    it = job()
    it.withdrawn = 105
    assert it.status(104) is Status.QUEUED
    assert it.status(105) is Status.STOPPED
    assert (it.started(200), it.ended(200), it.exit_code(200), it.log_written(200)) == (None, 105, None, 0)


def test_withdrawn_while_it_runs_it_stops_and_logs_no_more() -> None:
    it = job()
    it.withdrawn = 110.5
    assert it.status(110.4) is Status.RUNNING
    assert it.status(110.5) is Status.STOPPED
    assert (it.started(200), it.ended(200), it.exit_code(200), it.log_written(200)) == (110, 110.5, None, 2)


def test_a_withdrawal_that_takes_effect_after_the_end_changes_nothing() -> None:
    it = job()
    it.withdrawn = 113.5
    assert (it.status(114), it.ended(114), it.exit_code(114)) == (Status.ERROR, 113, 7)


def test_deleting_stops_too() -> None:
    it = job()
    it.deleted = 111
    assert (it.status(112), it.ended(112)) == (Status.STOPPED, 111)


@pytest.mark.parametrize("plan", [Plan(queued=math.inf), Plan(runs=math.inf)])
def test_for_ever_is_for_ever_until_someone_stops_it(plan: Plan) -> None:
    it = job(plan)
    assert not it.status(1e12).is_final
    assert it.next_event(1e12) == math.inf
    it.withdrawn = 1e12
    assert it.status(1e12) is Status.STOPPED


def test_next_event_is_the_next_line_or_the_end() -> None:
    it = job()
    assert [it.next_event(now) for now in (100, 110, 111, 113, 115)] == [110, 111, 113, 115, math.inf]
    it.withdrawn = 110.5
    assert it.next_event(110) == 110.5


@settings(deadline=None)
@given(created=st.floats(0, 2e9), at=st.floats(0, 100))
def test_what_is_announced_is_there_at_that_very_moment(created: float, at: float) -> None:
    """However the times are rounded: whoever waits for the next line must not wait for ever."""
    it = job(Plan(runs=math.inf, log=Log((Text(at, b"x"), Lines(at, 1, 3, b"", b"")))), created)
    now, written = created - 1, 0
    for _ in range(4):
        now = it.next_event(now)
        if now == math.inf:
            break
        assert it.log_written(now) > written
        written = it.log_written(now)
    assert written == 1 + 3 * 4


class TestJobs:
    def test_are_seen_from_their_creation_until_they_are_deleted(self) -> None:
        jobs, it = Jobs(), job()
        jobs.add(it)
        assert jobs.find(it.id, now=99) is None
        assert jobs.find(it.id, now=100) is it
        assert jobs.of_workspace("workspace", now=100) == [it]
        assert jobs.of_workspace("another", now=100) == []
        it.deleted = 101
        assert jobs.find(it.id, now=102) is None
        assert jobs.of_workspace("workspace", now=102) == []

    def test_states_leave_no_job_of_the_past_out(self) -> None:
        jobs, it = Jobs(), job()
        jobs.add(it)
        jobs.add(job(created=500))
        it.deleted = 101
        (state,) = jobs.states(now=102)
        assert (state.id, state.deleted, state.withdrawn, state.status) == (it.id, True, False, "STOPPED")

    def test_only_deployments_that_have_not_ended_are_deploying(self) -> None:
        jobs, it = Jobs(), job()
        jobs.add(Job("workspace", Plan(runs=math.inf), created=0, triggered_by="other", type="PIPELINE"))
        assert jobs.deploying("workspace", now=100) is None
        jobs.add(it)
        assert jobs.deploying("workspace", now=100) is it
        assert jobs.deploying("another", now=100) is None
        assert jobs.deploying("workspace", now=113) is None
