"""What the network and the host's configuration can do to a step: proxies, authorities, `.netrc`."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from matatika_simulator import Simulator, constants
from tests.support.clock import FakeClock
from tests.support.peer import answer
from tests.support.proxy import Proxy
from tests.support.secrecy import check
from tests.support.stage import stage
from tests.support.step import API_KEY, Step
from tests.support.tls import make_certificate

QUICK = {"job": {"runs": "0s"}}
SECRET = re.compile(rb"Authorization: Bearer|simulated-", re.IGNORECASE)
PASSWORD = "a-password-of-the-proxy"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def encrypted(certificate: tuple[Path, Path]) -> Iterator[Simulator]:
    with Simulator(QUICK, tls=certificate) as simulator:
        yield simulator


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


def trusting(folder: Path, simulator: Simulator, certificate: tuple[Path, Path], **inputs: str) -> Step:
    return Step(folder, simulator, ca_bundle=certificate[0].read_text(encoding="ascii"), **inputs)


def authorities(path: Path) -> dict[str, str]:
    """Every variable that names authorities to some program."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return {**dict.fromkeys(names, str(path)), "SSL_CERT_DIR": str(path.parent)}


def test_through_a_proxy_everything_stays_encrypted_and_the_proxys_credentials_go_to_it_alone(
    tmp_path: Path, encrypted: Simulator, certificate: tuple[Path, Path], proxy: Proxy
) -> None:
    """Authorities that the environment names do not stand in the way."""
    address = proxy.url.replace("//", f"//someone:{PASSWORD}@")
    environ = {"HTTPS_PROXY": address, "RUNNER_DEBUG": "1", **authorities(tmp_path / "nowhere.pem")}
    result = trusting(tmp_path / "step", encrypted, certificate).run_process(environ)
    check(result, [constants.TOKEN])
    assert result.code == 0
    platform = encrypted.url.removeprefix("https://").encode()
    assert proxy.heard
    assert all(head.startswith(b"CONNECT " + platform + b" HTTP/1.") for head in proxy.heard)
    assert not any(SECRET.search(head) for head in proxy.heard)
    encoded = base64.b64encode(f"someone:{PASSWORD}".encode())
    assert all(b"Proxy-Authorization: Basic " + encoded in head for head in proxy.heard)
    assert PASSWORD.encode() not in result.printed + result.summary.encode()


def test_a_certificate_for_another_name_is_not_trusted(
    tmp_path: Path, encrypted: Simulator, certificate: tuple[Path, Path], proxy: Proxy
) -> None:
    """Not even through a proxy, where the one at the other end of the tunnel could be anybody."""
    before = len(encrypted.journal)
    address = encrypted.api_url.replace("127.0.0.1", "localhost")
    for name, environ in (("direct", {}), ("proxied", {"HTTPS_PROXY": proxy.url})):
        step = trusting(tmp_path / name, encrypted, certificate, api_url=address)
        step.environ.update(environ)
        result = step.run(FakeClock())
        assert result.code == 3
        (error,) = result.log.said("error")
        assert "the certificate is for another host: " in error
        assert ".." not in error.partition("More:")[0]
    assert len(encrypted.journal) == before
    assert proxy.heard


def test_a_proxy_that_is_down_is_named_without_its_credentials(tmp_path: Path) -> None:
    with stage(tmp_path, QUICK, timeout="1m") as staged:
        staged.step.environ["HTTP_PROXY"] = f"http://someone:{PASSWORD}@127.0.0.1:9"
        result = staged.run()
        assert staged.peer.requests == []
    assert result.code == 4
    assert "proxy" in result.log.own
    assert PASSWORD.encode() not in result.printed + result.summary.encode()


def test_a_proxy_that_refuses_the_password_is_asked_once(tmp_path: Path) -> None:
    """More tries than one could lock somebody's account."""
    with stage(tmp_path, verify_source="warn") as staged:
        for call in ("workspace", "jobs", "trigger"):
            staged.peer.on(call, answer(407, b"<html>", content_type="text/html"))
        address = staged.peer.url.removeprefix("http://")
        # A variable that was read from a file ends with a newline.
        staged.step.environ["HTTP_PROXY"] = f"http://someone:{PASSWORD}@{address}\n"
        result = staged.run()
        assert not staged.simulator.jobs
        # What is read side by side may be on its way already.
        assert max(staged.peer.count("workspace"), staged.peer.count("jobs")) == 1
        assert staged.peer.count("trigger") == 0
    assert result.code == 3
    (error,) = result.log.said("error")
    assert f"the proxy {address} refuses the connection: 407" in error
    assert PASSWORD.encode() not in result.printed + result.summary.encode()


def test_a_netrc_and_a_proxy_of_the_process_alone_are_not_used(tmp_path: Path, proxy: Proxy) -> None:
    """Neither for the platform nor for the token endpoint, wherever the file lies."""
    with Simulator(QUICK) as simulator:
        step = Step(tmp_path / "step", simulator, **API_KEY)
        for path in (Path(step.environ["HOME"], ".netrc"), Path(step.environ["HOME"], "_netrc"), tmp_path / "netrc"):
            path.write_text("default login someone password else\n", encoding="ascii")
            path.chmod(0o600)
        environ = {"NETRC": str(tmp_path / "netrc"), "ALL_PROXY": proxy.url}
        assert step.run_process(environ).code == 0
        assert [entry.authorization for entry in simulator.calls("token")] == [None]
        assert {entry.authorization for entry in simulator.journal if entry.call != "token"} == {"Bearer"}
    assert proxy.heard == []
