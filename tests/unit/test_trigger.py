"""One job for one step: what is known before, what is ours afterwards, and what is never sent twice."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from matatika_deploy.errors import DeploymentUnknown, RequestRejected
from matatika_deploy.platform.job import WORKSPACE_DEPLOY
from matatika_deploy.platform.jobs import Jobs
from matatika_deploy.platform.responses import Failure, Request, Response, TransportError
from matatika_deploy.platform.trigger import Target, Trigger, TriggeredJob, known_jobs
from matatika_deploy.runtime.cancellation import CancelScope, DeadlineExceeded
from matatika_deploy.runtime.limits import DEFAULT
from tests.support import platform
from tests.support.clock import FakeClock

PATH = "/workspaces/w/jobs"


class Workspace:
    """A workspace's jobs on a platform whose clock may be wrong, and that may or may not page and sort."""

    def __init__(self, skew: float = 0.0, *, pages: bool = True, sorts: bool = True) -> None:
        self._skew, self._pages, self._sorts = skew, pages, sorts
        self.jobs: list[dict[str, Any]] = []
        self.unlisted_until = 0.0
        """Until this moment of the clock, jobs that were queued by a trigger are in no list, nor in the first few."""
        self.unlisted_lists = 1000
        self.sent: list[float] = []
        """When triggers arrived."""
        self.listed: list[int] = []
        """The pages that were asked for."""
        self.clock = FakeClock()
        self.reports = platform.Reports()
        self.scope = CancelScope(self.clock, deadline=1800)
        self.client = platform.make_client(self.clock, self._answer, self.scope, self.reports)

    def add(self, job_id: str, age: float = 0.0, status: str = "COMPLETE", kind: str = WORKSPACE_DEPLOY) -> None:
        """Put a job into the list that was created so many seconds ago by the platform's clock."""
        created = datetime.fromtimestamp(self._now() - age, UTC).replace(tzinfo=None).isoformat()
        self.jobs.append({"id": job_id, "status": status, "type": kind, "created": created})

    def add_others(self, ages: Sequence[float]) -> None:
        for number, age in enumerate(ages):
            self.add(f"job-{number}", age)

    def end(self, job_id: str) -> None:
        next(job for job in self.jobs if job["id"] == job_id)["status"] = "COMPLETE"

    def accept(self, status: int = 202, body: object = None) -> Response:
        """Queue a job, and answer with it, or with something else."""
        self.add("ours", status="QUEUED")
        self.jobs[-1]["is_triggered"] = True
        return self.respond(status, self.jobs[-1] if body is None else body)

    def lose(self) -> Response:
        """Queue a job, and lose the answer."""
        self.accept()
        return self.drop()

    def drop(self) -> Response:
        """Lose the request."""
        raise TransportError(Failure.CONNECTION_LOST)

    def refuse(self, status: int = 409) -> Response:
        return self.respond(status, {"status": status, "message": "Conflict"})

    def respond(self, status: int, body: object) -> Response:
        headers = {"Content-Type": "application/json", "Date": formatdate(self._now(), usegmt=True)}
        return platform.respond(self.clock, status, json.dumps(body).encode(), headers)

    def trigger(self, *answers: Callable[[], Response], lists_first: bool = True, has_list: bool = True) -> Trigger:
        """What triggers as a step does; `answers` are made to the requests, the last to all further ones."""
        self._triggers = [*answers]
        request = Request("trigger the deployment", "POST", f"{platform.API_URL}/workspaces/w/deployments")
        trigger = Trigger(self.client, Target(request, PATH if has_list else None, WORKSPACE_DEPLOY), DEFAULT)
        if has_list and lists_first:
            trigger.known = known_jobs(Jobs(self.client), PATH)
            self.clock.advance(1)
        return trigger

    def run(self, *answers: Callable[[], Response], **lists: bool) -> TriggeredJob:
        return self.trigger(*answers, **lists).run()

    def assert_deployed(self, *answers: Callable[[], Response], sent: int = 1) -> None:
        """Assert that so many requests lead to a job that is ours."""
        found = self.run(*answers)
        assert (found.job.id, found.is_ours, len(self.sent)) == ("ours", True, sent)

    def _now(self) -> float:
        return self.clock.now() + self._skew

    def _answer(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        if request.method == "POST":
            self.sent.append(self.clock.passed)
            return self._triggers.pop(0)() if len(self._triggers) > 1 else self._triggers[0]()
        if parts.path.endswith(PATH):
            return self._list(int(parse_qs(parts.query)["page"][0]))
        job_id = parts.path.rpartition("/")[2]
        return self.respond(200, next(job for job in self.jobs if job["id"] == job_id))

    def _list(self, number: int) -> Response:
        self.listed.append(number)
        is_hidden = self.clock.passed < self.unlisted_until and len(self.listed) <= self.unlisted_lists
        listed = [job for job in self.jobs if not (job.get("is_triggered") and is_hidden)]
        if self._sorts:
            listed.sort(key=lambda job: str(job["created"]), reverse=True)
        if not self._pages:
            return self.respond(200, {"_embedded": {"jobs": listed}})
        page = listed[20 * number : 20 * (number + 1)]
        facts = {"number": number, "totalPages": -(-len(listed) // 20), "size": 20, "totalElements": len(listed)}
        return self.respond(200, {"_embedded": {"jobs": page}, "page": facts} if page else {"page": facts})


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


MIXED = [number * 701 % 1021 + 100 for number in range(1020)]
FALLING = range(1000, 750, -1)


@pytest.mark.parametrize(
    ("way", "ages", "known", "since", "listed"),
    [
        ({}, [], 0, None, [0]),
        # Of a list that is sorted, the page with the newest jobs is enough ...
        ({}, FALLING, 20, 770, [0]),
        ({"sorts": False}, FALLING, 10, 760, [0, 12]),
        # ... and one of a single moment is not known to be sorted.
        ({}, [100] * 50, 50, None, [0, 1, 2]),
        ({"sorts": False}, MIXED[:100], 100, None, [0, 1, 2, 3, 4]),
        ({"pages": False}, FALLING, 250, None, [0]),
    ],
    ids=["empty", "newest first", "oldest first", "one moment", "unsorted", "one page"],
)
def test_list_before_the_trigger_is_read_as_far_as_needed(
    way: dict[str, Any], ages: Sequence[float], known: int, since: float | None, listed: list[int]
) -> None:
    workspace = Workspace(**way)
    workspace.add_others(ages)
    found = known_jobs(Jobs(workspace.client), PATH)
    assert found.ids == {f"job-{number}" for number in range(len(ages) - known, len(ages))}
    assert found.since == (pytest.approx(workspace.clock.now() - since) if since else None)
    assert workspace.listed == listed


@pytest.mark.parametrize(
    ("status", "body"), [(408, {}), (520, {}), (202, []), (202, {"id": "1"}), (202, {"id": "a/b", "status": "QUEUED"})]
)
def test_answer_that_leaves_it_open_is_looked_for_first(workspace: Workspace, status: int, body: object) -> None:
    workspace.assert_deployed(lambda: workspace.accept(status, body), workspace.accept)


@pytest.mark.parametrize("pages", [True, False])
@pytest.mark.parametrize("sorts", [True, False])
@pytest.mark.parametrize("others", [0, 30, 250])
def test_lost_job_is_found_among_others(pages: bool, sorts: bool, others: int) -> None:
    workspace = Workspace(pages=pages, sorts=sorts)
    workspace.add_others(range(5 + others, 5, -1))
    workspace.assert_deployed(workspace.lose)


def test_unsorted_list_that_is_too_long_to_be_read_cannot_tell() -> None:
    """The job may stand at its end: a second request could be a second deployment."""
    workspace = Workspace(sorts=False)
    workspace.add_others(MIXED)
    with pytest.raises(DeploymentUnknown, match="too long"):
        workspace.run(workspace.lose, workspace.accept)
    assert len(workspace.sent) == 1


@pytest.mark.parametrize("skew", [-86400.0, -55.0, 0.5, 3600.0])
def test_clock_of_the_platform_may_be_wrong(skew: float) -> None:
    workspace = Workspace(skew)
    workspace.add("before", age=10)
    workspace.assert_deployed(workspace.lose)


@pytest.mark.parametrize(("until", "lists", "sent"), [(14.0, 0, 1), (1000.0, 0, 2), (1000.0, 1, 3)])
def test_job_that_is_listed_late_is_found_even_when_it_is_in_the_way_of_another_request(
    workspace: Workspace, until: float, lists: int, sent: int
) -> None:
    def conflict() -> Response:
        workspace.unlisted_lists = min(workspace.unlisted_lists, len(workspace.listed) + lists)
        return workspace.refuse()

    workspace.unlisted_until = until
    workspace.assert_deployed(workspace.lose, conflict, sent=sent)
    assert workspace.clock.passed < 20


def test_request_is_repeated_after_fifteen_seconds_without_a_job_of_ours(workspace: Workspace) -> None:
    """An older one moves up to the first page, when others are deleted; and a pipeline's run is no deployment."""

    def drop() -> Response:
        del workspace.jobs[-2:]
        workspace.add("run", kind="PIPELINE_RUN")
        return workspace.drop()

    workspace.add_others(FALLING)
    workspace.assert_deployed(drop, workspace.accept, sent=2)
    first, second = workspace.sent
    assert 15 <= second - first < 18
    # About two seconds apart, the list from before the trigger besides.
    assert len(workspace.listed) == 9
    (warning,) = workspace.reports.warnings
    assert "Two deployments of the same commit may run" in warning


def test_job_that_was_queued_long_after_the_answer_was_lost_is_waited_for_as_somebody_s(workspace: Workspace) -> None:
    for job_id, begin, end in (("other", 0, 200), ("short", 100, 101), ("third", 190, 220)):
        workspace.clock.call_later(begin, partial(workspace.add, job_id, status="RUNNING"))
        workspace.clock.call_later(end, lambda job_id=job_id: workspace.end(job_id))  # type: ignore[misc]
    workspace.clock.advance(1)
    refused = [workspace.refuse] * 2
    workspace.assert_deployed(workspace.drop, *refused, workspace.drop, workspace.accept, sent=5)
    assert sum("Could trigger" in line for line in workspace.reports.lines) == 1


def test_job_that_an_answer_names_is_not_ours_if_it_was_listed_before(workspace: Workspace) -> None:
    workspace.add("other")
    assert not workspace.run(lambda: workspace.respond(202, workspace.jobs[0])).is_ours


def test_of_several_new_jobs_the_oldest_is_followed_and_never_withdrawn(workspace: Workspace) -> None:
    def lose_beside_another() -> Response:
        workspace.add("somebody-s", age=-0.5)
        return workspace.lose()

    found = workspace.run(lose_beside_another)
    assert (found.job.id, found.is_ours) == ("ours", False)
    assert "the oldest is followed" in workspace.reports.warnings[0]


@pytest.mark.parametrize(
    ("lists", "refusals", "age", "followed"),
    [
        ({}, 0, 55, "other"),
        # It may be somebody's that was queued, and so not listed, and in the way.
        ({}, 0, 65, None),
        ({}, 1, 5, None),
        ({"lists_first": False}, 0, 55, None),
        ({"lists_first": False}, 0, 120, "ours"),
        ({"has_list": False}, 0, 0, None),
    ],
)
def test_new_job_is_ours_in_doubt_or_somebody_s_by_its_age_and_the_list_before(
    workspace: Workspace, lists: dict[str, bool], refusals: int, age: float, followed: str | None
) -> None:
    def show_another() -> Response:
        workspace.add("other", age=age)
        return workspace.drop()

    answers = [*[workspace.refuse] * refusals, show_another, workspace.accept]
    if followed:
        assert workspace.run(*answers, **lists).job.id == followed
    else:
        with pytest.raises(DeploymentUnknown, match="lost" if "has_list" in lists else "other"):
            workspace.run(*answers, **lists)
    assert len(workspace.sent) == refusals + (2 if followed == "ours" else 1)


@pytest.mark.parametrize("is_listed_before", [True, False])
def test_job_in_the_way_is_waited_for_and_never_ours(workspace: Workspace, is_listed_before: bool) -> None:
    """It may have been queued after the list was read."""

    def run_another() -> None:
        workspace.add("other", status="RUNNING")
        workspace.add("third", status="COMPLETE")
        # Listed before the request is repeated, and so known.
        workspace.clock.call_later(60, partial(workspace.add, "fourth"))
        workspace.clock.call_later(90, lambda: workspace.end("other"))

    def conflict() -> Response:
        if not is_listed_before:
            run_another()
        return workspace.refuse()

    if is_listed_before:
        run_another()
    workspace.assert_deployed(conflict, workspace.lose, sent=2)
    assert workspace.sent[1] >= 90
    assert "Job other is still RUNNING: waiting for its end." in workspace.reports.lines


@pytest.mark.parametrize(("has_list", "least", "most"), [(True, 119, 125), (False, 0, 0)])
def test_conflict_that_nothing_explains_lasts_two_minutes_at_most(
    workspace: Workspace, has_list: bool, least: float, most: float
) -> None:
    workspace.add("run", status="RUNNING", kind="PIPELINE_RUN")
    workspace.clock.call_later(500, lambda: workspace.end("run"))
    workspace.add_others(range(100, 80, -1))
    with pytest.raises(RequestRejected, match="Conflict") as caught:
        workspace.run(workspace.refuse, has_list=has_list)
    assert caught.value.title == "Another deployment is running"
    assert least <= workspace.sent[-1] - workspace.sent[0] <= most
    assert [line.split()[2] for line in workspace.reports.lines] == ["refuses", "still"] * has_list
    # Older jobs are looked at only once.
    assert workspace.listed.count(1) == has_list


def test_trigger_is_pending_from_its_request_until_its_job_is_followed(workspace: Workspace) -> None:
    trigger = workspace.trigger(workspace.accept)
    assert not trigger.pending
    assert trigger.resolve_pending(answer_within=0, listings=2) is None
    trigger.run()
    assert trigger.pending


@pytest.mark.parametrize("is_queued", [True, False])
@pytest.mark.parametrize(("deadline", "sent"), [(5.0, 1), (30.0, 15)])
def test_job_of_a_lost_trigger_is_found_later_if_there_is_one(
    workspace: Workspace, is_queued: bool, deadline: float, sent: int
) -> None:
    """The deadline comes while the list does not show it yet."""
    trigger = workspace.trigger(workspace.lose if is_queued else workspace.drop, workspace.refuse)
    workspace.unlisted_until = deadline + 5
    workspace.scope.deadline = deadline
    with pytest.raises(DeadlineExceeded):
        trigger.run()
    workspace.scope.begin_shutdown(deadline + 20, grace_after_signal=1, handled_signals=0)
    workspace.clock.advance(6)
    found = trigger.resolve_pending(answer_within=0, listings=2)
    assert (found.job.id if found else None) == ("ours" if is_queued else None)
    assert trigger.pending
    assert len(workspace.sent) <= sent
