"""The first to see a request and the last to see its answer: writes the journal and dates the answer."""

from collections.abc import Sequence
from hashlib import sha256

from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matatika_simulator import wire
from matatika_simulator.journal import Entry, Journal
from matatika_simulator.platform import Platform


class Recorder:
    """ASGI middleware. Whatever stands behind it finds the request's entry in `scope["state"]["entry"]`."""

    def __init__(self, app: ASGIApp, platform: Platform, journal: Journal, routes: Sequence[Route]) -> None:
        self._app = app
        self._platform = platform
        self._journal = journal
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; one whose body never comes in whole counts for nothing."""
        body = await wire.read_body(receive)
        if body is None:
            return
        entry = self._record(scope, body)
        scope["state"]["entry"] = entry
        send = wire.dated(_deciding(self._journal, entry, send), self._platform.time)
        await self._app(scope, wire.replayed(body, receive), send)

    def _record(self, scope: Scope, body: bytes) -> Entry:
        request = Request(scope)
        headers, client = request.headers, request.client
        return self._journal.arrived(
            time=self._platform.clock.now(),
            client=f"{client.host}:{client.port}" if client else "",
            call=self._call_of(scope),
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

    def _call_of(self, scope: Scope) -> str | None:
        return next((route.name for route in self._routes if route.matches(scope)[0] is Match.FULL), None)


def _deciding(journal: Journal, entry: Entry, send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            journal.decided(entry, message["status"])
        await send(message)

    return sender
