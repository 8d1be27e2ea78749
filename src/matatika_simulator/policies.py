"""What is there on the platform, and how it behaves where the real one is known to vary."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from matatika_simulator import constants
from matatika_simulator.jobs import Plan


@dataclass(frozen=True)
class Workspace:
    """A workspace, and what each of its deployments will do."""

    plan: Plan = field(default_factory=Plan)
    id: str = constants.WORKSPACE_ID
    name: str = "Simulated workspace"
    alias: str | None = "simulated-workspace"
    repository_url: str | None = constants.REPOSITORY_URL
    repository_branch: str | None = constants.REPOSITORY_BRANCH
    repository_directory: str | None = None
    default_environment: str | None = None
    status: str = "READY"
    managed: bool = False
    deployment_secret: str = constants.DEPLOYMENT_SECRET
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the answer that are given as they stand here."""


@dataclass(frozen=True)
class OtherJob:
    """A job that somebody else triggers."""

    plan: Plan
    type: str
    at: float
    """Seconds after the simulator's start, or after the first trigger request."""
    since: Literal["start", "first-trigger"]
    workspace_id: str


@dataclass(frozen=True)
class Logs:
    """How logs are handed out while the job has not ended. `held`: the stream stays open until then."""

    stream: Literal["ends", "held"] = "ends"
    empty: Literal[200, 204] = 200
    """The answer when there is nothing to read and the stream is not held."""


@dataclass(frozen=True)
class Withdrawal:
    """How withdrawals are answered."""

    queued: Literal["accept", 400, 409] = "accept"
    answer: Literal[200, 202] = 202
    takes: float = 0.0
    """Seconds until a running job has stopped."""


@dataclass(frozen=True)
class AnswerStyle:
    """What answers look like where the platform is known to vary."""

    old: bool = False
    """Jobs lack `maxAttempts`, `attempt` and `_embedded`."""
    hrefs: str = "absolute"
    """`absolute`, `without-port`, `relative`, or the API root of another host."""
    link_lists: bool = False
    """Each relation in `_links` is a list of one."""
    fraction_digits: int = 6
    """Digits after the second in timestamps."""


@dataclass(frozen=True)
class RateLimit:
    """Beyond so many requests in so many seconds, the gateway answers 429."""

    requests: int
    per: float
    retry_after: int
