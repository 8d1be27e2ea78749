"""The post step after a main step that was killed: it withdraws what is left, and does nothing else.

Most steps run in this process. Where one would be killed, it stays in the middle of a call while its post step runs.
"""

import json
import signal
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
from tests.support.step import API_KEY, LEAVE, POST, REFUSED, RUNNING, SOMEBODY_ELSES, WEBHOOK, Step

JOB: Final = "7127b1d3-a114-4bec-b108-004f374f0b77"
QUICK: Final = {"job": {"runs": "0.2s"}}
PIPELINE: Final = {**QUICK, "pipelines": [{"name": "a", "job": {"runs": "forever"}}]}
RUN: Final = {"run_pipelines": "a"}


def post_in(here: Stage, call: str, number: int) -> tuple[StepLog, str, list[str]]:
    """Run the post step while main is in a call, whose answer never comes; a signal makes main withdraw its job.

    Gives what the post step printed, the calls that it made, and the jobs' statuses after it.
    """
    signals = Signals(lambda: here.clock.passed)
    found: list[tuple[StepLog, str, list[str]]] = []

    def behave(exchange: Exchange) -> None:
        if call != "withdraw":
            exchange.platform_answer()
        before = len(here.peer.requests)
        log = here.step.run_post()
        asked = " ".join(made.call for made in here.peer.requests[before:])
        found.append((log, asked, ["DELETED" if job.deleted else job.status for job in here.simulator.jobs]))
        signals.receive(signal.SIGTERM)

    here.peer.on(call, behave, {number})
    if call == "withdraw":
        here.clock.call_later(5, lambda: signals.receive(signal.SIGINT))
    # Not `here.run`: the tokens of the post step are masked in its own output.
    here.step.run(here.clock, signals=signals)
    ((log, asked, statuses),) = found
    assert log.said("error") == []
    return log, asked, statuses


def leave_state(step: Step, **state: str) -> None:
    """Have main have left a state."""
    Path(step.environ["GITHUB_STATE"]).write_text("".join(f"{name}={value}\n" for name, value in state.items()))


def leave_job(step: Step, **fields: Any) -> None:
    """Have main have left a job that runs."""
    leave_state(step, deployment="running", job=json.dumps({"id": JOB, "status": "RUNNING", **fields}))


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


FORBIDDEN: Final = {**RUNNING, "faults": [{"calls": "withdraw", "status": 403}]}
EXPIRY: Final = {"calls": "withdraw", "requests": {"first": 1}, "expire-token": True}
EXPIRED: Final = {**RUNNING, "faults": [EXPIRY]}
SIGNED: Final = {**RUNNING, "workspace": {"deployment-secret": "s3cret"}}
WITHDRAWN: Final = "Job {id}, which the step left running, was withdrawn."
IN_FLIGHT: Final = "its trigger was under way: a deployment may have been queued"
RUN_IN_FLIGHT: Final = "its request to run a pipeline was under way: a run may have been queued"
PROVISIONING: Final = {**QUICK, "pipelines": [{"name": "a", "status": "PROVISIONING"}]}
# Main's call; the calls of the post step, the jobs after it, and what it says: without anything to do, nothing.
LEFT: Final[dict[str, tuple[Any, ...]]] = {
    "running, token": (RUNNING, {}, "job", 2, "withdraw", ["STOPPED"], WITHDRAWN),
    "running, key": (RUNNING, API_KEY, "job", 2, "token withdraw", ["STOPPED"], WITHDRAWN),
    "running, expired": (EXPIRED, API_KEY, "job", 2, "token withdraw token withdraw", ["STOPPED"], WITHDRAWN),
    "running, webhook": (SIGNED, {"deployment_secret": "s3cret"}, "job", 2, "withdraw", ["STOPPED"], WITHDRAWN),
    "to be withdrawn": (RUNNING, {}, "withdraw", 1, "withdraw", ["STOPPED"], WITHDRAWN),
    "queued": (REFUSED, {}, "job", 1, "withdraw job delete", ["DELETED"], "Job {id}"),
    "over": (QUICK, {}, "job", 1, "withdraw job", ["COMPLETE"], "is over already"),
    "a pipeline's": (PIPELINE, RUN, "job", 2, "withdraw", ["COMPLETE", "STOPPED"], WITHDRAWN),
    "refused": (FORBIDDEN, {}, "job", 2, "withdraw job", ["RUNNING"], "Job {id} could not be withdrawn"),
    "in flight": (RUNNING, {}, "trigger", 1, "", ["RUNNING"], IN_FLIGHT),
    "webhook in flight": (RUNNING, WEBHOOK, "webhook", 1, "", ["RUNNING"], IN_FLIGHT),
    "run in flight": (PIPELINE, RUN, "run", 1, "", ["COMPLETE", "RUNNING"], RUN_IN_FLIGHT),
    "signing in": (RUNNING, API_KEY, "token", 1, "", [], ""),
    "before the trigger": (RUNNING, {}, "jobs", 1, "", [], ""),
    "after the deployment": (PROVISIONING, RUN, "pipelines", 3, "", ["COMPLETE"], ""),
    "end of the log": (QUICK, {"logs": "stream"}, "logs", 2, "", ["COMPLETE"], ""),
    "running, to be left": (RUNNING, LEAVE, "job", 2, "", ["RUNNING"], ""),
    "in flight, to be left": (RUNNING, LEAVE, "trigger", 1, "", ["RUNNING"], ""),
    "perhaps another's": (SOMEBODY_ELSES, {}, "job", 2, "", ["RUNNING", "RUNNING"], ""),
}


@pytest.mark.parametrize("row", LEFT.values(), ids=LEFT)
def test_job_is_withdrawn_or_named_and_never_guessed(row: tuple[Any, ...], tmp_path: Path) -> None:
    scenario, inputs, call, number, asked, statuses, said = row
    with stage(tmp_path, scenario, **inputs) as here:
        log, made, found = post_in(here, call, number)
        last = here.simulator.jobs[-1].id if statuses else ""
    assert said.format(id=last) in log.own
    assert bool(said) == bool(log.printed)
    assert (made, found) == (asked, statuses)
    masked = log.said("add-mask")
    assert len(masked) > asked.count("token") or not said
    lines = b"".join(line for line in log.printed.splitlines(True) if not line.startswith(b"::add-mask::"))
    assert not [form for secret in masked for form in forms(secret) if form in lines]
    warnings = log.said("warning")
    assert len(warnings) == ("may have been queued" in said or "could not" in said)
    assert said == WITHDRAWN or all("403 Forbidden" in it or constants.WORKSPACE_ID in it for it in warnings)


@pytest.mark.parametrize(
    ("scenario", "inputs", "code"),
    [
        ({"job": {"runs": "0s"}}, {}, 0),
        (RUNNING, {"timeout": "soon"}, 2),
        ({**RUNNING, "faults": [{"calls": "job", "status": 403}]}, {}, 3),
        (RUNNING, {"timeout": "2s"}, 4),
        (RUNNING, {"wait": "false"}, 0),
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
        {"deployment": "running", "job": "{"},
        {"deployment": "running", "job": '{"id": "../../x", "status": "RUNNING"}'},
        {"deployment": "triggering", "job": "[" * 100_000},
    ],
    ids=["no JSON", "no id", "nested"],
)
def test_state_that_cannot_be_read_is_a_warning(state: dict[str, str], tmp_path: Path) -> None:
    with Simulator(RUNNING) as simulator:
        step = Step(tmp_path / "step", simulator)
        leave_state(step, **state)
        assert len(step.run_post().said("warning")) == 1
        assert simulator.journal == []


def test_defect_is_a_warning_that_names_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(constants.TOKEN)

    with Simulator(RUNNING) as simulator:
        step = Step(tmp_path / "step", simulator)
        leave_job(step)
        monkeypatch.setattr(post, "_withdraw", broken)
        (warning,) = step.run_post().said("warning")
    assert f"Job {JOB} could not be withdrawn" in warning
    assert constants.TOKEN not in warning


def test_link_in_the_state_is_not_followed(tmp_path: Path) -> None:
    """State is text like any other: a credential does not follow where it leads."""
    with stage(tmp_path, RUNNING) as here:
        for href in (f"{here.peer.elsewhere_url}/jobs/{JOB}/stopped", "/api/by-link"):
            leave_job(here.step, _links={"withdraw job": {"href": href}})
            here.step.run_post()
        assert {entry.path for entry in here.simulator.journal if entry.method == "PUT"} == {f"/api/jobs/{JOB}/stopped"}
        assert not here.peer.was_called_elsewhere()


def test_signal_ends_its_process_with_a_warning(tmp_path: Path) -> None:
    with Simulator({**RUNNING, "faults": [{"calls": "withdraw", "hang": True}]}) as simulator:
        step = Step(tmp_path / "step", simulator)
        leave_job(step)
        with step.started(command=POST) as process:
            simulator.wait_for("withdraw", timeout=60)
            process.signal(signal.SIGINT)
            # Without the signal it would try for a minute.
            result = process.wait(30)
    assert result.code == 0
    (warning,) = result.log.said("warning")
    assert f"Job {JOB} could not be withdrawn" in warning
    assert "no time left" in warning
