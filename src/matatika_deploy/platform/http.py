"""One exchange over HTTP: what is sent, what is trusted, how long it may take, and what its failures mean."""

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from select import POLLIN, poll
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict
from requests.utils import should_bypass_proxies
from urllib3.exceptions import HTTPError, LocationParseError, NameResolutionError, NewConnectionError, ReadTimeoutError
from urllib3.util.ssl_ import create_urllib3_context

from matatika_deploy.errors import PlatformError
from matatika_deploy.platform.job import Unreadable
from matatika_deploy.platform.retry import Fault, http_date
from matatika_deploy.text import one_line

# `should_bypass_proxies` sets a variable for a moment, which two threads must not do at once.
_ENVIRONMENT = Lock()

_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: ([1-5]\d\d)\b", re.ASCII)

# What OpenSSL says when a handshake fails before anything of ours was sent.
_HANDSHAKE_FAILURES = frozenset(
    {
        "CERTIFICATE_VERIFY_FAILED",
        "HTTP_REQUEST",
        "NO_PROTOCOLS_AVAILABLE",
        "RECORD_LAYER_FAILURE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_INTERNAL_ERROR",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSV1_UNRECOGNIZED_NAME",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)


class Limits(NamedTuple):
    """The limits of one exchange: times in seconds, sizes in bytes."""

    connect: float = 10.0
    silence: float = 30.0
    total: float = 60.0
    body: int = 8 * 1024 * 1024
    error_body: int = 64 * 1024
    piece: int = 256 * 1024


class Request(NamedTuple):
    """A call to be made: `deed` names it for people ("read the job"), `hints` say what to do about a status."""

    deed: str
    method: str
    address: str
    auth: AuthBase | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None
    hints: Mapping[int, str] = MappingProxyType({})


class Answer(NamedTuple):
    """What came back: a redirect is an answer like any other, and is never followed.

    `sent_at` and `received_at` are seconds since 1970 by the clock of this machine, from before the connection was
    made to after the headers had come.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_at: float
    received_at: float

    @property
    def date(self) -> float | None:
        """When the platform answered, by its own clock: whole seconds since 1970."""
        return http_date(self.headers.get("Date"))

    @property
    def phrase(self) -> str:
        """The status for people: "502 Bad Gateway"."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    def json(self) -> Any:
        """Parse the body.

        Raises:
            Unreadable: if it is no JSON, or nested deeper than any answer of the platform.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Unreadable("expected JSON") from None

    @property
    def message(self) -> str:
        """What the platform says about a failure, or ""; text from elsewhere."""
        try:
            body = self.json()
        except Unreadable:
            return ""
        if not isinstance(body, dict):
            return ""
        said = (body.get(name) for name in ("message", "error_description", "error"))
        message = next((text for text in said if isinstance(text, str) and text.strip()), "")
        return one_line(" ".join([message, *_field_errors(body.get("errors"))]))


class _Session(requests.Session):
    """A session that never follows, or even prepares, a redirect: credentials go to the address that was meant."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


def _trusting(authorities: str) -> ssl.SSLContext:
    """Give a context that trusts further certificate authorities; `requests` adds the public ones."""
    context = create_urllib3_context()
    context.load_verify_locations(cadata=authorities)
    # From Python 3.13 on, certificates must follow RFC 5280 to the letter; private authorities often do not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class _TrustingAdapter(HTTPAdapter):
    """Makes connections, through proxies too, that trust what a context trusts, beside the public authorities."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)


Trace = Callable[[str, str, str, float], None]
"""Told of each exchange: method, path, outcome (a status or a phrase), seconds. Never a header or a body."""


class Http:
    """Exchanges with one service after the other, on connections that are kept while they serve.

    Only what is given here counts: `.netrc`, `REQUESTS_CA_BUNDLE` and their like are ignored, and proxies come from
    `environ`. What refusals repeat of `secrets`, which may grow, is left out of them. Not to be used by two threads at
    once.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        user_agent: str,
        authorities: str | None,
        limits: Limits,
        trace: Trace,
        clock: Callable[[], float] = time.time,
        secrets: Sequence[str] = (),
    ) -> None:
        self.limits = limits
        self._secrets = secrets
        self._environ = environ
        self._user_agent = user_agent
        self._context = _trusting(authorities) if authorities else None
        self._trace = trace
        self._clock = clock
        self.disconnect()

    def disconnect(self) -> None:
        """Use new connections from now on; an exchange that is under way keeps its own."""
        session = _Session()
        session.trust_env = False
        session.headers.clear()
        session.headers.update({"User-Agent": self._user_agent, "Accept": "*/*", "Accept-Encoding": "identity"})
        if self._context:
            # One of its own, since an adapter keeps the connections.
            session.mount("https://", _TrustingAdapter(self._context))
        self._session = session

    def exchange(self, request: Request) -> Answer:
        """Send a request and read the whole answer.

        Raises:
            Fault: if there was no answer, or its body was cut off or too large.
            PlatformError: if the certificate is not trusted.
        """
        end = time.monotonic() + self.limits.total
        sent_at = self._clock()
        with closing(self.open(request)) as response:
            received_at = self._clock()
            is_good = 200 <= response.status_code < 300
            limit = self.limits.body if is_good else self.limits.error_body
            body = bytearray()
            try:
                for piece in self.pieces(response):
                    body += piece
                    if len(body) > limit:
                        if not is_good:
                            break
                        raise Fault(f"an answer of more than {limit // 1024 // 1024} MiB")
                    if time.monotonic() > end:
                        raise Fault(f"no complete answer within {self.limits.total:.0f} s")
            except Fault:
                if is_good:
                    raise
            if is_good:
                return Answer(response.status_code, response.headers, bytes(body), sent_at, received_at)
            text = self._redacted(body[:limit].decode("utf-8", "replace"))
            return Answer(response.status_code, self.headers(response), text.encode(), sent_at, received_at)

    def open(self, request: Request) -> requests.Response:
        """Send a request and give the answer as soon as its headers are there; it must be closed.

        Raises:
            Fault, PlatformError: as `exchange` does.
        """
        begin = time.monotonic()
        outcome = "no answer"
        try:
            response = self._session.request(
                request.method,
                request.address,
                headers=dict(request.headers),
                data=request.body,
                auth=request.auth,
                timeout=(self.limits.connect, self.limits.silence),
                proxies=self._proxies(request.address),
                allow_redirects=False,
                stream=True,
            )
            outcome = str(response.status_code)
            return response
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            fault = self._fault(error, request)
            outcome = fault.message
            raise fault from None
        finally:
            path = urlsplit(request.address).path
            self._trace(request.method, path, outcome, time.monotonic() - begin)

    def pieces(self, response: requests.Response) -> Iterator[bytes]:
        """Give the body as it arrives: in pieces of all that is there, up to a limit or a little more; some are empty.

        Raises:
            Fault: if the connection is lost, or silent for too long (`Silence`). All that came before was given.
        """
        arrivals = poll()
        if not response.raw.closed:
            arrivals.register(response.raw.fileno(), POLLIN)
        # A platform may send chunks of a few lines; what is done with a piece costs little more for a large one.
        gathered: list[bytes] = []
        size = 0
        try:
            for chunk in self._chunks(response):
                gathered.append(chunk)
                size += len(chunk)
                if size >= self.limits.piece or not arrivals.poll(0):
                    yield b"".join(gathered)
                    gathered.clear()
                    size = 0
        except Fault:
            yield b"".join(gathered)
            raise
        yield b"".join(gathered)

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Give the body in pieces of whatever size the connection gives."""
        while True:
            try:
                piece = response.raw.read1(self.limits.piece, decode_content=True)
            except ReadTimeoutError:
                raise Silence(f"nothing for {self.limits.silence:.0f} s") from None
            except (HTTPError, OSError, ValueError):
                raise Fault("connection lost in the middle of an answer") from None
            if not piece:
                return
            yield piece

    def headers(self, response: requests.Response) -> Mapping[str, str]:
        """Give the headers of a refusal, without the credentials that it may repeat."""
        return CaseInsensitiveDict((name, self._redacted(value)) for name, value in response.headers.items())

    def _redacted(self, text: str) -> str:
        """Take credentials out of a refusal that repeats them, plain or as JSON and URLs write them.

        The runner masks them where it knows them again, which escaping and shortening on the way to it prevent.
        """
        for secret in self._secrets:
            for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe="")):
                text = text.replace(form, "***")
        return text

    def _proxies(self, address: str) -> dict[str, str]:
        found = {
            scheme: self._environ.get(f"{scheme}_proxy") or self._environ.get(f"{scheme}_proxy".upper())
            for scheme in ("https", "http")
        }
        proxies = {scheme: proxy for scheme, proxy in found.items() if proxy}
        exceptions = self._environ.get("no_proxy") or self._environ.get("NO_PROXY") or ""
        with _ENVIRONMENT:
            return {} if proxies and should_bypass_proxies(address, no_proxy=exceptions) else proxies

    def _fault(self, error: Exception, request: Request) -> Fault:
        """Say what a failed exchange means; certificates that are not trusted are final."""
        host = urlsplit(request.address).netloc
        reason = getattr(error.args[0] if error.args else None, "reason", None)
        if isinstance(error, requests.exceptions.SSLError):
            cause = _ssl_error(error)
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise PlatformError(
                    f"The certificate of {host} is not trusted ({cause.verify_message}).",
                    "If the platform is behind an authority of your own, give its certificate as `ca-bundle`.",
                )
            name = cause.reason if cause else ""
            return Fault(f"TLS failed ({name or 'no reason given'})", was_sent=name not in _HANDSHAKE_FAILURES)
        if isinstance(
            error, requests.exceptions.InvalidProxyURL | requests.exceptions.InvalidSchema | LocationParseError
        ):
            raise PlatformError(
                f"The proxy for {host} cannot be used: its address is none.",
                "Correct `HTTPS_PROXY`, `HTTP_PROXY` or `NO_PROXY`: a proxy's address is like http://proxy.example.com:3128.",
            )
        if isinstance(error, requests.exceptions.ProxyError):
            refused = _TUNNEL_STATUS.search(str(reason))
            why = f"it answers {refused[1]}" if refused else "no connection"
            return Fault(f"the proxy could not be used: {why}", was_sent=False)
        if isinstance(error, requests.ConnectTimeout):
            return Fault(f"no connection to {host} within {self.limits.connect:.0f} s", was_sent=False)
        if isinstance(reason, NameResolutionError):
            return Fault(f"the name {host} could not be resolved", was_sent=False)
        if isinstance(reason, NewConnectionError):
            return Fault(f"no connection to {host}", was_sent=False)
        if isinstance(error, requests.Timeout):
            return Fault(f"no answer within {self.limits.silence:.0f} s")
        return Fault("connection lost before an answer")


class Silence(Fault):
    """A body that went silent: nothing came for as long as may pass between two bytes."""


def _ssl_error(error: BaseException | None) -> ssl.SSLError | None:
    """Find OpenSSL's own error inside those that wrap it."""
    while error is not None and not isinstance(error, ssl.SSLError):
        inner = [argument for argument in error.args if isinstance(argument, BaseException)]
        error = getattr(error, "reason", None) or (inner[0] if inner else error.__cause__)
    return error


def _field_errors(errors: object) -> list[str]:
    """Give the first few of what the API's error body says about single fields."""
    said = []
    for entry in errors[:3] if isinstance(errors, list) else ():
        if isinstance(entry, dict):
            field_name, message = entry.get("field"), entry.get("message") or entry.get("defaultMessage")
            if isinstance(field_name, str) and isinstance(message, str):
                said.append(f"({field_name}: {message})")
    return said
