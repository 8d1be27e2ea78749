"""`python -m matatika_simulator`, as a shell or a workflow starts and ends it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from matatika_simulator import constants
from tests.support.tls import make_certificate

HEADERS = {"Authorization": f"Bearer {constants.TOKEN}"}
DEPLOYMENTS = f"/api/workspaces/{constants.WORKSPACE_ID}/deployments"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "matatika_simulator", *(str(argument) for argument in arguments)]


@contextlib.contextmanager
def running(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program and the first line that it printed."""
    pipe = subprocess.PIPE
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command(*arguments), stdout=pipe, stderr=pipe, text=True, env=environ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def refused(*arguments: object) -> str:
    """What a start that is refused says."""
    ended = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_prints_its_address_first_and_serves_there() -> None:
    with running("--port", 0, "--scenario", "failure") as (_, line):
        assert line.startswith("http://127.0.0.1:")
        assert line.endswith("\n")
        assert requests.post(line.strip() + DEPLOYMENTS, headers=HEADERS, timeout=10).status_code == 202


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_though_a_stream_is_held_open(number: signal.Signals) -> None:
    with running("--scenario", "held-stream") as (process, line):
        job = requests.post(line.strip() + DEPLOYMENTS, headers=HEADERS, timeout=10).json()
        logs = job["_links"]["logs"]["href"]
        with requests.get(logs, headers=HEADERS, stream=True, timeout=10) as stream:
            assert stream.status_code == 200
            process.send_signal(number)
            assert process.wait(timeout=10) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_serves_https(certificate: tuple[Path, Path]) -> None:
    with running("--tls", *certificate, "--scenario", "held-stream") as (process, line):
        assert line.startswith("https://127.0.0.1:")
        answer = requests.post(line.strip() + DEPLOYMENTS, headers=HEADERS, verify=str(certificate[0]), timeout=10)
        links = answer.json()["_links"]
        assert links["self"]["href"].startswith(line.strip() + "/api/jobs/")
        with requests.get(links["logs"]["href"], headers=HEADERS, verify=str(certificate[0]), stream=True, timeout=10):
            process.terminate()
            assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


class TestRefuses:
    def test_a_scenario_with_an_unknown_key(self, tmp_path: Path) -> None:
        (tmp_path / "my.yml").write_text("job: {quued: 1s}\n")
        assert "my.yml: job.quued: unknown key; did you mean 'queued'?" in refused("--scenario", tmp_path / "my.yml")

    @pytest.mark.parametrize("host", ["0.0.0.0", "8.8.8.8", "localhost", "::1"])
    def test_addresses_that_others_could_reach(self, host: str) -> None:
        assert re.search(r"neither a loopback nor a private address|no IPv4 address", refused("--host", host))


def test_listens_on_another_loopback_address() -> None:
    with running("--host", "127.0.0.2") as (_, line):
        assert line.startswith("http://127.0.0.2:")
        assert requests.get(line.strip() + "/api/none", timeout=10).status_code == 401


def test_shares_no_code_with_the_action() -> None:
    modules = "import sys, matatika_simulator.__main__, matatika_simulator.demo; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, timeout=30, check=True)
    assert "matatika_deploy" not in {name.partition(".")[0] for name in ended.stdout.split()}
