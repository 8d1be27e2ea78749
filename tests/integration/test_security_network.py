"""What the network and the host's configuration can do to a step: proxies, authorities, `.netrc`."""

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from matatika_simulator import Simulator, constants
from tests.support.network import Proxy
from tests.support.secrecy import check
from tests.support.step import Result, Step

QUICK = {"job": {"runs": "0s"}}
SECRET = re.compile(rb"Authorization|Bearer|simulated-", re.IGNORECASE)


class Authority:
    """A certificate authority of somebody's own, and what it has signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = folder / "authority.pem"
        self._key = folder / "authority.key"
        self._make("req", "-x509", *self._new(self._key, "An authority"), "-out", self.certificate)

    def sign(self, name: str) -> tuple[Path, Path]:
        """A certificate for `IP:` and an address, or `DNS:` and a name, and its key."""
        request, certificate, key, extension = (self._folder / f"server.{end}" for end in ("csr", "pem", "key", "cnf"))
        extension.write_text(f"subjectAltName={name}\n", encoding="ascii")
        self._make("req", *self._new(key, "A server"), "-out", request)
        signed = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-extfile", extension)
        self._make("x509", "-req", "-in", request, *signed, "-days", "2", "-out", certificate)
        return certificate, key

    def _new(self, key: Path, name: str) -> tuple[str | Path, ...]:
        algorithm = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        return *algorithm, "-keyout", key, "-subj", f"/CN={name}"

    def _make(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def encrypted(authority: Authority) -> Iterator[Simulator]:
    with Simulator(QUICK, tls=authority.sign("IP:127.0.0.1")) as simulator:
        yield simulator


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


def run(step: Step, **environ: str) -> Result:
    result = step.run(environ)
    check(result, [constants.TOKEN])
    return result


def trusting(folder: Path, simulator: Simulator, authority: Authority) -> Step:
    return Step(folder / "step", simulator, ca_bundle=authority.certificate.read_text(encoding="ascii"))


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_through_a_proxy_everything_stays_encrypted(
    tmp_path: Path, encrypted: Simulator, authority: Authority, proxy: Proxy, name: str
) -> None:
    result = run(trusting(tmp_path, encrypted, authority), **{name: proxy.url})
    assert result.code == 0
    address = encrypted.url.removeprefix("https://").encode()
    assert proxy.heard
    assert all(head.startswith(b"CONNECT " + address + b" HTTP/1.") for head in proxy.heard)
    assert not any(SECRET.search(head) for head in proxy.heard)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_for_http_is_used_for_http(tmp_path: Path, proxy: Proxy, name: str) -> None:
    with Simulator(QUICK) as simulator:
        assert run(Step(tmp_path / "step", simulator), **{name: proxy.url}).code == 0
        assert len(proxy.heard) == len(simulator.journal)
        assert all(f" {simulator.url}/".encode() in head for head in proxy.heard)


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("value", ["127.0.0.1", "localhost,127.0.0.0/8", "*"])
def test_a_proxy_is_not_used_where_it_is_not_wanted(tmp_path: Path, proxy: Proxy, name: str, value: str) -> None:
    with Simulator(QUICK) as simulator:
        step = Step(tmp_path / "step", simulator)
        assert run(step, HTTP_PROXY=proxy.url, HTTPS_PROXY=proxy.url, ALL_PROXY=proxy.url, **{name: value}).code == 0
    assert proxy.heard == []


def test_the_proxys_own_credentials_go_to_the_proxy_alone_and_show_nowhere(
    tmp_path: Path, encrypted: Simulator, authority: Authority, proxy: Proxy
) -> None:
    address = proxy.url.replace("//", "//someone:a-password-of-the-proxy@")
    result = run(trusting(tmp_path, encrypted, authority), HTTPS_PROXY=address, RUNNER_DEBUG="1")
    assert result.code == 0
    encoded = base64.b64encode(b"someone:a-password-of-the-proxy")
    assert all(b"Proxy-Authorization: Basic " + encoded in head for head in proxy.heard)
    assert b"a-password-of-the-proxy" not in result.printed + result.summary.encode()


def test_a_proxy_that_is_down_is_named_without_its_credentials(tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        address = "http://someone:a-password-of-the-proxy@127.0.0.1:9"
        result = run(Step(tmp_path / "step", simulator, timeout="2s"), HTTP_PROXY=address, RUNNER_DEBUG="1")
        assert simulator.journal == []
    assert result.code == 4
    assert "proxy" in result.log.own
    assert b"a-password-of-the-proxy" not in result.printed + result.summary.encode()


def test_an_authority_that_the_environment_names_is_not_trusted(
    tmp_path: Path, encrypted: Simulator, authority: Authority
) -> None:
    """Its path means nothing in the container, and whoever sets a variable is not asked for credentials."""
    path = str(authority.certificate)
    before = len(encrypted.journal)
    result = run(
        Step(tmp_path / "step", encrypted),
        REQUESTS_CA_BUNDLE=path,
        CURL_CA_BUNDLE=path,
        SSL_CERT_FILE=path,
        SSL_CERT_DIR=str(authority.certificate.parent),
    )
    assert result.code == 3
    assert len(encrypted.journal) == before
    (error,) = result.log.said("error")
    assert "is not trusted" in error
    assert "`ca-bundle`" in error


def test_authorities_that_the_environment_names_do_not_stand_in_the_way(
    tmp_path: Path, encrypted: Simulator, authority: Authority
) -> None:
    nowhere = str(tmp_path / "nowhere.pem")
    result = run(
        trusting(tmp_path, encrypted, authority),
        REQUESTS_CA_BUNDLE=nowhere,
        CURL_CA_BUNDLE=nowhere,
        SSL_CERT_FILE=nowhere,
        SSL_CERT_DIR=nowhere,
    )
    assert result.code == 0


def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path, authority: Authority) -> None:
    """Not even through a proxy, where the one at the other end of the tunnel could be anybody."""
    with Simulator(QUICK, tls=authority.sign("DNS:app.example")) as simulator, Proxy() as proxy:
        assert run(trusting(tmp_path / "direct", simulator, authority)).code == 3
        assert run(trusting(tmp_path / "proxied", simulator, authority), HTTPS_PROXY=proxy.url).code == 3
        assert simulator.journal == []
        assert proxy.heard


def test_a_netrc_is_not_read(tmp_path: Path) -> None:
    """Neither for the platform nor for the token endpoint, wherever it lies."""
    key = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
    with Simulator(QUICK) as simulator:
        step = Step(tmp_path / "step", simulator, **key)
        for path in (Path(step.environ["HOME"], ".netrc"), Path(step.environ["HOME"], "_netrc"), tmp_path / "netrc"):
            path.write_text("default login someone password else\n", encoding="ascii")
            path.chmod(0o600)
        assert step.run({"NETRC": str(tmp_path / "netrc")}).code == 0
        assert [entry.authorization for entry in simulator.calls("token")] == [None]
        assert {entry.authorization for entry in simulator.journal if entry.call != "token"} == {"Bearer"}
