"""What a step comes to under each fault of each call: the contract's Behaviour, as a table.

The expectations are the contract's, kind by kind; which fault is of which kind stands in `faults`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from matatika_simulator import constants
from tests.integration.faults.faults import FAULTS, Fault, Kind

# Seconds.
OUTAGE: Final = 300.0
TIMEOUT: Final = 3.0

# Every character of these that an encoding changes makes one more form in which they must not show.
_CLIENT_SECRET: Final = "s3cret+/=&?%41:~ü"
_DEPLOYMENT_SECRET: Final = "dépl0yment/+=%25&"
_SECRETS: Final = {
    "tokens": {"client-secret": _CLIENT_SECRET},
    "workspace": {"deployment-secret": _DEPLOYMENT_SECRET},
}
_API_KEY: Final = {"client-id": constants.CLIENT_ID, "client-secret": _CLIENT_SECRET, "token": ""}


class When(StrEnum):
    """Which requests of the call the fault happens to, and whether the platform does what they ask for."""

    ONCE = "once"
    ALWAYS = "always"
    ONCE_AFTER_EFFECT = "once, after the effect"
    ALWAYS_AFTER_EFFECT = "always, after the effect"

    @property
    def is_always(self) -> bool:
        """Whether it happens to every request."""
        return self in (When.ALWAYS, When.ALWAYS_AFTER_EFFECT)

    @property
    def has_effect(self) -> bool:
        """Whether the platform does what it is asked for before things go wrong."""
        return self in (When.ONCE_AFTER_EFFECT, When.ALWAYS_AFTER_EFFECT)


@dataclass(frozen=True)
class Story:
    """The step in which a call is made: without a fault it ends with `code`, after one request of that call."""

    scenario: Mapping[str, Any]
    inputs: Mapping[str, str]
    code: int = 0
    has_files: bool = False
    """Whether there is a checkout, from which a plan can be made."""


_LOG: Final = [
    {"text": "Déployé: un"},
    {"at": "2s", "text": "deux"},
    {"at": "9s", "text": "trois", "unfinished": True},
]
_QUICK: Final = {**_SECRETS, "job": {"runs": "0.5s", "log": _LOG}}
_QUEUED: Final = {**_SECRETS, "job": {"queued": "forever"}, "withdrawal": {"queued": 409}}
_PIPELINE: Final = {**_QUICK, "pipelines": [{"name": "a", "job": {"runs": "0.5s"}}]}
_RUNS: Final = {**_API_KEY, "run-pipelines": "a"}
_TIMED: Final = {**_API_KEY, "timeout": f"{TIMEOUT:.0f}s"}

STORIES: Final[Mapping[str, Story]] = {
    "token": Story(_QUICK, _API_KEY),
    "trigger": Story(_QUICK, _API_KEY),
    "webhook": Story(_QUICK, {**_API_KEY, "deployment-secret": _DEPLOYMENT_SECRET}),
    # The list before the trigger, and the one after its answer was lost.
    "known": Story(_QUICK, _API_KEY),
    "jobs": Story(_QUICK, _API_KEY),
    "job": Story(_QUICK, _API_KEY),
    "logs": Story({**_SECRETS, "job": {"runs": "12s", "log": _LOG}}, {**_API_KEY, "logs": "stream"}),
    "withdraw": Story({**_SECRETS, "job": {"runs": "forever"}}, _TIMED, code=4),
    # The withdrawal of a job that is queued is refused.
    "delete": Story(_QUEUED, _TIMED, code=4),
    "plan": Story(_QUICK, {**_API_KEY, "preflight": "warn"}, has_files=True),
    # The list before the deployment, and the one after it.
    "pipelines": Story(_PIPELINE, _RUNS),
    "ready": Story(_PIPELINE, _RUNS),
    # The list before the run, and the one after its answer was lost.
    "earlier-runs": Story(_PIPELINE, _RUNS),
    "run": Story(_PIPELINE, _RUNS),
    "runs": Story(_PIPELINE, _RUNS),
}


@dataclass(frozen=True)
class Expected:
    """How such a step ends."""

    said: str
    """For people, in RELIABILITY.md."""
    code: int
    requests: tuple[int, int]
    """At least and at most so many of the call."""
    jobs: int = 1
    """Deployments that are really queued, all told."""
    runs: int = 0
    """The same of runs of the pipeline."""
    lasting: tuple[float, float] = (0.0, 150.0)
    """The step takes at least and at most so many seconds."""
    tells: tuple[str, ...] = ()
    """What the error says; `{job}` is the job's id."""
    leaves_running: bool = False
    """Whether a job runs on although the step has tried to end it."""
    warnings: int = 0


Rules = dict[tuple[Kind, When], Expected]

# Five minutes of backoff are at least so many attempts and at most so many.
_MANY: Final = (20, 150)
_GAVE_UP: Final = (OUTAGE - 20, OUTAGE + 130)
_OPEN: Final = "may have been queued"
_RUNNING: Final = "may be running still"
_DEPLOYED: Final = "The deployment itself succeeded."


def _after(requests: int, said: str, code: int, **more: Any) -> Expected:
    """Expect an end after exactly so many requests."""
    return Expected(said, code, (requests, requests), **more)


def _for_minutes(**more: Any) -> Expected:
    return Expected("tried for 5 minutes", 3, _MANY, lasting=_GAVE_UP, **more)


def _safe_call(**failed: Any) -> Rules:
    """What holds for a call that can be repeated, and without which the step cannot go on."""
    rules = {
        (Kind.UNREACHABLE, When.ONCE): _after(1, "tried again", 0),
        (Kind.UNREACHABLE, When.ALWAYS): _after(0, "tried for 5 minutes", 3, lasting=_GAVE_UP, **failed),
        (Kind.SILENT, When.ONCE): _after(2, "tried again", 0),
        (Kind.UNAUTHORISED, When.ONCE): _after(2, "tried again with a new token", 0),
        (Kind.UNAUTHORISED, When.ALWAYS): _after(2, "tried again with a new token", 3, **failed),
        (Kind.HARMLESS, When.ONCE): _after(1, "taken as it is", 0),
    }
    for kind in (Kind.LOST, Kind.NONSENSE, Kind.BUSY):
        rules[kind, When.ONCE] = _after(2, "tried again", 0)
        rules[kind, When.ALWAYS] = _for_minutes(**failed)
    for kind in (Kind.LATER, Kind.REFUSED, Kind.IN_FRONT, Kind.MISSING, Kind.CONFLICT, Kind.REDIRECTED):
        rules[kind, When.ONCE] = _after(1, "an error at once", 3, **failed)
    return rules


def _known() -> Rules:
    """What holds for the list before the trigger: the step can do without, unless nothing else would succeed either."""
    rules = _safe_call(jobs=0)
    for kind in (Kind.UNREACHABLE, Kind.LOST, Kind.NONSENSE, Kind.BUSY):
        rules.pop((kind, When.ALWAYS))
    for kind in (Kind.LOST, Kind.NONSENSE, Kind.BUSY):
        rules[kind, When.ALWAYS] = Expected("tried for 10 s, then done without", 0, (3, 40))
    for kind in (Kind.SILENT, Kind.LATER, Kind.REFUSED, Kind.IN_FRONT, Kind.CONFLICT, Kind.REDIRECTED):
        rules[kind, When.ONCE] = _after(1, "done without", 0)
    return rules


def _plan() -> Rules:
    """What holds for the plan, which the step can do without, whatever keeps it from being made."""
    rules = {}
    for (kind, when), expected in _known().items():
        is_made = kind is Kind.HARMLESS or (when is When.ONCE and expected.said.startswith("tried again"))
        said = expected.said if is_made else "no plan"
        rules[kind, when] = replace(expected, said=said, code=0, jobs=1, tells=())
    return rules


def _pipelines() -> Rules:
    """What holds for the list before the deployment, without which no pipeline can be run."""
    rules = _known()
    for (kind, when), expected in rules.items():
        if expected.said.endswith("done without"):
            said = "tried for 10 s" if when is When.ALWAYS else "an error at once"
            rules[kind, when] = replace(expected, said=said, code=3, jobs=0)
    rules[Kind.SILENT, When.ONCE] = replace(rules[Kind.SILENT, When.ONCE], said="an error after 10 s")
    return _then_run(rules)


def _then_run(rules: Rules, *, failed: int = 0) -> Rules:
    """Expect a run of the pipeline after a deployment; `failed` is how many there are if the step fails."""
    return {key: replace(expected, runs=1 if expected.code == 0 else failed) for key, expected in rules.items()}


def _run() -> Rules:
    """What holds for the run: the same as for the trigger, after a deployment that succeeded."""
    rules = _then_run(_trigger())
    return {key: replace(expected, jobs=1) for key, expected in rules.items()}


def _trigger() -> Rules:
    """What holds for the call that must not simply be repeated."""
    rules = _safe_call(jobs=0)
    for kind in (Kind.LOST, Kind.SILENT, Kind.NONSENSE):
        rules[kind, When.ONCE] = _after(2, "repeated after 15 s, if no list shows it", 0, warnings=1)
        rules[kind, When.ONCE_AFTER_EFFECT] = _after(1, "found in the list", 0)
    for kind in (Kind.LOST, Kind.NONSENSE):
        rules[kind, When.ALWAYS_AFTER_EFFECT] = _after(1, "found in the list", 0)
        rules[kind, When.ALWAYS] = Expected("repeated for 5 minutes", 3, (8, 25), lasting=_GAVE_UP, jobs=0, warnings=1)
    rules[Kind.CONFLICT, When.ONCE] = _after(2, "tried again, since no list shows another", 0)
    rules[Kind.CONFLICT, When.ALWAYS] = Expected(
        "tried for 2 minutes, since no list shows another", 3, (20, 110), lasting=(110, 140), jobs=0
    )
    return rules


def _log() -> Rules:
    """What holds for the log, which never changes how the step ends."""
    warned: dict[str, Any] = {"code": 0, "requests": (2, 60), "warnings": 1}
    rules = {
        (Kind.UNREACHABLE, When.ONCE): Expected("read again", 0, (2, 60)),
        # Then the job cannot be seen either.
        (Kind.UNREACHABLE, When.ALWAYS): _after(
            0, "tried for 5 minutes", 3, tells=("{job}", _RUNNING), lasting=_GAVE_UP
        ),
        (Kind.SILENT, When.ONCE): Expected("read again", 0, (2, 60)),
        (Kind.LATER, When.ONCE): Expected("read again when the job is over", 0, (2, 60)),
        (Kind.UNAUTHORISED, When.ONCE): Expected("read again", 0, (2, 60)),
        (Kind.UNAUTHORISED, When.ALWAYS): Expected("a warning", **warned),
        (Kind.MISSING, When.ONCE): Expected("read again, in the first 10 s", 0, (2, 60)),
        (Kind.MISSING, When.ALWAYS): Expected("a warning", **warned),
        (Kind.HARMLESS, When.ONCE): Expected("taken as it is", 0, (2, 60)),
    }
    for kind in (Kind.LOST, Kind.BUSY, Kind.IN_FRONT):
        rules[kind, When.ONCE] = Expected("read again", 0, (2, 60))
        rules[kind, When.ALWAYS] = Expected("a warning", **warned)
    for kind in (Kind.REFUSED, Kind.CONFLICT, Kind.REDIRECTED):
        rules[kind, When.ONCE] = _after(1, "a warning", 0, warnings=1)
    return rules


def _ending(done: str) -> Rules:
    """What holds for the withdrawal and the deletion: 10 s, and the exit code of whatever they end."""
    ended: dict[str, Any] = {"code": 4, "tells": ("{job}", done)}
    left: dict[str, Any] = {"code": 4, "leaves_running": True, "tells": ("{job}", _RUNNING)}
    rules = {
        (Kind.UNREACHABLE, When.ONCE): _after(1, "tried again", **ended),
        (Kind.UNREACHABLE, When.ALWAYS): _after(0, "tried until 10 s are over, and reported", **left),
        # 30 s of silence are longer than all that is left.
        (Kind.SILENT, When.ONCE): _after(1, "reported", **left),
        (Kind.LOST, When.ONCE_AFTER_EFFECT): _after(2, "tried again", **ended),
        # The status alone counts: the platform's reference knows several forms of this answer.
        (Kind.NONSENSE, When.ONCE_AFTER_EFFECT): _after(1, "taken as it is", **ended),
        (Kind.UNAUTHORISED, When.ONCE): _after(2, "tried again with a new token", **ended),
        (Kind.UNAUTHORISED, When.ALWAYS): _after(2, "tried again with a new token, and reported", **left),
        (Kind.HARMLESS, When.ONCE): _after(1, "taken as it is", **ended),
    }
    for kind in (Kind.LOST, Kind.BUSY):
        rules[kind, When.ONCE] = _after(2, "tried again", **ended)
        rules[kind, When.ALWAYS] = Expected("tried until 10 s are over, and reported", requests=(1, 40), **left)
    for kind in (Kind.LATER, Kind.REFUSED, Kind.IN_FRONT, Kind.MISSING, Kind.CONFLICT, Kind.REDIRECTED):
        rules[kind, When.ONCE] = _after(1, "reported", **left)
    return rules


_NO_TOKEN_TO_RENEW: Final[Rules] = {
    (Kind.UNAUTHORISED, When.ONCE): _after(1, "an error at once", 3, jobs=0),
    (Kind.UNAUTHORISED, When.ALWAYS): _after(1, "an error at once", 3, jobs=0),
}
_OF_A_JOB: Final[Rules] = {
    (Kind.IN_FRONT, When.ONCE): _after(2, "tried again", 0),
    (Kind.IN_FRONT, When.ALWAYS): _for_minutes(tells=("{job}", _RUNNING)),
    (Kind.MISSING, When.ONCE): _after(2, "tried again, in the first 10 s", 0),
    (Kind.MISSING, When.ALWAYS): Expected(
        "tried again, in the first 10 s", 3, (2, 60), tells=("{job}", _RUNNING), lasting=(10, 30)
    ),
}

EXPECTED: Final[Mapping[str, Rules]] = {
    "token": _safe_call(jobs=0) | _NO_TOKEN_TO_RENEW,
    "known": _known(),
    "trigger": _trigger(),
    "webhook": _trigger() | _NO_TOKEN_TO_RENEW,
    "jobs": _safe_call(tells=(_OPEN,)),
    "job": _safe_call(tells=("{job}", _RUNNING)) | _OF_A_JOB,
    "logs": _log(),
    "withdraw": _ending("was withdrawn"),
    "delete": _ending("was deleted"),
    "plan": _plan(),
    "pipelines": _pipelines(),
    "ready": _then_run(_safe_call(tells=(_DEPLOYED,))),
    "earlier-runs": _then_run(
        {
            key: replace(expected, jobs=1, tells=(_DEPLOYED,) if expected.code else ())
            for key, expected in _known().items()
        }
    ),
    "run": _run(),
    "runs": _then_run(_safe_call(tells=(_OPEN, _DEPLOYED)), failed=1),
}


@dataclass(frozen=True)
class Row:
    """One row of the suite."""

    call: str
    fault: Fault
    when: When
    expected: Expected

    def __str__(self) -> str:
        """For the test's name."""
        return f"{self.call}: {self.fault.name}, {self.when}"


def rows() -> Iterator[Row]:
    """A fault of every verdict of every call, at every request that makes a difference."""
    for call, rules in EXPECTED.items():
        for fault in FAULTS:
            if call not in fault.calls or not fault.in_steps:
                continue
            for (kind, when), expected in rules.items():
                if kind is fault.kind:
                    yield Row(call, fault, when, expected)
