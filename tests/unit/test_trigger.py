"""One job for one step: what is known before, what is ours afterwards, and what is never sent twice."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
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
JSON = {"Content-Type": "application/json"}


class Workspace:
    """A workspace's jobs on a platform whose clock may be wrong, and that may or may not page and sort."""

    def __init__(self, *, skew: float = 0.0, pages: bool = True, sorts: bool = True, tells_time: bool = True) -> None:
        self.clock = FakeClock()
        self.skew = skew
        self.pages = pages
        self.sorts = sorts
        self.tells_time = tells_time
        self.jobs: list[dict[str, Any]] = []
        """In the order in which they were queued."""
        self.unlisted_until = 0.0
        """Until this moment of the clock, jobs that were queued by a trigger are in no list."""
        self.triggers: list[Callable[[], Response]] = []
        """What becomes of the triggers, in turn; the last counts for all further ones."""
        self.sent: list[float] = []
        """When triggers arrived."""
        self.listed: list[int] = []
        """The pages that were asked for."""
        self.reports = platform.Reports()
        self.scope = CancelScope(self.clock, deadline=1800)
        self.client = platform.make_client(platform.make_platform(self.clock, self.reports), self.scope, self._answer)

    def add(self, job_id: str, age: float = 0.0, status: str = "COMPLETE", kind: str | None = WORKSPACE_DEPLOY) -> None:
        """Put a job into the list that was created so many seconds ago by the platform's clock."""
        created = datetime.fromtimestamp(self._now() - age, UTC).replace(tzinfo=None).isoformat()
        self.jobs.append({"id": job_id, "status": status, "type": kind, "created": created})

    def queue(self, job_id: str = "ours") -> dict[str, Any]:
        self.add(job_id, status="QUEUED")
        self.jobs[-1]["is_triggered"] = True
        return self.jobs[-1]

    def accept(self) -> Response:
        return self.respond(202, self.queue())

    def lose(self, job_id: str = "ours") -> Response:
        """Queue a job, and lose the answer."""
        self.queue(job_id)
        raise TransportError(Failure.CONNECTION_LOST)

    def drop(self) -> Response:
        """Lose the request."""
        raise TransportError(Failure.CONNECTION_LOST)

    def respond(self, status: int, body: object) -> Response:
        dates = {"Date": formatdate(self._now(), usegmt=True)} if self.tells_time else {}
        return platform.respond(self.clock, status, json.dumps(body).encode(), JSON | dates)

    def refuse(self, status: int) -> Response:
        return self.respond(status, {"status": status, "message": "Conflict"})

    def run(self, *triggers: Callable[[], Response], lists_first: bool = True, has_list: bool = True) -> TriggeredJob:
        """Trigger as a step does; `triggers` are what becomes of the requests."""
        self.triggers = list(triggers)
        trigger = self.make(has_list=has_list)
        if lists_first:
            trigger.known = known_jobs(Jobs(self.client), PATH)
            self.clock.advance(1)
        return trigger.run()

    def make(self, *, has_list: bool = True) -> Trigger:
        request = Request("trigger the deployment", "POST", f"{platform.API_URL}/workspaces/w/deployments")
        return Trigger(self.client, Target(request, PATH if has_list else None, WORKSPACE_DEPLOY), DEFAULT)

    def _now(self) -> float:
        return self.clock.now() + self.skew

    def _answer(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        if request.method == "POST":
            self.sent.append(self.clock.passed)
            return self.triggers.pop(0)() if len(self.triggers) > 1 else self.triggers[0]()
        if parts.path.endswith(PATH):
            return self._list(int(parse_qs(parts.query)["page"][0]))
        job_id = parts.path.rpartition("/")[2]
        return self.respond(200, next(job for job in self.jobs if job["id"] == job_id))

    def _list(self, number: int) -> Response:
        self.listed.append(number)
        listed = [job for job in self.jobs if not (job.get("is_triggered") and self.clock.passed < self.unlisted_until)]
        if self.sorts:
            listed = sorted(listed, key=lambda job: str(job["created"]), reverse=True)
        if not self.pages:
            return self.respond(200, {"_embedded": {"jobs": listed}})
        page = listed[20 * number : 20 * (number + 1)]
        total = -(-len(listed) // 20)
        facts = {"number": number, "totalPages": total, "size": 20, "totalElements": len(listed)}
        return self.respond(200, {"_embedded": {"jobs": page}, "page": facts} if page else {"page": facts})


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


class TestKnownJobs:
    """The list before the trigger."""

    def known(self, workspace: Workspace) -> frozenset[str]:
        return known_jobs(Jobs(workspace.client), PATH).ids

    def test_workspace_without_jobs_has_none(self, workspace: Workspace) -> None:
        assert known_jobs(Jobs(workspace.client), PATH) == (frozenset(), None)

    def test_first_page_of_a_sorted_list_is_enough(self, workspace: Workspace) -> None:
        for number in range(250):
            workspace.add(f"job-{number}", age=1000 - number)
        known = known_jobs(Jobs(workspace.client), PATH)
        assert known.ids == {f"job-{number}" for number in range(230, 250)}
        assert known.since == pytest.approx(workspace.clock.now() - 770)
        assert workspace.listed == [0]

    def test_every_page_of_an_unsorted_list_is_read(self) -> None:
        workspace = Workspace(sorts=False)
        for number in range(100):
            workspace.add(f"job-{number}", age=(number * 37) % 101)
        assert self.known(workspace) == {f"job-{number}" for number in range(100)}
        assert workspace.listed == [0, 1, 2, 3, 4]

    def test_list_of_one_moment_is_not_known_to_be_sorted(self, workspace: Workspace) -> None:
        for number in range(50):
            workspace.add(f"job-{number}", age=100)
        assert len(self.known(workspace)) == 50

    def test_platform_that_ignores_paging_is_asked_once(self) -> None:
        workspace = Workspace(pages=False)
        for number in range(250):
            workspace.add(f"job-{number}", age=1000 - number)
        assert len(self.known(workspace)) == 250
        assert workspace.listed == [0]

    def test_list_that_is_oldest_first_is_read_from_its_end(self) -> None:
        workspace = Workspace(sorts=False)
        for number in range(250):
            workspace.add(f"job-{number}", age=1000 - number)
        known = known_jobs(Jobs(workspace.client), PATH)
        assert known.ids == {f"job-{number}" for number in range(240, 250)}
        assert known.since == pytest.approx(workspace.clock.now() - 760)
        assert workspace.listed == [0, 12]


class TestAnswers:
    """What comes back decides."""

    def test_job_of_a_good_answer_is_ours(self, workspace: Workspace) -> None:
        found = workspace.run(workspace.accept)
        assert (found.job.id, found.is_ours, len(workspace.sent)) == ("ours", True, 1)

    @pytest.mark.parametrize("status", [425, 429, 503])
    def test_refusal_that_proves_that_nothing_was_queued_is_repeated(self, workspace: Workspace, status: int) -> None:
        found = workspace.run(lambda: workspace.refuse(status), workspace.accept)
        assert (found.job.id, len(workspace.sent)) == ("ours", 2)
        assert workspace.reports.warnings == []
        # Nothing was looked for: the only list is that from before the trigger.
        assert workspace.listed == [0]

    @pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 422, 301])
    def test_any_other_refusal_is_final(self, workspace: Workspace, status: int) -> None:
        with pytest.raises(RequestRejected):
            workspace.run(lambda: workspace.refuse(status))
        assert len(workspace.sent) == 1

    @pytest.mark.parametrize("status", [408, 500, 502, 504, 520])
    def test_answer_that_leaves_it_open_is_looked_for_first(self, workspace: Workspace, status: int) -> None:
        def queue_and_fail() -> Response:
            workspace.queue()
            return workspace.refuse(status)

        found = workspace.run(queue_and_fail, workspace.accept)
        assert (found.job.id, found.is_ours, len(workspace.sent)) == ("ours", True, 1)

    @pytest.mark.parametrize("body", [{}, [], "x", {"id": "a/b", "status": "QUEUED"}, {"id": "1"}])
    def test_good_answer_without_a_readable_job_leaves_it_open(self, workspace: Workspace, body: object) -> None:
        def queue_and_mumble() -> Response:
            workspace.queue()
            return workspace.respond(202, body)

        found = workspace.run(queue_and_mumble, workspace.accept)
        assert (found.job.id, len(workspace.sent)) == ("ours", 1)


class TestAdoption:
    """A job whose answer was lost is found in the list."""

    @pytest.mark.parametrize("pages", [True, False])
    @pytest.mark.parametrize("sorts", [True, False])
    @pytest.mark.parametrize("others", [0, 1, 30, 150])
    def test_lost_job_is_found_among_others(self, pages: bool, sorts: bool, others: int) -> None:
        workspace = Workspace(pages=pages, sorts=sorts)
        for number in range(others):
            workspace.add(f"job-{number}", age=5 + others - number)
        found = workspace.run(workspace.lose)
        assert (found.job.id, found.is_ours, len(workspace.sent)) == ("ours", True, 1)

    def test_lost_job_is_found_at_the_end_of_a_list_that_is_oldest_first(self) -> None:
        workspace = Workspace(sorts=False)
        for number in range(250):
            workspace.add(f"job-{number}", age=100_000 - number)
        found = workspace.run(workspace.lose, workspace.accept)
        assert (found.job.id, found.is_ours, len(workspace.sent)) == ("ours", True, 1)

    def test_unsorted_list_that_is_too_long_to_be_read_cannot_tell(self) -> None:
        """The job may stand at its end: a second request could be a second deployment."""
        workspace = Workspace(sorts=False)
        for number in range(1500):
            workspace.add(f"job-{number}", age=100_000 + (number * 701) % 1501)
        with pytest.raises(DeploymentUnknown, match="too long"):
            workspace.run(workspace.lose, workspace.accept)
        assert len(workspace.sent) == 1

    @pytest.mark.parametrize("skew", [0.0, -3600.0, 3600.0, -55.0, 55.0, 0.5, -86400.0])
    def test_clock_of_the_platform_may_be_wrong(self, skew: float) -> None:
        workspace = Workspace(skew=skew)
        workspace.add("before", age=10)
        found = workspace.run(workspace.lose)
        assert (found.job.id, found.is_ours, len(workspace.sent)) == ("ours", True, 1)

    def test_job_that_is_listed_late_is_found(self, workspace: Workspace) -> None:
        workspace.unlisted_until = 14.0
        found = workspace.run(workspace.lose)
        assert (found.job.id, len(workspace.sent)) == ("ours", 1)
        assert workspace.clock.passed < 20

    def test_request_is_repeated_after_fifteen_seconds_without_a_job(self, workspace: Workspace) -> None:
        found = workspace.run(workspace.drop, workspace.accept)
        assert (found.job.id, len(workspace.sent)) == ("ours", 2)
        first, second = workspace.sent
        assert 15 <= second - first < 18
        # About two seconds apart, the list from before the trigger besides.
        assert len(workspace.listed) == 9
        (warning,) = workspace.reports.warnings
        assert "Two deployments of the same commit may run" in warning

    def test_job_that_was_there_before_is_not_ours(self, workspace: Workspace) -> None:
        workspace.add("before", age=5, status="RUNNING")
        found = workspace.run(workspace.drop, workspace.accept)
        assert (found.job.id, len(workspace.sent)) == ("ours", 2)

    @pytest.mark.parametrize("kind", ["PIPELINE_RUN", "WORKSPACE_INIT"])
    def test_job_of_another_type_is_not_ours(self, workspace: Workspace, kind: str) -> None:
        def drop_beside_another() -> Response:
            workspace.add("other", kind=kind)
            return workspace.drop()

        assert workspace.run(drop_beside_another, workspace.accept).job.id == "ours"

    def test_of_several_new_jobs_the_oldest_is_followed_and_never_withdrawn(self, workspace: Workspace) -> None:
        def lose_beside_another() -> Response:
            workspace.add("somebody-s", age=-0.5)
            return workspace.lose()

        found = workspace.run(lose_beside_another)
        assert (found.job.id, found.is_ours) == ("ours", False)
        assert "the oldest is followed" in workspace.reports.warnings[0]

    @pytest.mark.parametrize(("age", "is_ours"), [(0, True), (55, True), (65, False), (3600, False)])
    def test_new_job_from_more_than_a_minute_before_the_trigger_is_in_doubt(
        self, workspace: Workspace, age: float, is_ours: bool
    ) -> None:
        """It may be somebody's that was queued, and so not listed."""

        def show_another() -> Response:
            workspace.add("other", age=age)
            return workspace.drop()

        if is_ours:
            assert workspace.run(show_another, workspace.accept).job.id == "other"
        else:
            with pytest.raises(DeploymentUnknown, match="other"):
                workspace.run(show_another, workspace.accept)
        assert len(workspace.sent) == 1

    @pytest.mark.parametrize(("age", "is_told"), [(0, False), (55, False), (120, True)])
    def test_without_a_list_from_before_any_job_of_the_last_minute_is_in_doubt(
        self, workspace: Workspace, age: float, is_told: bool
    ) -> None:
        workspace.add("other", age=age)
        if is_told:
            assert workspace.run(workspace.drop, workspace.accept, lists_first=False).job.id == "ours"
        else:
            with pytest.raises(DeploymentUnknown, match="other"):
                workspace.run(workspace.drop, workspace.accept, lists_first=False)
            assert len(workspace.sent) == 1

    def test_without_any_list_nothing_is_sent_twice(self, workspace: Workspace) -> None:
        with pytest.raises(DeploymentUnknown):
            workspace.run(workspace.drop, workspace.accept, lists_first=False, has_list=False)
        assert len(workspace.sent) == 1


class TestConflict:
    """A `409`: somebody's deployment is in the way."""

    def test_running_job_is_waited_for(self, workspace: Workspace) -> None:
        workspace.add("other", age=30, status="RUNNING")
        workspace.clock.call_later(100, lambda: workspace.jobs[0].update(status="COMPLETE"))
        found = workspace.run(lambda: workspace.refuse(409), workspace.accept)
        assert (found.job.id, found.is_ours) == ("ours", True)
        assert workspace.sent[1] >= 100

    def test_job_that_was_waited_for_is_never_ours(self, workspace: Workspace) -> None:
        """It may have been queued after the list was read."""

        def conflict() -> Response:
            workspace.add("other", status="RUNNING")
            workspace.clock.call_later(50, lambda: workspace.jobs[0].update(status="COMPLETE"))
            return workspace.refuse(409)

        found = workspace.run(conflict, workspace.lose)
        assert (found.job.id, found.is_ours) == ("ours", True)

    def test_conflict_that_nothing_explains_lasts_two_minutes_at_most(self, workspace: Workspace) -> None:
        with pytest.raises(RequestRejected) as caught:
            workspace.run(lambda: workspace.refuse(409))
        assert caught.value.title == "Another deployment is running"
        assert "Conflict" in caught.value.message
        assert 119 < workspace.sent[-1] - workspace.sent[0] < 125

    def test_conflict_after_a_lost_answer_is_adopted(self, workspace: Workspace) -> None:
        workspace.unlisted_until = 1000.0

        def conflict() -> Response:
            workspace.unlisted_until = 0.0
            return workspace.refuse(409)

        found = workspace.run(workspace.lose, conflict)
        assert (found.job.id, found.is_ours, len(workspace.sent)) == ("ours", True, 2)

    def test_conflict_without_a_list_is_final(self, workspace: Workspace) -> None:
        with pytest.raises(RequestRejected) as caught:
            workspace.run(lambda: workspace.refuse(409), lists_first=False, has_list=False)
        assert caught.value.title == "Another deployment is running"


class TestPending:
    """What may have been queued when the step is interrupted."""

    def interrupted(self, workspace: Workspace, trigger: Trigger, what: Callable[[], Response]) -> None:
        """Trigger until the deadline, which comes while a lost job is looked for."""
        trigger.known = known_jobs(Jobs(workspace.client), PATH)
        workspace.triggers = [what]
        workspace.unlisted_until = 10.0
        workspace.scope.deadline = 5.0
        with pytest.raises(DeadlineExceeded):
            trigger.run()
        workspace.scope.begin_shutdown(30.0, grace_after_signal=1, handled_signals=0)

    def test_nothing_is_pending_before_the_trigger(self, workspace: Workspace) -> None:
        trigger = workspace.make()
        assert trigger.pending is None
        assert trigger.resolve_pending(answer_within=0, listings=2) is None

    def test_trigger_stays_pending_until_its_job_is_followed(self, workspace: Workspace) -> None:
        trigger = workspace.make()
        workspace.triggers = [workspace.accept]
        trigger.run()
        assert trigger.pending

    def test_job_of_a_lost_trigger_is_found_later(self, workspace: Workspace) -> None:
        trigger = workspace.make()
        self.interrupted(workspace, trigger, workspace.lose)
        assert trigger.pending
        workspace.clock.advance(6)
        found = trigger.resolve_pending(answer_within=0, listings=2)
        assert found
        assert (found.job.id, len(workspace.sent)) == ("ours", 1)

    def test_lost_trigger_that_no_list_shows_stays_pending(self, workspace: Workspace) -> None:
        trigger = workspace.make()
        self.interrupted(workspace, trigger, workspace.drop)
        assert trigger.resolve_pending(answer_within=0, listings=2) is None
        assert trigger.pending
