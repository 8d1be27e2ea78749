"""The platform's JSON: jobs, workspaces, pipelines, pages and errors, with their HAL links.

HAL: https://datatracker.ietf.org/doc/html/draft-kelly-json-hal
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http.client import responses
from typing import Any, Final

from matatika_simulator import constants
from matatika_simulator.jobs import Job
from matatika_simulator.platform import Platform
from matatika_simulator.scenario import Answers, Pipeline, Workspace

PROFILE: Final = {
    "id": "auth0|simulated",
    "name": "Simulated User",
    "handle": "@simulated-user",
    "email": "simulated-user@example.invalid",
}


class Resources:
    """Writes resources as they are now, in the style of the scenario, for one request."""

    def __init__(self, platform: Platform, api_root: str) -> None:
        """`api_root` is where the request found the API."""
        self._platform = platform
        self._style = platform.scenario.answers
        self._root = _link_root(self._style, api_root)
        self._now = platform.clock.now()

    def job(self, job: Job) -> dict[str, Any]:
        """A job."""
        now = self._now
        answer: dict[str, Any] = {
            "id": job.id,
            "created": self._timestamp(job.created),
            "type": job.type,
            "status": job.status(now),
        }
        if not self._style.old:
            embedded = {"profile": PROFILE} | ({"pipeline": self._pipeline_of(job.pipeline)} if job.pipeline else {})
            answer |= {"maxAttempts": 0, "attempt": 0, "_embedded": embedded}
        started, ended = job.started(now), job.ended(now)
        later = {
            "startTime": None if started is None else self._timestamp(started),
            "commitId": None if started is None else job.plan.commit_id,
            "endTime": None if ended is None else self._timestamp(ended),
            "exitCode": job.exit_code(now),
        }
        answer |= {name: value for name, value in later.items() if value is not None}
        path = f"/jobs/{job.id}"
        links = {
            "self": {"href": path},
            "delete job": {"href": path, "type": "DELETE"},
            "logs": {"href": f"{path}/logs?sequence=0", "type": "GET"},
        }
        if ended is None:
            links["withdraw job"] = {"href": f"{path}/stopped", "type": "PUT"}
        return answer | {"_links": self._links(links)} | job.plan.fields

    def workspace(self, workspace: Workspace) -> dict[str, Any]:
        """A workspace, its two secrets included, as the platform gives it to those who may administer it."""
        path, created = f"/workspaces/{workspace.id}", self._timestamp(self._platform.started)
        links = {
            "self": {"href": path},
            "deploy workspace": {"href": f"{path}/deployments", "type": "POST"},
            "jobs": {"href": f"{path}/jobs", "type": "GET"},
            "pipelines": {"href": f"{path}/pipelines", "type": "GET"},
        }
        return {
            "id": workspace.id,
            "created": created,
            "lastModified": created,
            "alias": "simulated-workspace",
            "name": "Simulated workspace",
            "domains": [],
            "repositoryUrl": constants.REPOSITORY_URL,
            "repositoryBranch": constants.REPOSITORY_BRANCH,
            "repositoryDirectory": None,
            "deploymentSecret": workspace.deployment_secret,
            "sshPrivateKey": constants.SSH_PRIVATE_KEY,
            "defaultEnvironment": None,
            "appProperties": {},
            "status": "READY",
            "managed": False,
            "_embedded": {"profile": PROFILE},
            "_links": self._links(links),
        } | workspace.fields

    def pipeline(self, pipeline: Pipeline) -> dict[str, Any]:
        """A pipeline, its properties included."""
        path, created = f"/pipelines/{pipeline.id}", self._timestamp(self._platform.started)
        links = {"self": {"href": path}, "jobs": {"href": f"{path}/jobs", "type": "GET"}}
        links["new job"] = {"href": f"{path}/jobs", "type": "POST"}
        answer = {
            "id": pipeline.id,
            "created": created,
            "lastModified": created,
            "name": pipeline.name,
            **dict.fromkeys(("label", "schedule", "script")),
            **{"timeout": 0, "maxRetries": 0, "dataComponents": [], "actions": [], "properties": {}},
            "triggeredBy": pipeline.triggered_by,
            "repositoryPath": f"pipelines/{pipeline.name}.yml",
            "_links": self._links(links),
        }
        return answer | pipeline.fields | self._platform.pipeline_fields(pipeline)

    def page(self, path: str, name: str, items: Sequence[Any], page: Mapping[str, int]) -> Any:
        """A page of resources that are written already; `page` holds size, totalElements, totalPages and number."""
        links = {"self": {"href": f"{path}?page={page['number']}&size={page['size']}"}}
        embedded = {"_embedded": {name: items}} if items else {}
        return embedded | {"_links": self._links(links), "page": dict(page)}

    def _pipeline_of(self, pipeline: Pipeline) -> dict[str, Any]:
        whole = self.pipeline(pipeline)
        return {name: whole[name] for name in ("id", "name", "status", "triggeredBy", "repositoryPath", "properties")}

    def _links(self, links: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        absolute = {name: {**link, "href": self._root + link["href"]} for name, link in links.items()}
        return {name: [link] for name, link in absolute.items()} if self._style.link_lists else absolute

    def _timestamp(self, time: float) -> str:
        return timestamp(time + self._platform.scenario.clock_skew, self._style.fraction_digits)


def timestamp(time: float, digits: int) -> str:
    """ISO 8601 in UTC without a zone, with so many digits after the second, of seconds since 1970."""
    whole, _, fraction = f"{time:.9f}".partition(".")
    text = datetime.fromtimestamp(int(whole), UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction[:digits]}" if digits else text


def error(status: int, message: str, path: str, now: float, *, old: bool = False) -> dict[str, Any]:
    """The API's own error body. `now` is the platform's time, in seconds since 1970."""
    return {
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds") if old else timestamp(now, 9),
        "status": status,
        "error": responses.get(status, ""),
        "errors": [],
        "message": message,
        "path": path,
    }


def _link_root(style: Answers, api_root: str) -> str:
    roots = {"absolute": api_root, "relative": "/api", "without-port": re.sub(r":\d+/", "/", api_root)}
    return roots.get(style.hrefs, style.hrefs.rstrip("/"))
