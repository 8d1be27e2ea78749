"""The action's image: its size, and its start-up under `docker run`, if there is a container engine."""

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import commands, start_up, wire
from benchmarks.commands import ROOT, Command
from benchmarks.figures import Row, Section, Table, alternate
from benchmarks.start_up import ONE_LINER, milliseconds, until_request

BASE = "python:3.13-slim-trixie"
IMAGE = "matatika-deploy-action:benchmark"
REFERENCE = "matatika-deploy-action:benchmark-reference"
# The base image with the same packages, and nothing of the action's own to start.
REFERENCE_FILE = f"""\
FROM {BASE}
COPY --from={IMAGE} /opt/action/lib/python3.13/site-packages /packages
ENV PYTHONPATH=/packages
"""
ROUNDS = 25
AT_MOST = 1.15
MOST_MEGABYTES = 5.0
UNWANTED = ("pip", "tests", "matatika_simulator")
STANDARD_LIBRARY_BYTECODE = "find /usr -path '*/python3.13/*' -name '*.pyc' -not -path '*-packages/*' -printf '%s\\n'"


def run() -> Section:
    """Build the image, then measure it."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "version"], capture_output=True).returncode != 0:  # noqa: S603
        return _without_engine()
    _output(docker, "build", "--quiet", "--tag", IMAGE, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text(REFERENCE_FILE, encoding="utf-8")
        _output(docker, "build", "--quiet", "--tag", REFERENCE, folder)
    start, start_text = _start_up(docker)
    size, size_text = _size(docker)
    return Section("In the container", [start, size], f"{start_text}\n\n{size_text}")


def _without_engine() -> Section:
    found = "no container engine was found"
    rows = [
        Row("Start-up in the container", found, f"at most {AT_MOST} times", None),
        Row("Image", found, f"at most {MOST_MEGABYTES:g} MB; no pip, no tests, no simulator", None),
    ]
    return Section("In the container", rows, "No container engine was found on this machine.")


def _start_up(docker: str) -> tuple[Row, str]:
    with tempfile.TemporaryDirectory() as name, wire.Server(start_up.answer) as server:
        folder = Path(name)
        environ = commands.action_environ(folder, f"{server.url}/api", {"wait": "false"})
        inside = {key: value.replace(name, "/github") for key, value in environ.items() if key != "PATH"}
        (folder / "environ").write_text("".join(f"{key}={value}\n" for key, value in inside.items()), encoding="utf-8")
        options = ("run", "--rm", "--network=host", f"--env-file={folder}/environ", f"--volume={folder}:/github")
        program = ("python", "-c", ONE_LINER.format(url=f"{server.url}/api/trigger"))
        # Whatever the engine's client needs to find its engine.
        action = Command((docker, *options, IMAGE), os.environ)
        one_liner = Command((docker, *options, REFERENCE, *program), os.environ)
        of_action, of_one_liner = alternate(
            [partial(until_request, server, action), partial(until_request, server, one_liner)], ROUNDS
        )
    ratio = of_action.over(of_one_liner)
    table = Table(["Container", "`docker run` to the trigger on the wire", "Against the one-liner"])
    table.add("this action's image", milliseconds(of_action), ratio.show(2))
    table.add(f"`{BASE}` with the same packages and the one-liner", milliseconds(of_one_liner), "")
    row = Row("Start-up in the container", ratio.show(2, "times"), f"at most {AT_MOST} times", ratio.median <= AT_MOST)
    return row, f"{ROUNDS} rounds in turns, with the same options, on {_engine(docker)}.\n\n{table}"


def _size(docker: str) -> tuple[Row, str]:
    sizes = {image: int(_output(docker, "image", "inspect", "--format", "{{.Size}}", image)) for image in (IMAGE, BASE)}
    compiled = _bytecode(docker, IMAGE) - _bytecode(docker, BASE)
    above = (sizes[IMAGE] - sizes[BASE] - compiled) / 1e6
    files = _shell(docker, IMAGE, "cd /opt/action && find . -type f").splitlines()
    unwanted = [name for name in UNWANTED if any(name in file.split("/") for file in files)]
    found = (
        f"{above:.1f} MB in {len(files)} files; {f'with {unwanted}' if unwanted else 'no pip, no tests, no simulator'}"
    )
    row = Row(
        "Image",
        found,
        f"at most {MOST_MEGABYTES:g} MB; no pip, no tests, no simulator",
        above <= MOST_MEGABYTES and not unwanted,
    )
    text = (
        f"The image adds {above:.1f} MB in {len(files)} files to `{BASE}`, and {compiled / 1e6:.1f} MB of bytecode of "
        "what the action imports of the standard library, where the base has none."
    )
    return row, text


def _engine(docker: str) -> str:
    """The engine's name and version."""
    every_part = "{{range .Server.Components}}{{.Name}} {{.Version}}\n{{end}}"
    return _output(docker, "version", "--format", every_part).splitlines()[0]


def _bytecode(docker: str, image: str) -> int:
    """Bytes of the standard library's bytecode in an image."""
    return sum(map(int, _shell(docker, image, STANDARD_LIBRARY_BYTECODE).split()))


def _shell(docker: str, image: str, script: str) -> str:
    return _output(docker, "run", "--rm", "--entrypoint=/bin/sh", image, "-c", script)


def _output(docker: str, *arguments: str) -> str:
    """What a command of the engine's client prints."""
    answer = subprocess.run([docker, *arguments], capture_output=True, text=True)  # noqa: S603
    if answer.returncode != 0:
        raise RuntimeError(answer.stderr)
    return answer.stdout
