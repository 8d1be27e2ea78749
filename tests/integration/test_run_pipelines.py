"""`run-pipelines`: after a deployment that succeeded, each pipeline that the user names is run, once."""

import json
import random
import re
import signal
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_deploy.runtime.signals import Signals
from matatika_simulator import JobState, Simulator, constants
from tests.integration.faults.faults import api_error, html
from tests.support.peer import Behaviour, Exchange, after_effect, answer, relay, reset
from tests.support.result import Result
from tests.support.stage import SECRET_PROPERTY, stage_with_pipelines
from tests.support.step import API_KEY


def pipeline(name: str, **job: Any) -> dict[str, Any]:
    """A pipeline whose runs take 2 s, and log one line."""
    return {"name": name, "job": {"runs": "2s", "log": [{"text": f"INFO  {name} runs"}], **job}}


A: Final = pipeline("a")
B: Final = pipeline("b")
FAILS: Final = pipeline("fails", ends="ERROR", log=[{"text": "INFO  fails runs"}, {"text": "ERROR no such table"}])
STOPPED: Final = pipeline("a", ends="STOPPED")
ENDLESS: Final = pipeline("endless", runs="forever")
BY_ITSELF: Final = {**A, "triggered-by": ["Deploy"]}
LISTED_WITHOUT_ID: Final = {"_embedded": {"pipelines": [{"name": "a", "id": f"x/{constants.TOKEN}"}]}}
WITHOUT_ID: Final = answer(200, json.dumps(LISTED_WITHOUT_ID).encode())
NOTICE: Final = "Pipeline 'a' is triggered by deployments"


def runs(simulator: Simulator) -> list[tuple[str | None, str]]:
    """Every run of a pipeline that this step asked for, and how it is."""
    return [(job.pipeline, job.status) for job in own_runs(simulator)]


def own_runs(simulator: Simulator) -> list[JobState]:
    return [job for job in simulator.jobs if job.type == "PIPELINE_RUN" and job.triggered_by == "token"]


def jobs_output(result: Result) -> Any:
    return json.loads(result.outputs["pipeline-jobs"])


def the_error(result: Result) -> str:
    (error,) = result.log.said("error")
    return error


def the_notice(result: Result) -> str:
    (notice,) = result.log.said("notice")
    return notice


def test_each_runs_once_in_turn_after_the_deployment(tmp_path: Path) -> None:
    with stage_with_pipelines(tmp_path, [A, B], run_pipelines="./pipelines/b.yml\na", logs="stream") as here:
        result = here.run()
        assert runs(here.simulator) == [("b", "COMPLETE"), ("a", "COMPLETE")]
        deployment, *own = here.simulator.jobs
        for before, run in pairwise(here.simulator.jobs):
            assert before.ended is not None
            assert run.created >= before.ended
        assert here.peer.count("run") == 2
        url = here.peer.api_url
    assert (result.code, result.outputs["outcome"]) == (0, "success")
    assert result.log.said("notice") == []
    assert result.outputs["message"].endswith("Then pipelines 'b', 'a' succeeded.")
    assert jobs_output(result) == [
        {"name": job.pipeline, "id": job.id, "url": f"{url}/jobs/{job.id}", "status": "COMPLETE", "duration": 2}
        for job in own
    ]
    # The other outputs stay the deployment's.
    assert [result.outputs[name] for name in ("job-id", "status", "duration")] == [deployment.id, "COMPLETE", "3"]
    assert result.outputs["commit-id"] == constants.COMMIT_ID
    assert result.log.job_log == b"INFO  b runs\nINFO  a runs\n"
    said = ["The deployment succeeded after 3 s."]
    for run in own:
        said += [f"Pipeline '{run.pipeline}', job {run.id}, is ", f"INFO  {run.pipeline} runs"]
        said += [f"Pipeline '{run.pipeline}' succeeded after 2 s."]
    places = [result.printed.decode().index(text) for text in said]
    assert places == sorted(places)
    rows = re.findall(r"^\| <code>(\w)</code> \| (.*?) \| (.*?) \|", result.summary, re.MULTILINE)
    assert rows == [(name, "✅ COMPLETE", "2 s") for name in "ba"]


def test_webhook_triggers_and_an_api_key_runs_them(tmp_path: Path) -> None:
    # The deployment makes it one that is triggered by deployments.
    changed = {**pipeline("a", **{"exit-code": 3}), "on-deploy": "change", "changes": {"triggeredBy": ["deploy"]}}
    given = {**API_KEY, "run_pipelines": "a,b", "deployment_secret": constants.DEPLOYMENT_SECRET, "logs": "on-failure"}
    with stage_with_pipelines(tmp_path, [changed, B], None, {"tokens": {"expires-after-uses": 7}}, **given) as here:
        result = here.run()
        assert runs(here.simulator) == [("a", "COMPLETE"), ("b", "COMPLETE")]
        assert [here.peer.count(call) for call in ("webhook", "trigger", "logs")] == [1, 0, 0]
        assert here.peer.count("token") > 1
    assert (result.code, result.log.job_log) == (0, b"")
    assert the_notice(result).startswith(NOTICE)
    assert result.log.said("warning") == ["Pipeline 'a' succeeded, although its exit code is 3."]


class TestNames:
    @pytest.mark.parametrize("dry_run", ["false", "true"])
    def test_unknown_names_trigger_nothing(self, tmp_path: Path, dry_run: str) -> None:
        pipelines = [A, {"name": "x", "fields": {"label": "two"}}, pipeline("two"), pipeline("gone")]
        files = {"a": "", "x": "label: two\n", "two": ""}
        given = {"run_pipelines": "a, nobody, two, gone", "dry_run": dry_run}
        with stage_with_pipelines(tmp_path, pipelines, files, **given) as here:
            result = here.run()
            assert here.peer.count("trigger") == here.peer.count("run") == 0
        assert (result.code, result.outputs["outcome"]) == (2, "error")
        for problem in (
            "names 'nobody', but no pipeline of the workspace is called that",
            "names 'two', which 2 pipelines are called",
            "names 'gone', which this deployment deletes, since its file is gone",
        ):
            assert f"`run-pipelines` {problem}." in the_error(result).replace(";", ".")

    # Every fault of this call in a step that deploys is a row of RELIABILITY.md.
    @pytest.mark.parametrize(("fault", "said"), [(api_error(403), "Could not list"), (WITHOUT_ID, "no usable id")])
    def test_list_that_cannot_be_read_or_used_fails_a_dry_run(
        self, tmp_path: Path, fault: Behaviour, said: str
    ) -> None:
        with stage_with_pipelines(tmp_path, [A], run_pipelines="a", dry_run="true") as here:
            here.peer.on("pipelines", fault)
            result = here.run()
        assert (result.code, result.outputs["outcome"]) == (3, "error")
        assert said in the_error(result)

    def test_dry_run_runs_nothing_but_has_the_notice(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [BY_ITSELF], run_pipelines="a", dry_run="true") as here:
            result = here.run()
            assert here.simulator.jobs == []
        assert (result.code, result.outputs["outcome"]) == (0, "checked")
        assert "pipeline-jobs" not in result.outputs
        assert the_notice(result).startswith(NOTICE)


def test_run_of_a_pipeline_by_itself_is_waited_for(tmp_path: Path) -> None:
    with stage_with_pipelines(tmp_path, [BY_ITSELF], run_pipelines="a") as here:
        result = here.run()
        by_itself, asked_for = (job for job in here.simulator.jobs if job.type == "PIPELINE_RUN")
        assert (by_itself.triggered_by, asked_for.triggered_by) == ("deployment", "token")
        assert by_itself.ended is not None
        assert by_itself.ended <= asked_for.created
        assert [run["id"] for run in jobs_output(result)] == [asked_for.id]
    assert result.code == 0
    assert the_notice(result).startswith(NOTICE)


def test_new_pipeline_that_is_not_listed_yet_or_being_provisioned_is_waited_for(tmp_path: Path) -> None:
    fields = {"repositoryPath": "pipelines/My New.yml", "label": "Brand new"}
    new = {**pipeline("my-new"), "fields": fields, "on-deploy": "create", "configuration": {"runs": "80s"}}
    files = {"My New": "label: Brand new\n"}
    with stage_with_pipelines(tmp_path, [new], files, run_pipelines="Brand new") as here:
        empty = json.dumps({"page": {"number": 0, "totalPages": 0}}).encode()
        here.peer.on("pipelines", answer(200, empty), range(2, 6))
        result = here.run()
        configuration, run = here.simulator.jobs[1:]
        assert configuration.type == "PIPELINE_CONFIG"
        assert configuration.ended is not None
        assert run.created >= configuration.ended
        assert runs(here.simulator) == [("my-new", "COMPLETE")]
    assert result.code == 0
    assert [run["name"] for run in jobs_output(result)] == ["my-new"]
    for state, count in (("not listed yet", 1), ("PROVISIONING", 2)):
        assert result.log.own.count(f"Pipeline 'Brand new' is {state}: waiting for it.") == count


def late(exchange: Exchange) -> None:
    """Give no answer until the step's time is over."""
    exchange.peer.clock.advance(20)
    reset(exchange)


UNLISTED = "Pipeline 'a' could not be run within 1 min: pipeline 'a' is not listed yet."


@pytest.mark.parametrize(
    ("pipelines", "job", "timeout", "fault", "code", "ended", "said"),
    [
        ([STOPPED, B], {}, "9m", relay, 1, ["STOPPED"], "Pipeline failed: 'a': INFO  a runs. Job "),
        ([{**A, "status": "DRAFT"}, B], {}, "9m", relay, 1, [], "Pipeline failed: 'a' cannot be run: it is DRAFT."),
        # Without a job that is in the way.
        ([A, B], {}, "9m", api_error(400), 3, [], "Request refused: Could not run pipeline 'a': "),
        ([{**A, "on-deploy": "delete"}, B], {}, "60s", relay, 4, [], f"Deployment timed out: {UNLISTED}"),
        ([ENDLESS, B], {}, "15s", relay, 4, ["STOPPED"], "Deployment timed out: Pipeline 'endless', job "),
        ([ENDLESS, B], {}, "15s", after_effect(late), 4, ["STOPPED"], "Deployment timed out: Pipeline 'endless', job "),
        ([A], {"ends": "ERROR"}, "9m", relay, 1, [], "Deployment failed: INFO  Deployed. Job "),
        # The job is over when the step looks at it once more, at its end.
        ([A], {"runs": "59.9s"}, "60s", relay, 4, [], "Deployment timed out: The step has taken 1 min."),
        ([A], {"runs": "59.9s", "ends": "ERROR"}, "60s", relay, 1, [], "Deployment failed: INFO  Deployed. Job "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_step_that_fails_says_what_was_not_run(
    tmp_path: Path, pipelines: Any, job: Any, timeout: str, fault: Behaviour, code: int, ended: list[str], said: str
) -> None:
    names = [one["name"] for one in pipelines]
    given = {"run_pipelines": ",".join(names), "logs": "stream", "timeout": timeout}
    deployment = {"runs": "3s", "log": [{"text": "INFO  Deployed"}], **job}
    with stage_with_pipelines(tmp_path, pipelines, None, {"job": deployment}, **given) as here:
        here.peer.on("run", fault)
        result = here.run()
        assert runs(here.simulator) == list(zip(names, ended, strict=False))
        assert here.peer.count("run") <= 1
        assert here.clock.passed < 75
    assert (result.code, result.outputs["outcome"]) == (code, {1: "failure", 3: "error", 4: "timed-out"}[code])
    assert [(run["name"], run["status"]) for run in jobs_output(result)] == list(zip(names, ended, strict=False))
    assert result.outputs["status"] == job.get("ends", "COMPLETE")
    assert the_error(result).startswith(said)
    rest = ", ".join(f"'{name}'" for name in names[len(ended) :])
    assert (f"The deployment itself succeeded. Not run: {rest}." in the_error(result)) is (job.get("ends") != "ERROR")
    # The log of a deployment that succeeded tells nothing of it.
    assert ("INFO  Deployed\n</pre>" in result.summary) is (job.get("ends") == "ERROR")


class TestFailure:
    @pytest.mark.parametrize(
        ("logs", "shown", "why"),
        [
            ("stream", b"INFO  a runs\nINFO  fails runs\nERROR no such table\n", "ERROR no such table. "),
            ("on-failure", b"INFO  fails runs\nERROR no such table\n", "ERROR no such table. "),
            ("none", b"", ""),
        ],
    )
    def test_first_failure_ends_the_step_and_names_its_reason(
        self, tmp_path: Path, logs: str, shown: bytes, why: str
    ) -> None:
        fails = {**FAILS, "fields": {"properties": {"password": SECRET_PROPERTY}}}
        with stage_with_pipelines(tmp_path, [A, B, fails], run_pipelines="a, fails, b", logs=logs) as here:
            result = here.run()
            assert runs(here.simulator) == [("a", "COMPLETE"), ("fails", "ERROR")]
            failed = own_runs(here.simulator)[1]
        assert (result.code, result.outputs["outcome"], result.log.job_log) == (1, "failure", shown)
        ended = f"Job {failed.id} ended with ERROR (exit code 1) after 2 s."
        assert the_error(result).startswith(f"Pipeline failed: 'fails': {why}{ended} ")
        assert "The deployment itself succeeded. Not run: 'b'." in the_error(result)
        assert the_error(result).startswith(result.outputs["message"])
        assert [error.properties for error in result.log.of("error")] == [{"title": "Pipeline failed"}]
        assert [(run["name"], run["status"]) for run in jobs_output(result)] == [("a", "COMPLETE"), ("fails", "ERROR")]
        assert (result.outputs["status"], result.outputs["exit-code"]) == ("COMPLETE", "0")
        assert ("ERROR no such table\n</pre>" in result.summary) is (logs != "none")
        everything = [result.printed.decode(), result.summary, *result.outputs.values(), *result.state.values()]
        assert not any(SECRET_PROPERTY in text for text in everything)

    def test_job_that_cannot_be_seen_any_more_is_named(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [ENDLESS], run_pipelines="endless", timeout="1h") as here:
            saved: list[dict[str, str]] = []

            def behave(exchange: Exchange) -> None:
                saved.append(here.step.files.state)
                html(502)(exchange)

            here.peer.on("job", behave, range(6, 100_000))
            result = here.run()
            (run,) = own_runs(here.simulator)
        assert result.code == 3
        assert f"Job {run.id} may be running still." in the_error(result)
        assert "The deployment itself succeeded." in the_error(result)
        assert [job["status"] for job in jobs_output(result)] == ["RUNNING"]
        # What the post step would find, were the step killed while it follows the run.
        assert json.loads(saved[-1]["job"])["id"] == run.id
        assert saved[-1]["deployment"] == "running"


class TestOnce:
    """Under the same rules as the trigger. Every fault of the calls is a row of RELIABILITY.md."""

    @pytest.mark.parametrize(("job_type", "status"), [("PIPELINE_RUN", 409), ("PIPELINE_CONFIG", 400)])
    def test_job_of_the_pipeline_in_progress_is_waited_for(self, tmp_path: Path, job_type: str, status: int) -> None:
        other = {"type": job_type, "pipeline": "a", "at": "0s", "runs": "20s", "ends": "COMPLETE"}
        scenario = {"other-jobs": [other], "pipeline-runs": {"refused-with": status}}
        with stage_with_pipelines(tmp_path, [A], None, scenario, run_pipelines="a") as here:
            if job_type == "PIPELINE_CONFIG":
                # The platform refuses while the configuration goes on, though the pipeline was READY just now.
                here.peer.on("run", api_error(status, "Pipeline is being configured"), {1})
                here.peer.on("pipelines", answer(200, ready_list(here.simulator)))
            result = here.run()
            jobs = {job.id: job for job in here.simulator.jobs if job.pipeline == "a"}
            (run,) = own_runs(here.simulator)
            (waited_for,) = (job for job in jobs.values() if job.triggered_by == "other")
            assert waited_for.ended is not None
            assert run.created >= waited_for.ended
            assert here.peer.count("run") == 2
        assert result.code == 0
        assert f"waiting for job {waited_for.id} to end." in result.log.own
        assert [job["id"] for job in jobs_output(result)] == [run.id]

    def test_run_of_somebody_else_is_neither_withdrawn_nor_an_output(self, tmp_path: Path) -> None:
        other = {"type": "PIPELINE_RUN", "pipeline": "a", "runs": "forever"}
        given = {"run_pipelines": "a", "timeout": "15s"}
        with stage_with_pipelines(tmp_path, [A], None, {"other-jobs": [other]}, **given) as here:
            result = here.run()
            assert here.peer.count("withdraw") == here.peer.count("delete") == 0
            (running,) = [job for job in here.simulator.jobs if job.pipeline]
        assert (result.code, jobs_output(result)) == (4, [])
        assert f"another run of pipeline 'a', job {running.id} (created " in the_error(result)


def ready_list(simulator: Simulator) -> bytes:
    """A page of the pipelines, all of them READY."""
    entries = [{"id": one.id, "name": one.name, "status": "READY"} for one in simulator.scenario.pipelines]
    return json.dumps({"_embedded": {"pipelines": entries}}).encode()


class TestCancel:
    """`test_cancel.py` signals a step at every point; here are the policy, and moments that take a clock."""

    @pytest.mark.parametrize(("option", "code"), [("on-cancel", 143), ("on-timeout", 4)])
    def test_run_is_left_if_that_is_wanted(self, tmp_path: Path, option: str, code: int) -> None:
        given = {"run_pipelines": "endless", "timeout": "15s", option: "leave"}
        with stage_with_pipelines(tmp_path, [ENDLESS], **given) as here:
            signals = Signals(here.clock.monotonic)
            if option == "on-cancel":
                here.clock.call_later(10, lambda: signals.receive(signal.SIGTERM))
            result = here.run(signals=signals)
            assert runs(here.simulator) == [("endless", "RUNNING")]
        assert result.code == code
        assert f"`{option}: leave`" in result.outputs["message"]
        assert result.state["deployment"] == "finished"

    def test_signal_after_the_last_run_changes_nothing(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [A], run_pipelines="a", logs="stream") as here:
            signals = Signals(here.clock.monotonic)

            def signal_when_over(exchange: Exchange) -> None:
                data = exchange.platform_answer()
                exchange.send(data)
                if b'"COMPLETE"' in data and b"PIPELINE_RUN" in data:
                    here.clock.call_later(0.05, lambda: signals.receive(signal.SIGINT))

            here.peer.on("job", signal_when_over)
            result = here.run(signals=signals)
            assert signals.count == 1
        assert (result.code, result.outputs["outcome"]) == (0, "success")


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("trigger", 143, "The step got SIGTERM. The deployment itself succeeded. Not run: 'a', 'long'."),
        ("run", 0, "Then pipelines 'a', 'long' succeeded."),
    ],
)
def test_job_that_was_over_at_the_signal_counts(tmp_path: Path, call: str, code: int, said: str) -> None:
    """A job of 100 s has just ended when the signal comes: the step looks at it every 5 s by then."""
    random.seed("between two looks")
    pipelines = [A, pipeline("long", runs="100s")]
    given = {"run_pipelines": "a, long", "timeout": "1h"}
    with stage_with_pipelines(tmp_path, pipelines, None, {"job": {"runs": "100s"}}, **given) as here:
        signals = Signals(here.clock.monotonic)

        def signal_at_the_end(exchange: Exchange) -> None:
            # Before the step has its answer, and lets time pass.
            data = exchange.platform_answer()
            here.clock.call_later(100.05, lambda: signals.receive(signal.SIGTERM))
            exchange.send(data)

        here.peer.on(call, signal_at_the_end, {1 if call == "trigger" else 2})
        result = here.run(signals=signals)
        (withdrawal,) = here.peer.calls("withdraw")
        assert 100 <= withdrawal.at - here.peer.calls(call)[-1].at < 100.05 + 0.5
        assert here.peer.count("run") == (0 if call == "trigger" else 2)
    assert (result.code, result.outputs["status"], len(jobs_output(result))) == (
        code,
        "COMPLETE",
        2 if code == 0 else 0,
    )
    assert result.outputs["message"].endswith(said)
    assert result.log.said("error") == []


def test_followed_run_takes_no_more_requests_than_a_deployment(tmp_path: Path) -> None:
    minute = pipeline("a", runs="60s")
    given = {"run_pipelines": "a", "logs": "stream"}
    with stage_with_pipelines(tmp_path, [minute], {"a": ""}, {"job": minute["job"]}, **given) as here:
        assert here.run().code == 0
        calls = [request.call for request in here.peer.requests]
    run = calls.index("pipelines", calls.index("trigger"))
    deployment, after = Counter(calls[:run]), Counter(calls[run:])
    for followed in (deployment, after):
        # A second apart until 5 % of the time that has passed is more, less the jitter: 47 in the first minute.
        assert 0 < followed.pop("job") <= 48
        # One after each look, and those that find nothing more.
        assert 0 < followed.pop("logs") <= 48 + 3
    # The plan takes one of them.
    assert deployment == dict.fromkeys(("workspace", "jobs", "pipelines", "trigger"), 1)
    assert after == dict.fromkeys(("pipelines", "runs", "run"), 1)
