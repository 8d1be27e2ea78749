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
# For a whole workflow, in which each step that uses the action builds its image.
PATIENCE = 600


@dataclass(frozen=True)
class WorkflowRun:
    """What act reported: its exit code, and its log as objects (`msg`, `step`, `stepResult`, `command`, ...)."""

    code: int
    log: list[dict[str, Any]]
    errors: str = ""

    def show(self) -> None:
        """Print it, to be shown with a test that fails."""
        sys.stdout.write(self.errors + "".join(f"{entry['msg'].rstrip()}\n" for entry in self.log))

    def printed_by(self, step: str) -> list[str]:
        """The lines that a step's programs printed, without those that act took for commands."""
        return [entry["msg"].rstrip("\r\n") for entry in self.log if entry.get("raw_output") and entry["step"] == step]

    def commands_of(self, step: str) -> list[str]:
        """The names of the workflow commands that act took from a step's output, in order."""
        return [entry["command"] for entry in self.log if entry.get("command") and entry["step"] == step]

    def said(self, step: str, command: str) -> list[str]:
        """The data of each command of that name in a step's output."""
        return [entry["arg"] for entry in self.log if entry.get("command") == command and entry["step"] == step]

    def annotated(self, step: str, level: str) -> set[tuple[str, str]]:
        """The file and line of each annotation of that level in a step's output that has them."""
        properties = [entry["kvPairs"] for entry in self.log if entry.get("command") == level and entry["step"] == step]
        return {(about["file"], about["line"]) for about in properties if "file" in about}

    def result_of(self, step: str) -> str | None:
        """`success` or `failure`; None for a step that was not run."""
        results = [
            entry["stepResult"]
            for entry in self.log
            if entry.get("stepResult") and entry["step"] == step and entry["stage"] == "Main"
        ]
        return results[-1] if results else None


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


def runner_image(engine: Engine) -> str:
    """The image that jobs run in."""
    return LOCAL_RUNNER if engine.has_image(LOCAL_RUNNER) else PUBLIC_RUNNER


def run_workflow(
    engine: Engine,
    checkout: Path,
    workflow: str,
    variables: Mapping[str, str],
    secrets: Mapping[str, str],
    *options: str,
    event: str = "push",
    show: bool = True,
) -> WorkflowRun:
    """Run a workflow for an event, and print its log with `show`.

    `workflow` is its path in `checkout`, `options` are act's own.
    """
    runner = runner_image(engine)
    arguments = [
        *(event, "--workflows", workflow, "--json", *options),
        *("--platform", f"ubuntu-latest={runner}", "--platform", f"ubuntu-24.04={runner}"),
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
    run = WorkflowRun(process.returncode, log, process.stderr.decode())
    if show:
        run.show()
    return run
