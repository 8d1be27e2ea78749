"""A signal at every point of a step: what becomes of its job, how soon, and what is said of it.

Steps run in this process, on a clock of their own; what takes a process is in `test_cancel_processes`.
"""

import json
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from matatika_deploy.github import console
from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.console import Console
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import JobState, constants
from tests.integration.faults.faults import api_error, html
from tests.support.peer import Behaviour, Exchange, Request, after_effect, hang, relay
from tests.support.result import Command, Result
from tests.support.stage import Stage, stage
from tests.support.step import API_KEY, LEAVE, QUEUED, REFUSED, RUNNING, SOMEBODY_ELSES, WEBHOOK

INT: Final = signal.SIGINT
TERM: Final = signal.SIGTERM
CHECKED: Final = {"verify_source": "warn"}
# How long a late answer takes.
LATE: Final = 1.0
WAITING: Final = {**RUNNING, "other-jobs": [{"at": "-30s", "runs": "forever"}]}


def failing(call: str, **fault: Any) -> dict[str, Any]:
    """A job that runs for ever, on a platform on which a call fails."""
    return {**RUNNING, "faults": [{"calls": call, **fault}]}


@dataclass(frozen=True)
class Cancelled:
    """A step that was signalled, at a moment of its clock; it took so many seconds more."""

    result: Result
    jobs: list[JobState]
    requests: list[Request]
    signalled_at: float
    took: float

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
    """Signal a step, some seconds `apart`, at a call of that name (the first, or of that number) or after some seconds.

    `then` is what becomes of the call; `post_has_work` says whether something is left for the post step.
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
    took = here.clock.passed - signalled[0]
    cancelled = Cancelled(result, here.simulator.jobs, here.peer.requests, signalled[0], took)
    if not post_has_work:
        assert here.step.run_post().printed == b""
        # What main read side by side may come late.
        asked = {request.call for request in here.peer.requests[len(cancelled.requests) :]}
        assert asked <= {"jobs", "workspace"}
    return cancelled


def assert_ends(cancelled: Cancelled, number: signal.Signals, end: str) -> None:
    """Assert that the step ended in good order, with an error or a notice."""
    outputs = cancelled.result.outputs
    assert (cancelled.result.code, outputs["outcome"]) == (128 + number, "cancelled")
    assert cancelled.took < 6
    assert (cancelled.end.name, cancelled.end.properties) == (end, {"title": "Deployment cancelled"})
    assert cancelled.end.data.startswith(outputs["message"])
    assert outputs["message"].startswith("Deployment cancelled: ")
    assert number.name in outputs["message"]
    assert outputs["workspace-url"].endswith(f"/workspaces/{constants.WORKSPACE_ID}")
    assert "Deployment cancelled" in cancelled.result.summary
    assert len(cancelled.calls("trigger")) <= 1


ANSWERED_LATE: Final = failing("trigger", delay=LATE)
ONE_REFUSAL: Final = {"calls": "withdraw", "requests": {"first": 1}, "status": 409, "delay": "200ms"}
STARTING: Final = {"job": {"queued": "10s", "runs": "forever"}, "faults": [ONE_REFUSAL]}
SIGNED_LATE: Final = failing("webhook", delay=LATE)
NOTHING, LEFT = ("notice", "Nothing was deployed"), ("notice", "runs on")
# Where a signal comes, and what becomes of that call; how the step ends, what it says, its jobs, the calls made for it.
ENDS: Final[dict[str, tuple[Any, ...]]] = {
    "signing in": (RUNNING, {**API_KEY, **CHECKED}, "token", hang, *NOTHING, []),
    "reading the workspace": (RUNNING, CHECKED, "workspace", hang, *NOTHING, []),
    "listing jobs": (RUNNING, CHECKED, "jobs", hang, *NOTHING, []),
    "refused": (failing("trigger", status=503, delay=LATE), {}, "trigger", relay, *NOTHING, []),
    "waiting for another's": (WAITING, {}, "job", relay, *NOTHING, ["RUNNING"]),
    "lost": (RUNNING, {}, "trigger", hang, "error", "may have been queued", []),
    "never answered": (RUNNING, {}, "trigger", after_effect(hang), "notice", "was withdrawn", ["STOPPED"], "withdraw"),
    "refused while queued": (REFUSED, {}, "job", relay, "notice", "was deleted", ["deleted"], "withdraw", "delete"),
    "refused as it starts": (STARTING, {}, 9.9, relay, "notice", "was withdrawn", ["STOPPED"], "withdraw", "withdraw"),
    "left late": (ANSWERED_LATE, LEAVE, "trigger", relay, *LEFT, ["RUNNING"]),
    "left": (RUNNING, LEAVE, "job", relay, *LEFT, ["RUNNING"]),
    "without a token": (SIGNED_LATE, WEBHOOK, "webhook", relay, "error", "takes a token", ["RUNNING"]),
    "perhaps another's": (SOMEBODY_ELSES, {}, "job", relay, "error", "may be somebody else's", ["RUNNING"] * 2),
}


@pytest.mark.parametrize("row", ENDS.values(), ids=ENDS)
def test_signal_leaves_the_job_as_it_should_and_says_so(row: tuple[Any, ...], tmp_path: Path) -> None:
    scenario, inputs, at, then, end, said, jobs, *asked = row
    with stage(tmp_path, scenario, **inputs) as here:
        cancelled = cancel(here, at, INT, then=then)
    assert_ends(cancelled, INT, end)
    assert said in cancelled.end.data
    assert ["deleted" if job.deleted else job.status for job in cancelled.jobs] == jobs
    assert cancelled.calls("withdraw", "delete") == asked
    outputs = cancelled.result.outputs
    if said in ("Nothing was deployed", "may have been queued"):
        assert "job-id" not in outputs
        assert said == "Nothing was deployed" or outputs["workspace-url"] in cancelled.end.data
    else:
        assert outputs["job-id"] in {job.id for job in cancelled.jobs}
        assert outputs["job-id"] in cancelled.end.data


@pytest.mark.parametrize(
    ("scenario", "at", "numbers", "apart"),
    [
        # Nothing is queued before the answer: to list jobs in place of waiting for it would not find this one.
        (ANSWERED_LATE, "trigger", [TERM, INT, INT], 1.1),
        (QUEUED, "job", [TERM], 0),
        ({**RUNNING, "logs": {"stream": "held"}}, 5, [INT, TERM], 1.1),
        (failing("job", requests={"first": 1}, status=503, headers={"Retry-After": "60"}), 10, [INT], 0),
        (failing("withdraw", delay="300ms"), "job", [INT, TERM], 1.1),
        # Ctrl-C at a self-hosted runner's terminal reaches the program twice.
        (failing("withdraw", delay="1500ms"), "job", [INT, INT], 0.3),
        (failing("withdraw", requests={"first": 1}, status=502, body="html"), "job", [TERM, INT, INT], 1.1),
    ],
    ids=str,
)
def test_job_is_withdrawn_at_once(
    scenario: dict[str, Any], at: str | float, numbers: list[signal.Signals], apart: float, tmp_path: Path
) -> None:
    with stage(tmp_path, scenario, logs="stream") as here:
        cancelled = cancel(here, at, *numbers, apart=apart)
    assert_ends(cancelled, numbers[0], "notice")
    assert cancelled.withdrawn_after < (LATE if at == "trigger" else 0) + 0.5
    (job,) = cancelled.jobs
    outputs = cancelled.result.outputs
    assert (job.status, outputs["status"], outputs["job-id"]) == ("STOPPED", "STOPPED", job.id)
    assert f"{job.id} was withdrawn" in cancelled.end.data
    assert job.id in cancelled.result.summary
    assert not cancelled.calls("delete")


def test_withdrawal_goes_out_before_anything_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads standard output, and there is much to read: to look at it in turns takes time, to wait a call."""
    log = [{"at": f"{2 + number / 2}s", "text": "a line"} for number in range(6)]
    order: list[str] = []
    is_read, write = threading.Event(), Console._write
    is_read.set()

    def write_when_read(*call: Any) -> None:
        is_read.wait(10)
        write(*call)

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and (code.co_filename == console.__file__ or code is threading.Thread.join.__code__):
            order.append(code.co_name)

    def withdraw(exchange: Exchange) -> None:
        order.append("withdrawn")
        is_read.set()
        relay(exchange)

    monkeypatch.setattr(Console, "_write", write_when_read)
    with stage(tmp_path, {"job": {"runs": "forever", "log": log}}, logs="stream") as here:
        here.step.environ.pop("RUNNER_DEBUG")
        here.clock.call_later(3, is_read.clear)
        here.clock.call_later(5, order.clear)
        here.peer.on("withdraw", withdraw)
        sys.setprofile(note)
        try:
            cancelled = cancel(here, 5, INT)
        finally:
            sys.setprofile(None)
    assert_ends(cancelled, INT, "notice")
    assert order[0] == "withdrawn"
    assert "flush" in order
    assert cancelled.withdrawn_after < 0.5


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
    assert_ends(cancelled, numbers[0], "error")
    assert cancelled.took < lasting
    assert cancelled.withdrawn_after < 0.5
    (job,) = cancelled.jobs
    assert (job.status, cancelled.result.state["deployment"]) == ("RUNNING", "running")
    named = (f"Job {job.id} could not be withdrawn", cancelled.result.outputs["job-url"], why, "stop it in the app")
    assert all(text in cancelled.end.data for text in named)
    assert not cancelled.calls("delete")


JUST_OVER: Final = {"job": {"runs": "2s", "log": [{"text": "INFO  Done"}]}}
OVER_FIRST: Final = {**JUST_OVER, "faults": [{"calls": "withdraw", "delay": "3s"}]}


@pytest.mark.parametrize(
    ("scenario", "at", "logs", "lasting"),
    [pytest.param(OVER_FIRST, 1.5, relay, 6, id="withdrawn"), pytest.param(JUST_OVER, 5, hang, 1.5, id="end of log")],
)
def test_job_that_is_over_by_then_has_its_own_result(
    scenario: dict[str, Any], at: float, logs: Behaviour, lasting: float, tmp_path: Path
) -> None:
    with stage(tmp_path, scenario, logs="stream") as here:
        here.peer.on("logs", logs, range(2, 1_000))
        cancelled = cancel(here, at, TERM)
    assert cancelled.took < lasting
    outputs = cancelled.result.outputs
    assert (cancelled.result.code, outputs["outcome"], outputs["status"]) == (0, "success", "COMPLETE")
    assert (cancelled.result.log.said("error"), cancelled.calls("delete")) == ([], [])


def test_signal_after_the_deadline_only_hastens_the_end(tmp_path: Path) -> None:
    with stage(tmp_path, RUNNING, timeout="8s") as here:
        cancelled = cancel(here, "withdraw", TERM, then=hang, post_has_work=True)
    assert (cancelled.result.code, cancelled.result.outputs["outcome"]) == (4, "timed-out")
    assert cancelled.took < 1.5
    assert cancelled.jobs[0].id in cancelled.end.data


@pytest.mark.parametrize(
    ("job", "at", "end"),
    [({"runs": "0s", "ends": "ERROR"}, 0, (1, "failure", "error")), (RUNNING["job"], 5, (143, "cancelled", "notice"))],
)
def test_signal_while_the_summary_is_written_changes_nothing(
    job: dict[str, Any], at: int, end: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summarize = WorkflowCommands.summarize

    def signal_and_summarize(*call: Any) -> None:
        for number in (INT, TERM):
            signals.receive(number)
        summarize(*call)

    monkeypatch.setattr(WorkflowCommands, "summarize", signal_and_summarize)
    with stage(tmp_path, {"job": job}) as here:
        signals = Signals(lambda: here.clock.passed)
        if at:
            here.clock.call_later(at, lambda: signals.receive(TERM))
        result = here.run(signals=signals)
        assert here.step.run_post().printed == b""
    assert (result.code, result.outputs["outcome"], *(said.name for said in result.log.ends)) == end
    assert ("Deployment cancelled" in result.summary) == bool(at)


def pipelines(first: str = "forever", /, **more: Any) -> dict[str, Any]:
    """A quick deployment, and two pipelines, each run of which is answered late; `more` is true of the first."""
    plans = [{"name": "first", "job": {"runs": first}, **more}, {"name": "second", "job": {"runs": "forever"}}]
    return {"job": {"runs": "0.1s"}, "pipelines": plans, "faults": [{"calls": "run", "delay": LATE}]}


CHANGING: Final = pipelines(**{"on-deploy": "change", "configuration": {"runs": "forever"}})
# The first list of pipelines is that before the deployment.
RUNS: Final[dict[str, tuple[Any, ...]]] = {
    "provisioned": (CHANGING, 10, relay),
    "listed": (pipelines(), ("runs", 1), hang),
    "queued": (pipelines(job={"queued": "forever"}), 10, relay, "STOPPED"),
    "second looked for": (pipelines("1s"), ("pipelines", 3), hang, "COMPLETE"),
    "second asked for": (pipelines("1s"), ("run", 2), relay, "COMPLETE", "STOPPED"),
    "second runs": (pipelines("1s"), 20, relay, "COMPLETE", "STOPPED"),
}


@pytest.mark.parametrize("row", RUNS.values(), ids=RUNS)
def test_exactly_the_pipeline_that_runs_is_withdrawn_at_once(row: tuple[Any, ...], tmp_path: Path) -> None:
    scenario, at, then, *statuses = row
    with stage(tmp_path, scenario, run_pipelines="first, second", logs="stream") as here:
        cancelled = cancel(here, at, TERM, then=then)
    assert_ends(cancelled, TERM, "notice")
    assert [job.status for job in cancelled.jobs if job.type == "WORKSPACE_DEPLOY"] == ["COMPLETE"]
    own = [job for job in cancelled.jobs if job.type == "PIPELINE_RUN"]
    assert [(job.pipeline, job.status) for job in own] == list(zip(("first", "second"), statuses, strict=False))
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
