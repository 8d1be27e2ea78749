"""Who follows jobs: this action, its log ending or held open, and the loops that a user would write instead."""

from pathlib import Path

from benchmarks import commands
from benchmarks.commands import Command

PLAIN, HELD = "this action", "this action, log held open"
CURL, REQUESTS = "`curl`, `jq`, `sleep 10`", "`requests`, 15 s"
# The pause of each loop, in seconds.
LOOPS = {CURL: 10, REQUESTS: 15, "`requests`, 30 s": 30}
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


def command(name: str, api_url: str, folder: Path) -> Command:
    """How a contender is started; `folder` is its own."""
    if name in (PLAIN, HELD):
        return commands.action(folder, api_url)
    return commands.curl_loop(api_url) if name == CURL else commands.requests_loop(api_url, LOOPS[name])
