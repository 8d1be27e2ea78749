"""The platform is away while a job runs: for minutes that is waited out, for longer it is reported."""

import random
import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.peer import silence
from tests.support.stage import stage

MINUTE: Final = 60.0
LOG: Final = [{"text": "before"}, {"at": "100s", "text": "during"}, {"at": "170s", "text": "after"}]
# Half a JSON object is a log like any other.
READABLE: Final = ["token", "jobs", "job", "withdraw", "delete", "workspace"]
WAYS: Final[tuple[dict[str, Any], ...]] = (
    {"calls": "all", "status": 502, "body": "html"},
    {"calls": "all", "status": 503, "headers": {"Retry-After": "7"}},
    {"calls": "all", "status": 429, "headers": {"Retry-After": "20"}},
    {"calls": "all", "drop": "reset"},
    {"calls": "all", "status": 200, "body": "html"},
    {"calls": READABLE, "status": 200, "body": {"text": '{"id": "'}},
)
LOUD: Final = {"logs": "stream", "timeout": "1h"}


@pytest.fixture(autouse=True)
def _same_jitter() -> None:
    random.seed("outage")


def outage(*spans: tuple[float, float], way: dict[str, Any] = WAYS[0], runs: float = 10 * MINUTE) -> dict[str, Any]:
    """A job that runs for so many seconds, on a platform that is away from some seconds after the trigger to others."""
    faults = [{**way, "requests": {"during": list(span)}} for span in spans]
    return {"job": {"runs": runs, "log": LOG}, "faults": faults}


def test_four_minutes_of_every_kind_of_failure_are_waited_out(tmp_path: Path) -> None:
    runs = 3 * MINUTE
    length = 4 * MINUTE / len(WAYS)
    starts = [2 + number * length for number in range(len(WAYS))]
    faults = [{**way, "requests": {"during": [at, at + length]}} for way, at in zip(WAYS, starts, strict=True)]
    with stage(tmp_path, {"job": {"runs": runs, "log": LOG}, "faults": faults}, **LOUD) as here:
        result = here.run()
        assert len(here.simulator.jobs) == 1
        assert here.clock.passed >= max(4 * MINUTE, runs)
    assert (result.code, result.outputs["status"]) == (0, "COMPLETE")
    assert result.log.job_log == b"before\nduring\nafter\n"
    # Once a minute, and when it is over.
    *failed, over = [line for line in result.log.lines if re.match(r"Could (not )?read the job\b(?!')", line)]
    assert 4 <= len(failed) <= 5
    assert re.fullmatch(r"Could read the job, after [34] min( \d+ s)? of trying\.", over)


def test_six_minutes_are_an_error_that_names_the_job(tmp_path: Path) -> None:
    with stage(tmp_path, outage((2, 2 + 6 * MINUTE), way=WAYS[2]), **LOUD) as here:
        result = here.run()
        (job,) = here.simulator.jobs
        assert job.status == "RUNNING"
        # A pause that the platform asks for is not begun if it leads beyond the five minutes.
        assert 4.5 * MINUTE <= here.clock.passed < 6 * MINUTE
    assert result.code == 3
    (error,) = result.log.said("error")
    assert "no good answer for 5 min" in error
    assert job.id in error
    assert "may be running still" in error
    assert result.outputs["job-id"] == job.id


def test_silence_is_an_outage_too(tmp_path: Path) -> None:
    with stage(tmp_path, {"job": {"runs": "1h"}}, timeout="1h") as here:
        here.peer.on("job", silence(30))
        result = here.run()
        assert 5 * MINUTE <= here.clock.passed < 6 * MINUTE
        assert 8 <= here.peer.count("job") <= 12
        assert here.simulator.jobs[0].id in result.log.said("error")[0]
    assert result.code == 3


def test_good_answers_between_end_an_outage(tmp_path: Path) -> None:
    # Nine minutes of it in all, but one good answer after four and a half.
    with stage(tmp_path, outage((2, 272), (290, 560)), timeout="1h") as here:
        assert here.run().code == 0


def test_platform_that_is_away_until_the_deadline_is_a_timeout(tmp_path: Path) -> None:
    with stage(tmp_path, outage((2, 60 * MINUTE)), timeout="2m") as here:
        result = here.run()
        (job,) = here.simulator.jobs
        assert here.clock.passed <= 2 * MINUTE + 10
    assert (result.code, result.outputs["outcome"]) == (4, "timed-out")
    assert job.id in result.log.said("error")[0]
