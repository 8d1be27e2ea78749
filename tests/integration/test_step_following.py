"""Following a job, on a clock that tests move: the pace, the deadline, the log, and answers in every form."""

import re
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from matatika_deploy.runtime.cancellation import SystemClock
from matatika_simulator import Simulator, constants
from tests.support.clock import FakeClock
from tests.support.in_process import follow, run_here
from tests.support.peer import Exchange, Peer, answer, relay
from tests.support.step import Step

LOG = "INFO  Reading the workspace\n::error::of the log\nINFO  Déployé\n"
LOG_PARTS = [{"at": "1s", "text": line} for line in LOG.splitlines()]


class JumpingClock(SystemClock):
    """The machine's clock, which can be put forward."""

    _ahead = 0.0

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() + self._ahead

    def jump(self, seconds: float) -> None:
        """Put it forward."""
        self._ahead += seconds


class TestPace:
    """Pauses grow with the job, up to `poll-interval`; without the log, one thread has all the time of the clock."""

    def test_a_job_of_minutes_is_looked_at_ever_less_often(self, tmp_path: Path) -> None:
        ended = follow(tmp_path, {"job": {"runs": 400}}, logs="none")
        looks = ended.times("job")
        assert looks[0] == pytest.approx(1, abs=0.11)
        for before, look in pairwise(looks):
            middle = min(max(0.05 * before, 1), 10)
            # The requests themselves take no time on this clock.
            assert 0.89 * middle <= look - before <= 1.11 * middle
        assert looks[-2] < 400 <= looks[-1]
        assert ended.result.outputs["outcome"] == "success"
        assert not ended.simulator.calls("logs")

    @pytest.mark.parametrize(("interval", "longest", "runs"), [("1s", 1, 60), ("3", 3, 120), ("1m", 60, 2000)])
    def test_the_longest_pause_is_the_user_s(self, tmp_path: Path, interval: str, longest: float, runs: float) -> None:
        ended = follow(tmp_path, {"job": {"runs": runs}}, logs="none", poll_interval=interval, timeout="24h")
        looks = ended.times("job")
        pauses = [look - before for before, look in pairwise(looks)]
        assert 0.95 * longest < max(pauses) <= 1.11 * longest

    def test_changes_and_long_silences_are_said(self, tmp_path: Path) -> None:
        ended = follow(tmp_path, {"job": {"queued": 30, "runs": 300}}, logs="none")
        said = [line for line in ended.result.log.lines if line.startswith("Job ")]
        assert re.fullmatch(r"Job \S+ is QUEUED: \S+", said[0])
        assert re.fullmatch(r"Job \S+ is RUNNING, after 3\d s of QUEUED\.", said[1])
        assert all(re.fullmatch(r"Job \S+ is still RUNNING, since \d min( \d+ s)?\.", line) for line in said[2:])
        assert 3 <= len(said[2:]) <= 4
        # The result says how it ended, and how long that took.
        assert re.fullmatch(r"Deployed: Job \S+ is COMPLETE after 5 min\.", ended.result.log.lines[-1])


class TestDeadline:
    """`timeout`, with a last look at the job."""

    def test_a_job_that_ends_just_before_it_has_succeeded(self, tmp_path: Path) -> None:
        ended = follow(tmp_path, {"job": {"runs": 199.9}}, logs="none", timeout="200s")
        assert ended.times("job")[-1] == pytest.approx(200, abs=0.1)
        assert ended.result.code == 0
        assert ended.result.outputs["outcome"] == "success"
        assert not ended.simulator.calls("withdraw")

    def test_a_job_that_does_not_is_withdrawn(self, tmp_path: Path) -> None:
        ended = follow(tmp_path, {"job": {"runs": 300}}, logs="none", timeout="200s")
        assert ended.result.code == 4
        assert ended.job.status == "STOPPED"
        (withdrawal,) = ended.times("withdraw")
        assert withdrawal == pytest.approx(200, abs=0.1)
        outputs = ended.result.outputs
        assert (outputs["outcome"], outputs["status"]) == ("timed-out", "STOPPED")
        (error,) = ended.result.log.said("error")
        assert "3 min 20 s" in error
        assert "was withdrawn" in error

    def test_a_job_that_takes_a_while_to_stop_is_waited_for_but_not_long(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": "forever"}, "withdrawal": {"takes": "1s"}}
        ended = follow(tmp_path, scenario, logs="none", timeout="20s")
        assert ended.result.outputs["status"] == "STOPPED"
        assert ended.took == pytest.approx(21, abs=0.3)

    def test_a_job_may_be_left_running(self, tmp_path: Path) -> None:
        ended = follow(tmp_path, {"job": {"runs": 300}}, logs="none", timeout="200s", on_timeout="leave")
        assert ended.result.code == 4
        assert (ended.job.status, ended.job.withdrawn) == ("RUNNING", False)
        assert ended.result.outputs["status"] == "RUNNING"
        assert not ended.simulator.calls("withdraw")
        (error,) = ended.result.log.said("error")
        assert "`on-timeout: leave`" in error

    def test_a_queued_job_that_cannot_be_withdrawn_is_deleted(self, tmp_path: Path) -> None:
        scenario = {"job": {"queued": "forever"}, "withdrawal": {"queued": 409}}
        ended = follow(tmp_path, scenario, timeout="20s")
        assert ended.result.code == 4
        assert ended.job.deleted
        assert [len(ended.simulator.calls(name)) for name in ("withdraw", "delete")] == [1, 1]
        (error,) = ended.result.log.said("error")
        assert "was deleted" in error

    def test_the_log_so_far_is_printed_and_summed_up(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": "forever", "log": [{"text": LOG + "unfinished", "unfinished": True}]}}
        ended = follow(tmp_path, scenario, timeout="20s")
        assert ended.result.log.job_log == f"{LOG}unfinished\n".encode()
        assert "\nunfinished\n</pre>" in ended.result.summary

    def test_it_counts_from_the_step_s_start_whatever_the_time_went_to(self, tmp_path: Path) -> None:
        scenario = {"other-jobs": [{"since": "start", "runs": "forever"}]}
        ended = follow(tmp_path, scenario, timeout="60s")
        assert ended.result.code == 4
        assert 60 <= ended.took < 70
        assert [job.triggered_by for job in ended.simulator.jobs] == ["other"]


class TestLogs:
    """`logs`, and the log in every form."""

    @pytest.mark.parametrize("stream", ["ends", "held"])
    @pytest.mark.parametrize("ends", ["COMPLETE", "ERROR", "STOPPED"])
    def test_stream_prints_it_whatever_happens(self, tmp_path: Path, stream: str, ends: str) -> None:
        scenario = {"job": {"queued": 2, "runs": 20, "ends": ends, "log": LOG_PARTS}, "logs": {"stream": stream}}
        ended = follow(tmp_path, scenario)
        assert ended.result.log.job_log == LOG.encode()
        assert ended.result.code == (0 if ends == "COMPLETE" else 1)

    @pytest.mark.parametrize("empty", [200, 204])
    def test_stream_copes_with_both_answers_while_there_is_nothing(self, tmp_path: Path, empty: int) -> None:
        scenario = {"job": {"queued": 10, "runs": 20, "log": LOG_PARTS}, "logs": {"empty": empty}}
        ended = follow(tmp_path, scenario)
        assert ended.result.log.job_log == LOG.encode()
        assert ended.simulator.calls("logs")[0].status == empty

    def test_stream_reads_on_from_the_lines_that_it_has(self, tmp_path: Path) -> None:
        ended = follow(tmp_path, {"job": {"runs": 20, "log": LOG_PARTS}})
        starts = [int(entry.query.removeprefix("sequence=")) for entry in ended.simulator.calls("logs")]
        assert starts == sorted(starts)
        assert (starts[0], starts[-1]) == (0, 3)

    def test_what_is_written_after_the_end_is_not_lost(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": 10, "log": [{"text": LOG}, {"at": "10.05s", "text": "Late"}]}}
        assert follow(tmp_path, scenario).result.log.job_log == f"{LOG}Late\n".encode()

    def test_what_is_there_only_at_the_second_reading_after_the_end_is_not_lost(self, tmp_path: Path) -> None:
        clock = FakeClock()
        looks_after_end: list[float] = []
        readings_after_them: list[float] = []

        def look(exchange: Exchange) -> None:
            looks_after_end.extend(job.ended for job in simulator.jobs if job.ended)
            relay(exchange)

        def read(exchange: Exchange) -> None:
            if looks_after_end:
                readings_after_them.append(clock.passed)
            (answer(200, content_type="text/plain") if len(readings_after_them) == 1 else relay)(exchange)

        scenario = {"job": {"runs": 5, "log": [{"at": 5, "text": LOG}]}}
        with Simulator(scenario, clock=clock.now, held=clock.held) as simulator, Peer(simulator, clock) as peer:
            peer.on("job", look)
            peer.on("logs", read)
            result = run_here(Step(tmp_path, simulator, api_url=peer.api_url, preflight="off"), clock)
        assert len(readings_after_them) >= 3
        assert result.log.job_log == LOG.encode()

    def test_a_log_that_does_not_end_with_its_job_is_left_in_time(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": 5, "log": [{"lines": 100_000, "over": "1000s"}]}}
        ended = follow(tmp_path, scenario)
        assert ended.result.code == 0
        assert ended.took < 5 + 1 + 10 + 5

    def test_a_stream_that_ends_is_a_reason_to_look_at_the_job_at_once(self, tmp_path: Path) -> None:
        clock = JumpingClock()
        scenario = {"job": {"runs": 1.5, "log": [{"text": LOG}]}, "logs": {"stream": "held"}}
        with Simulator(scenario) as simulator, ThreadPoolExecutor(1) as aside:
            # Once the log is read, the job is an old one, at which one looks every 50 seconds only.
            aside.submit(simulator.wait_for, "logs").add_done_callback(lambda _: clock.jump(1000))
            began = time.monotonic()
            result = run_here(Step(tmp_path, simulator, preflight="off", poll_interval="5m"), clock)
        assert result.code == 0
        assert time.monotonic() - began < 20

    @pytest.mark.parametrize(("ends", "is_printed"), [("COMPLETE", False), ("ERROR", True), ("STOPPED", True)])
    def test_on_failure_prints_it_only_then(self, tmp_path: Path, ends: str, is_printed: bool) -> None:
        ended = follow(tmp_path, {"job": {"runs": 20, "ends": ends, "log": LOG_PARTS}}, logs="on-failure")
        assert ended.result.log.job_log == (LOG.encode() if is_printed else b"")
        assert ("Déployé" in ended.result.summary) == is_printed
        last = max(ended.times("job"))
        assert all(time >= last for time in ended.times("logs"))
        assert bool(ended.simulator.calls("logs")) == is_printed

    def test_on_failure_prints_it_when_the_time_is_over(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": "forever", "log": LOG_PARTS}}
        ended = follow(tmp_path, scenario, logs="on-failure", timeout="20s")
        assert ended.result.log.job_log == LOG.encode()

    @pytest.mark.parametrize("ends", ["COMPLETE", "ERROR"])
    def test_none_reads_nothing(self, tmp_path: Path, ends: str) -> None:
        ended = follow(tmp_path, {"job": {"runs": 20, "ends": ends, "log": LOG_PARTS}}, logs="none")
        assert ended.result.log.job_log == b""
        assert not ended.simulator.calls("logs")
        assert "<pre>" not in ended.result.summary

    def test_bytes_that_are_no_text_are_printed_as_they_are(self, tmp_path: Path) -> None:
        data = bytes(range(256)) * 3
        scenario = {"job": {"runs": 5, "log": [{"base64": b64encode(data).decode()}]}}
        assert follow(tmp_path, scenario).result.log.job_log == data + b"\n"

    def test_an_empty_log_opens_no_guard(self, tmp_path: Path) -> None:
        ended = follow(tmp_path, {"job": {"runs": 5, "ends": "ERROR"}})
        assert b"::stop-commands::" not in ended.result.printed
        assert "<pre>" not in ended.result.summary


RELATIONS = {"self": "", "logs": "/logs", "withdraw job": "/stopped", "delete job": ""}


class TestLinks:
    """The job's four links are followed where they lead to the platform."""

    def links(self, root: str) -> dict[str, Any]:
        """Links that lead to other addresses than the documented ones."""
        return {relation: {"href": f"{root}{path}"} for relation, path in RELATIONS.items()}

    @pytest.mark.parametrize(
        "answers",
        [
            {"hrefs": "relative"},
            {"hrefs": "without-port"},
            {"hrefs": "https://elsewhere.example/api"},
            {"hrefs": "http://127.0.0.1:1/api"},
            {"link-lists": True},
            {"link-lists": True, "hrefs": "relative", "old": True, "fraction-digits": 0},
            {"old": True},
            {"fraction-digits": 0},
            {"fraction-digits": 9},
        ],
        ids=str,
    )
    def test_every_form_of_answer_will_do(self, tmp_path: Path, answers: dict[str, Any]) -> None:
        scenario = {"job": {"queued": 2, "runs": 3, "log": LOG_PARTS}, "answers": answers}
        ended = follow(tmp_path, scenario)
        assert ended.result.code == 0
        assert ended.result.log.job_log == LOG.encode()
        assert ended.result.outputs["job-url"] == f"{ended.simulator.api_url}/jobs/{ended.job.id}"
        assert ended.result.outputs["duration"] == "3"

    def test_so_they_will_for_a_withdrawal(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": "forever"}, "answers": {"hrefs": "relative", "link-lists": True}}
        assert follow(tmp_path, scenario, timeout="5s").job.withdrawn

    def test_each_is_used_where_it_leads(self, tmp_path: Path) -> None:
        """The simulator knows jobs by the documented addresses only: what else is asked for is in its journal."""
        links = {relation: {"href": f"/api/by-link/{relation.replace(' ', '-')}"} for relation in RELATIONS}
        scenario = {"job": {"runs": "forever", "fields": {"_links": links}}}
        ended = follow(tmp_path, scenario, timeout="1s", on_timeout="withdraw")
        asked = {(entry.method, entry.path) for entry in ended.simulator.journal if entry.call is None}
        assert ("GET", "/api/by-link/self") in asked
        assert ("GET", "/api/by-link/logs") in asked
        assert ("PUT", "/api/by-link/withdraw-job") in asked
        assert ended.result.outputs["job-url"] == f"{ended.simulator.url}/api/by-link/self"

    def test_a_job_without_links_is_found_by_its_id(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": 3, "log": LOG_PARTS, "fields": {"_links": None}}}
        ended = follow(tmp_path, scenario)
        assert ended.result.code == 0
        assert ended.result.log.job_log == LOG.encode()


class TestAnotherDeployment:
    """A deployment that somebody else triggered stands in the way."""

    def test_is_waited_for(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": 5, "log": LOG_PARTS}, "other-jobs": [{"since": "start", "at": "-1m", "runs": 120}]}
        ended = follow(tmp_path, scenario)
        (other, job) = ended.simulator.jobs
        assert ended.result.code == 0
        assert job.created >= (other.ended or 0)
        assert ended.result.outputs["job-id"] == job.id
        assert (other.status, other.withdrawn) == ("COMPLETE", False)
        assert [entry.status for entry in ended.simulator.calls("trigger")] == [409, 202]
        assert any(other.id in line and "waiting" in line for line in ended.result.log.lines)
        assert ended.result.log.said("error") == []

    def test_is_never_withdrawn_nor_an_output(self, tmp_path: Path) -> None:
        scenario = {"other-jobs": [{"since": "start", "runs": "forever"}]}
        ended = follow(tmp_path, scenario, timeout="30s")
        (other,) = ended.simulator.jobs
        assert ended.result.code == 4
        assert (other.status, other.withdrawn, other.deleted) == ("RUNNING", False, False)
        assert not ended.simulator.calls("withdraw")
        assert "job-id" not in ended.result.outputs
        outputs = {**ended.result.outputs, "message": ""}
        assert other.id not in str(outputs) + str(ended.result.state)

    def test_of_another_workspace_or_of_another_kind_is_none(self, tmp_path: Path) -> None:
        scenario = {
            "other-workspaces": [{"id": "00000000-51a1-4000-8000-000000000002"}],
            "other-jobs": [
                {"workspace-id": "00000000-51a1-4000-8000-000000000002", "runs": "forever"},
                {"type": "PIPELINE_RUN", "runs": "forever"},
            ],
        }
        ended = follow(tmp_path, scenario)
        assert ended.result.code == 0
        assert [entry.status for entry in ended.simulator.calls("trigger")] == [202]

    def test_that_is_queued_beside_ours_does_not_matter(self, tmp_path: Path) -> None:
        scenario = {
            "deployments": {"while-another-runs": "queue"},
            "other-jobs": [{"since": "start", "runs": "forever"}],
        }
        assert follow(tmp_path, scenario).result.code == 0

    def test_with_the_deployment_secret_alone_it_is_an_error(self, tmp_path: Path) -> None:
        scenario = {"other-jobs": [{"since": "start", "runs": 5}]}
        ended = follow(tmp_path, scenario, token="", deployment_secret=constants.DEPLOYMENT_SECRET)
        assert ended.result.code == 3
        assert len(ended.simulator.calls("webhook")) == 1
        (error,) = ended.result.log.said("error")
        assert "409" in error
        assert "queued" in error


@pytest.mark.parametrize("digits", range(4))
def test_a_job_whose_answer_was_lost_is_found_however_roughly_its_creation_is_told(tmp_path: Path, digits: int) -> None:
    def late(exchange: Exchange) -> None:
        # The answer, and so its `Date`, falls into the beginning of the next second.
        exchange.time_passes(0.0005)
        relay(exchange)

    clock = FakeClock(1_700_000_000.99959)
    scenario = {
        "job": {"runs": 1},
        "answers": {"fraction-digits": digits},
        "faults": [{"calls": "trigger", "requests": {"first": 1}, "drop": "close", "after": True}],
    }
    with Simulator(scenario, clock=clock.now, held=clock.held) as simulator, Peer(simulator, clock) as peer:
        peer.on("jobs", late)
        result = run_here(Step(tmp_path, simulator, api_url=peer.api_url, preflight="off", logs="none"), clock)
    assert result.code == 0
    assert len(simulator.jobs) == 1


def test_a_call_gets_one_new_token_whatever_happens_between_its_attempts(tmp_path: Path) -> None:
    clock = FakeClock()
    key = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
    with (
        Simulator({"job": {"runs": 60}}, clock=clock.now, held=clock.held) as simulator,
        Peer(simulator, clock) as peer,
    ):
        addresses = {"api_url": peer.api_url, "audience": simulator.api_url}
        # The first look takes three attempts, the second is refused for good.
        peer.on("job", answer(401), numbers={1, 4, 6})
        peer.on("job", answer(502), numbers={2, 5})
        result = run_here(Step(tmp_path, simulator, verify_source="off", logs="none", **addresses, **key), clock)
    assert result.code == 3
    assert peer.count("job") == 6
    assert len(simulator.calls("token")) == 3
