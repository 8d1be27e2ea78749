"""The platform is away while a job runs: for minutes that is waited out, for longer it is reported."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.peer import silence
from tests.support.stage import stage

# Half a JSON object is a log like any other.
READABLE = ["token", "jobs", "job", "withdraw", "delete", "workspace"]
WAYS: tuple[dict[str, Any], ...] = (
    {"status": 502, "body": "html"},
    {"status": 503, "headers": {"Retry-After": "7"}},
    {"status": 429, "headers": {"Retry-After": "20"}},
    {"drop": "reset"},
    {"status": 200, "body": "html"},
    {"calls": READABLE, "status": 200, "body": {"text": '{"id": "'}},
)


@pytest.fixture(autouse=True)
def _same_jitter() -> None:
    random.seed("outage")


def outage(start: float, end: float, way: dict[str, Any] = WAYS[0]) -> dict[str, Any]:
    """A fault of all calls, in seconds after the trigger."""
    return {"calls": "all", **way, "requests": {"during": [start, end]}}


def test_four_minutes_of_every_kind_of_failure_are_waited_out(tmp_path: Path) -> None:
    log = [{"text": "before"}, {"at": "100s", "text": "during"}, {"at": "170s", "text": "after"}]
    faults = [outage(2 + 40 * number, 42 + 40 * number, way) for number, way in enumerate(WAYS)]
    with stage(tmp_path, {"job": {"runs": "3m", "log": log}, "faults": faults}, logs="stream", timeout="1h") as here:
        result = here.run()
        assert len(here.simulator.jobs) == 1
        assert here.clock.passed >= 240
    assert (result.code, result.outputs["status"]) == (0, "COMPLETE")
    assert result.log.job_log == b"before\nduring\nafter\n"
    # Once a minute, and when it is over.
    *failed, over = [line for line in result.log.lines if re.match(r"Could (not )?read the job\b(?!')", line)]
    assert 4 <= len(failed) <= 5
    assert re.fullmatch(r"Could read the job, after [34] min( \d+ s)? of trying\.", over)


@pytest.mark.parametrize("is_silent", [False, True], ids=["busy", "silent"])
def test_six_minutes_are_an_error_that_names_the_job(is_silent: bool, tmp_path: Path) -> None:
    faults = [] if is_silent else [outage(2, 362, WAYS[2])]
    with stage(tmp_path, {"job": {"runs": "10m"}, "faults": faults}, timeout="1h") as here:
        if is_silent:
            here.peer.on("job", silence(30))
        result = here.run()
        (job,) = here.simulator.jobs
        assert job.status == "RUNNING"
        # A pause that the platform asks for is not begun if it leads beyond the five minutes.
        assert 270 <= here.clock.passed < 360
    (error,) = result.log.said("error")
    assert all(part in error for part in ("no good answer for 5 min", job.id, "may be running still"))
    assert (result.code, result.outputs["job-id"]) == (3, job.id)


def test_good_answers_between_end_an_outage(tmp_path: Path) -> None:
    # Nine minutes of it in all, but one good answer after four and a half.
    scenario = {"job": {"runs": "10m"}, "faults": [outage(2, 272), outage(290, 560)]}
    with stage(tmp_path, scenario, timeout="1h") as here:
        assert here.run().code == 0


def test_platform_that_is_away_until_the_deadline_is_a_timeout(tmp_path: Path) -> None:
    with stage(tmp_path, {"job": {"runs": "10m"}, "faults": [outage(2, 3600)]}, timeout="2m") as here:
        result = here.run()
        (job,) = here.simulator.jobs
        assert here.clock.passed <= 130
    assert (result.code, result.outputs["outcome"]) == (4, "timed-out")
    assert job.id in result.log.said("error")[0]
