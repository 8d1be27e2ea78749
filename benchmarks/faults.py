"""What this action and its peers do when something goes wrong: one `502`, and a SIGTERM."""

import signal
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.contenders import CURL, PLAIN, REQUESTS, command
from benchmarks.figures import Section, Table
from matatika_simulator import Simulator

_BAD_GATEWAY: Mapping[str, Any] = {
    "job": {"runs": 12},
    "faults": [{"calls": "job", "requests": {"numbers": [1]}, "status": 502, "body": "html"}],
}
_LONG: Mapping[str, Any] = {"job": {"runs": "forever"}}
# For the trigger to be through, and the job to be followed.
_UNDER_WAY = 3.0


def run() -> Section:
    """Let each contender meet both, and tell what became of it and of its job."""
    table = Table(
        ["Contender", "The first look at the job is answered `502`; the job succeeds", "SIGTERM while the job runs"]
    )
    with ThreadPoolExecutor() as pool:
        names = (PLAIN, CURL, REQUESTS)
        for name, *cells in zip(names, pool.map(_bad_gateway, names), pool.map(_terminated, names), strict=True):
            table.add(name, *cells)
    return Section("When something goes wrong", [], str(table))


def _bad_gateway(name: str) -> str:
    with tempfile.TemporaryDirectory() as folder, Simulator(_BAD_GATEWAY) as simulator:
        code = command(name, simulator.api_url, Path(folder)).start().wait()
        (job,) = simulator.jobs
    return f"exit code {code}, while the job is {job.status}"


def _terminated(name: str) -> str:
    with tempfile.TemporaryDirectory() as folder, Simulator(_LONG) as simulator:
        process = command(name, simulator.api_url, Path(folder)).start()
        simulator.wait_for("job")
        time.sleep(_UNDER_WAY)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait()
        seconds = time.monotonic() - began
        (job,) = simulator.jobs
    end = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
    return f"{end} after {seconds:.1f} s; the job is {job.status}"
