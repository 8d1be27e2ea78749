"""A platform of bare sockets, for what the simulator would be too slow for: big logs, and moments on the wire."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

JOB_ID = "7127b1d3-a114-4bec-b108-004f374f0b77"
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True)
class Arrival:
    """A request, and when its first bytes came (`time.monotonic`)."""

    at: float
    method: str
    path: str


Answer = Callable[[Arrival], Iterable[bytes]]


class Server:
    """Answers requests on a free port of this machine, each connection in a thread, until the end of the block."""

    def __init__(self, answer: Answer) -> None:
        """`answer` gives the bytes of the answer to a request, head included, in pieces."""
        self._answer = answer
        self._arrivals: list[Arrival] = []
        self._changed = threading.Condition()
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Break off whatever is under way."""
        for connection in (self._listener, *self._connections):
            connection.close()

    @property
    def url(self) -> str:
        """The origin, without a final slash."""
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def forget(self) -> None:
        """Begin anew: no request has come yet."""
        with self._changed:
            self._arrivals.clear()

    def wait_for(self, method: str, timeout: float = 60.0) -> Arrival:
        """Wait for the first request of that method since `forget`."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (found := [arrival for arrival in self._arrivals if arrival.method == method]):
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"no {method} within {timeout:.0f} s")
        return found[0]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while arrival := self._read_request(connection):
                with self._changed:
                    self._arrivals.append(arrival)
                    self._changed.notify_all()
                for piece in self._answer(arrival):
                    connection.sendall(piece)
        except OSError:
            pass
        finally:
            connection.close()

    def _read_request(self, connection: socket.socket) -> Arrival | None:
        data = connection.recv(65536)
        at = time.monotonic()
        while data and _END_OF_HEAD not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(_END_OF_HEAD)
        if not head:
            return None
        first, *headers = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (header.partition(":") for header in headers)}
        missing = int(fields.get("content-length", "0")) - len(body)
        while missing > 0:
            missing -= len(connection.recv(65536))
        method, path, _ = first.split(" ")
        return Arrival(at, method, path)


def job(status: str, http_status: int = 200) -> bytes:
    """Give the answer that shows the job in a state."""
    return _answer(http_status, {"id": JOB_ID, "type": "WORKSPACE_DEPLOY", "status": status})


def no_jobs() -> bytes:
    """Give the answer to the list of jobs of a workspace that has none."""
    return _answer(200, {"page": {"size": 20, "totalElements": 0, "totalPages": 0, "number": 0}})


def _answer(status: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/hal+json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def stream(body: Iterable[bytes]) -> Iterable[bytes]:
    """Give an answer of plain text as the platform streams its logs: in chunks, each piece of `body` being one."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=UTF-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    for piece in body:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
