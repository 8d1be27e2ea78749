"""`run-pipelines`: after a deployment that succeeded, each pipeline that the user names is run, once."""

import json
import random
import re
import signal
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_deploy.runtime.signals import Signals
from matatika_simulator import JobState, Simulator, constants
from tests.integration.faults.faults import api_error, html
from tests.support.peer import Exchange, after_effect, answer, reset
from tests.support.result import Result
from tests.support.stage import SECRET_PROPERTY, Stage, stage_with_pipelines
from tests.support.step import API_KEY

A: Final = {"name": "a", "job": {"runs": "2s", "log": [{"text": "INFO  a runs"}]}}
B: Final = {"name": "b", "job": {"runs": "2s", "log": [{"text": "INFO  b runs"}]}}
FAILS: Final = {
    "name": "fails",
    "job": {"runs": "2s", "ends": "ERROR", "log": [{"text": "INFO  fails runs"}, {"text": "ERROR no such table"}]},
}
NEW: Final = {**B, "name": "new", "on-deploy": "create", "configuration": {"runs": "20s"}}
ENDLESS: Final = {"name": "endless", "job": {"runs": "forever", "log": [{"text": "INFO  endless runs"}]}}


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


def test_each_runs_once_in_turn_after_the_deployment(tmp_path: Path) -> None:
    with stage_with_pipelines(tmp_path, [A, B], run_pipelines="b\na", logs="stream") as here:
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
        name = run.pipeline
        said += [
            f"Pipeline '{name}', job {run.id}, is ",
            f"INFO  {name} runs",
            f"Pipeline '{name}' succeeded after 2 s.",
        ]
    places = [result.printed.decode().index(text) for text in said]
    assert places == sorted(places)
    assert re.findall(r"^\| <code>(\w)</code> \| (.*?) \| (.*?) \|", result.summary, re.MULTILINE) == [
        ("b", "✅ COMPLETE", "2 s"),
        ("a", "✅ COMPLETE", "2 s"),
    ]


def test_logs_are_not_shown_if_that_is_not_wanted(tmp_path: Path) -> None:
    with stage_with_pipelines(tmp_path, [A], run_pipelines="a", logs="on-failure") as here:
        result = here.run()
        assert here.peer.count("logs") == 0
    assert (result.code, result.log.job_log) == (0, b"")


def test_another_exit_code_than_0_is_a_warning(tmp_path: Path) -> None:
    with stage_with_pipelines(tmp_path, [{"name": "a", "job": {"exit-code": 3}}], run_pipelines="a") as here:
        result = here.run()
    assert result.code == 0
    (warning,) = result.log.said("warning")
    assert warning == "Pipeline 'a' succeeded, although its exit code is 3."


def test_webhook_triggers_and_an_api_key_runs_them(tmp_path: Path) -> None:
    given = {
        **API_KEY,
        **{"run_pipelines": "a,b", "deployment_secret": constants.DEPLOYMENT_SECRET},
    }
    with stage_with_pipelines(tmp_path, [A, B], None, {"tokens": {"expires-after-uses": 7}}, **given) as here:
        result = here.run()
        assert runs(here.simulator) == [("a", "COMPLETE"), ("b", "COMPLETE")]
        assert [here.peer.count(call) for call in ("webhook", "trigger")] == [1, 0]
        assert here.peer.count("token") > 1
    assert result.code == 0


class TestNames:
    def test_names_labels_and_files_mean_pipelines(self, tmp_path: Path) -> None:
        # Every way to write them down is in tests/unit/test_pipelines.py.
        pipelines: list[dict[str, Any]] = [
            {"name": "orders"},
            {"name": "both", "fields": {"label": "Load, then check"}},
            {"name": "other"},
        ]
        entries = "Load, then check\n./pipelines/other.yml, orders\nboth\n"
        with stage_with_pipelines(tmp_path, pipelines, run_pipelines=entries) as here:
            result = here.run()
            assert [name for name, _ in runs(here.simulator)] == ["both", "other", "orders"]
        assert [run["name"] for run in jobs_output(result)] == ["both", "other", "orders"]

    @pytest.mark.parametrize("dry_run", ["false", "true"])
    def test_unknown_names_trigger_nothing(self, tmp_path: Path, dry_run: str) -> None:
        pipelines: list[Mapping[str, Any]] = [
            A,
            {"name": "x", "fields": {"label": "two"}},
            {"name": "two"},
            {"name": "gone"},
        ]
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

    # Every fault of this call is a row of RELIABILITY.md.
    def test_list_that_cannot_be_read_fails_a_dry_run(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [A], run_pipelines="a", dry_run="true") as here:
            here.peer.on("pipelines", api_error(403))
            result = here.run()
            assert here.peer.count("trigger") == 0
        assert (result.code, result.outputs["outcome"]) == (3, "error")
        assert "Could not list the pipelines" in the_error(result)

    def test_dry_run_runs_nothing_but_has_the_notice(self, tmp_path: Path) -> None:
        triggered = {**A, "triggered-by": ["deploy"]}
        with stage_with_pipelines(tmp_path, [triggered], run_pipelines="a", dry_run="true") as here:
            result = here.run()
            assert here.simulator.jobs == []
        assert (result.code, result.outputs["outcome"]) == (0, "checked")
        assert "pipeline-jobs" not in result.outputs
        (notice,) = result.log.said("notice")
        assert notice.startswith(NOTICE)

    def test_pipeline_that_the_deployment_creates_is_known_by_its_file(self, tmp_path: Path) -> None:
        files = {"My New": "label: Brand new\n"}
        new = {**NEW, "name": "my-new", "fields": {"repositoryPath": "pipelines/My New.yml", "label": "Brand new"}}
        with stage_with_pipelines(tmp_path, [new], files, run_pipelines="Brand new") as here:
            result = here.run()
            assert runs(here.simulator) == [("my-new", "COMPLETE")]
        assert [run["name"] for run in jobs_output(result)] == ["my-new"]

    def test_pipeline_whose_name_the_deployment_changes_is_still_the_same(self, tmp_path: Path) -> None:
        renamed = {
            **A,
            "on-deploy": "change",
            "changes": {"name": "z", "label": "Z", "repositoryPath": "pipelines/z.yml"},
        }
        with stage_with_pipelines(tmp_path, [renamed], run_pipelines="a") as here:
            result = here.run()
            assert runs(here.simulator) == [("a", "COMPLETE")]
        assert [run["name"] for run in jobs_output(result)] == ["z"]

    def test_pipeline_without_an_id_is_an_error_before_the_trigger(self, tmp_path: Path) -> None:
        body = json.dumps({"_embedded": {"pipelines": [{"name": "a", "id": f"x/{constants.TOKEN}"}]}}).encode()
        with stage_with_pipelines(tmp_path, [A], run_pipelines="a") as here:
            here.peer.on("pipelines", answer(200, body))
            result = here.run()
            assert here.peer.count("trigger") == 0
        assert result.code == 3
        assert "no usable id" in the_error(result)

    def test_credential_in_a_name_shows_nowhere(self, tmp_path: Path) -> None:
        # `run` looks for the token in everything that the step has written.
        pipeline = {"name": f"a-{constants.TOKEN}", "fields": {"repositoryPath": "pipelines/a.yml"}}
        with stage_with_pipelines(tmp_path, [pipeline], run_pipelines="pipelines/a.yml", logs="stream") as here:
            result = here.run()
            assert len(own_runs(here.simulator)) == 1
        assert [run["name"] for run in jobs_output(result)] == ["a-***"]


class TestTriggeredByDeployments:
    """Such a pipeline runs by itself, too."""

    def test_notice_says_so_and_its_own_run_is_waited_for(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [{**A, "triggered-by": ["Deploy"]}], run_pipelines="a") as here:
            result = here.run()
            by_itself, asked_for = (job for job in here.simulator.jobs if job.type == "PIPELINE_RUN")
            assert (by_itself.triggered_by, asked_for.triggered_by) == ("deployment", "token")
            assert by_itself.ended is not None
            assert by_itself.ended <= asked_for.created
            assert [run["id"] for run in jobs_output(result)] == [asked_for.id]
        assert result.code == 0
        (notice,) = result.log.said("notice")
        assert notice.startswith(NOTICE)

    def test_notice_comes_after_a_deployment_that_makes_it_so(self, tmp_path: Path) -> None:
        changed = {**A, "on-deploy": "change", "changes": {"triggeredBy": ["deploy"]}}
        with stage_with_pipelines(tmp_path, [changed], run_pipelines="a") as here:
            (notice,) = here.run().log.said("notice")
        assert notice.startswith(NOTICE)


class TestReadiness:
    def test_pipeline_that_is_being_provisioned_is_waited_for(self, tmp_path: Path) -> None:
        changed = {**A, "on-deploy": "change", "configuration": {"runs": "20s"}}
        with stage_with_pipelines(tmp_path, [changed], run_pipelines="a") as here:
            result = here.run()
            configuration, run = here.simulator.jobs[1:]
            assert configuration.type == "PIPELINE_CONFIG"
            assert configuration.ended is not None
            assert run.created >= configuration.ended
        assert result.code == 0
        assert result.log.own.count("Pipeline 'a' is PROVISIONING: waiting for it.") == 1

    def test_pipeline_that_is_not_listed_yet_is_waited_for(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [NEW], {"new": ""}, run_pipelines="new") as here:
            empty = json.dumps({"page": {"number": 0, "totalPages": 0}}).encode()
            here.peer.on("pipelines", answer(200, empty), range(2, 6))
            result = here.run()
            assert runs(here.simulator) == [("new", "COMPLETE")]
        assert result.code == 0
        assert "Pipeline 'new' is not listed yet: waiting for it." in result.log.own

    def test_pipeline_that_cannot_be_run_is_a_failure(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [{**A, "status": "DRAFT"}, B], run_pipelines="a,b", logs="stream") as here:
            result = here.run()
            assert runs(here.simulator) == []
        assert (result.code, result.outputs["outcome"], jobs_output(result)) == (1, "failure", [])
        assert the_error(result).startswith("Pipeline failed: 'a' cannot be run: it is DRAFT.")
        assert "The deployment itself succeeded. Not run: 'a', 'b'." in the_error(result)
        # The log of the deployment tells nothing of it.
        assert "The end of the job's log" not in result.summary

    def test_waiting_ends_with_the_steps_time(self, tmp_path: Path) -> None:
        given = {"run_pipelines": "a,b", "timeout": "60s"}
        with stage_with_pipelines(tmp_path, [{**A, "on-deploy": "delete"}, B], **given) as here:
            result = here.run()
            assert runs(here.simulator) == []
            assert 60 <= here.clock.passed < 75
        assert (result.code, result.outputs["outcome"]) == (4, "timed-out")
        assert the_error(result).startswith(
            "Deployment timed out: Pipeline 'a' could not be run within 1 min: pipeline 'a' is not listed yet. "
            "The deployment itself succeeded. Not run: 'a', 'b'."
        )


class TestFailure:
    def test_first_failure_ends_the_step_and_names_its_reason(self, tmp_path: Path) -> None:
        given = {"run_pipelines": "a, fails, b", "logs": "stream"}
        fails = {**FAILS, "fields": {"properties": {"password": SECRET_PROPERTY}}}
        with stage_with_pipelines(tmp_path, [A, B, fails], **given) as here:
            result = here.run()
            assert runs(here.simulator) == [("a", "COMPLETE"), ("fails", "ERROR")]
            failed = own_runs(here.simulator)[1]
        assert (result.code, result.outputs["outcome"]) == (1, "failure")
        assert the_error(result) == (
            f"Pipeline failed: 'fails': ERROR no such table. Job {failed.id} ended with ERROR (exit code 1) after 2 s. "
            "The deployment itself succeeded. Not run: 'b'."
        )
        assert result.outputs["message"] == the_error(result)
        (command,) = [command for command in result.log.commands if command.name == "error"]
        assert command.properties == {"title": "Pipeline failed"}
        assert [(run["name"], run["status"]) for run in jobs_output(result)] == [("a", "COMPLETE"), ("fails", "ERROR")]
        assert (result.outputs["status"], result.outputs["exit-code"]) == ("COMPLETE", "0")
        assert "ERROR no such table\n</pre>" in result.summary
        everything = [result.printed.decode(), result.summary, *result.outputs.values(), *result.state.values()]
        assert not any(SECRET_PROPERTY in text for text in everything)

    def test_job_that_somebody_stops_is_a_failure(self, tmp_path: Path) -> None:
        stopped = {"name": "a", "job": {"ends": "STOPPED"}}
        with stage_with_pipelines(tmp_path, [stopped, B], run_pipelines="a,b") as here:
            result = here.run()
            assert runs(here.simulator) == [("a", "STOPPED")]
        assert (result.code, result.outputs["outcome"]) == (1, "failure")
        assert the_error(result).startswith("Pipeline failed: 'a': Job ")

    @pytest.mark.parametrize(
        ("logs", "shown"), [("on-failure", b"INFO  fails runs\nERROR no such table\n"), ("none", b"")]
    )
    def test_log_of_a_failure_is_shown_if_wanted(self, tmp_path: Path, logs: str, shown: bytes) -> None:
        with stage_with_pipelines(tmp_path, [A, FAILS], run_pipelines="a,fails", logs=logs) as here:
            result = here.run()
        assert (result.code, result.log.job_log) == (1, shown)
        assert ("no such table" in the_error(result)) == (logs == "on-failure")

    def test_deployment_that_fails_runs_none(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [A], None, {"job": {"ends": "ERROR"}}, run_pipelines="a") as here:
            result = here.run()
            assert here.peer.count("run") == 0
        assert (result.code, jobs_output(result)) == (1, [])
        assert the_error(result).startswith("Deployment failed: ")
        assert "itself succeeded" not in the_error(result)

    def test_run_that_is_refused_says_that_the_deployment_is_done(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [A, B], run_pipelines="a,b") as here:
            # Without a job that is in the way.
            here.peer.on("run", api_error(400))
            result = here.run()
            assert runs(here.simulator) == []
            assert here.peer.count("run") == 1
        assert (result.code, result.outputs["outcome"], jobs_output(result)) == (3, "error", [])
        assert the_error(result).startswith("Request refused: Could not run pipeline 'a': ")
        assert "The deployment itself succeeded. Not run: 'a', 'b'." in the_error(result)

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
    """Under the same rules as the trigger."""

    def test_request_that_did_nothing_is_repeated_with_a_warning(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [A], run_pipelines="a") as here:
            here.peer.on("run", reset, {1})
            result = here.run()
            assert runs(here.simulator) == [("a", "COMPLETE")]
        assert result.code == 0
        (warning,) = result.log.said("warning")
        assert warning.startswith("The answer to the request to run pipeline 'a' was lost (")
        assert warning.endswith("the request is sent again. The pipeline may run twice.")

    def test_run_that_may_have_been_queued_is_told(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [A, B], run_pipelines="a,b", timeout="1h") as here:
            here.peer.on("run", after_effect(reset))
            here.peer.on("runs", html(502), range(2, 100_000))
            result = here.run()
            assert here.peer.count("run") == 1
        assert result.code == 3
        assert "A run of pipeline 'a' may have been queued" in the_error(result)
        assert "The deployment itself succeeded. Not run: 'b'." in the_error(result)

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


def late(exchange: Exchange) -> None:
    """Give no answer until the step's time is over."""
    exchange.peer.clock.advance(20)
    reset(exchange)


class TestTimeout:
    GIVEN: Final[Mapping[str, str]] = {"run_pipelines": "endless, b", "timeout": "15s", "logs": "stream"}

    def test_run_that_outlasts_the_timeout_is_withdrawn(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [ENDLESS, B], **self.GIVEN) as here:
            result = here.run()
            assert runs(here.simulator) == [("endless", "STOPPED")]
        assert (result.code, result.outputs["outcome"]) == (4, "timed-out")
        assert the_error(result).startswith("Deployment timed out: Pipeline 'endless', job ")
        assert "was withdrawn. The deployment itself succeeded. Not run: 'b'." in the_error(result)
        assert [(run["name"], run["status"]) for run in jobs_output(result)] == [("endless", "STOPPED")]
        assert result.outputs["status"] == "COMPLETE"
        assert "INFO  endless runs\n</pre>" in result.summary

    def test_run_whose_request_was_in_flight_is_found_and_withdrawn(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [ENDLESS, B], **self.GIVEN) as here:
            here.peer.on("run", after_effect(late))
            result = here.run()
            assert runs(here.simulator) == [("endless", "STOPPED")]
        assert result.code == 4
        assert [(run["name"], run["status"]) for run in jobs_output(result)] == [("endless", "STOPPED")]


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


class TestOverAfterAll:
    """The job is over when the step looks at it once more, at its end."""

    LONG: Final[Mapping[str, Any]] = {"name": "long", "job": {"runs": "100s"}}

    def over_between_two_looks(self, here: Stage, call: str, number: int) -> Result:
        """Signal the step right after a job of 100 s has ended: it looks at it every 5 s by then."""
        random.seed("between two looks")
        signals = Signals(here.clock.monotonic)

        def signal_at_the_end(exchange: Exchange) -> None:
            # Before the step has its answer, and lets time pass.
            data = exchange.platform_answer()
            here.clock.call_later(100.05, lambda: signals.receive(signal.SIGTERM))
            exchange.send(data)

        here.peer.on(call, signal_at_the_end, {number})
        return here.run(signals=signals)

    def test_deployment_that_is_over_at_the_signal_is_not_followed_by_pipelines(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [A], None, {"job": {"runs": "100s"}}, run_pipelines="a") as here:
            result = self.over_between_two_looks(here, "trigger", 1)
            assert here.peer.count("withdraw") == 1
            assert here.peer.count("run") == 0
        assert (result.code, result.outputs["status"], jobs_output(result)) == (143, "COMPLETE", [])
        (notice,) = result.log.said("notice")
        assert notice == "Deployment cancelled: The step got SIGTERM. The deployment itself succeeded. Not run: 'a'."

    def test_last_run_that_is_over_at_the_signal_is_a_success(self, tmp_path: Path) -> None:
        with stage_with_pipelines(tmp_path, [A, self.LONG], run_pipelines="a, long", timeout="1h") as here:
            result = self.over_between_two_looks(here, "run", 2)
            (withdrawal,) = here.peer.calls("withdraw")
            assert 100 <= withdrawal.at - here.peer.calls("run")[1].at < 100.05 + 0.5
        assert (result.code, result.outputs["outcome"]) == (0, "success")
        assert result.outputs["message"].endswith("Then pipelines 'a', 'long' succeeded.")

    @pytest.mark.parametrize(
        ("ends", "code", "said"),
        [
            (
                "COMPLETE",
                4,
                "Deployment timed out: The step has taken 1 min. The deployment itself succeeded. Not run: 'a'.",
            ),
            ("ERROR", 1, "Deployment failed: Job "),
        ],
    )
    def test_deployment_that_is_over_at_the_deadline(self, tmp_path: Path, ends: str, code: int, said: str) -> None:
        job = {"runs": "59.9s", "ends": ends}
        given = {"run_pipelines": "a", "timeout": "60s"}
        with stage_with_pipelines(tmp_path, [A], None, {"job": job}, **given) as here:
            result = here.run()
            assert here.peer.count("run") == 0
        assert (result.code, result.outputs["status"], jobs_output(result)) == (code, ends, [])
        assert the_error(result).startswith(said)


def test_followed_run_takes_no_more_requests_than_a_deployment(tmp_path: Path) -> None:
    job = {"runs": "60s", "log": [{"text": "INFO  Working"}]}
    pipeline = {"name": "a", "job": job}
    with stage_with_pipelines(tmp_path, [pipeline], {"a": ""}, {"job": job}, run_pipelines="a", logs="stream") as here:
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
