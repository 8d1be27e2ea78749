"""The image under `docker run`, started, signalled and left behind as the runner does."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from matatika_simulator import Simulator, constants
from matatika_simulator.runner import state_environ
from tests.e2e.containers import ACTION, POST_ENTRYPOINT, Container, Engine, Step
from tests.support.tls import make_certificate, openssl_conf

QUICK = {"based-on": "success", "job": {"queued": "0.2s", "runs": "0.5s", "log": [{"text": "INFO  Déployé"}]}}
FAILING = {"job": {"runs": "0.5s", "ends": "ERROR", "log": [{"text": "ERROR No such data component"}]}}
LONG = {"job": {"runs": "forever", "log": [{"text": "INFO  Working"}]}}

# The runner's own timetable, in seconds after its SIGINT.
SIGTERM_AFTER = 7.5
KILL_AFTER = 10.0

# Files that could be loaded instead of the image's own, whatever is in them.
LIBRARIES = ("libc.so.6", "libcrypto.so.3", "libm.so.6", "libpython3.13.so.1.0", "libssl.so.3", "libz.so.1")
HOSTILE = {
    "PATH": "/github/workspace/bin",
    "LD_LIBRARY_PATH": "/github/workspace/lib:/github/workspace",
    "OPENSSL_CONF": "/github/workspace/openssl.cnf",
    "OPENSSL_MODULES": "/github/workspace/lib",
    "PYTHONPATH": "/github/workspace",
    "PYTHONHOME": "/github/workspace",
    "PYTHONPLATLIBDIR": "lib64",
    "PYTHONPYCACHEPREFIX": "/github/workspace",
    "PYTHONSAFEPATH": "",
    "PYTHONINSPECT": "1",
    "PYTHONBREAKPOINT": "sitecustomize",
    "PYTHONVERBOSE": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONSTARTUP": "/github/workspace/requests.py",
    "PYTHONIOENCODING": "ascii",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LANG": "POSIX",
    "LC_ALL": "POSIX",
}


def test_success(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        result = step.run()
        (job,) = simulator.jobs
    assert result.code == 0
    assert result.log.job_log == "INFO  Déployé\n".encode()
    assert step.files.outputs["outcome"] == "success"
    assert step.files.outputs["job-id"] == job.id
    declared = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["outputs"].keys()
    # There is no checkout to make a plan of, and no pipeline to run.
    assert step.files.outputs.keys() == declared - {"plan", "pipeline-jobs"}
    assert job.id in step.files.summary


def test_failure(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(FAILING) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        result = step.run()
    assert result.code == 1
    assert step.files.outputs["outcome"] == "failure"
    (error,) = (command for command in result.log.commands if command.name == "error")
    assert error.properties["title"]
    assert "ERROR No such data component" in step.files.summary


def test_bad_input(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        step = Step(engine, image, tmp_path, simulator, timeout="soon")
        result = step.run()
        assert not simulator.journal
    assert result.code == 2
    assert step.files.outputs["outcome"] == "error"


def test_hostile_environment(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK, tls=make_certificate(tmp_path)) as simulator:
        step = Step(engine, image, tmp_path, simulator, ca_bundle=(tmp_path / "certificate.pem").read_text())
        workspace = tmp_path / "workspace"
        for module in ("requests", "sitecustomize", "json", "matatika_deploy"):
            (workspace / f"{module}.py").write_text("raise SystemExit(99)", encoding="utf-8")
        (workspace / "openssl.cnf").write_text(openssl_conf("/github/workspace/lib/libz.so.1"), encoding="utf-8")
        for folder in (workspace / "lib", workspace / "bin"):
            folder.mkdir()
        for name in LIBRARIES:
            (workspace / "lib" / name).write_bytes(b"no library at all")
        for name in ("python3", "sh", "env"):
            (workspace / "bin" / name).write_text("#!/bin/sh\nexit 99\n", encoding="utf-8")
            (workspace / "bin" / name).chmod(0o755)
        assert step.run(HOSTILE, entrypoint="/bin/ls").code == 0
        result = step.run(HOSTILE)
        post = step.run({**HOSTILE, **state_environ(step.files.state)}, entrypoint=POST_ENTRYPOINT)
    assert result.code == 0
    assert result.log.job_log == "INFO  Déployé\n".encode()
    assert step.files.outputs["outcome"] == "success"
    assert (post.code, post.log.printed) == (0, b"")


def test_file_system_that_cannot_be_written(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        result = step.run({}, "--read-only")
    assert result.code == 0
    assert step.files.outputs["outcome"] == "success"


def test_user_without_a_name_or_rights(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK, tls=make_certificate(tmp_path)) as simulator:
        key = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
        step = Step(engine, image, tmp_path, simulator, **key, ca_bundle="certificate.pem")
        (tmp_path / "workspace" / "certificate.pem").write_bytes((tmp_path / "certificate.pem").read_bytes())
        for file in (tmp_path / "file_commands").iterdir():
            file.chmod(0o666)
        result = step.run({}, "--user", "12345:12345", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    assert result.code == 0
    assert step.files.outputs["outcome"] == "success"
    assert [entry.call for entry in simulator.calls("token")] == ["token"]


def test_without_waiting(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(LONG) as simulator:
        step = Step(engine, image, tmp_path, simulator, wait="false")
        result = step.run()
        (job,) = simulator.jobs
    assert (result.code, job.status) == (0, "RUNNING")
    assert step.files.outputs["outcome"] == "submitted"
    assert step.files.outputs["job-id"] == job.id


def test_webhook_with_the_event_of_a_push(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        step = Step(engine, image, tmp_path, simulator, token="", deployment_secret=constants.DEPLOYMENT_SECRET)
        result = step.run()
        (trigger,) = simulator.journal
    assert result.code == 0
    assert (trigger.call, trigger.signed, trigger.status) == ("webhook", True, 202)
    assert step.files.outputs["outcome"] == "submitted"


def test_no_network(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        step = Step(engine, image, tmp_path, simulator, timeout="3s")
        result = step.run(network="none")
        assert not simulator.journal
    assert result.code == 4
    (error,) = result.log.said("error")
    assert f"no connection to {simulator.api_url.removeprefix('http://').removesuffix('/api')}" in error
    assert b"Traceback" not in result.log.printed


def test_runner_without_command_files(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        for name in step.files.environ():
            del step.environ[name]
        result = step.run()
        (job,) = simulator.jobs
    assert result.code == 0
    assert job.status == "COMPLETE"
    assert not step.files.outputs


def test_runner_that_turns_hyphens_into_underscores(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        inputs = [name for name in step.environ if name.startswith("INPUT_")]
        renamed = {name.replace("-", "_"): step.environ.pop(name) for name in inputs}
        result = step.run(renamed)
    assert result.code == 0
    assert step.files.outputs["outcome"] == "success"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_cancelled(engine: Engine, image: str, tmp_path: Path, signum: signal.Signals) -> None:
    with Simulator(LONG) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        with step.started() as container:
            _wait_until_working(container, simulator)
            started = time.monotonic()
            container.client.send_signal(signum)
            result = container.wait()
            took = time.monotonic() - started
        (job,) = simulator.jobs
        withdrawals = simulator.calls("withdraw")
    assert result.code == 128 + signum
    assert job.status == "STOPPED"
    assert [(entry.method, entry.path) for entry in withdrawals] == [("PUT", f"/api/jobs/{job.id}/stopped")]
    assert step.files.outputs["outcome"] == "cancelled"
    assert constants.WORKSPACE_ID in step.files.summary
    assert took < SIGTERM_AFTER


def test_queued_job_that_cannot_be_withdrawn_is_deleted(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator("queued-forever") as simulator:
        step = Step(engine, image, tmp_path, simulator)
        with step.started() as container:
            simulator.wait_for("job")
            container.client.send_signal(signal.SIGINT)
            result = container.wait()
        assert [entry.status for entry in simulator.calls("delete")] == [204]
    assert result.code == 128 + signal.SIGINT


def test_post_withdraws_what_a_killed_main_leaves(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(LONG) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        with step.started() as container:
            _wait_until_working(container, simulator)
            # Stopped, it hears nothing, as if it hung: all of the timetable passes.
            container.signal("STOP")
            _cancel_by_timetable(container)
            assert not simulator.calls("withdraw")
            post = step.run(state_environ(step.files.state), entrypoint=POST_ENTRYPOINT)
            (job,) = simulator.jobs
    assert post.code == 0
    assert job.status == "STOPPED"
    assert job.id in post.log.own


def test_post_tries_again_what_main_could_not(engine: Engine, image: str, tmp_path: Path) -> None:
    faults = [{"calls": "withdraw", "requests": {"first": 1}, "hang": True}]
    with Simulator({**LONG, "faults": faults}) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        with step.started() as container:
            _wait_until_working(container, simulator)
            container.client.send_signal(signal.SIGINT)
            # Gone before the runner would lose its patience, though the platform never answers.
            assert container.client.wait(SIGTERM_AFTER) == 128 + signal.SIGINT
            (job,) = simulator.jobs
            assert any(job.id in error for error in container.log.said("error"))
        post = step.run(state_environ(step.files.state), entrypoint=POST_ENTRYPOINT)
        (job,) = simulator.jobs
    assert post.code == 0
    assert job.status == "STOPPED"


def test_post_is_silent_after_a_cancelled_main(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(LONG) as simulator:
        step = Step(engine, image, tmp_path, simulator)
        with step.started() as container:
            _wait_until_working(container, simulator)
            container.client.send_signal(signal.SIGINT)
            container.wait()
        requests = len(simulator.journal)
        post = step.run(state_environ(step.files.state), entrypoint=POST_ENTRYPOINT)
        assert len(simulator.journal) == requests
    assert (post.code, post.log.printed) == (0, b"")


def test_post_without_state_does_nothing(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(LONG) as simulator:
        post = Step(engine, image, tmp_path, simulator).run(entrypoint=POST_ENTRYPOINT)
        assert not simulator.journal
    assert (post.code, post.log.printed) == (0, b"")


def _wait_until_working(container: Container, simulator: Simulator) -> None:
    """Until the action has read the first line of a running job's log."""
    simulator.wait_for("logs", timeout=60)
    deadline = time.monotonic() + 60
    while b"INFO  Working" not in container.log.printed:
        assert time.monotonic() < deadline, container.log.printed
        time.sleep(0.05)


def _cancel_by_timetable(container: Container) -> None:
    """What the runner does to the client: SIGINT, SIGTERM, and in the end no signal that could be forwarded."""
    container.client.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        container.client.wait(SIGTERM_AFTER)
    container.client.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        container.client.wait(KILL_AFTER - SIGTERM_AFTER)
    container.client.kill()
    container.client.wait()
