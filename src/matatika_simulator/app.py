"""The ASGI application: every request passes the journal, the limits, the faults and the door before the API."""

from dataclasses import asdict

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from matatika_simulator import openapi
from matatika_simulator.api import Api, Call
from matatika_simulator.gateway import FaultInjector, RateLimiter
from matatika_simulator.journal import Journal
from matatika_simulator.platform import Platform
from matatika_simulator.recorder import Recorder
from matatika_simulator.refusals import Door, exception_handler


def application(platform: Platform, journal: Journal) -> ASGIApp:
    """The platform beside the simulator's own pages, which are neither written down nor disturbed."""
    calls = Api(platform).calls()
    routes = [Route(call.path, call.endpoint, methods=[call.method], name=call.name) for call in calls]
    simulated = Starlette(
        routes=routes,
        middleware=[
            Middleware(Recorder, platform, journal, routes),
            Middleware(RateLimiter, platform),
            Middleware(FaultInjector, platform, journal),
            Middleware(Door, platform, [call.name for call in calls if not call.needs_token]),
        ],
        exception_handlers={HTTPException: exception_handler(platform, routes)},
    )
    return Starlette(routes=[*_own_pages(platform, journal, calls), Mount("/", simulated)])


def _own_pages(platform: Platform, journal: Journal, calls: list[Call]) -> list[Route]:
    async def entries(_: Request) -> Response:
        return JSONResponse([asdict(entry) for entry in journal.entries()])

    async def jobs(_: Request) -> Response:
        return JSONResponse([asdict(state) for state in platform.jobs.states(platform.clock.now())])

    async def document(_: Request) -> Response:
        return JSONResponse(openapi.document(calls))

    return [
        Route("/simulator/journal", entries),
        Route("/simulator/jobs", jobs),
        Route("/openapi.json", document),
    ]
