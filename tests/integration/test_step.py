"""The main step as a runner runs it, a process with command files, against a platform that follows the rules."""

import hashlib
import hmac
import json
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from matatika_simulator import Simulator, constants
from tests.support.peer import Peer
from tests.support.step import EndedStep, Step, run_step
from tests.support.tls import make_certificate

LOG = "INFO  Reading the workspace\n::set-output name=job-id::stolen\nWARN  Nearly there ##[error]x\nINFO  Déployé\n"
QUICK: dict[str, Any] = {"job": {"queued": 0.2, "runs": 0.5, "log": [{"text": LOG}]}}
OPENSSL_CONF = """
config_diagnostics = 1
openssl_conf = all
[all]
providers = of_the_workflow
[of_the_workflow]
stranger = stranger
[stranger]
module = {module}
activate = 1
"""
API_KEY = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
SECRETS = (constants.TOKEN, constants.CLIENT_SECRET, constants.DEPLOYMENT_SECRET)


def ending(status: str, **job: Any) -> dict[str, Any]:
    return {"job": {**QUICK["job"], "ends": status, **job}}


def timestamp(seconds: float | None) -> str:
    assert seconds is not None
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class TestToken:
    """A signed-in deployment that succeeds."""

    @pytest.fixture(scope="class")
    @classmethod
    def ended(cls, tmp_path_factory: pytest.TempPathFactory) -> EndedStep:
        return run_step(tmp_path_factory.mktemp("token"), QUICK)

    def test_takes_the_job_s_result(self, ended: EndedStep) -> None:
        assert ended.result.code == 0
        assert ended.job.status == "COMPLETE"
        assert ended.job.triggered_by == "token"

    def test_makes_the_calls_that_it_takes_and_no_other(self, ended: EndedStep) -> None:
        assert set(ended.calls[:2]) == {"jobs", "workspace"}
        assert ended.calls[2] == "trigger"
        assert set(ended.calls[3:]) == {"job", "logs"}
        assert len(ended.simulator.calls("trigger")) == 1
        assert all(entry.authorised for entry in ended.simulator.journal)
        assert {entry.status for entry in ended.simulator.journal} <= {200, 202, 204}

    def test_sends_what_the_reference_asks_for(self, ended: EndedStep) -> None:
        (trigger,) = ended.simulator.calls("trigger")
        assert (trigger.content_type, trigger.content_length, trigger.signed) == ("application/json", 0, False)
        assert {entry.accept for entry in ended.simulator.calls("logs")} == {"text/plain"}
        assert all((entry.user_agent or "").startswith("matatika-deploy-action/") for entry in ended.simulator.journal)

    def test_hands_on_every_output(self, ended: EndedStep) -> None:
        root, job = ended.simulator.url, ended.job
        assert ended.result.outputs == {
            "job-id": job.id,
            "job-url": f"{root}/api/jobs/{job.id}",
            "workspace-url": f"{root}/workspaces/{constants.WORKSPACE_ID}",
            "status": "COMPLETE",
            "outcome": "success",
            "exit-code": "0",
            "commit-id": constants.COMMIT_ID,
            "created-at": timestamp(job.created),
            "started-at": timestamp(job.started),
            "ended-at": timestamp(job.ended),
            "duration": "0",
            "message": f"Deployed: Job {job.id} is COMPLETE after 0 s.",
            "workspace-name": "Simulated workspace",
        }

    def test_prints_the_job_s_log_and_guards_it(self, ended: EndedStep) -> None:
        assert ended.result.log.job_log == LOG.encode()
        assert [command.name for command in ended.result.log.commands] == ["add-mask", "notice"]

    def test_masks_the_token_before_anything_else(self, ended: EndedStep) -> None:
        assert ended.result.printed.startswith(f"::add-mask::{constants.TOKEN}\n".encode())

    def test_tells_the_story(self, ended: EndedStep) -> None:
        said = [line for line in ended.result.log.lines if not line.startswith("::")]
        assert constants.WORKSPACE_ID in said[0]
        assert ended.simulator.api_url in said[0]
        assert f"Job {ended.job.id} is QUEUED" in said[1]
        assert ended.result.outputs["job-url"] in said[1]
        # The end itself is told once.
        assert re.fullmatch(rf"Deployed: Job {ended.job.id} is COMPLETE after \d+ s\.", said[-1])
        assert not [line for line in said[:-1] if "COMPLETE" in line]

    def test_has_a_summary_without_the_log(self, ended: EndedStep) -> None:
        summary = ended.result.summary
        for shown in ("Deployed", constants.WORKSPACE_ID, ended.job.id, constants.COMMIT_ID, "COMPLETE"):
            assert shown in summary
        assert "<pre>" not in summary

    def test_leaves_nothing_to_do_for_the_post_step(self, ended: EndedStep) -> None:
        assert ended.result.state["deployment"] == "finished"

    def test_no_secret_shows_anywhere(self, ended: EndedStep) -> None:
        result = ended.result
        shown = f"{result.log.own}{result.outputs}{result.state}{result.summary}".replace(
            f"::add-mask::{constants.TOKEN}", ""
        )
        assert not any(secret in shown for secret in (*SECRETS, constants.SSH_PRIVATE_KEY))


@pytest.mark.parametrize(
    ("status", "outcome", "title"),
    [("ERROR", "failure", "Deployment failed"), ("STOPPED", "stopped", "Deployment stopped")],
)
def test_a_job_that_does_not_succeed_fails_the_step(tmp_path: Path, status: str, outcome: str, title: str) -> None:
    ended = run_step(tmp_path, ending(status, **{"exit-code": 137}))
    assert ended.result.code == 1
    outputs = ended.result.outputs
    assert (outputs["outcome"], outputs["status"], outputs["exit-code"]) == (outcome, status, "137")
    (error,) = [command for command in ended.result.log.commands if command.name == "error"]
    assert error.properties == {"title": title}
    assert ended.job.id in error.data
    assert "137" in error.data
    # The summary shows the end of the log.
    assert "<pre>\nINFO  Reading the workspace\n" in ended.result.summary
    assert ended.result.state["deployment"] == "finished"
    assert not ended.simulator.calls("withdraw")


class TestWebhook:
    """A deployment that is signed instead of signed in."""

    def sign(self, body: bytes, algorithm: str) -> str:
        return f"{algorithm}={hmac.new(constants.DEPLOYMENT_SECRET.encode(), body, algorithm).hexdigest()}"

    def test_alone_triggers_and_does_not_follow(self, tmp_path: Path) -> None:
        ended = run_step(tmp_path, QUICK, token="", deployment_secret=constants.DEPLOYMENT_SECRET)
        assert ended.result.code == 0
        assert ended.calls == ["webhook"]
        assert ended.job.triggered_by == "webhook"
        outputs = ended.result.outputs
        assert (outputs["outcome"], outputs["job-id"], outputs["status"]) == ("submitted", ended.job.id, "QUEUED")
        assert any("not followed" in notice for notice in ended.result.log.said("notice"))
        assert ended.result.printed.startswith(f"::add-mask::{constants.DEPLOYMENT_SECRET}\n".encode())
        assert ended.result.log.job_log == b""

    @pytest.mark.parametrize("credentials", [{}, API_KEY], ids=["token", "api-key"])
    def test_beside_another_credential_is_followed(self, tmp_path: Path, credentials: dict[str, str]) -> None:
        ended = run_step(tmp_path, QUICK, deployment_secret=constants.DEPLOYMENT_SECRET, **credentials)
        assert ended.result.code == 0
        assert ended.result.outputs["outcome"] == "success"
        assert ended.job.triggered_by == "webhook"
        assert not ended.simulator.calls("trigger")
        assert ended.simulator.calls("webhook")[0].authorization is None
        assert ended.result.log.job_log == LOG.encode()

    def test_carries_the_push_byte_for_byte_and_what_github_sends(self, tmp_path: Path) -> None:
        body = '{"ref":"refs/heads/main",\r\n  "head_commit": {"message": "Ü\\u0000"}}\n\n'.encode()
        with Simulator(QUICK) as simulator, Peer(simulator) as peer:
            step = Step(
                tmp_path, simulator, token="", deployment_secret=constants.DEPLOYMENT_SECRET, api_url=peer.api_url
            )
            step.event.write_bytes(body)
            assert step.run().code == 0
            host = peer.url.removeprefix("http://")
        (request,) = peer.requests
        assert request.body == body
        assert str(uuid.UUID(request.headers["x-github-delivery"])) == request.headers["x-github-delivery"]
        assert request.headers["user-agent"].startswith("GitHub-Hookshot/")
        fixed = {
            name: value for name, value in request.headers.items() if name not in ("user-agent", "x-github-delivery")
        }
        assert fixed == {
            "host": host,
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-github-event": "push",
            "x-hub-signature": self.sign(body, "sha1"),
            "x-hub-signature-256": self.sign(body, "sha256"),
        }

    @pytest.mark.parametrize("event", ["workflow_dispatch", "schedule"])
    def test_carries_an_empty_object_for_any_other_event(self, tmp_path: Path, event: str) -> None:
        with Simulator(QUICK) as simulator:
            step = Step(tmp_path, simulator, token="", deployment_secret=constants.DEPLOYMENT_SECRET)
            step.event.write_bytes(b'{"inputs": {}}')
            assert step.run({"GITHUB_EVENT_NAME": event}).code == 0
        (entry,) = simulator.calls("webhook")
        assert entry.body_sha256 == hashlib.sha256(b"{}").hexdigest()

    def test_with_a_wrong_secret_is_refused(self, tmp_path: Path) -> None:
        ended = run_step(tmp_path, QUICK, token="", deployment_secret="not-the-secret")
        assert ended.result.code == 3
        assert ended.simulator.jobs == []
        (error,) = ended.result.log.said("error")
        assert "401" in error
        assert "`deployment-secret`" in error


class TestApiKey:
    """A deployment whose token the action fetches for itself."""

    @pytest.fixture(scope="class")
    @classmethod
    def ended(cls, tmp_path_factory: pytest.TempPathFactory) -> EndedStep:
        scenario = {**QUICK, "tokens": {"expires-after-uses": 2}}
        return run_step(tmp_path_factory.mktemp("api-key"), scenario, **API_KEY)

    def test_fetches_a_token_and_triggers_with_it(self, ended: EndedStep) -> None:
        assert ended.result.code == 0
        assert ended.result.outputs["outcome"] == "success"
        assert ended.calls[0] == "token"
        assert ended.job.triggered_by == "token"
        assert ended.result.log.job_log == LOG.encode()

    def test_sends_the_form_to_the_token_endpoint_without_a_token(self, ended: EndedStep) -> None:
        for entry in ended.simulator.calls("token"):
            assert (entry.path, entry.authorization) == ("/oauth/token", None)
            assert entry.content_type == "application/x-www-form-urlencoded"

    def test_renews_a_token_that_has_expired_once_for_each_call(self, ended: EndedStep) -> None:
        refused = [entry for entry in ended.simulator.journal if entry.status == 401]
        assert refused
        # One for the sign-in, and at most one for each refusal: the log's may be met by the job's renewal.
        assert 2 <= len(ended.simulator.calls("token")) <= 1 + len(refused)
        # A trigger that was refused for its token was not carried out.
        assert [entry.status for entry in ended.simulator.calls("trigger")] in ([202], [401, 202])
        assert len(ended.simulator.jobs) == 1

    def test_masks_the_key_first_and_each_token_before_its_use(self, ended: EndedStep) -> None:
        masks = ended.result.log.said("add-mask")
        assert masks == [constants.CLIENT_SECRET, *ended.simulator.issued_tokens]
        for token in ended.simulator.issued_tokens:
            assert ended.result.printed.count(token.encode()) == 1

    def test_the_audience_is_the_api_or_what_is_given(self, tmp_path: Path) -> None:
        scenario = {**QUICK, "tokens": {"audience": "https://catalog.example/api"}}
        given = run_step(tmp_path / "given", scenario, wait="false", audience="https://catalog.example/api", **API_KEY)
        assert given.result.code == 0
        refused = run_step(tmp_path / "not-given", scenario, wait="false", **API_KEY)
        assert refused.result.code == 3
        assert refused.simulator.jobs == []
        (error,) = refused.result.log.said("error")
        assert "403" in error
        assert "`audience`" in error


class TestNotWaiting:
    """`wait: false`."""

    def test_hands_on_the_job_and_ends(self, tmp_path: Path) -> None:
        ended = run_step(tmp_path, {"job": {"queued": "forever"}}, wait="false")
        assert ended.result.code == 0
        outputs = ended.result.outputs
        assert outputs.keys() == {
            "job-id",
            "job-url",
            "workspace-url",
            "status",
            "outcome",
            "created-at",
            "message",
            "workspace-name",
        }
        assert (outputs["outcome"], outputs["status"], outputs["job-id"]) == ("submitted", "QUEUED", ended.job.id)
        assert set(ended.calls[:2]) == {"jobs", "workspace"}
        assert ended.calls[2:] == ["trigger"]
        assert ended.result.state["deployment"] == "finished"
        assert "Deployment submitted" in ended.result.summary


def test_the_next_steps_could_read_the_job_while_it_runs(tmp_path: Path) -> None:
    with Simulator({"job": {"runs": "forever", "log": [{"text": "Working"}]}}) as simulator:
        step = Step(tmp_path, simulator)
        with step.started() as process:
            process.wait_for_print("Working")
            (job,) = simulator.jobs
            assert step.files.outputs["job-id"] == job.id
            assert step.files.outputs["status"] in ("QUEUED", "RUNNING")
            assert step.files.outputs["job-url"].endswith(job.id)
            assert step.files.state["deployment"] == "running"
            assert json.loads(step.files.state["job"])["id"] == job.id
            assert process.is_running


class TestDeadline:
    """`timeout` counts from the step's start, and is kept by a real clock too."""

    def test_ends_the_step(self, tmp_path: Path) -> None:
        scenario = {"job": {"runs": "forever", "log": [{"text": "Working"}]}}
        ended = run_step(tmp_path, scenario, timeout="2s")
        assert ended.result.code == 4
        assert ended.job.status == "STOPPED"
        outputs = ended.result.outputs
        assert (outputs["outcome"], outputs["status"]) == ("timed-out", "STOPPED")
        assert len(ended.simulator.calls("withdraw")) == 1
        (error,) = ended.result.log.said("error")
        assert ended.job.id in error
        assert "`timeout`" in error
        assert ended.result.log.job_log == b"Working\n"
        assert "Working" in ended.result.summary


class TestEnvironment:
    """What a workflow may do to the program's surroundings."""

    def test_a_runner_that_gives_nothing_but_the_inputs(self, tmp_path: Path) -> None:
        with Simulator(QUICK) as simulator:
            step = Step(tmp_path, simulator)
            step.environ = {name: value for name, value in step.environ.items() if name.startswith("INPUT_")}
            result = step.run()
        assert result.code == 0
        assert result.outputs == {}
        assert result.log.job_log == LOG.encode()
        assert result.log.said("warning") == []

    def test_modules_warnings_and_locales_of_the_workflow_do_no_harm(self, tmp_path: Path) -> None:
        hostile = tmp_path / "hostile"
        hostile.mkdir()
        for name in ("json", "queue", "requests", "ssl", "tenacity", "typing", "yaml"):
            (hostile / f"{name}.py").write_text(f"raise RuntimeError('{name} of the workflow')", encoding="utf-8")
        environ = {
            "PYTHONPATH": f"{hostile}:relative:",
            "PYTHONWARNINGS": "error",
            "PYTHONWARNDEFAULTENCODING": "1",
            "PYTHONDEVMODE": "1",
            "PYTHONOPTIMIZE": "2",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "ascii:strict",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONHASHSEED": "0",
            "LANG": "C",
            "LC_ALL": "POSIX",
            "TZ": "Pacific/Kiritimati",
        }
        with Simulator(QUICK) as simulator:
            step = Step(tmp_path / "step", simulator)
            (step.workspace / "queue.py").write_text("raise RuntimeError('queue of the checkout')", encoding="utf-8")
            result = step.run(environ)
        assert result.code == 0
        assert result.log.job_log == LOG.encode()
        assert result.outputs["created-at"] == timestamp(simulator.jobs[0].created)
        assert "Warning" not in result.log.own
        assert "✅" in result.summary

    def test_openssl_loads_nothing_of_the_workflow(self, tmp_path: Path) -> None:
        configuration = tmp_path / "openssl.cnf"
        # With it, OpenSSL opens the module, and fails since there is none.
        configuration.write_text(OPENSSL_CONF.format(module=tmp_path / "stranger.so"), encoding="utf-8")
        environ = {"OPENSSL_CONF": str(configuration)}
        command = [sys.executable, "-c", "import ssl; ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)"]
        assert subprocess.run(command, env=environ, capture_output=True).returncode != 0
        with Simulator(QUICK, tls=make_certificate(tmp_path)) as simulator:
            step = Step(tmp_path / "step", simulator, ca_bundle=(tmp_path / "certificate.pem").read_text("utf-8"))
            result = step.run(environ)
        assert result.code == 0

    def test_a_netrc_of_the_runner_replaces_no_token(self, tmp_path: Path) -> None:
        with Simulator(QUICK) as simulator:
            step = Step(tmp_path, simulator, wait="false")
            netrc = Path(step.environ["HOME"]) / ".netrc"
            netrc.write_text("machine 127.0.0.1 login someone password else\n", encoding="ascii")
            netrc.chmod(0o600)
            assert step.run({"NETRC": str(netrc)}).code == 0
        assert {entry.authorization for entry in simulator.journal} == {"Bearer"}


class TestDebugLogging:
    """`RUNNER_DEBUG`."""

    LINE = re.compile(r"(GET|POST) (/[^ ]*): (\d{3}) after \d+\.\d\d s")

    def test_names_each_request_and_nothing_secret(self, tmp_path: Path) -> None:
        with Simulator(QUICK) as simulator:
            step = Step(tmp_path, simulator, deployment_secret=constants.DEPLOYMENT_SECRET, **API_KEY)
            result = step.run({"RUNNER_DEBUG": "1"})
        lines = [self.LINE.fullmatch(line) for line in result.log.said("debug")]
        named = sorted((line[1], line[2], int(line[3])) for line in lines if line)
        assert len(named) == len(lines)
        assert named == sorted((entry.method, entry.path, entry.status) for entry in simulator.journal)
        own = re.sub(r"::add-mask::.*\n", "", result.log.own)
        assert not any(secret in own for secret in (*SECRETS, constants.CLIENT_ID, *simulator.issued_tokens))
        assert result.log.job_log == LOG.encode()

    def test_says_nothing_unless_it_is_wanted(self, tmp_path: Path) -> None:
        with Simulator(QUICK) as simulator:
            result = Step(tmp_path, simulator, wait="false").run({"RUNNER_DEBUG": "0"})
        assert result.log.said("debug") == []


class TestPrivateAuthority:
    """`ca-bundle`."""

    @pytest.fixture(scope="class")
    @classmethod
    def certificate(cls, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
        return make_certificate(tmp_path_factory.mktemp("tls"))

    def test_is_trusted_by_the_path_of_its_certificate(self, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
        with Simulator(QUICK, tls=certificate) as simulator:
            step = Step(tmp_path, simulator, ca_bundle="certificates/ours.pem")
            (step.workspace / "certificates").mkdir()
            (step.workspace / "certificates" / "ours.pem").write_bytes(certificate[0].read_bytes())
            result = step.run()
        assert result.code == 0
        assert result.log.job_log == LOG.encode()

    def test_is_trusted_by_its_text(self, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
        text = certificate[0].read_text(encoding="ascii")
        with Simulator(QUICK, tls=certificate) as simulator:
            assert Step(tmp_path, simulator, wait="false", ca_bundle=text).run().code == 0

    def test_is_not_trusted_otherwise(self, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
        with Simulator(QUICK, tls=certificate) as simulator:
            result = Step(tmp_path, simulator, verify_source="off").run()
        assert result.code == 3
        assert simulator.journal == []
        (error,) = result.log.said("error")
        assert "is not trusted" in error
        assert "`ca-bundle`" in error
