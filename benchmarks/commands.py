"""The contenders as processes: this action as a runner starts it, and what a user would pick instead."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from matatika_simulator import constants
from matatika_simulator.runner import StepFolder

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
    """What a runner gives to the action; `inputs` are beside workspace, token and address, without checks."""
    given = {
        "workspace-id": constants.WORKSPACE_ID,
        "token": constants.TOKEN,
        "api-url": api_url,
        "preflight": "off",
        "verify-source": "off",
        **inputs,
    }
    return StepFolder(folder, ROOT / "action.yml", given).environ


def action(folder: Path, api_url: str, **inputs: str) -> Command:
    """The action's main step; `inputs` are named with underscores."""
    named = {name.replace("_", "-"): value for name, value in inputs.items()}
    environ = action_environ(folder, api_url, named)
    return Command((sys.executable, str(ROOT / "entrypoint.py")), environ)


def curl_loop(api_url: str) -> Command:
    """A loop of `curl` and `jq` that sleeps 10 s."""
    return Command((str(PEERS / "curl_loop.sh"),), _peer_environ(api_url))


def requests_loop(api_url: str, pause: int) -> Command:
    """A loop of `requests` with a pause in seconds."""
    return Command((sys.executable, str(PEERS / "requests_loop.py"), str(pause)), _peer_environ(api_url))


def _peer_environ(api_url: str) -> dict[str, str]:
    return {**PATH, "API_URL": api_url, "WORKSPACE_ID": constants.WORKSPACE_ID, "TOKEN": constants.TOKEN}
