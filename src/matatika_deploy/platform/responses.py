"""What is sent, what comes back, and what that means: `classify` is the one place that decides."""

import json
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from enum import Enum, StrEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple

from requests.auth import AuthBase

#: More of what the platform says is not shown.
LONGEST_MESSAGE = 2000
_MOST_FIELD_ERRORS = 3
# Longer than any step: what is shown of it stays short (seconds).
_LONGEST_RETRY_AFTER = 1e9


class Request(NamedTuple):
    """A call to make. `action` names it for people ("read the job"), `hints` say what to do about a status.

    If nothing is found at `url`, the same is tried at `fallback_url`.
    """

    action: str
    method: str
    url: str
    auth: AuthBase | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None
    hints: Mapping[int, str] = MappingProxyType({})
    fallback_url: str = ""


class Kind(StrEnum):
    """What an exchange means for the call that was made."""

    OK = "done"
    UNAUTHORIZED = "not authorized"
    NOT_EXECUTED = "not executed"
    """Nothing was done: the call can be repeated."""
    AMBIGUOUS = "ambiguous"
    """It may have been done: only a call that is safe to repeat can be repeated."""
    CONFLICT = "conflict"
    REJECTED = "rejected"
    """The answer is no, and would be no again."""


class Failure(Enum):
    """The ways in which an exchange brings no answer that can be read: what each means, and its phrase for people."""

    NAME_NOT_RESOLVED = (Kind.NOT_EXECUTED, "the name {} could not be resolved")
    CONNECT_TIMEOUT = (Kind.NOT_EXECUTED, "no connection within {}")
    NOT_CONNECTED = (Kind.NOT_EXECUTED, "no connection to {}")
    PROXY_NOT_CONNECTED = (Kind.NOT_EXECUTED, "no connection through the proxy {}")
    PROXY_REFUSED = (Kind.REJECTED, "the proxy {} refuses the connection: 407 Proxy Authentication Required")
    PROXY_INVALID = (Kind.REJECTED, "the proxy for {} has an address that cannot be used")
    CERTIFICATE_NOT_TRUSTED = (Kind.REJECTED, "the certificate of {} is not trusted")
    WRONG_HOST_NAME = (Kind.REJECTED, "the certificate is for another host: {}")
    TLS_HANDSHAKE = (Kind.NOT_EXECUTED, "the TLS handshake failed ({})")
    TLS_LATER = (Kind.AMBIGUOUS, "TLS failed after the request was sent ({})")
    READ_TIMEOUT = (Kind.AMBIGUOUS, "no answer within {}")
    TOTAL_TIMEOUT = (Kind.AMBIGUOUS, "no complete answer within {}")
    CONNECTION_LOST = (Kind.AMBIGUOUS, "connection lost before an answer")
    BODY_LOST = (Kind.AMBIGUOUS, "connection lost in the middle of an answer")
    BODY_SILENT = (Kind.AMBIGUOUS, "nothing for {} in the middle of an answer")
    BODY_TOO_LARGE = (Kind.AMBIGUOUS, "an answer of more than {}")

    def __init__(self, kind: Kind, phrase: str) -> None:
        self.kind = kind
        self.phrase = phrase


_STATUS_KINDS: Mapping[int, Kind] = {
    401: Kind.UNAUTHORIZED,
    408: Kind.AMBIGUOUS,
    409: Kind.CONFLICT,
    425: Kind.NOT_EXECUTED,
    429: Kind.NOT_EXECUTED,
}


class TransportError(Exception):
    """An exchange without an answer; `detail` completes the failure's phrase."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        # Without a detail, one blank is enough.
        super().__init__(failure.phrase.format(detail).replace("  ", " "))
        self.failure = failure


class InvalidResponse(ValueError):
    """A body that is not what it should be; the message says what was expected."""


class Response(NamedTuple):
    """An answer, redirects included: they are never followed.

    `sent_at` and `received_at` are seconds since 1970 by this machine's clock: before the connection was made, and
    after the headers had come.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_at: float
    received_at: float

    @property
    def date(self) -> float | None:
        """When the sender answered, by its own clock: whole seconds since 1970."""
        return http_date(self.headers.get("Date"))

    @property
    def phrase(self) -> str:
        """The status for people: "502 Bad Gateway"."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def is_web_page(self) -> bool:
        """Whether this is HTML, which the API never answers with."""
        content_type = self.headers.get("Content-Type", "").strip().lower()
        if content_type:
            return content_type.startswith(("text/html", "application/xhtml")) and self.status != 204
        return self.body.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html"))

    def json(self) -> Any:
        """Parse the body.

        Raises:
            InvalidResponse: if it is not JSON, or nested deeper than any answer of the platform.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise InvalidResponse("expected JSON") from None

    @property
    def error_body(self) -> Mapping[str, Any] | None:
        """The API's own error body: a JSON object with `status`, `message` or `error`. None for any other."""
        try:
            body = self.json()
        except InvalidResponse:
            return None
        is_error = isinstance(body, dict) and not body.keys().isdisjoint(("status", "message", "error"))
        return body if is_error else None


class Verdict(NamedTuple):
    """What an exchange means.

    `phrase` is for people ("502 Bad Gateway"), `message` what the platform says about it, text from elsewhere.
    `retry_after` is what the platform asks to wait, in seconds. `is_from_api` tells the API's own word from that of
    something in front of it, such as a gateway.
    """

    kind: Kind
    phrase: str
    message: str = ""
    retry_after: float | None = None
    status: int | None = None
    failure: Failure | None = None
    is_from_api: bool = False
    is_web_page: bool = False
    location: str = ""

    @property
    def may_be_web_app(self) -> bool:
        """Whether a web server answered that knows nothing of the API, as at an address that lacks `/api`."""
        status = self.status or 0
        return self.is_web_page and (200 <= status < 300 or status in (404, 405))

    def __str__(self) -> str:
        """Phrase and message in one, without saying the same twice: "403 Forbidden: Not permitted"."""
        message = self.message.rstrip(". ")
        phrase = self.phrase.casefold()
        is_new = message.casefold() not in ("", phrase, phrase.partition(" ")[2])
        return f"{self.phrase}: {message}" if is_new else self.phrase


def classify(exchange: Response | TransportError | InvalidResponse) -> Verdict:
    """Decide what the end of an exchange means. Pure, and the only place that knows.

    Arguments:
        exchange: the answer, or why there is none, or why its body cannot be used.
    """
    if isinstance(exchange, TransportError):
        return Verdict(exchange.failure.kind, str(exchange), failure=exchange.failure)
    if isinstance(exchange, InvalidResponse):
        return Verdict(Kind.AMBIGUOUS, f"an answer that cannot be used ({exchange})")
    if 200 <= exchange.status < 300 and not exchange.is_web_page:
        return Verdict(Kind.OK, exchange.phrase, status=exchange.status, is_from_api=True)
    if exchange.status == 407:
        return classify(TransportError(Failure.PROXY_REFUSED, "in front of the platform"))._replace(status=407)
    error = exchange.error_body
    is_ok = 200 <= exchange.status < 300
    return Verdict(
        Kind.AMBIGUOUS if is_ok else _kind_of_status(exchange.status, error),
        "a web page instead of the API's answer" if is_ok else exchange.phrase,
        message=_message(error) if error else "",
        retry_after=_retry_after(exchange),
        status=exchange.status,
        is_from_api=error is not None or exchange.status == 401,
        is_web_page=exchange.is_web_page,
        location=exchange.headers.get("Location", "") if 300 <= exchange.status < 400 else "",
    )


def _kind_of_status(status: int, error: Mapping[str, Any] | None) -> Kind:
    """Decide by the status; `error` is the API's own error body, if it is that."""
    if status == 503 and error and error.get("status") == 503:
        # A gateway in front answers 503 too, after it may have handed the request on: only the API puts it in the body.
        return Kind.NOT_EXECUTED
    return _STATUS_KINDS.get(status, Kind.AMBIGUOUS if status >= 500 else Kind.REJECTED)


def _message(error: Mapping[str, Any]) -> str:
    """Give what an error body says, with the first few of its field errors. `rejectedValue` may be a secret."""
    said = (error.get(name) for name in ("message", "error_description", "error"))
    message = next((text for text in said if isinstance(text, str) and text.strip()), "")
    # As it is, since the credentials in it would not be found once it is on one line.
    return " ".join([message, *_field_errors(error.get("errors"))])[: 2 * LONGEST_MESSAGE].strip()


def _field_errors(errors: object) -> list[str]:
    said = []
    for entry in errors[:_MOST_FIELD_ERRORS] if isinstance(errors, list) else ():
        if isinstance(entry, dict):
            name, message = entry.get("field"), entry.get("message") or entry.get("defaultMessage")
            if isinstance(name, str) and isinstance(message, str):
                said.append(f"({name}: {message})")
    return said


def _retry_after(response: Response) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds, or a date against the answer's own `Date`.

    None for what is neither, and for what asks for no pause at all: then the backoff counts.
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:300]), _LONGEST_RETRY_AFTER) or None
    date, now = http_date(text), response.date or response.received_at
    return min(date - now, _LONGEST_RETRY_AFTER) if date is not None and date > now else None


def http_date(value: str | None) -> float | None:
    """Read an HTTP date as seconds since 1970; None for anything else."""
    try:
        parts = parsedate_tz(value or "")
        return None if parts is None else float(mktime_tz(parts))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
