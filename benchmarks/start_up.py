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
ONE_LINER = "import requests; requests.get({jobs}); requests.post({trigger})"
# How long an answer from the same region takes (seconds).
NEAR = 0.02


def run() -> Section:
    """Measure the action against the shortest program that sends the same requests with the same library."""
    bare = alternate([partial(until_end, commands.python("-c", "pass"))], ROUNDS)[0]
    table = Table(["Program", "Process start to the trigger on the wire", "Against the one-liner"])
    rows = []
    for delay, when in ((0.0, "at once"), (NEAR, f"after {NEAR * 1000:.0f} ms")):
        of_action, of_one_liner = measure(delay)
        ratio = of_action.over(of_one_liner)
        table.add(f"this action, answered {when}", milliseconds(of_action), ratio.show(2))
        table.add(f"the one-liner, answered {when}", milliseconds(of_one_liner), "")
        is_met = ratio.median <= AT_MOST
        rows.append(Row(f"Start-up, answered {when}", ratio.show(2, "times"), f"at most {AT_MOST} times", is_met))
    table.add("`python -c pass`, start to end", milliseconds(bare), "")
    return Section(
        "Start-up",
        rows,
        f"{ROUNDS} rounds in turns against `{ONE_LINER}`. The first answer comes at once, or after "
        f"{NEAR * 1000:.0f} ms, as from a platform in the same region: meanwhile the action imports what only a "
        "failure needs. It reads its inputs, masks the token and writes its first outputs on the way; `preflight` and "
        f"`verify-source` are off.\n\n{table}",
    )


def measure(delay: float) -> list[Figures]:
    """Start both in turns, and answer the listing of jobs after `delay` seconds."""
    with tempfile.TemporaryDirectory() as folder, wire.Server(partial(answer, delay=delay)) as server:
        jobs, trigger = f"{server.url}/api/jobs?page=0", f"{server.url}/api/trigger"
        action = commands.action(Path(folder), f"{server.url}/api", wait="false")
        one_liner = commands.python("-c", ONE_LINER.format(jobs=repr(jobs), trigger=repr(trigger)))
        return alternate([partial(until_request, server, action), partial(until_request, server, one_liner)], ROUNDS)


def answer(arrival: wire.Arrival, delay: float = 0.0) -> Iterable[bytes]:
    """Take the trigger; the job is not waited for. The jobs are listed before."""
    if "/jobs?page=" in arrival.path:
        time.sleep(delay)
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
