"""The ASGI application: every request passes the journal, the faults and the door before it reaches the API."""

from dataclasses import asdict, dataclass
from hashlib import sha256

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matatika_simulator import openapi, resources, wire
from matatika_simulator.api import Api, Call
from matatika_simulator.faults import Canned, Fault
from matatika_simulator.jobs import Job
from matatika_simulator.journal import Entry, Journal
from matatika_simulator.platform import Platform
from matatika_simulator.tokens import bearer

_OWN_PATHS = ("/simulator/", "/openapi.json")


@dataclass(frozen=True)
class JobState:
    """What is true of a job, whatever the API says of it. Times are simulated seconds since 1970."""

    id: str
    workspace_id: str
    type: str
    status: str
    triggered_by: str
    """`token`, `webhook` or `other`: somebody else."""
    created: float
    started: float | None
    ended: float | None
    withdrawn: bool
    deleted: bool


def job_states(platform: Platform) -> list[JobState]:
    """Every job there ever was, in the order of their coming."""
    now = platform.clock.now()
    return [_job_state(job, now) for job in platform.jobs.all() if job.created <= now]


def _job_state(job: Job, now: float) -> JobState:
    return JobState(
        id=job.id,
        workspace_id=job.workspace_id,
        type=job.type,
        status=job.status(now).value,
        triggered_by=job.triggered_by,
        created=job.created,
        started=job.started(now),
        ended=job.ended(now),
        withdrawn=job.withdrawn is not None,
        deleted=job.deleted is not None,
    )


class App:
    """The application. The simulator's own pages are neither written down nor disturbed."""

    def __init__(self, platform: Platform, journal: Journal) -> None:
        self._platform = platform
        self._journal = journal
        self._calls = Api(platform).calls()
        self._routes = [Route(call.path, call.endpoint, methods=[call.method], name=call.name) for call in self._calls]
        self._router: ASGIApp = Starlette(
            routes=[*self._routes, *self._own_routes()], exception_handlers={HTTPException: self._refuse}
        )
        self._needs_token = {call.name: call.needs_token for call in self._calls}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"].startswith(_OWN_PATHS):
            await self._router(scope, receive, send)
            return
        body = await wire.read_body(receive)
        if body is None:
            return
        request = Request(scope)
        entry = self._record(request, body)
        request.state.entry = entry
        send = wire.dated(self._deciding(entry, send), self._platform.time)
        await self._answer(request, entry, body, receive, send)

    async def _answer(self, request: Request, entry: Entry, body: bytes, receive: Receive, send: Send) -> None:
        """Give the true answer, or do what the scenario has in store for this request."""
        scope = request.scope
        limit = self._platform.scenario.rate_limit
        if limit is not None and self._platform.is_over_limit():
            entry.fault = "rate limit"
            refusal = Canned(429, b"Too Many Requests", "text/plain", {"Retry-After": str(limit.retry_after)})
            await self._canned(request, refusal)(scope, receive, send)
            return
        fault = self._platform.choose_fault(entry.call) if entry.call else None
        if fault is None:
            await self._enter(request, body, receive, send)
            return
        entry.fault = fault.describe()
        await self._misbehave(fault, request, entry, body, receive, send)

    async def _misbehave(
        self, fault: Fault, request: Request, entry: Entry, body: bytes, receive: Receive, send: Send
    ) -> None:
        scope = request.scope
        answer: list[Message] = []
        if fault.after:
            await self._enter(request, body, receive, _keep(answer))
        if fault.delay:
            await self._platform.clock.sleep(fault.delay)
        if fault.drop is not None:
            self._journal.decided(entry, None)
            await wire.drop(scope, receive, fault.drop)
        elif fault.hang:
            self._journal.decided(entry, None)
            await wire.gone(receive)
        else:
            if fault.expire_token and (token := bearer(request.headers.get("authorization"))):
                self._platform.tokens.revoke(token)
            send = wire.limited(scope, receive, send, cut=fault.cut, stall=fault.stall)
            if fault.answer is not None:
                await self._canned(request, fault.answer)(scope, receive, send)
            elif fault.after:
                for message in answer:
                    await send(message)
            else:
                await self._enter(request, body, receive, send)

    async def _enter(self, request: Request, body: bytes, receive: Receive, send: Send) -> None:
        """The door: let in who has a valid token where one is needed, whether or not there is such a page."""
        entry: Entry = request.state.entry
        needs_token = self._needs_token.get(entry.call or "", request.url.path.startswith("/api"))
        if needs_token:
            token = bearer(request.headers.get("authorization"))
            entry.authorised = token is not None and self._platform.tokens.use(token, self._platform.clock.now())
            if not entry.authorised:
                await self._unauthorised(request, token)(request.scope, receive, send)
                return
        await self._router(request.scope, wire.replayed(body, receive), send)

    def _record(self, request: Request, body: bytes) -> Entry:
        headers = request.headers
        client = request.client
        return self._journal.arrived(
            time=self._platform.clock.now(),
            client=f"{client.host}:{client.port}" if client else "",
            call=self._call_of(request.scope),
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

    def _deciding(self, entry: Entry, send: Send) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._journal.decided(entry, message["status"])
            await send(message)

        return sender

    def _canned(self, request: Request, canned: Canned) -> Response:
        if canned.body is None:
            message = canned.message if canned.message is not None else "Simulated fault"
            return self._error(request, canned.status, message, canned.headers)
        headers = {"content-type": canned.content_type} if canned.content_type else {}
        lower = {name.lower(): value for name, value in canned.headers.items()}
        return Response(canned.body, canned.status, headers=headers | lower)

    def _error(self, request: Request, status: int, message: str, headers: object = None) -> Response:
        content = resources.error(status, message, request.url.path, self._platform.time)
        return JSONResponse(content, status, headers=dict(headers) if headers else None)  # type: ignore[call-overload]

    def _unauthorised(self, request: Request, token: str | None) -> Response:
        challenge = 'Bearer error="invalid_token"' if token else "Bearer"
        message = "The access token is expired or invalid" if token else "Full authentication is required"
        return self._error(request, 401, message, {"WWW-Authenticate": challenge})

    async def _refuse(self, request: Request, error: Exception) -> Response:
        """The API's error body for whatever an endpoint or the router refuses."""
        assert isinstance(error, HTTPException)  # noqa: S101 (registered for nothing else)
        headers = dict(error.headers or {})
        message = error.detail
        if error.status_code == 404 and message == "Not Found":
            message = "No message available"
        if error.status_code == 405:
            headers["Allow"] = ", ".join(self._allowed(request.scope))
            message = f"Request method '{request.method}' not supported"
        return self._error(request, error.status_code, message, headers)

    def _allowed(self, scope: Scope) -> list[str]:
        routes = [route for route in self._routes if route.matches(scope)[0] is not Match.NONE]
        return sorted({method for route in routes for method in route.methods or ()})

    def _own_routes(self) -> list[Route]:
        async def journal(_: Request) -> Response:
            return JSONResponse([asdict(entry) for entry in self._journal.entries()])

        async def jobs(_: Request) -> Response:
            return JSONResponse([asdict(state) for state in job_states(self._platform)])

        async def document(_: Request) -> Response:
            return JSONResponse(openapi.document(self._calls))

        return [
            Route("/simulator/journal", journal),
            Route("/simulator/jobs", jobs),
            Route("/openapi.json", document),
        ]


def _keep(answer: list[Message]) -> Send:
    async def sender(message: Message) -> None:
        answer.append(message)

    return sender


__all__ = ["App", "Call", "JobState", "job_states"]
