"""Every fault of every call: how the step ends, what it asked for, and what has become of the deployment."""

import random
from pathlib import Path

import pytest

from tests.integration.faults.faults import Kind, api_error
from tests.integration.faults.playing import break_as, check
from tests.integration.faults.table import STORIES, Row, rows
from tests.support.inprocess import IMPATIENT, PATIENT, stage
from tests.support.peer import after_effect, reset


@pytest.mark.parametrize("row", list(rows()), ids=str)
def test_fault(row: Row, tmp_path: Path) -> None:
    random.seed(str(row))
    story = STORIES[row.call]
    with stage(tmp_path, story.scenario, **story.inputs) as here:
        break_as(row, here.peer)
        result = here.run(IMPATIENT if row.fault.kind is Kind.SILENT else PATIENT)

        check(row, result, here.peer, here.simulator)
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
