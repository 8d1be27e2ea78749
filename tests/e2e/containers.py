"""The image under `docker run`, as the runner of a workflow starts it.

Reference: `ContainerActionHandler` and `DockerCommandManager` of https://github.com/actions/runner.
"""

import contextlib
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.result import Result
from tests.support.step import Step

DOCKER = shutil.which("docker")
# For a slow machine; what the tests promise about time, they measure themselves.
PATIENCE = 120


class Engine:
    """A container engine, through its command-line client."""

    def __init__(self, docker: str) -> None:
        """`docker` is the client's absolute path."""
        self.docker = docker

    def run(self, *arguments: str) -> str:
        """What a command of the client prints; raises `CalledProcessError` if it fails."""
        return subprocess.run([self.docker, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout

    def inspect(self, image: str) -> dict[str, Any]:
        (description,) = json.loads(self.run("image", "inspect", image))
        return dict(description)

    @contextlib.contextmanager
    def removed_afterwards(self) -> Iterator[str]:
        """A new container's name. Not left to `docker run --rm`, with which some engines lose the exit code."""
        name = f"matatika-deploy-e2e-{uuid.uuid4().hex}"
        try:
            yield name
        finally:
            subprocess.run([self.docker, "rm", "--force", name], capture_output=True, check=False)

    def run_step(self, image: str, step: Step, environ: Mapping[str, str] | None = None, *options: str) -> Result:
        """Run a step's container to its end: see `started`."""
        with self.started(image, step, environ, *options) as (_, client):
            return step.ended(client.wait(PATIENCE))

    @contextlib.contextmanager
    def started(
        self, image: str, step: Step, environ: Mapping[str, str] | None = None, *options: str
    ) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
        """A step's container while it runs: no terminal, no standard input, no init process, root, its program PID 1.

        The simulator listens on this machine's loopback, which the container reaches only in the `host` network.
        `environ` is what the workflow adds to the step's environment, `options` are those of `docker run`. Gives the
        container's name, and the client that waits for it.
        """
        variables = [f"{name}={value}" for name, value in {**inside(step), **(environ or {})}.items()]
        with self.removed_afterwards() as name, (step.folder / "printed").open("wb") as output:
            client = subprocess.Popen(
                [
                    *(self.docker, "run", "--name", name, "--workdir", "/github/workspace", "--network", "host"),
                    *options,
                    *(argument for variable in variables for argument in ("-e", variable)),
                    *("-v", f"{step.folder}:/github", image),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                yield name, client
            finally:
                client.kill()
                client.wait()


def inside(step: Step) -> dict[str, str]:
    """A step's environment as its containers get it, which find its folder elsewhere, and have a PATH of their own."""
    return {name: text.replace(str(step.folder), "/github") for name, text in step.environ.items() if name != "PATH"}
