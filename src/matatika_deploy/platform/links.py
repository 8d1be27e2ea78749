"""Which address may be called: the platform's links, held to the origin that the user named.

Credentials go with every call, so a link is used only if it lies on the origin of `api-url` (RFC 6454: scheme, host and
port); any other is replaced by the address that the reference documents. A link is checked before it is resolved, since
`urlsplit` drops tabs and newlines, and resolving turns `http:///x` into an address of our own host.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from matatika_deploy.platform.job import WITHDRAW, Job

SELF, LOGS, DELETE = "self", "logs", "delete job"

# What the reference documents, below the job's own address.
_PATHS: Mapping[str, str] = MappingProxyType({SELF: "", LOGS: "/logs", WITHDRAW: "/stopped", DELETE: ""})

# Compiled when the first link is read, which is after the trigger.
_FORBIDDEN = r"[\x00-\x20\x7f\\{}]|[^\x00-\x7f]"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:"
_DEFAULT_PORTS = {"https": 443, "http": 80}
# A link with a credential of its own is no link: it would get into logs, outputs and traces.
_CREDENTIALS = r"(?i)(?:access_?|id_?|refresh_?)?token|api_?key|(?:client_?)?secret|password|authorization"

Origin = tuple[str, str, int]


def origin(url: str) -> Origin | None:
    """Return scheme, host and port of a URL, or None if it is no absolute http(s) URL or carries user information."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if re.search(_FORBIDDEN, url) or "@" in parts.netloc or not parts.hostname or parts.scheme not in _DEFAULT_PORTS:
        return None
    return parts.scheme, parts.hostname, _DEFAULT_PORTS[parts.scheme] if port is None else port


def resolve(api_url: str, href: str | None, fallback: str) -> str:
    """Return the absolute address of a link, or `fallback` if it does not lie on the origin of `api_url`."""
    if href is None or not href or re.search(_FORBIDDEN, href):
        return fallback
    is_relative = not re.match(_SCHEME, href) and not href.startswith("//")
    if not is_relative and origin(f"https:{href}" if href.startswith("//") else href) is None:
        return fallback
    address = urljoin(f"{api_url}/", href)
    if origin(address) != origin(api_url):
        return fallback
    names = (name for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True))
    return fallback if any(re.fullmatch(_CREDENTIALS, name) for name in names) else address


def workspace_page(api_url: str, workspace_id: str) -> str:
    """Return the page on which a person sees the workspace."""
    parts = urlsplit(api_url)
    default_port = f":{_DEFAULT_PORTS[parts.scheme]}"
    return f"{parts.scheme}://{parts.netloc.removesuffix(default_port)}/workspaces/{workspace_id}"


def address(api_url: str, job: Job, relation: str) -> str:
    """Return the address of one of the job's links, or the documented one if the link cannot be used."""
    return resolve(api_url, job.links.get(relation), documented(api_url, job, relation))


def documented(api_url: str, job: Job, relation: str) -> str:
    """Return the address that the reference documents for a relation."""
    return f"{api_url}/jobs/{quote(job.id, safe='')}{_PATHS[relation]}"


def from_line(log_address: str, sequence: int) -> str:
    """Return the address of a log from line `sequence` on, counted from 0."""
    parts = urlsplit(log_address)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "sequence"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("sequence", str(sequence))]), fragment=""))
