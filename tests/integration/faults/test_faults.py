"""Every fault of every call: how the step ends, what it asked for, and what has become of the deployment."""

import random
import time
from pathlib import Path

import pytest

from tests.integration.faults.faults import Kind, api_error, html
from tests.integration.faults.row_checks import break_as, check
from tests.integration.faults.table import STORIES, Row, rows
from tests.support.in_process import IMPATIENT, PATIENT, stage
from tests.support.peer import after_effect, answer, reset
from tests.support.pipelines import check_out

# Far more than any row takes; far less than a peer that is silent for good, or drips a byte at a time, would.
REAL_SECONDS = 30


@pytest.mark.parametrize("row", list(rows()), ids=str)
def test_fault(row: Row, tmp_path: Path) -> None:
    random.seed(str(row))
    began = time.monotonic()
    story = STORIES[row.call]
    with stage(tmp_path, story.scenario, **story.inputs) as here:
        if story.has_files:
            check_out(here.step, {"a": ""})
        break_as(row, here.peer)
        result = here.run(PATIENT)

        check(row, result, here.peer, here.simulator)
        assert time.monotonic() - began < REAL_SECONDS
        least, most = row.expected.lasting
        assert least <= here.clock.passed <= most
    if row.call == "logs" and result.code == 0 and not row.expected.warnings:
        assert result.log.job_log == "Déployé: un\ndeux\ntrois\n".encode()


@pytest.mark.parametrize("call", ["trigger", "jobs", "job"])
def test_refused_personal_token_is_final(call: str, tmp_path: Path) -> None:
    with stage(tmp_path, {"job": {"runs": "0.5s"}}) as here:
        if call == "jobs":
            here.peer.on("trigger", after_effect(reset), {1})
        here.peer.on(call, api_error(401, "The access token is expired or invalid"), {1})
        result = here.run()
        assert here.peer.count(call) == 1
    assert result.code == 3
    (error,) = result.log.said("error")
    assert "expired or invalid" in error
    assert "`client-id`" in error


@pytest.mark.parametrize("skew", ["-1h", "1h"])
def test_date_in_retry_after_is_seen_from_the_platforms_clock(skew: str, tmp_path: Path) -> None:
    with stage(tmp_path, {"job": {"runs": "0.5s"}, "clock-skew": skew}) as here:
        here.peer.on("job", answer(429, headers={"Retry-After": "{date+8}"}), {1})
        assert here.run().code == 0
        first, second = here.peer.calls("job")
    assert 8 <= second.at - first.at <= 8 * 1.25


def test_log_that_fails_for_long_is_warned_of_once_and_comes_all_the_same(tmp_path: Path) -> None:
    with stage(
        tmp_path, {"job": {"runs": "5m", "log": [{"text": "one"}, {"at": "4m", "text": "two"}]}}, logs="stream"
    ) as here:
        here.peer.on("logs", html(502), range(1, 9))
        result = here.run()
    assert result.code == 0
    assert len(result.log.said("warning")) == 1
    assert result.log.job_log == b"one\ntwo\n"
