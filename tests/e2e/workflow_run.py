"""A workflow under act, which runs it as GitHub would, in containers of this machine.

Reference: https://nektosact.com/usage/index.html
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.containers import Engine

ACT = Path(sys.executable).with_name("act")
# The one is there on machines without a registry; the other is act's own default.
LOCAL_RUNNER = "localhost/act-runner:latest"
PUBLIC_RUNNER = "catthehacker/ubuntu:act-latest"
LABELS = ("ubuntu-latest", "ubuntu-24.04", "self-hosted", "macos-latest")
# Seconds for a whole workflow, in which each step that uses the action may build its image.
PATIENCE = 600


@dataclass(frozen=True)
class WorkflowRun:
    """What act reported: its exit code, and its log as objects (`msg`, `step`, `stepResult`, `command`, ...)."""

    code: int
    log: list[dict[str, Any]]
    errors: str = ""

    def show(self) -> None:
        sys.stdout.write(self.errors + "".join(f"{entry['msg'].rstrip()}\n" for entry in self.log))

    def printed_by(self, step: str) -> list[str]:
        """The lines that a step's programs printed, without those that act took for commands."""
        return [entry["msg"].rstrip("\r\n") for entry in self.log if entry.get("raw_output") and entry["step"] == step]

    def commands_of(self, step: str) -> list[dict[str, Any]]:
        """The workflow commands that act took from a step's output: `command`, `kvPairs`, ..."""
        return [entry for entry in self.log if entry.get("command") and entry["step"] == step]

    def results_of(self, step: str) -> list[str]:
        """`success` or `failure` of each step of that name that was run."""
        ends = [entry for entry in self.log if entry.get("stepResult") and entry["step"] == step]
        return [entry["stepResult"] for entry in ends if entry["stage"] == "Main"]


def copy_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Copy files and whole folders, named by their paths in `source`, to the same paths in `target`."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source / name, target / name)


def commit_all(folder: Path) -> None:
    """Make a folder a repository whose one commit, on `main`, has all its files."""
    identity = ("-c", "user.name=e2e", "-c", "user.email=e2e@localhost")
    for command in (("init", "--initial-branch=main"), ("add", "--all"), (*identity, "commit", "--message=All files")):
        subprocess.run(["git", *command], cwd=folder, capture_output=True, check=True)


def run_workflow(
    engine: Engine,
    checkout: Path,
    workflow: str,
    variables: Mapping[str, str],
    secrets: Mapping[str, str],
    *options: str,
    event: str = "push",
) -> WorkflowRun:
    """Run a workflow, named by its path in `checkout`, for an event; `options` are act's own."""
    runner = LOCAL_RUNNER if engine.run("image", "ls", "--quiet", LOCAL_RUNNER).strip() else PUBLIC_RUNNER
    arguments = [
        *(event, "--workflows", workflow, "--json", *options),
        *(argument for label in LABELS for argument in ("--platform", f"{label}={runner}")),
        # Only what is not there.
        "--pull=false",
        # The job needs no engine of its own.
        *("--container-daemon-socket", "-", "--rm"),
        *(argument for variable in variables.items() for argument in ("--var", "=".join(variable))),
        *(argument for secret in secrets.items() for argument in ("--secret", "=".join(secret))),
    ]
    process = subprocess.run(
        [ACT, *arguments], cwd=checkout, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE
    )
    log = [json.loads(line) for line in process.stdout.decode().splitlines() if line.startswith("{")]
    return WorkflowRun(process.returncode, log, process.stderr.decode())
