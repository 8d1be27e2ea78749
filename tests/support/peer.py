"""A raw-socket peer between a step and the simulator, for everything that goes wrong below HTTP, or just so.

The simulator behind it plays the platform, so that what really happened (was the job queued?) is never a guess; the
peer passes requests on and, where a test says so, does something else with the answer, down to the last byte:

    with Simulator(clock=clock.now, held=clock.held) as simulator, Peer(simulator, clock) as peer:
        peer.on("trigger", after_effect(reset), numbers={1})
        peer.on("job", answer(502, b"<html>", content_type="text/html"), numbers=range(2, 4))
        ...
        assert peer.count("trigger") == 1

A behaviour is a function of an `Exchange`. When it returns, the connection is closed in the ordinary way.
"""

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.client import parse_headers, responses
from math import inf
from select import select
from typing import Any, Self
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from urllib3.util import connection as urllib3_connection

from matatika_simulator import Simulator
from tests.support.clock import FakeClock

_PIECE = 256 * 1024
# Between two looks at whether a client is to wait no longer (seconds).
_LOOK_EVERY = 0.005


@dataclass(frozen=True)
class Request:
    """A request that came in. Names of headers are in lower case."""

    call: str
    """The call's name, as in the simulator; "" if there is no such call."""
    number: int
    at: float
    """Seconds of the clock when it came."""
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Exchange:
    """One request on its connection, and all that can be done about it."""

    peer: "Peer"
    connection: socket.socket
    request: Request

    def send(self, data: bytes) -> bool:
        """Send bytes as they are; says whether the connection is still there."""
        try:
            self.connection.sendall(data)
        except OSError:
            return False
        return True

    def wait_until_gone(self) -> None:
        """Keep the connection open, and say nothing, until the other side has closed it."""
        with suppress(OSError):
            while self.connection.recv(_PIECE):
                pass

    def platform_answer(self) -> bytes:
        """Let the platform do what it is asked for, and give its answer, whole and as it would go over the wire."""
        return b"".join(self.peer.ask_platform(self.request))


Behaviour = Callable[[Exchange], None]


def relay(exchange: Exchange) -> None:
    """Pass the platform's answer on as it comes: what happens without a script."""
    for piece in exchange.peer.ask_platform(exchange.request):
        exchange.send(piece)


def reset(exchange: Exchange) -> None:
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.connection.close()


def close(exchange: Exchange) -> None:
    """Close the connection before a byte of the answer."""


def silence(seconds: float) -> Behaviour:
    """Never answer: `seconds` of the clock pass, and the client has waited for too long."""

    def behave(exchange: Exchange) -> None:
        exchange.peer.clock.advance(seconds)
        # Whatever its limit is in real time. In a process, it is waited for.
        if client := exchange.peer.clients.get(exchange.connection.getpeername()):
            client.times_out = True
        exchange.wait_until_gone()

    return behave


def hang(exchange: Exchange) -> None:
    """Never answer, and let the clock go on for those who wait."""
    with exchange.peer.clock.held(inf):
        exchange.wait_until_gone()


def after_effect(behaviour: Behaviour) -> Behaviour:
    """Let the platform do what it is asked for, and only then misbehave."""

    def behave(exchange: Exchange) -> None:
        exchange.platform_answer()
        behaviour(exchange)

    return behave


def raw(data: bytes, then: Behaviour = close) -> Behaviour:

    def behave(exchange: Exchange) -> None:
        exchange.send(data)
        then(exchange)

    return behave


def answer(
    status: int,
    body: bytes = b"",
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str | None] | None = None,
    then: Behaviour = close,
) -> Behaviour:
    """Answer with a status, headers (which replace the usual ones, None by nothing) and a body.

    `{date+N}` in a header is the platform's time N seconds later.
    """

    def behave(exchange: Exchange) -> None:
        usual = {"Date": "{date+0}", "Content-Type": content_type, "Content-Length": len(body), "Connection": "close"}
        given = {**usual, **(headers or {})}
        lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
        head = "\r\n".join([f"HTTP/1.1 {status} {responses.get(status, '-')}", *lines, "", ""])
        now = exchange.peer.clock.now() + exchange.peer.simulator.scenario.clock_skew
        head = re.sub(r"\{date\+(\d+)\}", lambda match: formatdate(now + int(match[1]), usegmt=True), head)
        exchange.send(head.encode("latin-1") + body)
        then(exchange)

    return behave


def changed(change: Callable[[Any], Any], **more: Any) -> Behaviour:
    """Pass the platform's answer on with its JSON changed; `more` is for `answer`."""

    def behave(exchange: Exchange) -> None:
        head, _, body = exchange.platform_answer().partition(b"\r\n\r\n")
        answer(int(head.split(b" ", 2)[1]), json.dumps(change(json.loads(body))).encode(), **more)(exchange)

    return behave


class _ClientSocket(socket.socket):
    """The client's end of a connection, if the client is in this process."""

    times_out = False
    """Whether it has waited for too long, once it has read all that came."""

    def recv_into(self, *args: Any, **options: Any) -> int:
        end = time.monotonic() + (self.gettimeout() or inf)
        while not select([self], [], [], _LOOK_EVERY)[0]:
            if self.times_out or time.monotonic() > end:
                raise TimeoutError("timed out")
        return super().recv_into(*args, **options)


class Peer:
    """Listens on a port of its own, and passes requests on to a simulator unless it is told to misbehave."""

    def __init__(self, simulator: Simulator, clock: FakeClock | None = None) -> None:
        """`clock` is the simulator's, unless that has the real time."""
        self.simulator, self.clock = simulator, clock or FakeClock()
        self.clients: WeakValueDictionary[Any, _ClientSocket] = WeakValueDictionary()
        """The other ends of connections from this process, by their addresses."""
        self._connect = urllib3_connection.create_connection
        self._script: list[tuple[str, Container[int], Behaviour]] = []
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        # Bound beside the listener, so that the port stays ours while connections to it are refused.
        self._reservation = _bound(0)
        self._listener: socket.socket | None = None
        self._elsewhere = socket.create_server(("127.0.0.1", 0))
        self._is_called_elsewhere = False
        self.url, self.elsewhere_url = map(_url, (self._reservation, self._elsewhere))
        """Where it listens, and another origin, at which no step may ever call."""
        self.api_url, self.auth_url = f"{self.url}/api", f"{self.url}/oauth/token"

    def __enter__(self) -> Self:
        urllib3_connection.create_connection = self._connect_here
        self.accept()
        self._spawn(self._accept_all, self._elsewhere)
        return self

    def __exit__(self, *_: object) -> None:
        urllib3_connection.create_connection = self._connect
        self._is_closed = True
        self._stop_listening()
        self._reservation.close()
        self._elsewhere.shutdown(socket.SHUT_RDWR)
        self._elsewhere.close()
        with self._lock:
            for connection in self._sockets:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()

    def was_called_elsewhere(self) -> bool:
        """Whether anybody has called there, who was hung up on."""
        return self._is_called_elsewhere

    @property
    def requests(self) -> list[Request]:
        return list(self._requests)

    def calls(self, call: str) -> list[Request]:
        return [request for request in self.requests if request.call == call]

    def count(self, call: str) -> int:
        return len(self.calls(call))

    def bearers(self) -> set[str]:
        """Every access token that a request came with."""
        values = [request.headers.get("authorization", "").partition("Bearer ") for request in self.requests]
        return {token for _, _, token in values if token}

    def on(self, call: str, behaviour: Behaviour, numbers: Container[int] = range(1, 1_000_000)) -> None:
        """Misbehave at requests of a call; of several scripts that mean a request, the first counts."""
        self._script.append((call, numbers, behaviour))

    def refuse(self, seconds: float | None) -> None:
        """Refuse connections, for so much of the clock's time (None: until `accept`)."""
        self._stop_listening()
        if seconds is not None:
            self.clock.call_later(seconds, self.accept)

    def accept(self) -> None:
        if self._is_closed or self._listener:
            return
        self._listener = _bound(self._reservation.getsockname()[1])
        self._listener.listen()
        self._spawn(self._accept_all, self._listener)

    def ask_platform(self, request: Request) -> Iterator[bytes]:
        """Send a request to the platform, and give the bytes of its answer as they come."""
        kept = {name: value for name, value in request.headers.items() if name != "connection"}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**kept, "connection": "close"}.items())
        address = ("127.0.0.1", urlsplit(self.simulator.url).port or 0)
        with suppress(OSError), self._tracked(socket.create_connection(address)) as upstream:
            upstream.sendall(f"{request.method} {request.target} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
            upstream.sendall(request.body)
            while piece := upstream.recv(_PIECE):
                yield piece

    def _connect_here(self, *args: Any, **options: Any) -> socket.socket:
        connected = self._connect(*args, **options)
        seconds = connected.gettimeout()
        client = _ClientSocket(fileno=connected.detach())
        client.settimeout(seconds)
        self.clients[client.getsockname()] = client
        return client

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener:
            # Unlike `close` alone this wakes the thread that waits for a connection.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept_all(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                if listener is self._elsewhere:
                    self._is_called_elsewhere = True
                    connection.close()
                else:
                    self._spawn(self._serve, connection)

    def _spawn(self, work: Callable[[socket.socket], None], argument: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(argument,), name="peer")
        self._threads.append(thread)
        thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            self._tracked(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = self._read(connection)
            if request is not None:
                meant = (it for call, numbers, it in self._script if call == request.call and request.number in numbers)
                next(meant, relay)(Exchange(self, connection, request))

    def _tracked(self, connection: socket.socket) -> socket.socket:
        """Keep a socket among those that are shut down when the peer closes."""
        with self._lock:
            if self._is_closed:
                connection.close()
                raise OSError("the peer is closed")
            self._sockets.append(connection)
        return connection

    def _read(self, connection: socket.socket) -> Request | None:
        """Read a request; None if it never comes in whole."""
        with connection.makefile("rb") as stream:
            first = stream.readline().decode("latin-1").split()
            if len(first) != 3:
                return None
            method, target, _ = first
            headers = {name.lower(): value for name, value in parse_headers(stream).items()}
            size = int(headers.get("content-length", 0))
            body = stream.read(size)
        if len(body) < size:
            return None
        call = self.simulator.call_of(method, urlsplit(target).path)
        with self._lock:
            request = Request(call, self.count(call) + 1, self.clock.passed, method, target, headers, body)
            self._requests.append(request)
        return request


def _url(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}"


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
