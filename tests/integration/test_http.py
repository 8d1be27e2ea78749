"""One exchange on the wire: its connection, what is trusted, proxies, what is skipped, and the body as it arrives."""

import socket
import socketserver
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Semaphore
from typing import Any, NamedTuple

import pytest
import requests

from matatika_deploy.platform.auth import AccessToken
from matatika_deploy.platform.http import Http, HttpConfig
from matatika_deploy.platform.responses import Failure, Kind, Request, TransportError, Verdict, classify
from matatika_deploy.runtime.limits import HttpLimits
from tests.support.proxy import Proxy
from tests.support.server import LoopbackServer
from tests.support.tls import make_certificate

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Environ = Mapping[str, str] | None


class Authority(NamedTuple):
    """What signs itself: a certificate and its key as files, and the certificate as text."""

    files: tuple[Path, Path]
    ca_bundle: str

    def context(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        """That of a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files)
        context.minimum_version = context.maximum_version = version
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    files = make_certificate(tmp_path_factory.mktemp("tls"))
    return Authority(files, files[0].read_text(encoding="ascii"))


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that nobody listens at."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


@contextmanager
def connected(environ: Environ = None, ca_bundle: str | None = None, **limits: float) -> Iterator[Http]:
    """What makes exchanges; its connections are closed in the end."""
    patience = HttpLimits(**{"connect": 5, "read_timeout": 5, **limits})  # type: ignore[arg-type]
    http = Http(HttpConfig(environ or {}, "test/1", ca_bundle, patience))
    yield http
    http.disconnect()


def verdict(url: str, environ: Environ = None, ca_bundle: str | None = None, **limits: float) -> Verdict:
    """What one exchange comes to."""
    with connected(environ, ca_bundle, **limits) as http:
        try:
            return classify(http.exchange(Request("call", "POST", url, AccessToken("t0ken"))))
        except TransportError as error:
            return classify(error)


class Server(LoopbackServer):
    """Answers every request to a port of this machine, or does with each connection what it is told."""

    def __init__(
        self, answer: bytes | Callable[[socket.socket], None] = OK, context: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(socketserver.BaseRequestHandler)
        self._answer, self._context = answer, context
        self.url = f"http{'s' if context else ''}://{self.host}/"
        self.heard: list[list[bytes]] = []
        """The requests of each connection."""

    def finish_request(self, request: Any, client_address: object) -> None:
        request.settimeout(5)
        with suppress(OSError):
            if callable(self._answer):
                self._answer(request)
                return
            with self._context.wrap_socket(request, server_side=True) if self._context else request as connection:
                self.heard.append([])
                while head := connection.recv(65536):
                    self.heard[-1].append(head)
                    connection.sendall(self._answer)


def drain(connection: socket.socket) -> None:
    """Read until the other side is gone: a server that closes earlier resets the connection, and loses its alert."""
    with suppress(OSError):
        while connection.recv(65536):
            pass


def test_connection_serves_several_exchanges_until_it_is_not_to_be_used_again(authority: Authority) -> None:
    with Server(context=authority.context()) as server, connected(ca_bundle=authority.ca_bundle) as http:
        for exchanges in ([1], [2], [3], [3, 1]):
            assert http.exchange(Request("call", "GET", server.url)).status == 200
            assert [len(heard) for heard in server.heard] == exchanges
            if exchanges == [3]:
                http.disconnect()


def test_10_s_are_left_to_connect_and_30_s_between_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[object] = []

    def send(*_: object, timeout: object, **__: object) -> None:
        patience.append(timeout)
        raise requests.ConnectTimeout

    monkeypatch.setattr(requests.Session, "send", send)
    with pytest.raises(TransportError, match="no connection within 10 s"):
        Http(HttpConfig({}, "x")).open(Request("call", "GET", "http://127.0.0.1:9/"))
    assert patience == [(10.0, 30.0)]


def test_host_that_does_not_exist_or_listens_not_is_named(nowhere: str) -> None:
    """RFC 6761 reserves `.invalid` for that."""
    failures = {"app.invalid": Failure.NAME_NOT_RESOLVED, nowhere: Failure.NOT_CONNECTED}
    for host, failure in failures.items():
        found = verdict(f"http://{host}/")
        assert found.failure is failure
        assert host in str(found)


def test_answer_that_takes_too_long_leaves_it_open() -> None:
    with Server() as server:
        assert verdict(server.url, total=0).failure is Failure.TOTAL_TIMEOUT
    with Server(drain) as server:
        assert verdict(server.url, read_timeout=0.1).failure is Failure.READ_TIMEOUT


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"


@pytest.mark.parametrize(
    "interim",
    [b"HTTP/1.0 103\r\n\r\n", CONTINUE * 2 + EARLY_HINTS * 3 + CONTINUE + PROCESSING, EARLY_HINTS * 50],
    ids=["without a reason", "mixed", "many"],
)
def test_interim_answers_are_skipped(interim: bytes) -> None:
    """`100` to `199` are not the answer (RFC 9110, 15.2)."""
    with Server(interim + OK) as server, connected() as http:
        for _ in range(2):
            response = http.exchange(Request("call", "GET", server.url))
            assert (response.status, response.body) == (200, b"{}")
            # The headers of an interim answer are not those of the answer.
            assert "Link" not in response.headers
    assert [len(heard) for heard in server.heard] == [2]


def test_endless_interim_answers_are_no_answer() -> None:
    taken: list[int] = []

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        for number in range(10_000):
            connection.sendall((CONTINUE + PROCESSING) * 100)
            taken.append(number)

    with Server(serve) as server:
        assert verdict(server.url).kind is Kind.AMBIGUOUS
    assert len(taken) < 10_000


def test_only_the_authority_that_is_given_is_trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"), str(authority.files[0]))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with Server(context=authority.context()) as server:
        other = verdict(server.url.replace("127.0.0.1", "localhost"), ca_bundle=authority.ca_bundle)
        found = verdict(server.url, environ)
    assert (other.failure, "localhost" in str(other)) == (Failure.WRONG_HOST_NAME, True)
    assert (found.failure, "127.0.0.1" in str(found)) == (Failure.CERTIFICATE_NOT_TRUSTED, True)
    assert server.heard == []


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def shake_hands(connection: socket.socket, context: ssl.SSLContext, *, is_broken_later: bool = False) -> None:
    """Shake hands in memory, so that an alert goes out on a connection that stays open; maybe break the request."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    is_shaken = False
    with suppress(ssl.SSLError):
        while not is_shaken:
            try:
                server.do_handshake()
                is_shaken = True
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                # A byte at a time, since the request may come in one piece with the end of the handshake.
                incoming.write(connection.recv(1))
        connection.sendall(outgoing.read())
        if is_broken_later:
            request = bytearray(connection.recv(65536))
            request[-1] ^= 1
            incoming.write(request)
            server.read(65536)
    connection.sendall(outgoing.read())
    drain(connection)


# Alerts of a failed handshake, of an unknown authority, and one that says nothing of a handshake; then a farewell.
ALERTS = [bytes([21, 3, 3, 0, 2, 2, alert]) for alert in (40, 48, 80)]
NO_TLS = [b"", b"\x15\x03\x03\x00\x02\x01\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n"]


@pytest.mark.parametrize("data", [*ALERTS, *NO_TLS], ids=ascii)
def test_server_that_says_no_or_something_else_in_the_handshake_was_sent_nothing(data: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(data)
        if data in ALERTS:
            drain(connection)

    with Server(serve) as server:
        found = verdict(f"https://{server.host}/")
    assert found.kind is Kind.NOT_EXECUTED
    assert found.failure is Failure.TLS_HANDSHAKE or data not in ALERTS


@VERSIONS
@pytest.mark.parametrize("is_broken_later", [False, True], ids=["certificate demanded", "broken request"])
def test_alert_of_the_handshake_alone_means_that_nothing_was_done(
    authority: Authority, version: ssl.TLSVersion, is_broken_later: bool
) -> None:
    """From TLS 1.3 on, that of a missing certificate comes when the request was sent; the server has not read it.

    A request that arrives with a wrong byte is answered with `bad_record_mac`.
    """
    context = authority.context(version)
    if not is_broken_later:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.files[0])
    with Server(lambda connection: shake_hands(connection, context, is_broken_later=is_broken_later)) as server:
        found = verdict(f"https://{server.host}/", ca_bundle=authority.ca_bundle)
    assert found.failure is (Failure.TLS_LATER if is_broken_later else Failure.TLS_HANDSHAKE)
    assert ("BAD_RECORD_MAC" in str(found)) == is_broken_later


def test_proxy_of_the_step_alone_is_used_and_its_tunnel_hides_the_token(
    authority: Authority, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        # That is the environment of this process.
        monkeypatch.setenv(name, f"http://{nowhere}")
    with Server() as plain, Server(context=authority.context()) as encrypted, Proxy() as proxy:
        for environ in ({}, {"HTTPS_PROXY": nowhere}, {"HTTP_PROXY": nowhere, "NO_PROXY": "127.0.0.1"}):
            assert verdict(plain.url, environ).kind is Kind.OK
        for server in (plain, encrypted):
            environ = {"http_proxy": proxy.url, "HTTPS_PROXY": proxy.url}
            assert verdict(server.url, environ, authority.ca_bundle).kind is Kind.OK
        request, tunnel = proxy.heard
    assert request.split()[1] == plain.url.encode()
    assert tunnel.startswith(b"CONNECT 127.0.0.1:")
    assert b"t0ken" not in tunnel


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_refuses_the_password_is_named_without_it(scheme: str) -> None:
    with Server(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n") as server:
        found = verdict(f"{scheme}://app.example/", {f"{scheme}_proxy": f"http://user:s3cret@{server.host}"})
    assert (found.kind, found.failure) == (Kind.REJECTED, Failure.PROXY_REFUSED)
    assert f"the proxy {server.host} refuses the connection: 407" in found.phrase
    assert "s3cret" not in found.phrase
    ((head,),) = server.heard
    assert b"Proxy-Authorization: Basic" in head


def test_proxy_that_cannot_be_reached_or_refuses_for_now_can_be_tried_again(nowhere: str) -> None:
    found = verdict("http://app.example/", {"HTTP_PROXY": f"http://user:s3cret@{nowhere}"})
    assert (found.failure, nowhere in str(found), "s3cret" in str(found)) == (Failure.PROXY_NOT_CONNECTED, True, False)
    with Server(b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n") as server:
        found = verdict("https://app.example/", {"HTTPS_PROXY": server.url})
    assert found.failure is Failure.PROXY_NOT_CONNECTED
    assert f"{server.host}: it answers 503" in str(found)


@pytest.mark.parametrize(
    "address",
    [
        *("http://", "http://proxy:port", "http://[::1", "http://pro xy:3128", "proxy..example:3128"),
        *("http://user:12/s3cret@127.0.0.1:3128", "socks5://user:s3cret@127.0.0.1:1080"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_address_of_a_proxy_that_cannot_be_used_is_told_at_once(address: str, scheme: str) -> None:
    found = verdict(f"{scheme}://app.example/", {f"{scheme}_proxy": address})
    assert found.failure is Failure.PROXY_INVALID
    assert "s3cret" not in str(found)


def test_encrypted_proxy_is_trusted_by_the_same_authorities(authority: Authority) -> None:
    class SecureProxy(Proxy):
        def get_request(self) -> tuple[socket.socket, object]:
            connection, address = super().get_request()
            return authority.context().wrap_socket(connection, server_side=True), address

    with SecureProxy() as proxy, Server(context=authority.context()) as server:
        environ = {"HTTPS_PROXY": proxy.url.replace("http", "https")}
        assert verdict(server.url, environ, authority.ca_bundle).kind is Kind.OK
        assert verdict(server.url, environ).failure is Failure.CERTIFICATE_NOT_TRUSTED
        assert len(proxy.heard) == 1


def test_cookies_add_nothing_to_a_request() -> None:
    cookies = b"\r\nSet-Cookie: session=1; Path=/\r\nSet-Cookie: a=b; Domain=127.0.0.1\r\n"
    answer = OK.replace(b"\r\n", cookies, 1)
    with Server(answer) as server, Server(answer) as other, connected() as http:
        for url, auth in ((server.url, AccessToken("t0ken")), (server.url, None), (other.url, None)):
            assert http.exchange(Request("call", "GET", url, auth)).status == 200
    heads = [head for heard in (*server.heard, *other.heard) for head in heard]
    assert [b"\r\nAuthorization: Bearer t0ken\r\n" in head for head in heads] == [True, False, False]
    assert [head.lower().count(b"authorization") for head in heads] == [1, 0, 0]
    assert not [head for head in heads if b"cookie" in head.lower()]


def test_trace_holds_neither_query_nor_header_nor_body() -> None:
    traced: list[tuple[str, str, str]] = []
    with Server() as server:
        http = Http(HttpConfig({}, "test/1", trace=lambda *exchange: traced.append(exchange[:3])))
        http.exchange(Request("call", "POST", f"{server.url}api/jobs?token=s3cret", AccessToken("t0ken"), body=b"b0dy"))
        http.disconnect()
    assert traced == [("POST", "/api/jobs", "200")]


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Body(NamedTuple):
    """A body that is on its way."""

    chunks: Iterator[bytes]
    may_send: Semaphore
    is_sent: Event


@contextmanager
def arriving(first: bytes, *pieces: bytes, is_reset: bool = False, **limits: float) -> Iterator[Body]:
    """An answer that is sent in pieces, each but the first when the test says so; then the connection is closed."""
    may_send, is_sent = Semaphore(0), Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(first)
        for piece in pieces:
            assert may_send.acquire(timeout=5)
            connection.sendall(piece)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", is_reset, 0))
        connection.close()
        is_sent.set()

    with (
        Server(serve) as server,
        connected(None, None, **limits) as http,
        http.open(Request("read", "GET", server.url)) as opened,
    ):
        yield Body(http.chunks(opened), may_send, is_sent)
        may_send.release()


def fails(body: Body) -> tuple[Failure, bytes]:
    """How a body ends, and what came before."""
    given: list[bytes] = []
    with pytest.raises(TransportError) as caught:
        given.extend(body.chunks)
    return caught.value.failure, b"".join(given)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(("limit", "fewest", "most"), [(1_000_000, 1, 20), (10_000, 8, 20)])
def test_many_chunks_that_are_there_are_handed_on_as_few_none_much_larger_than_the_limit(
    limit: int, fewest: int, most: int
) -> None:
    with arriving(HEAD + chunk(b"x" * 99 + b"\n") * 1000 + END, chunk_size=limit) as body:
        given = list(body.chunks)
    assert b"".join(given) == (b"x" * 99 + b"\n") * 1000
    assert fewest <= len(given) < most
    assert max(map(len, given)) < 2 * limit


@pytest.mark.parametrize("size", [1, 8_192, 8_186 - len(HEAD), 65_536, 300_000])
def test_chunk_is_handed_on_before_the_next_one_comes(size: int) -> None:
    with arriving(HEAD + chunk(b"x" * size), chunk(b"next") + END) as body:
        given = 0
        while given < size:
            given += len(next(body.chunks))
        body.may_send.release()
        assert (given, b"".join(body.chunks)) == (size, b"next")


def test_bytes_from_before_the_connection_broke_or_fell_silent_are_handed_on() -> None:
    """The reader of a log reads it anew then, from the line that it has."""
    with arriving(HEAD + chunk(b"one\n") + chunk(b"two\n") + b"9\r\nth") as body:
        failure, given = fails(body)
    assert failure is Failure.BODY_LOST
    assert given.startswith(b"one\ntwo\n")
    with arriving(HEAD + chunk(b"one\n"), b"", read_timeout=0.1) as body:
        assert fails(body) == (Failure.BODY_SILENT, b"one\n")
    with arriving(HEAD + b"4\r\none\n", is_reset=True) as body:
        # Whoever looks then whether there is more, meets the end of the connection.
        assert body.is_sent.wait(5)
        assert fails(body) == (Failure.BODY_LOST, b"one\n")


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", HEAD + END],
    ids=["204", "no length", "no chunk"],
)
def test_answer_without_a_body_is_empty(answer: bytes) -> None:
    with arriving(answer) as body:
        assert b"".join(body.chunks) == b""
