"""Everything that can go wrong with one exchange, below HTTP and in it, sorted by what it tells the client."""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from tests.support.peer import Behaviour, Exchange, answer, close, cut_body, drip, raw, reset, silence

_OF_PIPELINES: Final = ("plan", "pipelines", "ready", "earlier-runs", "run", "runs")
CALLS: Final = (
    *("token", "known", "trigger", "webhook", "jobs", "job", "logs", "withdraw", "delete"),
    *_OF_PIPELINES,
)

HTML: Final = b"<!DOCTYPE html><html><body><h1>Bad Gateway</h1></body></html>"

# What the limits of the program are, in seconds, which pass on the test's clock only.
_SILENCE, _TOTAL = 30.0, 60.0


class Kind(StrEnum):
    """What a fault tells whoever asked; the values are for RELIABILITY.md."""

    UNREACHABLE = "not sent"
    LOST = "answer lost"
    SILENT = "no answer in time"
    NONSENSE = "nonsense"
    BUSY = "busy"
    LATER = "busy for years"
    UNAUTHORISED = "`401`"
    REFUSED = "refused"
    IN_FRONT = "refused by something in front"
    MISSING = "`404`"
    CONFLICT = "`409`"
    REDIRECTED = "redirected"
    HARMLESS = "harmless"


Make = Callable[[str], Behaviour]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `make` gives the behaviour of a peer that does it to a call."""

    name: str
    kind: Kind
    make: Make
    calls: tuple[str, ...] = CALLS
    in_steps: bool = False
    """Whether it is tried on whole steps; the others are known by the verdict that they share with such a fault."""
    pause: float | None = None
    """The seconds that the answer asks to wait."""

    def __str__(self) -> str:
        """For the names of tests."""
        return self.name


def _is(behaviour: Behaviour) -> Make:
    return lambda _call: behaviour


def api_error(status: int, message: str = "Something is wrong", **more: Any) -> Behaviour:
    """Answer with the API's own error body."""
    body = {"timestamp": "2023-11-14T22:13:20.000+00:00", "status": status, "error": HTTPStatus(status).phrase}
    return answer(status, json.dumps({**body, "errors": [], "message": message, "path": "/api"}).encode(), **more)


def html(status: int, **more: Any) -> Behaviour:
    """Answer as a gateway does."""
    return answer(status, HTML, content_type="text/html;charset=utf-8", **more)


def _redirect(status: int, location: str | None) -> Make:
    return _is(answer(status, headers={"Location": location} if location else {}))


def _redirect_to_itself(exchange: Exchange) -> None:
    answer(307, headers={"Location": exchange.peer.url + exchange.request.target})(exchange)


def _redirect_elsewhere(exchange: Exchange) -> None:
    answer(308, headers={"Location": exchange.peer.elsewhere_url + exchange.request.target})(exchange)


def _zipped(exchange: Exchange) -> None:
    head, _, body = exchange.platform_answer().partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    data = _unchunked(body) if b"chunked" in head.lower() else body
    headers = {"Content-Encoding": "gzip"}
    answer(status, gzip.compress(data), content_type="text/plain", headers=headers)(exchange)


def _unchunked(body: bytes) -> bytes:
    data = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        data += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return data


def _unknown_status(exchange: Exchange) -> None:
    data = exchange.platform_answer()
    for known, unknown in ((b'"QUEUED"', b'"PAUSED"'), (b'"RUNNING"', b'"FLOATED"'), (b'"COMPLETE"', b'"PONDERED"')):
        data = data.replace(known, unknown)
    exchange.send(data)


def _status(call: str) -> int:
    if call == "run":
        return 201
    return 202 if call in ("trigger", "webhook", "withdraw") else 200


_LISTS: Final = ("jobs", "known", *(call for call in _OF_PIPELINES if call != "run"))
# An object that lacks what the call needs, and one in which that has a type which it never has.
_LACKING: Final[Mapping[str, Any]] = {
    "token": {"token_type": "Bearer"},
    **{call: {"_links": {}} for call in _LISTS},
}
_MISTYPED: Final[Mapping[str, Any]] = {
    "token": {"access_token": 5, "expires_in": "soon"},
    **{call: {"_embedded": {"jobs": {"id": 1}, "pipelines": {"id": 1}}, "page": []} for call in _LISTS},
}
_A_JOB: Final = {"id": "7127b1d3-a114-4bec-b108-004f374f0b77", "status": "RUNNING"}


def _json(value: Any) -> Make:
    return lambda call: answer(_status(call), json.dumps(value).encode())


def _lacking(call: str) -> Behaviour:
    return answer(_status(call), json.dumps(_LACKING.get(call, {"status": "RUNNING"})).encode())


def _mistyped(call: str) -> Behaviour:
    return answer(_status(call), json.dumps(_MISTYPED.get(call, {"id": 5, "status": ["RUNNING"]})).encode())


def _short_length(call: str) -> Behaviour:
    return answer(_status(call), json.dumps(_A_JOB).encode(), headers={"Content-Length": "9"})


def _half(then: Behaviour) -> Make:
    """Half an answer, and then something else."""
    body = json.dumps(_A_JOB).encode()

    def make(call: str) -> Behaviour:
        if call == "logs":
            # What is read of a log is a part of it: it must be the log's own.
            return cut_body(20, then)
        return answer(_status(call), body[:20], headers={"Content-Length": str(len(body))}, then=then)

    return make


def _retry_after(value: str) -> Make:
    return _is(html(429, headers={"Retry-After": value}))


_HALF_A_HEAD = b"HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Ty"
_READ = tuple(call for call in CALLS if call != "logs")
_JOBS_ANSWERED = ("trigger", "webhook", "run")

FAULTS: Final = (
    # `make` is not used: a connection is refused before anybody can misbehave.
    Fault("connection refused", Kind.UNREACHABLE, _is(close), in_steps=True),
    Fault("reset before the answer", Kind.LOST, _is(reset), in_steps=True),
    Fault("closed before the answer", Kind.LOST, _is(close)),
    Fault("reset inside the headers", Kind.LOST, _is(raw(_HALF_A_HEAD, reset))),
    Fault("reset inside the body", Kind.LOST, _half(reset)),
    Fault("silence before the headers", Kind.SILENT, _is(silence(_SILENCE)), in_steps=True),
    Fault("silence inside the body", Kind.SILENT, _half(silence(_SILENCE))),
    Fault("a byte every second", Kind.SILENT, _is(drip(_HALF_A_HEAD * 1000, _TOTAL)), _READ),
    Fault("`408`", Kind.LOST, _is(html(408))),
    Fault("`500`", Kind.LOST, _is(api_error(500))),
    Fault("`502` with HTML", Kind.LOST, _is(html(502)), in_steps=True),
    Fault("`503` with HTML", Kind.LOST, _is(html(503))),
    Fault("`504` with HTML", Kind.LOST, _is(html(504))),
    Fault("`200` with HTML", Kind.LOST, _is(html(200))),
    Fault("too long a `Content-Length`", Kind.LOST, _half(close)),
    Fault(
        "broken gzip",
        Kind.LOST,
        _is(answer(200, b'{"id": "1"}', content_type="text/plain", headers={"Content-Encoding": "gzip"})),
    ),
    Fault("a header of 100 KB", Kind.LOST, _is(answer(200, b"{}", headers={"X-Long": "x" * 100_000}))),
    Fault("50 MB", Kind.LOST, _is(answer(200, b" " * 50_000_000)), _READ),
    Fault("truncated JSON", Kind.NONSENSE, lambda call: answer(_status(call), b'{"id": "71'), _READ, in_steps=True),
    Fault("too short a `Content-Length`", Kind.NONSENSE, _short_length, _READ),
    Fault("a JSON list", Kind.NONSENSE, _json([_A_JOB]), _READ),
    Fault("a JSON string", Kind.NONSENSE, _json("7127b1d3"), _READ),
    Fault("JSON `null`", Kind.NONSENSE, _json(None), _READ),
    Fault("deeply nested JSON", Kind.NONSENSE, lambda call: answer(_status(call), b'{"id":' * 100_000), _READ),
    Fault("JSON without what is needed", Kind.NONSENSE, _lacking, _READ),
    Fault("JSON of wrong types", Kind.NONSENSE, _mistyped, _READ),
    Fault("another job", Kind.NONSENSE, _json({"id": "an-other", "status": "COMPLETE"}), ("job",)),
    Fault("an empty body", Kind.NONSENSE, lambda call: answer(_status(call)), _READ),
    Fault("`425`", Kind.BUSY, _is(html(425))),
    Fault("`429`", Kind.BUSY, _is(html(429))),
    Fault("`429`, `Retry-After` in seconds", Kind.BUSY, _retry_after("3"), pause=3.0, in_steps=True),
    Fault("`429`, `Retry-After` with a date", Kind.BUSY, _retry_after("{date+3}"), pause=3.0),
    Fault("`429`, negative `Retry-After`", Kind.BUSY, _retry_after("-5")),
    Fault("`429`, `Retry-After` that is none", Kind.BUSY, _retry_after("in a while")),
    Fault("`520` of Cloudflare", Kind.LOST, _is(html(520))),
    Fault("`503` of the API", Kind.BUSY, _is(api_error(503, "Try again later"))),
    Fault("`429`, absurd `Retry-After`", Kind.LATER, _retry_after("999999999"), in_steps=True),
    Fault("`401`", Kind.UNAUTHORISED, _is(api_error(401, "The access token is expired or invalid")), in_steps=True),
    Fault("`400`", Kind.REFUSED, _is(api_error(400)), in_steps=True),
    Fault("`422`", Kind.REFUSED, _is(api_error(422))),
    Fault("`405`", Kind.REFUSED, _is(api_error(405))),
    Fault("`403` with a challenge page", Kind.IN_FRONT, _is(html(403)), in_steps=True),
    Fault("`400` with HTML", Kind.IN_FRONT, _is(html(400))),
    Fault("`418` without a body", Kind.IN_FRONT, _is(answer(418))),
    Fault("`404`", Kind.MISSING, _is(api_error(404)), in_steps=True),
    Fault("`409`", Kind.CONFLICT, _is(api_error(409)), in_steps=True),
    Fault("a redirect to the same origin", Kind.REDIRECTED, _redirect(301, "/api/elsewhere")),
    Fault("a redirect to another origin", Kind.REDIRECTED, _is(_redirect_elsewhere), in_steps=True),
    Fault("a redirect to itself", Kind.REDIRECTED, _is(_redirect_to_itself)),
    Fault("a redirect to nowhere", Kind.REDIRECTED, _redirect(302, None)),
    Fault("gzip that nobody asked for", Kind.HARMLESS, _is(_zipped), in_steps=True),
    Fault("an unknown job status", Kind.HARMLESS, _is(_unknown_status), _JOBS_ANSWERED, in_steps=True),
)
