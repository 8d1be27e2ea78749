"""Who follows jobs: this action, its log ending or held open, and the loops that a user would write instead."""

from pathlib import Path

from benchmarks import commands, jobs
from benchmarks.commands import Command

PLAIN, HELD = "this action", "this action, log held open"
CURL = "`curl`, `jq`, `sleep 10`"
# The pause of each loop, in seconds.
LOOPS = {CURL: 10, "`requests`, 15 s": 15, "`requests`, 30 s": 30}
ALL = (PLAIN, HELD, *LOOPS)

# Seconds, and what they are called.
LENGTHS = {2: "2 s", 20: "20 s", 200: "200 s", 1800: "30 min"}
# The action's pause between two looks at a job of that age.
_PAUSES = {2: 1.0, 20: 1.0, 200: 10.0, 1800: 10.0}


def lengths(name: str, length: int, count: int) -> list[float]:
    """So many lengths of jobs around one, in even steps, over one of the contender's pauses.

    Jobs of exactly the same length would measure the luck of the moment at which a pause ends.
    """
    spread = min(LOOPS.get(name, _PAUSES[length]), length)
    return [length + spread * ((number + 0.5) / count - 0.5) for number in range(count)]


def command(name: str, api_url: str, workspace: int, folder: Path) -> Command:
    """How a contender is started; `folder` is its own."""
    workspace_id = jobs.workspace_id(workspace)
    if name in (PLAIN, HELD):
        return commands.action(folder, api_url, workspace_id=workspace_id)
    if name == CURL:
        return commands.curl_loop(api_url, workspace_id)
    return commands.requests_loop(api_url, workspace_id, LOOPS[name])
