"""The post step after a main step that was killed: it withdraws what is left, and does nothing else.

Most steps run in this process. Where one would be killed, it stays in the middle of a call while its post step runs.
"""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_deploy import post
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import Simulator, constants
from tests.support.peer import Exchange
from tests.support.result import StepLog
from tests.support.secrecy import forms
from tests.support.stage import Stage, stage
from tests.support.step import API_KEY, POST, QUEUED, RUNNING, WEBHOOK, Step

LEAVE: Final = {"on_cancel": "leave"}
JOB: Final = "7127b1d3-a114-4bec-b108-004f374f0b77"
QUICK: Final = {"job": {"runs": "0.2s"}}
PIPELINE: Final = {**QUICK, "pipelines": [{"name": "a", "job": {"runs": "forever"}}]}
RUN: Final = {"run_pipelines": "a"}


def post_in(here: Stage, call: str, number: int = 1, *, has_effect: bool = False, at: float = 0) -> tuple[StepLog, str]:
    """Run the post step while main is in a call; gives what it printed, and the calls that it made.

    Arguments:
        number: which request of the call.
        has_effect: whether the platform does what main asks for.
        at: a signal comes to main after so many seconds, if at all.
    """
    signals = Signals(lambda: here.clock.passed)
    found: list[tuple[StepLog, str]] = []

    def behave(exchange: Exchange) -> None:
        if has_effect:
            exchange.platform_answer()
        before = len(here.peer.requests)
        log = here.step.run_post()
        found.append((log, " ".join(made.call for made in here.peer.requests[before:])))
        signals.receive(signal.SIGTERM)

    here.peer.on(call, behave, {number})
    if at:
        here.clock.call_later(at, lambda: signals.receive(signal.SIGINT))
    # Not `here.run`: the tokens of the post step are masked in its own output.
    here.step.run(here.clock, signals=signals)
    ((log, asked),) = found
    assert log.said("error") == []
    return log, asked


def leave_state(step: Step, **state: str) -> None:
    """Have main have left a state."""
    Path(step.environ["GITHUB_STATE"]).write_text("".join(f"{name}={value}\n" for name, value in state.items()))


def test_what_a_killed_process_left_running_is_withdrawn_by_another(tmp_path: Path) -> None:
    with Simulator(RUNNING) as simulator:
        step = Step(tmp_path / "step", simulator)
        with step.started() as running:
            running.wait_for_print("INFO  Working")
            running.signal(signal.SIGKILL)
            assert running.wait().code == -signal.SIGKILL
        before = len(simulator.journal)
        result = step.run_process(command=POST)
        (job,) = simulator.jobs
        assert [(entry.call, entry.path) for entry in simulator.journal[before:]] == [
            ("withdraw", f"/api/jobs/{job.id}/stopped")
        ]
    assert (result.code, job.status) == (0, "STOPPED")
    assert f"Job {job.id}, which the step left running, was withdrawn." in result.log.own


@pytest.mark.parametrize(
    ("inputs", "asked"),
    [({}, "withdraw"), (API_KEY, "token withdraw"), ({"deployment_secret": "s3cret"}, "withdraw")],
    ids=["token", "key", "webhook and token"],
)
def test_running_job_is_withdrawn(inputs: dict[str, str], asked: str, tmp_path: Path) -> None:
    scenario = {**RUNNING, "workspace": {"deployment-secret": "s3cret"}}
    with stage(tmp_path, scenario, **inputs) as here:
        log, made = post_in(here, "job", 2)
        assert [job.status for job in here.simulator.jobs] == ["STOPPED"]
    assert (made, log.said("warning")) == (asked, [])


def test_job_that_main_was_about_to_withdraw_is_withdrawn(tmp_path: Path) -> None:
    with stage(tmp_path, RUNNING) as here:
        _, asked = post_in(here, "withdraw", at=5)
        assert [job.status for job in here.simulator.jobs] == ["STOPPED"]
    assert asked == "withdraw"


def test_queued_job_whose_withdrawal_is_refused_is_deleted(tmp_path: Path) -> None:
    with stage(tmp_path, {**QUEUED, "withdrawal": {"queued": 409}}) as here:
        log, asked = post_in(here, "job")
        assert [job.deleted for job in here.simulator.jobs] == [True]
    assert (asked, log.said("warning")) == ("withdraw job delete", [])


def test_token_that_expired_meanwhile_is_renewed_and_masked(tmp_path: Path) -> None:
    expiry = {"calls": "withdraw", "requests": {"first": 1}, "expire-token": True}
    with stage(tmp_path, {**RUNNING, "faults": [expiry]}, **API_KEY) as here:
        log, asked = post_in(here, "job", 2)
        assert [job.status for job in here.simulator.jobs] == ["STOPPED"]
        masked = log.said("add-mask")
        assert masked[0] == constants.CLIENT_SECRET
        assert len(masked) == 3
        assert set(masked[1:]) <= set(here.simulator.issued_tokens)
    assert asked == "token withdraw token withdraw"
    said = b"".join(line for line in log.printed.splitlines(True) if not line.startswith(b"::add-mask::"))
    assert not [form for secret in masked for form in forms(secret) if form in said]


def test_job_that_is_over_is_nobodys_trouble(tmp_path: Path) -> None:
    with stage(tmp_path, QUICK) as here:
        log, _ = post_in(here, "job")
        assert [job.status for job in here.simulator.jobs] == ["COMPLETE"]
    assert log.said("warning") == []
    assert "is over already" in log.own


@pytest.mark.parametrize(
    ("scenario", "call", "inputs", "what"),
    [
        (RUNNING, "trigger", {}, "its trigger was under way: a deployment"),
        (RUNNING, "webhook", WEBHOOK, "its trigger was under way: a deployment"),
        (PIPELINE, "run", RUN, "its request to run a pipeline was under way: a run"),
    ],
    ids=["trigger", "webhook", "run"],
)
def test_request_of_unknown_fate_is_a_warning_and_no_guess(
    scenario: dict[str, Any], call: str, inputs: dict[str, str], what: str, tmp_path: Path
) -> None:
    with stage(tmp_path, scenario, **inputs) as here:
        log, asked = post_in(here, call, has_effect=True)
    (warning,) = log.said("warning")
    assert f"{what} may have been queued" in warning
    assert f"/workspaces/{constants.WORKSPACE_ID}" in warning
    assert asked == ""


def test_run_of_a_pipeline_is_withdrawn_and_the_deployment_is_not(tmp_path: Path) -> None:
    with stage(tmp_path, PIPELINE, **RUN) as here:
        log, asked = post_in(here, "job", 2)
        deployment, run = here.simulator.jobs
        assert (deployment.status, run.status) == ("COMPLETE", "STOPPED")
    assert f"Job {run.id}, which the step left running, was withdrawn." in log.own
    assert (asked, log.said("warning")) == ("withdraw", [])


SOMEBODY_ELSES: Final = {
    **RUNNING,
    "faults": [{"calls": "trigger", "requests": {"first": 1}, "drop": "close", "after": True}],
    "other-jobs": [{"at": "0s", "since": "first-trigger", "runs": "forever"}],
    "deployments": {"while-another-runs": "queue"},
}
NOTHING_TO_DO: Final[Mapping[str, tuple[Mapping[str, Any], str, int, dict[str, str]]]] = {
    "signing in": (RUNNING, "token", 1, API_KEY),
    "listing the jobs before the trigger": (RUNNING, "jobs", 1, {}),
    "waiting for a pipeline, after the deployment": (
        {**QUICK, "pipelines": [{"name": "a", "status": "PROVISIONING"}]},
        *("pipelines", 3, RUN),
    ),
    "reading the last of the log": (QUICK, "logs", 2, {"logs": "stream"}),
    "following a job that is to be left": (RUNNING, "job", 2, LEAVE),
    "triggering one that is to be left": (RUNNING, "trigger", 1, LEAVE),
    "following somebody else's job, perhaps": (SOMEBODY_ELSES, "job", 2, {}),
}


@pytest.mark.parametrize(("scenario", "call", "number", "inputs"), NOTHING_TO_DO.values(), ids=NOTHING_TO_DO)
def test_with_nothing_to_do_it_is_silent(
    scenario: Mapping[str, Any], call: str, number: int, inputs: dict[str, str], tmp_path: Path
) -> None:
    with stage(tmp_path, scenario, **inputs) as here:
        log, asked = post_in(here, call, number)
    assert (log.printed, asked) == (b"", "")


@pytest.mark.parametrize(
    ("scenario", "inputs", "code"),
    [
        ({"job": {"runs": "0s"}}, {}, 0),
        ({"job": {"runs": "0s", "ends": "ERROR"}}, {}, 1),
        (RUNNING, {"timeout": "soon"}, 2),
        ({**RUNNING, "faults": [{"calls": "job", "status": 403}]}, {}, 3),
        (RUNNING, {"timeout": "2s"}, 4),
        (RUNNING, {"timeout": "2s", "on_timeout": "leave"}, 4),
        (RUNNING, {"wait": "false"}, 0),
        (RUNNING, WEBHOOK, 0),
        (RUNNING, {"dry_run": "true"}, 0),
    ],
)
def test_after_a_main_that_finished_it_is_silent(
    scenario: dict[str, Any], inputs: dict[str, str], code: int, tmp_path: Path
) -> None:
    with stage(tmp_path, scenario, **inputs) as here:
        assert here.run().code == code
        before = len(here.peer.requests)
        assert here.step.run_post().printed == b""
        assert len(here.peer.requests) == before


def test_without_any_state_a_process_of_it_is_silent(tmp_path: Path) -> None:
    """So it is under runners that hand none on, and when main's container never started."""
    with Simulator(RUNNING) as simulator:
        result = Step(tmp_path / "step", simulator).run_process(command=POST)
        assert (result.code, result.printed, simulator.journal) == (0, b"", [])


@pytest.mark.parametrize(
    "state",
    [
        {"deployment": "running"},
        {"deployment": "running", "job": "{"},
        {"deployment": "running", "job": '{"id": "../../x", "status": "RUNNING"}'},
        {"deployment": "triggering", "job": "[" * 100_000},
    ],
    ids=["no job", "no JSON", "no id", "nested"],
)
def test_state_that_cannot_be_read_is_a_warning(state: dict[str, str], tmp_path: Path) -> None:
    with Simulator(RUNNING) as simulator:
        step = Step(tmp_path / "step", simulator)
        leave_state(step, **state)
        assert len(step.run_post().said("warning")) == 1
        assert simulator.journal == []


def test_refused_withdrawal_is_a_warning_that_names_the_job(tmp_path: Path) -> None:
    with stage(tmp_path, {**RUNNING, "faults": [{"calls": "withdraw", "status": 403}]}) as here:
        log, _ = post_in(here, "job", 2)
        (job,) = here.simulator.jobs
    (warning,) = log.said("warning")
    assert f"Job {job.id} could not be withdrawn" in warning
    assert "403 Forbidden" in warning


@pytest.mark.parametrize("is_broken", [False, True], ids=["platform is away", "program is broken"])
def test_withdrawal_that_is_impossible_is_a_warning_that_names_the_job(
    is_broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(constants.TOKEN)

    with Simulator(RUNNING) as simulator:
        step = Step(tmp_path / "step", simulator)
    leave_state(step, deployment="running", job=json.dumps({"id": JOB, "status": "RUNNING"}))
    if is_broken:
        monkeypatch.setattr(post, "_withdraw", broken)
    (warning,) = step.run_post().said("warning")
    assert f"Job {JOB} could not be withdrawn" in warning
    assert constants.TOKEN not in warning
    assert is_broken or f"{simulator.api_url}/jobs/{JOB}" in warning


@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_link_in_the_state_is_not_followed(tmp_path: Path, is_elsewhere: bool) -> None:
    """State is text like any other: a credential does not follow where it leads."""
    with stage(tmp_path, RUNNING) as here:
        href = f"{here.peer.elsewhere_url}/jobs/{JOB}/stopped" if is_elsewhere else "/api/by-link"
        job = {"id": JOB, "status": "RUNNING", "_links": {"withdraw job": {"href": href}}}
        leave_state(here.step, deployment="running", job=json.dumps(job))
        here.step.run_post()
        assert {entry.path for entry in here.simulator.journal if entry.method == "PUT"} == {f"/api/jobs/{JOB}/stopped"}
        assert not here.peer.was_called_elsewhere()


def test_signal_ends_its_process_with_a_warning(tmp_path: Path) -> None:
    with Simulator({**RUNNING, "faults": [{"calls": "withdraw", "hang": True}]}) as simulator:
        step = Step(tmp_path / "step", simulator)
        leave_state(step, deployment="running", job=json.dumps({"id": JOB, "status": "RUNNING"}))
        with step.started(command=POST) as process:
            simulator.wait_for("withdraw", timeout=60)
            process.signal(signal.SIGINT)
            # Without the signal it would try for a minute.
            result = process.wait(30)
    assert result.code == 0
    (warning,) = result.log.said("warning")
    assert f"Job {JOB} could not be withdrawn" in warning
    assert "no time left" in warning
