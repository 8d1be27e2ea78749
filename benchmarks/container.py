"""The action's image: what a pull of it costs, and its start-up under `docker run`, if there is a container engine."""

import gzip
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import commands, start_up, wire
from benchmarks.commands import ROOT, Command
from benchmarks.figures import Figures, Row, Section, Table, alternate
from benchmarks.start_up import milliseconds, until_request

BASE = "python:3.13-slim-trixie"
IMAGE = "matatika-deploy-action:benchmark"
REFERENCE = "matatika-deploy-action:benchmark-reference"
# The same action on its base image, which then has bytecode of what the action imports, as this image has.
REFERENCE_FILE = f"""\
FROM {BASE}
COPY --from={IMAGE} /usr/local/lib/python3.13/site-packages /usr/local/lib/python3.13/site-packages
COPY --from={IMAGE} /opt/action /opt/action
RUN python -W ignore -m compileall -q /usr/local/lib/python3.13 || true
ENTRYPOINT ["/opt/action/main"]
"""
ROUNDS = 25
UNPACKINGS = 9
MOST_MEGABYTES = 12
MOST_FILES = 1_000
START_UP_AT_MOST = 1.0
POST_AT_MOST = 1.1
# Run in the image, in turns: the post step of a main step that has finished, and the interpreter doing nothing.
POST = """
import json, os, time
def seconds(*command):
    began = time.monotonic()
    os.waitpid(os.posix_spawn(command[0], command, {"STATE_deployment": "finished"}), 0)
    return time.monotonic() - began
python = "/usr/local/bin/python3"
print(json.dumps([[seconds("/opt/action/post"), seconds(python, "-c", "pass")] for _ in range(200)]))
"""


class Size(NamedTuple):
    """What an image comes to."""

    packed: int
    """Bytes, with `gzip -6`."""
    unpacked: int
    """Bytes of all files."""
    files: int
    unpacking: Figures
    """Seconds from the packed archive to files."""

    def pull(self, bits_per_second: float) -> float:
        """Give the seconds that a pull takes: to transfer, then to unpack."""
        return self.packed * 8 / bits_per_second + self.unpacking.median


def run() -> Section:
    """Build the image, then measure it."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "version"], capture_output=True).returncode != 0:  # noqa: S603
        return _without_engine()
    _output(docker, "build", "--quiet", "--tag", IMAGE, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text(REFERENCE_FILE, encoding="utf-8")
        _output(docker, "build", "--quiet", "--tag", REFERENCE, folder)
    parts = [_size(docker), _start_up(docker), _post(docker)]
    return Section("The image", [row for row, _ in parts], "\n\n".join(text for _, text in parts))


def _without_engine() -> Section:
    found = "no container engine was found"
    aims = {
        "Image": f"at most {MOST_MEGABYTES} MB packed, {MOST_FILES} files",
        "Start-up in the container": f"at most {START_UP_AT_MOST} times",
        "Post step": f"at most {POST_AT_MOST} times",
    }
    rows = [Row(what, found, aim, None) for what, aim in aims.items()]
    return Section("The image", rows, "No container engine was found on this machine.")


def _size(docker: str) -> tuple[Row, str]:
    image, base = (_measured(docker, name) for name in (IMAGE, BASE))
    table = Table(["Image", "Packed", "Unpacked", "Files", "To unpack", "Pull at 100 Mbit/s", "at 1 Gbit/s"])
    for name, size in (("this action's image", image), (f"`{BASE}`", base)):
        pulls = (f"{size.pull(rate):.2f} s" for rate in (100e6, 1e9))
        megabytes = (f"{count / 1e6:.1f} MB" for count in (size.packed, size.unpacked))
        table.add(name, *megabytes, str(size.files), size.unpacking.show(2, "s"), *pulls)
    row = Row(
        "Image",
        f"{image.packed / 1e6:.1f} MB packed, {image.files} files",
        f"at most {MOST_MEGABYTES} MB packed, {MOST_FILES} files",
        image.packed <= MOST_MEGABYTES * 1e6 and image.files <= MOST_FILES,
    )
    text = (
        f"Packed with `gzip -6`; unpacked with `tar`, {UNPACKINGS} times. A pull is computed: the packed bytes at that "
        f"rate, and the time to unpack.\n\n{table}"
    )
    return row, text


def _measured(docker: str, image: str) -> Size:
    with tempfile.TemporaryDirectory() as name:
        archive, packed = Path(name, "files.tar"), Path(name, "files.tar.gz")
        container = _output(docker, "create", image, "true").strip()
        _output(docker, "export", "--output", str(archive), container)
        _output(docker, "rm", container)
        with tarfile.open(archive) as tar:
            members = [member for member in tar if not member.isdir()]
        packed.write_bytes(gzip.compress(archive.read_bytes(), 6))
        times = Figures.of(_unpack(packed, Path(name, str(number))) for number in range(UNPACKINGS))
        return Size(packed.stat().st_size, sum(member.size for member in members), len(members), times)


def _unpack(packed: Path, folder: Path) -> float:
    folder.mkdir()
    began = time.monotonic()
    subprocess.run(["tar", "-xzf", packed, "-C", folder], check=True)  # noqa: S603, S607
    took = time.monotonic() - began
    shutil.rmtree(folder)
    return took


def _start_up(docker: str) -> tuple[Row, str]:
    with tempfile.TemporaryDirectory() as name, wire.Server(start_up.answer) as server:
        folder = Path(name)
        environ = commands.action_environ(folder, f"{server.url}/api", {"wait": "false"})
        inside = {key: value.replace(name, "/github") for key, value in environ.items() if key != "PATH"}
        (folder / "environ").write_text("".join(f"{key}={value}\n" for key, value in inside.items()), encoding="utf-8")
        options = ("run", "--rm", "--network=host", f"--env-file={folder}/environ", f"--volume={folder}:/github")
        # The whole environment: whatever the engine's client needs to find its engine.
        of_image, of_reference = alternate(
            [
                partial(until_request, server, Command((docker, *options, image), os.environ))
                for image in (IMAGE, REFERENCE)
            ],
            ROUNDS,
        )
    ratio = of_image.over(of_reference)
    table = Table(["Container", "`docker run` to the trigger on the wire", "Against the base"])
    table.add("this action's image", milliseconds(of_image), ratio.show(2))
    table.add(f"the same action on `{BASE}`", milliseconds(of_reference), "")
    aim = f"at most {START_UP_AT_MOST} times"
    row = Row("Start-up in the container", ratio.show(2, "times"), aim, ratio.median <= START_UP_AT_MOST)
    return row, f"{ROUNDS} rounds in turns, with the same options, on {_engine(docker)}.\n\n{table}"


def _post(docker: str) -> tuple[Row, str]:
    printed = _output(docker, "run", "--rm", "--entrypoint=/usr/local/bin/python3", IMAGE, "-I", "-c", POST)
    of_post, of_nothing = (Figures.of(values) for values in zip(*json.loads(printed), strict=True))
    ratio = of_post.over(of_nothing)
    table = Table(["In the same container", "Start to end", "Against the interpreter"])
    table.add("the post step, when main has finished", milliseconds(of_post), ratio.show(2))
    table.add("`python -c pass`", milliseconds(of_nothing), "")
    aim = f"at most {POST_AT_MOST} times"
    row = Row("Post step", ratio.show(2, "times"), aim, ratio.median <= POST_AT_MOST)
    return row, f"The post step runs after every step, so what it costs is paid on every deployment.\n\n{table}"


def _engine(docker: str) -> str:
    """The engine's name and version."""
    every_part = "{{range .Server.Components}}{{.Name}} {{.Version}}\n{{end}}"
    return _output(docker, "version", "--format", every_part).splitlines()[0]


def _output(docker: str, *arguments: str) -> str:
    """What a command of the engine's client prints."""
    answer = subprocess.run([docker, *arguments], capture_output=True, text=True)  # noqa: S603
    if answer.returncode != 0:
        raise RuntimeError(answer.stderr)
    return answer.stdout
