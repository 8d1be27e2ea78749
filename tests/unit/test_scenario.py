"""Scenarios: what they mean, and how mistakes in them are reported."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
import yaml

from matatika_simulator import constants
from matatika_simulator.faults import CALLS, Canned, Fault, Selection
from matatika_simulator.jobs import Plan, Status
from matatika_simulator.policies import AnswerStyle, Logs, RateLimit, Withdrawal, Workspace
from matatika_simulator.scenario import Scenario, load, names
from matatika_simulator.section import ScenarioError, Section
from matatika_simulator.tokens import TokenPolicy

README = Path(__file__).parents[2] / "src/matatika_simulator/README.md"
OTHER_ID = "00000000-51a1-4000-8000-0000000000ff"


def written(plan: Plan, elapsed: float = math.inf) -> bytes:
    return b"".join(plan.log.read(0, plan.log.written(elapsed)))


def plan_of(**job: object) -> Plan:
    return load({"job": job}).workspaces[0].plan


class TestNamed:
    def test_are_those_of_the_contract(self) -> None:
        assert names() == sorted(
            [
                "success",
                "failure",
                "stopped",
                "slow",
                "queued-forever",
                "conflict",
                "flaky",
                "outage",
                "held-stream",
                "expired-token",
            ]
        )

    @pytest.mark.parametrize("name", names())
    def test_say_what_they_are_and_can_be_played(self, name: str) -> None:
        path = Path(__file__).parents[2] / f"src/matatika_simulator/scenarios/{name}.yml"
        assert yaml.safe_load(path.read_text())["description"]
        assert isinstance(load(name), Scenario)

    @pytest.mark.parametrize("name", sorted(set(names()) - {"queued-forever"}))
    def test_end_soon_and_log_while_they_run(self, name: str) -> None:
        plan = load(name).workspaces[0].plan
        assert plan.queued + plan.runs <= 30
        assert plan.log.written(plan.runs) == plan.log.written(math.inf) > 0

    def test_success_takes_four_seconds_and_logs_a_dozen_lines(self) -> None:
        plan = load("success").workspaces[0].plan
        assert (plan.queued + plan.runs, plan.ends, plan.exit_code) == (4, Status.COMPLETE, 0)
        assert written(plan).count(b"\n") > 12

    def test_failure_says_why_in_its_last_lines(self) -> None:
        plan = load("failure").workspaces[0].plan
        assert (plan.ends, plan.exit_code) == (Status.ERROR, 1)
        assert written(plan).splitlines()[-1].startswith(b"ERROR")

    def test_outage_lets_nothing_through(self) -> None:
        faults = load("outage").faults
        for number in range(1, 30):
            hit = [fault for fault in faults if fault.requests.matches(number, elapsed=5.0)]
            assert hit
            assert hit[0].calls == frozenset(CALLS)

    def test_flaky_reaches_every_call(self) -> None:
        assert frozenset().union(*(fault.calls for fault in load("flaky").faults)) == frozenset(CALLS)


class TestDefaults:
    def test_of_a_scenario_that_says_nothing(self) -> None:
        assert load({}) == Scenario()

    def test_of_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty.yml").write_text("")
        assert load(tmp_path / "empty.yml") == Scenario()

    @pytest.mark.parametrize(("ends", "exit_code"), [("COMPLETE", 0), ("ERROR", 1), ("STOPPED", None)])
    def test_exit_code_follows_from_the_end(self, ends: str, exit_code: int | None) -> None:
        assert plan_of(ends=ends).exit_code == exit_code


class TestValues:
    def test_job(self) -> None:
        plan = plan_of(queued="250ms", runs="forever", ends="ERROR", **{"exit-code": None, "commit-id": None})
        assert (plan.queued, plan.runs, plan.ends) == (0.25, math.inf, Status.ERROR)
        assert plan.exit_code is None
        assert plan.commit_id is None

    def test_job_fields_are_kept_as_they_stand(self) -> None:
        assert plan_of(fields={"exitCode": "seven"}).fields == {"exitCode": "seven"}

    def test_workspaces(self) -> None:
        scenario = load(
            {
                "job": {"runs": 7},
                "workspace": {
                    "name": "Mine",
                    "alias": None,
                    "repository-url": "git@github.com:Org/Repo.git",
                    "repository-branch": None,
                    "repository-directory": "a/b",
                    "default-environment": "production",
                    "status": "FAILED",
                    "managed": True,
                    "deployment-secret": "s3cret",
                    "fields": {"unknown": 1},
                },
                "other-workspaces": [{"id": OTHER_ID}, {"id": OTHER_ID.replace("f", "e"), "job": {"ends": "ERROR"}}],
            }
        )
        mine, second, third = scenario.workspaces
        assert mine == Workspace(
            plan=mine.plan,
            name="Mine",
            alias=None,
            repository_url="git@github.com:Org/Repo.git",
            repository_branch=None,
            repository_directory="a/b",
            default_environment="production",
            status="FAILED",
            managed=True,
            deployment_secret="s3cret",
            fields={"unknown": 1},
        )
        assert mine.plan.runs == second.plan.runs == 7
        assert third.plan.ends is Status.ERROR
        assert second.id == OTHER_ID

    def test_other_jobs(self) -> None:
        first, second = load(
            {
                "other-jobs": [
                    {"type": "PIPELINE", "at": "-30s", "runs": 1},
                    {"since": "first-trigger", "workspace-id": OTHER_ID},
                ]
            }
        ).other_jobs
        assert (first.type, first.at, first.since, first.workspace_id) == (
            "PIPELINE",
            -30,
            "start",
            constants.WORKSPACE_ID,
        )
        assert (second.type, second.at, second.since) == ("WORKSPACE_DEPLOY", 0, "first-trigger")
        assert second.workspace_id == OTHER_ID

    def test_policies(self) -> None:
        scenario = load(
            {
                "logs": {"stream": "held", "empty": 204},
                "deployments": {"while-another-runs": "queue"},
                "withdrawal": {"queued": 409, "answer": 200, "takes": "2s"},
                "tokens": {
                    "personal": "p",
                    "client-id": "i",
                    "client-secret": "s",
                    "audience": "a",
                    "expires-in": 1,
                    "expires-after": "2s",
                    "expires-after-uses": 3,
                },
                "answers": {"old": True, "hrefs": "relative", "link-lists": True, "fraction-digits": 0},
                "clock-skew": "-1h30m",
                "rate-limit": {"requests": 15, "per": "1s", "retry-after": 2},
            }
        )
        assert scenario.logs == Logs("held", 204)
        assert scenario.while_another_runs == "queue"
        assert scenario.withdrawal == Withdrawal(409, 200, 2)
        assert scenario.tokens == TokenPolicy("p", "i", "s", "a", 1, 2, 3)
        assert scenario.answers == AnswerStyle(old=True, hrefs="relative", link_lists=True, fraction_digits=0)
        assert scenario.clock_skew == -5400
        assert scenario.rate_limit == RateLimit(15, 1, 2)

    @pytest.mark.parametrize(
        ("item", "content"),
        [
            ({"text": "one"}, b"one\n"),
            ({"text": "one\ntwo\n"}, b"one\ntwo\n"),
            ({"text": "50 %", "unfinished": True}, b"50 %"),
            ({"text": "\x1b[31mré\r"}, "\x1b[31mré\r\n".encode()),
            ({"base64": "AP8K"}, b"\x00\xff\n"),
            ({"lines": 2}, b"line 000\nline 001\n"),
            ({"lines": 2, "text": "<{n}>", "line-bytes": 10}, b"<000>....\n<001>....\n"),
        ],
    )
    def test_log(self, item: dict[str, object], content: bytes) -> None:
        assert written(plan_of(log=[item])) == content

    def test_log_times(self) -> None:
        plan = plan_of(
            log=[{"at": "1s", "text": "a"}, {"text": "b"}, {"at": 2, "lines": 4, "over": "4s"}, {"text": "c"}]
        )
        assert [written(plan, at).count(b"\n") for at in (0, 1, 2, 3, 4.9, 5.9, 6)] == [0, 2, 3, 4, 5, 6, 7]

    def test_log_from_a_file_beside_the_scenario(self, tmp_path: Path) -> None:
        (tmp_path / "my.log").write_bytes(b"\xff\r\n")
        (tmp_path / "my.yml").write_text("job: {log: [{file: my.log}]}")
        assert written(load(tmp_path / "my.yml").workspaces[0].plan) == b"\xff\r\n"

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (
                {"calls": "job", "status": 503},
                Fault(frozenset({"job"}), answer=Canned(503)),
            ),
            (
                {"calls": ["job", "logs"], "status": 429, "body": {"api": "slow"}, "headers": {"Retry-After": 2}},
                Fault(frozenset({"job", "logs"}), answer=Canned(429, headers={"Retry-After": "2"}, message="slow")),
            ),
            (
                {"calls": "job", "status": 200, "body": {"text": "{"}},
                Fault(frozenset({"job"}), answer=Canned(200, b"{", "application/json")),
            ),
            (
                {"calls": "job", "status": 200, "body": {"json": [1]}},
                Fault(frozenset({"job"}), answer=Canned(200, b"[1]", "application/json")),
            ),
            (
                {"calls": "job", "status": 200, "body": {"base64": "/w=="}},
                Fault(frozenset({"job"}), answer=Canned(200, b"\xff", "application/json")),
            ),
            ({"calls": "job", "status": 204}, Fault(frozenset({"job"}), answer=Canned(204, b""))),
            (
                {"calls": "trigger", "drop": "reset", "after": True, "delay": "1s"},
                Fault(frozenset({"trigger"}), drop="reset", after=True, delay=1),
            ),
            ({"calls": "all", "hang": True}, Fault(frozenset(CALLS), hang=True)),
            ({"calls": "logs", "expire-token": True}, Fault(frozenset({"logs"}), expire_token=True)),
            ({"calls": "logs", "cut": 10}, Fault(frozenset({"logs"}), cut=10)),
            ({"calls": "logs", "stall": 0}, Fault(frozenset({"logs"}), stall=0)),
            (
                {"calls": "logs", "cut": 1, "requests": {"first": 2}},
                Fault(frozenset({"logs"}), Selection(stop=2), cut=1),
            ),
            (
                {"calls": "logs", "cut": 1, "requests": {"numbers": [1, 3]}},
                Fault(frozenset({"logs"}), Selection(frozenset({1, 3})), cut=1),
            ),
            (
                {"calls": "logs", "cut": 1, "requests": {"from": 2, "to": 9, "every": 3}},
                Fault(frozenset({"logs"}), Selection(start=2, stop=9, every=3), cut=1),
            ),
            (
                {"calls": "logs", "cut": 1, "requests": {"during": ["2s", "forever"]}},
                Fault(frozenset({"logs"}), Selection(during=(2, math.inf)), cut=1),
            ),
        ],
    )
    def test_faults(self, fault: dict[str, object], expected: Fault) -> None:
        assert load({"faults": [fault]}).faults == (expected,)

    def test_html_is_what_a_gateway_would_send(self) -> None:
        (fault,) = load({"faults": [{"calls": "job", "status": 502, "body": "html"}]}).faults
        assert fault.answer is not None
        assert fault.answer.body is not None
        assert fault.answer.body.startswith(b"<html>")
        assert fault.answer.content_type == "text/html"


class TestBasedOn:
    def test_mappings_are_merged_and_lists_replaced(self) -> None:
        base = load("success").workspaces[0].plan
        plan = load({"based-on": "success", "job": {"runs": "9s"}}).workspaces[0].plan
        assert (plan.queued, plan.runs) == (base.queued, 9)
        assert written(plan) == written(base)
        assert written(load({"based-on": "success", "job": {"log": []}}).workspaces[0].plan) == b""

    def test_a_file_beside_it_and_that_files_base(self, tmp_path: Path) -> None:
        (tmp_path / "base.yml").write_text("{based-on: held-stream, job: {queued: 5s}}")
        (tmp_path / "my.yml").write_text("{based-on: base.yml, job: {runs: 6s}}")
        scenario = load(tmp_path / "my.yml")
        assert scenario.logs.stream == "held"
        assert (scenario.workspaces[0].plan.queued, scenario.workspaces[0].plan.runs) == (5, 6)


MISTAKES = [
    ({"jobs": {}}, "jobs: unknown key; did you mean 'job'?"),
    ({"zzz": 1}, "zzz: unknown key; known here: answers, "),
    ({"job": {"quued": 1}}, "job.quued: unknown key; did you mean 'queued'?"),
    ({"job": []}, "job: expected a mapping, got []"),
    (
        {"job": {"queued": "soon"}},
        "job.queued: expected a duration such as 250ms, 1.5s or 1h30m, or forever, got 'soon'",
    ),
    ({"job": {"queued": -1}}, "job.queued: expected a duration"),
    ({"job": {"queued": True}}, "job.queued: expected a duration"),
    ({"job": {"queued": ""}}, "job.queued: expected a duration"),
    ({"job": {"ends": "RUNNING"}}, "job.ends: expected one of COMPLETE, ERROR, STOPPED, got 'RUNNING'"),
    ({"job": {"exit-code": "1"}}, "job.exit-code: expected a whole number, got '1'"),
    ({"job": {"exit-code": True}}, "job.exit-code: expected a whole number"),
    ({"job": {"commit-id": 7}}, "job.commit-id: expected text, got 7"),
    ({"job": {"fields": []}}, "job.fields: expected a mapping"),
    ({"job": {"log": "text"}}, "job.log: expected a list"),
    ({"job": {"log": ["text"]}}, "job.log[1]: expected a mapping, got 'text'"),
    ({"job": {"log": [{"at": 1}]}}, "job.log[1].text: missing"),
    ({"job": {"log": [{"text": "a"}, {"txt": "a", "text": "b"}]}}, "job.log[2].txt: unknown key; did you mean 'text'?"),
    ({"job": {"log": [{"at": 2, "text": "a"}, {"at": 1, "text": "b"}]}}, "job.log: what is written at 1 s comes after"),
    ({"job": {"log": [{"text": "a", "unfinished": 1}]}}, "job.log[1].unfinished: expected true or false, got 1"),
    ({"job": {"log": [{"base64": "A"}]}}, "job.log[1].base64: expected base64"),
    ({"job": {"log": [{"file": "none.log"}]}}, "job.log[1].file: expected a file that can be read"),
    ({"job": {"log": [{"lines": 0}]}}, "job.log[1].lines: expected at least 1, got 0"),
    ({"job": {"log": [{"lines": 1, "text": "x"}]}}, "job.log[1].text: expected one line with {n} once"),
    ({"job": {"log": [{"lines": 1, "line-bytes": 3}]}}, "job.log[1].line-bytes: expected at least 9, got 3"),
    ({"logs": {"empty": 500}}, "logs.empty: expected one of 200, 204, got 500"),
    ({"workspace": {"id": "x"}}, "workspace.id: expected a UUID, got 'x'"),
    ({"workspace": {"managed": "yes"}}, "workspace.managed: expected true or false"),
    ({"other-workspaces": [{}]}, "other-workspaces[1].id: missing"),
    ({"other-jobs": [{"since": "now"}]}, "other-jobs[1].since: expected one of start, first-trigger"),
    ({"deployments": {"while": 1}}, "deployments.while: unknown key"),
    ({"answers": {"hrefs": "odd"}}, "answers.hrefs: expected absolute, without-port, relative, or an API root"),
    ({"answers": {"fraction-digits": 10}}, "answers.fraction-digits: expected one of 0, 1"),
    ({"answers": {"fraction-digits": True}}, "answers.fraction-digits: expected one of 0, 1"),
    ({"rate-limit": {}}, "rate-limit.requests: missing"),
    ({"faults": [{"status": 502}]}, "faults[1].calls: missing"),
    ({"faults": [{"calls": "jbo", "hang": True}]}, "faults[1].calls: expected all, or some of token, trigger"),
    ({"faults": [{"calls": [], "hang": True}]}, "faults[1].calls: expected all, or some of"),
    ({"faults": [{"calls": "job"}]}, "faults[1]: nothing goes wrong"),
    ({"faults": [{"calls": "job", "drop": "close", "hang": True}]}, "faults[1]: only one of status, drop, hang"),
    ({"faults": [{"calls": "job", "cut": 1, "after": True}]}, "faults[1]: 'after' needs a status, drop, hang or delay"),
    ({"faults": [{"calls": "job", "drop": "gently"}]}, "faults[1].drop: expected one of close, reset"),
    ({"faults": [{"calls": "job", "status": 700}]}, "faults[1].status: expected at most 599, got 700"),
    ({"faults": [{"calls": "job", "status": 204, "body": "html"}]}, "faults[1].body: expected empty: 204 has no body"),
    ({"faults": [{"calls": "job", "status": 502, "body": "xml"}]}, "faults[1].body: expected api, html, empty"),
    ({"faults": [{"calls": "job", "status": 502, "body": {}}]}, "faults[1].body: expected api, html, empty"),
    ({"faults": [{"calls": "job", "body": "html", "hang": True}]}, "faults[1].body: unknown key"),
    (
        {"faults": [{"calls": "job", "hang": True, "requests": {"numbers": [0]}}]},
        "faults[1].requests.numbers: expected",
    ),
    (
        {"faults": [{"calls": "job", "hang": True, "requests": {"during": ["1s"]}}]},
        "faults[1].requests.during: expected",
    ),
    ({"faults": [{"calls": "job", "hang": True, "requests": {"during": [1, "x"]}}]}, "requests.during: expected a dur"),
    ([1], "expected a mapping"),
]


class TestMistakes:
    @pytest.mark.parametrize(("content", "message"), MISTAKES)
    def test_name_the_place_and_what_was_expected(self, content: object, message: str, tmp_path: Path) -> None:
        path = tmp_path / "my.yml"
        path.write_text(yaml.safe_dump(content))
        with pytest.raises(ScenarioError, match=re.escape(message)) as caught:
            load(path)
        assert "my.yml" in str(caught.value)

    def test_no_such_scenario(self) -> None:
        with pytest.raises(
            ScenarioError, match=r"scenario sucess: no such file, and no such name; names are conflict,"
        ):
            load("sucess")

    def test_no_such_base(self) -> None:
        with pytest.raises(ScenarioError, match="scenario sucess: no such file"):
            load({"based-on": "sucess"})

    def test_based_on_itself(self, tmp_path: Path) -> None:
        (tmp_path / "a.yml").write_text("based-on: b.yml")
        (tmp_path / "b.yml").write_text("based-on: a.yml")
        with pytest.raises(ScenarioError, match=r"scenario a\.yml: is based on itself"):
            load(tmp_path / "a.yml")

    def test_not_yaml(self, tmp_path: Path) -> None:
        (tmp_path / "my.yml").write_text("job: [")
        with pytest.raises(ScenarioError, match=r"my\.yml: not YAML"):
            load(tmp_path / "my.yml")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(90, 90), (1.5, 1.5), ("90s", 90), ("1.5s", 1.5), ("15m", 900), ("2h", 7200), ("1h30m5s", 5405), ("250ms", 0.25)],
)
def test_durations(text: object, seconds: float) -> None:
    assert Section({"d": text}, "").duration("d") == seconds


@pytest.mark.parametrize("text", ["1 s", "s", "90", "1s1h", "-1s", "1e3s", "forever", None, [1]])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ScenarioError, match="expected a duration"):
        Section({"d": text}, "").duration("d")


def test_the_readme_shows_every_key_of_a_scenario_that_can_be_played(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (tmp_path / "some.log").write_bytes(b"")
    (tmp_path / "readme.yml").write_text(example, "utf-8")
    scenario = load(tmp_path / "readme.yml")
    assert scenario.workspaces[0].plan.fields == {"triggeredBy": "me"}
    shown = set(re.findall(r"[\w-]+(?=:(?: |\n))", example))
    asked = {name.replace("_", "-") for value in (Workspace(), TokenPolicy()) for name in dataclasses.asdict(value)}
    assert asked - {"plan"} <= shown | {"id"}
    assert all(call in example for call in CALLS)
