"""The action against the simulator, as the runner would run it: `python -m matatika_simulator.demo [scenario]`.

Says what the scenario is, shows the log as it comes, the outputs, summary and exit code, and what to try next. It
ends with that exit code. Ctrl-C cancels the step.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from matatika_simulator import constants
from matatika_simulator.runner import StepFolder, state_environ
from matatika_simulator.scenario import load, names
from matatika_simulator.server import Simulator

ROOT = Path(__file__).parents[2]
MAIN = (sys.executable, str(ROOT / "entrypoint.py"))
POST = (sys.executable, "-m", "matatika_deploy.post")
WORKSPACE = Path(__file__).with_name("workspace")

# What a scenario needs beside, or instead of, what all of them get.
INPUTS: Mapping[str, Mapping[str, str]] = {
    "expired-token": {"token": "", "client-id": constants.CLIENT_ID, "client-secret": constants.CLIENT_SECRET},
    "pipelines": {"run-pipelines": "extract-orders, publish-reports"},
    "pipelines-failure": {"run-pipelines": "extract-orders, publish-reports"},
    "queued-forever": {"timeout": "10s"},
}
# What to try next, and why: the first three that were not shown just now.
NEXT: Mapping[str, str] = {
    "failure": "a deployment that fails, and why",
    "pipelines": "what a deployment changes, and two pipelines that are run after it",
    "flaky": "a fault now and then, on every call",
    "slow": "press Ctrl-C: the deployment is stopped",
    "success": "a deployment that succeeds",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one scenario; give the exit code of the step."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("scenario", nargs="?", default="success", choices=names())
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="an input of the action")
    given = parser.parse_args(arguments)
    _show(f"Scenario {given.scenario}: {load(given.scenario).description.strip()}")
    # Ctrl-C reaches the step by itself; a handler, unlike an ignored signal, is not handed on to it.
    signal.signal(signal.SIGINT, lambda *_: None)
    with tempfile.TemporaryDirectory() as folder, Simulator(given.scenario) as simulator:
        inputs = step_inputs(given.scenario, simulator) | dict(pair.split("=", 1) for pair in given.input)
        step = StepFolder(Path(folder), ROOT / "action.yml", inputs)
        shutil.copytree(WORKSPACE, step.workspace, dirs_exist_ok=True)
        _heading(f"Log of the step (scenario {given.scenario})")
        code = _run(MAIN, step, step.environ)
        _heading("Log of the post step, which always runs")
        _run(POST, step, step.environ | state_environ(step.files.state))
        _heading("Outputs")
        _show("\n".join(f"{name}={value}" for name, value in step.files.outputs.items()))
        _heading("Summary")
        _show(step.files.summary.rstrip())
        _heading(f"Exit code {code}")
        _show("\nTry next:")
        for name in [name for name in NEXT if name != given.scenario][:3]:
            _show(f"  make demo SCENARIO={name}".ljust(32) + f"# {NEXT[name]}")
    return code


def step_inputs(scenario: str, simulator: Simulator) -> dict[str, str]:
    """The inputs with which a scenario is shown."""
    return {
        "workspace-id": constants.WORKSPACE_ID,
        "token": constants.TOKEN,
        "api-url": simulator.api_url,
        "auth-url": simulator.auth_url,
        **INPUTS.get(scenario, {}),
    }


def _run(command: Sequence[str], step: StepFolder, environ: Mapping[str, str]) -> int:
    return subprocess.run(command, cwd=step.workspace, env=environ, stdin=subprocess.DEVNULL).returncode


def _heading(text: str) -> None:
    _show(f"\n── {text} ".ljust(100, "─"))


def _show(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` does: nothing is left to write when Python ends either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
