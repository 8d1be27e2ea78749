"""Cancelling: from the signal to the withdrawal's first bytes on the wire, and to the end of the process."""

import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import commands, wire
from benchmarks.commands import Command
from benchmarks.figures import Figures, Row, Section, Table
from benchmarks.start_up import milliseconds

RUNS = 6
MOST_TO_WITHDRAWAL, MOST_TO_END = 0.05, 1.0
# How long the job is followed before each signal (seconds): at all moments of the pauses between two looks.
FIRST, STEP = 1.2, 0.2


class Platform(wire.Server):
    """A job that runs until it is withdrawn, and whose log is held open until then."""

    def __init__(self) -> None:
        """Begin with a job that runs."""
        super().__init__(self._give)
        self._is_stopped = threading.Event()

    def forget(self) -> None:
        """Begin anew with a job that runs."""
        super().forget()
        self._is_stopped.clear()

    def _give(self, arrival: wire.Arrival) -> Iterable[bytes]:
        if "/jobs?page=" in arrival.path:
            return [wire.no_jobs()]
        if arrival.method == "PUT":
            self._is_stopped.set()
        if "/logs?" in arrival.path:
            return wire.stream(self._log())
        status = "STOPPED" if self._is_stopped.is_set() else "RUNNING"
        return [wire.job(status, 200 if arrival.method == "GET" else 202)]

    def _log(self) -> Iterator[bytes]:
        if not self._is_stopped.is_set():
            yield b"line\n"
            self._is_stopped.wait(60)


def run() -> Section:
    """Measure both signals in turns."""
    found: dict[signal.Signals, list[tuple[float, float]]] = {signal.SIGINT: [], signal.SIGTERM: []}
    with tempfile.TemporaryDirectory() as folder, Platform() as platform:
        action = commands.action(Path(folder), f"{platform.url}/api")
        for number in range(RUNS):
            for signum, measured in found.items():
                measured.append(cancel(platform, action, signum, FIRST + number * STEP))
    table = Table(["Signal", "To the withdrawal on the wire", "To the end of the process"])
    for signum, measured in found.items():
        table.add(signum.name, *(milliseconds(Figures.of(values)) for values in zip(*measured, strict=True)))
    withdrawn, ended = (
        Figures.of(values) for values in zip(*(pair for pairs in found.values() for pair in pairs), strict=True)
    )
    return Section(
        "Cancel",
        [
            Row(
                "Cancel",
                f"withdrawal on the wire after {milliseconds(withdrawn)}; end after {milliseconds(ended)}",
                f"at most {MOST_TO_WITHDRAWAL} s; at most {MOST_TO_END:g} s",
                withdrawn.most <= MOST_TO_WITHDRAWAL and ended.most <= MOST_TO_END,
            )
        ],
        f"While a running job and its log, which is held open, are followed; {RUNS} runs for each signal, at different "
        f"moments of the pause between two looks. The job stops as soon as it is withdrawn.\n\n{table}",
    )


def cancel(platform: Platform, action: Command, signum: signal.Signals, after: float) -> tuple[float, float]:
    """Follow the job for some seconds, then send a signal; gives the seconds to the withdrawal and to the end."""
    platform.forget()
    process = action.start()
    triggered_at = platform.wait_for("POST").at
    time.sleep(max(0.0, triggered_at + after - time.monotonic()))
    sent_at = time.monotonic()
    process.send_signal(signum)
    code = process.wait()
    ended_at = time.monotonic()
    if code != 128 + signum:
        raise RuntimeError(f"exit code {code}")
    return platform.wait_for("PUT").at - sent_at, ended_at - sent_at
