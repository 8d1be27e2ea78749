"""The platform's JSON: jobs, workspaces, pages and errors, with their HAL links.

HAL: https://datatracker.ietf.org/doc/html/draft-kelly-json-hal
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from matatika_simulator import constants
from matatika_simulator.jobs import Job
from matatika_simulator.policies import AnswerStyle, Workspace

PROFILE: Final = {
    "id": "auth0|simulated",
    "name": "Simulated User",
    "handle": "@simulated-user",
    "email": "simulated-user@example.invalid",
}


class Resources:
    """Writes resources in the style of a scenario, for one request."""

    def __init__(self, style: AnswerStyle, api_root: str, skew: float) -> None:
        """`api_root` is where the request found the API; `skew` is added to every time, in seconds."""
        self._style = style
        self._root = _link_root(style, api_root)
        self._skew = skew

    def job(self, job: Job, now: float) -> dict[str, Any]:
        """A job as it is at that time."""
        answer: dict[str, Any] = {
            "id": job.id,
            "created": self._timestamp(job.created),
            "type": job.type,
            "status": job.status(now).value,
        }
        if not self._style.old:
            answer |= {"maxAttempts": 0, "attempt": 0, "_embedded": {"profile": PROFILE}}
        started, ended, exit_code = job.started(now), job.ended(now), job.exit_code(now)
        if started is not None:
            answer |= {"startTime": self._timestamp(started)}
            if job.plan.commit_id is not None:
                answer |= {"commitId": job.plan.commit_id}
        if ended is not None:
            answer |= {"endTime": self._timestamp(ended)}
        if exit_code is not None:
            answer |= {"exitCode": exit_code}
        answer["_links"] = self._job_links(job, is_final=ended is not None)
        return answer | dict(job.plan.fields)

    def jobs(self, workspace_id: str, jobs: Iterable[Job], now: float, page: Mapping[str, int], sort: list[str]) -> Any:
        """A page of jobs; `page` holds size, totalElements, totalPages and number."""
        path = f"/workspaces/{workspace_id}/jobs"
        items = [self.job(job, now) for job in jobs]
        answer: dict[str, Any] = {"_embedded": {"jobs": items}} if items else {}
        return answer | {"_links": self._page_links(path, page, sort), "page": dict(page)}

    def workspace(self, workspace: Workspace, created: float) -> dict[str, Any]:
        """A workspace, its two secrets included, as the platform gives it to those who may administer it."""
        path = f"/workspaces/{workspace.id}"
        return {
            "id": workspace.id,
            "created": self._timestamp(created),
            "lastModified": self._timestamp(created),
            "alias": workspace.alias,
            "name": workspace.name,
            "domains": [],
            "repositoryUrl": workspace.repository_url,
            "repositoryBranch": workspace.repository_branch,
            "repositoryDirectory": workspace.repository_directory,
            "deploymentSecret": workspace.deployment_secret,
            "sshPrivateKey": constants.SSH_PRIVATE_KEY,
            "defaultEnvironment": workspace.default_environment,
            "appProperties": {},
            "status": workspace.status,
            "managed": workspace.managed,
            "_embedded": {"profile": PROFILE},
            "_links": self._links(
                {
                    "self": {"href": path},
                    "deploy workspace": {"href": f"{path}/deployments", "type": "POST"},
                    "jobs": {"href": f"{path}/jobs", "type": "GET"},
                }
            ),
        } | dict(workspace.fields)

    def _job_links(self, job: Job, *, is_final: bool) -> dict[str, Any]:
        path = f"/jobs/{job.id}"
        links = {
            "self": {"href": path},
            "delete job": {"href": path, "type": "DELETE"},
            "logs": {"href": f"{path}/logs?sequence=0", "type": "GET"},
        }
        if not is_final:
            links["withdraw job"] = {"href": f"{path}/stopped", "type": "PUT"}
        return self._links(links)

    def _page_links(self, path: str, page: Mapping[str, int], sort: list[str]) -> dict[str, Any]:
        number, last = page["number"], page["totalPages"] - 1
        targets = {"self": number}
        if last > 0:
            targets |= {"first": 0, "last": last}
            targets |= {"prev": number - 1} if number > 0 else {}
            targets |= {"next": number + 1} if number < last else {}
        query = {"size": str(page["size"])} | ({"sort": sort} if sort else {})
        return self._links(
            {
                name: {"href": f"{path}?{urlencode({'page': target, **query}, doseq=True, safe=',')}"}
                for name, target in targets.items()
            }
        )

    def _links(self, links: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        absolute = {name: {**link, "href": self._root + link["href"]} for name, link in links.items()}
        return {name: [link] for name, link in absolute.items()} if self._style.link_lists else absolute

    def _timestamp(self, time: float) -> str:
        """ISO 8601 in UTC without a zone, with as many digits after the second as the scenario wants."""
        whole, _, digits = f"{time + self._skew:.9f}".partition(".")
        text = datetime.fromtimestamp(int(whole), UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}.{digits[: self._style.fraction_digits]}" if self._style.fraction_digits else text


def error(status: int, message: str, path: str, now: float) -> dict[str, Any]:
    """The API's own error body. `now` is the platform's time, in seconds since 1970."""
    return {
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
        "status": status,
        "error": _phrase(status),
        "errors": [],
        "message": message,
        "path": path,
    }


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _link_root(style: AnswerStyle, api_root: str) -> str:
    if style.hrefs == "relative":
        return "/api"
    if style.hrefs == "without-port":
        scheme, _, rest = api_root.partition("://")
        host, _, path = rest.partition("/")
        return f"{scheme}://{host.rpartition(':')[0] or host}/{path}"
    return api_root if style.hrefs == "absolute" else style.hrefs.rstrip("/")
