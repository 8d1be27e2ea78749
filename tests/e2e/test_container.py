"""The image under `docker run`, started, signalled and left behind as the runner does."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from matatika_simulator import Simulator, constants
from matatika_simulator.runner import state_environ
from tests.e2e.containers import Engine
from tests.support.step import API_KEY, Step
from tests.support.tls import make_certificate, openssl_conf

QUICK = {"job": {"queued": "0.2s", "runs": "0.5s", "log": [{"text": "INFO  Déployé"}]}}
LONG = {"job": {"runs": "forever", "log": [{"text": "INFO  Working"}]}}
POST = ("--entrypoint", "/opt/action/post")

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
    **dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX"), "/github/workspace"),
    **{"PYTHONSTARTUP": "/github/workspace/requests.py", "PYTHONPLATLIBDIR": "lib64", "PYTHONSAFEPATH": ""},
    **{"PYTHONINSPECT": "1", "PYTHONBREAKPOINT": "sitecustomize", "PYTHONVERBOSE": "1", "PYTHONWARNINGS": "error"},
    **{"PYTHONIOENCODING": "ascii", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "POSIX", "LC_ALL": "POSIX"},
}


def test_hostile_environment_does_no_harm(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(QUICK, tls=make_certificate(tmp_path)) as simulator:
        step = Step(tmp_path, simulator, ca_bundle=(tmp_path / "certificate.pem").read_text())
        workspace = step.workspace
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
        assert engine.run_step(image, step, HOSTILE, "--entrypoint", "/bin/ls").code == 0
        result = engine.run_step(image, step, HOSTILE)
        post = engine.run_step(image, step, {**HOSTILE, **state_environ(result.state)}, *POST)
        (job,) = simulator.jobs
    assert (result.code, result.log.job_log) == (0, "INFO  Déployé\n".encode())
    assert (result.outputs["outcome"], result.outputs["job-id"]) == ("success", job.id)
    assert job.id in result.summary
    assert (post.code, post.printed) == (0, b"")


def test_user_without_a_name_or_rights_needs_no_file_system_to_write_to(
    engine: Engine, image: str, tmp_path: Path
) -> None:
    with Simulator(QUICK, tls=make_certificate(tmp_path)) as simulator:
        step = Step(tmp_path, simulator, **API_KEY, ca_bundle="certificate.pem")
        (tmp_path / "certificate.pem").rename(step.workspace / "certificate.pem")
        for path in step.files.environ().values():
            Path(path).chmod(0o666)
        tmp_path.chmod(0o755)  # as the runner's folders are, unlike those of tests
        options = ("--read-only", "--user", "12345:12345", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
        result = engine.run_step(image, step, {}, *options)
    assert (result.code, result.outputs["outcome"]) == (0, "success")


@pytest.mark.parametrize(
    ("signum", "is_answered"), [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGINT, False)]
)
def test_signal_withdraws_the_job_and_ends_the_step_before_the_runner_loses_its_patience(
    engine: Engine, image: str, tmp_path: Path, signum: signal.Signals, is_answered: bool
) -> None:
    """If the platform does not answer, the post step tries again; else it has nothing to do."""
    faults = [] if is_answered else [{"calls": "withdraw", "requests": {"first": 1}, "hang": True}]
    with Simulator({**LONG, "faults": faults}) as simulator:
        step = Step(tmp_path, simulator)
        with engine.started(image, step) as (_, client):
            _wait_until_working(step, simulator)
            client.send_signal(signum)
            result = step.ended(client.wait(SIGTERM_AFTER))
        before = len(simulator.journal)
        post = engine.run_step(image, step, state_environ(result.state), *POST)
        (job,) = simulator.jobs
        assert (len(simulator.journal) == before) == is_answered
    assert job.status == "STOPPED"
    assert {entry.path for entry in simulator.calls("withdraw")} == {f"/api/jobs/{job.id}/stopped"}
    assert (post.code, post.printed == b"") == (0, is_answered)
    assert (result.code, result.outputs["outcome"]) == (128 + signum, "cancelled")
    assert constants.WORKSPACE_ID in result.summary
    assert any(job.id in error for error in result.log.said("error")) != is_answered


def test_post_withdraws_what_a_killed_main_leaves(engine: Engine, image: str, tmp_path: Path) -> None:
    with Simulator(LONG) as simulator:
        step = Step(tmp_path, simulator)
        with engine.started(image, step) as (name, client):
            _wait_until_working(step, simulator)
            # Stopped, it hears nothing, as if it hung: all of the timetable passes.
            engine.run("kill", "--signal", "STOP", name)
            for number, seconds in ((signal.SIGINT, SIGTERM_AFTER), (signal.SIGTERM, KILL_AFTER - SIGTERM_AFTER)):
                client.send_signal(number)
                with pytest.raises(subprocess.TimeoutExpired):
                    client.wait(seconds)
            client.kill()
            client.wait()
            assert not simulator.calls("withdraw")
            post = engine.run_step(image, step, state_environ(step.files.state), *POST)
            (job,) = simulator.jobs
    assert (post.code, job.status) == (0, "STOPPED")
    assert job.id in post.log.own


def _wait_until_working(step: Step, simulator: Simulator) -> None:
    """Until the action has read the first line of a running job's log."""
    simulator.wait_for("logs", timeout=60)
    deadline = time.monotonic() + 60
    while b"INFO  Working" not in step.printed:
        assert time.monotonic() < deadline, step.printed
        time.sleep(0.05)
