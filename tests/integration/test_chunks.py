"""The body of an answer as it arrives: what is there is handed on at once, and many small chunks as one large one."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any

import pytest

from matatika_deploy.platform.http import Http, HttpConfig
from matatika_deploy.platform.responses import Failure, Request, TransportError
from matatika_deploy.runtime.limits import HttpLimits

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def opening(
    serve: Callable[[socket.socket], None], limit: int = 1_000_000, read_timeout: float = 5
) -> Iterator[tuple[Http, Any]]:
    """An answer of which `serve` gives the head and the body, on its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as aside:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                serve(connection)

        answered = aside.submit(answer)
        limits = HttpLimits(connect=5, read_timeout=read_timeout, chunk_size=limit)
        http = Http(HttpConfig({}, "test/1", limits=limits))
        with http.open(Request("read", "GET", "http://{}:{}/".format(*listener.getsockname()))) as opened:
            yield http, opened
        answered.result()


@contextmanager
def chunks(serve: Callable[[socket.socket], None], **limits: Any) -> Iterator[Iterator[bytes]]:
    """The body of such an answer, as it is handed on."""
    with opening(serve, **limits) as (http, opened):
        yield http.chunks(opened)


def test_many_chunks_that_are_there_are_handed_on_as_few() -> None:
    is_sent: SimpleQueue[None] = SimpleQueue()

    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"".join(chunk(b"line %d\n" % n) for n in range(1000)) + END)
        is_sent.put(None)

    with chunks(serve) as found:
        is_sent.get(timeout=5)
        given = list(found)
    assert b"".join(given) == b"".join(b"line %d\n" % n for n in range(1000))
    assert len(given) < 20


def test_no_chunk_is_much_larger_than_the_limit() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + chunk(b"x" * 1000) * 1000 + END)

    with chunks(serve, limit=10_000) as found:
        given = list(found)
    assert sum(map(len, given)) == 1_000_000
    assert max(map(len, given)) < 20_000


@pytest.mark.parametrize("size", [1, 8_190, 8_192, 65_536, 100_000, 300_000])
def test_chunk_is_handed_on_before_the_next_one_comes(size: int) -> None:
    goes_on: SimpleQueue[None] = SimpleQueue()

    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + chunk(b"x" * size))
        # The next one comes only when this one has been handed on.
        goes_on.get(timeout=5)
        connection.sendall(chunk(b"next") + END)

    with chunks(serve) as found:
        given = 0
        while given < size:
            given += len(next(found))
        goes_on.put(None)
        assert (given, b"".join(found)) == (size, b"next")


class Breaking:
    """A stream whose connection breaks when somebody looks whether there is more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def peek(self, _size: int) -> bytes:
        self._stream.close()
        raise ConnectionResetError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def test_connection_that_breaks_at_the_end_of_a_chunk_is_a_lost_body() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + chunk(b"x" * 100_000))
        connection.recv(1)

    with opening(serve) as (http, opened):
        answer = opened.raw._fp
        answer.fp = Breaking(answer.fp)
        with pytest.raises(TransportError) as lost:
            list(http.chunks(opened))
    assert lost.value.failure is Failure.BODY_LOST


def test_bytes_from_before_the_connection_broke_are_handed_on() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + chunk(b"one\n") + chunk(b"two\n") + b"9\r\nth")

    given: list[bytes] = []
    with chunks(serve) as found, pytest.raises(TransportError, match="connection lost") as caught:
        given.extend(found)
    assert caught.value.failure is Failure.BODY_LOST
    assert b"".join(given).startswith(b"one\ntwo\n")


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", HEAD + END],
    ids=["204", "no length", "no chunk"],
)
def test_answer_without_a_body_is_empty(answer: bytes) -> None:
    with chunks(lambda connection: connection.sendall(answer)) as found:
        assert b"".join(found) == b""


def test_body_that_falls_silent_keeps_what_came() -> None:
    """The reader of a log reads it anew then, from the line that it has."""
    is_over: SimpleQueue[None] = SimpleQueue()

    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + chunk(b"one\n"))
        is_over.get(timeout=5)

    given: list[bytes] = []
    with chunks(serve, read_timeout=0.1) as found:
        with pytest.raises(TransportError) as caught:
            given.extend(found)
        is_over.put(None)
    assert caught.value.failure is Failure.BODY_SILENT
    assert b"".join(given) == b"one\n"
