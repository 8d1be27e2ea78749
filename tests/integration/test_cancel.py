"""A signal at every point of a step: what becomes of its job, how soon, and what is said of it.

Steps run in this process, on a clock of their own; what takes a process is in `test_cancel_processes`.
"""

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_deploy.runtime.signals import Signals
from matatika_simulator import JobState, constants
from tests.integration.faults.faults import api_error, html
from tests.support.peer import Behaviour, Exchange, Request, after_effect, hang, relay
from tests.support.result import Command, Result
from tests.support.stage import Stage, stage
from tests.support.step import API_KEY, QUEUED, RUNNING, WEBHOOK

INT: Final = signal.SIGINT
TERM: Final = signal.SIGTERM
SIGNALS: Final = ([INT], [TERM], [INT, TERM], [TERM, INT, INT])
LEAVE: Final = {"on_cancel": "leave"}
# How long a late answer takes.
LATE: Final = 1.0
SOMEBODY_ELSES: Final = {
    **RUNNING,
    "faults": [{"calls": "trigger", "requests": {"first": 1}, "drop": "close", "after": True}],
    "other-jobs": [{"at": "0s", "since": "first-trigger", "runs": "forever"}],
    "deployments": {"while-another-runs": "queue"},
}


def failing(call: str, **fault: Any) -> dict[str, Any]:
    """A job that runs for ever, on a platform on which a call fails."""
    return {**RUNNING, "faults": [{"calls": call, **fault}]}


@dataclass(frozen=True)
class Cancelled:
    """A step that was signalled."""

    result: Result
    jobs: list[JobState]
    requests: list[Request]
    signalled_at: float
    """Seconds of the step's clock."""
    took: float
    """Seconds from the first signal to the step's end."""

    @property
    def end(self) -> Command:
        """The error with which the step ended, or the notice in its place."""
        (end,) = self.result.log.ends
        return end

    def calls(self, *names: str) -> list[str]:
        """The requests of some calls, in order."""
        return [request.call for request in self.requests if request.call in names]

    @property
    def withdrawn_after(self) -> float:
        """Seconds from the first signal to the withdrawal."""
        return next(request.at for request in self.requests if request.call == "withdraw") - self.signalled_at


def cancel(
    here: Stage,
    at: str | tuple[str, int] | float,
    *numbers: signal.Signals,
    then: Behaviour = relay,
    apart: float = 1.1,
    post_has_work: bool = False,
) -> Cancelled:
    """Signal a step when a call of that name comes for the first time, or so often, or after so many seconds.

    Arguments:
        numbers: the signals, so many seconds `apart`.
        then: what becomes of the call.
        post_has_work: whether something is left for the post step.
    """
    signals = Signals(lambda: here.clock.passed)
    signalled: list[float] = []

    def receive() -> None:
        signalled.append(here.clock.passed)
        signals.receive(numbers[0])
        for turn, number in enumerate(numbers[1:], 1):
            here.clock.call_later(turn * apart, lambda number=number: signals.receive(number))  # type: ignore[misc]

    def receive_in_the_call(exchange: Exchange) -> None:
        receive()
        then(exchange)

    if isinstance(at, (int, float)):
        here.clock.call_later(at, receive)
    else:
        call, number = (at, 1) if isinstance(at, str) else at
        here.peer.on(call, receive_in_the_call, {number})
    result = here.run(signals=signals)
    cancelled = Cancelled(
        result, here.simulator.jobs, here.peer.requests, signalled[0], here.clock.passed - signalled[0]
    )
    if not post_has_work:
        assert here.step.run_post().printed == b""
        assert len(here.peer.requests) == len(cancelled.requests)
    return cancelled


def assert_ends(cancelled: Cancelled, number: signal.Signals, end: str) -> None:
    """Assert that the step ended in good order, with an error or a notice."""
    assert cancelled.result.code == 128 + number
    assert cancelled.took < 6
    assert cancelled.end.name == end
    assert cancelled.end.properties == {"title": "Deployment cancelled"}
    assert cancelled.end.data.startswith("Deployment cancelled: ")
    assert number.name in cancelled.end.data
    assert cancelled.end.data.startswith(cancelled.result.outputs["message"])
    assert cancelled.result.outputs["outcome"] == "cancelled"
    assert cancelled.result.outputs["workspace-url"].endswith(f"/workspaces/{constants.WORKSPACE_ID}")
    assert "Deployment cancelled" in cancelled.result.summary
    assert len(cancelled.calls("trigger")) <= 1


@pytest.mark.parametrize(("call", "number"), [("token", INT), ("workspace", TERM), ("jobs", INT)])
def test_nothing_is_deployed_before_the_trigger(call: str, number: signal.Signals, tmp_path: Path) -> None:
    with stage(tmp_path, RUNNING, verify_source="warn", **API_KEY) as here:
        cancelled = cancel(here, call, number, then=hang)
    assert_ends(cancelled, number, "notice")
    assert (cancelled.jobs, cancelled.calls("trigger")) == ([], [])
    assert "Nothing was deployed" in cancelled.end.data
    assert "Nothing was deployed" in cancelled.result.summary


ONE_FAILED_LOOK = {"requests": {"first": 1}, "status": 503, "headers": {"Retry-After": "60"}}


@pytest.mark.parametrize(
    ("scenario", "at", "numbers"),
    [
        # Nothing is queued before the answer: to list jobs in place of waiting for it would not find this one.
        *((failing("trigger", delay=LATE), "trigger", numbers) for numbers in SIGNALS),
        (QUEUED, "job", [TERM]),
        ({**RUNNING, "logs": {"stream": "held"}}, 5, [INT, TERM]),
        (failing("job", **ONE_FAILED_LOOK), 10, [INT]),
        *((failing("withdraw", delay="300ms"), "job", numbers) for numbers in SIGNALS[2:]),
        (failing("withdraw", requests={"first": 1}, status=502, body="html"), "job", [TERM, INT, INT]),
    ],
    ids=str,
)
def test_job_is_withdrawn_at_once(
    scenario: dict[str, Any], at: str | float, numbers: list[signal.Signals], tmp_path: Path
) -> None:
    with stage(tmp_path, scenario, logs="stream") as here:
        cancelled = cancel(here, at, *numbers)
    assert_ends(cancelled, numbers[0], "notice")
    assert cancelled.withdrawn_after < (LATE if at == "trigger" else 0) + 0.5
    (job,) = cancelled.jobs
    assert (job.status, cancelled.result.outputs["status"]) == ("STOPPED", "STOPPED")
    assert cancelled.result.outputs["job-id"] == job.id
    assert cancelled.result.outputs["job-url"].endswith(f"/api/jobs/{job.id}")
    assert f"{job.id} was withdrawn" in cancelled.end.data
    assert job.id in cancelled.result.summary
    assert not cancelled.calls("delete")


def test_queued_job_is_deleted_if_its_withdrawal_is_refused(tmp_path: Path) -> None:
    with stage(tmp_path, {**QUEUED, "withdrawal": {"queued": 409}}) as here:
        cancelled = cancel(here, "job", INT)
    assert_ends(cancelled, INT, "notice")
    assert cancelled.calls("withdraw", "delete") == ["withdraw", "delete"]
    assert cancelled.jobs[0].deleted
    assert "was deleted" in cancelled.end.data


def test_trigger_that_is_never_answered_is_found_in_the_list_and_withdrawn(tmp_path: Path) -> None:
    with stage(tmp_path, RUNNING) as here:
        cancelled = cancel(here, "trigger", INT, then=after_effect(hang))
    assert_ends(cancelled, INT, "notice")
    (job,) = cancelled.jobs
    assert (job.status, cancelled.result.outputs["job-id"]) == ("STOPPED", job.id)


@pytest.mark.parametrize("numbers", [[TERM], [TERM, INT]], ids=["once", "twice"])
def test_trigger_of_unknown_fate_is_an_error_that_says_so(numbers: list[signal.Signals], tmp_path: Path) -> None:
    with stage(tmp_path, RUNNING) as here:
        cancelled = cancel(here, "trigger", *numbers, then=hang)
    assert_ends(cancelled, TERM, "error")
    assert cancelled.took < (6 if numbers == [TERM] else 2.5)
    assert "may have been queued" in cancelled.end.data
    assert cancelled.result.outputs["workspace-url"] in cancelled.end.data
    assert "job-id" not in cancelled.result.outputs


def test_trigger_that_was_refused_has_queued_nothing(tmp_path: Path) -> None:
    with stage(tmp_path, failing("trigger", status=503, delay=LATE)) as here:
        cancelled = cancel(here, "trigger", INT)
    assert_ends(cancelled, INT, "notice")
    assert "Nothing was deployed" in cancelled.end.data


@pytest.mark.parametrize("at", ["trigger", "job"])
def test_job_that_is_to_be_left_runs_on_and_is_named(at: str, tmp_path: Path) -> None:
    with stage(tmp_path, failing("trigger", delay=LATE), **LEAVE) as here:
        cancelled = cancel(here, at, INT)
    assert_ends(cancelled, INT, "notice")
    (job,) = cancelled.jobs
    assert (job.status, cancelled.result.outputs["job-id"]) == ("RUNNING", job.id)
    assert f"{job.id} runs on" in cancelled.end.data
    assert not cancelled.calls("withdraw", "delete")


def test_job_that_there_is_no_token_to_withdraw_with_is_named(tmp_path: Path) -> None:
    with stage(tmp_path, failing("webhook", delay=LATE), **WEBHOOK) as here:
        cancelled = cancel(here, "webhook", INT)
    assert_ends(cancelled, INT, "error")
    (job,) = cancelled.jobs
    assert f"Job {job.id} could not be withdrawn" in cancelled.end.data
    assert "token" in cancelled.end.data
    assert cancelled.result.outputs["job-id"] == job.id
    assert [request.call for request in cancelled.requests] == ["webhook"]


@pytest.mark.parametrize(
    ("behaviour", "numbers", "lasting", "why"),
    [
        (hang, [TERM], 6, "the platform did not answer in time"),
        (hang, [TERM, INT], 2.5, "the platform did not answer in time"),
        (api_error(403, "Not permitted"), [INT], 1, "403 Forbidden: Not permitted"),
        (html(502), [INT], 6, "the platform did not answer in time"),
    ],
    ids=["never answered", "never answered, twice", "forbidden", "fails"],
)
def test_withdrawal_that_fails_is_an_error_that_names_the_job(
    behaviour: Behaviour, numbers: list[signal.Signals], lasting: float, why: str, tmp_path: Path
) -> None:
    with stage(tmp_path, RUNNING) as here:
        here.peer.on("withdraw", behaviour)
        cancelled = cancel(here, "job", *numbers, post_has_work=True)
        assert cancelled.result.state["deployment"] == "running"
    assert_ends(cancelled, numbers[0], "error")
    assert cancelled.took < lasting
    assert cancelled.withdrawn_after < 0.5
    (job,) = cancelled.jobs
    assert job.status == "RUNNING"
    assert f"Job {job.id} could not be withdrawn" in cancelled.end.data
    assert cancelled.result.outputs["job-url"] in cancelled.end.data
    assert why in cancelled.end.data
    assert f"{job.id} could not be withdrawn" in cancelled.result.summary.replace("&#8203;", "")
    assert not cancelled.calls("delete")


def test_two_signals_within_a_second_leave_a_slow_withdrawal_its_time(tmp_path: Path) -> None:
    """Ctrl-C at a self-hosted runner's terminal reaches the program twice."""
    with stage(tmp_path, failing("withdraw", delay="1500ms")) as here:
        cancelled = cancel(here, "job", INT, INT, apart=0.3)
    assert_ends(cancelled, INT, "notice")
    assert cancelled.jobs[0].status == "STOPPED"


def test_job_that_may_be_somebody_elses_is_never_withdrawn(tmp_path: Path) -> None:
    with stage(tmp_path, SOMEBODY_ELSES) as here:
        cancelled = cancel(here, "job", INT)
    assert_ends(cancelled, INT, "error")
    assert [job.status for job in cancelled.jobs] == ["RUNNING", "RUNNING"]
    assert "may be somebody else's" in cancelled.end.data
    assert not cancelled.calls("withdraw", "delete")


def test_job_that_was_only_waited_for_is_never_withdrawn(tmp_path: Path) -> None:
    with stage(tmp_path, {**RUNNING, "other-jobs": [{"at": "-30s", "runs": "forever"}]}) as here:
        cancelled = cancel(here, "job", INT)
    assert_ends(cancelled, INT, "notice")
    assert [job.status for job in cancelled.jobs] == ["RUNNING"]
    assert "Nothing was deployed" in cancelled.end.data
    assert "job-id" not in cancelled.result.outputs
    assert not cancelled.calls("withdraw", "delete")


JUST_OVER = {"job": {"runs": "2s", "log": [{"text": "INFO  Done"}]}}


@pytest.mark.parametrize(
    ("scenario", "at", "logs", "lasting"),
    [
        # The job ends before its withdrawal is looked at.
        ({**JUST_OVER, "faults": [{"calls": "withdraw", "delay": "3s"}]}, 1.5, relay, 6),
        # It is over, and the end of its log is waited for.
        (JUST_OVER, 5, hang, 1.5),
    ],
    ids=["while it is withdrawn", "while the end of its log is read"],
)
def test_job_that_is_over_by_then_has_its_own_result(
    scenario: dict[str, Any], at: float, logs: Behaviour, lasting: float, tmp_path: Path
) -> None:
    with stage(tmp_path, scenario, logs="stream") as here:
        here.peer.on("logs", logs, range(2, 1_000))
        cancelled = cancel(here, at, TERM)
    assert cancelled.took < lasting
    assert (cancelled.result.code, cancelled.result.outputs["outcome"]) == (0, "success")
    assert cancelled.result.outputs["status"] == "COMPLETE"
    assert cancelled.result.log.said("error") == []
    assert not cancelled.calls("delete")


def test_signal_after_the_deadline_only_hastens_the_end(tmp_path: Path) -> None:
    with stage(tmp_path, RUNNING, timeout="8s") as here:
        cancelled = cancel(here, "withdraw", TERM, then=hang, post_has_work=True)
    assert (cancelled.result.code, cancelled.result.outputs["outcome"]) == (4, "timed-out")
    assert cancelled.took < 1.5
    assert cancelled.jobs[0].id in cancelled.end.data


def pipelines(first: str = "forever", /, **more: Any) -> dict[str, Any]:
    """A quick deployment, and two pipelines, each run of which is answered late; `more` is true of the first."""
    plans = [{"name": "first", "job": {"runs": first}, **more}, {"name": "second", "job": {"runs": "forever"}}]
    return {"job": {"runs": "0.1s"}, "pipelines": plans, "faults": [{"calls": "run", "delay": LATE}]}


FIRST: Final = [("first", "STOPPED")]
SECOND: Final = [("first", "COMPLETE"), ("second", "STOPPED")]


@pytest.mark.parametrize(
    ("scenario", "at", "then", "number", "runs"),
    [
        (pipelines(**{"on-deploy": "change", "configuration": {"runs": "forever"}}), 10, relay, INT, []),
        (pipelines(), ("runs", 1), hang, TERM, []),
        (pipelines(), ("run", 1), relay, INT, FIRST),
        (pipelines(job={"queued": "forever"}), 10, relay, TERM, FIRST),
        (pipelines(), 10, relay, INT, FIRST),
        # The first list is that before the deployment.
        (pipelines("1s"), ("pipelines", 3), hang, TERM, SECOND[:1]),
        (pipelines("1s"), ("run", 2), relay, INT, SECOND),
        (pipelines("1s"), 20, relay, TERM, SECOND),
    ],
    ids=[
        "provisioned",
        "listed",
        "asked for",
        "queued",
        "runs",
        "second looked for",
        "second asked for",
        "second runs",
    ],
)
def test_exactly_the_pipeline_that_runs_is_withdrawn_at_once(
    scenario: dict[str, Any],
    at: tuple[str, int] | float,
    then: Behaviour,
    number: signal.Signals,
    runs: list[tuple[str, str]],
    tmp_path: Path,
) -> None:
    with stage(tmp_path, scenario, run_pipelines="first, second", logs="stream") as here:
        cancelled = cancel(here, at, number, then=then)
    assert_ends(cancelled, number, "notice")
    assert [job.status for job in cancelled.jobs if job.type == "WORKSPACE_DEPLOY"] == ["COMPLETE"]
    own = [job for job in cancelled.jobs if job.type == "PIPELINE_RUN"]
    assert [(job.pipeline, job.status) for job in own] == runs
    stopped = [job for job in own if job.status == "STOPPED"]
    withdrawals = [request for request in cancelled.requests if request.call == "withdraw"]
    assert [request.target.split("/")[3] for request in withdrawals] == [job.id for job in stopped]
    assert not cancelled.calls("delete")
    assert cancelled.result.outputs["status"] == "COMPLETE"
    assert [run["id"] for run in json.loads(cancelled.result.outputs["pipeline-jobs"])] == [job.id for job in own]
    assert "The deployment itself succeeded." in cancelled.end.data
    left = [f"'{name}'" for name in ("first", "second")[len(own) :]]
    assert (f"Not run: {', '.join(left)}." in cancelled.end.data) == bool(left)
    for job in stopped:
        assert cancelled.withdrawn_after < (0.5 if isinstance(at, int) else LATE + 0.5)
        assert f"Pipeline '{job.pipeline}', job {job.id}, was withdrawn" in cancelled.end.data
