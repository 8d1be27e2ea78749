"""`python -m matatika_simulator`, as a shell or a workflow starts and ends it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
import requests

from matatika_simulator import __main__ as program
from matatika_simulator import constants
from tests.support.tls import make_certificate


def test_it_prints_its_address_first_and_a_signal_ends_it_though_a_stream_is_held_open(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    options = ["--tls", *map(str, certificate), "--host", "127.0.0.1", "--port", "0"]
    command = [sys.executable, "-W", "error", "-m", "matatika_simulator", "--scenario", "held-stream", *options]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("https://127.0.0.1:")
            with requests.Session() as session:
                session.trust_env, session.verify = False, str(certificate[0])
                session.headers["Authorization"] = f"Bearer {constants.TOKEN}"
                trigger = f"{url}/api/workspaces/{constants.WORKSPACE_ID}/deployments"
                links = session.post(trigger, timeout=10).json()["_links"]
                assert session.get(links["logs"]["href"], stream=True, timeout=10).status_code == 200
                process.send_signal(signal.SIGTERM)
                printed, errors = process.communicate(timeout=10)
            assert (process.returncode, printed, errors) == (0, "", "")
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scenario", "my.yml"], "my.yml: job.quued: "),
        (["--tls", "none.pem", "none.pem"], "No such file"),
        *((["--host", host], "neither a loopback nor a private address") for host in ("0.0.0.0", "8.8.8.8")),
        (["--host", "localhost"], "invalid"),
    ],
)
def test_it_refuses_a_wrong_scenario_and_addresses_that_others_could_reach(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.yml").write_text("job: {quued: 1s}\n")
    monkeypatch.chdir(tmp_path)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(SystemExit, match="2"):
        program.main(options)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    printed = capsys.readouterr()
    assert (printed.out, said in printed.err) == ("", True)


def test_it_shares_no_code_with_the_action() -> None:
    texts = [file.read_text("utf-8") for file in Path(program.__file__).parent.glob("*.py")]
    imported = {name for text in texts for name in re.findall(r"^ *(?:from|import) (\w+)", text, re.MULTILINE)}
    assert "starlette" in imported
    assert "matatika_deploy" not in imported
