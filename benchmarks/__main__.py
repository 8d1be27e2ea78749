"""Measure, and write BENCHMARKS.md: `python -m benchmarks`; with names, measure a part and print it."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks import cancel, container, faults, fleet, following, logs, preflight, report, start_up
from benchmarks.commands import ROOT
from benchmarks.figures import Section

BENCHMARKS: Mapping[str, Callable[[], Section]] = {
    "start-up": start_up.run,
    "container": container.run,
    "following": following.run,
    "faults": faults.run,
    "throughput": logs.throughput,
    "memory": logs.memory,
    "cancel": cancel.run,
    "preflight": preflight.run,
    "fleet": fleet.run,
}


def main() -> None:
    """Run the benchmarks that are asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; default: all")
    names = parser.parse_args().names
    if unknown := set(names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    page = report.render([_measured(name) for name in names or BENCHMARKS])
    if names:
        sys.stdout.write(page)
    else:
        (ROOT / "BENCHMARKS.md").write_text(page, encoding="utf-8")


def _measured(name: str) -> Section:
    began = time.monotonic()
    section = BENCHMARKS[name]()
    sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    return section


if __name__ == "__main__":
    main()
