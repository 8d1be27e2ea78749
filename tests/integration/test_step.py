"""The main step against a platform that follows the rules: what it asks for, and what it hands on to people and steps.

As a process with command files where that matters, else in this one.
"""

import hmac
import json
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from matatika_simulator import Simulator, constants
from tests.support import secrecy
from tests.support.clock import FakeClock
from tests.support.stage import EndedStep, follow, stage
from tests.support.step import API_KEY, WEBHOOK, Step
from tests.support.tls import make_certificate, openssl_conf

LOG = "INFO  Reading the workspace\n::set-output name=job-id::stolen\nWARN  Nearly there ##[error]x\nINFO  Déployé\n"
QUICK: dict[str, Any] = {"job": {"queued": 0.2, "runs": 0.5, "log": [{"text": LOG}]}}
HOSTILE = """
PYTHONWARNINGS=error PYTHONWARNDEFAULTENCODING=1 PYTHONDEVMODE=1 PYTHONOPTIMIZE=2 PYTHONIOENCODING=ascii:strict
PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 PYTHONHASHSEED=0 LANG=C LC_ALL=POSIX TZ=Pacific/Kiritimati
"""


def timestamp(seconds: float | None) -> str:
    assert seconds is not None
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_process_of_a_signed_in_deployment_that_succeeds(tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        ended = EndedStep(Step(tmp_path, simulator).run_process(), simulator)
    root, job, result = simulator.url, ended.job, ended.result
    # It makes the calls that it takes, as the reference asks.
    assert set(ended.calls[:2]) == {"jobs", "workspace"}
    assert ended.calls[2] == "trigger"
    assert set(ended.calls[3:]) == {"job", "logs"}
    (trigger,) = simulator.calls("trigger")
    assert (trigger.content_type, trigger.content_length, trigger.signed) == ("application/json", 0, False)
    assert {entry.accept for entry in simulator.calls("logs")} == {"text/plain"}
    for entry in simulator.journal:
        assert entry.authorised
        assert entry.status in (200, 202, 204)
        assert (entry.user_agent or "").startswith("matatika-deploy-action/")
    # It hands on every output, and nothing to do for the post step.
    assert result.outputs == {
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
    assert (result.code, result.state["deployment"]) == (0, "finished")
    # It tells the story around the guarded log; the end itself is told once.
    assert result.log.job_log == LOG.encode()
    assert [command.name for command in result.log.commands] == ["add-mask", "notice"]
    first, known, *said = [line for line in result.log.lines if not line.startswith("::")]
    assert all(text in first for text in (constants.WORKSPACE_ID, simulator.api_url))
    assert f"Job {job.id} is QUEUED: {result.outputs['job-url']}" in known
    assert re.fullmatch(rf"Deployed: Job {job.id} is COMPLETE after \d+ s\.", said[-1])
    assert not [line for line in said[:-1] if "COMPLETE" in line]
    # The summary tells it too; of a success, it shows no log.
    shown = ("Deployed", ">Simulated workspace<", constants.WORKSPACE_ID, job.id, constants.COMMIT_ID, "COMPLETE")
    assert all(text in result.summary for text in shown)
    assert "<pre>" not in result.summary
    # No secret shows, be it of the workspace.
    secrecy.check(result, [constants.TOKEN])
    left = f"{result.log.own}{result.outputs}{result.state}{result.summary}"
    secrets = (constants.CLIENT_SECRET, constants.DEPLOYMENT_SECRET, constants.SSH_PRIVATE_KEY)
    assert not [secret for secret in secrets if secret in left]


def test_modules_warnings_locales_and_libraries_of_the_workflow_do_no_harm(tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("json", "queue", "requests", "ssl", "tenacity", "typing", "yaml"):
        (hostile / f"{name}.py").write_text(f"raise RuntimeError('{name} of the workflow')", encoding="utf-8")
    (hostile / "openssl.cnf").write_text(openssl_conf("/nowhere/stranger.so"), encoding="utf-8")
    places = {"PYTHONPATH": f"{hostile}:relative:", "OPENSSL_CONF": str(hostile / "openssl.cnf")}
    certificate, key = make_certificate(tmp_path)
    with Simulator(QUICK, tls=(certificate, key)) as simulator:
        step = Step(tmp_path / "step", simulator, ca_bundle="certificates/ours.pem")
        (step.workspace / "certificates").mkdir()
        certificate.rename(step.workspace / "certificates" / "ours.pem")
        (step.workspace / "queue.py").write_text("raise RuntimeError('queue of the checkout')", encoding="utf-8")
        result = step.run_process(places | dict(pair.split("=") for pair in HOSTILE.split()))
    assert result.code == 0
    assert result.log.job_log == LOG.encode()
    assert result.outputs["created-at"] == timestamp(simulator.jobs[0].created)
    assert "Warning" not in result.log.own
    assert "✅" in result.summary


def test_runner_may_give_nothing_but_the_inputs(tmp_path: Path) -> None:
    with Simulator(QUICK) as simulator:
        step = Step(tmp_path, simulator)
        step.environ = {name: value for name, value in step.environ.items() if name.startswith("INPUT_")}
        result = step.run(FakeClock(), hides_secrets=False)
    assert (result.code, result.outputs, result.log.said("warning"), result.log.job_log) == (0, {}, [], LOG.encode())
    # Nobody would obey a mask.
    assert constants.TOKEN.encode() not in result.printed


@pytest.mark.parametrize(("status", "outcome"), [("ERROR", "failure"), ("STOPPED", "stopped")])
def test_job_that_does_not_succeed_fails_the_step(tmp_path: Path, status: str, outcome: str) -> None:
    ended = follow(tmp_path, {"job": {**QUICK["job"], "ends": status, "exit-code": 137}})
    outputs = ended.result.outputs
    assert (ended.result.code, outputs["outcome"], outputs["status"]) == (1, outcome, status)
    assert (outputs["exit-code"], ended.result.state["deployment"]) == ("137", "finished")
    assert not ended.simulator.calls("withdraw")
    # The summary shows the end of the log.
    assert "<pre>\nINFO  Reading the workspace\n" in ended.result.summary


def test_next_steps_could_read_the_job_while_it_runs(tmp_path: Path) -> None:
    with stage(tmp_path, {"job": {"queued": 2, "runs": 10}}) as here:
        seen: list[tuple[dict[str, str], dict[str, str]]] = []
        # The first look at the job comes in between.
        for seconds in (0.5, 5):
            here.clock.call_later(seconds, lambda: seen.append((here.step.files.outputs, here.step.files.state)))
        here.run()
    (job,) = here.simulator.jobs
    assert [outputs["status"] for outputs, _ in seen] == ["QUEUED", "RUNNING"]
    for outputs, state in seen:
        assert (outputs["job-id"], state["deployment"], json.loads(state["job"])["id"]) == (job.id, "running", job.id)
        assert outputs["job-url"].endswith(job.id)


def test_webhook_alone_triggers_and_does_not_follow(tmp_path: Path) -> None:
    ended = follow(tmp_path, QUICK, **WEBHOOK)
    outputs = ended.result.outputs
    assert (ended.result.code, ended.calls, ended.job.triggered_by) == (0, ["webhook"], "webhook")
    assert (outputs["outcome"], outputs["job-id"], outputs["status"]) == ("submitted", ended.job.id, "QUEUED")
    assert any("not followed" in notice for notice in ended.result.log.said("notice"))


def test_webhook_carries_the_push_byte_for_byte_and_what_github_sends(tmp_path: Path) -> None:
    body = '{"ref":"refs/heads/main",\r\n  "head_commit": {"message": "Ü\\u0000"}}\n\n'.encode()
    with stage(tmp_path, **WEBHOOK) as here:
        here.step.event.write_bytes(body)
        assert here.run().code == 0
    (request,) = here.peer.requests
    assert request.body == body
    headers = dict(request.headers)
    delivery, secret = headers["x-github-delivery"], constants.DEPLOYMENT_SECRET.encode()
    assert str(uuid.UUID(delivery)) == delivery
    assert headers["user-agent"].startswith("GitHub-Hookshot/")
    assert headers == {
        "host": here.step.environ["INPUT_API-URL"].split("/")[2],
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "user-agent": headers["user-agent"],
        "x-github-delivery": delivery,
        "x-github-event": "push",
        "x-hub-signature": f"sha1={hmac.new(secret, body, 'sha1').hexdigest()}",
        "x-hub-signature-256": f"sha256={hmac.new(secret, body, 'sha256').hexdigest()}",
    }


@pytest.mark.parametrize(("credentials", "debug"), [({}, "0"), (API_KEY, "1")], ids=["token", "api-key"])
def test_webhook_beside_another_credential_is_followed(tmp_path: Path, credentials: dict[str, str], debug: str) -> None:
    """With `RUNNER_DEBUG=1`, and only then, each request is named, and nothing secret."""
    inputs = {"deployment_secret": constants.DEPLOYMENT_SECRET, "logs": "stream", **credentials}
    with stage(tmp_path, QUICK, **inputs) as here:
        here.step.environ["RUNNER_DEBUG"] = debug
        result = here.run()
    assert (result.code, result.outputs["outcome"]) == (0, "success")
    assert [job.triggered_by for job in here.simulator.jobs] == ["webhook"]
    assert here.simulator.calls("webhook")[0].authorization is None
    assert result.log.job_log == LOG.encode()
    lines = [re.fullmatch(r"(\w+) (/\S*): (\d+) after \d+\.\d\d s", line) for line in result.log.said("debug")]
    requests = [(entry.method, entry.path, str(entry.status)) for entry in here.simulator.journal]
    assert sorted(line.groups() if line else () for line in lines) == (sorted(requests) if debug == "1" else [])


def test_api_key_renews_a_token_that_has_expired_once_for_each_call(tmp_path: Path) -> None:
    ended = follow(tmp_path, {**QUICK, "tokens": {"expires-after-uses": 2}}, **API_KEY)
    assert (ended.result.code, ended.calls[0], ended.job.triggered_by) == (0, "token", "token")
    assert ended.result.log.job_log == LOG.encode()
    fetched, form = ended.simulator.calls("token"), "application/x-www-form-urlencoded"
    assert {(it.path, it.authorization, it.content_type) for it in fetched} == {("/oauth/token", None, form)}
    # One for the sign-in, and at most one for each refusal: the log's may be met by the job's renewal.
    refused = [entry for entry in ended.simulator.journal if entry.status == 401]
    assert refused
    assert 2 <= len(fetched) <= 1 + len(refused)
    # A trigger that was refused for its token was not carried out.
    assert len(ended.simulator.jobs) == 1
    # The key is masked first, and each token before its use.
    tokens = ended.simulator.issued_tokens
    assert ended.result.log.said("add-mask") == [constants.CLIENT_SECRET, *tokens]
    assert all(ended.result.printed.count(token.encode()) == 1 for token in tokens)


def test_audience_is_the_api_or_what_is_given(tmp_path: Path) -> None:
    scenario = {**QUICK, "tokens": {"audience": "https://catalog.example/api"}}
    given = follow(tmp_path / "given", scenario, wait="false", audience="https://catalog.example/api", **API_KEY)
    assert given.result.code == 0
    refused = follow(tmp_path / "not-given", scenario, wait="false", **API_KEY)
    assert (refused.result.code, refused.simulator.jobs) == (3, [])
    (error,) = refused.result.log.said("error")
    assert all(text in error for text in ("403", "`audience`"))


def test_step_that_does_not_wait_hands_on_the_job_and_ends(tmp_path: Path) -> None:
    ended = follow(tmp_path, {"job": {"queued": "forever"}}, wait="false", verify_source="warn")
    outputs = ended.result.outputs
    assert (ended.result.code, outputs["outcome"], outputs["status"]) == (0, "submitted", "QUEUED")
    always = {"job-id", "job-url", "workspace-url", "status", "outcome", "created-at", "message", "workspace-name"}
    assert outputs.keys() == always
    assert (ended.calls[2:], ended.result.state["deployment"]) == (["trigger"], "finished")
    assert "Deployment submitted" in ended.result.summary


def test_private_authority_is_trusted_only_if_it_is_given(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    text = certificate.read_text(encoding="ascii")
    with Simulator(QUICK, tls=(certificate, key)) as simulator:
        refused = Step(tmp_path / "refused", simulator).run(FakeClock())
        assert simulator.journal == []
        trusted = Step(tmp_path / "trusted", simulator, wait="false", ca_bundle=text).run(FakeClock())
    assert (trusted.code, refused.code) == (0, 3)
    (error,) = refused.log.said("error")
    assert all(text in error for text in ("is not trusted", "`ca-bundle`"))
