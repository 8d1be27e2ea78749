"""What a step came to: exit codes, as README.md has them, what the user is told, and the outputs."""

import signal
from collections import defaultdict

import pytest

from matatika_deploy import outcome
from matatika_deploy.errors import BadInput, CheckFailed, PlatformError
from matatika_deploy.outcome import Outcome, StepResult, job_outputs
from matatika_deploy.platform.job import Job, parse_timestamp
from tests.support.readme import README, table

JOB = Job(id="7127b1d3", status="COMPLETE")
FAILED = JOB._replace(status="ERROR")
STOPPED = JOB._replace(status="STOPPED")
ENDS = [
    (outcome.ended(JOB), Outcome.SUCCESS, 0),
    (outcome.ended(FAILED), Outcome.FAILURE, 1),
    (outcome.ended(STOPPED), Outcome.STOPPED, 1),
    (outcome.ended(JOB._replace(status="EVAPORATED")), Outcome.FAILURE, 1),
    (outcome.submitted(JOB), Outcome.SUBMITTED, 0),
    (outcome.checked(), Outcome.CHECKED, 0),
    (outcome.timed_out("Too long."), Outcome.TIMED_OUT, 4),
    (outcome.cancelled(signal.SIGINT, "Withdrawn.", may_run_on=False), Outcome.CANCELLED, 130),
    (outcome.cancelled(signal.SIGTERM, "Withdrawn.", may_run_on=False), Outcome.CANCELLED, 143),
    (outcome.failed(BadInput(["`wait` must be `true` or `false`"])), Outcome.ERROR, 2),
    (outcome.failed(PlatformError("No.")), Outcome.ERROR, 3),
    (outcome.failed(CheckFailed("No.")), Outcome.ERROR, 5),
]


@pytest.mark.parametrize(("found", "result", "code"), ENDS)
def test_every_end_has_its_exit_code(found: StepResult, result: Outcome, code: int) -> None:
    assert (found.outcome, found.exit_code, found.is_good) == (result, code, code == 0)
    assert found.title


def test_readme_tells_each_exit_code_with_its_outcomes() -> None:
    ended: dict[int, set[str]] = defaultdict(set)
    for _, result, code in ENDS:
        ended[code].add(result)
    rows = table(README, "When it fails")
    told = {int(code.strip("` ")): outcomes for codes, outcomes, _ in rows for code in codes.split(",")}
    assert {code: {name.strip("` ") for name in outcomes.split(",")} for code, outcomes in told.items()} == ended


def test_plan_is_headed_by_what_became_of_it() -> None:
    refused, failed = outcome.failed(CheckFailed("No.")), outcome.failed(PlatformError("No."))
    for ends, heading in (
        ([(outcome.pipeline_ended("a", FAILED), JOB), (outcome.submitted(FAILED), FAILED)], "the deployment changes"),
        ([(outcome.checked(), None), (refused, None)], "the deployment would change"),
        ([(failed, None), (outcome.ended(FAILED), FAILED)], "was to change"),
    ):
        assert {outcome.plan_heading(*end) for end in ends} == {f"What {heading}"}


@pytest.mark.parametrize("status", ["COMPLETE", "ERROR", "STOPPED", "EVAPORATED"])
def test_end_of_a_job_names_its_status_its_exit_code_and_how_long_it_took(status: str) -> None:
    started, over = parse_timestamp("2024-05-01T10:00:00Z"), parse_timestamp("2024-05-01T11:02:03Z")
    job = JOB._replace(status=status, started=started, ended=over)
    assert "Job 7127b1d3" in outcome.ended(job).message
    assert f"{status} after 1 h 2 min." in outcome.ended(job).message
    for code in (0, 137):
        is_told = f"(exit code {code})" in outcome.ended(job._replace(exit_code=code)).message
        assert is_told == (status != "COMPLETE")


def test_every_end_says_why_and_what_to_do() -> None:
    term = signal.SIGTERM
    stopped = "Job 7127b1d3 ended with STOPPED."
    for found, headline, hint in (
        (outcome.ended(FAILED, "Disk full", "Look."), "failed: Disk full. Job 7127b1d3 ended with ERROR.", ""),
        (outcome.ended(FAILED, "Is it full?"), "failed: Is it full? Job 7127b1d3 ended with ERROR.", ""),
        (outcome.ended(FAILED, where_to_look="Look."), "failed: Job 7127b1d3 ended with ERROR.", "Look."),
        # The end of the log is no reason to stop, and comes last.
        (
            outcome.ended(STOPPED, "Waiting"),
            f"limit. {stopped} At the end of its log: Waiting.",
            "Run the workflow again",
        ),
        (outcome.ended(STOPPED._replace(message="Too long"), "Too long"), f"stopped: Too long. {stopped}", "Run"),
        (outcome.cancelled(term, "Withdrawn.", may_run_on=False), "cancelled: Withdrawn (SIGTERM).", ""),
        (outcome.cancelled(term, "See https://a.example/b", may_run_on=True), "https://a.example/b (SIGTERM)", ""),
        (outcome.failed(PlatformError("Why.", "Do it.")), "Platform not reachable: Why.", "Do it."),
        (outcome.failed(PlatformError("Why.")).adding("And more."), "Platform not reachable: Why. And more.", ""),
    ):
        assert found.headline.endswith(headline)
        assert found.hint.startswith(hint)
        assert bool(found.hint) == bool(hint)
        # A cancelled step is an error only if the job may run on.
        assert found.is_notice == ("Withdrawn" in headline)
    assert [str(PlatformError("Why.", *hint)) for hint in ([], ["Do it."])] == ["Why.", "Why. Do it."]


def test_defect_names_its_place_but_not_its_text_and_missing_threads_are_none() -> None:
    strict = outcome.crashed(RuntimeError("can't start new thread"))
    assert "clone3" in strict.hint
    assert "defect" not in strict.hint
    try:
        raise RuntimeError("s3cret")
    except RuntimeError as error:
        found = outcome.crashed(error)
    assert (found.outcome, found.exit_code) == (strict.outcome, strict.exit_code) == (Outcome.ERROR, 3)
    assert "RuntimeError in test_defect_names_its_place" in found.message
    assert "s3cret" not in f"{found.title} {found.message} {found.hint}"


def test_outputs_tell_what_is_known_of_a_job() -> None:
    known = {"job-id": "7127b1d3", "job-url": "https://x/y", "status": "COMPLETE"}
    assert job_outputs(JOB, "https://x/y") == known
    moments = [f"2023-03-23T21:{moment}" for moment in ("48:40.816543", "48:41", "49:23.999")]
    created, started, ended = (parse_timestamp(moment) for moment in moments)
    job = JOB._replace(exit_code=0, commit_id="1e81ff3", created=created, started=started, ended=ended)
    assert job_outputs(job, "https://x/y") == {
        **known,
        "exit-code": "0",
        "commit-id": "1e81ff3",
        "created-at": "2023-03-23T21:48:40Z",
        "started-at": "2023-03-23T21:48:41Z",
        "ended-at": "2023-03-23T21:49:23Z",
        "duration": "42",
    }
