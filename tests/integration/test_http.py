"""One exchange on the wire: which connection it takes, whom it trusts, and through which proxy it goes."""

import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

import pytest

from matatika_deploy.errors import PlatformError
from matatika_deploy.platform import http
from matatika_deploy.platform.auth import AccessToken
from matatika_deploy.platform.http import Http, Limits, Request
from matatika_deploy.platform.retry import Fault
from matatika_simulator import Simulator, constants
from tests.support.tls import make_certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def plain() -> Iterator[Simulator]:
    with Simulator({}) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def encrypted(certificate: tuple[Path, Path]) -> Iterator[Simulator]:
    with Simulator({}, tls=certificate) as simulator:
        yield simulator


def client(environ: Mapping[str, str] | None = None, authorities: str | None = None) -> Http:
    return Http(
        environ or {},
        user_agent="test/1",
        authorities=authorities,
        limits=Limits(connect=5, silence=5),
        trace=lambda *_: None,
    )


def workspace(simulator: Simulator) -> Request:
    address = f"{simulator.api_url}/workspaces/{constants.WORKSPACE_ID}"
    return Request("read the workspace", "GET", address, AccessToken(constants.TOKEN))


class TestConnections:
    """They are kept, until they are not to be used again."""

    @pytest.fixture(params=["plain", "encrypted"])
    def service(self, request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> tuple[Http, Simulator]:
        if request.param == "plain":
            return client(), request.getfixturevalue("plain")
        authorities = certificate[0].read_text(encoding="ascii")
        return client(authorities=authorities), request.getfixturevalue("encrypted")

    def test_one_serves_several_exchanges(self, service: tuple[Http, Simulator]) -> None:
        connections, simulator = service
        assert [connections.exchange(workspace(simulator)).status for _ in range(3)] == [200] * 3
        assert len({entry.client for entry in simulator.journal[-3:]}) == 1

    def test_none_is_used_again_after_a_disconnection(self, service: tuple[Http, Simulator]) -> None:
        connections, simulator = service
        for _ in range(3):
            connections.exchange(workspace(simulator))
            connections.disconnect()
        assert len({entry.client for entry in simulator.journal[-3:]}) == 3


class TestTrust:
    """The public authorities, and those that are given."""

    def test_an_authority_that_is_given_is_trusted(self, encrypted: Simulator, certificate: tuple[Path, Path]) -> None:
        authorities = certificate[0].read_text(encoding="ascii")
        assert client(authorities=authorities).exchange(workspace(encrypted)).status == 200

    def test_no_other_is_and_the_error_says_the_way_out(self, encrypted: Simulator) -> None:
        before = len(encrypted.journal)
        with pytest.raises(PlatformError) as caught:
            client().exchange(workspace(encrypted))
        assert "is not trusted" in caught.value.message
        assert "`ca-bundle`" in caught.value.hint
        assert len(encrypted.journal) == before

    @pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_what_the_environment_trusts_does_not_matter(
        self, encrypted: Simulator, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(name, str(certificate[0]))
        with pytest.raises(PlatformError, match="is not trusted"):
            client({name: str(certificate[0])}).exchange(workspace(encrypted))


class TestProxies:
    """They come from the environment of the step, in either case of letters."""

    @pytest.fixture
    def nowhere(self) -> Iterator[str]:
        """A proxy that cannot be reached: whoever goes through it fails."""
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{reserved.getsockname()[1]}"

    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
    def test_are_used(self, plain: Simulator, nowhere: str, name: str) -> None:
        with pytest.raises(Fault, match="proxy") as caught:
            client({name: nowhere}).exchange(workspace(plain))
        assert not caught.value.was_sent

    def test_are_used_for_their_own_scheme_alone(self, plain: Simulator, nowhere: str) -> None:
        assert client({"HTTPS_PROXY": nowhere}).exchange(workspace(plain)).status == 200

    @pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
    @pytest.mark.parametrize("value", ["127.0.0.1", "example.com, 127.0.0.1", "127.0.0.0/8", "*"])
    def test_are_left_out_for_exceptions(self, plain: Simulator, nowhere: str, name: str, value: str) -> None:
        assert client({"HTTP_PROXY": nowhere, name: value}).exchange(workspace(plain)).status == 200

    def test_other_exceptions_do_not_matter(self, plain: Simulator, nowhere: str) -> None:
        with pytest.raises(Fault, match="proxy"):
            client({"HTTP_PROXY": nowhere, "NO_PROXY": "example.com"}).exchange(workspace(plain))

    def test_the_environment_of_this_process_does_not_matter(
        self, plain: Simulator, nowhere: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", nowhere)
        assert client().exchange(workspace(plain)).status == 200

    def test_two_threads_never_look_for_exceptions_at_once(
        self, plain: Simulator, nowhere: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Since `requests` then sets a variable of the process, and takes it away twice."""
        door, nobody = Lock(), Event()
        alone = []

        def bypass(*_: object, **__: object) -> bool:
            alone.append(door.acquire(blocking=False))
            nobody.wait(0.05)
            if alone[-1]:
                door.release()
            return True

        monkeypatch.setattr(http, "should_bypass_proxies", bypass)

        def exchange(connections: Http) -> int:
            return connections.exchange(workspace(plain)).status

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(exchange, [client({"HTTP_PROXY": nowhere}) for _ in range(2)])) == [200, 200]
        assert alone == [True, True]
