"""The post step after a main step that was killed: it withdraws what is left, and does nothing else."""

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from matatika_deploy import post
from matatika_simulator import Simulator, constants
from matatika_simulator.runner import state_environ
from tests.support import runner
from tests.support.cancelled_step import QUEUED, RUNNING, Reach, calls, prints, run_post
from tests.support.clock import FakeClock
from tests.support.in_process import run_here
from tests.support.secrecy import forms
from tests.support.step import POST, Result, Step, StepProcess

API_KEY = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
WEBHOOK = {"token": "", "deployment_secret": constants.DEPLOYMENT_SECRET}
LEAVE = {"on_cancel": "leave"}


class Killed:
    """A step whose main was killed at some point, as the runner does in the end."""

    def __init__(self, folder: Path, simulator: Simulator, reach: Reach, **inputs: str) -> None:
        self.simulator = simulator
        self.step = Step(folder / "step", simulator, **inputs)
        with self.step.started() as running:
            reach(running, simulator)
            running.signal(signal.SIGKILL)
            assert running.wait().code == -signal.SIGKILL
        self._before = len(simulator.journal)

    def run_post(self) -> Result:
        """Run the post step; check what is true of it whatever there is to do."""
        result = self.step.run_post()
        assert result.code == 0
        assert b"Traceback" not in result.printed
        assert not runner.read(result.printed).of("error")
        assert not {"trigger", "webhook"} & set(self.asked)
        return result

    @property
    def asked(self) -> list[str]:
        """The calls that were made since main was killed."""
        return [str(entry.call) for entry in self.simulator.journal[self._before :]]


def written(name: str, value: str) -> Reach:
    """Until main has written an output."""
    return lambda running, _: running.wait_until(lambda: running.outputs.get(name) == value, f"{name}={value}")


def with_fault(**fault: Any) -> dict[str, Any]:
    return {**RUNNING, "faults": [fault]}


def warnings(result: Result) -> list[str]:
    return [command.data for command in runner.read(result.printed).of("warning")]


@pytest.mark.parametrize("inputs", [{}, API_KEY, {"deployment_secret": constants.DEPLOYMENT_SECRET}])
def test_a_running_job_is_withdrawn(tmp_path: Path, inputs: dict[str, str]) -> None:
    with Simulator(RUNNING) as simulator:
        killed = Killed(tmp_path, simulator, prints("INFO  Working"), **inputs)
        result = killed.run_post()
        (job,) = simulator.jobs
        assert job.status == "STOPPED"
        assert killed.asked == [*(["token"] if inputs is API_KEY else []), "withdraw"]
        assert simulator.calls("withdraw")[0].path == f"/api/jobs/{job.id}/stopped"
    assert job.id in result.log.own
    assert not warnings(result)


def test_a_job_that_main_was_about_to_withdraw_is_withdrawn(tmp_path: Path) -> None:
    """The runner's SIGINT comes, the platform hangs, and the client is killed before main can say anything."""

    def reach(running: StepProcess, simulator: Simulator) -> None:
        running.wait_for_print("INFO  Working")
        running.signal(signal.SIGINT)
        simulator.wait_for("withdraw")

    with Simulator(with_fault(calls="withdraw", requests={"first": 1}, hang=True)) as simulator:
        killed = Killed(tmp_path, simulator, reach)
        killed.run_post()
        assert killed.asked == ["withdraw"]
        assert [job.status for job in simulator.jobs] == ["STOPPED"]


def test_a_queued_job_whose_withdrawal_is_refused_is_deleted(tmp_path: Path) -> None:
    with Simulator({**QUEUED, "withdrawal": {"queued": 409}}) as simulator:
        killed = Killed(tmp_path, simulator, written("status", "QUEUED"))
        result = killed.run_post()
        assert killed.asked == ["withdraw", "job", "delete"]
        assert [job.deleted for job in simulator.jobs] == [True]
    assert not warnings(result)


def test_a_token_that_expired_meanwhile_is_renewed(tmp_path: Path) -> None:
    with Simulator({**RUNNING, "faults": [{"calls": "withdraw", "requests": {"first": 1}, "expire-token": True}]}) as (
        simulator
    ):
        killed = Killed(tmp_path, simulator, prints("INFO  Working"), **API_KEY)
        result = killed.run_post()
        assert killed.asked == ["token", "withdraw", "token", "withdraw"]
        assert [job.status for job in simulator.jobs] == ["STOPPED"]
        secrets = [constants.CLIENT_SECRET, *simulator.issued_tokens]
    masked = [command.data for command in runner.read(result.printed).of("add-mask")]
    assert masked == [secrets[0], *secrets[-2:]]
    said = b"".join(line for line in result.printed.splitlines(keepends=True) if not line.startswith(b"::add-mask::"))
    assert not [form for secret in secrets for form in forms(secret) if form in said]


def test_a_job_that_is_over_is_nobodys_trouble(tmp_path: Path) -> None:
    with Simulator({"job": {"runs": "1s", "log": [{"text": "INFO  Working"}]}}) as simulator:
        killed = Killed(tmp_path, simulator, prints("INFO  Working"))
        while simulator.jobs[0].status != "COMPLETE":
            time.sleep(0.02)
        result = killed.run_post()
        assert [job.status for job in simulator.jobs] == ["COMPLETE"]
    assert not warnings(result)
    assert "is over already" in result.log.own


@pytest.mark.parametrize(
    ("call", "inputs"), [("trigger", {}), ("trigger", API_KEY), ("webhook", WEBHOOK)], ids=["token", "key", "webhook"]
)
def test_a_trigger_of_unknown_fate_is_a_warning_and_no_guess(tmp_path: Path, call: str, inputs: dict[str, str]) -> None:
    with Simulator(with_fault(calls=call, hang=True, after=True)) as simulator:
        killed = Killed(tmp_path, simulator, calls(call), **inputs)
        result = killed.run_post()
        assert killed.asked == []
    (warning,) = warnings(result)
    assert "may have been queued" in warning
    assert f"/workspaces/{constants.WORKSPACE_ID}" in warning


PIPELINE = {"pipelines": [{"name": "a", "job": {"runs": "forever", "log": [{"text": "INFO  a works"}]}}]}


def test_a_pipelines_run_is_withdrawn_and_the_deployment_is_not(tmp_path: Path) -> None:
    with Simulator({"job": {"runs": "0.2s"}, **PIPELINE}) as simulator:
        killed = Killed(tmp_path, simulator, prints("INFO  a works"), run_pipelines="a")
        result = killed.run_post()
        assert killed.asked == ["withdraw"]
        assert [(job.type, job.status) for job in simulator.jobs] == [
            ("WORKSPACE_DEPLOY", "COMPLETE"),
            ("PIPELINE_RUN", "STOPPED"),
        ]
        assert f"Job {simulator.jobs[1].id}, which the step left running, was withdrawn." in result.log.own
    assert not warnings(result)


def test_a_run_of_unknown_fate_is_a_warning_and_no_guess(tmp_path: Path) -> None:
    faults = [{"calls": "run", "hang": True, "after": True}]
    with Simulator({"job": {"runs": "0.2s"}, **PIPELINE, "faults": faults}) as simulator:
        killed = Killed(tmp_path, simulator, calls("run"), run_pipelines="a")
        result = killed.run_post()
        assert killed.asked == []
    (warning,) = warnings(result)
    assert "its request to run a pipeline was under way: a run may have been queued" in warning
    assert f"/workspaces/{constants.WORKSPACE_ID}" in warning


SILENT = {
    # A pipeline is waited for: the deployment is over, and no run was asked for.
    "waiting-for-a-pipeline": (
        {"job": {"runs": "0.2s"}, "pipelines": [{"name": "a", "status": "PROVISIONING"}]},
        prints("waiting for it"),
        {"run_pipelines": "a"},
    ),
    # Nothing was triggered yet.
    "signing-in": (with_fault(calls="token", hang=True), calls("token"), API_KEY),
    "checking": (with_fault(calls="workspace", hang=True), calls("workspace"), {}),
    # The job is over, main has known it, and was busy with the rest of the log.
    "reading-the-last-of-the-log": (
        {"job": {"runs": "200ms"}, "faults": [{"calls": "logs", "requests": {"from": 2}, "hang": True}]},
        lambda running, simulator: simulator.wait_for("logs", 2) and written("status", "COMPLETE")(running, simulator),
        {},
    ),
    "left": (RUNNING, prints("INFO  Working"), LEAVE),
    "trigger-left": (with_fault(calls="trigger", hang=True), calls("trigger"), LEAVE),
    "somebody-elses": (
        {
            **with_fault(calls="trigger", requests={"first": 1}, drop="close", after=True),
            "other-jobs": [{"at": "0s", "since": "first-trigger", "runs": "forever"}],
            "deployments": {"while-another-runs": "queue"},
        },
        calls("job"),
        {},
    ),
}


@pytest.mark.parametrize(("scenario", "reach", "inputs"), SILENT.values(), ids=SILENT)
def test_with_nothing_to_do_it_is_silent(
    tmp_path: Path, scenario: dict[str, Any], reach: Reach, inputs: dict[str, str]
) -> None:
    with Simulator(scenario) as simulator:
        killed = Killed(tmp_path, simulator, reach, **inputs)
        result = killed.run_post()
        assert (result.printed, killed.asked) == (b"", [])


@pytest.mark.parametrize(
    ("scenario", "inputs", "code"),
    [
        ({"job": {"runs": "0s"}}, {}, 0),
        ({"job": {"runs": "0s", "ends": "ERROR"}}, {}, 1),
        (RUNNING, {"timeout": "soon"}, 2),
        (with_fault(calls="trigger", status=403), {}, 3),
        (with_fault(calls="job", status=403), {}, 3),
        (RUNNING, {"timeout": "2s"}, 4),
        (RUNNING, {"timeout": "2s", "on_timeout": "leave"}, 4),
        (RUNNING, {"wait": "false"}, 0),
        (RUNNING, WEBHOOK, 0),
        (RUNNING, {"dry_run": "true"}, 0),
    ],
)
def test_after_a_main_that_finished_it_is_silent(
    tmp_path: Path, scenario: dict[str, Any], inputs: dict[str, str], code: int
) -> None:
    clock = FakeClock()
    with Simulator(scenario, clock=clock.now, held=clock.held) as simulator:
        step = Step(tmp_path / "step", simulator, **inputs)
        assert run_here(step, clock).code == code
        before = len(simulator.journal)
        assert run_post(step) == ""
        assert len(simulator.journal) == before


def test_without_any_state_it_is_silent(tmp_path: Path) -> None:
    """So it is under runners that hand none on, and when main's container never started."""
    with Simulator(RUNNING) as simulator:
        result = Step(tmp_path / "step", simulator).run_post()
        assert (result.code, result.printed, simulator.journal) == (0, b"", [])


@pytest.mark.parametrize(
    "state",
    [
        {"deployment": "running"},
        {"deployment": "running", "job": "{"},
        {"deployment": "running", "job": '{"id": "../../x", "status": "RUNNING"}'},
        {"deployment": "triggering", "job": "[" * 100_000},
    ],
)
def test_a_state_that_cannot_be_read_is_a_warning(tmp_path: Path, state: dict[str, str]) -> None:
    with Simulator(RUNNING) as simulator:
        result = Step(tmp_path / "step", simulator).run_post(state_environ(state))
        assert simulator.journal == []
    assert result.code == 0
    assert len(warnings(result)) == 1


def test_a_platform_that_refuses_is_a_warning_that_names_the_job(tmp_path: Path) -> None:
    with Simulator(with_fault(calls="withdraw", status=403)) as simulator:
        killed = Killed(tmp_path, simulator, prints("INFO  Working"))
        result = killed.run_post()
        (job,) = simulator.jobs
    (warning,) = warnings(result)
    assert f"Job {job.id} could not be withdrawn" in warning
    assert "403 Forbidden" in warning


def test_a_platform_that_is_down_is_a_warning_that_names_the_job(tmp_path: Path) -> None:
    with Simulator(RUNNING) as simulator:
        killed = Killed(tmp_path, simulator, prints("INFO  Working"))
        (job,) = simulator.jobs
    (warning,) = runner.read(run_post(killed.step).encode()).of("warning")
    assert f"Job {job.id} could not be withdrawn" in warning.data
    assert killed.step.files.outputs["job-url"] in warning.data


def test_a_job_of_a_link_elsewhere_is_withdrawn_here(tmp_path: Path) -> None:
    """State is text like any other: a credential does not follow where it leads."""
    with Simulator(RUNNING) as simulator, socket.create_server(("127.0.0.1", 0)) as elsewhere:
        killed = Killed(tmp_path, simulator, prints("INFO  Working"))
        (job,) = simulator.jobs
        href = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/jobs/{job.id}/stopped"
        state = {
            "deployment": "running",
            "job": f'{{"id": "{job.id}", "status": "RUNNING", "_links": {{"withdraw job": {{"href": "{href}"}}}}}}',
        }
        killed.step.run_post(state_environ(state))
        assert [job.status for job in simulator.jobs] == ["STOPPED"]
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_warning(tmp_path: Path, signum: signal.Signals) -> None:
    with Simulator(with_fault(calls="withdraw", hang=True)) as simulator:
        killed = Killed(tmp_path, simulator, prints("INFO  Working"))
        (job,) = simulator.jobs
        path = tmp_path / "post"
        environ = {**killed.step.environ, **state_environ(killed.step.files.state)}
        with path.open("wb") as output, subprocess.Popen(POST, env=environ, stdout=output, stderr=output) as post:
            simulator.wait_for("withdraw")
            began = time.monotonic()
            post.send_signal(signum)
            assert post.wait(60) == 0
        assert time.monotonic() - began < 3
    (warning,) = runner.read(path.read_bytes()).of("warning")
    assert f"Job {job.id} could not be withdrawn" in warning.data
    assert "no time left" in warning.data


def test_a_defect_of_our_own_is_a_warning_that_names_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(constants.TOKEN)

    with Simulator(RUNNING) as simulator:
        killed = Killed(tmp_path, simulator, prints("INFO  Working"))
        monkeypatch.setattr(post, "_withdraw", broken)
        printed = run_post(killed.step).encode()
        (job,) = simulator.jobs
    (warning,) = runner.read(printed).of("warning")
    assert f"Job {job.id} could not be withdrawn" in warning.data
    assert constants.TOKEN not in warning.data
