"""Links are followed on the platform's own origin only; all others are replaced by the documented address."""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy.platform import links
from matatika_deploy.platform.job import WITHDRAW, Job, parse_job

ROOT = "https://app.matatika.com/api"
ID = "7127b1d3-a114-4bec-b108-004f374f0b77"
FALLBACK = f"{ROOT}/fallback"


def job(hrefs: Mapping[str, str] = MappingProxyType({})) -> Job:
    return Job(id=ID, status="RUNNING", links=hrefs)


RELATIONS = [
    (links.SELF, f"/jobs/{ID}"),
    (links.LOGS, f"/jobs/{ID}/logs"),
    (WITHDRAW, f"/jobs/{ID}/stopped"),
    (links.DELETE, f"/jobs/{ID}"),
]


@pytest.mark.parametrize(("relation", "documented"), RELATIONS)
class TestEachRelation:
    """The job's four links."""

    def test_link_is_followed(self, relation: str, documented: str) -> None:
        href = "https://app.matatika.com/other/place?sequence=0"
        assert links.address(ROOT, job({relation: href}), relation) == href

    def test_missing_link_is_replaced_by_the_documented_address(self, relation: str, documented: str) -> None:
        assert links.address(ROOT, job(), relation) == ROOT + documented
        assert links.documented(ROOT, job(), relation) == ROOT + documented

    def test_link_that_leads_elsewhere_is_replaced_by_the_documented_address(
        self, relation: str, documented: str
    ) -> None:
        assert links.address(ROOT, job({relation: "https://evil.example/api"}), relation) == ROOT + documented


def test_an_id_cannot_lead_elsewhere_by_itself() -> None:
    found = links.address(ROOT, Job(id="../a?b#c/d e", status="RUNNING"), links.SELF)
    assert found == f"{ROOT}/jobs/..%2Fa%3Fb%23c%2Fd%20e"


class TestLogAddress:
    """The log is read from a line on, whatever the link says."""

    @pytest.mark.parametrize(
        ("href", "expected"),
        [
            ("/api/jobs/1/logs?sequence=0", "/api/jobs/1/logs?sequence=7"),
            ("/api/jobs/1/logs", "/api/jobs/1/logs?sequence=7"),
            ("/api/jobs/1/logs?", "/api/jobs/1/logs?sequence=7"),
            ("/api/jobs/1/logs?a=1&sequence=0&b=", "/api/jobs/1/logs?a=1&b=&sequence=7"),
            ("/api/jobs/1/logs?sequence=0&sequence=5", "/api/jobs/1/logs?sequence=7"),
            ("/api/jobs/1/logs?q=a%20b%26c", "/api/jobs/1/logs?q=a+b%26c&sequence=7"),
            ("/api/jobs/1/logs?sequence=0#end", "/api/jobs/1/logs?sequence=7"),
        ],
    )
    def test_the_line_is_set(self, href: str, expected: str) -> None:
        address = links.address(ROOT, job({links.LOGS: href}), links.LOGS)
        assert links.from_line(address, 7) == f"https://app.matatika.com{expected}"


FOLLOWED = [
    (f"{ROOT}/jobs/1", f"{ROOT}/jobs/1"),
    ("https://app.matatika.com/", "https://app.matatika.com/"),
    ("https://app.matatika.com:443/api/jobs/1", "https://app.matatika.com:443/api/jobs/1"),
    ("HTTPS://APP.Matatika.COM/api/jobs/1", "https://APP.Matatika.COM/api/jobs/1"),
    ("//app.matatika.com/api/jobs/1", f"{ROOT}/jobs/1"),
    ("/api/jobs/1", f"{ROOT}/jobs/1"),
    ("jobs/1", f"{ROOT}/jobs/1"),
    ("./jobs/1", f"{ROOT}/jobs/1"),
    ("../v2/jobs/1", "https://app.matatika.com/v2/jobs/1"),
    ("../../../jobs/1", "https://app.matatika.com/jobs/1"),
    ("?page=1", f"{ROOT}/?page=1"),
    ("/jobs/a:b", "https://app.matatika.com/jobs/a:b"),
]


@pytest.mark.parametrize(("href", "expected"), FOLLOWED)
def test_a_link_on_the_origin_is_followed(href: str, expected: str) -> None:
    assert links.resolve(ROOT, href, FALLBACK) == expected


HOSTILE = [
    "https://evil.example/api/jobs/1",
    "http://app.matatika.com/api/jobs/1",
    "https://app.matatika.com:8443/api/jobs/1",
    "https://app.matatika.com.evil.example/api",
    "https://app.matatika.com@evil.example/api",
    "https://app.matatika.com:443@evil.example/api",
    "https://user@app.matatika.com/api",
    "https://user:pass@app.matatika.com/api",
    "https://@app.matatika.com/api",
    "https://catalog.matatika.com/api",
    "https://matatika.com/api",
    "//evil.example/api",
    "///evil.example/api",
    "////evil.example/api",
    "/\\evil.example/api",
    "\\\\evil.example/api",
    "https:\\\\evil.example",
    "https://evil.example\\@app.matatika.com/api",
    "https:///app.matatika.com/api",
    "https:/app.matatika.com/api",
    "https:app.matatika.com/api",
    "https:jobs/1",
    "http:///x",
    "https://",
    "https://:443/api",
    "https://app.matatika.com:port/api",
    "https://app.matatika.com:99999/api",
    "https://[app.matatika.com/api",
    "https://app.matatika.com%2f@evil.example/",
    "https://app.matatika.com%00.evil.example/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "file:///etc/passwd",
    "ftp://app.matatika.com/api",
    "ws://app.matatika.com/api",
    "mailto:a@app.matatika.com",
    "/api/jobs/1\n",
    "/api/jobs/1\r\nHost: evil.example",
    "/api/\tjobs/1",
    "ht\ntps://evil.example/",
    "/\n/evil.example/",
    " https://app.matatika.com/api",
    "/api/jobs/1 x",
    "/api/jobs/1\x00",
    "/api/jobs/1\x7f",
    "/api/jöbs/1",
    "https://\u0430pp.matatika.com/api",
    "https://app.matatika\u3002com/api",
    "/api/jobs{/id}",
    "",
]


@pytest.mark.parametrize("href", HOSTILE, ids=ascii)
def test_any_other_link_is_replaced(href: str) -> None:
    found = links.resolve(ROOT, href, FALLBACK)
    # Three slashes or more: a path of our own host, or nothing; never another host.
    assert found == FALLBACK or (href.startswith("///") and links.origin(found) == links.origin(ROOT))


def test_no_link_is_replaced() -> None:
    assert links.resolve(ROOT, None, FALLBACK) == FALLBACK


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "accessToken",
        "ACCESS_TOKEN",
        "id_token",
        "api_key",
        "apikey",
        "client_secret",
        "password",
    ],
)
def test_link_with_a_credential_of_its_own_is_replaced(name: str) -> None:
    """It would get into outputs, logs and traces."""
    assert links.resolve(ROOT, f"/api/jobs/1?a=1&{name}=s3cret", FALLBACK) == FALLBACK
    assert links.resolve(ROOT, f"/api/jobs/1?{name}=", FALLBACK) == FALLBACK


@pytest.mark.parametrize("query", ["sequence=0", "tokens=5", "page_token_size=5", "q=token"])
def test_link_with_another_query_is_followed(query: str) -> None:
    assert links.resolve(ROOT, f"/api/jobs/1?{query}", FALLBACK) == f"{ROOT}/jobs/1?{query}"


@pytest.mark.parametrize(
    ("api_url", "origin"),
    [
        ("https://app.matatika.com/api", "https://app.matatika.com"),
        ("https://catalog.matatika.com:443/api", "https://catalog.matatika.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:80/api", "http://localhost"),
        ("https://[::1]:8443/a/b/c", "https://[::1]:8443"),
    ],
)
def test_page_of_a_workspace_is_at_the_origin_of_the_api(api_url: str, origin: str) -> None:
    assert links.workspace_page(api_url, ID) == f"{origin}/workspaces/{ID}"


@pytest.mark.parametrize(
    ("root", "href", "is_followed"),
    [
        ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080/jobs/1", True),
        ("http://127.0.0.1:8080/api", "http://127.0.0.1/jobs/1", False),
        ("http://127.0.0.1:8080/api", "https://127.0.0.1:8080/jobs/1", False),
        ("http://127.0.0.1:8080/api", "http://localhost:8080/jobs/1", False),
        ("http://localhost/api", "http://localhost:80/jobs/1", True),
        ("https://catalog.matatika.com:443/api", "https://catalog.matatika.com/jobs/1", True),
        ("https://[::1]:8443/api", "https://[::1]:8443/jobs/1", True),
        ("https://[::1]:8443/api", "https://[::2]:8443/jobs/1", False),
        ("https://App.Example/api", "https://app.example/jobs/1", True),
    ],
)
def test_the_origin_is_scheme_host_and_port(root: str, href: str, is_followed: bool) -> None:
    assert links.resolve(root, href, "fallback") == (href if is_followed else "fallback")


hosts = st.sampled_from(["app.matatika.com", "evil.example", "[::1]", "user", "443", "80", "api"])
marks = st.sampled_from(["https:", "http:", "javascript:", "//", "..", *"/\\@:?#.%[]é\n\t \0"])


@given(st.lists(hosts | marks, max_size=9).map("".join) | st.text(max_size=40))
@example("http:///x")
@example("//\tevil.example")
def test_no_link_at_all_leads_to_another_origin(href: str) -> None:
    for address in (
        links.resolve(ROOT, href, FALLBACK),
        links.from_line(links.address(ROOT, job({links.LOGS: href}), links.LOGS), 3),
        links.address(ROOT, parse_job({"id": ID, "status": "X", "_links": {"self": {"href": href}}}), links.SELF),
    ):
        parts = urlsplit(address)
        assert (parts.scheme, parts.netloc.lower()) in {
            ("https", "app.matatika.com"),
            ("https", "app.matatika.com:443"),
            ("https", "app.matatika.com:"),
        }
        assert address.isascii()
        assert address.isprintable()
        assert "\\" not in address
        assert " " not in address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example", ("https", "a.example", 443)),
        ("http://a.example/x?y#z", ("http", "a.example", 80)),
        ("https://A.Example:8443", ("https", "a.example", 8443)),
        ("https://a.example:", ("https", "a.example", 443)),
        ("https://[::1]:1", ("https", "::1", 1)),
        ("/x", None),
        ("a.example", None),
        ("https:///x", None),
        ("https://u@a.example", None),
        ("https://a.example:x", None),
        ("ftp://a.example", None),
        ("https://a.example\n", None),
    ],
)
def test_origins(url: str, expected: object) -> None:
    assert links.origin(url) == expected
