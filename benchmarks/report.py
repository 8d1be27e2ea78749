"""The page that the benchmarks write: BENCHMARKS.md."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import Row, Section, Table

# Why a row misses what was to be reached, for people. A row that is not named here should reach it.
REASONS: Mapping[str, str] = {}

_MARKS = {True: "yes", False: "**no**", None: "not measured"}

_HEAD = """# Benchmarks

What a deployment step costs its users: the time to start, the time that it lags behind the end of its job, the requests
that it makes, and the handling of big logs. `make bench` measures all of it on loopback, against the simulator or bare
sockets, and writes this page; `python -m benchmarks NAME ...` measures a part and prints it.

Machines are noisy, so no time by itself is a result: what is compared was measured side by side, in turns. Figures are
medians, with minimum and maximum in brackets.
"""


def render(sections: Sequence[Section]) -> str:
    """Give the page."""
    rows = [row for section in sections for row in section.rows]
    table = Table(["What", "Found", "To reach", "Reached"])
    for row in rows:
        table.add(row.what, row.found, row.to_reach, _MARKS[row.is_met])
    pages = "\n\n".join(f"## {section.title}\n\n{section.text}" for section in sections)
    return f"{_HEAD}\n{_machine()}\n\n## Results\n\n{table}\n\n{_misses(rows)}{pages}\n"


def _misses(rows: Sequence[Row]) -> str:
    missed = [row for row in rows if row.is_met is False]
    if not missed:
        return ""
    paragraphs = [f"**{row.what}.** {REASONS.get(row.what, 'The reason is not known yet.')}" for row in missed]
    return "\n\n".join(["## What misses, and why", *paragraphs]) + "\n\n"


def _machine() -> str:
    """Say what was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("requests", "urllib3", "PyYAML", "tenacity"))
    curl = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.split()[:2]  # noqa: S607
    return (
        f"Measured on {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.system()} "
        f"{platform.release()}, {platform.python_implementation()} {platform.python_version()}, {packages}, "
        f"{' '.join(curl)}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
