"""The table of mistakes and endings: what a user reads, from top to bottom, and nothing else.

Each row is a situation, and the lines that stand out in its log: annotations as the runner shows them, which is without
their titles and files, and the result. Lines that are indented go on where the line before ends, and what differs from
run to run, or would be said of every error, is left out: see `shown`.
"""

import re
import signal
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from matatika_deploy.runtime.limits import Limits
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import constants
from tests.support.page import Page
from tests.support.peer import after_effect, answer, close, hang, reset
from tests.support.result import Result
from tests.support.stage import Stage, stage
from tests.support.step import API_KEY, PATIENT, WEBHOOK

SIGNALLED = 3.0
"""Seconds after the start at which a step gets its signal."""
WORKSPACE_PAGE = f"http://platform.example/workspaces/{constants.WORKSPACE_ID}"


@dataclass(frozen=True)
class Situation:
    """What happens, and what is read."""

    what: str
    scenario: Mapping[str, Any]
    arrange: tuple[Callable[[Stage], None], ...]
    inputs: Mapping[str, str]
    signalled: signal.Signals | None
    limits: Limits
    text: str = ""

    def reads(self, text: str) -> "Situation":
        return replace(self, text=re.sub(r"\n +", " ", textwrap.dedent(text).strip()))


def when(
    what: str,
    scenario: Mapping[str, Any] | None = None,
    *arrange: Callable[[Stage], None],
    signalled: signal.Signals | None = None,
    limits: Limits = PATIENT,
    **inputs: str,
) -> Situation:
    return Situation(what, scenario or job(), arrange, inputs, signalled, limits)


LOG = [
    {"text": "INFO  Cloning https://github.com/simulated-org/simulated-workspace, branch main"},
    {"text": "ERROR Pipeline 'orders': data component 'dbt-warehouse' is not installed in this workspace"},
    {"text": "INFO  Rolling back"},
]


def job(**more: Any) -> dict[str, Any]:
    return {"job": {"queued": "1s", "runs": "4s", "log": LOG[:1], **more}}


def failing(**more: Any) -> dict[str, Any]:
    return job(**{"ends": "ERROR", "log": LOG, **more})


def fault(calls: str, status: int, scenario: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {**(scenario or job()), "faults": [{"calls": calls, "status": status, **more}]}


def on(call: str, behaviour: Any, **more: Any) -> Callable[[Stage], None]:
    return lambda at: at.peer.on(call, behaviour, **more)


def environ(**variables: str) -> Callable[[Stage], None]:
    return lambda at: at.step.environ.update(variables)


def checkout(schedule: str = "0 0 1 * * *") -> Callable[[Stage], None]:
    def arrange(at: Stage) -> None:
        (at.step.workspace / "pipelines").mkdir()
        (at.step.workspace / "workspace.yml").write_text("version: workspaces/v0.2\n", encoding="utf-8")
        pipeline = f"version: pipelines/v0.1\nschedule: {schedule}\n"
        (at.step.workspace / "pipelines/orders.yml").write_text(pipeline, encoding="utf-8")

    return arrange


def refuse(at: Stage) -> None:
    at.peer.refuse(None)


def behind_a_proxy(at: Stage) -> None:
    at.step.environ["HTTP_PROXY"] = at.peer.url


RUNNING = job(runs="forever", log=LOG)
OTHER = {**RUNNING, "other-jobs": [{"at": "-30s", "runs": "forever"}]}
HTML = answer(403, b"<!DOCTYPE html><title>Attention Required! | Cloudflare</title>", content_type="text/html")
PAGE = answer(200, b"<!DOCTYPE html><title>Matatika</title>", content_type="text/html")
LOST = after_effect(close)
COMMIT = "1e81ff35a1e0d2a4b0c8d6f7e9a3b5c7d9e1f3a5"
WITHIN_SECONDS = PATIENT._replace(conflict=5)

TABLE = [
    when("A deployment succeeds.").reads("Deployed: Job JOB is COMPLETE after 4 s."),
    when("A deployment succeeds, with an exit code that says otherwise.", job(**{"exit-code": 3})).reads("""
        Warning: The deployment succeeded, although its exit code is 3.
        Deployed: Job JOB is COMPLETE after 4 s.
    """),
    when(
        "A deployment succeeds, of another commit than this workflow's.",
        None,
        environ(GITHUB_SHA=COMMIT),
        verify_source="warn",
    ).reads(f"""
        Warning: The commit that was deployed is {constants.COMMIT_ID}, but this workflow ran for {COMMIT}. The platform
          deploys the head of the workspace's branch.
        Deployed: Job JOB is COMPLETE after 4 s.
    """),
    when(
        "A deployment fails, and its log says why.", failing(log=[*LOG, {"text": "." * 65536}]), logs="stream"
    ).reads("""
        Error: Deployment failed: ERROR Pipeline 'orders': data component 'dbt-warehouse' is not installed in this
          workspace. Job JOB ended with ERROR (exit code 1) after 4 s.
    """),
    when("A deployment fails, and the platform says why.", failing(fields={"message": "Invalid component."})).reads("""
        Error: Deployment failed: Invalid component. Job JOB ended with ERROR (exit code 1) after 4 s.
    """),
    when("A deployment fails, and the log is not to be read.", failing(), logs="none").reads("""
        Error: Deployment failed: Job JOB ended with ERROR (exit code 1) after 4 s. The job's log says why: with
          `logs: on-failure`, it is shown here.
    """),
    when("A deployment fails without a line of log.", failing(log=[]), logs="stream").reads("""
        Error: Deployment failed: Job JOB ended with ERROR (exit code 1) after 4 s. Neither the platform nor the log
          says why: look at the workspace: WORKSPACE-PAGE
    """),
    when("A deployment fails while its log cannot be read.", fault("logs", 403, failing()), logs="stream").reads("""
        Warning: The job's log cannot be shown whole: Could not read the job's log: 403 Forbidden: Simulated fault.
        Error: Deployment failed: Job JOB ended with ERROR (exit code 1) after 4 s. Neither the platform nor the log
          says why: look at the workspace: WORKSPACE-PAGE
    """),
    when("Somebody stops the deployment.", failing(ends="STOPPED"), logs="stream").reads("""
        Error: Deployment stopped: Somebody stopped it, or it reached the platform's own limit. Job JOB ended with
          STOPPED after 4 s. At the end of its log: ERROR Pipeline 'orders': data component 'dbt-warehouse' is not
          installed in this workspace. Run the workflow again if that was not intended.
    """),
    when("The deployment is not to be waited for.", wait="false").reads("""
        Deployment submitted: Job JOB is QUEUED and is not waited for.
    """),
    when("There is a deployment secret alone.", **WEBHOOK).reads("""
        Notice: The deployment is not followed: that takes a `token`, or a `client-id` and a `client-secret`, beside the
          `deployment-secret`.
        Deployment submitted: Job JOB is QUEUED and is not waited for.
    """),
    when(
        "A dry run for a pull request finds nothing.",
        None,
        checkout(),
        environ(GITHUB_REF="refs/pull/7/merge", GITHUB_BASE_REF="main", GITHUB_EVENT_NAME="pull_request"),
        dry_run="true",
        verify_source="warn",
        preflight="warn",
    ).reads("Checked: Nothing was deployed, since this was a dry run."),
    when("A dry run without credentials.", None, checkout(), dry_run="true", token="", preflight="warn").reads("""
        Notice: Only inputs and files were checked: reading the workspace takes a `token`, or a `client-id` and a
          `client-secret`.
        Checked: Nothing was deployed, since this was a dry run.
    """),
    when("A timeout of minutes lacks its unit.", RUNNING, timeout="9").reads("""
        Error: Deployment timed out: Job JOB was not over within 9 s: it was withdrawn. `timeout: 9` means 9 seconds:
          9 minutes are written `9m`.
    """),
    when("The timeout is over.", RUNNING, timeout="9s").reads("""
        Error: Deployment timed out: Job JOB was not over within 9 s: it was withdrawn. If deployments take that long,
          raise the input `timeout`.
    """),
    when("The timeout is over, and the job is to be left.", RUNNING, timeout="9s", on_timeout="leave").reads("""
        Error: Deployment timed out: Job JOB was not over within 9 s: it runs on, as `on-timeout: leave` says. If
          deployments take that long, raise the input `timeout`.
    """),
    when("The timeout is over, and the withdrawal is refused.", fault("withdraw", 403, RUNNING), timeout="9s").reads("""
        Error: Deployment timed out: Job JOB was not over within 9 s: it could not be withdrawn, and may be running
          still: http://platform.example/api/jobs/JOB (403 Forbidden: Simulated fault). If it must not go on, stop it in
          the app: WORKSPACE-PAGE
    """),
    when(
        "The timeout is over while the platform is down.",
        fault("all", 502, RUNNING, body="html", requests={"during": ["5s", "1h"]}),
        timeout="30s",
    ).reads("""
        Error: Deployment timed out: Job JOB was not over within 30 s: it could not be withdrawn, and may be running
          still: http://platform.example/api/jobs/JOB (the platform did not answer in time). At the end, the step could
          not read the job (502 Bad Gateway). If it must not go on, stop it in the app: WORKSPACE-PAGE
    """),
    when("The timeout is over while another deployment runs.", OTHER, timeout="9").reads("""
        Error: Deployment timed out: No deployment could be triggered within 9 s: another deployment, job JOB (created
          2023-11-14T22:12:50Z), was RUNNING (409 Conflict: A deployment of this workspace is queued or running
          already). Let the workflow's deployments of one workspace wait for each other with `concurrency`, or raise the
          input `timeout`.
    """),
    when("The timeout is over before a connection.", None, refuse, timeout="20").reads("""
        Error: Deployment timed out: No deployment could be triggered within 20 s: the step could not trigger the
          deployment (no connection to platform.example). Is the platform up, and are its addresses right?
    """),
    when("The step is cancelled.", RUNNING, signalled=signal.SIGINT).reads("""
        Notice: Deployment cancelled: Job JOB was withdrawn (SIGINT).
    """),
    when(
        "The step is cancelled before the trigger.",
        fault("jobs", 503, requests={"first": 2}, headers={"Retry-After": "5"}),
        signalled=signal.SIGTERM,
    ).reads("Notice: Deployment cancelled: Nothing was deployed (SIGTERM)."),
    when("A step whose job is to be left is cancelled.", RUNNING, signalled=signal.SIGINT, on_cancel="leave").reads("""
        Notice: Deployment cancelled: Job JOB runs on, as `on-cancel: leave` says (SIGINT).
    """),
    when("A cancelled step's job is not withdrawn.", fault("withdraw", 403, RUNNING), signalled=signal.SIGINT).reads("""
        Error: Deployment cancelled: Job JOB could not be withdrawn, and may be running still:
          http://platform.example/api/jobs/JOB (403 Forbidden: Simulated fault) (SIGINT). If it must not go on, stop it
          in the app: WORKSPACE-PAGE
    """),
    when(
        "The step is cancelled while the job is queued.",
        {"job": {"queued": "forever"}, "withdrawal": {"queued": 409}},
        signalled=signal.SIGINT,
    ).reads("Notice: Deployment cancelled: Job JOB was still queued, and was deleted (SIGINT)."),
    when(
        "A webhook's step is cancelled while its answer is awaited.",
        RUNNING,
        on("webhook", hang),
        signalled=signal.SIGINT,
        **WEBHOOK,
    ).reads("""
        Error: Deployment cancelled: A deployment may have been queued (SIGINT). Before you run the workflow again, look
          at the workspace: WORKSPACE-PAGE
    """),
    when("The token has expired.", token="expired-token-0123456789").reads("""
        Error: Sign-in failed: Could not list the jobs: 401 Unauthorized: The access token is expired or invalid. A
          `token` lasts two hours, and ends when its owner signs out. Use an API key (`client-id`, `client-secret`)
          instead: its tokens renew themselves.
    """),
    when("The API key is refused.", **{**API_KEY, "client_secret": "some-other-secret-0123456789"}).reads("""
        Error: Sign-in failed: Could not fetch an access token: 401 Unauthorized. Check `client-id` and `client-secret`:
          are they of one API key, whole, and of the cloud that `auth-url` and `audience` (by default `api-url`) belong
          to?
    """),
    when("A new token is not accepted.", None, on("jobs", answer(401, b'{"status": 401}')), **API_KEY).reads("""
        Error: Sign-in failed: Could not list the jobs: 401 Unauthorized. A token that was just issued is not accepted:
          check `audience` and `api-url`.
    """),
    when("The credentials lack a permission.", fault("trigger", 403)).reads("""
        Error: No permission: Could not trigger the deployment: 403 Forbidden: Simulated fault. The credentials are
          valid, but lack the permission: an API key acts as the person who made it, who has to be an admin or owner of
          the workspace.
    """),
    when("There is no such workspace.", workspace_id="11111111-51a1-4000-8000-000000000001").reads("""
        Error: Not found: Could not list the jobs: 404 Not Found: Workspace not found. Check `workspace-id` and
          `api-url`: is it the id of a workspace in this cloud, and one that the owner of the credentials can see?
    """),
    when("The API's address is that of a web site.", None, on("jobs", PAGE), on("trigger", PAGE)).reads(f"""
        Error: Not found: Could not list the jobs: http://platform.example/api/workspaces/{constants.WORKSPACE_ID}/jobs
          answers with a web page, not as an API does. Check `api-url`: the API's address usually ends with `/api`.
    """),
    when("The token endpoint's address is that of a web site.", None, on("token", PAGE), **API_KEY).reads("""
        Error: Not found: Could not fetch an access token: http://platform.example/oauth/token answers with a web page,
          not as an API does. Check `auth-url`: a page issues no tokens.
    """),
    when("The webhook's secret is wrong.", token="", deployment_secret="some-other-secret-0123456789").reads("""
        Error: Sign-in failed: Could not trigger the deployment: 401 Unauthorized: The signature does not match the
          body. Is `deployment-secret` the one in the workspace's settings? The platform compares signatures made with
          it.
    """),
    when("Another deployment runs, and a deployment secret cannot see it.", OTHER, **WEBHOOK).reads("""
        Error: Another deployment is running: Could not trigger the deployment: 409 Conflict: A deployment of this
          workspace is queued or running already. A deployment may have been queued. The platform deploys a workspace
          once at a time: let the workflow's deployments wait for each other with `concurrency`. With a token or an API
          key as well, the step waits by itself. Before you run the workflow again, look at the workspace:
          WORKSPACE-PAGE
    """),
    when("The platform refuses for long, and no job is listed.", fault("trigger", 409), limits=WITHIN_SECONDS).reads("""
        Error: Another deployment is running: Could not trigger the deployment: 409 Conflict: Simulated fault. The
          platform deploys a workspace once at a time: let the workflow's deployments wait for each other with
          `concurrency`.
    """),
    when("The platform refuses.", fault("trigger", 400, body={"api": "Workspace is archived"})).reads("""
        Error: Request refused: Could not trigger the deployment: 400 Bad Request: Workspace is archived. The answer
          would be the same again: look at the workspace in the app.
    """),
    when(
        "The API has moved.", None, on("trigger", answer(301, headers={"Location": "https://app.matatika.com/api/v2"}))
    ).reads("""
        Error: Request refused: Could not trigger the deployment: the platform redirects to
          https://app.matatika.com/api/v2 (301 Moved Permanently), which is not followed. If that address is right, use
          it in `api-url`.
    """),
    when("A firewall refuses.", None, on("trigger", HTML)).reads("""
        Error: Request refused: Could not trigger the deployment: 403 Forbidden. Something in front of the platform
          refused the request: a firewall, a proxy or bot protection. Ask whoever runs it to let the runner through, or
          use a self-hosted runner.
    """),
    when("The platform is down.", fault("all", 502, body="html")).reads("""
        Error: Platform not reachable: Could not list the jobs: no good answer for 5 min from platform.example (at last:
          502 Bad Gateway). A deployment may have been queued. Is the platform up, and `api-url` right? Before you run
          the workflow again, look at the workspace: WORKSPACE-PAGE
    """),
    when("Nothing listens there.", None, refuse).reads("""
        Error: Platform not reachable: Could not trigger the deployment: no good answer for 5 min from platform.example
          (at last: no connection to platform.example). Is the platform up, and `api-url` right?
    """),
    when("The host's name is wrong.", api_url="https://api.matatika.invalid/api").reads("""
        Error: Platform not reachable: Could not trigger the deployment: no good answer for 1 min from
          api.matatika.invalid (at last: the name api.matatika.invalid could not be resolved). Is the platform up, and
          `api-url` right?
    """),
    when(
        "The platform asks to wait too long.",
        fault("trigger", 503, body={"api": "Maintenance"}, headers={"Retry-After": "3600"}),
    ).reads("""
        Error: Platform not reachable: Could not trigger the deployment (503 Service Unavailable: Maintenance): the
          platform asks to wait 1 h, longer than this step may take. Run the workflow again later.
    """),
    when(
        "The proxy wants a password.", None, behind_a_proxy, *(on(c, answer(407)) for c in ("jobs", "trigger"))
    ).reads("""
        Error: Platform not reachable: Could not list the jobs: the proxy platform.example refuses the connection: 407
          Proxy Authentication Required. Check the user and password in `HTTPS_PROXY` or `HTTP_PROXY`.
    """),
    when("The proxy's address cannot be used.", None, environ(HTTP_PROXY="socks5://proxy.example.com:1080")).reads("""
        Error: Platform not reachable: Could not list the jobs: the proxy for platform.example has an address that
          cannot be used. Correct `HTTPS_PROXY`, `HTTP_PROXY` or `NO_PROXY`: a proxy's address is like
          `http://proxy.example.com:3128`. SOCKS proxies are not supported.
    """),
    when("The webhook's answer is lost.", None, on("webhook", LOST), **WEBHOOK).reads("""
        Error: Deployment unknown: The answer to the trigger was lost (connection lost before an answer). A deployment
          may have been queued. Before you run the workflow again, look at the workspace: WORKSPACE-PAGE
    """),
    when("The trigger's answer is lost, and nothing was queued.", None, on("trigger", reset, numbers={1})).reads("""
        Warning: The answer to the trigger was lost (connection lost before an answer), and no list shows its job: the
          request is sent again. Two deployments of the same commit may run.
        Deployed: Job JOB is COMPLETE after 4 s.
    """),
    when(
        "The job is deleted while it is followed.",
        RUNNING,
        on("job", answer(404, b'{"status": 404, "message": "Not found"}'), numbers=range(3, 9999)),
    ).reads("""
        Error: Not found: Could not read the job: 404 Not Found. Job JOB may be running still. Was the job deleted?
          Before you run the workflow again, look at the workspace: WORKSPACE-PAGE
    """),
    when("The platform goes down for good.", RUNNING, on("job", answer(502), numbers=range(3, 9999))).reads("""
        Error: Platform not reachable: Could not read the job: no good answer for 5 min from platform.example (at last:
          502 Bad Gateway). Job JOB may be running still. Is the platform up, and `api-url` right? Before you run the
          workflow again, look at the workspace: WORKSPACE-PAGE
    """),
    when("A check refuses.", None, checkout("hourly"), preflight="error").reads("""
        Error: pipelines/orders.yml:2:11: 'schedule' has 1 field; the platform's cron has 6, seconds first.
        Error: Checks failed: pipelines/orders.yml:2:11: 'schedule' has 1 field; the platform's cron has 6, seconds
          first. Nothing was deployed: one error was found before the trigger. Fix what the annotations name, or set the
          check to `warn`.
    """),
    when("A check warns.", None, checkout("hourly"), preflight="warn").reads("""
        Warning: pipelines/orders.yml:2:11: 'schedule' has 1 field; the platform's cron has 6, seconds first.
        Deployed: Job JOB is COMPLETE after 4 s. It was deployed although the checks had found an error.
    """),
    when(
        "There is no checkout, and the workspace deploys another branch.",
        None,
        environ(GITHUB_REF="refs/heads/feature"),
        preflight="error",
        verify_source="error",
    ).reads("""
        Error: No checkout: there are no files to check. Run actions/checkout before this step. Nothing was checked.
        Error: The workspace deploys the branch 'main', but this workflow runs for the branch 'feature'.
        Error: Checks failed: No checkout: there are no files to check. Run actions/checkout before this step. Nothing
          was checked. Nothing was deployed: 2 errors were found before the trigger. Fix what the annotations name, or
          set the check to `warn`.
    """),
    when("There is no checkout.", None, preflight="warn").reads("""
        Notice: No checkout: there are no files to check. Run actions/checkout before this step. Nothing was checked.
        Deployed: Job JOB is COMPLETE after 4 s.
    """),
    when(
        "The workspace deploys another repository.", None, environ(GITHUB_REPOSITORY="acme/data"), verify_source="warn"
    ).reads("""
        Warning: The workspace deploys simulated-org/simulated-workspace, but this workflow runs in acme/data.
        Deployed: Job JOB is COMPLETE after 4 s. It was deployed although the checks had found an error.
    """),
    when(
        "The workspace deploys another branch, which is refused.",
        None,
        environ(GITHUB_REF="refs/heads/feature"),
        verify_source="error",
        preflight="warn",
    ).reads("""
        Error: The workspace deploys the branch 'main', but this workflow runs for the branch 'feature'.
        Notice: No checkout: there are no files to check. Run actions/checkout before this step. Nothing was checked.
        Error: Checks failed: The workspace deploys the branch 'main', but this workflow runs for the branch 'feature'.
          Nothing was deployed: one error was found before the trigger. Fix what the annotations name, or set the check
          to `warn`.
    """),
    when(
        "What the workspace deploys is not compared.",
        None,
        environ(GITHUB_REPOSITORY="acme/data", GITHUB_SHA=COMMIT),
        checkout(),
        verify_source="off",
        preflight="warn",
    ).reads("Deployed: Job JOB is COMPLETE after 4 s."),
    when("The workspace cannot be read.", None, on("workspace", answer(502)), verify_source="warn").reads("""
        Warning: Could not read the workspace within 10 s. It is not known what it deploys.
        Deployed: Job JOB is COMPLETE after 4 s.
    """),
    when(
        "Values that cannot be used.",
        workspace_id="orders",
        api_url="http://app.matatika.com/api",
        wait="maybe",
        timeout="soon",
        logs="some",
    ).reads("""
        Error: Bad input: 5 mistakes. (1) `workspace-id` must be a UUID, like 5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e: the
          end of the workspace's address in the app. (2) `api-url` must use https: http is for loopback addresses only.
          (3) `wait` must be `true` or `false`. (4) `timeout` must be a duration like `90s`, `15m` or `1h30m`: more than
          0, at most 24h. (5) `logs` must be one of `stream`, `on-failure`, `none`. Correct the step's `with:` in the
          workflow.
    """),
    when(
        "Wrong places.", api_url="https://app.meltano.com", workspace_directory="../other", ca_bundle="our.pem"
    ).reads("""
        Error: Bad input: 3 mistakes. (1) `api-url` must be the root of the API: did you mean
          https://app.meltano.com/api? (2) `workspace-directory` must be a folder inside the checkout, relative to its
          root, with `/` and without `..`. (3) `ca-bundle` must be PEM text, or the path of a PEM file of at most 4 MiB
          in the checkout (or an absolute path below `GITHUB_WORKSPACE` or `RUNNER_TEMP`), and no link that leads
          elsewhere. Correct the step's `with:` in the workflow.
    """),
    when(
        "Too much or too little is copied.",
        workspace_id=f"https://app.matatika.com/workspaces/{constants.WORKSPACE_ID}/settings",
        api_url="app.matatika.com/api",
        token="Bearer abcdefgh01234567",
    ).reads(f"""
        Error: Bad input: 3 mistakes. (1) `workspace-id` must be the UUID alone, without the address around it:
          {constants.WORKSPACE_ID}. (2) `token` must be the token alone: remove `Bearer` before it. (3) `api-url` must
          begin with `https://`: add it. Correct the step's `with:` in the workflow.
    """),
    when("Names and quotes.", workspace_id=f'"{constants.WORKSPACE_ID}"', token="$TOKEN", api_url="matatika").reads("""
        Error: Bad input: 3 mistakes. (1) `workspace-id` must not have quotes around it: remove them. (2) `token` must
          be a value, and is the name of one: write `${{ secrets.NAME }}`, or `${{ vars.NAME }}`, in the workflow. (3)
          `api-url` must be an https URL, like `https://app.matatika.com/api`. Correct the step's `with:` in the
          workflow.
    """),
    when("Nothing is given.", workspace_id="", token="").reads("""
        Error: Bad input: 2 mistakes. (1) `workspace-id` is missing: give the UUID of the workspace. If the step gives
          it, it is empty: is there a variable of that name in this repository or environment? (2) a credential is
          missing: `token`, or `client-id` and `client-secret`, or `deployment-secret`. If the step gives it, it is
          empty: is there a secret of that name in this repository or environment? Workflows of forks and Dependabot get
          none. Correct the step's `with:` in the workflow.
    """),
    when("A token, and half an API key.", client_id="abcdefgh").reads("""
        Error: Bad input: 2 mistakes. (1) `client-secret` is missing: `client-id` needs it. If the step gives it, it is
          empty: is there a secret of that name in this repository or environment? Workflows of forks and Dependabot get
          none. (2) `token` does not go together with `client-id` and `client-secret`: give one or the other. Correct
          the step's `with:` in the workflow.
    """),
    when("One mistake alone.", verify_source="error", **WEBHOOK).reads("""
        Error: Bad input: `verify-source` as `error` needs a `token`, or a `client-id` and a `client-secret`. Correct
          the step's `with:` in the workflow.
    """),
]


def play(folder: Path, it: Situation) -> Result:
    with stage(folder, it.scenario, **it.inputs) as at:
        at.step.environ.pop("RUNNER_DEBUG")
        at.step.environ |= {"GITHUB_ACTION_REPOSITORY": "acme/deploy", "GITHUB_ACTION_REF": "v1"}
        # As Gitea gives it.
        at.step.environ["GITHUB_SERVER_URL"] += "/"
        for arrange in it.arrange:
            arrange(at)
        signals = Signals(at.clock.monotonic)
        if it.signalled:
            at.clock.call_later(SIGNALLED, partial(signals.receive, it.signalled))
        return at.run(it.limits, signals, hides_secrets=False)


def shown(result: Result) -> str:
    """What stands out in the log: annotations as the runner shows them, and the result."""
    reading = result.log
    said = [command for command in reading.commands if command.name in ("error", "warning", "notice")]
    lines = [f"{command.name.capitalize()}: {command.data}" for command in said]
    if result.code == 0:
        lines.append(reading.shown[-1])
    if result.outputs["outcome"] == "error":
        lines[-1], _, more = lines[-1].partition(" More: ")
        heading = said[-1].properties["title"].lower().replace(" ", "-")
        assert more == f"https://github.com/acme/deploy/blob/v1/docs/troubleshooting.md#{heading}"
    text = re.sub(r"127\.0\.0\.1:\d+", "platform.example", "\n".join(lines)).replace(WORKSPACE_PAGE, "WORKSPACE-PAGE")
    return re.sub(r"(?i)\b(job |jobs/)[0-9a-f-]{36}", r"\1JOB", text)


@pytest.mark.parametrize("situation", TABLE, ids=[it.what for it in TABLE])
def test_user_reads_what_happened_and_what_to_do(situation: Situation, tmp_path: Path) -> None:
    result = play(tmp_path / "step", situation)
    assert shown(result) == situation.text
    assert_is_told_alike(result)


def test_documentation_is_named_where_its_address_is_unknown(tmp_path: Path) -> None:
    with stage(tmp_path, workspace_id="") as here:
        (error,) = here.run().log.said("error")
    assert error.endswith(' More: "Bad input" in the action\'s docs/troubleshooting.md')


def assert_is_told_alike(result: Result) -> None:
    """Assert that the log, the output and the summary tell the same, each in its way, and in whole sentences."""
    reading = result.log
    ends = [command for command in reading.commands if command.data.startswith(f"{command.properties.get('title')}: ")]
    end = reading.shown[-1] if result.code == 0 else ends[-1].data
    message = result.outputs["message"]
    assert end.startswith(message)
    hint = end.removeprefix(message).partition(" More: ")[0].strip()
    title, _, happened = message.partition(": ")
    summary = Page(result.summary).text.replace("\u200b", "").strip()
    assert [line for line in summary.split("\n") if line][: 3 if hint else 2] == [
        summary[: summary.index(title) + len(title)],
        happened,
        *([hint] if hint else []),
    ]
    for said in (*(command.data for command in reading.commands if command.name != "add-mask"), end):
        assert "  " not in said
        assert not re.search(r"[?!.:]\.(?:\s|$)", said)
        # Nothing that follows an address is read as a part of it.
        assert not re.search(r"https?://[^\s`]*[.,;:)](?:\s|$)", said)
