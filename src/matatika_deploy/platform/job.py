"""A job of the platform, read from its HAL representation: lenient wherever the platform is."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from matatika_deploy.platform.responses import InvalidResponse

WORKSPACE_DEPLOY = "WORKSPACE_DEPLOY"
WITHDRAW = "withdraw job"

# An id becomes a part of addresses: nothing that could lead elsewhere may stand in it.
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]{0,127}", re.ASCII)

# More than any status, commit or address has; what is longer would flood outputs, and break the post step's variables.
_LONGEST_TEXT = 200
_COMMIT = re.compile(r"[0-9A-Za-z]{1,64}", re.ASCII)
_LONGEST_LINK = 2000
_LONGEST_MESSAGE = 2000
_LARGEST_NUMBER = 2**63


class JobStatus(StrEnum):
    """The statuses that are known. A job may report others: see `Job.is_over`."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"
    STOPPED = "STOPPED"


_FINAL = frozenset({JobStatus.COMPLETE, JobStatus.ERROR, JobStatus.STOPPED})


class Timestamp(NamedTuple):
    """A moment as the platform gave it: the true one may be up to `resolution` seconds later, since it cuts digits."""

    moment: datetime
    resolution: float

    def __str__(self) -> str:
        """Give it as the outputs do: ISO 8601, whole seconds, with `Z`."""
        return f"{self.moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


class Job(NamedTuple):
    """A job as the platform last reported it; what it left out is None.

    `status` is the platform's word, one of `JobStatus` or not. `attempt` counts how often it was started over.
    `message` is the platform's on how it ended. `links` maps a relation to its `href` as it was sent: see `links.py`
    for which of them may be called.
    """

    id: str
    status: str
    type: str | None = None
    created: Timestamp | None = None
    started: Timestamp | None = None
    ended: Timestamp | None = None
    exit_code: int | None = None
    commit_id: str | None = None
    attempt: int | None = None
    message: str | None = None
    links: Mapping[str, str] = MappingProxyType({})

    @property
    def is_over(self) -> bool:
        """Whether the job has ended; one with an unknown status has if it has an end and cannot be withdrawn."""
        if self.status in list(JobStatus):
            return self.status in _FINAL
        return self.ended is not None and WITHDRAW not in self.links

    @property
    def has_succeeded(self) -> bool:
        """Whether the job has done what it was for."""
        return self.status == JobStatus.COMPLETE

    @property
    def duration(self) -> int | None:
        """Whole seconds from the start (else the creation) to the end; None while either is unknown."""
        begin = self.started or self.created
        if begin is None or self.ended is None or self.ended.moment < begin.moment:
            return None
        return int((self.ended.moment - begin.moment).total_seconds())


def parse_job(value: object) -> Job:
    """Read a job from parsed JSON.

    Raises:
        InvalidResponse: if it is no object with a usable `id` and a `status`.
    """
    if not isinstance(value, dict):
        raise InvalidResponse("expected a job")
    job_id, status, commit = value.get("id"), _text(value.get("status")), _text(value.get("commitId"))
    if not isinstance(job_id, str) or not ID.fullmatch(job_id):
        raise InvalidResponse("expected a job with an id")
    if status is None:
        raise InvalidResponse("expected a job with a status")
    return Job(
        id=job_id,
        status=status.upper() if status.upper() in list(JobStatus) else status,
        type=_text(value.get("type")),
        created=parse_timestamp(value.get("created")),
        started=parse_timestamp(value.get("startTime")),
        ended=parse_timestamp(value.get("endTime")),
        exit_code=_number(value.get("exitCode")),
        commit_id=commit if commit and _COMMIT.fullmatch(commit) else None,
        attempt=_number(value.get("attempt")),
        message=_text(value.get("message"), _LONGEST_MESSAGE),
        links=_links(value.get("_links")),
    )


def parse_timestamp(value: object) -> Timestamp | None:
    """Read an ISO 8601 timestamp; one without a zone is UTC. None if it is none, or a date alone."""
    if not isinstance(value, str) or len(value) <= len("2026-01-31"):
        return None
    try:
        local = datetime.fromisoformat(value)
        moment = (local if local.tzinfo else local.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    fraction = value.replace(",", ".").partition(".")[2]
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    return Timestamp(moment, resolution=10.0 ** -min(digits, 6))


def _text(value: object, limit: int = _LONGEST_TEXT) -> str | None:
    return value[:limit] if isinstance(value, str) and value.strip() else None


def _number(value: object) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and abs(value) <= _LARGEST_NUMBER else None  # type: ignore[arg-type,return-value]


def _links(value: object) -> dict[str, str]:
    """Give the first `href` of each relation: HAL allows one link object, or a list of them."""
    links = {}
    for relation, found in value.items() if isinstance(value, dict) else ():
        link = found[0] if isinstance(found, list) and found else found
        href = link.get("href") if isinstance(link, dict) else None
        if isinstance(href, str) and len(href) <= _LONGEST_LINK and not link.get("templated"):
            links[relation] = href
    return links
