"""Proxies come from the environment of the step, in either case of letters, with the exceptions that people write."""

import pytest

from matatika_deploy.platform import proxies

PROXY = "http://proxy.example:3128"
URL = "https://app.example/api"
LOOPBACK = "http://127.0.0.1:8080/api"
IPV6 = "https://[::1]:8443/api"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_proxy_is_read_in_either_case_for_its_own_scheme(name: str) -> None:
    assert proxies.for_url({name: PROXY}, URL) == {"https": PROXY}
    assert proxies.for_url({name: PROXY}, "http://app.example/api") == {}


@pytest.mark.parametrize("space", ["", " ", "\t", "\r\n"], ids=ascii)
def test_white_space_around_a_variable_is_dropped(space: str) -> None:
    """A variable that was read from a file or a secret ends with a newline; an empty one leaves the other spelling."""
    assert proxies.for_url({"HTTPS_PROXY": f"{space}{PROXY}{space}"}, URL) == {"https": PROXY}
    assert proxies.for_url({"HTTPS_PROXY": PROXY, "NO_PROXY": f"{space}app.example{space}"}, URL) == {}
    assert proxies.for_url({"HTTPS_PROXY": space}, URL) == {}
    assert proxies.for_url({"https_proxy": space, "HTTPS_PROXY": PROXY}, URL) == {"https": PROXY}


@pytest.mark.parametrize(
    ("url", "no_proxy", "others"),
    [
        (URL, ["other.example, *"], ["", ",", "."]),
        (URL, ["app.example", "APP.Example", "example"], ["other.example", "pp.example", "app.example.evil"]),
        (URL, [".example", "*.example"], ["*.app.example.org", "10.0.0.0/8"]),
        (URL, ["other.example,app.example", "other.example\napp.example", "other.example ,\tapp.example"], []),
        (URL, ["app.example:443", "*.example:443"], ["app.example:8443", ".example:80"]),
        ("https://app.example:8443/api", [".example:8443"], [".example:443"]),
        (LOOPBACK, ["127.0.0.1", "127.0.0.1:8080", "127.0.0.0/8", "127.1.2.3/8"], ["127.0.0.1:80", "10.0.0.0/8"]),
        (LOOPBACK, [], ["127.0.0.0/99", "fd00::/8"]),
        (IPV6, ["::1", "[::1]", "[::1]:8443", "::/8"], ["::2", "[::1]:443"]),
        ("http://localhost/api", ["localhost"], []),
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
        ("proxy.example:3128", "proxy.example:3128"),
        ("http://user:s3cret@proxy.example:3128/x?y", "proxy.example:3128"),
        ("http://user:s3cret@proxy.example:port", ""),
        ("http://[::1", ""),
        ("", ""),
    ],
)
def test_name_of_a_proxy_holds_no_credential(address: str, name: str) -> None:
    assert proxies.name({"https": address}) == name
    assert proxies.name({}) == ""
