"""Big logs: how fast they go from the platform to standard output, and what memory that takes."""

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE

from benchmarks import commands, wire
from benchmarks.commands import PEERS, Command
from benchmarks.figures import Figures, Row, Section, Table, alternate

LINE = 100
CHUNK = 64 * 1024
MEGABYTE = 1_000_000
GIGABYTE = 1000 * MEGABYTE
ROUNDS = 5
MOST_OF_CURL, LEAST_OF_LOOP = 2.5, 5.0
MOST_FOR_SIZE, MOST_FOR_LINE = 8.0, 16.0


class LogServer(wire.Server):
    """A job that has ended once its log of so many bytes was sent whole."""

    def __init__(self, size: int, *, in_lines: bool = True) -> None:
        """Make the log: lines of 100 bytes, or a single one."""
        super().__init__(self._give)
        self.size = size
        self._block = (b"x" * (LINE - 1) + b"\n" if in_lines else b"x" * LINE) * (CHUNK // LINE)
        self._is_sent = False

    @property
    def log_url(self) -> str:
        """Where the log is, for those that know nothing of jobs."""
        return f"{self.url}/api/jobs/{wire.JOB_ID}/logs?sequence=0"

    def forget(self) -> None:
        """Begin anew with a job that runs."""
        super().forget()
        self._is_sent = False

    def _give(self, arrival: wire.Arrival) -> Iterable[bytes]:
        if "/jobs?page=" in arrival.path:
            return [wire.no_jobs()]
        if arrival.method == "POST":
            return [wire.job("RUNNING", 202)]
        if "/logs?" in arrival.path:
            return wire.stream(self._log() if arrival.path.endswith("sequence=0") and not self._is_sent else [])
        return [wire.job("COMPLETE" if self._is_sent else "RUNNING")]

    def _log(self) -> Iterator[bytes]:
        whole, rest = divmod(self.size, len(self._block))
        for _ in range(whole):
            yield self._block
        if rest:
            yield self._block[-rest:]
        self._is_sent = True


def throughput() -> Section:
    """Measure a gigabyte against what moves it fastest, and against the usual loop."""
    with tempfile.TemporaryDirectory() as folder, LogServer(GIGABYTE) as server:
        action, curl, loop = alternate(
            [
                partial(until_printed, server, command)
                for command in (
                    commands.action(Path(folder), f"{server.url}/api"),
                    Command(("curl", "-sN", server.log_url), commands.PATH),
                    commands.python(str(PEERS / "print_log.py"), server.log_url),
                )
            ],
            ROUNDS,
        )
    of_curl, of_loop = action.over(curl), loop.over(action)
    table = Table(["Program", "1 GB to a pipe", "Throughput", "Against `curl`"])
    for name, figures in (
        ("`curl -sN`", curl),
        ("this action, whole step", action),
        ("`for line in response.iter_lines(): print(line)`", loop),
    ):
        speed = GIGABYTE / MEGABYTE / figures.median
        table.add(
            name, figures.show(2, "s"), f"{speed:.0f} MB/s", "" if figures is curl else figures.over(curl).show(2)
        )
    return Section(
        "Log throughput",
        [
            Row(
                "Log throughput",
                f"{of_curl.show(2, 'times')} `curl`'s time; {of_loop.show(1, 'times')} faster than the loop",
                f"at most {MOST_OF_CURL} times; at least {LEAST_OF_LOOP:.0f} times",
                of_curl.median <= MOST_OF_CURL and of_loop.median >= LEAST_OF_LOOP,
            )
        ],
        f"Lines of {LINE} bytes in chunks of {CHUNK // 1024} KiB, from a server of bare sockets, through a pipe into "
        f"`cat >/dev/null`; from process start to process end. {ROUNDS} rounds in turns. The action's time is its "
        f"whole step: start-up, trigger, following the job, and the readings after its end.\n\n{table}",
    )


def until_printed(server: LogServer, command: Command) -> float:
    """Seconds until a process has printed the log and ended, with `cat` behind it."""
    server.forget()
    began = time.monotonic()
    with command.start(PIPE) as process, Command(("cat",), commands.PATH).start(DEVNULL, process.stdout) as cat:
        if process.stdout:
            process.stdout.close()
        if process.wait() != 0 or cat.wait() != 0:
            raise RuntimeError(f"exit code {process.returncode}: {command.arguments}")
    return time.monotonic() - began


def memory() -> Section:
    """Measure the peak of resident memory for logs of several sizes."""
    logs = {
        "1 MB of lines": (MEGABYTE, True),
        "100 MB of lines": (100 * MEGABYTE, True),
        "1 GB of lines": (GIGABYTE, True),
        "200 MB in one line": (200 * MEGABYTE, False),
    }
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, in_lines) in logs.items():
            with LogServer(size, in_lines=in_lines) as server:
                action = commands.action(Path(folder), f"{server.url}/api")
                found[name] = Figures.of(peak(server, action, Path(folder)) for _ in range(ROUNDS))
    small, _, large, line = found.values()
    table = Table(["Log", "Peak of resident memory", "More than for 1 MB"])
    for name, figures in found.items():
        more = "" if figures is small else f"{figures.median - small.median:.1f} MiB"
        table.add(name, figures.show(1, "MiB"), more)
    by_size, by_line = large.median - small.median, line.median - small.median
    return Section(
        "Memory",
        [
            Row(
                "Memory",
                f"{by_size:.1f} MiB more at 1 GB than at 1 MB; the long line {by_line:.1f} MiB",
                f"at most {MOST_FOR_SIZE:.0f} MiB; at most {MOST_FOR_LINE:.0f} MiB",
                by_size <= MOST_FOR_SIZE and by_line <= MOST_FOR_LINE,
            )
        ],
        f"`ru_maxrss` of the whole step, whose log goes through a pipe into `cat >/dev/null`; {ROUNDS} runs each."
        f"\n\n{table}",
    )


def peak(server: LogServer, command: Command, folder: Path) -> float:
    """The peak of a process's resident memory in MiB, while it prints the log."""
    file = folder / "peak"
    launcher = Path(__file__).with_name("launcher.py")
    until_printed(
        server, Command((sys.executable, "-IS", str(launcher), str(file), *command.arguments), command.environ)
    )
    return int(file.read_text(encoding="ascii")) / 1024
