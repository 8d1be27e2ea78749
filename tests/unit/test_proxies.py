"""Proxies come from the environment of the step, in either case of letters, with the exceptions that people write."""

import pytest

from matatika_deploy.platform import proxies

PROXY = "http://proxy.example:3128"
URL = "https://app.example/api"


def is_excepted(no_proxy: str, url: str) -> bool:
    given = {"https_proxy": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": no_proxy}
    return proxies.for_url(given, url) == {}


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_proxy_is_read_in_either_case_for_its_own_scheme(name: str) -> None:
    assert proxies.for_url({name: PROXY}, URL) == {"https": PROXY}
    assert proxies.for_url({name: PROXY}, "http://app.example/api") == {}


@pytest.mark.parametrize("space", [" ", "\n", "\t", "\r\n", " \n "])
def test_white_space_around_a_variable_is_dropped(space: str) -> None:
    """A variable that was read from a file or a secret ends with a newline."""
    assert proxies.for_url({"HTTPS_PROXY": f"{space}{PROXY}{space}"}, URL) == {"https": PROXY}
    assert proxies.for_url({"HTTPS_PROXY": PROXY, "NO_PROXY": f"{space}app.example{space}"}, URL) == {}
    assert proxies.for_url({"HTTPS_PROXY": space}, URL) == {}


def test_empty_variable_leaves_the_other_spelling() -> None:
    assert proxies.for_url({"https_proxy": "", "HTTPS_PROXY": PROXY}, URL) == {"https": PROXY}


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", URL),
        ("other.example, *", URL),
        ("app.example", URL),
        ("APP.Example", URL),
        ("example", URL),
        (".example", URL),
        ("*.example", URL),
        ("other.example,app.example", URL),
        ("other.example app.example", URL),
        ("other.example\napp.example", URL),
        ("other.example ,\tapp.example", URL),
        ("app.example:443", URL),
        ("*.example:443", URL),
        (".example:8443", "https://app.example:8443/api"),
        ("127.0.0.1", "http://127.0.0.1:8080/api"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/api"),
        ("127.0.0.0/8", "http://127.0.0.1:8080/api"),
        ("10.1.2.3/8", "https://10.9.9.9/api"),
        ("::1", "https://[::1]/api"),
        ("[::1]", "https://[::1]/api"),
        ("[::1]:8443", "https://[::1]:8443/api"),
        ("fd00::/8", "https://[fd12::1]/api"),
        ("localhost", "http://localhost/api"),
    ],
)
def test_exception_leaves_the_proxy_out(no_proxy: str, url: str) -> None:
    assert is_excepted(no_proxy, url)


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", URL),
        (",", URL),
        (".", URL),
        ("other.example", URL),
        ("pp.example", URL),
        ("app.example.evil", URL),
        ("*.app.example.org", URL),
        ("app.example:8443", URL),
        (".example:80", URL),
        ("127.0.0.1:80", "http://127.0.0.1:8080/api"),
        ("10.0.0.0/8", "https://11.0.0.1/api"),
        ("10.0.0.0/8", URL),
        ("10.0.0.0/99", "https://10.0.0.1/api"),
        ("::2", "https://[::1]/api"),
        ("[::1]:443", "https://[::1]:8443/api"),
        ("fd00::/8", "https://10.0.0.1/api"),
    ],
)
def test_any_other_exception_does_not_matter(no_proxy: str, url: str) -> None:
    assert not is_excepted(no_proxy, url)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://proxy.example:3128", "proxy.example:3128"),
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
