"""The body of an answer as it arrives: what is there is given at once, and many small chunks as one large piece."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import pytest

from matatika_deploy.platform.http import Http, Limits, Request
from matatika_deploy.platform.retry import Fault

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def pieces(serve: Callable[[socket.socket], None], limit: int = 1_000_000) -> Iterator[Iterator[bytes]]:
    """The pieces of the answer that `serve` gives on the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as aside:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                serve(connection)

        answered = aside.submit(answer)
        limits = Limits(connect=5, silence=5, piece=limit)
        http = Http({}, user_agent="test/1", authorities=None, limits=limits, trace=lambda *_: None)
        address = "http://{}:{}/".format(*listener.getsockname())
        with http.open(Request("read", "GET", address)) as response:
            yield http.pieces(response)
        answered.result()


def test_many_chunks_that_are_there_are_few_pieces() -> None:
    is_sent: SimpleQueue[None] = SimpleQueue()

    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"".join(chunk(b"line %d\n" % n) for n in range(1000)) + END)
        is_sent.put(None)

    with pieces(serve) as found:
        is_sent.get(timeout=5)
        given = list(found)
    assert b"".join(given) == b"".join(b"line %d\n" % n for n in range(1000))
    assert len(given) < 20


def test_a_piece_is_not_much_larger_than_the_limit() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + chunk(b"x" * 1000) * 1000 + END)

    with pieces(serve, limit=10_000) as found:
        given = list(found)
    assert sum(map(len, given)) == 1_000_000
    assert max(map(len, given)) < 20_000


def test_what_is_there_is_given_while_more_may_come() -> None:
    goes_on: SimpleQueue[None] = SimpleQueue()

    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + chunk(b"one\n"))
        goes_on.get(timeout=5)
        connection.sendall(chunk(b"two\n") + END)

    with pieces(serve) as found:
        assert next(found) == b"one\n"
        goes_on.put(None)
        assert b"".join(found) == b"two\n"


def test_what_came_before_the_connection_broke_is_given() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD + chunk(b"one\n") + chunk(b"two\n") + b"9\r\nth")

    given: list[bytes] = []
    with pieces(serve) as found, pytest.raises(Fault, match="connection lost"):
        given.extend(found)
    assert b"".join(given).startswith(b"one\ntwo\n")


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", HEAD + END],
    ids=["204", "no length", "no chunk"],
)
def test_no_body_is_nothing(answer: bytes) -> None:
    with pieces(lambda connection: connection.sendall(answer)) as found:
        assert b"".join(found) == b""
