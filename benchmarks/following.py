"""Following jobs of several lengths: the lag behind their ends, and the requests that it takes, beside the peers."""

import random
from collections.abc import Callable, Mapping
from math import ceil

from benchmarks import real
from benchmarks.contenders import ALL, HELD, LENGTHS, LOOPS, PLAIN, lengths
from benchmarks.figures import Figures, Row, Section, Table
from benchmarks.real import Run
from matatika_deploy.platform.polling import Pace

MOST_LAG = {2: 0.8, 20: 0.8, 200: 6.0, 1800: 6.0}
MOST_LAG_HELD = 0.3
MOST_REQUESTS = {2: 10, 20: 46, 200: 150, 1800: 500}
MOST_A_MINUTE = 12

# The input `poll-interval` if it is not given, in seconds.
POLL_INTERVAL = 10.0
# The list of jobs before the trigger, and the trigger.
TO_TRIGGER = 2
# Readings of the log once the job has ended: one with what was left, and two that bring nothing more.
TO_CLOSE = 3
LATE_MINUTES = 20
# Jobs for which what the action does is computed: its pauses are random.
COMPUTED = 1001

Runs = Mapping[tuple[str, int], list[Run]]


def run() -> Section:
    """Follow jobs for real, side by side, and compute the long ones."""
    followed = real.follow()
    computed = {(name, 1800): [_loop(LOOPS[name], seconds) for seconds in lengths(name, 1800, 9)] for name in LOOPS}
    random.seed(0)
    for length in (200, 1800):
        computed[PLAIN, length] = [_action(seconds) for seconds in lengths(PLAIN, length, COMPUTED)]
    best = {**followed, **computed}
    return Section("Lag and requests", [_lag_row(best), _requests_row(best)], _text(followed, computed))


def _action(length: float) -> Run:
    """What the action would find of a job of so many seconds with plain polling, if its requests took no time."""
    pace, elapsed, looks, late = Pace(POLL_INTERVAL), 0.0, 0, 0
    while elapsed < length:
        elapsed += pace.pause(elapsed)
        looks += 1
        late += length - 60 * LATE_MINUTES <= elapsed < length
    # The log is read at the beginning, and after each look but the last.
    lag = elapsed - length + (TO_CLOSE - 1) * pace.closing
    return Run(lag, TO_TRIGGER + 2 * looks + TO_CLOSE, 2 * late / LATE_MINUTES)


def _loop(pause: int, length: float) -> Run:
    """What a loop would find of a job of so many seconds, if its requests took no time."""
    looks = ceil(length / pause)
    return Run(looks * pause - length, looks + 2)


def _lag_row(runs: Runs) -> Row:
    plain = {length: _lags(runs[PLAIN, length]).median for length in LENGTHS}
    held = [_lags(runs[HELD, length]).median for length in real.COUNTS]
    found, found_held = (" / ".join(f"{lag:.2f}" for lag in lags) for lags in (plain.values(), held))
    return Row(
        f"Lag, jobs of {' / '.join(LENGTHS.values())}",
        f"median {found} s with plain polling; {found_held} s when the log is held open",
        f"at most {' / '.join(f'{most:g}' for most in MOST_LAG.values())} s; at most {MOST_LAG_HELD} s",
        all(plain[length] <= most for length, most in MOST_LAG.items()) and max(held) <= MOST_LAG_HELD,
    )


def _requests_row(runs: Runs) -> Row:
    most = {length: max(run.requests for run in runs[PLAIN, length]) for length in LENGTHS}
    a_minute = Figures.of(run.late_requests_a_minute for run in runs[PLAIN, 1800]).median
    return Row(
        f"Requests, jobs of {' / '.join(LENGTHS.values())}",
        f"at most {' / '.join(map(str, most.values()))}; {a_minute:.1f} a minute in the long run",
        f"at most {' / '.join(map(str, MOST_REQUESTS.values()))}; at most {MOST_A_MINUTE} a minute",
        all(most[length] <= limit for length, limit in MOST_REQUESTS.items()) and a_minute <= MOST_A_MINUTE,
    )


def _text(followed: Runs, computed: Runs) -> str:
    counts = ", ".join(f"{count} of {LENGTHS[length]}" for length, count in real.COUNTS.items())
    lag = _table(followed, computed, lambda runs: _lags(runs).show(2))
    requests = _table(followed, computed, lambda runs: Figures.of(run.requests for run in runs).show(0))
    return (
        f"Each contender follows jobs for real, all of them side by side ({counts}). The jobs of a contender are not "
        "all of the same length, which would measure the luck of the moment at which a pause ends: they are spread "
        "evenly over one of its own pauses. †: computed, as if requests took no time: of the loops from their pauses, "
        f"of this action from its pace (`platform/polling.py`), for {COMPUTED} jobs of each length. When the log is "
        "held open, its end tells that of the job, whose length then makes no difference.\n\n"
        f"### Lag behind the job's end, in seconds\n\n{lag}\n\n### Requests\n\n{requests}"
    )


def _lags(runs: list[Run]) -> Figures:
    return Figures.of(run.lag for run in runs)


def _table(followed: Runs, computed: Runs, show: Callable[[list[Run]], str]) -> Table:
    table = Table(["Contender", *LENGTHS.values()])
    for name in ALL:
        cells = []
        for key in [(name, length) for length in LENGTHS]:
            found = [show(runs[key]) + mark for runs, mark in ((followed, ""), (computed, " †")) if key in runs]
            cells.append("<br>".join(found))
        table.add(name, *cells)
    return table
