"""Everything that can go wrong with one exchange, below HTTP and in it, sorted by what it tells the client."""

import gzip
import json
import re
import time
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from tests.support.peer import Behaviour, Exchange, answer, close, raw, reset, silence

HTML: Final = b"<!DOCTYPE html><html><body><h1>Bad Gateway</h1></body></html>"

SAID: Final = "Something is wrong"
"""The message of the API's refusals."""


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


class Fault(NamedTuple):
    """One thing that goes wrong, as the behaviour of a peer that does it.

    Those that are `in_steps` are tried on whole steps; the others are known to mean the same. `calls` are those that it
    can happen to, if not all, `but` those for which it is no fault; `pause` are the seconds that it asks to wait.
    """

    name: str
    kind: Kind
    behaviour: Behaviour
    in_steps: bool = False
    calls: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    pause: float | None = None

    def __str__(self) -> str:
        """For the names of tests."""
        return self.name

    def can_happen_to(self, call: str) -> bool:
        """Whether a call can meet it in a step."""
        return self.in_steps and call not in self.but and (not self.calls or call in self.calls)


def api_error(status: int, message: str = SAID, **more: Any) -> Behaviour:
    """Answer with the API's own error body."""
    body = {"timestamp": "2023-11-14T22:13:20.000+00:00", "status": status, "error": HTTPStatus(status).phrase}
    return answer(status, json.dumps({**body, "errors": [], "message": message, "path": "/api"}).encode(), **more)


def html(status: int, **more: Any) -> Behaviour:
    """Answer as a gateway does."""
    return answer(status, HTML, content_type="text/html;charset=utf-8", **more)


def _of_json(value: Any) -> Behaviour:
    return answer(200, json.dumps(value).encode())


def _half(then: Behaviour) -> Behaviour:
    """Half an answer, and then something else."""
    return answer(200, json.dumps(_A_JOB).encode()[:20], headers={"Content-Length": "99"}, then=then)


def _retry_after(value: str) -> Behaviour:
    return html(429, headers={"Retry-After": value})


def _drip(exchange: Exchange) -> None:
    """Send a byte every second of the clock until the client has enough."""
    while exchange.send(b"x"):
        exchange.peer.clock.advance(1)
        time.sleep(0.02)


def _redirect_to_itself(exchange: Exchange) -> None:
    answer(307, headers={"Location": exchange.peer.url + exchange.request.target})(exchange)


def _redirect_elsewhere(exchange: Exchange) -> None:
    answer(308, headers={"Location": exchange.peer.elsewhere_url + exchange.request.target})(exchange)


def _zipped(exchange: Exchange) -> None:
    head, _, body = exchange.platform_answer().partition(b"\r\n\r\n")
    data = unchunked(body) if b"chunked" in head.lower() else body
    headers = {"Content-Encoding": "gzip"}
    answer(int(head.split(b" ", 2)[1]), gzip.compress(data), content_type="text/plain", headers=headers)(exchange)


def unchunked(body: bytes) -> bytes:
    """Return what a body in chunks holds."""
    data = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        data += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return data


def _unknown_status(exchange: Exchange) -> None:
    exchange.send(re.sub(rb'"(QUEUED|RUNNING)"', b'"FLOATED"', exchange.platform_answer()))


_A_JOB: Final[Mapping[str, str]] = {"id": "7127b1d3-a114-4bec-b108-004f374f0b77", "status": "RUNNING"}
_NO_JOB: Final = {"id": "an-other", "status": "COMPLETE"}
_HALF_A_HEAD: Final = b"HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Ty"
_GZIP: Final = {"Content-Encoding": "gzip"}

FAULTS: Final = (
    # A connection is refused before anybody can misbehave.
    Fault("connection refused", Kind.UNREACHABLE, close, in_steps=True),
    Fault("reset before the answer", Kind.LOST, reset, in_steps=True),
    Fault("closed before the answer", Kind.LOST, close),
    Fault("reset inside the headers", Kind.LOST, raw(_HALF_A_HEAD, reset)),
    Fault("reset inside the body", Kind.LOST, _half(reset)),
    Fault("silence before the headers", Kind.SILENT, silence(30), in_steps=True),
    Fault("silence inside the body", Kind.SILENT, _half(silence(30))),
    Fault("a byte every second", Kind.SILENT, _drip),
    Fault("`408`", Kind.LOST, html(408)),
    Fault("`500`", Kind.LOST, api_error(500)),
    Fault("`502` with HTML", Kind.LOST, html(502), in_steps=True),
    Fault("`503` with HTML", Kind.LOST, html(503)),
    Fault("`504` with HTML", Kind.LOST, html(504)),
    Fault("`200` with HTML", Kind.LOST, html(200)),
    Fault("too long a `Content-Length`", Kind.LOST, _half(close)),
    Fault("broken gzip", Kind.LOST, answer(200, b'{"id": "1"}', content_type="text/plain", headers=_GZIP)),
    Fault("a header of 100 KB", Kind.LOST, answer(200, b"{}", headers={"X-Long": "x" * 100_000})),
    Fault("50 MB", Kind.LOST, answer(200, b" " * 50_000_000)),
    Fault("truncated JSON", Kind.NONSENSE, answer(200, b'{"id": "71'), in_steps=True, but=("logs",)),
    Fault("too short a `Content-Length`", Kind.NONSENSE, answer(200, b'{"id": "71"}', headers={"Content-Length": "9"})),
    Fault("a JSON list", Kind.NONSENSE, _of_json([dict(_A_JOB)])),
    Fault("a JSON string", Kind.NONSENSE, _of_json("7127b1d3")),
    Fault("JSON `null`", Kind.NONSENSE, _of_json(None)),
    Fault("deeply nested JSON", Kind.NONSENSE, answer(200, b'{"id":' * 100_000)),
    Fault("JSON without what is needed", Kind.NONSENSE, _of_json({"status": "RUNNING"})),
    Fault("JSON of wrong types", Kind.NONSENSE, _of_json({"id": 5, "status": ["RUNNING"]})),
    Fault("another job", Kind.NONSENSE, _of_json(_NO_JOB), in_steps=True, calls=("job",)),
    Fault("an empty body", Kind.NONSENSE, answer(200)),
    Fault("`425`", Kind.BUSY, html(425)),
    Fault("`429`", Kind.BUSY, html(429)),
    Fault("`429`, `Retry-After` in seconds", Kind.BUSY, _retry_after("3"), pause=3, in_steps=True),
    Fault("`429`, `Retry-After` with a date", Kind.BUSY, _retry_after("{date+3}"), pause=3),
    Fault("`429`, negative `Retry-After`", Kind.BUSY, _retry_after("-5")),
    Fault("`429`, `Retry-After` that is none", Kind.BUSY, _retry_after("in a while")),
    Fault("`520` of Cloudflare", Kind.LOST, html(520)),
    Fault("`503` of the API", Kind.BUSY, api_error(503, "Try again later")),
    Fault("`429`, absurd `Retry-After`", Kind.LATER, _retry_after("999999999"), in_steps=True),
    Fault("`401`", Kind.UNAUTHORISED, api_error(401, "The access token is expired or invalid"), in_steps=True),
    Fault("`400`", Kind.REFUSED, api_error(400), in_steps=True),
    Fault("`422`", Kind.REFUSED, api_error(422)),
    Fault("`405`", Kind.REFUSED, api_error(405)),
    Fault("`403` with a challenge page", Kind.IN_FRONT, html(403), in_steps=True),
    Fault("`400` with HTML", Kind.IN_FRONT, html(400)),
    Fault("`418` without a body", Kind.IN_FRONT, answer(418)),
    Fault("`404`", Kind.MISSING, api_error(404), in_steps=True),
    Fault("`409`", Kind.CONFLICT, api_error(409), in_steps=True),
    Fault("a redirect to the same origin", Kind.REDIRECTED, answer(301, headers={"Location": "/api/elsewhere"})),
    Fault("a redirect to another origin", Kind.REDIRECTED, _redirect_elsewhere, in_steps=True),
    Fault("a redirect to itself", Kind.REDIRECTED, _redirect_to_itself),
    Fault("a redirect to nowhere", Kind.REDIRECTED, answer(302)),
    Fault("gzip that nobody asked for", Kind.HARMLESS, _zipped, in_steps=True),
    Fault("an unknown job status", Kind.HARMLESS, _unknown_status, in_steps=True, calls=("trigger", "webhook", "run")),
)
