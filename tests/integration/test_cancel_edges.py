"""What a cancelled step can meet: a platform that does not answer, a job that is not its own, nobody who reads.

As in `test_cancel`, the exit code alone would prove nothing.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from matatika_simulator import Simulator, constants
from tests.support import runner
from tests.support.cancelled_step import (
    LATEST,
    RUNNING,
    SOON,
    Cancelled,
    Cases,
    Point,
    a_second_later,
    calls,
    ends,
    noticed,
    prints,
    run_post,
    running_all,
    shown,
    unread_pipe,
)
from tests.support.step import Step, StepProcess

WEBHOOK = {"token": "", "deployment_secret": constants.DEPLOYMENT_SECRET}
LEAVE = {"on_cancel": "leave"}
LATE = 1.0


def with_fault(**fault: Any) -> Mapping[str, Any]:
    return {**RUNNING, "faults": [fault]}


POINTS: Mapping[str, Point] = {
    "withdrawal-never-answered": Point(with_fault(calls="withdraw", hang=True), calls("job"), a_second_later),
    "trigger-never-answered": Point(
        with_fault(calls="trigger", hang=True, after=True), calls("trigger"), a_second_later
    ),
    "trigger-lost": Point(with_fault(calls="trigger", hang=True), calls("trigger")),
    "trigger-refused": Point(with_fault(calls="trigger", status=503, delay=LATE), calls("trigger")),
    "trigger-left": Point(with_fault(calls="trigger", delay=LATE), calls("trigger"), inputs=LEAVE),
    "webhook-answered-late": Point(with_fault(calls="webhook", delay=LATE), calls("webhook"), inputs=WEBHOOK),
    "withdrawal-forbidden": Point(with_fault(calls="withdraw", status=403), calls("job")),
    "withdrawal-fails": Point(with_fault(calls="withdraw", status=502, body="html"), calls("job")),
    "left": Point(RUNNING, calls("job"), noticed, LEAVE),
    "job-of-somebody-else-perhaps": Point(
        {
            **with_fault(calls="trigger", requests={"first": 1}, drop="close", after=True),
            "other-jobs": [{"at": "0s", "since": "first-trigger", "runs": "forever"}],
            "deployments": {"while-another-runs": "queue"},
        },
        calls("job"),
    ),
    "waiting-for-somebody-else": Point({**RUNNING, "other-jobs": [{"at": "-30s", "runs": "forever"}]}, calls("job")),
    "job-that-ends-at-that-moment": Point(
        {"job": {"runs": "2s", "log": [{"text": "INFO  Done"}]}, "faults": [{"calls": "withdraw", "delay": "3s"}]},
        prints("INFO  Done"),
    ),
    "end-of-the-log": Point(
        {
            "job": {"runs": "200ms", "log": [{"text": "INFO  Done"}]},
            "faults": [{"calls": "logs", "requests": {"from": 2}, "hang": True}],
        },
        lambda running, _: running.wait_until(lambda: running.outputs.get("status") == "COMPLETE", "the job's end"),
    ),
    # Not even the masks can be printed.
    "nobody-reads": Point(RUNNING, calls("job"), stdout=lambda: unread_pipe(is_full=True)),
    # More of the log waits for whoever reads it than is ever held in memory.
    "nobody-goes-on-reading": Point(
        {"job": {"runs": "forever", "log": [{"lines": 50_000, "text": "line {n}", "line-bytes": 100}]}},
        calls("job"),
        stdout=lambda: unread_pipe(is_full=False),
    ),
    "timed-out": Point(with_fault(calls="withdraw", hang=True), calls("withdraw"), inputs={"timeout": "8s"}),
}


@pytest.fixture(scope="module")
def cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cases]:
    with running_all(request, tmp_path_factory, POINTS) as cases:
        yield cases


@pytest.fixture
def cancelled(cases: Cases, point: str, signals: str) -> Cancelled:
    return shown(cases[point, signals].result())


def at(point: str, *signals: str) -> pytest.MarkDecorator:
    """Have `cancelled` be a step that got each of these signals (by default the runner's own) at a point."""
    return pytest.mark.parametrize(("point", "signals"), [(point, name) for name in signals or ("SIGINT",)])


def assert_cancelled(cancelled: Cancelled, end: str) -> None:
    """Assert that the step ended in good order, with an error or a notice."""
    assert cancelled.errors == ""
    assert cancelled.result.code == 128 + cancelled.numbers[0]
    assert cancelled.took < LATEST
    assert cancelled.result.outputs["outcome"] == "cancelled"
    assert cancelled.end.name == end
    assert cancelled.end.properties == {"title": "Deployment cancelled"}
    assert "Deployment cancelled" in cancelled.result.summary


@at("trigger-never-answered")
def test_a_trigger_that_is_never_answered_is_found_in_the_list_and_withdrawn(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "notice")
    (job,) = cancelled.jobs
    assert job.status == "STOPPED"
    assert cancelled.result.outputs["job-id"] == job.id
    assert len(cancelled.calls("trigger")) == 1


@at("trigger-never-answered", "SIGINT-SIGTERM")
def test_a_second_signal_shortens_the_wait_for_the_trigger(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "error")
    assert cancelled.took < 3.5
    assert "may have been queued" in cancelled.end.data
    assert len(cancelled.calls("trigger")) == 1


@at("trigger-lost", "SIGTERM")
def test_a_trigger_of_unknown_fate_is_an_error_that_says_so(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "error")
    assert not cancelled.jobs
    assert "may have been queued" in cancelled.end.data
    assert cancelled.result.outputs["workspace-url"] in cancelled.end.data
    assert "job-id" not in cancelled.result.outputs


@at("trigger-refused")
def test_a_trigger_that_was_refused_has_queued_nothing(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "notice")
    assert "Nothing was deployed" in cancelled.end.data
    assert len(cancelled.calls("trigger")) == 1
    assert (cancelled.post, cancelled.asked_by_post) == ("", [])


@at("trigger-left")
def test_a_job_that_is_to_be_left_is_known_nevertheless(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "notice")
    (job,) = cancelled.jobs
    assert job.status == "RUNNING"
    assert cancelled.result.outputs["job-id"] == job.id
    assert f"{job.id} runs on" in cancelled.end.data
    assert not cancelled.calls("withdraw", "delete")
    assert (cancelled.post, cancelled.asked_by_post) == ("", [])


@at("webhook-answered-late")
def test_a_job_that_there_is_no_token_to_withdraw_with_is_named(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "error")
    (job,) = cancelled.jobs
    assert f"Job {job.id} could not be withdrawn" in cancelled.end.data
    assert "token" in cancelled.end.data
    assert cancelled.result.outputs["job-id"] == job.id
    assert [entry.call for entry in cancelled.journal] == ["webhook"]


@at("withdrawal-never-answered", "SIGTERM", "SIGTERM-SIGINT")
def test_a_withdrawal_that_is_never_answered_is_an_error_that_names_the_job(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "error")
    (job,) = cancelled.jobs
    assert cancelled.calls("withdraw")[0].time - cancelled.signalled_at < SOON
    assert f"Job {job.id} could not be withdrawn" in cancelled.end.data
    assert cancelled.result.outputs["job-url"] in cancelled.end.data
    assert f"{job.id} could not be withdrawn" in cancelled.result.summary.replace("&#8203;", "")
    if len(cancelled.numbers) == 2:
        assert cancelled.took < 3.5


@at("withdrawal-forbidden")
def test_a_withdrawal_that_is_forbidden_says_why(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "error")
    (job,) = cancelled.jobs
    assert job.status == "RUNNING"
    assert f"Job {job.id} could not be withdrawn" in cancelled.end.data
    assert "403 Forbidden: Simulated fault" in cancelled.end.data
    assert not cancelled.calls("delete")


@at("withdrawal-fails")
def test_a_withdrawal_that_fails_is_tried_again_by_the_post_step_too(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "error")
    (job,) = cancelled.jobs
    assert f"Job {job.id} could not be withdrawn" in cancelled.end.data
    assert len(cancelled.calls("withdraw")) > 1
    assert "withdraw" in cancelled.asked_by_post


@at("left", "SIGINT-SIGTERM")
def test_a_running_job_is_left(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "notice")
    (job,) = cancelled.jobs
    assert job.status == "RUNNING"
    assert f"{job.id} runs on" in cancelled.end.data
    assert not cancelled.calls("withdraw", "delete")
    assert (cancelled.post, cancelled.asked_by_post) == ("", [])


@at("job-of-somebody-else-perhaps")
def test_a_job_that_may_be_somebody_elses_is_never_withdrawn(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "error")
    assert [job.status for job in cancelled.jobs] == ["RUNNING", "RUNNING"]
    assert "may be somebody else's" in cancelled.end.data
    assert not cancelled.calls("withdraw", "delete")
    assert (cancelled.post, cancelled.asked_by_post) == ("", [])


@at("waiting-for-somebody-else")
def test_a_job_that_was_only_waited_for_is_never_withdrawn(cancelled: Cancelled) -> None:
    assert_cancelled(cancelled, "notice")
    assert [job.status for job in cancelled.jobs] == ["RUNNING"]
    assert "Nothing was deployed" in cancelled.end.data
    assert "job-id" not in cancelled.result.outputs
    assert not cancelled.calls("withdraw", "delete")
    assert (cancelled.post, cancelled.asked_by_post) == ("", [])


@at("job-that-ends-at-that-moment")
def test_a_job_that_is_over_before_its_withdrawal_has_its_own_result(cancelled: Cancelled) -> None:
    assert cancelled.errors == ""
    assert cancelled.result.code == 0
    assert cancelled.result.outputs["outcome"] == "success"
    assert cancelled.result.outputs["status"] == "COMPLETE"
    assert runner.read(cancelled.result.printed).of("error") == []
    assert (cancelled.post, cancelled.asked_by_post) == ("", [])


@at("timed-out", "SIGTERM")
def test_a_signal_after_the_deadline_only_hastens_the_end(cancelled: Cancelled) -> None:
    assert cancelled.result.code == 4
    assert cancelled.took < 3
    assert cancelled.result.outputs["outcome"] == "timed-out"
    assert cancelled.jobs[0].id in cancelled.end.data


@at("end-of-the-log", "SIGTERM")
def test_a_signal_while_the_end_of_the_log_is_read_only_hastens_that(cancelled: Cancelled) -> None:
    assert cancelled.errors == ""
    assert cancelled.result.code == 0
    assert cancelled.took < 4
    assert cancelled.result.outputs["outcome"] == "success"
    assert runner.read(cancelled.result.printed).of("error") == []
    assert not cancelled.calls("withdraw", "delete")


@pytest.mark.parametrize("signals", ["SIGINT", "SIGTERM-SIGINT"])
@pytest.mark.parametrize("point", ["nobody-reads", "nobody-goes-on-reading"])
def test_a_withdrawal_does_not_wait_for_whoever_reads_standard_output(cancelled: Cancelled) -> None:
    assert cancelled.errors == ""
    assert cancelled.result.code == 128 + cancelled.numbers[0]
    assert cancelled.took < LATEST
    assert cancelled.calls("withdraw")[0].time - cancelled.signalled_at < SOON
    assert [job.status for job in cancelled.jobs] == ["STOPPED"]
    assert cancelled.result.outputs["outcome"] == "cancelled"
    assert cancelled.result.outputs["status"] == "STOPPED"
    assert "was withdrawn" in cancelled.result.summary


def test_two_signals_within_a_second_leave_a_slow_withdrawal_its_time(tmp_path: Path) -> None:
    """Ctrl-C at a self-hosted runner's terminal reaches the program twice."""
    with Simulator(with_fault(calls="withdraw", delay="1500ms")) as simulator:
        with Step(tmp_path / "step", simulator).started() as running:
            running.wait_for_print("INFO  Working")
            running.signal(signal.SIGINT)
            simulator.wait_for("withdraw")
            running.signal(signal.SIGINT)
            result = running.wait()
        assert [job.status for job in simulator.jobs] == ["STOPPED"]
    assert result.code == 130
    (end,) = ends(result.printed)
    assert end.name == "notice"
    assert "was withdrawn" in end.data


def test_a_storm_of_signals_is_as_good_as_one(tmp_path: Path) -> None:
    with Simulator(RUNNING) as simulator:
        with Step(tmp_path / "step", simulator).started() as running:
            running.wait_for_print("INFO  Working")
            running.signal(signal.SIGTERM)
            simulator.wait_for("withdraw")
            running.signal(*([signal.SIGINT, signal.SIGTERM] * 25))
            result = running.wait()
            assert running.errors == ""
        assert [job.status for job in simulator.jobs] == ["STOPPED"]
    assert result.code == 143
    assert result.outputs["outcome"] == "cancelled"
    assert [end.name for end in ends(result.printed)] == ["notice"]


class Summary:
    """A step's summary that is a pipe: the test is there when the step begins to write it, and holds it up."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "summary"
        os.mkfifo(self.path)

    def begun(self) -> int:
        """Wait until the step has opened it; gives the end to read from."""
        return os.open(self.path, os.O_RDONLY)

    def rest(self, descriptor: int) -> str:
        """Read it to its end."""
        with os.fdopen(descriptor, "rb") as pipe:
            return pipe.read().decode()


# Larger than a pipe's buffer once it is escaped, so that the step hangs in the middle of writing it.
LONG_LINES = [{"text": "\n".join("<&>" * 400 for _ in range(50))}]


def signal_in_the_summary(
    folder: Path, scenario: Mapping[str, Any], first: tuple[signal.Signals, ...], then: tuple[signal.Signals, ...]
) -> tuple[StepProcess, Any, str]:
    """Signal a step before its end if `first` says so, and while it writes its summary; gives all that came of it."""
    with Simulator(scenario) as simulator:
        step, summary = Step(folder / "step", simulator), Summary(folder)
        with step.started({"GITHUB_STEP_SUMMARY": str(summary.path)}) as running:
            if first:
                running.wait_for_print("&>")
                running.signal(*first)
            reading = summary.begun()
            running.wait_until(lambda: "outcome" in step.files.outputs, "its outcome")
            for signum in then:
                running.signal(signum)
                time.sleep(0.05)
            text = summary.rest(reading)
            result = running.wait()
            assert running.errors == ""
            assert run_post(step) == ""
        return running, result, text


@pytest.mark.parametrize("then", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)])
@pytest.mark.parametrize(("ends", "code", "outcome"), [("COMPLETE", 0, "success"), ("ERROR", 1, "failure")])
def test_a_signal_after_the_end_changes_nothing(
    tmp_path: Path, ends: str, code: int, outcome: str, then: tuple[signal.Signals, ...]
) -> None:
    scenario = {"job": {"runs": "0s", "ends": ends, "log": LONG_LINES}}
    _, result, summary = signal_in_the_summary(tmp_path, scenario, (), then)
    assert result.code == code
    assert result.outputs["outcome"] == outcome
    assert len(runner.read(result.printed).of("error")) == code
    assert "Deployment cancelled" not in summary
    assert summary.partition("<pre>")[2].count("&lt;&amp;&gt;") == (50 * 400 if code else 0)


def test_a_signal_in_the_summary_of_a_cancelled_step(tmp_path: Path) -> None:
    scenario = {"job": {"runs": "forever", "log": LONG_LINES}}
    _, result, summary = signal_in_the_summary(tmp_path, scenario, (signal.SIGTERM,), (signal.SIGINT,))
    assert result.code == 143
    assert result.outputs["outcome"] == "cancelled"
    assert result.outputs["status"] == "STOPPED"
    assert [end.name for end in ends(result.printed)] == ["notice"]
    assert summary.count("&lt;&amp;&gt;") == 50 * 400
    assert summary.endswith("</code>\n")


def test_a_signal_at_any_moment_of_its_start(tmp_path: Path) -> None:
    """Before there are handlers, the default action ends a program that has done nothing yet; then it ends in order."""

    def end(delay: float) -> tuple[float, int, str, list[str], list[str]]:
        with Simulator(RUNNING) as simulator:
            with Step(tmp_path / f"{delay:.3f}", simulator).started() as running:
                time.sleep(delay)
                running.signal(signal.SIGTERM)
                result = running.wait()
                jobs = [job.status for job in simulator.jobs]
                calls = [str(entry.call) for entry in simulator.journal]
            return delay, result.code, result.outputs.get("outcome", ""), calls, jobs

    with ThreadPoolExecutor(max_workers=8) as pool:
        for delay, code, outcome, asked, jobs in pool.map(end, [step * 0.025 for step in range(24)]):
            if code == -signal.SIGTERM:
                assert (outcome, asked) == ("", []), delay
            else:
                assert (code, outcome) == (143, "cancelled"), delay
            assert set(jobs) <= {"STOPPED"}, delay


@pytest.mark.parametrize("module", ["matatika_deploy.main", "matatika_deploy.post"])
def test_signals_are_caught_before_anything_slow_is_imported(module: str) -> None:
    """As the first process of its container, a program loses every signal that comes before that."""
    look = (
        "import os, sys; from matatika_deploy.runtime import bootstrap, signals; "
        "signals.Signals.catch = lambda self: os._exit('requests' in sys.modules or 'ssl' in sys.modules); "
        f"bootstrap.run({module!r})"
    )
    assert subprocess.run([sys.executable, "-c", look]).returncode == 0
