"""The platform as it is found: clocks that differ, lists that hide and do not sort, and whatever stands in front."""

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from matatika_simulator import Simulator, constants
from tests.integration.faults.faults import HTML, api_error
from tests.support import runner
from tests.support.in_process import Stage, stage
from tests.support.peer import Behaviour, Exchange, after_effect, answer, relay, reset
from tests.support.step import Result

QUICK: Final = {"runs": "5s"}
API_KEY: Final = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
DEPLOYMENT: Final = "WORKSPACE_DEPLOY"
OPEN: Final = "may have been queued"


def changed(change: Callable[[Any], Any], **more: Any) -> Behaviour:
    """Pass the platform's answer on with its JSON changed."""

    def behave(exchange: Exchange) -> None:
        head, _, body = exchange.platform_answer().partition(b"\r\n\r\n")
        answer(int(head.split(b" ", 2)[1]), json.dumps(change(json.loads(body))).encode(), **more)(exchange)

    return behave


def each_job(change: Callable[[dict[str, Any]], Iterable[dict[str, Any]]]) -> Callable[[Any], Any]:
    """Have the jobs of a page changed, or left out."""

    def change_page(page: Any) -> Any:
        jobs = page.get("_embedded", {}).get("jobs", [])
        return {**page, "_embedded": {"jobs": [new for job in jobs for new in change(job)]}}

    return change_page


def created_later(seconds: float) -> Callable[[Any], Any]:
    def shift(job: dict[str, Any]) -> Iterable[dict[str, Any]]:
        moment = datetime.fromisoformat(job["created"]) + timedelta(seconds=seconds)
        yield {**job, "created": moment.isoformat()}

    return each_job(shift)


def cloudflare(status: int) -> Behaviour:
    headers = {"Server": "cloudflare", "CF-RAY": "8f1a2b3c4d5e6f70-LHR"}
    return answer(status, HTML, content_type="text/html; charset=UTF-8", headers=headers)


def early_hints(exchange: Exchange) -> None:
    """Send an interim answer before the platform's own."""
    exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n")
    relay(exchange)


def assert_deployed_once(result: Result, simulator: Simulator, warnings: int = 0) -> None:
    (own,) = [job for job in simulator.jobs if job.triggered_by != "other"]
    assert (result.code, result.outputs["job-id"], result.outputs["status"]) == (0, own.id, "COMPLETE")
    assert len(result.log.said("warning")) == warnings


class TestClocks:
    """Which of two clocks is right makes no difference to what is triggered."""

    @pytest.mark.parametrize("seconds", [-0.5, -5, -30, 5])
    def test_job_is_found_whatever_its_creation_says(self, seconds: float, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}) as here:
            here.peer.on("trigger", after_effect(reset), {1})
            here.peer.on("jobs", changed(created_later(seconds)))
            result = here.run()
            assert here.peer.count("trigger") == 1
            assert_deployed_once(result, here.simulator)

    def test_job_is_found_without_a_date_and_three_seconds_behind(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}) as here:
            here.peer.on("trigger", after_effect(reset), {1})
            here.peer.on("jobs", changed(created_later(-3), dated=False))
            result = here.run()
            assert here.peer.count("trigger") == 1
            assert_deployed_once(result, here.simulator)

    def test_job_that_was_over_before_is_never_ours(self, tmp_path: Path) -> None:
        other = {"type": DEPLOYMENT, "at": "-25s", "runs": "5s"}
        with stage(tmp_path, {"job": QUICK, "other-jobs": [other]}) as here:
            here.peer.on("trigger", reset, {1})
            here.peer.on("jobs", changed(created_later(30)))
            result = here.run()
            assert here.peer.count("trigger") == 2
            assert_deployed_once(result, here.simulator, warnings=1)

    def test_job_from_long_before_the_trigger_that_was_not_listed_is_in_doubt(self, tmp_path: Path) -> None:
        other = {"type": DEPLOYMENT, "at": "-90s", "queued": "92s", "runs": "1h"}
        with stage(tmp_path, {"job": QUICK, "other-jobs": [other]}) as here:
            here.peer.on("trigger", reset, {1})
            here.peer.on("jobs", changed(each_job(lambda job: [job] if job["status"] != "QUEUED" else [])))
            result = here.run()
            assert here.peer.count("trigger") == 1
            (queued,) = here.simulator.jobs
        assert result.code == 3
        (error,) = result.log.said("error")
        assert error.startswith("Deployment unknown: ")
        assert queued.id in error


class TestLists:
    def test_job_is_found_in_a_long_list_that_is_sorted_oldest_first(self, tmp_path: Path) -> None:
        others = [{"type": DEPLOYMENT, "at": f"-{3000 - 10 * number}s", "runs": "1s"} for number in range(250)]
        with stage(tmp_path, {"job": QUICK, "other-jobs": others}) as here:
            here.peer.on("trigger", after_effect(reset), {1})
            here.peer.on("jobs", _oldest_first)
            result = here.run()
            assert here.peer.count("trigger") == 1
            assert_deployed_once(result, here.simulator)

    def test_job_is_found_in_a_list_that_ignores_paging(self, tmp_path: Path) -> None:
        others = [{"type": DEPLOYMENT, "at": f"-{3000 - 10 * number}s", "runs": "1s"} for number in range(45)]
        with stage(tmp_path, {"job": QUICK, "other-jobs": others}) as here:
            here.peer.on("trigger", after_effect(reset), {1})
            here.peer.on("jobs", _all_on_one_page)
            result = here.run()
            assert here.peer.count("trigger") == 1
            assert_deployed_once(result, here.simulator)

    def test_queued_job_that_is_not_listed_is_waited_for(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": {**QUICK, "queued": "6s"}}) as here:
            here.peer.on("trigger", after_effect(reset), {1})
            here.peer.on("jobs", _without_queued)
            result = here.run()
            assert here.peer.count("trigger") == 1
            assert_deployed_once(result, here.simulator)

    def test_queued_job_of_somebody_else_that_is_not_listed_is_waited_for(self, tmp_path: Path) -> None:
        other = {"type": DEPLOYMENT, "at": "-1s", "queued": "30s", "runs": "20s"}
        with stage(tmp_path, {"job": QUICK, "other-jobs": [other]}) as here:
            here.peer.on("jobs", _without_queued)
            result = here.run()
            assert here.clock.passed >= 49
            assert_deployed_once(result, here.simulator)

    def test_conflict_for_another_reason_is_shown_though_an_old_job_is_queued_for_ever(self, tmp_path: Path) -> None:
        other = {"type": DEPLOYMENT, "at": "-1h", "queued": "forever"}
        with stage(tmp_path, {"other-jobs": [other]}, timeout="1m") as here:
            here.peer.on("trigger", api_error(409, "Workspace is archived"))
            result = here.run()
        assert (result.code, result.outputs["outcome"]) == (4, "timed-out")
        assert "Workspace is archived" in result.log.said("error")[0]
        assert "Workspace is archived" in result.summary


class TestSomethingInFront:
    """A gateway's word is not the API's."""

    @pytest.mark.parametrize(("call", "inputs"), [("token", API_KEY), ("trigger", {})])
    def test_challenge_page_is_told_as_a_refusal_by_something_in_front(
        self, call: str, inputs: dict[str, str], tmp_path: Path
    ) -> None:
        with stage(tmp_path, {"job": QUICK}, **inputs) as here:
            here.peer.on(call, cloudflare(403))
            result = here.run()
            assert here.peer.count(call) == 1
            assert not here.simulator.jobs
        assert result.code == 3
        (error,) = result.log.said("error")
        assert error.startswith("Request refused: ")
        assert "Something in front of the platform" in error
        assert "permission" not in error

    def test_challenge_page_at_the_first_reads_is_no_end(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}, verify_source="warn") as here:
            here.peer.on("workspace", cloudflare(403))
            here.peer.on("jobs", cloudflare(403), {1})
            result = here.run()
            assert_deployed_once(result, here.simulator, warnings=1)

    @pytest.mark.parametrize("status", [400, 403, 404, 405, 429, 502, 503, 520, 530])
    def test_pages_pass_while_a_job_is_followed(self, status: int, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": {"runs": "30s", "log": [{"text": "a line"}]}}, logs="stream") as here:
            here.peer.on("job", cloudflare(status), {1, 2, 4})
            here.peer.on("logs", cloudflare(status), {1})
            result = here.run()
            assert_deployed_once(result, here.simulator)
        assert result.log.job_log == b"a line\n"

    def test_interim_answers_are_skipped_on_every_call(self, tmp_path: Path) -> None:
        calls = ("token", "workspace", "jobs", "trigger", "job", "logs")
        scenario = {"job": {"runs": "5s", "log": [{"text": "a line"}]}}
        with stage(tmp_path, scenario, logs="stream", verify_source="warn", **API_KEY) as here:
            for call in calls:
                here.peer.on(call, early_hints)
            result = here.run()
            assert all(here.peer.count(call) for call in calls)
            assert here.peer.count("token") == here.peer.count("trigger") == here.peer.count("jobs") == 1
            assert_deployed_once(result, here.simulator, warnings=len(result.log.said("warning")))
        assert result.log.job_log == b"a line\n"

    @pytest.mark.parametrize("status", range(520, 528))
    def test_cloudflares_own_errors_leave_the_trigger_open(self, status: int, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}) as here:
            here.peer.on("trigger", after_effect(cloudflare(status)), {1})
            result = here.run()
            assert here.peer.count("trigger") == 1
            assert_deployed_once(result, here.simulator)


class TestWebPage:
    """The address of an app instead of the API's."""

    @pytest.mark.parametrize("inputs", [{}, API_KEY, {"deployment_secret": constants.DEPLOYMENT_SECRET}])
    def test_api_url_without_its_path_is_named_within_seconds(self, inputs: dict[str, str], tmp_path: Path) -> None:
        with _at_the_app(tmp_path, **inputs) as here:
            result = here.run()
            assert here.clock.passed < 10
            assert not [request for request in here.peer.requests if request.method == "POST" and request.call == ""]
        _assert_names(result, "`api-url`", "`/api`")

    def test_api_url_without_its_path_is_named_at_once_with_the_webhook_secret_alone(self, tmp_path: Path) -> None:
        with _at_the_app(tmp_path, token="", deployment_secret=constants.DEPLOYMENT_SECRET) as here:
            result = here.run()
            assert len(here.peer.requests) == 1
        _assert_names(result, "`api-url`", "`/api`")

    def test_auth_url_that_is_a_web_page_is_named_within_seconds(self, tmp_path: Path) -> None:
        with stage(tmp_path, **API_KEY) as here:
            here.peer.on("token", cloudflare(200))
            result = here.run()
            assert here.clock.passed < 10
            assert not here.simulator.jobs
        _assert_names(result, "`auth-url`")

    def test_page_after_a_good_answer_leaves_the_trigger_open(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}) as here:
            here.peer.on("trigger", after_effect(cloudflare(200)), {1})
            result = here.run()
            assert here.peer.count("trigger") == 1
            assert_deployed_once(result, here.simulator)


def test_host_name_that_never_resolves_is_tried_for_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, *arguments: Any, **more: Any) -> Any:
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *arguments, **more)

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with stage(tmp_path, api_url="https://platform.invalid/api") as here:
        result = here.run()
        assert 60 <= here.clock.passed < 80
    assert result.code == 3
    (error,) = result.log.said("error")
    assert "platform.invalid" in error
    assert OPEN not in error


class TestFirstReads:
    def test_webhook_is_not_called_if_the_token_is_refused(self, tmp_path: Path) -> None:
        with stage(tmp_path, token="refused-token", deployment_secret=constants.DEPLOYMENT_SECRET) as here:
            result = here.run()
            assert here.peer.count("webhook") == 0
            assert not here.simulator.jobs
        assert result.code == 3
        (error,) = result.log.said("error")
        assert error.startswith("Sign-in failed: ")

    def test_one_bad_gateway_is_no_warning(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}, verify_source="warn") as here:
            here.peer.on("workspace", cloudflare(502), {1})
            here.peer.on("jobs", cloudflare(502), {1})
            result = here.run()
            assert here.peer.count("workspace") == here.peer.count("jobs") == 2
            assert "Workspace not checked" not in result.log.own
            assert result.code == 0


class TestEnd:
    """What a job's last answer may say."""

    def test_unknown_status_with_an_end_is_a_failure_that_names_it(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}) as here:
            here.peer.on("job", changed(lambda job: {**job, "status": job["status"].replace("COMPLETE", "FAILED")}))
            result = here.run()
            assert here.clock.passed < 20
        assert (result.code, result.outputs["outcome"], result.outputs["status"]) == (1, "failure", "FAILED")
        (error,) = result.log.said("error")
        assert error.startswith("Deployment failed: ")
        assert "FAILED" in error

    def test_statuses_in_lower_case_are_known(self, tmp_path: Path) -> None:
        def lower(job: Any) -> Any:
            return {**job, "status": job["status"].lower()}

        with stage(tmp_path, {"job": QUICK}) as here:
            here.peer.on("trigger", changed(lower))
            here.peer.on("job", changed(lower))
            result = here.run()
            assert here.clock.passed < 20
            assert_deployed_once(result, here.simulator)

    def test_exit_code_of_a_complete_job_is_a_warning(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": {**QUICK, "exit-code": 1}}) as here:
            result = here.run()
            assert_deployed_once(result, here.simulator, warnings=1)
        assert result.outputs["exit-code"] == "1"
        assert "exit code is 1" in result.log.said("warning")[0]


class TestApiKey:
    def test_client_id_is_no_secret(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}, **API_KEY) as here:
            result = here.run()
        assert result.code == 0
        masked = [command.data for command in runner.read(result.printed).of("add-mask")]
        assert constants.CLIENT_SECRET in masked
        assert constants.CLIENT_ID not in masked

    @pytest.mark.parametrize(("call", "number"), [("jobs", 1), ("trigger", 1), ("job", 2)])
    def test_refused_permission_is_answered_with_a_new_token(self, call: str, number: int, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}, **API_KEY) as here:
            here.peer.on(call, api_error(403, "Forbidden"), {number})
            result = here.run()
            assert here.peer.count("token") == 2
            assert_deployed_once(result, here.simulator)

    def test_refused_permission_is_answered_with_one_new_token_a_step(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": QUICK}, **API_KEY) as here:
            here.peer.on("job", api_error(403, "Forbidden"), range(2, 100))
            result = here.run()
            assert here.peer.count("token") == 2
            assert here.peer.count("job") == 3
        assert result.code == 3
        assert result.log.said("error")[0].startswith("No permission: ")


class TestLinks:
    """Links that lack the path at which a gateway shows the API."""

    def test_documented_addresses_are_tried_at_once(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": "15s", "log": [{"text": "a line"}]}}
        with stage(tmp_path, scenario, logs="stream") as here:
            _lead_nowhere(here)
            result = here.run()
            assert_deployed_once(result, here.simulator)
            dead = [request.target for request in here.peer.requests if request.call == ""]
            assert len(dead) == len(set(dead)) == 2
        assert result.log.job_log == b"a line\n"

    def test_withdrawal_goes_to_its_documented_address(self, tmp_path: Path) -> None:
        with stage(tmp_path, {"job": {"runs": "forever"}}, timeout="30s") as here:
            _lead_nowhere(here)
            result = here.run()
            assert [job.status for job in here.simulator.jobs] == ["STOPPED"]
        assert result.code == 4
        assert "was withdrawn" in result.log.said("error")[0]


class TestLog:
    def test_progress_bar_without_line_feeds_is_shown_as_it_comes(self, tmp_path: Path) -> None:
        log = [{"at": f"{number}s", "text": f"{10 * number} %\r", "unfinished": True} for number in range(1, 10)]
        with stage(tmp_path, {"job": {"runs": "30s", "log": log}}, logs="stream") as here:
            shown: list[bytes] = []
            here.clock.call_later(8, lambda: shown.append(Path(tmp_path / "printed").read_bytes()))
            result = here.run()
        assert b"20 %" in shown[0]
        assert result.log.job_log == b"".join(b"%d %%\r" % (10 * number) for number in range(1, 10)) + b"\n"

    @pytest.mark.parametrize("lines", [1, 3, 5])
    def test_log_of_a_new_attempt_is_shown_from_its_beginning(self, lines: int, tmp_path: Path) -> None:
        first = [b"first %d\n" % number for number in range(3)]
        second = [b"second %d\n" % number for number in range(lines)]
        with stage(tmp_path, {"job": {"runs": "60s"}}, logs="stream") as here:

            def is_second() -> bool:
                return here.clock.passed > 20

            def logs(exchange: Exchange) -> None:
                number = int(exchange.request.target.partition("sequence=")[2])
                body = b"".join((second if is_second() else first)[number:])
                answer(200 if body else 204, body, content_type="text/plain")(exchange)

            here.peer.on("logs", logs)
            here.peer.on("job", changed(lambda job: {**job, "attempt": int(is_second())}))
            result = here.run()
            assert result.code == 0
        assert result.log.job_log == b"".join(first + second)
        assert "started over" in result.log.own or "starts over" in result.log.own


def _lead_nowhere(here: Stage) -> None:
    """Have the links of every job lack the API's path."""

    def change(job: Any) -> Any:
        links = {name: {**link, "href": link["href"].replace("/api/", "/")} for name, link in job["_links"].items()}
        return {**job, "_links": links}

    here.peer.on("", api_error(404))
    for call in ("trigger", "job"):
        here.peer.on(call, changed(change))


_without_queued: Final = changed(each_job(lambda job: [job] if job["status"] != "QUEUED" else []))


def _asking(exchange: Exchange, target: str) -> Exchange:
    """Return an exchange for another address of the platform."""
    return Exchange(exchange.peer, exchange._connection, replace(exchange.request, target=target))


def _oldest_first(exchange: Exchange) -> None:
    relay(_asking(exchange, exchange.request.target.replace("created,desc", "created,asc")))


def _all_on_one_page(exchange: Exchange) -> None:
    whole = _asking(exchange, f"{exchange.request.target.partition('?')[0]}?size=2000&sort=created,asc")
    changed(lambda page: {"_embedded": page["_embedded"]})(whole)


@contextmanager
def _at_the_app(folder: Path, **inputs: str) -> Iterator[Stage]:
    """Set a stage on which `api-url` lacks its path, and everything there is a web page."""
    with stage(folder, {"job": QUICK}, **inputs) as here:
        here.step.environ |= {"INPUT_API-URL": here.peer.url, "INPUT_AUDIENCE": here.peer.api_url}
        here.peer.on("", cloudflare(200))
        yield here


def _assert_names(result: Result, *names: str) -> None:
    assert result.code == 3
    (error,) = result.log.said("error")
    assert error.startswith("Not found: ")
    assert OPEN not in error
    assert all(name in error for name in names)


def test_step_without_a_network_says_at_its_deadline_what_could_not_be_reached(tmp_path: Path) -> None:
    with stage(tmp_path, {}, timeout="3s", preflight="warn", api_url="https://nowhere.invalid/api") as here:
        result = here.run()
    assert result.code == 4
    assert "the name nowhere.invalid could not be resolved" in result.log.said("error")[0]
