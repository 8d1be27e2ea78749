"""The platform as it is found: clocks that differ, lists that hide and do not sort, and whatever stands in front."""

import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_simulator import Simulator, constants
from tests.integration.faults.faults import HTML, api_error
from tests.support.peer import Behaviour, Exchange, after_effect, answer, changed, raw, relay, reset
from tests.support.result import Result
from tests.support.stage import Stage, stage
from tests.support.step import API_KEY

QUICK: Final = {"job": {"runs": "5s"}}
WITH_LOG: Final = {"job": {"runs": "12s", "log": [{"text": "a line"}]}}
WEBHOOK: Final = {"deployment_secret": constants.DEPLOYMENT_SECRET}
DEPLOYMENT: Final = "WORKSPACE_DEPLOY"


def each_job(change: Callable[[dict[str, Any]], Iterable[dict[str, Any]]], **more: Any) -> Behaviour:
    """Have the jobs of a page changed, or left out."""

    def change_page(page: Any) -> Any:
        jobs = page.get("_embedded", {}).get("jobs", [])
        return {**page, "_embedded": {"jobs": [new for job in jobs for new in change(job)]}}

    return changed(change_page, **more)


def created_later(seconds: float, **more: Any) -> Behaviour:
    def shift(job: dict[str, Any]) -> Iterable[dict[str, Any]]:
        moment = datetime.fromisoformat(job["created"]) + timedelta(seconds=seconds)
        yield {**job, "created": moment.isoformat()}

    return each_job(shift, **more)


without_queued: Final = each_job(lambda job: [job] if job["status"] != "QUEUED" else [])


def asking(exchange: Exchange, target: str) -> Exchange:
    """Return an exchange for another address of the platform."""
    return replace(exchange, request=replace(exchange.request, target=target))


def oldest_first(exchange: Exchange) -> None:
    relay(asking(exchange, exchange.request.target.replace("created,desc", "created,asc")))


def all_on_one_page(exchange: Exchange) -> None:
    whole = asking(exchange, f"{exchange.request.target.partition('?')[0]}?size=2000&sort=created,asc")
    changed(lambda page: {"_embedded": page["_embedded"]})(whole)


def cloudflare(status: int) -> Behaviour:
    headers = {"Server": "cloudflare", "CF-RAY": "8f1a2b3c4d5e6f70-LHR"}
    return answer(status, HTML, content_type="text/html; charset=UTF-8", headers=headers)


def assert_deployed_once(result: Result, simulator: Simulator, warnings: int = 0) -> None:
    (own,) = [job for job in simulator.jobs if job.triggered_by != "other"]
    assert (result.code, result.outputs["job-id"], result.outputs["status"]) == (0, own.id, "COMPLETE")
    assert len(result.log.said("warning")) == warnings


class TestLostAnswer:
    """Which job the trigger queued is told from the list, whatever that is like."""

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
    def test_job_is_found(self, trigger: Behaviour, jobs: Behaviour, tmp_path: Path) -> None:
        others = [{"type": DEPLOYMENT, "at": f"-{3000 - 10 * number}s", "runs": "1s"} for number in range(45)]
        with stage(tmp_path, {"job": {"queued": "6s", "runs": "1s"}, "other-jobs": others}) as here:
            here.peer.on("trigger", after_effect(trigger), {1})
            here.peer.on("jobs", jobs)
            result = here.run()
            assert here.peer.count("trigger") == 1
            assert_deployed_once(result, here.simulator)

    def test_job_that_was_over_before_is_never_ours(self, tmp_path: Path) -> None:
        other = {"type": DEPLOYMENT, "at": "-25s", "runs": "5s"}
        with stage(tmp_path, {**QUICK, "other-jobs": [other]}) as here:
            here.peer.on("trigger", reset, {1})
            here.peer.on("jobs", created_later(30))
            result = here.run()
            assert here.peer.count("trigger") == 2
            assert_deployed_once(result, here.simulator, warnings=1)

    def test_job_from_long_before_the_trigger_that_was_not_listed_is_in_doubt(self, tmp_path: Path) -> None:
        other = {"type": DEPLOYMENT, "at": "-90s", "queued": "92s", "runs": "1h"}
        with stage(tmp_path, {**QUICK, "other-jobs": [other]}) as here:
            here.peer.on("trigger", reset, {1})
            here.peer.on("jobs", without_queued)
            result = here.run()
            assert here.peer.count("trigger") == 1
            (queued,) = here.simulator.jobs
        assert result.code == 3
        (error,) = result.log.said("error")
        assert error.startswith("Deployment unknown: ")
        assert queued.id in error


class TestConflict:
    def test_queued_job_of_somebody_else_that_is_not_listed_is_waited_for(self, tmp_path: Path) -> None:
        other = {"type": DEPLOYMENT, "at": "-1s", "queued": "10s", "runs": "5s"}
        with stage(tmp_path, {**QUICK, "other-jobs": [other]}) as here:
            here.peer.on("jobs", without_queued)
            result = here.run()
            assert here.clock.passed >= 14
            assert_deployed_once(result, here.simulator)

    def test_other_reason_is_shown_though_an_old_job_is_queued_for_ever(self, tmp_path: Path) -> None:
        other = {"type": DEPLOYMENT, "at": "-1h", "queued": "forever"}
        with stage(tmp_path, {"other-jobs": [other]}, timeout="10s") as here:
            here.peer.on("trigger", api_error(409, "Workspace is archived"))
            result = here.run()
        assert (result.code, result.outputs["outcome"]) == (4, "timed-out")
        assert "Workspace is archived" in result.log.said("error")[0]
        assert "Workspace is archived" in result.summary


class TestSomethingInFront:
    """A gateway's word is not the API's."""

    def test_challenge_page_at_the_first_reads_is_no_end(self, tmp_path: Path) -> None:
        with stage(tmp_path, QUICK, verify_source="warn") as here:
            here.peer.on("workspace", cloudflare(403))
            here.peer.on("jobs", cloudflare(403), {1})
            assert_deployed_once(here.run(), here.simulator, warnings=1)

    @pytest.mark.parametrize("status", [400, 404])
    def test_pages_pass_while_a_job_is_followed(self, status: int, tmp_path: Path) -> None:
        with stage(tmp_path, WITH_LOG, logs="stream") as here:
            here.peer.on("job", cloudflare(status), {1, 2, 4})
            here.peer.on("logs", cloudflare(status), {1})
            result = here.run()
            assert_deployed_once(result, here.simulator)
        assert result.log.job_log == b"a line\n"

    def test_interim_answers_are_skipped_on_every_call(self, tmp_path: Path) -> None:
        calls = ("token", "workspace", "jobs", "trigger", "job", "logs")
        with stage(tmp_path, WITH_LOG, logs="stream", verify_source="warn", **API_KEY) as here:
            for call in calls:
                here.peer.on(call, raw(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n", relay))
            result = here.run()
            assert all(here.peer.count(call) for call in calls)
            assert here.peer.count("token") == here.peer.count("trigger") == here.peer.count("jobs") == 1
            assert result.code == 0
        assert result.log.job_log == b"a line\n"

    @pytest.mark.parametrize(
        ("inputs", "method", "names"),
        [
            ({**API_KEY, **WEBHOOK}, "GET", ["`api-url`", "`/api`"]),
            ({"token": "", **WEBHOOK}, "POST", ["`api-url`", "`/api`"]),
        ],
        ids=["API key", "webhook"],
    )
    def test_web_site_is_named_within_seconds(
        self, inputs: dict[str, str], method: str, names: list[str], tmp_path: Path
    ) -> None:
        """The address of an app instead of the API's, or instead of the token endpoint's."""
        with stage(tmp_path, QUICK, **inputs) as here:
            auth_url = here.peer.url + inputs.get("auth_url", "/oauth/token")
            here.step.environ |= {
                "INPUT_API-URL": here.peer.url,
                "INPUT_AUTH-URL": auth_url,
                "INPUT_AUDIENCE": here.peer.api_url,
            }
            here.peer.on("", cloudflare(200))
            result = here.run()
            assert here.clock.passed < 10
            pages = [request.method for request in here.peer.requests if request.call == ""]
        assert set(pages) == {method}
        assert len(pages) == 1 or inputs.get("token") != "" or "client_id" in inputs, "one page is enough"
        assert result.code == 3
        (error,) = result.log.said("error")
        assert error.startswith("Not found: ")
        assert "may have been queued" not in error
        assert all(name in error for name in names)


class TestFirstReads:
    def test_webhook_is_not_called_if_the_token_is_refused(self, tmp_path: Path) -> None:
        with stage(tmp_path, token="refused-token", **WEBHOOK) as here:
            result = here.run()
            assert here.peer.count("webhook") == 0
            assert not here.simulator.jobs
        assert result.code == 3
        assert result.log.said("error")[0].startswith("Sign-in failed: ")

    @pytest.mark.parametrize("status", [502, 200])
    def test_one_page_is_no_warning(self, status: int, tmp_path: Path) -> None:
        with stage(tmp_path, QUICK, verify_source="warn") as here:
            here.peer.on("workspace", cloudflare(status), {1})
            here.peer.on("jobs", cloudflare(status), {1})
            result = here.run()
            assert here.peer.count("workspace") == here.peer.count("jobs") == 2
            assert "Workspace not checked" not in result.log.own
            assert result.code == 0

    def test_deadline_tells_what_could_not_be_reached_until_then(self, tmp_path: Path) -> None:
        with stage(tmp_path, {}, timeout="3s", preflight="warn", api_url="https://nowhere.invalid/api") as here:
            result = here.run()
        assert result.code == 4
        assert "the name nowhere.invalid could not be resolved" in result.log.said("error")[0]

    def test_name_that_was_resolved_before_is_tried_for_as_long_as_any_outage_may_take(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unresolved(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        def lose_the_name(exchange: Exchange) -> None:
            patched.setattr("urllib3.util.connection.create_connection", unresolved)
            reset(exchange)

        with stage(tmp_path, QUICK, logs="none") as here, monkeypatch.context() as patched:
            here.peer.on("job", lose_the_name, {1})
            result = here.run()
        assert "no good answer for 5 min" in result.log.said("error")[0]
        assert "could not be resolved" in result.log.said("error")[0]


class TestEnd:
    """What a job's last answer may say."""

    def test_unknown_status_with_an_end_is_a_failure_that_names_it(self, tmp_path: Path) -> None:
        with stage(tmp_path, QUICK) as here:
            here.peer.on("job", changed(lambda job: {**job, "status": job["status"].replace("COMPLETE", "FAILED")}))
            result = here.run()
            assert here.clock.passed < 20
        assert (result.code, result.outputs["outcome"], result.outputs["status"]) == (1, "failure", "FAILED")
        (error,) = result.log.said("error")
        assert error.startswith("Deployment failed: ")
        assert "FAILED" in error

    def test_statuses_in_lower_case_are_known(self, tmp_path: Path) -> None:
        with stage(tmp_path, QUICK) as here:
            for call in ("trigger", "job"):
                here.peer.on(call, changed(lambda job: {**job, "status": job["status"].lower()}))
            result = here.run()
            assert here.clock.passed < 20
            assert_deployed_once(result, here.simulator)


class TestRefusedPermission:
    """With an API key, one new token a step may help."""

    @pytest.mark.parametrize(("call", "number"), [("jobs", 1), ("trigger", 1), ("job", 2)])
    def test_is_answered_with_a_new_token(self, call: str, number: int, tmp_path: Path) -> None:
        with stage(tmp_path, QUICK, **API_KEY) as here:
            here.peer.on(call, api_error(403, "Forbidden"), {number})
            result = here.run()
            assert here.peer.count("token") == 2
            assert_deployed_once(result, here.simulator)

    def test_is_final_the_next_time(self, tmp_path: Path) -> None:
        with stage(tmp_path, QUICK, **API_KEY) as here:
            here.peer.on("job", api_error(403, "Forbidden"), {2, 4})
            result = here.run()
            assert (here.peer.count("token"), here.peer.count("job")) == (2, 4)
        assert result.code == 3
        assert result.log.said("error")[0].startswith("No permission: ")


class TestLinks:
    """Links that lack the path at which a gateway shows the API."""

    def lead_nowhere(self, here: Stage) -> None:
        def change(job: Any) -> Any:
            links = {name: {**link, "href": link["href"].replace("/api/", "/")} for name, link in job["_links"].items()}
            return {**job, "_links": links}

        here.peer.on("", api_error(404))
        for call in ("trigger", "job"):
            here.peer.on(call, changed(change))

    def test_documented_addresses_are_tried_at_once(self, tmp_path: Path) -> None:
        with stage(tmp_path, WITH_LOG, logs="stream") as here:
            self.lead_nowhere(here)
            result = here.run()
            assert_deployed_once(result, here.simulator)
            dead = [request.target for request in here.peer.requests if request.call == ""]
            assert len(dead) == len(set(dead)) == 2
        assert result.log.job_log == b"a line\n"

    def test_withdrawal_goes_to_its_documented_address(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": {"runs": "forever"}}, timeout="5s") as here:
            self.lead_nowhere(here)
            result = here.run()
            assert [job.status for job in here.simulator.jobs] == ["STOPPED"]
        assert result.code == 4
        assert "was withdrawn" in result.log.said("error")[0]


class TestLog:
    def test_progress_bar_without_line_feeds_is_shown_as_it_comes(self, tmp_path: Path) -> None:
        log = [{"at": f"{number}s", "text": f"{10 * number} %\r", "unfinished": True} for number in range(1, 10)]
        with stage(tmp_path, {"job": {"runs": "12s", "log": log}}, logs="stream") as here:
            shown: list[bytes] = []
            here.clock.call_later(8, lambda: shown.append(Path(tmp_path / "printed").read_bytes()))
            result = here.run()
        assert b"20 %" in shown[0]
        assert result.log.job_log == b"".join(b"%d %%\r" % (10 * number) for number in range(1, 10)) + b"\n"

    def test_answer_over_8_mebibytes_is_asked_for_again(self, tmp_path: Path) -> None:
        with stage(tmp_path, QUICK) as here:
            here.peer.on("job", changed(lambda job: {**job, "status": "ERROR", "message": "x" * 2**23}), {1})
            assert here.run().code == 0

    @pytest.mark.parametrize("lines", [1, 3, 5])
    @pytest.mark.parametrize("is_counted", [True, False])
    def test_log_of_a_new_attempt_is_shown_from_its_beginning(
        self, lines: int, is_counted: bool, tmp_path: Path
    ) -> None:
        first = [b"first %d\n" % number for number in range(3)]
        second = [b"second %d\n" % number for number in range(lines)]
        with stage(tmp_path, {"job": {"runs": "12s"}}, logs="stream") as here:

            def is_second() -> bool:
                return here.clock.passed > 6

            def logs(exchange: Exchange) -> None:
                number = int(exchange.request.target.partition("sequence=")[2])
                body = b"".join((second if is_second() else first)[number:])
                answer(200 if body else 204, body, content_type="text/plain")(exchange)

            here.peer.on("logs", logs)

            def seen(job: dict[str, Any]) -> dict[str, Any]:
                if is_counted:
                    return {**job, "attempt": int(is_second())}
                return {**job, "status": "QUEUED"} if 6 < here.clock.passed < 8 else job

            here.peer.on("job", changed(seen))
            result = here.run()
            assert result.code == 0
        assert result.log.job_log == b"".join(first + second)
        assert "starts over" in result.log.own
