"""What a step comes to under each fault of each call: the contract's Behaviour, as a table.

The expectations are the contract's, kind by kind; which fault is of which kind stands in `faults`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

from matatika_simulator import constants
from tests.integration.faults.faults import FAULTS, SAID, Fault, Kind

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
        return self in (When.ALWAYS, When.ALWAYS_AFTER_EFFECT)

    @property
    def has_effect(self) -> bool:
        return self in (When.ONCE_AFTER_EFFECT, When.ALWAYS_AFTER_EFFECT)


class Story(NamedTuple):
    """The step in which a call is made once, if nothing goes wrong."""

    scenario: Mapping[str, Any]
    inputs: Mapping[str, str]


_LOG: Final = [{"text": "Déployé: un"}, {"at": "2s", "text": "deux"}, {"at": "9s", "text": "trois", "unfinished": True}]
_QUICK: Final = {**_SECRETS, "job": {"runs": "0.5s"}}
_PIPELINE: Final = {**_QUICK, "pipelines": [{"name": "a", "job": {"runs": "0.5s"}}]}
_DEPLOYED: Final = Story(_QUICK, _API_KEY)
_RUN: Final = Story(_PIPELINE, {**_API_KEY, "run-pipelines": "a"})
_TIMED: Final = {**_API_KEY, "timeout": "3s"}

STORIES: Final[Mapping[str, Story]] = {
    # The lists of jobs are those before the trigger, and after its answer was lost.
    **dict.fromkeys(("token", "known", "trigger", "jobs", "job"), _DEPLOYED),
    "webhook": Story(_QUICK, {**_API_KEY, "deployment-secret": _DEPLOYMENT_SECRET}),
    "logs": Story({**_SECRETS, "job": {"runs": "12s", "log": _LOG}}, {**_API_KEY, "logs": "stream"}),
    "withdraw": Story({**_SECRETS, "job": {"runs": "forever"}}, _TIMED),
    # The withdrawal of a job that is queued is refused.
    "delete": Story({**_SECRETS, "job": {"queued": "forever"}, "withdrawal": {"queued": 409}}, _TIMED),
    "plan": Story(_QUICK, {**_API_KEY, "preflight": "warn"}),
    # Those before and after the deployment, then before the run, and after its answer was lost.
    **dict.fromkeys(("pipelines", "ready", "earlier-runs", "run", "runs"), _RUN),
}


@dataclass(frozen=True)
class Expected:
    """How such a step ends: in words, with an exit code, and after at least and at most so many requests of the call.

    `jobs` are the deployments that are really queued, all told, and `runs` those of the pipeline. The step is `lasting`
    at least and at most so many seconds, and its error `tells` all of that; `{job}` is the job's id.
    """

    said: str
    code: int
    requests: tuple[int, int]
    jobs: int = 1
    runs: int = 0
    lasting: tuple[float, float] = (0.0, 150.0)
    tells: tuple[str, ...] = ()
    warnings: int = 0

    def __str__(self) -> str:
        """For people, in RELIABILITY.md."""
        least, most = self.requests
        count = f", {least} request{'' if least == 1 else 's'}" if least == most and least else ""
        return f"{self.said}: exit {self.code}{count}"


Rules = dict[tuple[Kind, When], Expected]

RUNNING: Final = "may be running still"
# Five minutes of backoff are at least so many attempts and at most so many.
_MANY: Final = (20, 150)
_GAVE_UP: Final = (280, 430)
_OPEN: Final = "may have been queued"
_SUCCEEDED: Final = "The deployment itself succeeded."
_REFUSALS: Final = (Kind.LATER, Kind.REFUSED, Kind.IN_FRONT, Kind.MISSING, Kind.CONFLICT, Kind.REDIRECTED)
_FAILURES: Final = (Kind.LOST, Kind.NONSENSE, Kind.BUSY)


def _after(requests: int, said: str, code: int, **more: Any) -> Expected:
    """Expect an end after exactly so many requests."""
    return Expected(said, code, (requests, requests), **more)


def _rules(kinds: tuple[Kind, ...], **of_whens: Expected) -> Rules:
    """Give kinds the same rules, one for each `When` by its name."""
    return {(kind, When[when]): expected for kind in kinds for when, expected in of_whens.items()}


def _safe_call(**failed: Any) -> Rules:
    """What holds for a call that can be repeated, and without which the step cannot go on."""
    gone = _after(0, "tried for 5 minutes", 3, lasting=_GAVE_UP, **failed)
    renewed = _after(2, "tried again with a new token", 0)
    return {
        **_rules((Kind.UNREACHABLE,), ONCE=_after(1, "tried again", 0), ALWAYS=gone),
        **_rules((Kind.SILENT, *_FAILURES), ONCE=_after(2, "tried again", 0)),
        **_rules(_FAILURES, ALWAYS=replace(gone, requests=_MANY)),
        **_rules((Kind.UNAUTHORISED,), ONCE=renewed, ALWAYS=replace(renewed, code=3, **failed)),
        **_rules(_REFUSALS, ONCE=_after(1, "an error at once", 3, **failed)),
        **_rules((Kind.HARMLESS,), ONCE=_after(1, "taken as it is", 0)),
    }


def _known() -> Rules:
    """What holds for the list before the trigger: the step can do without, unless nothing else would succeed either."""
    rules = _safe_call(jobs=0)
    # Whatever refuses connections for so long refuses the trigger's too.
    del rules[Kind.UNREACHABLE, When.ALWAYS]
    without = tuple(kind for kind in (Kind.SILENT, *_REFUSALS) if kind is not Kind.MISSING)
    return {
        **rules,
        **_rules(_FAILURES, ALWAYS=Expected("tried for 10 s, then done without", 0, (3, 40), lasting=(9.0, 30.0))),
        **_rules(without, ONCE=_after(1, "done without", 0)),
    }


def _plan() -> Rules:
    """What holds for the plan, which the step can do without, whatever keeps it from being made."""
    rules = {}
    for (kind, when), expected in _known().items():
        is_made = kind is Kind.HARMLESS or (when is When.ONCE and expected.said.startswith("tried again"))
        said = expected.said if is_made else "no plan"
        rules[kind, when] = replace(expected, said=said, code=0, jobs=1)
    return rules


def _pipelines() -> Rules:
    """What holds for the list before the deployment, without which no pipeline can be run."""
    rules = _known()
    for (kind, when), expected in rules.items():
        if expected.said.endswith("done without"):
            said = "tried for 10 s" if when is When.ALWAYS else "an error at once"
            said = "an error after 10 s" if kind is Kind.SILENT else said
            rules[kind, when] = replace(expected, said=said, code=3, jobs=0)
    return _then_run(rules)


def _then_run(rules: Rules, *, failed: int = 0, **more: Any) -> Rules:
    """Expect a run of the pipeline after a deployment; `failed` is how many there are if the step fails."""
    return {
        key: replace(expected, runs=1, **more | {"tells": ()})
        if expected.code == 0
        else replace(expected, runs=failed, **more)
        for key, expected in rules.items()
    }


def _trigger() -> Rules:
    """What holds for the call that must not simply be repeated."""
    is_open = (Kind.LOST, Kind.SILENT, Kind.NONSENSE)
    repeated = _after(2, "repeated after 15 s, if no list shows it", 0, warnings=1)
    for_minutes = Expected("repeated for 5 minutes", 3, (8, 25), jobs=0, lasting=_GAVE_UP, warnings=1)
    found = _after(1, "found in the list", 0)
    unexplained = "tried for 2 minutes, since no list shows another"
    return {
        **_safe_call(jobs=0),
        **_rules(is_open, ONCE=repeated, ONCE_AFTER_EFFECT=found),
        **_rules((Kind.LOST, Kind.NONSENSE), ALWAYS=for_minutes, ALWAYS_AFTER_EFFECT=found),
        **_rules(
            (Kind.CONFLICT,),
            ONCE=_after(2, "tried again, since no list shows another", 0),
            ALWAYS=Expected(unexplained, 3, (20, 110), jobs=0, lasting=(110, 140), tells=(SAID,)),
        ),
    }


def _log() -> Rules:
    """What holds for the log, which never changes how the step ends."""
    again = Expected("read again", 0, (2, 60))
    warned = replace(again, said="a warning", warnings=1)
    early = replace(again, said="read again, in the first 10 s")
    # Then the job cannot be seen either.
    gone = _after(0, "tried for 5 minutes", 3, tells=("{job}", RUNNING), lasting=_GAVE_UP)
    return {
        **_rules((Kind.UNREACHABLE,), ONCE=again, ALWAYS=gone),
        **_rules((Kind.SILENT,), ONCE=again),
        **_rules((Kind.LATER,), ONCE=replace(again, said="read again when the job is over")),
        **_rules((Kind.LOST, Kind.BUSY, Kind.IN_FRONT, Kind.UNAUTHORISED), ONCE=again, ALWAYS=warned),
        **_rules((Kind.MISSING,), ONCE=early, ALWAYS=warned),
        **_rules((Kind.REFUSED, Kind.CONFLICT, Kind.REDIRECTED), ONCE=_after(1, "a warning", 0, warnings=1)),
        **_rules((Kind.HARMLESS,), ONCE=replace(again, said="taken as it is")),
    }


def _ending(done: str) -> Rules:
    """What holds for the withdrawal and the deletion: 10 s, and the exit code of whatever they end."""
    again = _after(2, "tried again", 4, tells=("{job}", done))
    renewed = replace(again, said="tried again with a new token")
    taken = _after(1, "taken as it is", 4, tells=("{job}", done))
    reported = _after(1, "reported", 4, tells=("{job}", RUNNING))
    in_vain = replace(reported, said="tried until 10 s are over, and reported", requests=(1, 40))
    renewed_in_vain = replace(reported, said="tried again with a new token, and reported", requests=(2, 2))
    return {
        **_rules((Kind.UNREACHABLE,), ONCE=replace(again, requests=(1, 1)), ALWAYS=replace(in_vain, requests=(0, 0))),
        **_rules((Kind.LOST,), ONCE=again, ALWAYS=in_vain, ONCE_AFTER_EFFECT=again),
        **_rules((Kind.BUSY,), ONCE=again, ALWAYS=in_vain),
        # The status alone counts: the platform's reference knows several forms of this answer.
        **_rules((Kind.NONSENSE,), ONCE_AFTER_EFFECT=taken),
        **_rules((Kind.UNAUTHORISED,), ONCE=renewed, ALWAYS=renewed_in_vain),
        # 30 s of silence are longer than all that is left.
        **_rules((Kind.SILENT, *_REFUSALS), ONCE=reported),
        **_rules((Kind.HARMLESS,), ONCE=taken),
    }


def _job() -> Rules:
    """What holds for a job that is followed."""
    named: dict[str, Any] = {"tells": ("{job}", RUNNING)}
    rules = _safe_call(**named)
    early = _after(2, "tried again, in the first 10 s", 0)
    gone = replace(early, code=3, requests=(2, 60), lasting=(10, 30), **named)
    return {
        **rules,
        **_rules((Kind.IN_FRONT,), ONCE=rules[Kind.LOST, When.ONCE], ALWAYS=rules[Kind.LOST, When.ALWAYS]),
        **_rules((Kind.MISSING,), ONCE=early, ALWAYS=gone),
    }


_REFUSED_FOR_GOOD: Final = _after(1, "an error at once", 3, jobs=0)
_NO_TOKEN_TO_RENEW: Final = _rules((Kind.UNAUTHORISED,), ONCE=_REFUSED_FOR_GOOD, ALWAYS=_REFUSED_FOR_GOOD)

EXPECTED: Final[Mapping[str, Rules]] = {
    "token": _safe_call(jobs=0) | _NO_TOKEN_TO_RENEW,
    "known": _known(),
    "trigger": _trigger(),
    "webhook": _trigger() | _NO_TOKEN_TO_RENEW,
    "jobs": _safe_call(tells=(_OPEN,)),
    "job": _job(),
    "logs": _log(),
    "withdraw": _ending("was withdrawn"),
    "delete": _ending("was deleted"),
    "plan": _plan(),
    "pipelines": _pipelines(),
    "ready": _then_run(_safe_call(tells=(_SUCCEEDED,))),
    "earlier-runs": _then_run(_known(), jobs=1, tells=(_SUCCEEDED,)),
    "run": _then_run(_trigger(), jobs=1),
    "runs": _then_run(_safe_call(tells=(_OPEN, _SUCCEEDED)), failed=1),
}


class Row(NamedTuple):
    """One row of the suite."""

    call: str
    fault: Fault
    when: When
    expected: Expected

    def __str__(self) -> str:
        """For the test's name."""
        return f"{self.call}: {self.fault.name}, {self.when}"


def rows() -> Iterator[Row]:
    """Every rule of every call; of faults that come to the same at a call one, another at the next call."""
    for turn, (call, rules) in enumerate(EXPECTED.items()):
        alike: defaultdict[tuple[When, Expected], list[Fault]] = defaultdict(list)
        for fault in FAULTS:
            for (kind, when), expected in rules.items():
                # An outage of minutes has hundreds of requests: of two calls that are triggers, one has it.
                is_known = call == "webhook" and when.is_always and EXPECTED["trigger"].get((kind, when)) == expected
                if kind is fault.kind and fault.can_happen_to(call) and not is_known:
                    alike[when, expected].append(fault)
        for (when, expected), faults in alike.items():
            for number, fault in enumerate(faults):
                # What can happen to few calls does happen to them.
                if number == turn % len(faults) or (fault.calls and not when.is_always):
                    yield Row(call, fault, when, expected)
