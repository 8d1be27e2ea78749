"""The platform as it is found: clocks that differ, lists that hide and do not sort, and whatever stands in front."""

import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_simulator import Simulator, constants
from tests.integration.faults.faults import HTML, api_error
from tests.support.peer import Behaviour, Exchange, after_effect, answer, changed, relay, reset
from tests.support.result import Result
from tests.support.stage import stage
from tests.support.step import API_KEY

QUICK: Final = {"job": {"runs": "5s"}}
WITH_LOG: Final = {"job": {"runs": "12s", "log": [{"text": "a line"}]}}
WEBHOOK: Final = {"deployment_secret": constants.DEPLOYMENT_SECRET}
DEPLOYMENT: Final = "WORKSPACE_DEPLOY"


def listing(change: Callable[[dict[str, Any]], dict[str, Any] | None], **more: Any) -> Behaviour:
    """Have the jobs of a page changed, or left out."""

    def change_page(page: Any) -> Any:
        jobs = map(change, page.get("_embedded", {}).get("jobs", []))
        return {**page, "_embedded": {"jobs": [job for job in jobs if job]}}

    return changed(change_page, **more)


def created_later(seconds: float, **more: Any) -> Behaviour:
    def shift(job: dict[str, Any]) -> dict[str, Any]:
        moment = datetime.fromisoformat(job["created"]) + timedelta(seconds=seconds)
        return {**job, "created": moment.isoformat()}

    return listing(shift, **more)


without_queued: Final = listing(lambda job: job if job["status"] != "QUEUED" else None)


def oldest_first(exchange: Exchange) -> None:
    target = exchange.request.target.replace("created,desc", "created,asc")
    relay(replace(exchange, request=replace(exchange.request, target=target)))


def all_on_one_page(exchange: Exchange) -> None:
    target = f"{exchange.request.target.partition('?')[0]}?size=2000&sort=created,asc"
    whole = replace(exchange, request=replace(exchange.request, target=target))
    changed(lambda page: {"_embedded": page["_embedded"]})(whole)


def cloudflare(status: int) -> Behaviour:
    headers = {"Server": "cloudflare", "CF-RAY": "8f1a2b3c4d5e6f70-LHR"}
    return answer(status, HTML, content_type="text/html; charset=UTF-8", headers=headers)


def assert_deployed_once(result: Result, simulator: Simulator, warnings: int = 0) -> None:
    (own,) = [job for job in simulator.jobs if job.triggered_by != "other"]
    assert (result.code, result.outputs["job-id"], result.outputs["status"]) == (0, own.id, "COMPLETE")
    assert len(result.log.said("warning")) == warnings


def error_of(result: Result, code: int) -> str:
    """Return the error of a step that failed with that code."""
    assert result.code == code
    (error,) = result.log.said("error")
    return error


@pytest.mark.parametrize(
    ("trigger", "jobs"),
    [
        pytest.param(reset, created_later(-30), id="the platform's clock is behind"),
        pytest.param(reset, created_later(5), id="the platform's clock is ahead"),
        pytest.param(reset, created_later(-3, headers={"Date": None}), id="the platform does not tell its clock"),
        pytest.param(reset, oldest_first, id="the list is sorted oldest first"),
        pytest.param(reset, all_on_one_page, id="the list ignores paging"),
        pytest.param(reset, without_queued, id="the list does not show queued jobs"),
        pytest.param(cloudflare(524), relay, id="Cloudflare answers with an error of its own"),
        pytest.param(cloudflare(200), relay, id="a web page answers"),
    ],
)
def test_job_whose_answer_was_lost_is_found_whatever_the_list_is_like(
    trigger: Behaviour, jobs: Behaviour, tmp_path: Path
) -> None:
    others = [{"type": DEPLOYMENT, "at": f"-{3000 - 10 * number}s", "runs": "1s"} for number in range(45)]
    with stage(tmp_path, {"job": {"queued": "6s", "runs": "1s"}, "other-jobs": others}) as here:
        here.peer.on("trigger", after_effect(trigger), {1})
        here.peer.on("jobs", jobs)
        assert_deployed_once(here.run(), here.simulator)
        assert here.peer.count("trigger") == 1


@pytest.mark.parametrize(
    ("other", "jobs", "triggers"),
    [
        pytest.param({"at": "-25s", "runs": "5s"}, created_later(30), 2, id="one that was over before is not ours"),
        pytest.param({"at": "-90s", "queued": "92s", "runs": "1h"}, without_queued, 1, id="one from before may be"),
    ],
)
def test_other_job_is_never_adopted_in_its_place(
    other: dict[str, Any], jobs: Behaviour, triggers: int, tmp_path: Path
) -> None:
    with stage(tmp_path, {**QUICK, "other-jobs": [{"type": DEPLOYMENT, **other}]}) as here:
        here.peer.on("trigger", reset, {1})
        here.peer.on("jobs", jobs)
        result = here.run()
        assert here.peer.count("trigger") == triggers
        if triggers == 2:
            assert_deployed_once(result, here.simulator, warnings=1)
        else:
            error = error_of(result, 3)
            assert error.startswith("Deployment unknown: ")
            assert here.simulator.jobs[0].id in error


def test_queued_job_of_somebody_else_that_is_not_listed_is_waited_for(tmp_path: Path) -> None:
    other = {"type": DEPLOYMENT, "at": "-1s", "queued": "10s", "runs": "5s"}
    with stage(tmp_path, {**QUICK, "other-jobs": [other]}) as here:
        here.peer.on("jobs", without_queued)
        assert_deployed_once(here.run(), here.simulator)
        assert here.clock.passed >= 14


@pytest.mark.parametrize(
    ("inputs", "method"), [({**API_KEY, **WEBHOOK}, "GET"), ({"token": "", **WEBHOOK}, "POST")], ids=["key", "none"]
)
def test_web_site_is_named_within_seconds(inputs: dict[str, str], method: str, tmp_path: Path) -> None:
    """The address of an app instead of the API's. The webhook is asked once."""
    with stage(tmp_path, QUICK, **inputs) as here:
        here.step.environ |= {"INPUT_API-URL": here.peer.url, "INPUT_AUDIENCE": here.peer.api_url}
        here.peer.on("", cloudflare(200))
        error = error_of(here.run(), 3)
        assert here.clock.passed < 10
        pages = [request.method for request in here.peer.requests if request.call == ""]
    assert set(pages) == {method}
    assert method == "GET" or len(pages) == 1
    assert error.startswith("Not found: ")
    assert "may have been queued" not in error
    assert all(name in error for name in ("`api-url`", "`/api`"))


@pytest.mark.parametrize("is_endless", [False, True])
def test_documented_addresses_are_tried_where_links_lead_nowhere(is_endless: bool, tmp_path: Path) -> None:
    """They lack the path at which a gateway shows the API; the withdrawal's does as well."""

    def change(job: Any) -> Any:
        links = {name: {**link, "href": link["href"].replace("/api/", "/")} for name, link in job["_links"].items()}
        return {**job, "_links": links}

    runs = "forever" if is_endless else "12s"
    with stage(tmp_path, {"job": {**WITH_LOG["job"], "runs": runs}}, logs="stream", timeout="15s") as here:
        here.peer.on("", api_error(404))
        for call in ("trigger", "job"):
            here.peer.on(call, changed(change))
        result = here.run()
        dead = [request.target for request in here.peer.requests if request.call == ""]
        assert len(dead) == len(set(dead)) == 2 + is_endless
        assert [job.status for job in here.simulator.jobs] == ["STOPPED" if is_endless else "COMPLETE"]
    assert result.code == (4 if is_endless else 0)
    assert result.log.job_log == b"a line\n"


def test_progress_bar_without_line_feeds_is_shown_as_it_comes(tmp_path: Path) -> None:
    log = [{"at": f"{number}s", "text": f"{10 * number} %\r", "unfinished": True} for number in range(1, 10)]
    shown: list[bytes] = []
    with stage(tmp_path, {"job": {"runs": "12s", "log": log}}, logs="stream") as here:
        here.clock.call_later(8, lambda: shown.append(here.step.printed))
        result = here.run()
    assert b"20 %" in shown[0]
    assert result.log.job_log == b"".join(b"%d %%\r" % (10 * number) for number in range(1, 10)) + b"\n"


@pytest.mark.parametrize(
    ("lines", "is_counted", "since"), [(1, True, 6), (3, False, 6), (5, True, 6), (5, False, 6), (5, False, 8)]
)
def test_log_of_a_new_attempt_is_shown_from_its_beginning(
    lines: int, is_counted: bool, since: int, tmp_path: Path
) -> None:
    """The log of the one before may be there until the new one begins."""
    first = [b"first %d\n" % number for number in range(3)]
    second = [b"second %d\n" % number for number in range(lines)]

    def logs(exchange: Exchange) -> None:
        number = int(exchange.request.target.partition("sequence=")[2])
        body = b"".join((second if here.clock.passed > since else first)[number:])
        answer(200 if body else 204, body, content_type="text/plain")(exchange)

    def seen(job: dict[str, Any]) -> dict[str, Any]:
        if is_counted:
            return {**job, "attempt": int(here.clock.passed > 6)}
        return {**job, "status": "QUEUED"} if 6 < here.clock.passed < 8 else job

    with stage(tmp_path, {"job": {"runs": "12s"}}, logs="stream") as here:
        here.peer.on("logs", logs)
        here.peer.on("job", changed(seen))
        result = here.run()
    assert (result.code, result.log.job_log) == (0, b"".join(first + second))
    assert "starts over" in result.log.own


def test_name_that_was_resolved_before_is_tried_for_as_long_as_any_outage_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unresolved(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def lose_the_name(exchange: Exchange) -> None:
        patched.setattr("urllib3.util.connection.create_connection", unresolved)
        reset(exchange)

    with stage(tmp_path, QUICK, logs="none") as here, monkeypatch.context() as patched:
        here.peer.on("job", lose_the_name, {1})
        error = error_of(here.run(), 3)
    assert "no good answer for 5 min" in error
    assert "could not be resolved" in error


def pages(status: int, **numbers: set[int]) -> list[tuple[str, Behaviour, set[int]]]:
    return [(call, cloudflare(status), those) for call, those in numbers.items()]


def status_changed(change: Callable[[str], str]) -> list[tuple[str, Behaviour, range]]:
    changes = changed(lambda job: {**job, "status": change(job["status"])})
    return [("trigger", changes, range(9)), ("job", changes, range(99))]


FORBIDDEN: Final = api_error(403, "Forbidden")
TOO_LONG: Final = changed(lambda job: {**job, "status": "ERROR", "message": "x" * 2**23})
OLD_QUEUED: Final = {"other-jobs": [{"type": DEPLOYMENT, "at": "-1h", "queued": "forever"}]}
ARCHIVED: Final = ("trigger", api_error(409, "Workspace is archived"), range(99))
CHECKED: Final = {"verify_source": "warn"}
STREAM: Final = {"logs": "stream"}
# What is not as the step asks for it; its exit code, what its error says, and how often calls were made.
ODDITIES: Final[dict[str, tuple[Any, ...]]] = {
    "list refused once": (QUICK, API_KEY, [("jobs", FORBIDDEN, {1})], 0, "", {"token": 2}),
    "trigger refused once": (QUICK, API_KEY, [("trigger", FORBIDDEN, {1})], 0, "", {"token": 2}),
    "look refused once": (QUICK, API_KEY, [("job", FORBIDDEN, {2})], 0, "", {"token": 2}),
    "look refused twice": (QUICK, API_KEY, [("job", FORBIDDEN, {2, 4})], 3, "No permission: ", {"token": 2, "job": 4}),
    "page at first": (QUICK, CHECKED, pages(200, workspace={1}, jobs={1}), 0, "", {"workspace": 2, "jobs": 2}),
    "gateway at first": (QUICK, CHECKED, pages(502, workspace={1}, jobs={1}), 0, "", {"workspace": 2, "jobs": 2}),
    "challenge at first": (QUICK, CHECKED, pages(403, jobs={1}), 0, "", {"jobs": 1}),
    "pages later": (WITH_LOG, STREAM, pages(404, job={1, 2, 4}, logs={1}), 0, "", {}),
    "refusals later": (WITH_LOG, STREAM, pages(400, job={1, 2, 4}, logs={1}), 0, "", {}),
    "refused token": (QUICK, {"token": "refused-token", **WEBHOOK}, [], 3, "Sign-in failed: ", {"webhook": 0}),
    "answer over 8 MiB": (QUICK, {}, [("job", TOO_LONG, {1})], 0, "", {}),
    "lower case": (QUICK, {}, status_changed(str.lower), 0, "", {}),
    "unknown status": (QUICK, {}, status_changed(lambda it: it.replace("COMPLETE", "FAILED")), 1, "FAILED", {}),
    "conflict for minutes": (QUICK, {}, [ARCHIVED], 3, "Workspace is archived", {}),
    "conflict for good": (OLD_QUEUED, {"timeout": "10s"}, [ARCHIVED], 4, "Workspace is archived", {}),
}


@pytest.mark.parametrize("row", ODDITIES.values(), ids=ODDITIES)
def test_step_copes_with_it_or_says_what_it_is(row: tuple[Any, ...], tmp_path: Path) -> None:
    scenario, inputs, script, code, said, counts = row
    with stage(tmp_path, scenario, **inputs) as here:
        for call, behaviour, numbers in script:
            here.peer.on(call, behaviour, numbers)
        result = here.run()
        assert here.clock.passed < (25 if script != [ARCHIVED] else 135)
        assert {call: here.peer.count(call) for call in counts} == counts
        if code == 0:
            assert_deployed_once(result, here.simulator)
    assert code == 0 or said in error_of(result, code)
    assert said.strip(": ") in result.summary
    assert result.log.job_log == (b"a line\n" if "logs" in inputs else b"")
    assert code != 1 or (result.outputs["outcome"], result.outputs["status"]) == ("failure", "FAILED")
