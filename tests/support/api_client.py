"""A plain client of the simulated platform, to test the platform itself, on a clock that tests move."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from matatika_simulator import JobState, Simulator, constants
from tests.support.clock import FakeClock

UNKNOWN = "00000000-0000-4000-8000-000000000000"
NOW = 1_700_000_000.123456
WORKSPACE = f"/workspaces/{constants.WORKSPACE_ID}"
DEPLOYMENTS = f"{WORKSPACE}/deployments"
BEARER = {"Authorization": f"Bearer {constants.TOKEN}"}


@dataclass
class ApiClient:
    """Asks a simulator for things, with the personal token unless a test says otherwise."""

    simulator: Simulator
    clock: FakeClock = field(default_factory=FakeClock)

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
        key = {"client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
        form = {"grant_type": "client_credentials", "audience": self.simulator.api_url, **key, **changed}
        return requests.post(self.simulator.auth_url, data=form, timeout=10)

    @property
    def jobs(self) -> list[JobState]:
        """The true state of every job."""
        return self.simulator.jobs


@contextmanager
def simulated(scenario: str | None = None, /, **keys: Any) -> Iterator[ApiClient]:
    """A client of a named scenario, or of one with these keys, whose names have underscores here."""
    clock = FakeClock(NOW)
    source: Any = scenario or {key.replace("_", "-"): value for key, value in keys.items()}
    with Simulator(source, clock=clock.now) as simulator:
        yield ApiClient(simulator, clock)
