"""What the platform is to do, as a value, and how it is read from a YAML file. README.md shows every key.

The classes are the format: a field `exit_code` is the key `exit-code`. A key that is none of them is a mistake.
"""

import base64
import math
import re
import uuid
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from matatika_simulator import constants
from matatika_simulator.log import Log, numbered_lines

_JobCall = Literal["trigger", "webhook", "jobs", "job", "logs", "withdraw", "delete"]
Call = Literal["token", _JobCall, "workspace", "pipelines", "run", "runs"]
CALLS: Final[tuple[Call, ...]] = get_args(Call)
"""The names of the calls, as they stand in scenarios and in the journal."""

DEPLOYMENT: Final = "WORKSPACE_DEPLOY"

_FOLDER: Final = Path(__file__).parent / "scenarios"
_DURATION: Final = re.compile(r"(-)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


class ScenarioError(ValueError):
    """A scenario that cannot be played. The message names the place and what was expected there."""


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if value == "forever":
        return math.inf
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not any(match.groups()[1:]):
        raise ValueError("expected a duration such as 250ms, 1.5s or 1h30m")
    hours, minutes, seconds, thousandths = (float(group or 0) for group in match.groups()[1:])
    size = hours * 3600 + minutes * 60 + seconds + thousandths / 1000
    return -size if match[1] else size


def _call_names(value: object) -> object:
    if value == "all":
        return list(CALLS)
    return [value] if isinstance(value, str) else value


# Seconds.
_Offset = Annotated[float, BeforeValidator(_seconds), Field(allow_inf_nan=False)]
_Duration = Annotated[_Offset, Field(ge=0)]
_Endless = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
_Uuid = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_Bytes = Annotated[bytes, BeforeValidator(lambda value: base64.b64decode(value, validate=True))]
_Count = Annotated[int, Field(ge=1)]
_Size = Annotated[int, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=lambda name: name.replace("_", "-")
    )


class LogItem(_Section):
    """Something that a job writes: `text`, or the bytes of `base64`, or so many numbered `lines`."""

    at: _Duration | None = None
    text: str | None = None
    unfinished: bool = False
    base64: _Bytes | None = None
    lines: _Count | None = None
    over: _Duration = 0.0
    line_bytes: _Size = 0

    def writes(self, at: float) -> list[tuple[float, bytes]]:
        """The times of its writes, and what they write, if its first is at that time."""
        if self.lines is not None:
            lines = numbered_lines(self.lines, self.text or "line {n}", self.line_bytes)
            if not self.over:
                return [(at, b"".join(lines))]
            return [(at + self.over * number / self.lines, line) for number, line in enumerate(lines)]
        if self.base64 is not None:
            return [(at, self.base64)]
        text = self.text or ""
        return [(at, (text if self.unfinished or text.endswith("\n") else text + "\n").encode())]


class Plan(_Section):
    """What a job will do if nobody stops it."""

    queued: _Endless = 0.0
    runs: _Endless = 1.0
    ends: str = "COMPLETE"
    exit_code: int | None = None
    commit_id: str | None = constants.COMMIT_ID
    fields: dict[str, Any] = {}
    log: list[LogItem] = []

    @cached_property
    def writes(self) -> Log:
        """The log as a function of time."""
        writes: list[tuple[float, bytes]] = []
        at = 0.0
        for item in self.log:
            at = at if item.at is None else item.at
            writes += item.writes(at)
            at += item.over
        return Log(writes)

    @cached_property
    def final_exit_code(self) -> int | None:
        """The exit code of a job that ends by itself."""
        given = "exit_code" in self.model_fields_set
        return self.exit_code if given else {"COMPLETE": 0, "ERROR": 1}.get(self.ends)


class OtherJob(Plan):
    """A job that somebody else triggers."""

    type: str = DEPLOYMENT
    at: _Offset = 0.0
    since: Literal["start", "first-trigger"] = "start"
    workspace_id: _Uuid | None = None
    pipeline: str | None = None


class Workspace(_Section):
    """A workspace."""

    id: _Uuid = constants.WORKSPACE_ID
    deployment_secret: str = constants.DEPLOYMENT_SECRET
    fields: dict[str, Any] = {}


class OtherWorkspace(Workspace):
    """Another workspace, whose deployments may do something else."""

    id: _Uuid
    job: Plan | None = None


class Pipeline(_Section):
    """A pipeline of the workspace, and what deployments do to it."""

    name: str
    status: Literal["DRAFT", "PROVISIONING", "READY", "FAILED"] = "READY"
    triggered_by: list[str] = []
    fields: dict[str, Any] = {}
    on_deploy: Literal["create", "change", "delete"] | None = None
    changes: dict[str, Any] = {}
    configuration: Plan = Plan()
    job: Plan = Plan()

    @property
    def id(self) -> str:
        """Its id, which follows from its name."""
        return str(uuid.uuid5(uuid.UUID(constants.WORKSPACE_ID), self.name))


class Logs(_Section):
    """How logs are handed out while the job has not ended. `held`: the stream stays open until then."""

    stream: Literal["ends", "held"] = "ends"
    empty: Literal[200, 204] = 200


class Deployments(_Section):
    """What becomes of a trigger while a deployment of the same workspace is queued or running."""

    while_another_runs: Literal["refuse", "queue"] = "refuse"


class PipelineRuns(_Section):
    """The answer to a run of a pipeline that runs already, or that is not ready."""

    refused_with: Literal[400, 409] = 409


class Lists(_Section):
    """Whether lists honour `page`, `size` and `sort`; if not, all there is, oldest first."""

    paging: bool = True


class Withdrawal(_Section):
    """How withdrawals are answered."""

    queued: Literal["accept", 409] = "accept"
    takes: _Duration = 0.0


class Tokens(_Section):
    """Who may sign in, and how long an issued token lasts."""

    client_secret: str = constants.CLIENT_SECRET
    audience: str | None = None
    expires_after: _Duration = 86_400.0
    expires_after_uses: _Size | None = None


class Answers(_Section):
    """What answers look like where the platform is known to vary."""

    old: bool = False
    hrefs: str = "absolute"
    """`absolute`, `without-port`, `relative`, or an API root such as https://host/api."""
    link_lists: bool = False
    fraction_digits: Annotated[int, Field(ge=0, le=9)] = 6


class RateLimit(_Section):
    """Beyond so many requests in so many seconds, the gateway answers 429."""

    requests: _Count
    per: _Duration = 1.0
    retry_after: _Size = 1


class Selection(_Section):
    """Which requests of a call are meant, counted from 1 for each call; every condition must hold."""

    numbers: list[_Count] | None = None
    first: _Count | None = None
    every: _Count = 1
    during: Annotated[list[_Endless], Field(min_length=2, max_length=2)] | None = None

    def matches(self, number: int, elapsed: float | None) -> bool:
        """Whether the `number`th request is meant, `elapsed` seconds after the first trigger (None: before it)."""
        if self.during is not None and (elapsed is None or not self.during[0] <= elapsed < self.during[1]):
            return False
        if self.numbers is not None and number not in self.numbers:
            return False
        return number <= (self.first or math.inf) and number % self.every == 0


class Body(_Section):
    """The body of an answer that the scenario makes up; by default the API's own error body with this message."""

    api: str = "Simulated fault"
    text: str | None = None


class Fault(_Section):
    """One thing that goes wrong. Without `status`, `drop`, `hang` and `expire-token` the true answer is given."""

    calls: Annotated[list[Call], BeforeValidator(_call_names), Field(min_length=1)]
    requests: Selection = Selection()
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: Literal["html"] | Body = Body()
    headers: dict[str, Annotated[str, BeforeValidator(str)]] = {}
    drop: Literal["close", "reset"] | None = None
    hang: bool = False
    expire_token: bool = False
    after: bool = False
    delay: _Duration = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        kinds = [self.status is not None, self.drop is not None, self.hang, self.expire_token]
        if sum(kinds) > 1 or not (any(kinds) or self.delay):
            raise ValueError("expected one of status, drop, hang and expire-token, or delay")
        return self


class Scenario(_Section):
    """All of it."""

    description: str = ""
    job: Plan = Plan()
    workspace: Workspace = Workspace()
    other_workspaces: list[OtherWorkspace] = []
    pipelines: list[Pipeline] = []
    other_jobs: list[OtherJob] = []
    deployments: Deployments = Deployments()
    pipeline_runs: PipelineRuns = PipelineRuns()
    lists: Lists = Lists()
    logs: Logs = Logs()
    withdrawal: Withdrawal = Withdrawal()
    tokens: Tokens = Tokens()
    answers: Answers = Answers()
    clock_skew: _Offset = 0.0
    """Seconds by which the platform's clock is ahead of the real time."""
    rate_limit: RateLimit | None = None
    faults: list[Fault] = []


def names() -> list[str]:
    """The scenarios that come with the simulator."""
    return sorted(path.stem for path in _FOLDER.glob("*.yml"))


def load(source: "str | Path | Mapping[str, Any]") -> Scenario:
    """The scenario of that name, in that file, or with that content.

    Raises `ScenarioError` if there is none, or if it cannot be played.
    """
    try:
        return Scenario.model_validate(_read(source, Path.cwd()))
    except yaml.YAMLError as error:
        raise ScenarioError(f"scenario {source}: not YAML: {error}") from None
    except ValidationError as error:
        said = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()]
        raise ScenarioError(f"scenario {source}: {'; '.join(said)}") from None


def _read(source: "str | Path | Mapping[str, Any]", folder: Path) -> Any:
    """The content, with what it is based on merged in."""
    content: Any = source
    if isinstance(source, str | Path):
        path = _find(source, folder)
        content, folder = yaml.safe_load(path.read_text("utf-8")) or {}, path.parent
    if not isinstance(content, Mapping) or "based-on" not in content:
        return content
    content = dict(content)
    return _merge(_read(str(content.pop("based-on")), folder), content)


def _find(source: str | Path, folder: Path) -> Path:
    if isinstance(source, str) and source in names():
        return _FOLDER / f"{source}.yml"
    path = folder / source
    if not path.is_file():
        raise ScenarioError(f"scenario {source}: no such file, and no such name; names are {', '.join(names())}")
    return path


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: _merge(base[key], value) if key in base else value for key, value in over.items()}}
    return over
