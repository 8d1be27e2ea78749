"""The body of an answer as it arrives: what is there is handed on at once, and many small chunks as one large one."""

import socket
import struct
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any

import pytest
import requests

from matatika_deploy.platform.http import Http, HttpConfig
from matatika_deploy.platform.responses import Failure, Request, TransportError
from matatika_deploy.runtime.limits import HttpLimits

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Body:
    """The body of an answer that is on its way."""

    def __init__(
        self, http: Http, opened: requests.Response, may_send: "SimpleQueue[None]", sent: "Future[None]"
    ) -> None:
        self.chunks = http.chunks(opened)
        self.may_send, self.sent = may_send, sent

    def fails(self) -> tuple[Failure, bytes]:
        """How it ends, and what came before."""
        given: list[bytes] = []
        with pytest.raises(TransportError) as caught:
            given.extend(self.chunks)
        return caught.value.failure, b"".join(given)


@contextmanager
def answered(first: bytes, *pieces: bytes, is_reset: bool = False, **limits: Any) -> Iterator[Body]:
    """An answer that is sent in pieces, each but the first when the test says so; then the connection is closed."""
    may_send: SimpleQueue[None] = SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as aside:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(first)
                for piece in pieces:
                    may_send.get(timeout=5)
                    connection.sendall(piece)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", is_reset, 0))

        sent = aside.submit(serve)
        http = Http(HttpConfig({}, "test/1", limits=HttpLimits(**{"connect": 5, "read_timeout": 5, **limits})))
        with http.open(Request("read", "GET", "http://{}:{}/".format(*listener.getsockname()))) as opened:
            yield Body(http, opened, may_send, sent)
            may_send.put(None)
        sent.result()


@pytest.mark.parametrize(("limit", "fewest", "most"), [(1_000_000, 1, 20), (10_000, 8, 20)])
def test_many_chunks_that_are_there_are_handed_on_as_few_none_much_larger_than_the_limit(
    limit: int, fewest: int, most: int
) -> None:
    with answered(HEAD + chunk(b"x" * 99 + b"\n") * 1000 + END, chunk_size=limit) as body:
        given = list(body.chunks)
    assert b"".join(given) == (b"x" * 99 + b"\n") * 1000
    assert fewest <= len(given) < most
    assert max(map(len, given)) < 2 * limit


@pytest.mark.parametrize("size", [1, 8_192, 8_186 - len(HEAD), 65_536, 300_000])
def test_chunk_is_handed_on_before_the_next_one_comes(size: int) -> None:
    with answered(HEAD + chunk(b"x" * size), chunk(b"next") + END) as body:
        given = 0
        while given < size:
            given += len(next(body.chunks))
        body.may_send.put(None)
        assert (given, b"".join(body.chunks)) == (size, b"next")


def test_bytes_from_before_the_connection_broke_or_fell_silent_are_handed_on() -> None:
    """The reader of a log reads it anew then, from the line that it has."""
    with answered(HEAD + chunk(b"one\n") + chunk(b"two\n") + b"9\r\nth") as body:
        failure, given = body.fails()
    assert failure is Failure.BODY_LOST
    assert given.startswith(b"one\ntwo\n")
    with answered(HEAD + chunk(b"one\n"), b"", read_timeout=0.1) as body:
        assert body.fails() == (Failure.BODY_SILENT, b"one\n")
    with answered(HEAD + b"4\r\none\n", is_reset=True) as body:
        # Whoever looks then whether there is more, meets the end of the connection.
        body.sent.result(5)
        assert body.fails() == (Failure.BODY_LOST, b"one\n")


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", HEAD + END],
    ids=["204", "no length", "no chunk"],
)
def test_answer_without_a_body_is_empty(answer: bytes) -> None:
    with answered(answer) as body:
        assert b"".join(body.chunks) == b""
