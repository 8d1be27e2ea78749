"""Which proxy a request goes through: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in either case.

There is no standard for `NO_PROXY`; this understands what curl, Go and Python do
(https://about.gitlab.com/blog/we-need-to-talk-no-proxy/).
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}


def for_url(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """Return the proxy for a URL by its scheme, as `requests` takes it; empty if there is none."""
    parts = urlsplit(url)
    proxy = _read(environ, f"{parts.scheme}_proxy")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    if not proxy or _is_excepted(_read(environ, "no_proxy"), parts.hostname or "", port):
        return {}
    return {parts.scheme: proxy}


def is_usable(proxy: Mapping[str, str]) -> bool:
    """Whether the address of a proxy, if there is one, can be read and has a scheme that is supported."""
    for address in proxy.values():
        try:
            parts = urlsplit(address if "://" in address else f"//{address}", "http")
            is_read = bool(parts.hostname) and (parts.port or 80) > 0
        except ValueError:
            return False
        # A password with `/`, `?` or `#` in it ends what counts as the host: its beginning would be shown as that.
        is_cut = "@" in f"{parts.path}{parts.query}{parts.fragment}"
        if not is_read or is_cut or parts.scheme not in _DEFAULT_PORTS or " " in parts.netloc:
            return False
    return True


def name(proxy: Mapping[str, str]) -> str:
    """Return host and port of a proxy, without the credentials that its address may hold; "" for none."""
    address = next(iter(proxy.values()), "")
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
    except ValueError:
        return ""


def _read(environ: Mapping[str, str], variable: str) -> str:
    return environ.get(variable, "").strip() or environ.get(variable.upper(), "").strip()


def _is_excepted(exceptions: str, host: str, port: int) -> bool:
    """Whether `NO_PROXY` has the host: by name, by `.suffix` or `*.suffix`, by address or network, each with a port."""
    for entry in exceptions.replace(",", " ").split():
        pattern, _, wanted_port = entry.rpartition(":") if _has_port(entry) else (entry, "", "")
        if wanted_port and wanted_port != str(port):
            continue
        pattern = pattern.strip("[]").removeprefix("*.").lstrip(".").lower()
        if pattern and (pattern in ("*", host) or host.endswith(f".{pattern}") or _is_in_network(host, pattern)):
            return True
    return False


def _has_port(entry: str) -> bool:
    """Whether an entry ends with a port; the colons of a bare IPv6 address are none."""
    head, _, port = entry.rpartition(":")
    return port.isdigit() and (":" not in head or head.endswith("]"))


def _is_in_network(host: str, network: str) -> bool:
    if "/" not in network:
        return False
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
