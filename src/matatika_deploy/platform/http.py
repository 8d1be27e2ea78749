"""One exchange over HTTP: which connection it takes, what is trusted, and how long it may take."""

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPResponse, parse_headers
from select import select
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests import exceptions
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError, NameResolutionError, NewConnectionError, ReadTimeoutError
from urllib3.util.ssl_ import create_urllib3_context

from matatika_deploy.platform import proxies
from matatika_deploy.platform.responses import Failure, Request, Response, TransportError
from matatika_deploy.runtime.limits import HttpLimits

# This pattern and the next are compiled when they are first needed, which is hardly ever.
_TUNNEL_STATUS = r"(?a)Tunnel connection failed: ([1-5]\d\d)\b"
_MOST_INTERIM_ANSWERS = 100

# Alerts that only a handshake has (https://www.rfc-editor.org/rfc/rfc8446#section-6.2). From TLS 1.3 on, a client may
# see one when it has sent its request already, which the server has then not read.
_HANDSHAKE_ALERTS = (
    r"(?:SSLV3|TLSV1|TLSV13)(?:_ALERT)?_(?:"
    r"ACCESS_DENIED|BAD_CERTIFICATE(?:_STATUS_RESPONSE|_HASH_VALUE)?|CERTIFICATE_(?:EXPIRED|REQUIRED|REVOKED|UNKNOWN|"
    r"UNOBTAINABLE)|DECRYPT_ERROR|HANDSHAKE_FAILURE|INAPPROPRIATE_FALLBACK|INSUFFICIENT_SECURITY|MISSING_EXTENSION|"
    r"NO_APPLICATION_PROTOCOL|NO_CERTIFICATE|PROTOCOL_VERSION|UNKNOWN_(?:CA|PSK_IDENTITY)|UNRECOGNIZED_NAME|"
    r"UNSUPPORTED_(?:CERTIFICATE|EXTENSION))"
)

Trace = Callable[[str, str, str, float], None]
"""Told of each exchange: method, path, its end (a status or a phrase), seconds. Never a header or a body."""


class HttpConfig(NamedTuple):
    """What all connections of a step share.

    `environ` names the proxies; `.netrc`, `REQUESTS_CA_BUNDLE` and their like are ignored. `ca_bundle` is PEM text of
    authorities to trust beside the public ones. `now` gives seconds since 1970.
    """

    environ: Mapping[str, str]
    user_agent: str
    ca_bundle: str | None = None
    limits: HttpLimits = HttpLimits()
    trace: Trace = lambda *_: None
    now: Callable[[], float] = time.time


class Http:
    """Exchanges with one service after the other, on connections that are kept. For one thread at a time."""

    def __init__(self, config: HttpConfig) -> None:
        self.limits = config.limits
        self._config = config
        self._context = _trusting(config.ca_bundle) if config.ca_bundle else None
        self.disconnect()

    def disconnect(self) -> None:
        """Use new connections from now on; an exchange in progress keeps its own."""
        session = _Session()
        session.trust_env = False
        session.headers.clear()
        session.headers.update({"User-Agent": self._config.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"})
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Adapter(self._context))
        self._session = session

    def exchange(self, request: Request) -> Response:
        """Send a request and read the whole answer.

        Raises:
            TransportError: if there was no answer, or its body was cut off or too large.
        """
        sent_at = self._config.now()
        with closing(self.open(request)) as opened:
            return self.read(opened, sent_at)

    def read(self, opened: requests.Response, sent_at: float) -> Response:
        """Read the body of an answer whose headers are there.

        Raises:
            TransportError: as `exchange` does.
        """
        received_at = self._config.now()
        end = time.monotonic() + self.limits.total
        is_ok = 200 <= opened.status_code < 300
        limit = self.limits.body if is_ok else self.limits.error_body
        body = bytearray()
        try:
            for chunk in self.chunks(opened):
                body += chunk
                if len(body) > limit:
                    raise TransportError(Failure.BODY_TOO_LARGE, f"{limit // 1024 // 1024} MiB")
                if time.monotonic() > end:
                    raise TransportError(Failure.TOTAL_TIMEOUT, f"{self.limits.total:.0f} s")
        except TransportError:
            # The status of a refusal tells enough, whatever becomes of its body.
            if is_ok:
                raise
        return Response(opened.status_code, opened.headers, bytes(body[:limit]), sent_at, received_at)

    def open(self, request: Request) -> requests.Response:
        """Send a request and return the answer as soon as its headers are there; it must be closed.

        Raises:
            TransportError: if there was no answer.
        """
        begin = time.monotonic()
        end = "no answer"
        try:
            opened = self._session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                data=request.body,
                auth=request.auth,
                timeout=(self.limits.connect, self.limits.read_timeout),
                proxies=proxies.for_url(self._config.environ, request.url),
                allow_redirects=False,
                stream=True,
            )
            end = str(opened.status_code)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            failed = self._transport_error(error, request)
            end = str(failed)
            raise failed from None
        finally:
            self._config.trace(request.method, urlsplit(request.url).path, end, time.monotonic() - begin)
        used = proxies.for_url(self._config.environ, request.url)
        if opened.status_code == 407 and used:
            opened.close()
            raise TransportError(Failure.PROXY_REFUSED, proxies.name(used))
        return opened

    def chunks(self, opened: requests.Response) -> Iterator[bytes]:
        """Yield the body as it arrives: all that is there each time, up to `chunk_size` or a little more.

        Some are empty.

        Raises:
            TransportError: if the connection is lost, or silent for too long. All that came before was yielded.
        """
        # A platform may send chunks of a few lines, and a large one costs little more to handle than a small one.
        gathered: list[bytes] = []
        size = 0
        try:
            for chunk in self._raw_chunks(opened):
                gathered.append(chunk)
                size += len(chunk)
                if size >= self.limits.chunk_size or not _has_more(opened):
                    yield b"".join(gathered)
                    gathered.clear()
                    size = 0
        except TransportError:
            yield b"".join(gathered)
            raise
        yield b"".join(gathered)

    def _raw_chunks(self, opened: requests.Response) -> Iterator[bytes]:
        while True:
            try:
                chunk = opened.raw.read1(self.limits.chunk_size, decode_content=True)
            except ReadTimeoutError:
                raise TransportError(Failure.BODY_SILENT, f"{self.limits.read_timeout:.0f} s") from None
            except (HTTPError, OSError, ValueError):
                raise TransportError(Failure.BODY_LOST) from None
            if not chunk:
                return
            yield chunk

    def _transport_error(self, error: Exception, request: Request) -> TransportError:
        """Say which failure an exception of the HTTP library is."""
        host = urlsplit(request.url).netloc
        causes = _causes(error)
        is_before_request = any(getattr(cause, "is_before_request", False) for cause in causes)
        used = proxies.for_url(self._config.environ, request.url)
        if isinstance(error, exceptions.InvalidProxyURL | LocationParseError) or not proxies.is_usable(used):
            return TransportError(Failure.PROXY_INVALID, host)
        proxy = proxies.name(used)
        if refused := next((found for cause in causes if (found := re.search(_TUNNEL_STATUS, str(cause)))), None):
            if refused[1] == "407":
                return TransportError(Failure.PROXY_REFUSED, proxy)
            return TransportError(Failure.PROXY_NOT_CONNECTED, f"{proxy}: it answers {refused[1]}")
        if tls_error := next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None):
            return _tls_failure(tls_error, host, is_before_request)
        if any(isinstance(cause, NameResolutionError) for cause in causes):
            return TransportError(Failure.NAME_NOT_RESOLVED, proxy or host)
        if isinstance(error, exceptions.ProxyError) and is_before_request:
            return TransportError(Failure.PROXY_NOT_CONNECTED, proxy)
        if isinstance(error, exceptions.ConnectTimeout):
            return TransportError(Failure.CONNECT_TIMEOUT, f"{self.limits.connect:.0f} s to {proxy or host}")
        if is_before_request or any(isinstance(cause, NewConnectionError) for cause in causes):
            return TransportError(Failure.NOT_CONNECTED, proxy or host)
        if isinstance(error, requests.Timeout):
            return TransportError(Failure.READ_TIMEOUT, f"{self.limits.read_timeout:.0f} s")
        return TransportError(Failure.CONNECTION_LOST)


def _has_more(opened: requests.Response) -> bool:
    """Whether more of a body can be read without waiting.

    The end of a chunk is no more: whoever reads it waits for the next one.
    """
    if opened.raw.closed:
        return False
    readable, _, _ = select([opened.raw.fileno()], [], [], 0)
    stream = getattr(getattr(opened.raw, "_fp", None), "fp", None)
    if not readable or stream is None:
        return bool(readable)
    try:
        return bool(stream.peek(1).strip(b"\r\n"))
    except (OSError, ValueError):
        # Whoever reads on meets the same.
        return True


def _tls_failure(error: ssl.SSLError, host: str, is_before_request: bool) -> TransportError:
    if isinstance(error, ssl.SSLCertVerificationError):
        # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
        if error.verify_code in (62, 64):
            return TransportError(Failure.WRONG_HOST_NAME, str(error.verify_message).rstrip("."))
        return TransportError(Failure.CERTIFICATE_NOT_TRUSTED, f"{host} ({error.verify_message})")
    reason = error.reason or "no reason given"
    if is_before_request or re.match(_HANDSHAKE_ALERTS, reason):
        return TransportError(Failure.TLS_HANDSHAKE, reason)
    return TransportError(Failure.TLS_LATER, reason)


def _causes(error: BaseException | None) -> list[BaseException]:
    """List an exception and all that it wraps, as arguments, reasons or causes; at most 20."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < 20:
        cause = waiting.pop(0)
        if cause is None or cause in found:
            continue
        found.append(cause)
        wrapped = [*cause.args, getattr(cause, "reason", None), cause.__cause__]
        waiting += [inner for inner in wrapped if isinstance(inner, BaseException)]
    return found


class _Session(requests.Session):
    """A session that keeps no cookies, and neither follows nor prepares redirects: credentials go where they belong."""

    def __init__(self) -> None:
        super().__init__()
        from http.cookiejar import DefaultCookiePolicy

        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


def _trusting(ca_bundle: str) -> ssl.SSLContext:
    """Make a context that trusts further certificate authorities; `requests` adds the public ones."""
    context = create_urllib3_context()
    context.load_verify_locations(cadata=ca_bundle)
    # From Python 3.13 on, certificates must follow RFC 5280 to the letter; private authorities often do not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class _FinalResponse(HTTPResponse):
    """Skips interim answers, 100 to 199 (RFC 9110, 15.2); `http.client` skips 100 alone, and without an end."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_INTERIM_ANSWERS):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            parse_headers(self.fp)
        raise OSError("too many interim answers")


class _Connecting:
    """Marks whatever goes wrong before a connection stands: nothing of the request was sent then."""

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except Exception as error:
            error.is_before_request = True  # type: ignore[attr-defined]
            raise


class _HTTPConnection(_Connecting, HTTPConnection):
    response_class = _FinalResponse


class _HTTPSConnection(_Connecting, HTTPSConnection):
    response_class = _FinalResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS: Mapping[str, Any] = MappingProxyType({"http": _HTTPPool, "https": _HTTPSPool})


class _Adapter(HTTPAdapter):
    """Makes our kind of connections, which trust what `context` trusts, also on the way to an https proxy."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        if self._context:
            kwargs["ssl_context"] = self._context
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        if self._context:
            kwargs |= {"ssl_context": self._context, "proxy_ssl_context": self._context}
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
