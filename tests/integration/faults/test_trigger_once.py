"""One deployment for one step, whatever becomes of the answer: what `test_faults` does not cover of it."""

import json
import random
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_simulator import Simulator, constants
from tests.integration.faults.faults import FAULTS, Fault, Kind, api_error, html
from tests.support.clock import FakeClock
from tests.support.peer import Behaviour, after_effect, reset, silence
from tests.support.stage import stage
from tests.support.step import WEBHOOK, Step

QUICK: Final = {"runs": "5s"}
ENDLESS: Final = {"runs": "forever"}
OPEN: Final = [
    fault
    for fault in FAULTS
    if fault.kind in (Kind.LOST, Kind.SILENT, Kind.NONSENSE) and fault.can_happen_to("webhook")
]
QUEUED = pytest.mark.parametrize("is_queued", [True, False], ids=["queued", "not queued"])


@pytest.fixture(autouse=True)
def _same_jitter() -> None:
    random.seed("trigger once")


def lost(behaviour: Behaviour, *, is_queued: bool) -> Behaviour:
    return after_effect(behaviour) if is_queued else behaviour


def others(count: int = 1, **plan: Any) -> list[dict[str, Any]]:
    return [{"type": "WORKSPACE_DEPLOY", **plan}] * count


class TestWithoutToken:
    """With `deployment-secret` alone there is no list to look at."""

    INPUTS: Final = WEBHOOK

    @pytest.mark.parametrize("fault", OPEN, ids=str)
    def test_open_answer_is_an_error_that_says_so(self, fault: Fault, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}, **self.INPUTS) as here:
            here.peer.on("webhook", after_effect(fault.behaviour))
            result = here.run()
            assert here.peer.count("webhook") == 1
            assert len(here.simulator.jobs) == 1
        assert result.code == 3
        assert "may have been queued" in result.log.said("error")[0]

    def test_refusal_is_tried_again(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}, **self.INPUTS) as here:
            here.peer.refuse(60)
            here.peer.on("webhook", html(429), {1, 2})
            here.peer.on("webhook", api_error(503), {3})
            result = here.run()
            assert here.peer.count("webhook") == 4
            assert len(here.simulator.jobs) == 1
        assert (result.code, result.outputs["outcome"]) == (0, "submitted")

    def test_conflict_is_an_error_at_once(self, tmp_path: Path) -> None:
        scenario = {"job": QUICK, "other-jobs": others(at="-5s", runs="1h")}
        with stage(tmp_path, scenario, **self.INPUTS) as here:
            result = here.run()
            assert here.peer.count("webhook") == 1
        assert result.code == 3
        (error,) = result.log.said("error")
        assert "A deployment of this workspace is queued or running already" in error
        assert "A deployment may have been queued" in error

    @pytest.mark.parametrize("requests", [{1}, {1, 2}], ids=["then accepted", "then refused again"])
    def test_body_that_is_too_large_is_left_out_once(self, requests: set[int], tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}, **self.INPUTS) as here:
            here.step.event.write_text(json.dumps({"commits": ["x" * 3_000_000]}))
            here.step.environ["GITHUB_EVENT_NAME"] = "push"
            here.peer.on("webhook", html(413), requests)
            result = here.run()
            event, empty = here.peer.calls("webhook")
            assert len(event.body) > 3_000_000
            assert empty.body == b"{}"
        assert (result.code, result.outputs["outcome"]) == ((0, "submitted") if requests == {1} else (3, "error"))


class TestOthers:
    """Somebody else deploys the same workspace at the same moment."""

    SAME_SECOND: Final = {
        "job": ENDLESS,
        "other-jobs": others(since="first-trigger", at="-0.2s", runs="forever"),
        "deployments": {"while-another-runs": "queue"},
    }

    def test_oldest_is_followed_with_a_warning(self, tmp_path: Path) -> None:
        scenario = {**self.SAME_SECOND, "other-jobs": others(since="first-trigger", at="-0.2s", runs="8s")}
        with stage(tmp_path, scenario) as here:
            here.peer.on("trigger", after_effect(reset), {1})
            result = here.run()
            other, own = sorted(here.simulator.jobs, key=lambda job: job.created)
            assert here.peer.count("trigger") == 1
        assert (other.triggered_by, own.triggered_by) == ("other", "token")
        assert (result.code, result.outputs["job-id"]) == (0, other.id)
        assert len(result.log.said("warning")) == 1

    def test_followed_job_is_not_withdrawn_at_the_deadline(self, tmp_path: Path) -> None:
        with stage(tmp_path, self.SAME_SECOND, timeout="30s") as here:
            here.peer.on("trigger", after_effect(reset), {1})
            result = here.run()
            assert_nothing_withdrawn(here.simulator)
        assert result.code == 4
        assert "somebody else's" in result.log.said("error")[0]


class TestDeadline:
    """The trigger is still under way when the time is over."""

    @QUEUED
    def test_what_was_queued_is_withdrawn(self, is_queued: bool, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": ENDLESS}, timeout="20s") as here:
            here.peer.on("trigger", lost(silence(25), is_queued=is_queued))
            result = here.run()
            assert here.clock.passed < 20 + 10 + 5
            assert here.peer.count("trigger") == 1
            assert [job.status for job in here.simulator.jobs] == (["STOPPED"] if is_queued else [])
        assert (result.code, result.outputs["outcome"]) == (4, "timed-out")
        assert ("job-id" in result.outputs) == is_queued

    def test_unknown_fate_is_reported(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": ENDLESS}, timeout="20s") as here:
            here.peer.on("trigger", after_effect(silence(25)))
            here.peer.on("jobs", html(503))
            result = here.run()
        assert result.code == 4
        assert "may have been queued" in result.log.said("error")[0]


def test_found_job_counts_as_submitted(tmp_path: Path) -> None:
    with stage(tmp_path, {"job": QUICK}, wait="false") as here:
        here.peer.on("trigger", after_effect(reset), {1})
        result = here.run()
        assert result.outputs["job-id"] == here.simulator.jobs[0].id
    assert (result.code, result.outputs["outcome"]) == (0, "submitted")


def test_trigger_has_a_connection_of_its_own(tmp_path: Path) -> None:
    # A kept connection that went stale would look like an answer that was lost. No peer: it would keep none.
    clock = FakeClock()
    key = {"token": "", "client-id": constants.CLIENT_ID, "client-secret": constants.CLIENT_SECRET}
    with Simulator({"job": QUICK}, clock=clock.now, held=clock.held) as simulator:
        Step(tmp_path, simulator, **key).run(clock)
        (trigger,) = simulator.calls("trigger")
        before = [entry for entry in simulator.journal if entry.number < trigger.number]
        assert {entry.call for entry in before} == {"token", "workspace", "jobs"}
        assert trigger.client not in {entry.client for entry in before}


def assert_nothing_withdrawn(simulator: Simulator) -> None:
    assert not simulator.calls("withdraw")
    assert not simulator.calls("delete")
    assert {job.status for job in simulator.jobs} == {"RUNNING"}
