"""What stands between the client and the API: the journal, the limits, the faults and the check of tokens."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from hashlib import sha256
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matatika_simulator import resources, wire
from matatika_simulator.journal import Entry, Journal
from matatika_simulator.platform import Platform
from matatika_simulator.scenario import Fault
from matatika_simulator.tokens import bearer

# These look for themselves who asks.
_OPEN_CALLS: Final = ("token", "webhook")

_HTML: Final = "<html>\r\n<head><title>Bad gateway</title></head>\r\n<body>Bad gateway</body>\r\n</html>\r\n"


class Gateway:
    """ASGI middleware. What stands behind it finds the request's body and its entry in the scope's `state`."""

    def __init__(self, app: ASGIApp, platform: Platform, journal: Journal, routes: Sequence[Route]) -> None:
        self._app = app
        self._platform = platform
        self._journal = journal
        self._routes = routes

    def call_of(self, method: str, path: str) -> str | None:
        """The name of a call, as in `scenario.CALLS`; None if there is no such call."""
        scope = {"type": "http", "method": method, "path": path}
        return next((route.name for route in self._routes if route.matches(scope)[0] is Match.FULL), None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; one whose body never comes in whole counts for nothing.

        It is cancelled when the server ends, which uvicorn would report as a failure of the application.
        """
        with contextlib.suppress(ClientDisconnect, asyncio.CancelledError):
            body = await Request(scope, receive).body()
            entry = self._record(Request(scope), body)
            scope["state"] |= {"entry": entry, "body": body}
            send, limit = self._dated(entry, send), self._platform.scenario.rate_limit
            if limit is not None and entry.call != "token" and self._platform.is_over(limit):
                refused = Response("Too Many Requests", 429, {"Retry-After": str(limit.retry_after)}, "text/plain")
                await refused(scope, receive, send)
            elif entry.call and (fault := self._platform.choose_fault(entry.call)):
                await self._misbehave(fault, scope, receive, send)
            else:
                await self._let_in(scope, receive, send)

    async def _misbehave(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._let_in
        if fault.after:
            app = await _kept(app, scope, receive)
        await self._platform.clock.sleep(fault.delay)
        if fault.drop is not None:
            await wire.drop(scope, receive, fault.drop)
        elif fault.hang:
            await wire.gone(receive)
        else:
            if fault.status is not None:
                app = self._made_up(Request(scope), fault.status, fault)
            elif fault.expire_token:
                self._platform.tokens.revoke(bearer(Request(scope).headers.get("authorization")) or "")
            await app(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, if it brings a valid token or needs none, whether or not there is such a page."""
        request, entry = Request(scope), scope["state"]["entry"]
        app = self._app
        if entry.call not in _OPEN_CALLS and request.url.path.startswith("/api"):
            token = bearer(request.headers.get("authorization"))
            entry.authorised = token is not None and self._platform.tokens.use(token, self._platform.clock.now())
            if not entry.authorised:
                message = "The access token is expired or invalid" if token else "Full authentication is required"
                challenge = 'Bearer error="invalid_token"' if token else "Bearer"
                app = self._refusal(request, 401, message, {"WWW-Authenticate": challenge})
        await app(scope, receive, send)

    async def explain(self, request: Request, error: Exception) -> Response:
        """Answer an `HTTPException` of an endpoint or of the router as the API would."""
        if not isinstance(error, HTTPException):
            raise error
        return self._refusal(request, error.status_code, error.detail, error.headers or {})

    def _made_up(self, request: Request, status: int, fault: Fault) -> Response:
        """The answer that stands in the scenario."""
        headers = {name.lower(): value for name, value in fault.headers.items()}
        if fault.body == "html":
            return Response(_HTML, status, {"content-type": "text/html", **headers})
        if fault.body.text is not None:
            return Response(fault.body.text, status, {"content-type": "application/json", **headers})
        return self._refusal(request, status, fault.body.api, headers)

    def _refusal(self, request: Request, status: int, message: str, headers: Mapping[str, str]) -> Response:
        """An answer with the API's own error body."""
        scenario, now = self._platform.scenario, self._platform.time()
        content = resources.error(status, message, request.url.path, now, old=scenario.answers.old)
        return JSONResponse(content, status, headers)

    def _record(self, request: Request, body: bytes) -> Entry:
        headers, client = request.headers, request.client
        return self._journal.arrived(
            time=self._platform.clock.now(),
            client=f"{client.host}:{client.port}" if client else "",
            call=self.call_of(request.method, request.url.path),
            method=request.method,
            path=request.url.path,
            query=request.url.query,
            authorization=headers["authorization"].partition(" ")[0] if "authorization" in headers else None,
            authorised=None,
            signed="x-hub-signature" in headers,
            user_agent=headers.get("user-agent"),
            accept=headers.get("accept"),
            content_type=headers.get("content-type"),
            content_length=len(body),
            body_sha256=sha256(body).hexdigest(),
        )

    def _dated(self, entry: Entry, send: Send) -> Send:
        """A `send` that adds a `Date` to the answer, and notes its status."""

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                date = formatdate(self._platform.time(), usegmt=True).encode()
                message = {**message, "headers": [(b"date", date), *message["headers"]]}
            await send(message)

        return sender


async def _kept(app: ASGIApp, scope: Scope, receive: Receive) -> ASGIApp:
    """Let the call have its effect now; return what gives its answer when it is wanted."""
    answer: list[Message] = []

    async def keep(message: Message) -> None:
        answer.append(message)

    async def give(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in answer:
            await send(message)

    await app(scope, receive, keep)
    return give
