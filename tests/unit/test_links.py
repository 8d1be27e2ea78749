"""Links are followed on the platform's own origin only; all others are replaced by the documented address."""

from urllib.parse import urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from matatika_deploy.platform import links
from matatika_deploy.platform.job import WITHDRAW, Job, parse_job

ORIGIN = "https://app.matatika.com"
ROOT = f"{ORIGIN}/api"
ID = "7127b1d3-a114-4bec-b108-004f374f0b77"
FALLBACK = f"{ROOT}/fallback"


def test_a_link_of_a_job_is_followed_or_replaced_by_the_documented_address() -> None:
    for relation, path in {links.SELF: "", links.LOGS: "/logs", WITHDRAW: "/stopped", links.DELETE: ""}.items():
        documented = f"{ROOT}/jobs/{ID}{path}"
        here = f"{ORIGIN}/other/place?sequence=0"
        for found, address in (
            *(({relation: here}, here), ({relation: "https://evil.example/api"}, documented), ({}, documented)),
        ):
            assert links.address(ROOT, Job(ID, "RUNNING", links=found), relation) == address
    # An id cannot lead elsewhere by itself.
    assert links.address(ROOT, Job("../a?b#c/d e", "RUNNING"), links.SELF) == f"{ROOT}/jobs/..%2Fa%3Fb%23c%2Fd%20e"


def test_a_log_is_read_from_a_line_on_whatever_its_link_says() -> None:
    for query, expected in {
        "": "?sequence=7",
        "?a=1&sequence=0&b=&sequence=5": "?a=1&b=&sequence=7",
        "?q=a%20b%26c": "?q=a+b%26c&sequence=7",
        "?sequence=0#end": "?sequence=7",
    }.items():
        assert links.from_line(f"{ROOT}/jobs/1/logs{query}", 7) == f"{ROOT}/jobs/1/logs{expected}"


IPV6 = "https://[::1]:8443/api"
LOOPBACK = "http://127.0.0.1:8080/api"


def test_a_link_on_the_origin_is_followed() -> None:
    for root, href, expected in (
        (ROOT, f"{ORIGIN}:443/api/jobs/1", f"{ORIGIN}:443/api/jobs/1"),
        (f"{ORIGIN}:443/api", f"{ROOT}/jobs/1", f"{ROOT}/jobs/1"),
        (ROOT, "HTTPS://APP.Matatika.COM/api/jobs/1", "https://APP.Matatika.COM/api/jobs/1"),
        ("https://App.Example/api", "https://app.example/jobs/1", "https://app.example/jobs/1"),
        (ROOT, "//app.matatika.com/api/jobs/1", f"{ROOT}/jobs/1"),
        (ROOT, "/api/jobs/1", f"{ROOT}/jobs/1"),
        (ROOT, "jobs/1", f"{ROOT}/jobs/1"),
        (ROOT, "../../../jobs/1", f"{ORIGIN}/jobs/1"),
        (ROOT, "?page=1", f"{ROOT}/?page=1"),
        (ROOT, "/jobs/a:b", f"{ORIGIN}/jobs/a:b"),
        ("http://localhost/api", "http://localhost:80/jobs/1", "http://localhost:80/jobs/1"),
        (LOOPBACK, "http://127.0.0.1/jobs/1", FALLBACK),
        (LOOPBACK, "https://127.0.0.1:8080/jobs/1", FALLBACK),
        (LOOPBACK, "http://localhost:8080/jobs/1", FALLBACK),
        (IPV6, "https://[::1]:8443/api/jobs/1", "https://[::1]:8443/api/jobs/1"),
        (IPV6, "https://[::2]:8443/api/jobs/1", FALLBACK),
        (ROOT, None, FALLBACK),
    ):
        assert links.resolve(root, href, FALLBACK) == expected


def test_any_other_link_is_replaced() -> None:
    for href in (
        *("https://evil.example/api/jobs/1", "http://app.matatika.com/api/jobs/1", "ftp://app.matatika.com/api", ""),
        *("https://app.matatika.com:8443/api/jobs/1", "https://app.matatika.com.evil.example/api", "https:jobs/1"),
        *(
            "https://app.matatika.com:443@evil.example/api",
            "https://user:pass@app.matatika.com/api",
            "https://:443/api",
        ),
        *("https://@app.matatika.com/api", "//evil.example/api", "///evil.example/api", "/\\evil.example/api"),
        *("https://evil.example\\@app.matatika.com/api", "https:///app.matatika.com/api", "javascript:alert(1)"),
        *("https://app.matatika.com:port/api", "https://app.matatika.com:99999/api", "https://[app.matatika.com/api"),
        *("/api/jobs/1\r\nHost: evil.example", "ht\ntps://evil.example/", "/\n/evil.example/", "/api/jobs/1\x00"),
        *(" https://app.matatika.com/api", "/api/jobs/1\x7f", "/api/jöbs/1", "https://app.matatika\u3002com/api"),
        "/api/jobs{/id}",
    ):
        assert links.resolve(ROOT, href, FALLBACK) == FALLBACK, href


def test_link_with_a_credential_of_its_own_is_replaced() -> None:
    """It would get into outputs, logs and traces."""
    for name in ("token", "accessToken", "ACCESS_TOKEN", "id_token", "api_key", "apikey", "client_secret", "password"):
        for query in (f"a=1&{name}=s3cret", f"{name}="):
            assert links.resolve(ROOT, f"/api/jobs/1?{query}", FALLBACK) == FALLBACK, query
    for query in ("sequence=0", "tokens=5", "page_token_size=5", "q=token"):
        assert links.resolve(ROOT, f"/api/jobs/1?{query}", FALLBACK) == f"{ROOT}/jobs/1?{query}"


hosts = st.sampled_from(["app.matatika.com", "evil.example", "[::1]", "user", "443", "80", "api"])
marks = st.sampled_from(["https:", "http:", "javascript:", "//", "..", *"/\\@:?#.%[]é\n\t \0"])


@given(st.lists(hosts | marks, max_size=9).map("".join) | st.text(max_size=40))
@example("http:///x")
@example("//\tevil.example")
def test_no_link_at_all_leads_to_another_origin(href: str) -> None:
    job = parse_job({"id": ID, "status": "X", "_links": {"self": {"href": href}, "logs": {"href": href}}})
    for address in (
        links.resolve(ROOT, href, FALLBACK),
        links.address(ROOT, job, links.SELF),
        links.from_line(links.address(ROOT, job, links.LOGS), 3),
    ):
        parts = urlsplit(address)
        assert (parts.scheme, parts.netloc.lower().removesuffix("443").removesuffix(":")) == ("https", ORIGIN[8:])
        assert address.isascii()
        assert address.isprintable()
        assert not {*"\\ "} & {*address}


def test_page_of_a_workspace_is_at_the_origin_of_the_api() -> None:
    for origin, api_url in (
        (ORIGIN, f"{ORIGIN}:443/api"),
        ("http://localhost", "http://localhost:80"),
        (IPV6[:-4], IPV6),
    ):
        assert links.workspace_page(api_url, ID) == f"{origin}/workspaces/{ID}"
