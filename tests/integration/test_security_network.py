"""No credential goes astray: by a link of a job, a proxy, or what the host's configuration says.

A port that stands for all other origins is open beside the platform. `Stage.run` fails if anybody calls there.
"""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from matatika_simulator import Simulator, constants
from tests.support.clock import FakeClock
from tests.support.peer import Behaviour, Peer, answer, changed
from tests.support.proxy import Proxy
from tests.support.secrecy import check
from tests.support.stage import stage
from tests.support.step import API_KEY, Step
from tests.support.tls import make_certificate

QUICK = {"job": {"runs": "0s"}}
SECRET = re.compile(rb"Authorization: Bearer|simulated-", re.IGNORECASE)
PASSWORD = "a-password-of-the-proxy"


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[Simulator, str]]:
    """A platform with a certificate of its own, and that certificate."""
    certificate, key = make_certificate(tmp_path)
    with Simulator(QUICK, tls=(certificate, key)) as simulator:
        yield simulator, certificate.read_text(encoding="ascii")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


def test_call_to_another_origin_and_a_secret_that_shows_are_noticed(tmp_path: Path) -> None:
    """Else no test of credentials could fail."""
    with stage(tmp_path / "astray", QUICK, timeout="1s") as here:
        here.step.environ["INPUT_API-URL"] = f"{here.peer.elsewhere_url}/api"
        with pytest.raises(AssertionError, match="was_called_elsewhere"):
            here.run()
    with stage(tmp_path / "step", QUICK) as here:
        result = here.run()
    encoded = base64.b64encode(f"Bearer {constants.TOKEN}".encode()).decode()
    for shown in ({"summary": encoded}, {"outputs": {"message": constants.TOKEN}}, {"state": {"job": constants.TOKEN}}):
        with pytest.raises(AssertionError, match=f"a secret shows in the {next(iter(shown))}"):
            check(replace(result, **shown), [constants.TOKEN])


def test_through_a_proxy_everything_stays_encrypted_and_the_proxys_credentials_go_to_it_alone(
    tmp_path: Path, encrypted: tuple[Simulator, str], proxy: Proxy
) -> None:
    """Authorities that the environment names do not stand in the way."""
    simulator, authority = encrypted
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
    address = proxy.url.replace("//", f"//someone:{PASSWORD}@")
    environ = {"HTTPS_PROXY": address, "RUNNER_DEBUG": "1", **dict.fromkeys(names, str(tmp_path / "nowhere.pem"))}
    result = Step(tmp_path / "step", simulator, ca_bundle=authority).run_process(environ)
    check(result, [constants.TOKEN])
    assert result.code == 0
    platform = simulator.url.removeprefix("https://").encode()
    encoded = base64.b64encode(f"someone:{PASSWORD}".encode())
    assert proxy.heard
    for head in proxy.heard:
        assert head.startswith(b"CONNECT " + platform + b" HTTP/1.")
        assert not SECRET.search(head)
        assert b"Proxy-Authorization: Basic " + encoded in head
    assert PASSWORD.encode() not in result.printed + result.summary.encode()


def test_a_certificate_for_another_name_is_not_trusted(
    tmp_path: Path, encrypted: tuple[Simulator, str], proxy: Proxy
) -> None:
    """Not even through a proxy, where the one at the other end of the tunnel could be anybody."""
    simulator, authority = encrypted
    address = simulator.api_url.replace("127.0.0.1", "localhost")
    for name, environ in (("direct", {}), ("proxied", {"HTTPS_PROXY": proxy.url})):
        step = Step(tmp_path / name, simulator, ca_bundle=authority, api_url=address)
        step.environ.update(environ)
        result = step.run(FakeClock())
        assert result.code == 3
        (error,) = result.log.said("error")
        assert "the certificate is for another host: " in error
        assert ".." not in error.partition("More:")[0]
    assert simulator.journal == []
    assert proxy.heard


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


# Forms of an address, one for each relation, that lead to `evil`, or might for a careless reader.
FORMS = [
    ("http://{evil}/x", "//{evil}/x", "HTTP://{evil}/x", "https://{evil}/x"),
    ("http://{here}@{evil}/x", "http:////{evil}/x", "http:/{evil}/x", "http://user:pass@{here}/x"),
    ("http://{evil}\\@{here}/x", "http://{evil}#@{here}/x", "/\\{evil}/x", "http:\\\\{evil}\\x"),
    ("/\t/{evil}/x", " http://{evil}/x", "ht\ntp://{evil}/x", "http://{here}\r\n@{evil}/x"),
    ("http://localhost:{port}/x", "http://127.1:{port}/x", "http://127。0。0。1:{port}/x", "file:///etc/passwd"),
]


def relinked(peer: Peer, forms: tuple[str, ...]) -> Behaviour:
    """Pass the platform's job on with links of those forms."""
    here, evil = (url.removeprefix("http://") for url in (peer.url, peer.elsewhere_url))
    hrefs = (form.format(evil=evil, port=evil.partition(":")[2], here=here) for form in forms)
    names = ("self", "logs", "withdraw job", "delete job")
    links = {name: {"href": href} for name, href in zip(names, hrefs, strict=True)}
    return changed(lambda job: {**job, "_links": links})


# A job that waits for ever and can only be deleted, so that a step needs each of its links in the end.
ENDLESS = {"job": {"queued": "forever"}, "withdrawal": {"queued": 409}}
TO_THE_END = {"timeout": "3s", "logs": "stream"}


@pytest.mark.parametrize("forms", FORMS, ids=ascii)
def test_no_link_leads_to_another_origin(tmp_path: Path, forms: tuple[str, ...]) -> None:
    with stage(tmp_path, ENDLESS, **TO_THE_END) as staged:
        for call in ("trigger", "job"):
            staged.peer.on(call, relinked(staged.peer, forms))
        result = staged.run()
        (job,) = staged.simulator.jobs
        assert {"job", "logs", "withdraw", "delete"} <= {request.call for request in staged.peer.requests}
        assert (result.code, job.deleted) == (4, True)
        assert result.outputs["job-url"] == f"{staged.peer.api_url}/jobs/{job.id}"
        assert staged.peer.elsewhere_url.rpartition(":")[2] not in result.summary


def test_the_key_goes_to_the_token_endpoint_alone_and_the_token_to_the_api_alone(tmp_path: Path) -> None:
    with stage(tmp_path / "identity") as identity, stage(tmp_path / "api", **API_KEY) as api:
        api.step.environ["INPUT_AUTH-URL"] = identity.peer.auth_url
        # The two know nothing of each other: this one grants tokens for the other, which then refuses them.
        granted = {"access_token": "a-token-of-another-service", "token_type": "Bearer", "expires_in": 60}
        identity.peer.on("token", answer(200, json.dumps(granted).encode()))
        result = api.run()
        assert {request.call for request in identity.peer.requests} == {"token"}
        assert all("authorization" not in request.headers for request in identity.peer.requests)
        assert {request.call for request in api.peer.requests} == {"jobs"}
        assert all(constants.CLIENT_SECRET.encode() not in request.body for request in api.peer.requests)
        assert api.peer.bearers() == {"a-token-of-another-service"}
    assert result.code == 3
