"""Breaks the peer as a row of the table says, and checks what came of it against what is expected."""

from collections.abc import Callable
from typing import Final

from matatika_simulator import JobState, Simulator
from tests.integration.faults.faults import Kind
from tests.integration.faults.table import TIMEOUT, Expected, Row
from tests.support import secrecy
from tests.support.peer import Behaviour, Exchange, Peer, Request, after_effect, relay, reset, then_refuse
from tests.support.step import Result

_NAMES: Final = {"known": "jobs", "plan": "pipelines", "ready": "pipelines", "earlier-runs": "runs"}
# Lists that are read again after the answer to this call was lost.
_AFTER_A_LOST_ANSWER: Final = {"jobs": "trigger", "runs": "run"}
# Before their first request, the same is asked for once.
_FIRST: Final = {"jobs": 2, "runs": 2, "ready": 2}
_OUTCOMES: Final = {0: "success", 3: "error", 4: "timed-out"}


def break_as(row: Row, peer: Peer) -> None:
    """Script the peer."""
    if row.fault.kind is Kind.UNREACHABLE:
        _refuse_before(row, peer)
        return
    if row.call in _AFTER_A_LOST_ANSWER:
        peer.on(_AFTER_A_LOST_ANSWER[row.call], after_effect(reset), {1})
    behaviour = row.fault.make(row.call)
    if row.when.has_effect:
        behaviour = after_effect(behaviour)
    first = _FIRST.get(row.call, 1)
    peer.on(_name(row.call), behaviour, range(first, 1_000_000) if row.when.is_always else {first})


def check(row: Row, result: Result, peer: Peer, simulator: Simulator) -> None:
    """Assert that the step ended as it should, asked as often as it should, and gave nothing away."""
    assert result.code == row.expected.code
    least, most = row.expected.requests
    requests = _requests(row, peer)
    assert least <= len(requests) <= most
    is_short = row.call in ("known", "plan", "pipelines", "earlier-runs")
    if row.fault.pause and not (is_short and row.when.is_always):
        first, second = requests[:2]
        assert row.fault.pause <= second.at - first.at < row.fault.pause * 1.25 + 0.1
    assert not peer.was_called_elsewhere()
    secrecy.check(result, (), peer.bearers())
    _check_deployments(row, result, simulator.jobs)
    _check_report(row.expected, result, simulator.jobs)


def _requests(row: Row, peer: Peer) -> list[Request]:
    """The requests of the call, without those of the same address for another purpose."""
    requests = peer.calls(_name(row.call))[_FIRST.get(row.call, 1) - 1 :]
    triggers = peer.calls("trigger")
    if row.call == "pipelines" and triggers:
        return [request for request in requests if request.at <= triggers[0].at]
    return requests


def _refuse_before(row: Row, peer: Peer) -> None:
    """Refuse connections from right before the first request of the call on."""
    seconds = None if row.when.is_always else 2.0 if row.call in ("withdraw", "delete") else 20.0
    if row.call == "token":
        peer.refuse(seconds)
    elif row.call in ("known", "plan", "pipelines"):
        peer.on("token", then_refuse(2.0), {1})
    elif row.call in ("trigger", "webhook"):
        peer.on("jobs", then_refuse(seconds), {1})
    elif row.call in _AFTER_A_LOST_ANSWER:
        peer.on(_AFTER_A_LOST_ANSWER[row.call], then_refuse(seconds, after_effect(reset)), {1})
    elif row.call == "ready":
        peer.on("job", _refuse_at_the_end(seconds))
    elif row.call == "earlier-runs":
        peer.on("pipelines", then_refuse(2.0), {2})
    elif row.call == "run":
        peer.on("runs", then_refuse(seconds), {1})
    elif row.call in ("job", "logs"):
        peer.on("trigger", then_refuse(seconds), {1})
    elif row.call == "withdraw":
        peer.on("job", _once(lambda: peer.clock is not None and peer.clock.passed >= TIMEOUT, then_refuse(seconds)))
    else:
        peer.on("job", _once(lambda: peer.count("withdraw") > 0, then_refuse(seconds)))


def _name(call: str) -> str:
    """The peer's name of a call."""
    return _NAMES.get(call, call)


def _refuse_at_the_end(seconds: float | None) -> Behaviour:
    """Refuse connections from the answer on in which the job is over, once."""
    has_refused = False

    def behave(exchange: Exchange) -> None:
        nonlocal has_refused
        data = exchange.platform_answer()
        if b'"COMPLETE"' in data and not has_refused:
            has_refused = True
            exchange.peer.refuse(seconds)
        exchange.send(data)

    return behave


def _once(condition: Callable[[], bool], behaviour: Behaviour) -> Behaviour:
    """Misbehave once a condition holds."""

    def behave(exchange: Exchange) -> None:
        (behaviour if condition() else relay)(exchange)

    return behave


def _check_deployments(row: Row, result: Result, jobs: list[JobState]) -> None:
    """As many deployments as there should be, and none that is left running without a word."""
    assert [job.type for job in jobs].count("WORKSPACE_DEPLOY") == row.expected.jobs
    assert [job.type for job in jobs].count("PIPELINE_RUN") == row.expected.runs
    running = [job for job in jobs if job.ended is None]
    if row.call in ("withdraw", "delete"):
        assert bool(running) == row.expected.leaves_running
    for job in running:
        assert any(job.id in said or "may have been queued" in said for said in result.log.said("error"))


def _check_report(expected: Expected, result: Result, jobs: list[JobState]) -> None:
    """One error for a step that failed, none for one that did not, and the same story in every place."""
    errors, warnings = result.log.said("error"), result.log.said("warning")
    assert len(errors) == (0 if expected.code == 0 else 1)
    # The time that a silence takes may have passed while the workspace was read, too.
    warnings = [warning for warning in warnings if "Could not read the workspace within 10 s" not in warning]
    assert len(warnings) == expected.warnings
    for phrase in expected.tells:
        assert phrase.format(job=jobs[0].id if jobs else "") in errors[0]
    assert result.outputs["outcome"] == _OUTCOMES[expected.code]
    assert result.summary
    assert "Internal error" not in result.log.own
    assert "Traceback" not in result.log.own
    if expected.code == 0:
        assert result.outputs["status"] == "COMPLETE"
        assert result.outputs["job-id"] == jobs[0].id
