"""The platform is away while a job runs: for minutes that is waited out, for longer it is reported."""

import random
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.in_process import IMPATIENT, stage
from tests.support.peer import silence

MINUTE: Final = 60.0
LOG: Final = [{"text": "before"}, {"at": "100s", "text": "during"}, {"at": "170s", "text": "after"}]

WAYS: Final[dict[str, dict[str, Any]]] = {
    "502 of a gateway": {"status": 502, "body": "html"},
    "503 of the API": {"status": 503, "headers": {"Retry-After": "7"}},
    "429": {"status": 429, "headers": {"Retry-After": "20"}},
    "lost connections": {"drop": "reset"},
    "web pages": {"status": 200, "body": "html"},
    "half answers": {"status": 200, "body": {"text": '{"id": "'}},
}
LOUD: Final = {"logs": "stream", "timeout": "1h"}


@pytest.fixture(autouse=True)
def _same_jitter() -> None:
    random.seed("outage")


def outage(minutes: float, way: dict[str, Any], runs: float = 3 * MINUTE) -> dict[str, Any]:
    """A job that runs for so many seconds, on a platform that is away from 2 s after the trigger on."""
    calls = ["token", "jobs", "job", "withdraw", "delete", "workspace"]
    # Half a JSON object is a log like any other.
    faults = [{"calls": calls if way == WAYS["half answers"] else "all", **way}]
    during = {"requests": {"during": [2.0, 2.0 + minutes * MINUTE]}}
    return {"job": {"runs": runs, "log": LOG}, "faults": [{**fault, **during} for fault in faults]}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_four_minutes_are_waited_out(way: dict[str, Any], tmp_path: Path) -> None:
    with stage(tmp_path, outage(4, way), **LOUD) as here:
        result = here.run()
        assert len(here.simulator.jobs) == 1
        assert here.clock.passed >= 4 * MINUTE
    assert (result.code, result.outputs["status"]) == (0, "COMPLETE")
    assert result.log.job_log == b"before\nduring\nafter\n"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_six_minutes_are_an_error_that_names_the_job(way: dict[str, Any], tmp_path: Path) -> None:
    with stage(tmp_path, outage(6, way, runs=10 * MINUTE), **LOUD) as here:
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


def test_job_may_go_on_after_an_outage(tmp_path: Path) -> None:
    with stage(tmp_path, outage(4, WAYS["lost connections"], runs=5 * MINUTE), **LOUD) as here:
        assert here.run().code == 0
        assert here.clock.passed >= 5 * MINUTE


def test_refused_connections_are_an_outage_too(tmp_path: Path) -> None:
    with stage(tmp_path, {"job": {"runs": 3 * MINUTE, "log": LOG}}, **LOUD) as here:
        here.clock.call_later(2, lambda: here.peer.refuse(4 * MINUTE))
        result = here.run()
    assert result.code == 0
    assert result.log.job_log == b"before\nduring\nafter\n"


def test_silence_is_an_outage_too(tmp_path: Path) -> None:
    with stage(tmp_path, {"job": {"runs": "1h"}}, timeout="1h") as here:
        here.peer.on("job", silence(30))
        result = here.run(IMPATIENT)
        assert 5 * MINUTE <= here.clock.passed < 6 * MINUTE
        assert 8 <= here.peer.count("job") <= 12
        assert here.simulator.jobs[0].id in result.log.said("error")[0]
    assert result.code == 3


def test_good_answers_between_end_an_outage(tmp_path: Path) -> None:
    # Nine minutes of it in all, but one good answer after four and a half.
    halves = [{"calls": "all", "status": 502, "requests": {"during": span}} for span in ([2, 272], [290, 560])]
    with stage(tmp_path, {"job": {"runs": 10 * MINUTE}, "faults": halves}, **LOUD) as here:
        assert here.run().code == 0


def test_platform_that_is_away_until_the_deadline_is_a_timeout(tmp_path: Path) -> None:
    with stage(tmp_path, outage(60, WAYS["502 of a gateway"]), logs="stream", timeout="4m") as here:
        result = here.run()
        (job,) = here.simulator.jobs
        assert here.clock.passed <= 4 * MINUTE + 10
    assert (result.code, result.outputs["outcome"]) == (4, "timed-out")
    assert job.id in result.log.said("error")[0]
