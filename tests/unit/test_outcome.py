"""What a step came to: exit codes, what the user is told, and the outputs."""

import signal

import pytest

from matatika_deploy import outcome
from matatika_deploy.errors import BadInput, CheckFailed, DeployError, PlatformError
from matatika_deploy.outcome import Outcome, StepResult, job_outputs
from matatika_deploy.platform.job import Job, parse_timestamp

JOB = Job(id="7127b1d3", status="COMPLETE")


@pytest.mark.parametrize(
    ("status", "result", "code"),
    [
        ("COMPLETE", Outcome.SUCCESS, 0),
        ("ERROR", Outcome.FAILURE, 1),
        ("STOPPED", Outcome.STOPPED, 1),
    ],
)
def test_status_of_the_job_decides(status: str, result: Outcome, code: int) -> None:
    found = outcome.ended(JOB._replace(status=status))
    assert (found.outcome, found.exit_code, found.is_good) == (result, code, code == 0)
    assert JOB.id in found.message
    assert status in found.message


@pytest.mark.parametrize("status", ["ERROR", "STOPPED"])
def test_job_that_did_not_succeed_gives_its_exit_code_if_it_has_one(status: str) -> None:
    assert "exit code 137" in outcome.ended(JOB._replace(status=status, exit_code=137)).message
    assert "exit code 0" in outcome.ended(JOB._replace(status=status, exit_code=0)).message
    assert "exit code" not in outcome.ended(JOB._replace(status=status)).message


@pytest.mark.parametrize(
    ("found", "result", "code"),
    [
        (outcome.submitted(JOB), Outcome.SUBMITTED, 0),
        (outcome.checked(), Outcome.CHECKED, 0),
        (outcome.timed_out("Too long."), Outcome.TIMED_OUT, 4),
        (outcome.cancelled(signal.SIGINT, "Withdrawn.", may_run_on=False), Outcome.CANCELLED, 130),
        (outcome.cancelled(signal.SIGTERM, "Withdrawn.", may_run_on=False), Outcome.CANCELLED, 143),
        (outcome.failed(BadInput(["`wait` must be `true` or `false`"])), Outcome.ERROR, 2),
        (outcome.failed(PlatformError("No.")), Outcome.ERROR, 3),
        (outcome.failed(CheckFailed("No.")), Outcome.ERROR, 5),
    ],
)
def test_every_other_end_has_its_exit_code(found: StepResult, result: Outcome, code: int) -> None:
    assert (found.outcome, found.exit_code, found.is_good) == (result, code, code == 0)
    assert found.title


def test_reason_of_a_failure_comes_first_in_the_message() -> None:
    failed = JOB._replace(status="ERROR")
    found = outcome.ended(failed, "The disk is full")
    assert found.message.startswith("The disk is full. Job 7127b1d3 ended")
    assert found.headline.startswith("Deployment failed: The disk is full. ")
    assert outcome.ended(failed, "Is it full?").message.startswith("Is it full? Job")


def test_end_of_the_log_is_no_reason_to_stop_and_comes_last() -> None:
    found = outcome.ended(JOB._replace(status="STOPPED"), "Waiting for the lock")
    assert found.message.startswith("Somebody stopped it, or it reached the platform's own limit.")
    assert found.message.endswith("At the end of its log: Waiting for the lock.")
    told = outcome.ended(JOB._replace(status="STOPPED", message="Out of time"), "Out of time")
    assert told.message.startswith("Out of time. Job 7127b1d3 ended with STOPPED.")
    assert "log" not in told.message


def test_failure_without_a_reason_says_where_to_look() -> None:
    failed = JOB._replace(status="ERROR")
    assert outcome.ended(failed, where_to_look="Look there.").hint == "Look there."
    assert outcome.ended(failed, "The disk is full", "Look there.").hint == ""


def test_duration_is_written_for_people() -> None:
    started, over = parse_timestamp("2024-05-01T10:00:00Z"), parse_timestamp("2024-05-01T11:02:03Z")
    assert "after 1 h 2 min" in outcome.ended(JOB._replace(started=started, ended=over)).message


def test_unknown_final_status_is_a_failure_that_names_it() -> None:
    found = outcome.ended(JOB._replace(status="EVAPORATED"))
    assert (found.outcome, found.exit_code) == (Outcome.FAILURE, 1)
    assert "EVAPORATED" in found.message


@pytest.mark.parametrize(
    ("message", "said"),
    [("Withdrawn.", "Withdrawn (SIGTERM)."), ("See https://a.example/b", "See https://a.example/b (SIGTERM)")],
)
def test_cancelled_step_names_its_signal(message: str, said: str) -> None:
    assert outcome.cancelled(signal.SIGTERM, message, may_run_on=False).message == said


def test_cancelled_step_is_an_error_only_if_the_job_may_run_on() -> None:
    assert outcome.cancelled(signal.SIGTERM, "Withdrawn.", may_run_on=False).is_notice
    assert not outcome.cancelled(signal.SIGTERM, "Not withdrawn.", may_run_on=True).is_notice


def test_failure_keeps_message_and_hint_apart() -> None:
    found = outcome.failed(PlatformError("What happened.", "What to do."))
    assert (found.message, found.hint) == ("What happened.", "What to do.")
    assert found.adding("And more.") == found._replace(message="What happened. And more.")
    assert found.adding("") == found
    assert found.headline == "Platform not reachable: What happened."


def test_missing_threads_are_explained() -> None:
    found = outcome.crashed(RuntimeError("can't start new thread"))
    assert (found.outcome, found.exit_code) == (Outcome.ERROR, 3)
    assert "thread" in found.message
    assert "clone3" in found.hint
    assert "defect" not in f"{found.message} {found.hint}"


def test_defect_names_its_place_but_not_its_text() -> None:
    try:
        raise RuntimeError("s3cret")
    except RuntimeError as error:
        found = outcome.crashed(error)
    assert (found.outcome, found.exit_code) == (Outcome.ERROR, 3)
    said = f"{found.title} {found.message} {found.hint}"
    assert "RuntimeError in test_defect_names_its_place_but_not_its_text" in said
    assert "s3cret" not in said


class TestErrors:
    """The tree of exceptions."""

    def test_all_are_one_family(self) -> None:
        for kind in (BadInput, PlatformError, CheckFailed):
            assert issubclass(kind, DeployError)

    def test_one_bad_input_is_named_at_once(self) -> None:
        error = BadInput(["`wait` must be `true` or `false`"])
        assert error.message == "`wait` must be `true` or `false`."
        assert error.problems == ("`wait` must be `true` or `false`.",)

    def test_several_bad_inputs_are_a_numbered_list(self) -> None:
        error = BadInput(["`a` is bad", "`b` is what?"])
        assert error.message == "2 mistakes. (1) `a` is bad. (2) `b` is what?"

    def test_as_text_they_are_message_and_hint(self) -> None:
        assert str(PlatformError("What happened.", "What to do.")) == "What happened. What to do."
        assert str(PlatformError("What happened.")) == "What happened."


class TestOutputs:
    """What the next steps get of a job."""

    def test_everything(self) -> None:
        job = JOB._replace(
            exit_code=0,
            commit_id="1e81ff3",
            created=parse_timestamp("2023-03-23T21:48:40.816543"),
            started=parse_timestamp("2023-03-23T21:48:41"),
            ended=parse_timestamp("2023-03-23T21:49:23.999"),
        )
        assert job_outputs(job, "https://app.matatika.com/api/jobs/7127b1d3") == {
            "job-id": "7127b1d3",
            "job-url": "https://app.matatika.com/api/jobs/7127b1d3",
            "status": "COMPLETE",
            "exit-code": "0",
            "commit-id": "1e81ff3",
            "created-at": "2023-03-23T21:48:40Z",
            "started-at": "2023-03-23T21:48:41Z",
            "ended-at": "2023-03-23T21:49:23Z",
            "duration": "42",
        }

    def test_what_is_unknown_is_left_out(self) -> None:
        assert job_outputs(JOB, "https://x/y").keys() == {"job-id", "job-url", "status"}
