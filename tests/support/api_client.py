"""A plain client of the simulated platform, to test the platform itself, on a clock that tests move."""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from matatika_simulator import JobState, Simulator, constants

UNKNOWN = "00000000-0000-4000-8000-000000000000"
OTHER_ID = "00000000-51a1-4000-8000-000000000002"
NOW = 1_700_000_000.123456
WORKSPACE = f"/workspaces/{constants.WORKSPACE_ID}"
DEPLOYMENTS = f"{WORKSPACE}/deployments"
WEBHOOK = f"{DEPLOYMENTS}/github-webhook"
JOBS = f"{WORKSPACE}/jobs"
PIPELINES = f"{WORKSPACE}/pipelines"
BEARER = {"Authorization": f"Bearer {constants.TOKEN}"}


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class ApiClient:
    """Asks a simulator for things, with the personal token unless a test says otherwise."""

    simulator: Simulator
    clock: Clock = field(default_factory=Clock)

    def call(self, method: str, path: str, token: str | None = constants.TOKEN, **more: Any) -> requests.Response:
        """One request; `path` is relative to the API's root, or a whole address."""
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | more.pop("headers", {})
        url = path if "://" in path else self.simulator.api_url + path
        return requests.request(method, url, headers=headers, timeout=10, **more)

    def get(self, path: str) -> Any:
        """The JSON of a page that is there."""
        answer = self.call("GET", path)
        assert answer.status_code == 200
        return answer.json()

    def trigger(self) -> Any:
        """Queue a deployment; gives its job."""
        answer = self.call("POST", DEPLOYMENTS)
        assert answer.status_code == 202
        return answer.json()

    def get_token(self, **changed: str | None) -> requests.Response:
        """Sign in with the API key."""
        form = {
            "grant_type": "client_credentials",
            "client_id": constants.CLIENT_ID,
            "client_secret": constants.CLIENT_SECRET,
            "audience": self.simulator.api_url,
        } | changed
        return requests.post(self.simulator.auth_url, data=form, timeout=10)

    @property
    def jobs(self) -> list[JobState]:
        """The true state of every job."""
        return self.simulator.jobs


@contextmanager
def simulated(scenario: str | None = None, /, **keys: Any) -> Iterator[ApiClient]:
    """A client of a named scenario, or of one with these keys, whose names have underscores here."""
    clock = Clock()
    source: Any = scenario or {key.replace("_", "-"): value for key, value in keys.items()}
    with Simulator(source, clock=clock) as simulator:
        yield ApiClient(simulator, clock)


def sign(body: bytes, secret: str = constants.DEPLOYMENT_SECRET) -> dict[str, str]:
    """The header that signs a webhook's body."""
    return {"X-Hub-Signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}
