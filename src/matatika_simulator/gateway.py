"""What stands between the client and the API, and goes wrong as the scenario wants it: limits and faults."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matatika_simulator import wire
from matatika_simulator.faults import Canned, Fault
from matatika_simulator.journal import Entry, Journal
from matatika_simulator.platform import Platform
from matatika_simulator.refusals import refusal
from matatika_simulator.tokens import bearer


class RateLimiter:
    """ASGI middleware that answers 429 to requests for the API beyond the scenario's limit."""

    def __init__(self, app: ASGIApp, platform: Platform) -> None:
        self._app = app
        self._platform = platform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        limit, entry = self._platform.scenario.rate_limit, _entry(scope)
        if limit is None or entry.call == "token" or not self._platform.is_over_limit():
            await self._app(scope, receive, send)
            return
        entry.fault = "rate limit"
        response = Response("Too Many Requests", 429, {"Retry-After": str(limit.retry_after)}, "text/plain")
        await response(scope, receive, send)


class FaultInjector:
    """ASGI middleware that does to a request what the scenario has in store for it."""

    def __init__(self, app: ASGIApp, platform: Platform, journal: Journal) -> None:
        self._app = app
        self._platform = platform
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        entry = _entry(scope)
        fault = self._platform.choose_fault(entry.call) if entry.call else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        entry.fault = fault.describe()
        app = await self._kept_answer(scope, receive) if fault.after else self._app
        await self._platform.clock.sleep(fault.delay)
        await self._misbehave(fault, app, scope, receive, send)

    async def _misbehave(self, fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.drop is not None:
            self._journal.decided(_entry(scope), None)
            await wire.drop(scope, receive, fault.drop)
        elif fault.hang:
            self._journal.decided(_entry(scope), None)
            await wire.gone(receive)
        else:
            send = wire.limited(scope, receive, send, cut=fault.cut, stall=fault.stall)
            if fault.answer is not None:
                app = _canned(Request(scope), fault.answer, self._platform.time())
            elif fault.expire_token:
                self._platform.tokens.revoke(bearer(Request(scope).headers.get("authorization")) or "")
            await app(scope, receive, send)

    async def _kept_answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        """Let the call have its effect now; return what gives its answer when it is wanted."""
        answer: list[Message] = []
        await self._app(scope, receive, wire.keeping(answer))

        async def give(_scope: Scope, _receive: Receive, send: Send) -> None:
            for message in answer:
                await send(message)

        return give


def _entry(scope: Scope) -> Entry:
    entry: Entry = scope["state"]["entry"]
    return entry


def _canned(request: Request, canned: Canned, now: float) -> Response:
    origin = f"{request.url.scheme}://{request.url.netloc}"
    headers = {name.lower(): value.replace("{origin}", origin) for name, value in canned.headers.items()}
    if canned.body is None:
        return refusal(request, canned.status, canned.message or "Simulated fault", now, headers)
    if canned.content_type:
        headers.setdefault("content-type", canned.content_type)
    return Response(canned.body, canned.status, headers)
