"""Following a job, on a clock that tests move: the pace, the deadline, the log, and answers in every form."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from matatika_deploy.main import main
from matatika_deploy.platform import http
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import Simulator
from tests.support.clock import FakeClock
from tests.support.peer import Exchange, Peer, answer, relay
from tests.support.stage import follow, stage
from tests.support.step import Step

LOG = "INFO  Reading the workspace\n::error::of the log\nINFO  Déployé\n"
LOG_PARTS = [{"at": "1s", "text": line} for line in LOG.splitlines()]
CONNECT = http._HTTPConnection.connect
OTHER_WORKSPACE = "00000000-51a1-4000-8000-000000000002"


def test_job_of_minutes_is_looked_at_ever_less_often(tmp_path: Path) -> None:
    """Without the log, one thread has all the time of the clock, and requests take none."""
    ended = follow(tmp_path, {"job": {"queued": 30, "runs": 270}}, logs="none", poll_interval="8")
    looks = ended.times("job")
    assert looks[0] == pytest.approx(1, abs=0.11)
    for before, look in pairwise(looks):
        middle = min(max(0.05 * before, 1), 8)
        assert 0.89 * middle <= look - before <= 1.11 * middle
    assert looks[-2] < 300 <= looks[-1]
    # Changes and long silences are said.
    said = [line for line in ended.result.log.lines if line.startswith("Job ")]
    assert re.fullmatch(r"Job \S+ is QUEUED: \S+", said[0])
    assert re.fullmatch(r"Job \S+ is RUNNING, after 3\d s of QUEUED\.", said[1])
    assert all(re.fullmatch(r"Job \S+ is still RUNNING, since \d min( \d+ s)?\.", line) for line in said[2:])
    assert 3 <= len(said[2:]) <= 4
    assert re.fullmatch(r"Deployed: Job \S+ is COMPLETE after 4 min 30 s\.", ended.result.log.lines[-1])


def test_job_that_ends_just_before_the_deadline_has_succeeded(tmp_path: Path) -> None:
    ended = follow(tmp_path, {"job": {"runs": 19.9}}, logs="none", timeout="20s")
    assert ended.times("job")[-1] == pytest.approx(20, abs=0.1)
    assert (ended.result.code, ended.result.outputs["outcome"]) == (0, "success")
    assert not ended.simulator.calls("withdraw")


def test_job_that_outlasts_the_deadline_is_withdrawn_and_its_end_and_log_are_waited_for(tmp_path: Path) -> None:
    log = [{"text": LOG + "unfinished", "unfinished": True}]
    scenario = {"job": {"runs": "forever", "log": log}, "withdrawal": {"takes": "1s"}}
    ended = follow(tmp_path, scenario, timeout="20s")
    outputs = ended.result.outputs
    assert (ended.result.code, outputs["outcome"], outputs["status"]) == (4, "timed-out", "STOPPED")
    assert ended.times("withdraw") == [pytest.approx(20, abs=0.1)]
    assert ended.took == pytest.approx(21, abs=0.6)
    assert ended.result.log.job_log == f"{LOG}unfinished\n".encode()
    assert "\nunfinished\n</pre>" in ended.result.summary


def test_job_that_ends_before_its_withdrawal_arrives_has_succeeded(tmp_path: Path) -> None:
    late = [{"calls": "withdraw", "delay": "3s"}]
    ended = follow(tmp_path, {"job": {"runs": 21}, "faults": late}, logs="none", timeout="20s")
    assert len(ended.simulator.calls("withdraw")) == 1
    assert (ended.result.code, ended.result.outputs["outcome"]) == (0, "success")


def test_withdrawal_that_takes_long_is_one_all_the_same(tmp_path: Path) -> None:
    ended = follow(tmp_path, {"job": {"runs": "forever"}, "withdrawal": {"takes": "60s"}}, logs="none", timeout="20s")
    (error,) = ended.result.log.said("error")
    assert "was not over within 20 s: it was withdrawn. " in error
    assert (ended.result.code, ended.result.outputs["status"], ended.took < 30) == (4, "RUNNING", True)


def test_time_counts_from_the_start_of_the_process(tmp_path: Path) -> None:
    with (
        stage(tmp_path / "step", {"job": {"runs": "forever"}}, timeout="20s") as here,
        (tmp_path / "printed").open("wb") as output,
    ):
        here.clock.advance(5)
        assert main(here.step.environ, Signals(), 0.0, clock=here.clock, descriptor=output.fileno()) == 4
    (withdrawal,) = here.simulator.calls("withdraw")
    assert withdrawal.time - here.simulator.jobs[0].created == pytest.approx(15, abs=0.1)


def test_job_may_be_left_running_at_the_deadline(tmp_path: Path) -> None:
    scenario = {"job": {"runs": 300, "log": LOG_PARTS}}
    ended = follow(tmp_path, scenario, logs="on-failure", timeout="20s", on_timeout="leave")
    assert (ended.result.code, ended.result.outputs["status"], ended.job.status) == (4, "RUNNING", "RUNNING")
    assert not ended.simulator.calls("withdraw")
    assert ended.result.log.job_log == LOG.encode()


def test_log_that_is_there_only_at_the_second_reading_after_the_end_is_not_lost(tmp_path: Path) -> None:
    looks_after_end: list[float] = []
    readings_after_them: list[float] = []

    def look(exchange: Exchange) -> None:
        looks_after_end.extend(job.ended for job in here.simulator.jobs if job.ended)
        relay(exchange)

    def read(exchange: Exchange) -> None:
        if looks_after_end:
            readings_after_them.append(here.clock.passed)
        (answer(200, content_type="text/plain") if len(readings_after_them) == 1 else relay)(exchange)

    with stage(tmp_path, {"job": {"runs": 5, "log": [{"at": 5, "text": LOG}]}}, logs="stream") as here:
        here.peer.on("job", look)
        here.peer.on("logs", read)
        result = here.run()
    assert len(readings_after_them) >= 3
    assert result.log.job_log == LOG.encode()


def test_log_that_does_not_end_with_its_job_is_left_in_time(tmp_path: Path) -> None:
    ended = follow(tmp_path, {"job": {"runs": 5, "log": [{"lines": 1000, "over": "40s"}]}})
    assert ended.result.code == 0
    assert ended.took < 5 + 1 + 10 + 5


def test_stream_that_ends_is_a_reason_to_look_at_the_job_at_once(tmp_path: Path) -> None:
    scenario = {"job": {"runs": 210, "log": [{"text": LOG}]}, "logs": {"stream": "held"}}
    ended = follow(tmp_path, scenario, poll_interval="5m")
    # One looks at such a job every 10 seconds only.
    assert (ended.result.code, ended.took < 211) == (0, True)


def test_connection_is_kept_whatever_is_answered(tmp_path: Path) -> None:
    with patch.object(http._HTTPConnection, "connect", autospec=True, side_effect=CONNECT) as connect:
        ended = follow(tmp_path, {"job": {"runs": 60}, "logs": {"empty": 204}})
    # The trigger has one of its own; the log is read beside the job.
    assert (len(ended.times("logs")) > 10, connect.call_count) == (True, 3)


@pytest.mark.parametrize(
    ("ends", "log", "logs", "is_read"),
    [
        ("COMPLETE", LOG_PARTS, "on-failure", False),
        ("ERROR", LOG_PARTS, "on-failure", True),
        ("ERROR", LOG_PARTS, "none", False),
        ("ERROR", [], "stream", True),
    ],
    ids=["success", "failure", "unwanted", "empty"],
)
def test_log_is_shown_as_it_is_wanted(tmp_path: Path, ends: str, log: Any, logs: str, is_read: bool) -> None:
    ended = follow(tmp_path, {"job": {"runs": 5, "ends": ends, "log": log}}, logs=logs)
    is_shown = is_read and bool(log)
    assert ended.result.log.job_log == (LOG.encode() if is_shown else b"")
    assert (b"::stop-commands::" in ended.result.printed) == is_shown
    assert ("<pre>" in ended.result.summary) == ("Déployé" in ended.result.summary) == is_shown
    assert bool(ended.simulator.calls("logs")) == is_read
    last = max(ended.times("job"))
    assert logs != "on-failure" or all(time >= last for time in ended.times("logs"))


@pytest.mark.parametrize(
    ("answers", "fields"),
    [
        ({"hrefs": "without-port"}, {}),
        ({"hrefs": "https://elsewhere.example/api"}, {}),
        ({"link-lists": True, "hrefs": "relative", "old": True, "fraction-digits": 0}, {}),
        ({}, {"_links": None}),
    ],
    ids=str,
)
def test_every_form_of_answer_will_do(tmp_path: Path, answers: Any, fields: Any) -> None:
    scenario = {"job": {"queued": 2, "runs": 3, "log": LOG_PARTS, "fields": fields}, "answers": answers}
    ended = follow(tmp_path, scenario)
    outputs = ended.result.outputs
    assert ended.result.code == 0
    assert ended.result.log.job_log == LOG.encode()
    assert (outputs["job-url"], outputs["duration"]) == (f"{ended.simulator.api_url}/jobs/{ended.job.id}", "3")


def test_link_is_used_where_it_leads(tmp_path: Path) -> None:
    """The simulator knows jobs by the documented addresses only: what else is asked for is in its journal."""
    links = {name: {"href": f"/api/by-link/{name.replace(' ', '-')}"} for name in ("self", "logs", "withdraw job")}
    ended = follow(tmp_path, {"job": {"runs": "forever", "fields": {"_links": links}}}, timeout="1s")
    asked = {(entry.method, entry.path) for entry in ended.simulator.journal if entry.call is None}
    used = {("GET", "self"), ("GET", "logs"), ("PUT", "withdraw-job")}
    assert {(method, f"/api/by-link/{name}") for method, name in used} <= asked
    assert ended.result.outputs["job-url"] == f"{ended.simulator.url}/api/by-link/self"


def test_other_deployment_is_waited_for(tmp_path: Path) -> None:
    scenario = {"job": {"runs": 5, "log": LOG_PARTS}, "other-jobs": [{"since": "start", "at": "-1m", "runs": 140}]}
    ended = follow(tmp_path, scenario)
    (other, job) = ended.simulator.jobs
    assert (ended.result.code, ended.result.outputs["job-id"]) == (0, job.id)
    assert job.created >= (other.ended or 0)
    assert (other.status, other.withdrawn) == ("COMPLETE", False)
    assert [entry.status for entry in ended.simulator.calls("trigger")] == [409, 202]
    # Of the 80 s, the first 20 are looked at once a second.
    assert 40 < len(ended.simulator.calls("job")) < 65
    log = ended.result.log
    assert any(other.id in line and "waiting" in line for line in log.lines)
    assert log.said("error") == log.said("warning") == []


def test_other_deployment_is_never_withdrawn_nor_an_output_when_the_step_s_time_is_over(tmp_path: Path) -> None:
    ended = follow(tmp_path, {"other-jobs": [{"since": "start", "runs": "forever"}]}, timeout="30s")
    (other,) = ended.simulator.jobs
    assert (ended.result.code, other.status, other.deleted) == (4, "RUNNING", False)
    assert 30 <= ended.took < 40
    assert not ended.simulator.calls("withdraw")
    outputs = {name: value for name, value in ended.result.outputs.items() if name != "message"}
    assert other.id not in f"{outputs}{ended.result.state}"


@pytest.mark.parametrize(
    ("other", "more"),
    [
        ({"workspace-id": OTHER_WORKSPACE}, {"other-workspaces": [{"id": OTHER_WORKSPACE}]}),
        ({"type": "PIPELINE_RUN"}, {}),
        ({"since": "start"}, {"deployments": {"while-another-runs": "queue"}}),
    ],
    ids=["of another workspace", "of another kind", "beside which ours is queued"],
)
def test_other_job_may_not_matter(tmp_path: Path, other: dict[str, Any], more: dict[str, Any]) -> None:
    ended = follow(tmp_path, {"job": {"runs": 1}, "other-jobs": [{**other, "runs": "forever"}], **more}, logs="none")
    assert ended.result.code == 0
    assert [entry.status for entry in ended.simulator.calls("trigger")] == [202]


def test_job_whose_answer_was_lost_is_found_however_roughly_its_creation_is_told(tmp_path: Path) -> None:
    def late(exchange: Exchange) -> None:
        # The answer, and so its `Date`, falls into the beginning of the next second.
        exchange.peer.clock.advance(0.0005)
        relay(exchange)

    clock = FakeClock(1_700_000_000.99959)
    lost = {"calls": "trigger", "requests": {"first": 1}, "drop": "close", "after": True}
    scenario = {"job": {"runs": 1}, "answers": {"fraction-digits": 0}, "faults": [lost]}
    with Simulator(scenario, clock=clock.now, held=clock.held) as simulator, Peer(simulator, clock) as peer:
        peer.on("jobs", late)
        result = Step(tmp_path, simulator, api_url=peer.api_url, preflight="off", logs="none").run(clock)
    assert (result.code, len(simulator.jobs)) == (0, 1)
