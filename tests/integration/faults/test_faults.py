"""Every fault of every call: how the step ends, what it asked for, and what has become of the deployment."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
import requests

from matatika_deploy.platform import responses
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.http import Http
from matatika_deploy.platform.job import parse_job
from matatika_deploy.platform.responses import Failure, InvalidResponse, Request, TransportError, classify
from matatika_deploy.runtime.cancellation import CancelScope
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import JobState, Simulator
from tests.integration.faults.faults import FAULTS, Fault, Kind
from tests.integration.faults.reliability import FILE, written
from tests.integration.faults.table import RUNNING, STORIES, Expected, Row, rows
from tests.support.clock import FakeClock
from tests.support.peer import Peer, after_effect, answer, reset, silence
from tests.support.platform import make_client
from tests.support.result import Result
from tests.support.stage import check_out, stage

# What the faults of a kind mean to the client; all others are refusals.
MEANS: Final[Mapping[Kind, responses.Kind]] = {
    **dict.fromkeys((Kind.LOST, Kind.SILENT, Kind.NONSENSE), responses.Kind.AMBIGUOUS),
    **dict.fromkeys((Kind.BUSY, Kind.LATER), responses.Kind.NOT_EXECUTED),
    Kind.UNAUTHORISED: responses.Kind.UNAUTHORIZED,
    Kind.CONFLICT: responses.Kind.CONFLICT,
}
# What the simulator calls a call, if that is another name.
NAMES: Final = {"known": "jobs", "plan": "pipelines", "ready": "pipelines", "earlier-runs": "runs"}
# Lists that are read again after the answer to this call was lost.
AFTER_A_LOST_ANSWER: Final = {"jobs": "trigger", "runs": "run"}
# Before their first request, the same is asked for once.
FIRST: Final = {"jobs": 2, "runs": 2, "ready": 2}
# They are tried for 10 s at most.
SHORT: Final = ("known", "plan", "pipelines", "earlier-runs")
OUTCOMES: Final = {0: "success", 3: "error", 4: "timed-out"}


@pytest.fixture
def network() -> Iterator[tuple[Client, Peer]]:
    clock = FakeClock()
    with Simulator(clock=clock.now, held=clock.held) as simulator, Peer(simulator, clock) as peer:
        yield make_client(clock, scope=CancelScope(clock, Signals(clock.monotonic))), peer


@pytest.mark.parametrize(
    "fault",
    [fault for fault in FAULTS if fault.kind not in (Kind.UNREACHABLE, Kind.HARMLESS) and not fault.calls],
    ids=str,
)
def test_fault_means_the_same_as_others_of_its_kind(fault: Fault, network: tuple[Client, Peer]) -> None:
    client, peer = network
    peer.on("job", fault.behaviour, {peer.count("job") + 1})
    request = Request("read the job", "GET", f"{peer.api_url}/jobs/1")
    _, verdict, response, _ = client.finish(client.start(request), request)
    if response and verdict.kind is responses.Kind.OK:
        with pytest.raises(InvalidResponse) as caught:
            parse_job(response.json())
        verdict = classify(caught.value)
    assert verdict.kind is MEANS.get(fault.kind, responses.Kind.REJECTED)
    assert verdict.retry_after == fault.pause or fault.kind is Kind.LATER
    if verdict.kind is responses.Kind.REJECTED:
        assert verdict.is_from_api == (fault.kind in (Kind.REFUSED, Kind.MISSING))
        assert (300 <= (verdict.status or 0) < 400) == (fault.kind is Kind.REDIRECTED)


@pytest.mark.parametrize("row", list(rows()), ids=str)
def test_step_meets_a_fault(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random.seed(str(row))
    story = STORIES[row.call]
    with stage(tmp_path, story.scenario, **story.inputs) as here:
        if row.call == "plan":
            check_out(here.step, {"a": ""})
        if row.call in AFTER_A_LOST_ANSWER:
            here.peer.on(AFTER_A_LOST_ANSWER[row.call], after_effect(reset), {1})
        if row.fault.kind is Kind.UNREACHABLE:
            refuse_connection(row, here.simulator, monkeypatch)
        else:
            first = FIRST.get(row.call, 1)
            behaviour = after_effect(row.fault.behaviour) if row.when.has_effect else row.fault.behaviour
            here.peer.on(name_of(row), behaviour, range(first, 1_000_000) if row.when.is_always else {first})
        result = here.run()
        least, most = row.expected.lasting
        assert least <= here.clock.passed <= most
        check_requests(row, here.peer)
        check_jobs(row, result, here.simulator.jobs)
        check_report(row.expected, result, here.simulator.jobs)
        if row.fault.kind is Kind.REDIRECTED and result.code == 3:
            assert here.peer.elsewhere_url in result.log.said("error")[0]
    if row.call == "logs" and result.code == 0 and not row.expected.warnings:
        assert result.log.job_log == "Déployé: un\ndeux\ntrois\n".encode()


def name_of(row: Row) -> str:
    return NAMES.get(row.call, row.call)


def refuse_connection(row: Row, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse a connection for the first request of the call, and to everything from then on if that is for ever."""
    first, before, open_really = FIRST.get(row.call, 1), 0, Http.open

    def open_or_not(http: Http, request: Request) -> requests.Response:
        nonlocal before
        is_meant = simulator.call_of(request.method, urlsplit(request.url).path) == name_of(row)
        before += is_meant
        if (before == first and is_meant) or (before >= first and row.when.is_always):
            raise TransportError(Failure.NOT_CONNECTED)
        return open_really(http, request)

    monkeypatch.setattr(Http, "open", open_or_not)


def check_requests(row: Row, peer: Peer) -> None:
    """As many requests of the call as there should be, as far apart as the platform asks."""
    requests = peer.calls(name_of(row))[FIRST.get(row.call, 1) - 1 :]
    triggers = peer.calls("trigger")
    if row.call == "pipelines" and triggers:
        # After the deployment, the same list is read for another purpose.
        requests = [request for request in requests if request.at <= triggers[0].at]
    least, most = row.expected.requests
    assert least <= len(requests) <= most
    if row.fault.pause and not (row.call in SHORT and row.when.is_always):
        first, second = requests[:2]
        assert row.fault.pause <= second.at - first.at < row.fault.pause * 1.25 + 0.1


def check_jobs(row: Row, result: Result, jobs: list[JobState]) -> None:
    """As many deployments as there should be, and none that is left running without a word."""
    assert [job.type for job in jobs].count("WORKSPACE_DEPLOY") == row.expected.jobs
    assert [job.type for job in jobs].count("PIPELINE_RUN") == row.expected.runs
    running = [job for job in jobs if job.ended is None]
    if row.call in ("withdraw", "delete"):
        assert bool(running) == (RUNNING in row.expected.tells)
    for job in running:
        assert any(job.id in said or "may have been queued" in said for said in result.log.said("error"))


def check_report(expected: Expected, result: Result, jobs: list[JobState]) -> None:
    """One error for a step that failed, none for one that did not, and the same story in every place."""
    errors, warnings = result.log.said("error"), result.log.said("warning")
    assert result.code == expected.code
    assert len(errors) == (0 if expected.code == 0 else 1)
    # The time that a silence takes may have passed while the workspace was read, too.
    warnings = [said for said in warnings if "Could not read the workspace within 10 s" not in said]
    assert len(warnings) == expected.warnings
    for phrase in expected.tells:
        assert phrase.format(job=jobs[0].id if jobs else "") in errors[0]
    assert result.outputs["outcome"] == OUTCOMES[expected.code]
    assert result.summary
    assert "Internal error" not in result.log.own
    assert "Traceback" not in result.log.own
    if expected.code == 0:
        assert (result.outputs["status"], result.outputs["job-id"]) == ("COMPLETE", jobs[0].id)


def test_log_that_falls_silent_again_and_again_comes_all_the_same_without_a_warning(tmp_path: Path) -> None:
    log = [{"text": "one"}, {"at": "4m", "text": "two"}]
    silent = answer(200, b"", headers={"Content-Length": "4"}, content_type="text/plain", then=silence(30))
    with stage(tmp_path, {"job": {"runs": "5m", "log": log}}, logs="stream") as here:
        here.peer.on("logs", silent, range(1, 9))
        result = here.run()
    assert (result.code, result.log.said("warning"), result.log.job_log) == (0, [], b"one\ntwo\n")


def test_reliability_is_what_the_suite_holds_the_program_to() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert text == written(text), "write its tables anew: python -m tests.integration.faults.reliability"
    assert "| trigger, trigger by webhook, run of a pipeline | answer lost, nonsense |" in text
