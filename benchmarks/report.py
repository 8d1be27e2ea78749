"""The page that the benchmarks write: BENCHMARKS.md."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from textwrap import fill

from benchmarks.contenders import LENGTHS
from benchmarks.figures import Row, Section, Table

# What a row comes down to, to be read where it misses what was to be reached. One that is not named has room to spare.
REASONS: Mapping[str, str] = {
    "Start-up, answered at once": (
        "Almost all of the time goes into importing `requests`, on both sides. The action leaves out the guessing of "
        "encodings that `requests` would import, and spends what that saves on modules of its own. It imports "
        "`tenacity` while the first request is under way, which takes no time here. Then it needs a thread to print "
        "and one to send: a machine that is busy otherwise wakes these up late."
    ),
    "Start-up in the container": (
        "Most of the time is the engine's, which varies by more than the difference between the two programs."
    ),
    f"Lag, jobs of {' / '.join(LENGTHS.values())}": (
        "With plain polling a job ends at any point of a pause with equal chance. The median is half a pause, so 0.5 s "
        "for short jobs and 5 s for long ones, and 0.2 s for the end of the log; that of few jobs strays from it."
    ),
    f"Requests, jobs of {' / '.join(LENGTHS.values())}": (
        "Pauses vary by a tenth, so that one look more fits into some jobs than into others."
    ),
    "A fleet": (
        "Each step learns of the limit from its own refusals alone. How soon the fleet settles depends on how fast the "
        "machine starts 60 interpreters; and jobs that end together are seen to end within one pause, each with a look "
        "and three readings of its log."
    ),
}

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
    pages = "\n\n".join(f"## {section.title}\n\n{_wrapped(section.text)}" for section in sections)
    return f"{_HEAD}\n{paragraph(_machine())}\n\n## Results\n\n{table}\n\n{_misses(rows)}{pages}\n"


def _misses(rows: Sequence[Row]) -> str:
    missed = [row for row in rows if row.is_met is False]
    if not missed:
        return ""
    paragraphs = [paragraph(f"**{row.what}.** {REASONS.get(row.what, 'The reason is not known.')}") for row in missed]
    return "\n\n".join(["## What misses, and why", *paragraphs]) + "\n\n"


def _wrapped(text: str) -> str:
    """Give a page whose paragraphs are wrapped; tables, headings and pictures stay as they are."""
    parts = text.split("\n\n")
    return "\n\n".join(part if part.startswith(("|", "#", "!")) else paragraph(part) for part in parts)


def paragraph(text: str) -> str:
    """Give a paragraph in lines of 120 characters."""
    return fill(text, 120, break_long_words=False, break_on_hyphens=False)


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
