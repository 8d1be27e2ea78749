"""Answers of the API that say no, with the API's own error body."""

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from matatika_simulator import resources
from matatika_simulator.journal import Entry
from matatika_simulator.platform import Platform
from matatika_simulator.tokens import bearer


def refusal(
    request: Request, status: int, message: str, now: float, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer with the API's own error body. `now` is the platform's time, in seconds since 1970."""
    return JSONResponse(resources.error(status, message, request.url.path, now), status, headers)


class Door:
    """ASGI middleware that lets in only who has a valid token, whether or not there is such a page.

    What lies outside of the API, and the calls named in `open_calls`, look after themselves.
    """

    def __init__(self, app: ASGIApp, platform: Platform, open_calls: Sequence[str]) -> None:
        self._app = app
        self._platform = platform
        self._open_calls = open_calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request, entry = Request(scope), scope["state"]["entry"]
        if entry.call not in self._open_calls and request.url.path.startswith("/api"):
            response = self._turn_away(request, entry)
            if response is not None:
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _turn_away(self, request: Request, entry: Entry) -> Response | None:
        token = bearer(request.headers.get("authorization"))
        entry.authorised = token is not None and self._platform.tokens.use(token, self._platform.clock.now())
        if entry.authorised:
            return None
        message = "The access token is expired or invalid" if token else "Full authentication is required"
        challenge = 'Bearer error="invalid_token"' if token else "Bearer"
        return refusal(request, 401, message, self._platform.time(), {"WWW-Authenticate": challenge})


def exception_handler(platform: Platform, routes: Sequence[Route]) -> ExceptionHandler:
    """A handler that answers an `HTTPException` of an endpoint or of the router as the API would."""

    async def handle(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        headers = dict(error.headers or {})
        message = error.detail
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(request.scope, routes))
            message = f"Request method '{request.method}' not supported"
        return refusal(request, error.status_code, message, platform.time(), headers)

    return handle


def _allowed(scope: Scope, routes: Sequence[Route]) -> list[str]:
    there = [route for route in routes if route.matches(scope)[0] is not Match.NONE]
    return sorted({method for route in there for method in route.methods or ()})
