"""A fleet: many steps at once, against a platform that lets only so many requests in."""

import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import commands
from benchmarks.figures import Row, Section, Table
from benchmarks.real import plan
from matatika_simulator import Entry, Simulator
from matatika_simulator.runner import CommandFiles

STEPS = 60
JOB_SECONDS = 20
LOG_LINES = 40
RATE = 15
RETRY_AFTER = 2
MOST_REQUESTS = 1.5
MOST_IN_A_SECOND = 2
# So long after the last step has its job (seconds), every step has been told to slow down.
SETTLED_AFTER = 5


@dataclass(frozen=True)
class Fleet:
    """What became of the steps, and every request that they made."""

    right: int
    seconds: float
    journal: list[Entry]

    @property
    def per_second(self) -> list[int]:
        """Requests in each second since the first."""
        first = self.journal[0].time
        counts = Counter(int(entry.time - first) for entry in self.journal)
        return [counts[second] for second in range(max(counts) + 1)]

    @property
    def settled_from(self) -> int:
        """The first second in which the fleet has settled."""
        accepted = max(entry.time for entry in self.journal if entry.call == "trigger" and entry.status == 202)
        return int(accepted - self.journal[0].time) + SETTLED_AFTER

    @property
    def busiest_once_settled(self) -> int:
        """The most requests in a second from then on."""
        return max(self.per_second[self.settled_from :])

    @property
    def refused(self) -> int:
        """Requests that were answered 429."""
        return sum(entry.status == 429 for entry in self.journal)


def run() -> Section:
    """Measure the fleet with and without the limit."""
    free, limited = deploy(None), deploy({"requests": RATE, "per": 1, "retry-after": RETRY_AFTER})
    ratio = len(limited.journal) / len(free.journal)
    busiest = limited.busiest_once_settled
    is_met = limited.right == STEPS and ratio <= MOST_REQUESTS and busiest <= MOST_IN_A_SECOND * RATE
    table = Table(
        ["Platform", "Steps that are right", "Requests", "of them `429`", "Busiest second", "once settled", "Time"]
    )
    for name, fleet in (("without a limit", free), (f"{RATE} requests a second", limited)):
        table.add(
            name,
            f"{fleet.right} of {STEPS}",
            str(len(fleet.journal)),
            str(fleet.refused),
            str(max(fleet.per_second)),
            str(fleet.busiest_once_settled),
            f"{fleet.seconds:.0f} s",
        )
    found = (
        f"{limited.right} of {STEPS} right; {ratio:.2f} times the requests; at most {busiest} in a second once settled"
    )
    to_reach = f"all right; at most {MOST_REQUESTS} times; at most {MOST_IN_A_SECOND * RATE} in a second"
    return Section(
        "A fleet",
        [Row("A fleet", found, to_reach, is_met)],
        f"{STEPS} steps started together, jobs of {JOB_SECONDS} s with {LOG_LINES} lines of log, and a platform that "
        f"answers `429` with `Retry-After: {RETRY_AFTER}` to what exceeds {RATE} requests in any second. A step is "
        "right if its job ran once, its exit code and its outcome say so, and its log is complete. Settled: from "
        f"{SETTLED_AFTER} s after the last step has its job on. One run each.\n\n{table}\n\n"
        f"Requests in each second with the limit, settled from second {limited.settled_from} on: "
        f"{', '.join(map(str, limited.per_second))}.",
    )


def deploy(rate_limit: Mapping[str, object] | None) -> Fleet:
    """Start all steps at once, and wait for their ends."""
    ids = [str(uuid.UUID(int=number + 1)) for number in range(STEPS)]
    scenario = {
        "job": plan(JOB_SECONDS, LOG_LINES),
        "other-workspaces": [{"id": workspace_id} for workspace_id in ids],
        "rate-limit": rate_limit,
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(scenario) as simulator,
        ThreadPoolExecutor(STEPS) as pool,
    ):
        began = time.monotonic()
        are_right = list(pool.map(lambda workspace_id: _is_right(Path(folder), simulator, workspace_id), ids))
        seconds = time.monotonic() - began
        once = Counter(state.workspace_id for state in simulator.jobs if state.status == "COMPLETE")
        right = sum(is_right and once[workspace_id] == 1 for workspace_id, is_right in zip(ids, are_right, strict=True))
        return Fleet(right, seconds, simulator.journal)


def _is_right(folder: Path, simulator: Simulator, workspace_id: str) -> bool:
    """Run one step; say whether it ended as it should and printed the whole log."""
    own = folder / workspace_id
    own.mkdir()
    command = commands.action(own, simulator.api_url, workspace_id=workspace_id)
    with (own / "printed").open("wb") as printed:
        code = command.start(printed).wait()
    outcome = CommandFiles(own / "commands").outputs.get("outcome")
    lines = [line for line in (own / "printed").read_bytes().split(b"\n") if line.startswith(b"line ")]
    return code == 0 and outcome == "success" and len(set(lines)) == len(lines) == LOG_LINES
