"""Following jobs of several lengths: the lag behind their ends, and the requests that it takes, beside the peers."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import ceil

from benchmarks import plot, real, simulated
from benchmarks.contenders import ALL, HELD, LENGTHS, LOOPS, PLAIN, lengths
from benchmarks.figures import Figures, Row, Section, Table
from benchmarks.jobs import LATE_MINUTES, Run

MOST_LAG = {2: 0.8, 20: 0.8, 200: 6.0, 1800: 6.0}
MOST_LAG_HELD = 0.3
MOST_REQUESTS = {2: 10, 20: 46, 200: 150, 1800: 500}
MOST_A_MINUTE = 12

# How many jobs are followed on a simulated clock.
SIMULATED = {(PLAIN, 200): 101, (PLAIN, 1800): 7, (HELD, 200): 9, (HELD, 1800): 5}
# A lag of up to a pause behind jobs of half an hour takes many of them, of which only the last minutes are played.
SIMULATED_LATE, LATE_PART = 101, 150.0

# How figures were found: for real, on a simulated clock, or by arithmetic.
REAL, SIMULATED_MARK, COMPUTED = "", " ‡", " †"

Runs = Mapping[tuple[str, int], list[Run]]


def run() -> Section:
    """Follow jobs for real, side by side, and the long ones on a simulated clock while the machine is idle."""
    with ThreadPoolExecutor(1) as aside:
        simulation = aside.submit(_simulate)
        followed = real.follow()
        played, late = simulation.result()
    computed = {(name, 1800): _compute(name) for name in LOOPS}
    lags = {REAL: followed, SIMULATED_MARK: {**played, (PLAIN, 1800): late}, COMPUTED: computed}
    requests = {REAL: followed, SIMULATED_MARK: played, COMPUTED: computed}
    plot.write({key: _lag(runs) for found in lags.values() for key, runs in found.items()})
    return Section(
        "Lag and requests",
        [_lag_row({**followed, **lags[SIMULATED_MARK]}), _requests_row({**followed, **played})],
        _text(lags, requests),
    )


def _simulate() -> tuple[Runs, list[Run]]:
    """Follow long jobs on a simulated clock; gives them, and the last part of many that take half an hour."""
    time.sleep(real.IDLE_AFTER)
    played = {
        (name, length): simulated.follow(lengths(name, length, count), is_held=name == HELD)
        for (name, length), count in SIMULATED.items()
    }
    return played, simulated.follow(lengths(PLAIN, 1800, SIMULATED_LATE), leap=1800 - LATE_PART)


def _compute(name: str) -> list[Run]:
    """What a loop would find of jobs of half an hour, if its requests took no time."""
    pause = LOOPS[name]
    looks = {seconds: ceil(seconds / pause) for seconds in lengths(name, 1800, 9)}
    return [Run(count * pause - seconds, count + 2) for seconds, count in looks.items()]


def _lag_row(runs: Runs) -> Row:
    plain, held = ({length: _lag(runs[name, length]).median for length in LENGTHS} for name in (PLAIN, HELD))
    is_met = all(plain[length] <= most for length, most in MOST_LAG.items()) and max(held.values()) <= MOST_LAG_HELD
    found, found_held = (" / ".join(f"{lag:.2f}" for lag in lags.values()) for lags in (plain, held))
    return Row(
        f"Lag, jobs of {' / '.join(LENGTHS.values())}",
        f"median {found} s with plain polling; {found_held} s when the log is held open",
        f"at most {' / '.join(f'{most:g}' for most in MOST_LAG.values())} s; at most {MOST_LAG_HELD} s",
        is_met,
    )


def _requests_row(runs: Runs) -> Row:
    most = {length: max(run.requests for name in (PLAIN, HELD) for run in runs[name, length]) for length in LENGTHS}
    a_minute = Figures.of(run.late_requests / LATE_MINUTES for run in runs[PLAIN, 1800]).median
    is_met = all(most[length] <= limit for length, limit in MOST_REQUESTS.items()) and a_minute <= MOST_A_MINUTE
    return Row(
        f"Requests, jobs of {' / '.join(LENGTHS.values())}",
        f"at most {' / '.join(map(str, most.values()))}; {a_minute:.2f} a minute in the long run",
        f"at most {' / '.join(map(str, MOST_REQUESTS.values()))}; at most {MOST_A_MINUTE} a minute",
        is_met,
    )


def _text(lags: Mapping[str, Runs], requests: Mapping[str, Runs]) -> str:
    counts = ", ".join(f"{count} of {LENGTHS[length]}" for length, count in real.COUNTS.items())
    played = ", ".join(f"{count} of {LENGTHS[length]}" for (name, length), count in SIMULATED.items() if name == PLAIN)
    held = ", ".join(f"{count} of {LENGTHS[length]}" for (name, length), count in SIMULATED.items() if name == HELD)
    return (
        f"Each contender follows jobs for real, all of them side by side ({counts}). The jobs of a contender are not "
        "all of the same length, which would measure the luck of the moment at which a pause ends: they are spread "
        "evenly over one of its own pauses. ‡: this action alone, on a simulated clock that leaves out the waits and "
        f"nothing else ({played}, and {held} with the log held open; the lag behind jobs of 30 min from "
        f"{SIMULATED_LATE} of which the last {LATE_PART:.0f} s were played). †: computed.\n\n"
        f"### Lag behind the job's end, in seconds\n\n{_table(lags, lambda runs: _lag(runs).show(2))}\n\n"
        "![Lag against job length](benchmarks/lag.svg)\n\n"
        f"### Requests\n\n{_table(requests, lambda runs: Figures.of(run.requests for run in runs).show(0))}"
    )


def _lag(runs: list[Run]) -> Figures:
    return Figures.of(run.lag for run in runs)


def _table(sources: Mapping[str, Runs], show: Callable[[list[Run]], str]) -> Table:
    table = Table(["Contender", *LENGTHS.values()])
    for name in ALL:
        cells = []
        for length in LENGTHS:
            found = [show(runs[name, length]) + mark for mark, runs in sources.items() if (name, length) in runs]
            cells.append("<br>".join(found))
        table.add(name, *cells)
    return table
