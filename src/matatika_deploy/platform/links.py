"""Which address may be called: the platform's links, held to the origin that the user named.

Credentials go with every call, so a link is used only if it lies on the origin of `api-url` (RFC 6454: scheme, host and
port); any other is replaced by the address that the reference documents. A link is checked before it is resolved, since
`urlsplit` drops tabs and newlines, and resolving turns `http:///x` into an address of our own host.
"""

import re
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from matatika_deploy.platform.job import Job

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\{}]|[^\x00-\x7f]")
_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DEFAULT_PORTS = {"https": 443, "http": 80}

Origin = tuple[str, str, int]


def origin(url: str) -> Origin | None:
    """Give scheme, host and port of a URL, or None if it is no absolute http(s) URL or carries user information."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if _FORBIDDEN.search(url) or "@" in parts.netloc or not parts.hostname or parts.scheme not in _DEFAULT_PORTS:
        return None
    return parts.scheme, parts.hostname, _DEFAULT_PORTS[parts.scheme] if port is None else port


def resolve(api_url: str, href: str | None, fallback: str) -> str:
    """Give the absolute address of a link, or `fallback` if it does not lie on the origin of `api_url`."""
    if href is None or not href or _FORBIDDEN.search(href):
        return fallback
    is_relative = not _HAS_SCHEME.match(href) and not href.startswith("//")
    if not is_relative and origin(f"https:{href}" if href.startswith("//") else href) is None:
        return fallback
    address = urljoin(f"{api_url}/", href)
    return address if origin(address) == origin(api_url) else fallback


def job_address(api_url: str, job: Job) -> str:
    """The job itself (`self`): its status, and its `job-url`."""
    return resolve(api_url, job.links.get("self"), _job(api_url, job))


def log_address(api_url: str, job: Job, sequence: int) -> str:
    """The job's log (`logs`) from line `sequence` on, counted from 0."""
    address = resolve(api_url, job.links.get("logs"), f"{_job(api_url, job)}/logs")
    parts = urlsplit(address)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "sequence"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("sequence", str(sequence))]), fragment=""))


def withdrawal_address(api_url: str, job: Job) -> str:
    """Where the job is withdrawn (`withdraw job`)."""
    return resolve(api_url, job.links.get("withdraw job"), f"{_job(api_url, job)}/stopped")


def deletion_address(api_url: str, job: Job) -> str:
    """Where the job is deleted (`delete job`)."""
    return resolve(api_url, job.links.get("delete job"), _job(api_url, job))


def _job(api_url: str, job: Job) -> str:
    return f"{api_url}/jobs/{quote(job.id, safe='')}"
