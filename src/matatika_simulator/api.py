"""The calls of the platform, as Starlette endpoints."""

import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from matatika_simulator import constants
from matatika_simulator.gateway import Gateway
from matatika_simulator.jobs import Job
from matatika_simulator.journal import Journal
from matatika_simulator.platform import Platform
from matatika_simulator.resources import Resources
from matatika_simulator.scenario import Pipeline, Workspace
from matatika_simulator.tokens import EXPIRES_IN

T = TypeVar("T")


def application(platform: Platform, journal: Journal) -> Gateway:
    """The platform behind its gateway."""
    api = _Api(platform)
    workspace, job, pipeline = "/api/workspaces/{workspace}", "/api/jobs/{job}", "/api/pipelines/{pipeline}"
    routes = [
        Route("/oauth/token", api.issue_token, methods=["POST"], name="token"),
        Route(f"{workspace}/deployments", api.deploy, methods=["POST"], name="trigger"),
        Route(f"{workspace}/deployments/github-webhook", api.deploy_signed, methods=["POST"], name="webhook"),
        Route(f"{workspace}/jobs", api.list_jobs, methods=["GET"], name="jobs"),
        Route(job, api.get_job, methods=["GET"], name="job"),
        Route(job, api.delete_job, methods=["DELETE"], name="delete"),
        Route(f"{job}/logs", api.get_logs, methods=["GET"], name="logs"),
        Route(f"{job}/stopped", api.stop_job, methods=["PUT"], name="withdraw"),
        Route(workspace, api.get_workspace, methods=["GET"], name="workspace"),
        Route(f"{workspace}/pipelines", api.list_pipelines, methods=["GET"], name="pipelines"),
        Route(f"{pipeline}/jobs", api.run_pipeline, methods=["POST"], name="run"),
        Route(f"{pipeline}/jobs", api.list_runs, methods=["GET"], name="runs"),
    ]
    router = Starlette(routes=routes)
    gateway = Gateway(router, platform, journal, routes)
    router.add_exception_handler(HTTPException, gateway.explain)
    return gateway


class _Api:
    """Endpoints over a platform. Whether a token is needed is looked at before they are reached."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def issue_token(self, request: Request) -> Response:
        """An access token for the API key (OAuth 2.0 client credentials, https://www.rfc-editor.org/rfc/rfc6749#section-4.4)."""
        form = _form(request)
        if form.get("grant_type") != "client_credentials":
            return _oauth_error(400, "unsupported_grant_type", "Only client_credentials is supported")
        tokens = self._platform.tokens
        key = (form.get("client_id"), form.get("client_secret"))
        known = key == (constants.CLIENT_ID, tokens.policy.client_secret)
        request.state.entry.authorised = known
        if not known:
            return _oauth_error(401, "access_denied", "Unauthorized")
        if form.get("audience") != (tokens.policy.audience or _api_root(request)):
            return _oauth_error(403, "access_denied", f"Service not found: {form.get('audience', '')}")
        token = tokens.issue(self._platform.clock.now())
        return JSONResponse(
            {"access_token": token, "token_type": "Bearer", "expires_in": EXPIRES_IN},
            headers={"Cache-Control": "no-store"},
        )

    async def deploy(self, request: Request) -> Response:
        return self._deploy(request, self._workspace(request), "token")

    async def deploy_signed(self, request: Request) -> Response:
        """Queue a deployment that is signed with the workspace's deployment secret."""
        signature = request.headers.get("x-hub-signature")
        if signature is None:
            raise HTTPException(400, "Required request header 'X-Hub-Signature' is not present")
        workspace, body = self._workspace(request), request.state.body
        digest = hmac.new(workspace.deployment_secret.encode(), body, hashlib.sha1).hexdigest()
        request.state.entry.authorised = hmac.compare_digest(signature.encode(), f"sha1={digest}".encode())
        if not request.state.entry.authorised:
            raise HTTPException(401, "The signature does not match the body")
        return self._deploy(request, workspace, "webhook")

    async def list_jobs(self, request: Request) -> Response:
        return self._jobs_page(request, self._platform.jobs(workspace_id=self._workspace(request).id))

    async def get_job(self, request: Request) -> Response:
        return self._answer(self._resources(request).job(self._job(request)))

    async def delete_job(self, request: Request) -> Response:
        self._platform.delete(self._job(request))
        return Response(status_code=204)

    async def get_logs(self, request: Request) -> Response:
        """A job's log from a line on, as plain lines."""
        job, accepted = self._job(request), request.headers.get("accept", "*/*").lower()
        if not any(media in accepted for media in ("*/*", "text/*", "text/plain")):
            raise HTTPException(406, "Could not find acceptable representation")
        sequence = request.query_params.get("sequence") or "0"
        if not (sequence.isascii() and sequence.isdigit()):
            raise HTTPException(400, "Parameter 'sequence' is not a number of a line")
        start, now, logs = (
            job.plan.writes.start_of_line(int(sequence)),
            self._platform.clock.now(),
            self._platform.scenario.logs,
        )
        is_held = logs.stream == "held" and job.ended(now) is None
        if not is_held and logs.empty == 204 and start >= job.log_written(now):
            return Response(status_code=204)
        return StreamingResponse(self._written(job, start, is_held), media_type="text/plain;charset=UTF-8")

    async def stop_job(self, request: Request) -> Response:
        job = self._job(request)
        if not self._platform.withdraw(job):
            raise HTTPException(409, f"Job must be RUNNING, but is {job.status(self._platform.clock.now())}")
        return self._answer({"message": "Job withdrawn"}, 202)

    async def get_workspace(self, request: Request) -> Response:
        return self._answer(self._resources(request).workspace(self._workspace(request)))

    async def list_pipelines(self, request: Request) -> Response:
        is_first = self._workspace(request) is self._platform.scenario.workspace
        pipelines = self._platform.pipelines() if is_first else []
        return self._page(request, "pipelines", pipelines, self._resources(request).pipeline)

    async def run_pipeline(self, request: Request) -> Response:
        job = self._platform.run(self._pipeline(request))
        if isinstance(job, str):
            raise HTTPException(self._platform.scenario.pipeline_runs.refused_with, job)
        return self._answer(self._resources(request).job(job), 201)

    async def list_runs(self, request: Request) -> Response:
        return self._jobs_page(request, self._platform.jobs(pipeline=self._pipeline(request)))

    def _deploy(self, request: Request, workspace: Workspace, triggered_by: str) -> Response:
        job = self._platform.deploy(workspace, triggered_by)
        if job is None:
            raise HTTPException(409, "A deployment of this workspace is queued or running already")
        return self._answer(self._resources(request).job(job), 202)

    async def _written(self, job: Job, position: int, is_held: bool) -> AsyncIterator[bytes]:
        """A log's bytes from a position on, up to what is written by now; if held, until the job ends."""
        clock = self._platform.clock
        while True:
            now = clock.now()
            written = job.log_written(now)
            if position < written:
                for piece in job.plan.writes.read(position, written):
                    yield piece
                position = written
            elif not is_held or job.ended(now) is not None:
                return
            else:
                await clock.wait(job.next_event(now))

    def _jobs_page(self, request: Request, jobs: list[Job]) -> Response:
        newest_first = self._platform.scenario.lists.paging and request.query_params.get("sort") == "created,desc"
        shown = sorted(jobs, key=lambda job: job.created, reverse=newest_first)
        return self._page(request, "jobs", shown, self._resources(request).job)

    def _page(self, request: Request, name: str, items: list[T], write: Callable[[T], Any]) -> Response:
        """The page that is asked for; all there is if the scenario's lists do not honour that."""
        size, number = _number(request, "size", least=1, default=20), _number(request, "page", least=0, default=0)
        if not self._platform.scenario.lists.paging:
            size, number = max(len(items), 20), 0
        page = {"size": size, "totalElements": len(items), "totalPages": -(-len(items) // size), "number": number}
        written = [write(item) for item in items[number * size : (number + 1) * size]]
        path = request.url.path.removeprefix("/api")
        return self._answer(self._resources(request).page(path, name, written, page))

    def _answer(self, content: Any, status: int = 200) -> Response:
        media = "application/json" if self._platform.scenario.answers.old else "application/hal+json"
        return JSONResponse(content, status, media_type=media)

    def _resources(self, request: Request) -> Resources:
        return Resources(self._platform, _api_root(request))

    def _workspace(self, request: Request) -> Workspace:
        return _found("Workspace", self._platform.workspaces.get(_uuid(request, "workspace")))

    def _job(self, request: Request) -> Job:
        job_id = _uuid(request, "job")
        return _found("Job", next((job for job in self._platform.jobs() if job.id == job_id), None))

    def _pipeline(self, request: Request) -> Pipeline:
        return _found("Pipeline", self._platform.pipeline(_uuid(request, "pipeline")))


def _found(name: str, item: T | None) -> T:
    if item is None:
        raise HTTPException(404, f"{name} not found")
    return item


def _api_root(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}/api"


def _uuid(request: Request, parameter: str) -> str:
    try:
        return str(uuid.UUID(request.path_params[parameter]))
    except ValueError:
        raise HTTPException(400, f"'{parameter}' is not a UUID") from None


def _form(request: Request) -> Mapping[str, str]:
    """The parameters of a token request, which the real endpoint takes as a form or as JSON."""
    body: bytes = request.state.body
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            content = json.loads(body)
        except ValueError:
            return {}
        return {key: str(value) for key, value in content.items()} if isinstance(content, dict) else {}
    return {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _oauth_error(status: int, error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status_code=status)


def _number(request: Request, name: str, *, least: int, default: int) -> int:
    """A number from the query; the default if it is none or too small, as Spring Data does it."""
    text = request.query_params.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() else default
    return number if number >= least else default
