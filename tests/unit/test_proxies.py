"""Proxies come from the environment of the step, in either case of letters, with the exceptions that people write."""

import pytest

from matatika_deploy.platform import proxies

PROXY = "http://proxy.example:3128"
URL = "https://app.example/api"
LOOPBACK = "http://127.0.0.1:8080/api"
IPV6 = "https://[::1]:8443/api"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("space", ["", " ", "\t", "\r\n"], ids=ascii)
def test_proxy_is_read_in_either_case_for_its_own_scheme_without_white_space(name: str, space: str) -> None:
    """A variable that was read from a file or a secret ends with a newline; an empty one leaves the other spelling."""
    environ = {"https_proxy": space, "HTTPS_PROXY": space, name: f"{space}{PROXY}{space}"}
    assert proxies.for_url(environ, URL) == {"https": PROXY}
    assert proxies.for_url(environ, "http://app.example/api") == {}
    assert proxies.for_url({name: space}, URL) == {}
    assert proxies.for_url({**environ, "NO_PROXY": f"{space}app.example{space}"}, URL) == {}


@pytest.mark.parametrize(
    ("url", "no_proxy", "others"),
    [
        (URL, ["other.example, *"], ["", ",", "."]),
        (URL, ["APP.Example", "example"], ["other.example", "pp.example", "app.example.evil"]),
        (URL, [".example", "*.example"], ["*.app.example.org", "10.0.0.0/8"]),
        (URL, ["other.example\napp.example", "other.example ,\tapp.example"], []),
        (URL, ["*.example:443"], ["app.example:8443", ".example:80"]),
        (LOOPBACK, ["127.0.0.1:8080", "127.0.0.0/8", "127.1.2.3/8"], ["127.0.0.1:80", "10.0.0.0/8"]),
        (LOOPBACK, [], ["127.0.0.0/99", "fd00::/8"]),
        (IPV6, ["::1", "[::1]", "[::1]:8443", "::/8"], ["::2", "[::1]:443"]),
    ],
)
def test_exceptions_leave_the_proxy_out(url: str, no_proxy: list[str], others: list[str]) -> None:
    def is_excepted(exceptions: str) -> bool:
        return not proxies.for_url({"https_proxy": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": exceptions}, url)

    assert [exceptions for exceptions in no_proxy if not is_excepted(exceptions)] == []
    assert [exceptions for exceptions in others if is_excepted(exceptions)] == []


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://proxy.example", "proxy.example"),
        ("http://user:s3cret@proxy.example:3128/x?y", "proxy.example:3128"),
        ("http://user:s3cret@proxy.example:port", ""),
        ("http://[::1", ""),
    ],
)
def test_name_of_a_proxy_holds_no_credential(address: str, name: str) -> None:
    assert proxies.name({"https": address}) == name
    assert proxies.name({}) == ""
