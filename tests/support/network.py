"""Who else may be on the network: a server that nobody is to talk to, and a proxy that notes what goes through it."""

import shutil
import socket
import socketserver
import threading
from contextlib import suppress
from io import BufferedIOBase
from typing import Self
from urllib.parse import urlsplit

_PIECE = 64 * 1024


class _Server(socketserver.ThreadingTCPServer):
    """Serves on a free port of this machine, for the length of a block."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, handler: type[socketserver.StreamRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.heard: list[bytes] = []
        """The head of each request that came, or whatever came instead of one."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def port(self) -> int:
        """The port."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Its address as that of an HTTP server."""
        return f"http://127.0.0.1:{self.port}"


class _Listening(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 5

    def handle(self) -> None:
        self.server.heard.append(b"(a connection)")
        with suppress(OSError):
            self.server.heard[-1] = _head(self.rfile)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


class UninvitedServer(_Server):
    """Answers whoever comes, and remembers it: `heard` is to stay empty."""

    def __init__(self) -> None:
        super().__init__(_Listening)


def _head(stream: BufferedIOBase) -> bytes:
    """Read the head of a request, up to its empty line or the end of the connection."""
    lines = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        lines.append(line)
    return b"".join(lines)


class _Forwarding(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        first, _, head = _head(self.rfile).partition(b"\n")
        if not first:
            return
        self.server.heard.append(first + b"\n" + head)
        method, target, version = first.decode().split()
        parts = urlsplit(target if "://" in target else f"//{target}")
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as upstream:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = parts._replace(scheme="", netloc="").geturl()
                upstream.sendall(f"{method} {path} {version}\r\n".encode() + head + b"Connection: close\r\n\r\n")
            answers = threading.Thread(target=self._give_back, args=(upstream,))
            answers.start()
            with suppress(OSError), upstream.makefile("wb", buffering=0) as requests:
                shutil.copyfileobj(self.connection.makefile("rb", buffering=0), requests)
            with suppress(OSError):
                upstream.shutdown(socket.SHUT_RDWR)
            answers.join()

    def _give_back(self, upstream: socket.socket) -> None:
        with suppress(OSError):
            while piece := upstream.recv(_PIECE):
                self.connection.sendall(piece)
            self.connection.shutdown(socket.SHUT_RDWR)


class Proxy(_Server):
    """Forwards requests for `http:` addresses one by one, and opens tunnels (`CONNECT`) for everything else."""

    def __init__(self) -> None:
        super().__init__(_Forwarding)
