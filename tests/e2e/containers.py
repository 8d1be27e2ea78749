"""The image under `docker run`, as the runner of a workflow starts it.

Reference: `ContainerActionHandler` and `DockerCommandManager` of https://github.com/actions/runner.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matatika_simulator import Simulator, constants
from matatika_simulator.runner import CommandFiles, github_environ, input_environ
from tests.support.result import StepLog

DOCKER = shutil.which("docker")
ACTION = Path(__file__).parents[2] / "action.yml"
POST_ENTRYPOINT = "/opt/action/post"
PYTHON = "/usr/local/bin/python3"
# Long enough for a slow machine; what the tests promise about time, they measure themselves.
PATIENCE = 120


class Engine:
    """A container engine, through its command-line client."""

    def __init__(self, docker: str) -> None:
        """`docker` is the client's absolute path: the tests play with PATH."""
        self.docker = docker

    def run(self, *arguments: str) -> str:
        """What a command of the client prints; raises `CalledProcessError` if it fails."""
        return subprocess.run([self.docker, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout

    def build(self, context: Path, tag: str) -> str:
        """Build a folder's Dockerfile; gives the tag."""
        self.run("build", "--tag", tag, str(context))
        return tag

    def has_image(self, name: str) -> bool:
        """Whether the engine holds an image of that name."""
        return bool(self.run("image", "ls", "--quiet", name).strip())

    def inspect(self, image: str) -> dict[str, Any]:
        """The engine's description of an image."""
        (description,) = json.loads(self.run("image", "inspect", image))
        return dict(description)

    def shell(self, image: str, script: str) -> str:
        """What a shell script prints that runs in an image."""
        with self.removed_afterwards() as name:
            return self.run("run", "--name", name, "--entrypoint", "/bin/sh", image, "-c", script)

    @contextlib.contextmanager
    def removed_afterwards(self) -> Iterator[str]:
        """A new container's name. Not left to `docker run --rm`, with which some engines lose the exit code."""
        name = f"matatika-deploy-e2e-{uuid.uuid4().hex}"
        try:
            yield name
        finally:
            subprocess.run([self.docker, "rm", "--force", name], capture_output=True, check=False)


@dataclass(frozen=True)
class Result:
    """What a step's container came to."""

    code: int
    log: StepLog


class Step:
    """One step of a workflow that uses the action: the files and the environment that its containers share."""

    def __init__(self, engine: Engine, image: str, folder: Path, simulator: Simulator, **inputs: str) -> None:
        """`inputs` are named with underscores; the workspace, a token and the simulator's addresses are given."""
        self._engine, self._image, self._folder = engine, image, folder
        for name in ("workspace", "home", "workflow", "file_commands"):
            (folder / name).mkdir()
        (folder / "workflow" / "event.json").write_text("{}", encoding="utf-8")
        self.files = CommandFiles(folder / "file_commands")
        given = {
            "workspace-id": constants.WORKSPACE_ID,
            "token": constants.TOKEN,
            "api-url": simulator.api_url,
            "auth-url": simulator.auth_url,
            **{name.replace("_", "-"): value for name, value in inputs.items()},
        }
        self.environ = {
            **github_environ(workspace="/github/workspace", event="/github/workflow/event.json", home="/github/home"),
            **self.files.environ(Path("/github/file_commands")),
            **input_environ(ACTION, given),
        }

    def run(
        self,
        environ: Mapping[str, str] | None = None,
        *options: str,
        entrypoint: str | None = None,
        network: str = "host",
    ) -> Result:
        """Run a container to its end; `environ` is what the workflow adds to its environment."""
        with self.started(environ, *options, entrypoint=entrypoint, network=network) as container:
            return container.wait()

    @contextlib.contextmanager
    def started(
        self,
        environ: Mapping[str, str] | None = None,
        *options: str,
        entrypoint: str | None = None,
        network: str = "host",
    ) -> Iterator["Container"]:
        """A container that runs: no terminal, standard input closed, no init process, root, its program PID 1.

        The simulator listens on this machine's loopback, which the container reaches only in the `host` network.
        """
        environ = {**self.environ, **(environ or {})}
        with self._engine.removed_afterwards() as name, (self._folder / f"{name}.log").open("w+b") as log:
            process = subprocess.Popen(
                [
                    *(self._engine.docker, "run", "--name", name, "--workdir", "/github/workspace"),
                    *("--network", network, *options),
                    *(("--entrypoint", entrypoint) if entrypoint else ()),
                    *(argument for variable in environ.items() for argument in ("-e", "=".join(variable))),
                    *(argument for folder in self._mounted() for argument in ("-v", folder)),
                    self._image,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield Container(self._engine, name, process, Path(log.name))
            finally:
                process.kill()
                process.wait()

    def _mounted(self) -> Iterator[str]:
        for name in ("workspace", "home", "workflow", "file_commands"):
            yield f"{self._folder / name}:/github/{name}"


class Container:
    """A container that runs, and the client that waits for it."""

    def __init__(self, engine: Engine, name: str, client: subprocess.Popen[bytes], log: Path) -> None:
        """All of it belongs to `Step.started`."""
        self._engine, self._name, self.client, self._log = engine, name, client, log

    @property
    def log(self) -> StepLog:
        """What the client has printed."""
        return StepLog(self._log.read_bytes())

    def wait(self) -> Result:
        """Wait for the end."""
        result = Result(self.client.wait(PATIENCE), self.log)
        # Shown with a test that fails.
        sys.stdout.write(result.log.printed.decode("utf-8", "replace"))
        return result

    def signal(self, name: str) -> None:
        """Have the engine send a signal to the program, past the client."""
        self._engine.run("kill", "--signal", name, self._name)

    @property
    def is_running(self) -> bool:
        """Whether the container lives, whatever became of its client."""
        return self._engine.run("inspect", "--format", "{{.State.Running}}", self._name).strip() == "true"
