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

import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.client import parse_headers
from math import inf
from select import select
from typing import Any, Final, Self
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from urllib3.util import connection as urllib3_connection

from matatika_simulator import Simulator
from tests.support.clock import FakeClock

ALWAYS: Final[Container[int]] = range(1, 1_000_000)
"""Numbers of requests: all of them."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PIECE = 256 * 1024
# Between two looks at whether a client is to wait no longer (seconds).
_LOOK_EVERY = 0.005


@dataclass(frozen=True)
class Request:
    """A request that came in. Names of headers are in lower case."""

    call: str
    """The call's name, as in the simulator; "" if there is no such call."""
    number: int
    """Counted from 1 for each call."""
    at: float
    """Seconds of the clock when it came."""
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Exchange:
    """One request on its connection, and all that can be done about it."""

    def __init__(self, peer: "Peer", connection: socket.socket, request: Request) -> None:
        """All of it belongs to `Peer`."""
        self.peer = peer
        self.request = request
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        with suppress(OSError):
            self._connection.sendall(data)

    def reset(self) -> None:
        """Break the connection with a RST, at once."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._connection.close()

    def wait_until_gone(self) -> None:
        """Keep the connection open, and say nothing, until the other side has closed it."""
        with suppress(OSError):
            while self._connection.recv(_PIECE):
                pass

    def time_out(self) -> None:
        """Have the client's patience end now, whatever its limit is in real time; in a process, wait until it does."""
        client = self.peer.clients.get(self._connection.getpeername())
        if client:
            client.times_out = True
        self.wait_until_gone()

    def is_gone(self, seconds: float) -> bool:
        """Wait so many real seconds at most for the other side to close the connection; says whether it has."""
        self._connection.settimeout(seconds)
        try:
            return not self._connection.recv(_PIECE)
        except TimeoutError:
            return False
        except OSError:
            return True

    def platform_answer(self) -> bytes:
        """Let the platform do what it is asked for, and give its answer, whole and as it would go over the wire."""
        return b"".join(self.platform_pieces())

    def platform_pieces(self) -> Iterator[bytes]:
        """The same, piece by piece as the platform writes them."""
        yield from self.peer.ask_platform(self.request)

    def date(self) -> str:
        """The platform's present time, as a `Date` header has it."""
        return formatdate(self.peer.platform_time(), usegmt=True)

    def time_passes(self, seconds: float) -> None:
        """Let so much of the clock's time pass, in place of real time."""
        if self.peer.clock:
            self.peer.clock.advance(seconds)


Behaviour = Callable[[Exchange], None]


def relay(exchange: Exchange) -> None:
    """Pass the platform's answer on as it comes: what happens without a script."""
    for piece in exchange.platform_pieces():
        exchange.send(piece)


def reset(exchange: Exchange) -> None:
    """Break the connection before a byte of the answer."""
    exchange.reset()


def close(exchange: Exchange) -> None:
    """Close the connection before a byte of the answer."""


def silence(seconds: float) -> Behaviour:
    """Never answer: `seconds` of the clock pass, and the client has waited for too long."""

    def behave(exchange: Exchange) -> None:
        exchange.time_passes(seconds)
        exchange.time_out()

    return behave


def hang(exchange: Exchange) -> None:
    """Never answer, and let the clock go on for those who wait."""
    with exchange.peer.clock.held(inf) if exchange.peer.clock else nullcontext():
        exchange.wait_until_gone()


def after_effect(behaviour: Behaviour) -> Behaviour:
    """Let the platform do what it is asked for, and only then misbehave."""

    def behave(exchange: Exchange) -> None:
        exchange.platform_answer()
        behaviour(exchange)

    return behave


def raw(data: bytes, then: Behaviour = close) -> Behaviour:
    """Send bytes as they are, and then misbehave."""

    def behave(exchange: Exchange) -> None:
        exchange.send(data)
        then(exchange)

    return behave


def drip(data: bytes, seconds: float) -> Behaviour:
    """Send a byte at a time until the client has enough. `seconds` of the clock pass in all."""

    def behave(exchange: Exchange) -> None:
        exchange.time_passes(seconds)
        for byte in data:
            exchange.send(bytes([byte]))
            if exchange.is_gone(0.02):
                return

    return behave


def answer(
    status: int,
    body: bytes = b"",
    *,
    content_type: str | None = "application/json",
    headers: Mapping[str, str] | None = None,
    then: Behaviour = close,
    dated: bool = True,
) -> Behaviour:
    """Answer with a status, headers (which may replace the usual ones) and a body, whatever the platform would say.

    `{date+N}` in a header is the platform's time N seconds later.
    """

    def behave(exchange: Exchange) -> None:
        given = {"Date": exchange.date()} if dated else {}
        given |= {"Content-Type": content_type} if content_type else {}
        given |= {"Content-Length": str(len(body)), "Connection": "close"}
        later = {name: _dates(value, exchange.peer.platform_time()) for name, value in (headers or {}).items()}
        lines = [f"{name}: {value}" for name, value in (given | later).items()]
        exchange.send("\r\n".join([_status_line(status), *lines, "", ""]).encode("latin-1") + body)
        then(exchange)

    return behave


def cut(after: int, then: Behaviour = reset) -> Behaviour:
    """Pass so many bytes of the platform's answer on, its head included, and then misbehave."""

    def behave(exchange: Exchange) -> None:
        left = after
        with closing(exchange.platform_pieces()) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                exchange.send(piece[:left])
                left -= len(piece)
                if left <= 0:
                    break
        if left <= 0:
            then(exchange)

    return behave


def then_refuse(seconds: float | None, behaviour: Behaviour = relay) -> Behaviour:
    """Refuse every further connection from the end of this exchange on, for so much of the clock's time (None: ever).

    With `relay`, the answer is passed on only when connections are refused.
    """

    def behave(exchange: Exchange) -> None:
        data = exchange.platform_answer() if behaviour is relay else b""
        exchange.peer.refuse(seconds)
        exchange.send(data) if data else behaviour(exchange)

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
        """`clock` is the simulator's; without one, time is real."""
        self.clock = clock
        self._simulator = simulator
        self.clients: WeakValueDictionary[Any, _ClientSocket] = WeakValueDictionary()
        """The other ends of connections from this process, by their addresses."""
        self._connect = urllib3_connection.create_connection
        self._script: list[tuple[str, Container[int], Behaviour]] = []
        self._requests: list[Request] = []
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        # Bound beside the listener, so that the port stays ours while connections to it are refused.
        self._reservation = _bound(("127.0.0.1", 0))
        self._elsewhere = socket.create_server(("127.0.0.1", 0))
        self._elsewhere.setblocking(False)
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        urllib3_connection.create_connection = self._connect_here
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        urllib3_connection.create_connection = self._connect
        self._is_closed = True
        self._stop_listening()
        self._reservation.close()
        self._elsewhere.close()
        with self._lock:
            for connection in self._sockets:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._reservation.getsockname()
        return f"http://{host}:{port}"

    @property
    def api_url(self) -> str:
        """The API's root."""
        return f"{self.url}/api"

    @property
    def auth_url(self) -> str:
        """The token endpoint."""
        return f"{self.url}/oauth/token"

    @property
    def elsewhere_url(self) -> str:
        """Another origin, at which no step may ever call."""
        host, port = self._elsewhere.getsockname()
        return f"http://{host}:{port}"

    def was_called_elsewhere(self) -> bool:
        """Whether anybody has called there since the last look."""
        try:
            self._elsewhere.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    def calls(self, call: str) -> list[Request]:
        """The requests of one call."""
        return [request for request in self.requests if request.call == call]

    def count(self, call: str) -> int:
        """How many requests of a call have come in."""
        return len(self.calls(call))

    def bearers(self) -> set[str]:
        """Every access token that a request came with."""
        values = (request.headers.get("authorization", "") for request in self.requests)
        return {value.removeprefix("Bearer ") for value in values if value.startswith("Bearer ")}

    def on(self, call: str, behaviour: Behaviour, numbers: Container[int] = ALWAYS) -> None:
        """Misbehave at requests of a call; of several scripts that mean a request, the first counts."""
        self._script.append((call, numbers, behaviour))

    def refuse(self, seconds: float | None) -> None:
        """Refuse connections, for so much of the clock's time (None: until `accept`)."""
        self._stop_listening()
        if seconds is not None and self.clock:
            self.clock.call_later(seconds, self.accept)

    def accept(self) -> None:
        """Accept connections (again)."""
        if self._is_closed or self._listener:
            return
        self._listener = _bound(self._reservation.getsockname())
        self._listener.listen()
        self._spawn(self._accept_all, self._listener)

    def platform_time(self) -> float:
        """The platform's clock: seconds since 1970."""
        return (self.clock.now() if self.clock else time.time()) + self._simulator.scenario.clock_skew

    def ask_platform(self, request: Request) -> Iterator[bytes]:
        """Send a request to the platform, and give the bytes of its answer as they come."""
        kept = {name: value for name, value in request.headers.items() if name != "connection"}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**kept, "connection": "close"}.items())
        with suppress(OSError), _connected(self._simulator.url) as upstream, self._tracked(upstream):
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
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._spawn(self._serve, connection)

    def _spawn(self, work: Callable[[socket.socket], None], argument: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(argument,), name="peer")
        self._threads.append(thread)
        thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, self._tracked(connection):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = self._read(connection)
            if request is not None:
                self._behaviour(request)(Exchange(self, connection, request))

    @contextmanager
    def _tracked(self, connection: socket.socket) -> Iterator[None]:
        """Keep a socket among those that are shut down when the peer closes."""
        with self._lock:
            if self._is_closed:
                raise OSError("the peer is closed")
            self._sockets.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(connection)

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
        call = self._simulator.call_of(method, urlsplit(target).path)
        at = self.clock.passed if self.clock else time.monotonic()
        with self._lock:
            self._counts[call] += 1
            request = Request(call, self._counts[call], at, method, target, headers, body)
            self._requests.append(request)
        return request

    def _behaviour(self, request: Request) -> Behaviour:
        meant = (
            behaviour for call, numbers, behaviour in self._script if call == request.call and request.number in numbers
        )
        return next(meant, relay)


def _connected(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname or "", address.port or 0))


def _bound(address: tuple[str, int]) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(address)
    return bound


def _status_line(status: int) -> str:
    try:
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP/1.1 {status} -"


def _dates(value: str, now: float) -> str:
    return re.sub(r"\{date\+(\d+)\}", lambda match: formatdate(now + int(match[1]), usegmt=True), value)
