"""The simulator ends without a trace, even if somebody has connected in that very moment."""

import gc
import socket
from urllib.parse import urlsplit

from matatika_simulator import Simulator


def test_connections_that_were_just_accepted_are_closed_too() -> None:
    for _ in range(20):
        with Simulator() as simulator:
            address = urlsplit(simulator.url)
            socket.create_connection((address.hostname or "", address.port or 0)).close()
    # What was left open would be reported now, and fail the test.
    gc.collect()
