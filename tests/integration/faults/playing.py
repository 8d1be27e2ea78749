"""Plays a row of the table: breaks the peer as the row says, and holds what came of it against what is expected."""

from collections.abc import Callable
from typing import Final

from matatika_simulator import JobState, Simulator
from tests.integration.faults.faults import Kind
from tests.integration.faults.table import TIMEOUT, Expected, Row
from tests.support import secrecy
from tests.support.peer import Behaviour, Exchange, Peer, after_effect, relay, reset, then_refuse
from tests.support.step import Result

_OUTCOMES: Final = {0: "success", 3: "error", 4: "timed-out"}


def break_as(row: Row, peer: Peer) -> None:
    """Script the peer."""
    if row.fault.kind is Kind.UNREACHABLE:
        _refuse_before(row, peer)
        return
    if row.call == "jobs":
        peer.on("trigger", after_effect(reset), {1})
    behaviour = row.fault.make(row.call)
    if row.when.has_effect:
        behaviour = after_effect(behaviour)
    # The first list is the one before the trigger.
    first = 2 if row.call == "jobs" else 1
    peer.on(_name(row.call), behaviour, range(first, 1_000_000) if row.when.is_always else {first})


def check(row: Row, result: Result, peer: Peer, simulator: Simulator) -> None:
    """Assert that the step ended as it should, asked as often as it should, and gave nothing away."""
    assert result.code == row.expected.code
    least, most = row.expected.requests
    requests = peer.calls(_name(row.call))[1 if row.call == "jobs" else 0 :]
    assert least <= len(requests) <= most
    if row.fault.pause and not (row.call == "known" and row.when.is_always):
        first, second = requests[:2]
        assert row.fault.pause <= second.at - first.at < row.fault.pause * 1.25 + 0.1
    assert not peer.was_called_elsewhere()
    secrecy.check(result, (), peer.bearers())
    _check_deployments(row, result, simulator.jobs)
    _check_report(row.expected, result, simulator.jobs)


def _refuse_before(row: Row, peer: Peer) -> None:
    """Refuse connections from right before the first request of the call on."""
    seconds = None if row.when.is_always else 2.0 if row.call in ("withdraw", "delete") else 20.0
    if row.call == "token":
        peer.refuse(seconds)
    elif row.call == "known":
        peer.on("token", then_refuse(2.0), {1})
    elif row.call in ("trigger", "webhook"):
        peer.on("jobs", then_refuse(seconds), {1})
    elif row.call == "jobs":
        peer.on("trigger", then_refuse(seconds, after_effect(reset)), {1})
    elif row.call in ("job", "logs"):
        peer.on("trigger", then_refuse(seconds), {1})
    elif row.call == "withdraw":
        peer.on("job", _once(lambda: peer.clock is not None and peer.clock.passed >= TIMEOUT, then_refuse(seconds)))
    else:
        peer.on("job", _once(lambda: peer.count("withdraw") > 0, then_refuse(seconds)))


def _name(call: str) -> str:
    """The peer's name of a call."""
    return "jobs" if call == "known" else call


def _once(condition: Callable[[], bool], behaviour: Behaviour) -> Behaviour:
    """Misbehave once a condition holds."""

    def behave(exchange: Exchange) -> None:
        (behaviour if condition() else relay)(exchange)

    return behave


def _check_deployments(row: Row, result: Result, jobs: list[JobState]) -> None:
    """As many deployments as there should be, and none that is left running without a word."""
    assert len(jobs) == row.expected.jobs
    running = [job for job in jobs if job.ended is None]
    if row.call in ("withdraw", "delete"):
        assert bool(running) == row.expected.leaves_running
    for job in running:
        assert any(job.id in said or "may have been queued" in said for said in result.log.said("error"))


def _check_report(expected: Expected, result: Result, jobs: list[JobState]) -> None:
    """One error for a step that failed, none for one that did not, and the same story in every place."""
    errors, warnings = result.log.said("error"), result.log.said("warning")
    assert len(errors) == (0 if expected.code == 0 else 1)
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
