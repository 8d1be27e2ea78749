"""The action against the simulator, as the runner would run it: `python -m matatika_simulator.demo [scenario]`.

Shows the step's log as it comes, then its outputs and its summary, and ends with its exit code. Ctrl-C cancels it.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from matatika_simulator import constants
from matatika_simulator.runner import CommandFiles, github_environ, input_environ, state_environ
from matatika_simulator.scenario import names
from matatika_simulator.server import Simulator

ROOT = Path(__file__).parents[2]
MAIN = (sys.executable, str(ROOT / "entrypoint.py"))
POST = (sys.executable, "-m", "matatika_deploy.post")
WORKSPACE = Path(__file__).with_name("workspace")

# What a scenario needs beside, or instead of, what all of them get.
INPUTS: Mapping[str, Mapping[str, str]] = {
    "expired-token": {"token": "", "client-id": constants.CLIENT_ID, "client-secret": constants.CLIENT_SECRET},
    "queued-forever": {"timeout": "10s"},
}


def main() -> int:
    """Run one scenario; give the exit code of the step."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    # The action does not run pipelines.
    choices = [name for name in names() if not name.startswith("pipelines")]
    parser.add_argument("scenario", nargs="?", default="success", choices=choices)
    scenario = parser.parse_args().scenario
    # Ctrl-C reaches the step by itself; a handler, unlike an ignored signal, is not handed on to it.
    signal.signal(signal.SIGINT, lambda *_: None)
    with tempfile.TemporaryDirectory() as folder, Simulator(scenario) as simulator:
        workspace, event, files = Path(folder, "workspace"), Path(folder, "event.json"), CommandFiles(Path(folder))
        shutil.copytree(WORKSPACE, workspace)
        event.write_text("{}", encoding="utf-8")
        inputs = {
            "workspace-id": constants.WORKSPACE_ID,
            "token": constants.TOKEN,
            "api-url": simulator.api_url,
            "auth-url": simulator.auth_url,
            **INPUTS.get(scenario, {}),
        }
        environ = {
            "PATH": os.environ["PATH"],
            **github_environ(workspace=str(workspace), event=str(event), home=folder),
            **files.environ(),
            **input_environ(ROOT / "action.yml", inputs),
        }
        _heading(f"Log of the step (scenario {scenario})")
        code = subprocess.run(MAIN, cwd=workspace, env=environ, stdin=subprocess.DEVNULL).returncode
        if code != 0:
            _heading("Log of the post step")
            subprocess.run(POST, cwd=workspace, env=environ | state_environ(files.state), stdin=subprocess.DEVNULL)
        _heading("Outputs")
        _show("\n".join(f"{name}={value}" for name, value in files.outputs.items()))
        _heading("Summary")
        _show(files.summary.rstrip())
        _heading(f"Exit code {code}")
    return code


def _heading(text: str) -> None:
    _show(f"\n── {text} ".ljust(100, "─"))


def _show(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
