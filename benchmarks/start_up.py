"""Start-up: from the start of the process to the trigger's first bytes on the wire."""

import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from benchmarks import commands, wire
from benchmarks.commands import Command
from benchmarks.figures import Figures, Row, Section, Table, alternate

ROUNDS = 41
AT_MOST = 1.15
# Listing the jobs first is what makes the trigger safe to repeat.
ONE_LINER = "import requests; requests.get({jobs!r}); requests.post({trigger!r})"


def run() -> Section:
    """Measure the action against the shortest program that sends the same requests with the same library."""
    with tempfile.TemporaryDirectory() as folder, wire.Server(answer) as server:
        action = commands.action(Path(folder), f"{server.url}/api", wait="false")
        one_liner = commands.python(
            "-c", ONE_LINER.format(jobs=f"{server.url}/api/jobs?page=0", trigger=f"{server.url}/api/trigger")
        )
        bare = commands.python("-c", "pass")
        measured = alternate(
            [
                partial(until_request, server, action),
                partial(until_request, server, one_liner),
                partial(until_end, bare),
            ],
            ROUNDS,
        )
    of_action, of_one_liner, of_bare = measured
    ratio = of_action.over(of_one_liner)
    table = Table(["Program", "Process start to the trigger on the wire", "Against the one-liner"])
    table.add("this action, `python entrypoint.py`", milliseconds(of_action), ratio.show(2))
    table.add(
        '`python -c "import requests; requests.get(jobs); requests.post(trigger)"`', milliseconds(of_one_liner), ""
    )
    table.add("`python -c pass`, start to end", milliseconds(of_bare), of_bare.over(of_one_liner).show(2))
    return Section(
        "Start-up",
        [Row("Start-up", ratio.show(2, "times"), f"at most {AT_MOST} times", ratio.median <= AT_MOST)],
        f"{ROUNDS} rounds in turns. The action reads its inputs, masks the token and writes its first outputs on the "
        f"way; `preflight` and `verify-source` are off.\n\n{table}",
    )


def answer(arrival: wire.Arrival) -> Iterable[bytes]:
    """Take the trigger; the job is not waited for. The jobs are listed before."""
    if "/jobs?page=" in arrival.path:
        return [wire.no_jobs()]
    return [wire.job("QUEUED", 202 if arrival.method == "POST" else 200)]


def until_request(server: wire.Server, command: Command) -> float:
    """Seconds from the start of a process to its request."""
    server.forget()
    began = time.monotonic()
    process = command.start()
    arrived = server.wait_for("POST").at
    if process.wait() != 0:
        raise RuntimeError(f"exit code {process.returncode}: {command.arguments}")
    return arrived - began


def until_end(command: Command) -> float:
    """Seconds that a process takes."""
    began = time.monotonic()
    command.start().wait()
    return time.monotonic() - began


def milliseconds(figures: Figures) -> str:
    """Give seconds as milliseconds."""
    return Figures.of(value * 1000 for value in figures.values).show(0, "ms")
