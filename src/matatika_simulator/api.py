"""The calls of the platform, as Starlette endpoints."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from matatika_simulator.jobs import Job
from matatika_simulator.log_answer import log_answer, media_type
from matatika_simulator.platform import Platform
from matatika_simulator.policies import Workspace
from matatika_simulator.resources import Resources

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Call:
    """One call: its name in scenarios and the journal, its operation in the OpenAPI document, and what answers it."""

    name: str
    operation_id: str
    method: str
    path: str
    endpoint: Endpoint
    needs_token: bool = True


class Api:
    """Endpoints over a platform. Whether a token is needed is looked at before they are reached."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def calls(self) -> list[Call]:
        """Every call there is."""
        workspace, job = "/api/workspaces/{workspaceId}", "/api/jobs/{id}"
        return [
            Call("token", "issueToken", "POST", "/oauth/token", self.issue_token, needs_token=False),
            Call("trigger", "deploy", "POST", f"{workspace}/deployments", self.deploy),
            Call(
                "webhook",
                "deploy_1",
                "POST",
                f"{workspace}/deployments/github-webhook",
                self.deploy_signed,
                needs_token=False,
            ),
            Call("jobs", "getWorkspaceJobs", "GET", f"{workspace}/jobs", self.list_jobs),
            Call("job", "getJob", "GET", job, self.get_job),
            Call("delete", "deleteJob", "DELETE", job, self.delete_job),
            Call("logs", "getLogs", "GET", f"{job}/logs", self.get_logs),
            Call("withdraw", "stopJob", "PUT", f"{job}/stopped", self.stop_job),
            Call("workspace", "getWorkspace", "GET", "/api/workspaces/{id}", self.get_workspace),
        ]

    async def issue_token(self, request: Request) -> Response:
        """An access token for the API key (OAuth 2.0 client credentials, https://www.rfc-editor.org/rfc/rfc6749#section-4.4)."""
        form = await _form(request)
        if form.get("grant_type") != "client_credentials":
            return _oauth_error(400, "unsupported_grant_type", "Only client_credentials is supported")
        tokens = self._platform.tokens
        known = tokens.knows(form.get("client_id", ""), form.get("client_secret", ""))
        _note(request, authorised=known)
        if not known:
            return _oauth_error(401, "access_denied", "Unauthorized")
        if form.get("audience") != (tokens.policy.audience or _api_root(request)):
            return _oauth_error(403, "access_denied", f"Service not found: {form.get('audience', '')}")
        token = tokens.issue(self._platform.clock.now())
        return JSONResponse(
            {"access_token": token, "token_type": "Bearer", "expires_in": tokens.policy.expires_in},
            headers={"Cache-Control": "no-store"},
        )

    async def deploy(self, request: Request) -> Response:
        """Queue a deployment."""
        return self._deploy(request, self._workspace(request, "workspaceId"), "token")

    async def deploy_signed(self, request: Request) -> Response:
        """Queue a deployment that is signed with the workspace's deployment secret."""
        signature = request.headers.get("x-hub-signature")
        if signature is None:
            raise HTTPException(400, "Required request header 'X-Hub-Signature' is not present")
        workspace, body = self._workspace(request, "workspaceId"), await request.body()
        digest = hmac.new(workspace.deployment_secret.encode(), body, hashlib.sha1).hexdigest()
        is_right = hmac.compare_digest(signature.encode(), f"sha1={digest}".encode())
        _note(request, authorised=is_right)
        if not is_right:
            raise HTTPException(401, "The signature does not match the body")
        try:
            json.loads(body)
        except ValueError:
            raise HTTPException(400, "The body is not JSON") from None
        return self._deploy(request, workspace, "webhook")

    async def list_jobs(self, request: Request) -> Response:
        """A page of a workspace's jobs."""
        workspace, now = self._workspace(request, "workspaceId"), self._platform.clock.now()
        jobs = self._platform.jobs.of_workspace(workspace.id, now)
        sort = request.query_params.getlist("sort")
        for order in reversed(sort):
            jobs.sort(key=_sort_key(order, now), reverse=order.lower().endswith(",desc"))
        size = min(_number(request, "size", least=1, default=20), 2000)
        number = _number(request, "page", least=0, default=0)
        page = {"size": size, "totalElements": len(jobs), "totalPages": -(-len(jobs) // size), "number": number}
        chosen = jobs[number * size : (number + 1) * size]
        return JSONResponse(self._resources(request).jobs(workspace.id, chosen, now, page, sort))

    async def get_job(self, request: Request) -> Response:
        """A job."""
        return self._job_answer(request, self._job(request))

    async def delete_job(self, request: Request) -> Response:
        """Delete a job and stop it."""
        self._platform.delete(self._job(request))
        return Response(status_code=204)

    async def get_logs(self, request: Request) -> Response:
        """A job's log from a line on."""
        job = self._job(request)
        media = media_type(request.headers.get("accept"))
        if media is None:
            raise HTTPException(406, "Could not find acceptable representation")
        sequence = request.query_params.get("sequence") or "0"
        if not (sequence.isascii() and sequence.isdigit()):
            raise HTTPException(400, "Parameter 'sequence' is not a number of a line")
        return log_answer(job, int(sequence), media, self._platform.clock, self._platform.scenario.logs)

    async def stop_job(self, request: Request) -> Response:
        """Withdraw a job."""
        job = self._job(request)
        refusal = self._platform.withdraw(job)
        if refusal is not None:
            raise HTTPException(refusal, f"Job must be RUNNING, but is {job.status(self._platform.clock.now())}")
        return JSONResponse({"message": "Job withdrawn"}, status_code=self._platform.scenario.withdrawal.answer)

    async def get_workspace(self, request: Request) -> Response:
        """A workspace."""
        workspace = self._workspace(request, "id")
        return JSONResponse(self._resources(request).workspace(workspace, self._platform.started))

    def _deploy(self, request: Request, workspace: Workspace, triggered_by: str) -> Response:
        job = self._platform.deploy(workspace, triggered_by)
        if job is None:
            raise HTTPException(409, "A deployment of this workspace is queued or running already")
        return self._job_answer(request, job, status=202)

    def _job_answer(self, request: Request, job: Job, status: int = 200) -> Response:
        now = self._platform.clock.now()
        return JSONResponse(self._resources(request).job(job, now), status_code=status)

    def _resources(self, request: Request) -> Resources:
        scenario = self._platform.scenario
        return Resources(scenario.answers, _api_root(request), scenario.clock_skew)

    def _workspace(self, request: Request, parameter: str) -> Workspace:
        workspace = self._platform.workspaces.get(_uuid(request, parameter))
        if workspace is None:
            raise HTTPException(404, "Workspace not found")
        return workspace

    def _job(self, request: Request) -> Job:
        job = self._platform.jobs.find(_uuid(request, "id"), self._platform.clock.now())
        if job is None:
            raise HTTPException(404, "Job not found")
        return job


def _note(request: Request, *, authorised: bool) -> None:
    request.state.entry.authorised = authorised


def _api_root(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}/api"


def _uuid(request: Request, parameter: str) -> str:
    try:
        return str(uuid.UUID(request.path_params[parameter]))
    except ValueError:
        raise HTTPException(400, f"'{parameter}' is not a UUID") from None


async def _form(request: Request) -> Mapping[str, str]:
    """The parameters of a token request, which the real endpoint takes as a form or as JSON."""
    body = await request.body()
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


_SORT_FIELDS: Final[Mapping[str, Callable[[Job, float], Any]]] = {
    "created": lambda job, _: job.created,
    "startTime": lambda job, now: job.started(now) or 0.0,
    "endTime": lambda job, now: job.ended(now) or 0.0,
    "status": lambda job, now: job.status(now).value,
    "type": lambda job, _: job.type,
    "id": lambda job, _: job.id,
}


def _sort_key(order: str, now: float) -> Callable[[Job], Any]:
    name = order.partition(",")[0]
    field = _SORT_FIELDS.get(name)
    if field is None:
        raise HTTPException(400, f"No property '{name}' found for type 'Job'")
    return lambda job: field(job, now)
