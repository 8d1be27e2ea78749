"""What a step comes to under each fault of each call: the contract's Behaviour, as a table.

The expectations are the contract's, kind by kind; which fault is of which kind stands in `faults`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from matatika_simulator import constants
from tests.integration.faults.faults import FAULTS, Fault, Kind

# Seconds.
OUTAGE: Final = 300.0
TIMEOUT: Final = 5.0

_API_KEY: Final = {"client-id": constants.CLIENT_ID, "client-secret": constants.CLIENT_SECRET, "token": ""}


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


_LOG: Final = [
    {"text": "Déployé: un"},
    {"at": "2s", "text": "deux"},
    {"at": "20s", "text": "trois", "unfinished": True},
]
_QUICK: Final = {"job": {"runs": "0.5s", "log": _LOG}}
_QUEUED: Final = {"job": {"queued": "forever"}, "withdrawal": {"queued": 409}}
_TIMED: Final = {**_API_KEY, "timeout": f"{TIMEOUT:.0f}s"}

STORIES: Final[Mapping[str, Story]] = {
    "token": Story(_QUICK, _API_KEY),
    "trigger": Story(_QUICK, _API_KEY),
    "webhook": Story(_QUICK, {**_API_KEY, "deployment-secret": constants.DEPLOYMENT_SECRET}),
    # The answer to the trigger is lost.
    "jobs": Story(_QUICK, _API_KEY),
    "job": Story(_QUICK, _API_KEY),
    "logs": Story({"job": {"runs": "30s", "log": _LOG}}, {**_API_KEY, "logs": "stream"}),
    "withdraw": Story({"job": {"runs": "forever"}}, _TIMED, code=4),
    # The withdrawal of a job that is queued is refused.
    "delete": Story(_QUEUED, _TIMED, code=4),
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
    lasting: tuple[float, float] = (0.0, 150.0)
    """The step takes at least and at most so many seconds."""
    tells: tuple[str, ...] = ()
    """What the error, or else the warning, says; `{job}` is the job's id."""
    leaves_running: bool = False
    """Whether a job runs on when the step has ended it, or tried to."""
    warnings: int = 0


# Five minutes of backoff are at least so many attempts and at most so many, be they silent for 30 s or quick to fail.
_MANY: Final = (5, 150)
_GAVE_UP: Final = (OUTAGE - 20, OUTAGE + 130)
_OPEN: Final = "may have been queued"
_RUNNING: Final = "may be running still"


def _once(code: int, requests: int = 2, **more: Any) -> Expected:
    return Expected("tried again", code, (requests, requests), **more)


def _at_once(said: str, code: int, requests: int = 1, **more: Any) -> Expected:
    return Expected(said, code, (requests, requests), **more)


def _gives_up(**more: Any) -> Expected:
    return Expected("tried for 5 minutes, then exit 3", 3, _MANY, lasting=_GAVE_UP, **more)


def _safe_call(**of_failure: Any) -> dict[tuple[Kind, When], Expected]:
    """What holds for a call that can be repeated, and without which the step cannot go on."""
    failed: dict[str, Any] = {"code": 3, **of_failure}
    unsent: dict[str, Any] = {**of_failure, "lasting": _GAVE_UP}
    rules = {
        (Kind.UNREACHABLE, When.ONCE): _once(0, requests=1),
        (Kind.UNREACHABLE, When.ALWAYS): Expected("tried for 5 minutes, then exit 3", 3, (0, 0), **unsent),
        (Kind.LATER, When.ONCE): _at_once("exit 3 at once", **failed),
        (Kind.UNAUTHORISED, When.ONCE): _at_once("a new token, once", 0, 2),
        (Kind.UNAUTHORISED, When.ALWAYS): _at_once("a new token, once, then exit 3", requests=2, **failed),
        (Kind.HARMLESS, When.ONCE): _at_once("nothing happens", 0),
    }
    for kind in (Kind.LOST, Kind.SILENT, Kind.NONSENSE, Kind.BUSY):
        rules[kind, When.ONCE] = _once(0)
        rules[kind, When.ALWAYS] = _gives_up(**of_failure)
    for kind in (Kind.REFUSED, Kind.MISSING, Kind.CONFLICT, Kind.REDIRECTED):
        rules[kind, When.ONCE] = _at_once("exit 3 at once", **failed)
    return rules


def _trigger() -> dict[tuple[Kind, When], Expected]:
    """What holds for the call that must not simply be repeated."""
    rules = _safe_call(jobs=0)
    for kind in (Kind.LOST, Kind.SILENT, Kind.NONSENSE):
        rules[kind, When.ONCE] = Expected("listed, then tried again", 0, (2, 2))
        rules[kind, When.ONCE_AFTER_EFFECT] = _at_once("listed and adopted", 0)
        rules[kind, When.ALWAYS_AFTER_EFFECT] = _at_once("listed and adopted", 0)
    rules[Kind.CONFLICT, When.ONCE] = Expected("listed, then tried once more", 0, (2, 2))
    rules[Kind.CONFLICT, When.ALWAYS] = Expected("listed, tried once more, then exit 3", 3, (2, 2), jobs=0)
    return rules


def _log() -> dict[tuple[Kind, When], Expected]:
    """What holds for the log, which never changes how the step ends."""
    rules = {
        (Kind.LATER, When.ONCE): Expected("read again later", 0, (2, 40)),
        (Kind.HARMLESS, When.ONCE): Expected("nothing happens", 0, (2, 60)),
        (Kind.UNREACHABLE, When.ONCE): Expected("read again", 0, (2, 40)),
        # Then the job cannot be seen either.
        (Kind.UNREACHABLE, When.ALWAYS): Expected(
            "tried for 5 minutes, then exit 3", 3, (0, 0), tells=("{job}", _RUNNING), lasting=_GAVE_UP
        ),
        (Kind.UNAUTHORISED, When.ONCE): Expected("a new token", 0, (2, 60)),
        (Kind.UNAUTHORISED, When.ALWAYS): Expected("one warning", 0, (2, 60), warnings=1),
        (Kind.MISSING, When.ONCE): Expected("read again, in the first 10 s", 0, (2, 60)),
        (Kind.MISSING, When.ALWAYS): Expected("one warning", 0, (2, 60), warnings=1),
    }
    for kind in (Kind.LOST, Kind.SILENT, Kind.BUSY):
        rules[kind, When.ONCE] = Expected("read again", 0, (2, 60))
        rules[kind, When.ALWAYS] = Expected("one warning", 0, (2, 60), warnings=1)
    for kind in (Kind.REFUSED, Kind.CONFLICT, Kind.REDIRECTED):
        rules[kind, When.ONCE] = Expected("one warning", 0, (1, 1), warnings=1)
    return rules


def _ending(done: str) -> dict[tuple[Kind, When], Expected]:
    """What holds for the withdrawal and the deletion: 10 s, and the exit code of whatever they end."""
    ended: dict[str, Any] = {"code": 4, "tells": ("{job}", done)}
    left: dict[str, Any] = {"code": 4, "leaves_running": True, "tells": ("{job}", _RUNNING)}
    persistent = "tried until 10 s are over, then reported"
    rules = {
        (Kind.UNREACHABLE, When.ONCE): _once(requests=1, **ended),
        (Kind.UNREACHABLE, When.ALWAYS): Expected(persistent, requests=(0, 0), **left),
        # 30 s of silence are longer than all that is left.
        (Kind.SILENT, When.ONCE): _at_once("reported", **left),
        (Kind.LATER, When.ONCE): _at_once("reported", **left),
        (Kind.UNAUTHORISED, When.ONCE): _at_once("a new token, once", requests=2, **ended),
        (Kind.UNAUTHORISED, When.ALWAYS): _at_once("a new token, once, then reported", requests=2, **left),
        (Kind.HARMLESS, When.ONCE): _at_once("nothing happens", **ended),
        # The status alone counts: the platform's reference knows several forms of this answer.
        (Kind.NONSENSE, When.ONCE_AFTER_EFFECT): _at_once("nothing happens", **ended),
        (Kind.LOST, When.ONCE_AFTER_EFFECT): _once(**ended),
    }
    for kind in (Kind.LOST, Kind.BUSY):
        rules[kind, When.ONCE] = _once(**ended)
        rules[kind, When.ALWAYS] = Expected(persistent, requests=(1, 40), **left)
    for kind in (Kind.REFUSED, Kind.MISSING, Kind.CONFLICT, Kind.REDIRECTED):
        rules[kind, When.ONCE] = _at_once("reported", **left)
    return rules


_OF_JOB: Final = {
    # A status that is not known is not the end: one more look.
    (Kind.HARMLESS, When.ONCE): Expected("nothing happens", 0, (1, 2)),
    (Kind.MISSING, When.ONCE): Expected("tried again, in the first 10 s", 0, (2, 2)),
    (Kind.MISSING, When.ALWAYS): Expected(
        "tried again for 10 s, then exit 3", 3, (2, 60), tells=("{job}", _RUNNING), lasting=(10, 30)
    ),
}
_NO_TOKEN_TO_RENEW: Final = {
    (Kind.UNAUTHORISED, When.ONCE): _at_once("exit 3 at once", 3, jobs=0),
    (Kind.UNAUTHORISED, When.ALWAYS): _at_once("exit 3 at once", 3, jobs=0),
}

EXPECTED: Final[Mapping[str, Mapping[tuple[Kind, When], Expected]]] = {
    "token": _safe_call(jobs=0) | _NO_TOKEN_TO_RENEW,
    "trigger": _trigger(),
    "webhook": _trigger() | _NO_TOKEN_TO_RENEW,
    "jobs": _safe_call(tells=(_OPEN,)),
    "job": _safe_call(tells=("{job}", _RUNNING)) | _OF_JOB,
    "logs": _log(),
    "withdraw": _ending("was withdrawn"),
    "delete": _ending("was deleted"),
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
    """Every fault of every call, at every request that makes a difference."""
    for call, rules in EXPECTED.items():
        for fault in FAULTS:
            if call not in fault.calls:
                continue
            for (kind, when), expected in rules.items():
                if kind is fault.kind and (fault.lasts or not when.is_always):
                    yield Row(call, fault, when, expected)
