"""One exchange on the wire: which connection it takes, what is trusted, which proxy it goes through, what it skips."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
import requests

from matatika_deploy.platform.auth import AccessToken
from matatika_deploy.platform.http import Http, HttpConfig
from matatika_deploy.platform.responses import Failure, Kind, Request, TransportError, classify
from matatika_deploy.runtime.limits import HttpLimits
from matatika_simulator import Simulator, constants
from tests.support.proxy import Proxy
from tests.support.tls import make_certificate

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Serve = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def ca_bundle(certificate: tuple[Path, Path]) -> str:
    return certificate[0].read_text(encoding="ascii")


@pytest.fixture(scope="module")
def plain() -> Iterator[Simulator]:
    with Simulator({}) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def encrypted(certificate: tuple[Path, Path]) -> Iterator[Simulator]:
    with Simulator({}, tls=certificate) as simulator:
        yield simulator


def connect(environ: Mapping[str, str] | None = None, ca_bundle: str | None = None) -> Http:
    return Http(HttpConfig(environ or {}, "test/1", ca_bundle, HttpLimits(connect=5, read_timeout=5)))


def workspace(simulator: Simulator) -> Request:
    url = f"{simulator.api_url}/workspaces/{constants.WORKSPACE_ID}"
    return Request("read the workspace", "GET", url, AccessToken(constants.TOKEN))


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """Serve every connection to a port of this machine, each in a thread, to its end."""
    threads: list[Thread] = []

    def serve_and_close(connection: socket.socket) -> None:
        connection.settimeout(5)
        with suppress(OSError), connection:
            serve(connection)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threads.append(Thread(target=serve_and_close, args=(listener.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = Thread(target=accept, args=(listener,))
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    accepting.join()
    for thread in threads:
        thread.join()


def read_head(connection: socket.socket) -> bytes:
    """Read a request without a body."""
    head = b""
    while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
        head += data
    return head


def answering(*answers: bytes) -> tuple[Serve, list[bytes]]:
    """Answer the requests of each connection in turn; gives the requests too."""
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while head := read_head(connection):
            heard.append(head)
            connection.sendall(answers[min(len(heard), len(answers)) - 1])

    return serve, heard


def fails(http: Http, url: str) -> TransportError:
    with pytest.raises(TransportError) as caught:
        http.exchange(Request("call", "POST", url))
    return caught.value


class TestConnections:
    """They are kept, until they are not to be used again."""

    @pytest.mark.parametrize("service", ["plain", "encrypted"])
    def test_connection_serves_several_exchanges_until_it_is_not_to_be_used_again(
        self, service: str, ca_bundle: str, request: pytest.FixtureRequest
    ) -> None:
        simulator: Simulator = request.getfixturevalue(service)
        http = connect(ca_bundle=ca_bundle if service == "encrypted" else None)
        assert [http.exchange(workspace(simulator)).status for _ in range(3)] == [200] * 3
        assert len({entry.client for entry in simulator.journal[-3:]}) == 1
        http.disconnect()
        http.exchange(workspace(simulator))
        assert len({entry.client for entry in simulator.journal[-4:]}) == 2

    def test_10_s_are_left_to_connect_and_30_s_between_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        patience: list[object] = []

        def send(*_: object, timeout: object, **__: object) -> None:
            patience.append(timeout)
            raise requests.ConnectTimeout

        monkeypatch.setattr(requests.Session, "send", send)
        with pytest.raises(TransportError, match="no connection within 10 s"):
            Http(HttpConfig({}, "x")).open(Request("call", "GET", "http://127.0.0.1:9/"))
        assert patience == [(10.0, 30.0)]

    def test_port_that_nobody_listens_at_is_no_connection(self) -> None:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
            assert fails(connect(), url).failure is Failure.NOT_CONNECTED

    def test_name_that_does_not_exist_is_not_resolved(self) -> None:
        """RFC 6761 reserves `.invalid` for that."""
        found = fails(connect(), "http://app.invalid/")
        assert found.failure is Failure.NAME_NOT_RESOLVED
        assert "app.invalid" in str(found)

    @pytest.mark.parametrize("end", ["closed", "reset"])
    def test_connection_that_is_lost_after_sending_leaves_it_open(self, end: str) -> None:
        def serve(connection: socket.socket) -> None:
            read_head(connection)
            if end == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        with serving(serve) as port:
            assert fails(connect(), f"http://127.0.0.1:{port}/").failure is Failure.CONNECTION_LOST

    def test_answer_that_takes_too_long_in_all_leaves_it_open(self) -> None:
        http = Http(HttpConfig({}, "test/1", limits=HttpLimits(connect=5, read_timeout=5, total=0)))
        with serving(answering(OK)[0]) as port:
            assert fails(http, f"http://127.0.0.1:{port}/").failure is Failure.TOTAL_TIMEOUT
            http.disconnect()

    def test_server_that_says_nothing_leaves_it_open(self) -> None:
        http = Http(HttpConfig({}, "test/1", limits=HttpLimits(connect=5, read_timeout=0.1)))
        with serving(drain) as port:
            assert fails(http, f"http://127.0.0.1:{port}/").failure is Failure.READ_TIMEOUT
            http.disconnect()


class TestInterimAnswers:
    """`100` to `199` are not the answer (RFC 9110, 15.2)."""

    CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
    EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n\r\n"
    PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"

    @pytest.mark.parametrize(
        "interim",
        [b"HTTP/1.0 103\r\n\r\n", CONTINUE * 2 + EARLY_HINTS * 3 + CONTINUE + PROCESSING, EARLY_HINTS * 50],
        ids=["without a reason", "mixed", "many"],
    )
    def test_interim_answers_are_skipped(self, interim: bytes) -> None:
        serve, heard = answering(interim + OK)
        with serving(serve) as port:
            http = connect()
            for _ in range(2):
                response = http.exchange(Request("call", "GET", f"http://127.0.0.1:{port}/"))
                assert (response.status, response.body) == (200, b"{}")
                # The headers of an interim answer are not those of the answer.
                assert "Link" not in response.headers
            http.disconnect()
        assert len(heard) == 2

    @pytest.mark.parametrize(
        ("begin", "again"),
        [(b"", CONTINUE + PROCESSING), (b"HTTP/1.1 103 Early Hints\r\n", b"Link: </a.css>\r\n")],
        ids=["answers", "headers"],
    )
    def test_endless_interim_answers_are_no_answer(self, begin: bytes, again: bytes) -> None:
        def serve(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(begin)
            while True:
                connection.sendall(again * 100)

        with serving(serve) as port, ThreadPoolExecutor(1) as aside:
            failing = aside.submit(fails, connect(), f"http://127.0.0.1:{port}/")
            assert classify(failing.result(timeout=30)).kind is Kind.AMBIGUOUS

    def test_connection_that_is_lost_after_an_interim_answer_leaves_it_open(self) -> None:
        def serve(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(self.EARLY_HINTS)

        with serving(serve) as port:
            assert fails(connect(), f"http://127.0.0.1:{port}/").failure is Failure.CONNECTION_LOST


class TestTrust:
    """The public authorities, and those that are given."""

    def test_only_the_authority_that_is_given_is_trusted(
        self,
        encrypted: Simulator,
        certificate: tuple[Path, Path],
        ca_bundle: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert connect(ca_bundle=ca_bundle).exchange(workspace(encrypted)).status == 200
        before = len(encrypted.journal)
        environ = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"), str(certificate[0]))
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        found = fails(connect(environ), workspace(encrypted).url)
        assert found.failure is Failure.CERTIFICATE_NOT_TRUSTED
        assert "127.0.0.1" in str(found)
        assert len(encrypted.journal) == before

    def test_certificate_for_another_host_is_told_apart(self, encrypted: Simulator, ca_bundle: str) -> None:
        url = workspace(encrypted).url.replace("127.0.0.1", "localhost")
        found = fails(connect(ca_bundle=ca_bundle), url)
        assert found.failure is Failure.WRONG_HOST_NAME
        assert "localhost" in str(found)


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def tls_context(certificate: tuple[Path, Path], version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.minimum_version = context.maximum_version = version
    return context


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


def drain(connection: socket.socket) -> None:
    """Read until the other side is gone: a server that closes earlier resets the connection, and loses its alert."""
    with suppress(OSError):
        while connection.recv(65536):
            pass


class TestTls:
    """What goes wrong before the handshake is over was not sent; afterwards nobody knows."""

    # Handshake failure, unknown authority, and one that says nothing of a handshake.
    @pytest.mark.parametrize("alert", [40, 48, 80])
    def test_alert_in_the_handshake_means_that_nothing_was_sent(self, alert: int) -> None:
        def serve(connection: socket.socket) -> None:
            connection.recv(65536)
            connection.sendall(bytes([21, 3, 3, 0, 2, 2, alert]))
            drain(connection)

        with serving(serve) as port:
            found = fails(connect(), f"https://127.0.0.1:{port}/")
        assert found.failure is Failure.TLS_HANDSHAKE

    @pytest.mark.parametrize(
        "data",
        [b"", b"\x15\x03\x03\x00\x02\x01\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        ids=["nothing", "farewell", "HTTP"],
    )
    def test_server_that_speaks_something_else_was_sent_nothing(self, data: bytes) -> None:
        def serve(connection: socket.socket) -> None:
            connection.recv(65536)
            connection.sendall(data)

        with serving(serve) as port:
            assert classify(fails(connect(), f"https://127.0.0.1:{port}/")).kind is Kind.NOT_EXECUTED

    @VERSIONS
    def test_client_certificate_that_is_demanded_means_that_nothing_was_done(
        self, certificate: tuple[Path, Path], ca_bundle: str, version: ssl.TLSVersion
    ) -> None:
        """From TLS 1.3 on, the alert comes when the request was sent; the server has not read it."""
        context = tls_context(certificate, version)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate[0])
        with serving(lambda connection: shake_hands(connection, context)) as port:
            found = fails(connect(ca_bundle=ca_bundle), f"https://127.0.0.1:{port}/")
        assert found.failure is Failure.TLS_HANDSHAKE

    def test_server_of_an_old_version_was_sent_nothing(self, certificate: tuple[Path, Path], ca_bundle: str) -> None:
        context = tls_context(certificate)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match=r"TLSv1_1 is deprecated"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1

        def serve(connection: socket.socket) -> None:
            with suppress(OSError):
                context.wrap_socket(connection, server_side=True)

        with serving(serve) as port:
            found = fails(connect(ca_bundle=ca_bundle), f"https://127.0.0.1:{port}/")
        assert found.failure is Failure.TLS_HANDSHAKE

    @VERSIONS
    def test_alert_after_the_request_leaves_it_open(
        self, certificate: tuple[Path, Path], ca_bundle: str, version: ssl.TLSVersion
    ) -> None:
        """The request arrives with a wrong byte, which the server answers with `bad_record_mac`."""
        context = tls_context(certificate, version)
        with serving(lambda connection: shake_hands(connection, context, is_broken_later=True)) as port:
            found = fails(connect(ca_bundle=ca_bundle), f"https://127.0.0.1:{port}/")
        assert found.failure is Failure.TLS_LATER
        assert "BAD_RECORD_MAC" in str(found)

    def test_connection_that_is_cut_off_after_the_request_leaves_it_open(
        self, certificate: tuple[Path, Path], ca_bundle: str
    ) -> None:
        context = tls_context(certificate)

        def serve(connection: socket.socket) -> None:
            secure = context.wrap_socket(connection, server_side=True)
            read_head(secure)
            # The connection ends without TLS's own farewell.
            os.close(secure.detach())

        with serving(serve) as port:
            found = fails(connect(ca_bundle=ca_bundle), f"https://127.0.0.1:{port}/")
        assert classify(found).kind is Kind.AMBIGUOUS


class TestProxies:
    """They come from the environment of the step, not from that of this process."""

    @pytest.fixture
    def nowhere(self) -> Iterator[str]:
        """A proxy that cannot be reached: whoever goes through it fails."""
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{reserved.getsockname()[1]}"

    @pytest.mark.parametrize(("name", "end"), [("HTTP_PROXY", ""), ("http_proxy", " \r\n")])
    def test_proxy_is_used(self, plain: Simulator, name: str, end: str) -> None:
        with Proxy() as proxy:
            http = connect({name: f"{proxy.url}{end}"})
            assert http.exchange(workspace(plain)).status == 200
            assert [head.split()[1] for head in proxy.heard] == [workspace(plain).url.encode()]
            http.disconnect()

    def test_proxy_opens_a_tunnel_that_hides_the_token(self, encrypted: Simulator, ca_bundle: str) -> None:
        with Proxy() as proxy:
            http = connect({"HTTPS_PROXY": proxy.url}, ca_bundle)
            assert http.exchange(workspace(encrypted)).status == 200
            (head,) = proxy.heard
            assert head.startswith(b"CONNECT 127.0.0.1:")
            assert constants.TOKEN.encode() not in head
            http.disconnect()

    def test_proxy_that_cannot_be_reached_is_named(self, plain: Simulator, nowhere: str) -> None:
        found = fails(connect({"HTTP_PROXY": nowhere}), workspace(plain).url)
        assert classify(found).kind is Kind.NOT_EXECUTED
        assert nowhere.removeprefix("http://") in str(found)

    def test_proxy_is_used_for_its_own_scheme_alone(self, plain: Simulator, nowhere: str) -> None:
        assert connect({"HTTPS_PROXY": nowhere}).exchange(workspace(plain)).status == 200

    @pytest.mark.parametrize("value", ["example.com, 127.0.0.1", "*"])
    def test_proxy_is_left_out_for_exceptions(self, plain: Simulator, nowhere: str, value: str) -> None:
        assert connect({"HTTP_PROXY": nowhere, "NO_PROXY": value}).exchange(workspace(plain)).status == 200

    def test_environment_of_this_process_does_not_matter(
        self, plain: Simulator, nowhere: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", nowhere)
        monkeypatch.setenv("ALL_PROXY", nowhere)
        assert connect().exchange(workspace(plain)).status == 200

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_proxy_that_refuses_the_password_is_named_without_it(self, scheme: str) -> None:
        serve, heard = answering(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
        )
        with serving(serve) as port:
            http = connect({f"{scheme}_proxy": f"http://user:s3cret@127.0.0.1:{port}"})
            request = Request("call", "POST", f"{scheme}://app.example/")
            try:
                verdict = classify(http.exchange(request))
            except TransportError as error:
                verdict = classify(error)
            http.disconnect()
        assert (verdict.kind, verdict.failure) == (Kind.REJECTED, Failure.PROXY_REFUSED)
        assert "407" in verdict.phrase
        assert "s3cret" not in verdict.phrase
        assert len(heard) == 1
        assert b"Proxy-Authorization: Basic" in heard[0]

    def test_tunnel_that_is_refused_for_now_can_be_tried_again(self) -> None:
        serve, _ = answering(b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n")
        with serving(serve) as port:
            found = fails(connect({"HTTPS_PROXY": f"http://127.0.0.1:{port}"}), "https://app.example/")
        assert found.failure is Failure.PROXY_NOT_CONNECTED
        assert f"127.0.0.1:{port}" in str(found)
        assert "503" in str(found)

    @pytest.mark.parametrize(
        "address",
        [
            *("http://", "http://proxy:port", "http://[::1", "http://pro xy:3128", "proxy..example:3128"),
            *("http://user:12/s3cret@127.0.0.1:3128", "socks5://user:s3cret@127.0.0.1:1080"),
        ],
    )
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_address_that_cannot_be_used_is_told_at_once(self, address: str, scheme: str) -> None:
        found = fails(connect({f"{scheme}_proxy": address}), f"{scheme}://app.example/")
        assert found.failure is Failure.PROXY_INVALID
        assert "s3cret" not in str(found)

    def test_encrypted_proxy_is_trusted_by_the_same_authorities(
        self, encrypted: Simulator, certificate: tuple[Path, Path], ca_bundle: str
    ) -> None:
        with SecureProxy(tls_context(certificate)) as proxy:
            address = proxy.url.replace("http", "https")
            environ = {"HTTP_PROXY": address, "HTTPS_PROXY": address}
            http = connect(environ, ca_bundle)
            assert http.exchange(workspace(encrypted)).status == 200
            assert len(proxy.heard) == 1
            http.disconnect()
            found = fails(connect(environ), workspace(encrypted).url)
            assert found.failure is Failure.CERTIFICATE_NOT_TRUSTED
            assert len(proxy.heard) == 1


class SecureProxy(Proxy):
    """A proxy to which connections are encrypted."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        return self._context.wrap_socket(connection, server_side=True), address


class TestCredentials:
    """They go where they belong, and nothing is kept but connections."""

    COOKIE = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1; Path=/\r\nSet-Cookie: a=b; Domain=127.0.0.1\r\n"

    def test_cookies_are_kept_for_nobody(self) -> None:
        serve, heard = answering(self.COOKIE + b"Content-Length: 2\r\n\r\n{}")
        other_serve, other_heard = answering(OK)
        with serving(serve) as port, serving(other_serve) as other:
            http = connect()
            for number in (port, port, other):
                assert http.exchange(Request("call", "GET", f"http://127.0.0.1:{number}/")).status == 200
            http.disconnect()
        assert (len(heard), len(other_heard)) == (2, 1)
        assert not [head for head in heard + other_heard if b"cookie" in head.lower()]

    @pytest.mark.parametrize(("status", "method"), [(302, "POST"), (308, "GET")])
    def test_redirects_are_not_followed(self, status: int, method: str) -> None:
        other_serve, other_heard = answering(OK)
        with serving(other_serve) as other:
            location = f"http://127.0.0.1:{other}/api"
            serve, heard = answering(
                b"HTTP/1.1 %d -\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, location.encode())
            )
            with serving(serve) as port:
                http = connect()
                response = http.exchange(Request("call", method, f"http://127.0.0.1:{port}/", AccessToken("t0ken")))
                http.disconnect()
        assert (response.status, classify(response).location) == (status, location)
        assert (len(heard), other_heard) == (1, [])

    def test_netrc_replaces_no_token(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n", encoding="ascii")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        serve, heard = answering(OK)
        with serving(serve) as port:
            http = connect()
            http.exchange(Request("call", "GET", f"http://127.0.0.1:{port}/", AccessToken("t0ken")))
            http.exchange(Request("call", "GET", f"http://127.0.0.1:{port}/"))
            http.disconnect()
        assert b"\r\nAuthorization: Bearer t0ken\r\n" in heard[0]
        assert b"Authorization" not in heard[1]


def test_trace_holds_neither_query_nor_header_nor_body() -> None:
    traced: list[tuple[str, str, str]] = []
    serve, _ = answering(OK)
    with serving(serve) as port:
        config = HttpConfig({}, "test/1", trace=lambda *exchange: traced.append(exchange[:3]))
        url = f"http://127.0.0.1:{port}/api/jobs?token=s3cret"
        http = Http(config)
        http.exchange(Request("call", "POST", url, AccessToken("t0ken"), body=b"b0dy"))
        http.disconnect()
    assert traced == [("POST", "/api/jobs", "200")]
