"""A proxy that notes what goes through it."""

import socket
import socketserver
from contextlib import suppress
from itertools import takewhile
from threading import Thread
from urllib.parse import urlsplit

from tests.support.server import LoopbackServer


class _Forwarding(socketserver.StreamRequestHandler):
    server: "Proxy"
    rbufsize = 0

    def handle(self) -> None:
        first, *rest = takewhile(bytes.strip, self.rfile)
        self.server.heard.append(b"".join([first, *rest]))
        method, target, version = first.decode().split()
        parts = urlsplit(target if "://" in target else f"//{target}")
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as upstream:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = parts._replace(scheme="", netloc="").geturl()
                head = [f"{method} {path} {version}\r\n".encode(), *rest, b"Connection: close\r\n\r\n"]
                upstream.sendall(b"".join(head))
            answers = Thread(target=_copy, args=(upstream, self.connection))
            answers.start()
            _copy(self.connection, upstream)
            answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(64 * 1024):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


class Proxy(LoopbackServer):
    """Forwards requests for `http:` addresses one by one, and opens tunnels (`CONNECT`) for everything else."""

    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(_Forwarding)
        self.url = f"http://{self.host}"
        self.heard: list[bytes] = []
        """The head of each request that came."""
