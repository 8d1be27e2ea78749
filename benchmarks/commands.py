"""The contenders as processes: this action as a runner starts it, and what a user would pick instead."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from matatika_simulator import constants
from matatika_simulator.runner import CommandFiles, github_environ, input_environ

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
# All that the others get of this process's environment.
PATH = {"PATH": os.environ["PATH"]}


@dataclass(frozen=True)
class Command:
    """A program with its arguments and its whole environment."""

    arguments: tuple[str, ...]
    environ: Mapping[str, str]

    def start(
        self, stdout: int | IO[bytes] = subprocess.DEVNULL, stdin: int | IO[bytes] | None = subprocess.DEVNULL
    ) -> "subprocess.Popen[bytes]":
        """Start it; what it prints as an error is dropped."""
        return subprocess.Popen(  # noqa: S603 (our own programs)
            self.arguments,
            env=dict(self.environ),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )


def python(*arguments: str) -> Command:
    """This interpreter with other arguments."""
    return Command((sys.executable, *arguments), PATH)


def action_environ(folder: Path, api_url: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """What a runner gives to the action; `inputs` are beside workspace, token and address, without checks.

    `folder` exists, and gets the command files.
    """
    workspace, event = folder / "workspace", folder / "event.json"
    workspace.mkdir(exist_ok=True)
    event.write_text("{}", encoding="utf-8")
    given = {
        "workspace-id": constants.WORKSPACE_ID,
        "token": constants.TOKEN,
        "api-url": api_url,
        "preflight": "off",
        "verify-source": "off",
        **inputs,
    }
    return {
        **PATH,
        **github_environ(workspace=str(workspace), event=str(event), home=str(folder)),
        **CommandFiles(folder).environ(),
        **input_environ(ROOT / "action.yml", given),
    }


def action(folder: Path, api_url: str, **inputs: str) -> Command:
    """The action's main step; `inputs` are named with underscores."""
    named = {name.replace("_", "-"): value for name, value in inputs.items()}
    environ = action_environ(folder, api_url, named)
    return Command((sys.executable, str(ROOT / "entrypoint.py")), environ)


def curl_loop(api_url: str, workspace_id: str) -> Command:
    """A loop of `curl` and `jq` that sleeps 10 s."""
    return Command((str(PEERS / "curl_loop.sh"),), _peer_environ(api_url, workspace_id))


def requests_loop(api_url: str, workspace_id: str, pause: int) -> Command:
    """A loop of `requests` with a pause in seconds."""
    arguments = (sys.executable, str(PEERS / "requests_loop.py"), str(pause))
    return Command(arguments, _peer_environ(api_url, workspace_id))


def _peer_environ(api_url: str, workspace_id: str) -> dict[str, str]:
    return {**PATH, "API_URL": api_url, "WORKSPACE_ID": workspace_id, "TOKEN": constants.TOKEN}
