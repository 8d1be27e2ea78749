"""One deployment for one step, whatever becomes of the answer: what `test_faults` does not cover of it."""

import json
import random
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_simulator import Simulator
from tests.integration.faults.faults import api_error, html
from tests.support.clock import FakeClock
from tests.support.peer import Behaviour, after_effect, changed, reset, silence
from tests.support.stage import stage
from tests.support.step import API_KEY, WEBHOOK, Step

ENDLESS = {"job": {"runs": "forever"}}


@pytest.fixture(autouse=True)
def _same_jitter() -> None:
    random.seed("trigger once")


@pytest.mark.parametrize("is_conflict", [False, True], ids=["lost answer", "conflict"])
def test_webhook_without_a_list_of_jobs_cannot_tell_what_was_queued(is_conflict: bool, tmp_path: Path) -> None:
    others = [{"type": "WORKSPACE_DEPLOY", "at": "-5s", "runs": "1h"}] if is_conflict else []
    with stage(tmp_path, {**ENDLESS, "other-jobs": others}, **WEBHOOK) as here:
        if not is_conflict:
            here.peer.on("webhook", after_effect(reset))
        result = here.run()
        assert here.peer.count("webhook") == 1
    (error,) = result.log.said("error")
    assert (result.code, "may have been queued" in error) == (3, True)
    assert ("A deployment of this workspace is queued or running already" in error) == is_conflict


@pytest.mark.parametrize("requests", [{1}, {1, 2}], ids=["then accepted", "then refused again"])
def test_body_that_is_too_large_is_left_out_once(requests: set[int], tmp_path: Path) -> None:
    with stage(tmp_path, ENDLESS, **WEBHOOK) as here:
        here.step.event.write_text(json.dumps({"commits": ["x" * 3_000_000]}))
        here.step.environ["GITHUB_EVENT_NAME"] = "push"
        here.peer.on("webhook", html(413), requests)
        result = here.run()
        event, empty = here.peer.calls("webhook")
        assert len(event.body) > 3_000_000
        assert empty.body == b"{}"
    assert (result.code, result.outputs["outcome"]) == ((0, "submitted") if requests == {1} else (3, "error"))


@pytest.mark.parametrize(
    ("is_queued", "has_list", "statuses"), [(True, True, ["STOPPED"]), (False, True, []), (True, False, ["RUNNING"])]
)
def test_deployment_that_was_queued_as_the_time_ended_is_found_and_withdrawn_or_reported(
    is_queued: bool, has_list: bool, statuses: list[str], tmp_path: Path
) -> None:
    with stage(tmp_path, ENDLESS, timeout="20s") as here:
        here.peer.on("trigger", after_effect(silence(25)) if is_queued else silence(25))
        if not has_list:
            here.peer.on("jobs", html(503))
        result = here.run()
        # The silence of 25 s began at once, or when the list was tried for 10 s.
        assert here.clock.passed <= (35 if has_list else 40)
        assert here.peer.count("trigger") == 1
        assert [job.status for job in here.simulator.jobs] == statuses
    assert (result.code, result.outputs["outcome"]) == (4, "timed-out")
    assert ("job-id" in result.outputs) == (is_queued and has_list)
    assert has_list or "may have been queued" in result.log.said("error")[0]


def hide_queued(page: dict[str, Any]) -> dict[str, Any]:
    jobs = page.get("_embedded", {}).get("jobs", [])
    return {**page, "_embedded": {"jobs": [job for job in jobs if job["status"] != "QUEUED"]}}


@pytest.mark.parametrize(
    ("refusal", "timeout", "code"), [(api_error(409), "30m", 3), (api_error(409), "60s", 4), (html(403), "30m", 3)]
)
def test_deployment_whose_answer_was_lost_is_not_forgotten(
    refusal: Behaviour, timeout: str, code: int, tmp_path: Path
) -> None:
    with stage(tmp_path, {"job": {"queued": "forever"}}, timeout=timeout) as here:
        here.peer.on("jobs", changed(hide_queued))
        here.peer.on("trigger", after_effect(reset), {1})
        here.peer.on("trigger", refusal, range(2, 999))
        result = here.run()
    assert (result.code, "may have been queued" in result.log.said("error")[0]) == (code, True)


@pytest.mark.parametrize("lost", [{1}, {1, 2}], ids=["accepted", "found"])
def test_second_deployment_is_told_of_when_one_is_withdrawn(lost: set[int], tmp_path: Path) -> None:
    scenario = {"job": {"queued": "25s", "runs": "forever"}, "deployments": {"while-another-runs": "queue"}}
    with stage(tmp_path, scenario, timeout="60s") as here:
        here.peer.on("jobs", changed(hide_queued))
        here.peer.on("trigger", after_effect(html(504)), lost)
        (error,) = here.run().log.said("error")
        assert sorted(job.status for job in here.simulator.jobs) == ["RUNNING", "STOPPED"]
    assert "it was withdrawn, but a second deployment may have been queued." in error


BUSY: Final = api_error(409)


@pytest.mark.parametrize(
    ("faults", "is_reason"),
    [
        ([("trigger", BUSY, {1, 2})], False),
        ([("trigger", BUSY, {1, 2}), ("trigger", html(429), range(3, 999))], False),
        ([("trigger", BUSY, range(999)), ("jobs", html(502), range(2, 999))], True),
    ],
)
def test_conflict_is_the_reason_of_a_timeout_as_long_as_it_lasts(
    faults: list[tuple[Any, ...]], is_reason: bool, tmp_path: Path
) -> None:
    with stage(tmp_path, ENDLESS, timeout="60s") as here:
        for fault in faults:
            here.peer.on(*fault)
        (error,) = here.run().log.said("error")
    assert ("409" in error, "concurrency" in error) == (is_reason, is_reason)


@pytest.mark.parametrize(
    ("faults", "most"),
    [
        # There is no list when it is over, and the next answer is lost.
        ([("trigger", reset, {2}), ("jobs", html(502), range(3, 9))], 3),
        # It is listed as running, though it is gone: that is found out ever less often.
        ([("trigger", api_error(409), range(999)), ("job", api_error(404), range(999))], 90),
    ],
)
def test_job_in_the_way_is_waited_for(faults: list[tuple[Any, ...]], most: int, tmp_path: Path) -> None:
    others = [{"at": "-5s", "runs": "15s" if most == 3 else "forever"}]
    with stage(tmp_path, {**ENDLESS, "other-jobs": others}, wait="false", timeout="5m") as here:
        for fault in faults:
            here.peer.on(*fault)
        assert (here.run().code, here.peer.count("trigger") <= most) == (0 if most == 3 else 4, True)


def test_trigger_has_a_connection_of_its_own(tmp_path: Path) -> None:
    # A kept connection that went stale would look like an answer that was lost. No peer: it would keep none.
    clock = FakeClock()
    with Simulator("success", clock=clock.now, held=clock.held) as simulator:
        Step(tmp_path, simulator, **API_KEY).run(clock)
        (trigger,) = simulator.calls("trigger")
        before = [entry for entry in simulator.journal if entry.number < trigger.number]
        assert {entry.call for entry in before} == {"token", "workspace", "jobs"}
        assert trigger.client not in {entry.client for entry in before}
