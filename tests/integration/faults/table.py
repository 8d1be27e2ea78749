"""What a step comes to under each fault of each call: the contract's Behaviour, as a table.

The expectations are the contract's, kind by kind; which fault is of which kind stands in `faults`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
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


class Expected(NamedTuple):
    """How such a step ends: in words, with an exit code, and after at least and at most so many requests of the call.

    It is `lasting` at least and at most so many seconds, and its error `tells` all of that; `{job}` is the job's id.
    `jobs` are the deployments that are really queued, all told, and `runs` those of the pipeline.
    """

    said: str
    code: int
    requests: tuple[int, int] = (1, 1)
    lasting: tuple[float, float] = (0.0, 150.0)
    warnings: int = 0
    tells: tuple[str, ...] = ()
    jobs: int = 1
    runs: int = 0

    def __str__(self) -> str:
        """For people, in RELIABILITY.md."""
        least, most = self.requests
        count = f", {least} request{'' if least == 1 else 's'}" if least == most and least else ""
        return f"{self.said}: exit {self.code}{count}"

    def at(self, call: str) -> "Expected":
        """The same, with what depends on the call alone."""
        if self.code == 0:
            return self._replace(runs=1 if STORIES[call] is _RUN else 0)
        if self.code == 4:
            done = {"withdraw": "was withdrawn", "delete": "was deleted"}[call]
            return self._replace(tells=("{job}", RUNNING if self.said.endswith("reported") else done))
        jobs, runs, tells = _FAILED.get(call, (1, 0, ()))
        return self._replace(jobs=jobs, runs=runs, tells=self.tells + tells)


RUNNING: Final = "may be running still"
_OPEN: Final = "may have been queued"
_SUCCEEDED: Final = "The deployment itself succeeded."
# What there is of a step that failed at a call: deployments, runs of the pipeline, and what its error tells.
_FAILED: Final[Mapping[str, tuple[int, int, tuple[str, ...]]]] = {
    **dict.fromkeys(("token", "known", "trigger", "webhook", "pipelines"), (0, 0, ())),
    **dict.fromkeys(("job", "logs"), (1, 0, ("{job}", RUNNING))),
    **dict.fromkeys(("ready", "earlier-runs"), (1, 0, (_SUCCEEDED,))),
    "jobs": (1, 0, (_OPEN,)),
    "runs": (1, 1, (_OPEN, _SUCCEEDED)),
}
_GAVE_UP: Final = (280.0, 430.0)
# Five minutes of backoff are at least so many attempts and at most so many.
_MANY: Final = (20, 150)

_NOT_SENT: Final = Expected("tried again", 0)
_AGAIN: Final = _NOT_SENT._replace(requests=(2, 2))
_NEW_TOKEN: Final = _AGAIN._replace(said="tried again with a new token")
_5_MINUTES: Final = Expected("tried for 5 minutes", 3, _MANY, _GAVE_UP)
_UNREACHABLE: Final = _5_MINUTES._replace(requests=(0, 0))
_AT_ONCE: Final = Expected("an error at once", 3)
_AS_IT_IS: Final = Expected("taken as it is", 0)
_10_S: Final = Expected("tried for 10 s, then done without", 0, (3, 40), (9.0, 30.0))
_REPEATED: Final = Expected("repeated after 15 s, if no list shows it", 0, (2, 2), warnings=1)
_IN_VAIN: Final = Expected("repeated for 5 minutes", 3, (8, 25), _GAVE_UP, 1)
_FOUND: Final = Expected("found in the list", 0)
_OTHER: Final = Expected("tried again, since no list shows another", 0, (2, 2))
_2_MINUTES: Final = Expected("tried for 2 minutes, since no list shows another", 3, (20, 110), (110, 140), 0, (SAID,))
_EARLY: Final = Expected("tried again, in the first 10 s", 0, (2, 2))
_READ: Final = Expected("read again", 0, (2, 60))
_WARNED: Final = Expected("a warning", 0, (2, 60), warnings=1)
_ENDED: Final = Expected("tried again", 4, (2, 2))
_REPORTED: Final = Expected("reported", 4)
_NOT_ENDED: Final = Expected("tried until 10 s are over, and reported", 4, (1, 40))
_NO_PLAN: Final = Expected("no plan", 0)


class Rule(NamedTuple):
    """What kinds of faults come to at some calls: what is expected in the order of `When`; None if it is not tried."""

    calls: str
    kinds: str
    ends: tuple[Expected | None, ...]


_REFUSALS: Final = "LATER REFUSED IN_FRONT MISSING CONFLICT REDIRECTED"
_NO_TRIGGERS: Final = "token jobs ready runs"
_TRIGGERS: Final = "trigger webhook run"
_LISTS: Final = "known earlier-runs"
_ENDINGS: Final = "withdraw delete"

RULES: Final = (
    # Calls that can be repeated, and without which the step cannot go on.
    Rule("token trigger webhook jobs job ready run runs", "UNREACHABLE", (_NOT_SENT, _UNREACHABLE)),
    Rule(_NO_TRIGGERS, "LOST NONSENSE BUSY", (_AGAIN, _5_MINUTES)),
    Rule("token jobs job ready runs", "SILENT", (_AGAIN,)),
    Rule("token jobs pipelines ready runs", _REFUSALS, (_AT_ONCE,)),
    Rule("token webhook", "UNAUTHORISED", (_AT_ONCE, _AT_ONCE)),
    Rule("token known trigger webhook jobs job plan pipelines ready earlier-runs run runs", "HARMLESS", (_AS_IT_IS,)),
    # The step can do without some lists, unless nothing else would succeed either: what refuses connections for long,
    # refuses the trigger's too.
    Rule("known plan pipelines earlier-runs", "UNREACHABLE", (_NOT_SENT,)),
    Rule(_LISTS, "LOST NONSENSE BUSY", (_AGAIN, _10_S)),
    Rule(_LISTS, "SILENT LATER REFUSED IN_FRONT CONFLICT REDIRECTED", (Expected("done without", 0),)),
    Rule(
        "known trigger jobs job pipelines ready earlier-runs run runs",
        "UNAUTHORISED",
        (_NEW_TOKEN, _NEW_TOKEN._replace(code=3)),
    ),
    Rule(_LISTS, "MISSING", (_AT_ONCE,)),
    # The calls that must not simply be repeated.
    Rule(_TRIGGERS, "LOST NONSENSE", (_REPEATED, _IN_VAIN, _FOUND, _FOUND)),
    Rule(_TRIGGERS, "SILENT", (_REPEATED, None, _FOUND)),
    Rule(_TRIGGERS, "BUSY", (_AGAIN, _5_MINUTES)),
    Rule(_TRIGGERS, "LATER REFUSED IN_FRONT MISSING REDIRECTED", (_AT_ONCE,)),
    Rule(_TRIGGERS, "CONFLICT", (_OTHER, _2_MINUTES)),
    # A job that is followed.
    Rule("job", "LOST NONSENSE BUSY IN_FRONT", (_AGAIN, _5_MINUTES)),
    Rule("job", "LATER REFUSED CONFLICT REDIRECTED", (_AT_ONCE,)),
    Rule("job", "MISSING", (_EARLY, _EARLY._replace(code=3, requests=(2, 60), lasting=(10, 30)))),
    # The log never changes how the step ends, unless the job cannot be seen either.
    Rule("logs", "UNREACHABLE", (_READ, _UNREACHABLE)),
    Rule("logs", "LOST BUSY UNAUTHORISED IN_FRONT", (_READ, _WARNED)),
    Rule("logs", "SILENT", (_READ,)),
    Rule("logs", "LATER", (_READ._replace(said="read again when the job is over"),)),
    Rule("logs", "REFUSED CONFLICT REDIRECTED", (_WARNED._replace(requests=(1, 1)),)),
    Rule("logs", "MISSING", (_READ._replace(said="read again, in the first 10 s"), _WARNED)),
    Rule("logs", "HARMLESS", (_AS_IT_IS._replace(requests=(2, 60)),)),
    # What ends a job has 10 s, and the exit code of whatever ends the step; 30 s of silence are longer than that.
    Rule(_ENDINGS, "UNREACHABLE", (_ENDED._replace(requests=(1, 1)), _NOT_ENDED._replace(requests=(0, 0)))),
    Rule(_ENDINGS, "LOST", (_ENDED, _NOT_ENDED, _ENDED)),
    Rule(_ENDINGS, f"SILENT {_REFUSALS}", (_REPORTED,)),
    # The status alone counts: the platform's reference knows several forms of this answer.
    Rule(_ENDINGS, "NONSENSE", (None, None, _AS_IT_IS._replace(code=4))),
    Rule(_ENDINGS, "BUSY", (_ENDED, _NOT_ENDED)),
    Rule(
        _ENDINGS,
        "UNAUTHORISED",
        (
            _NEW_TOKEN._replace(code=4),
            _NEW_TOKEN._replace(said="tried again with a new token, and reported", code=4),
        ),
    ),
    Rule(_ENDINGS, "HARMLESS", (_AS_IT_IS._replace(code=4),)),
    # The plan, and the list without which no pipeline can be run.
    Rule("plan", "LOST NONSENSE BUSY", (_AGAIN, _10_S._replace(said="no plan"))),
    Rule("plan", f"SILENT {_REFUSALS}", (_NO_PLAN,)),
    Rule("plan", "UNAUTHORISED", (_NEW_TOKEN, _NO_PLAN._replace(requests=(2, 2)))),
    Rule("pipelines", "LOST NONSENSE BUSY", (_AGAIN, _10_S._replace(said="tried for 10 s", code=3))),
    Rule("pipelines", "SILENT", (_AT_ONCE._replace(said="an error after 10 s"),)),
)


def expected_at(call: str) -> dict[tuple[Kind, When], Expected]:
    """What is expected of each kind of fault of a call."""
    return {
        (Kind[kind], when): end.at(call)
        for rule in RULES
        for kind in rule.kinds.split()
        for when, end in zip(When, rule.ends, strict=False)
        if end and call in rule.calls.split()
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
    trigger = expected_at("trigger")
    for turn, call in enumerate(STORIES):
        alike: defaultdict[tuple[When, Expected], list[Fault]] = defaultdict(list)
        for fault in FAULTS:
            for (kind, when), expected in expected_at(call).items():
                # An outage of minutes has hundreds of requests: of two calls that are triggers, one has it.
                is_known = call == "webhook" and when.is_always and trigger.get((kind, when)) == expected
                if kind is fault.kind and fault.can_happen_to(call) and not is_known:
                    alike[when, expected].append(fault)
        for (when, expected), faults in alike.items():
            for number, fault in enumerate(faults):
                # What can happen to few calls does happen to them.
                if number == turn % len(faults) or (fault.calls and not when.is_always):
                    yield Row(call, fault, when, expected)
