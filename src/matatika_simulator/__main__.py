"""The simulator as a program: `python -m matatika_simulator --port 0 --scenario success`."""

import argparse
import ipaddress
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from matatika_simulator.scenario import ScenarioError, names
from matatika_simulator.server import Simulator

_ENDING = {signal.SIGINT, signal.SIGTERM}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. The first line on standard output is the address."""
    parser = _parser()
    given = parser.parse_args(arguments)
    # Blocked before any thread is started, so that they reach `sigwait` and nothing else, even as PID 1.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    tls = given.tls and tuple(given.tls)
    try:
        with Simulator(given.scenario, host=given.host, port=given.port, tls=tls) as simulator:
            print(simulator.url, flush=True)  # noqa: T201 (what whoever started it waits for)
            signal.sigwait(_ENDING)
    except (ScenarioError, OSError) as error:
        parser.error(str(error))  # exit code 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m matatika_simulator", description=__doc__)
    parser.add_argument("--scenario", default="success", metavar="NAME|FILE", help=f"one of {', '.join(names())}")
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free one")
    parser.add_argument(
        "--host", type=_host, default="127.0.0.1", metavar="ADDRESS", help="a loopback or private address"
    )
    parser.add_argument("--tls", nargs=2, type=Path, metavar=("CERTIFICATE", "KEY"), help="serve HTTPS; PEM files")
    return parser


def _host(text: str) -> str:
    """An address that the open network cannot reach: its credentials are known to everyone."""
    address = ipaddress.IPv4Address(text)
    if address.is_unspecified or not address.is_private:
        raise argparse.ArgumentTypeError(f"{text} is neither a loopback nor a private address")
    return text


if __name__ == "__main__":
    sys.exit(main())
