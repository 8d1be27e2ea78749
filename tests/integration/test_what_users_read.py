"""The table of mistakes and endings: what a user reads, from top to bottom, and nothing else.

Each row is a situation, and the lines that stand out in its log: annotations as the runner shows them, which is without
their titles and files, and the result. Numbers that differ from run to run are replaced: see `_shown`.
"""

import re
import signal
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from matatika_deploy.runtime.signals import Signals
from matatika_simulator import constants
from tests.support import page, runner
from tests.support.in_process import PATIENT, Stage, run_main, stage
from tests.support.peer import after_effect, answer, close, reset, silence
from tests.support.step import Result

LOG = [
    {"text": "INFO  Cloning https://github.com/simulated-org/simulated-workspace, branch main"},
    {"text": "ERROR Pipeline 'orders': data component 'dbt-warehouse' is not installed in this workspace"},
    {"text": "INFO  Rolling back"},
]
API_KEY = {"token": "", "client_id": constants.CLIENT_ID, "client_secret": constants.CLIENT_SECRET}
WEBHOOK = {"token": "", "deployment_secret": constants.DEPLOYMENT_SECRET}
RUNNING: dict[str, Any] = {"job": {"queued": "2s", "runs": "forever", "log": LOG}}
API_ERROR = b'{"status": 400, "error": "Bad Request", "message": "Workspace is archived"}'


def _nothing(_: Stage) -> None:
    pass


class Situation(NamedTuple):
    """What happens, and what is read. `arrange` prepares the stage, `signals` come at seconds after the start."""

    what: str
    reads: str
    scenario: Mapping[str, Any] | str = {"job": {"queued": "2s", "runs": "40s", "log": LOG[:1]}}
    inputs: Mapping[str, str] = {}
    arrange: Callable[[Stage], None] = _nothing
    signals: Mapping[float, signal.Signals] = {}


def failing(**job: Any) -> dict[str, Any]:
    return {"job": {"queued": "2s", "runs": "40s", "ends": "ERROR", "log": LOG, **job}}


def on(call: str, behaviour: Any, **more: Any) -> Callable[[Stage], None]:
    return lambda at: at.peer.on(call, behaviour, **more)


def environ(**variables: str) -> Callable[[Stage], None]:
    return lambda at: at.step.environ.update(variables)


def files(**texts: str) -> Callable[[Stage], None]:
    def arrange(at: Stage) -> None:
        for name, text in texts.items():
            path = at.step.workspace / name.replace("__", "/").replace("_yml", ".yml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    return arrange


def together(*arranging: Callable[[Stage], None]) -> Callable[[Stage], None]:
    def arrange(at: Stage) -> None:
        for one in arranging:
            one(at)

    return arrange


def refuse(at: Stage) -> None:
    at.peer.refuse(None)


def behind_a_proxy(at: Stage) -> None:
    at.step.environ["HTTP_PROXY"] = at.peer.url
    for call in ("jobs", "trigger"):
        at.peer.on(call, answer(407))


def fault(**what: Any) -> dict[str, Any]:
    return {**RUNNING, "job": {**RUNNING["job"], "runs": "40s"}, "faults": [what]}


WORKSPACE = files(
    workspace_yml="version: workspaces/v0.2\n", pipelines__orders_yml="version: pipelines/v0.1\nschedule: hourly\n"
)
HTML = answer(403, b"<!DOCTYPE html><title>Attention Required! | Cloudflare</title>", content_type="text/html")
PAGE = answer(200, b"<!DOCTYPE html><title>Matatika</title>", content_type="text/html")
LOST = after_effect(close)

TABLE = [
    Situation(
        "A deployment succeeds.",
        """
        Deployed: Job JOB is COMPLETE after 40 s.
        """,
    ),
    Situation(
        "A deployment succeeds, with an exit code that says otherwise.",
        """
        Warning: The deployment succeeded, although its exit code is 3.
        Deployed: Job JOB is COMPLETE after 40 s.
        """,
        {"job": {"runs": "40s", "exit-code": 3}},
    ),
    Situation(
        "A deployment succeeds, of another commit than this workflow's.",
        """
        Warning: The commit that was deployed is 51a151a151a151a151a151a151a151a151a151a1, but this workflow ran for
          1e81ff35a1e0d2a4b0c8d6f7e9a3b5c7d9e1f3a5. The platform deploys the head of the workspace's branch.
        Deployed: Job JOB is COMPLETE after 40 s.
        """,
        inputs={"verify_source": "warn"},
        arrange=environ(GITHUB_SHA="1e81ff35a1e0d2a4b0c8d6f7e9a3b5c7d9e1f3a5"),
    ),
    Situation(
        "A deployment fails, and its log says why.",
        """
        Error: Deployment failed: ERROR Pipeline 'orders': data component 'dbt-warehouse' is not installed in this
          workspace. Job JOB ended with ERROR (exit code 1) after 40 s.
        """,
        failing(),
        {"logs": "stream"},
    ),
    Situation(
        "A deployment fails, and the platform says why.",
        """
        Error: Deployment failed: Invalid data component 'dbt-warehouse'. Job JOB ended with ERROR (exit code 1)
          after 40 s.
        """,
        failing(fields={"message": "Invalid data component 'dbt-warehouse'."}),
        {"logs": "stream"},
    ),
    Situation(
        "A deployment fails, and the log is not to be read.",
        """
        Error: Deployment failed: Job JOB ended with ERROR (exit code 1) after 40 s. The job's log says why: with
          `logs: on-failure`, it is shown here.
        """,
        failing(),
        {"logs": "none"},
    ),
    Situation(
        "A deployment fails without a line of log.",
        """
        Error: Deployment failed: Job JOB ended with ERROR (exit code 1) after 40 s. Neither the platform nor the
          log says why: look at the workspace:
          http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001
        """,
        failing(log=[]),
        {"logs": "stream"},
    ),
    Situation(
        "A deployment fails while its log cannot be read.",
        """
        Warning: The job's log cannot be shown whole: Could not read the job's log: 403 Forbidden: Simulated fault.
        Error: Deployment failed: Job JOB ended with ERROR (exit code 1) after 40 s. Neither the platform nor the
          log says why: look at the workspace:
          http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001
        """,
        {**failing(), "faults": [{"calls": "logs", "status": 403}]},
        {"logs": "stream"},
    ),
    Situation(
        "Somebody stops the deployment.",
        """
        Error: Deployment stopped: Somebody stopped it, or it reached the platform's own limit. Job JOB ended with
          STOPPED after 40 s. At the end of its log: ERROR Pipeline 'orders': data component 'dbt-warehouse' is not
          installed in this workspace. Run the workflow again if that was not intended.
        """,
        failing(ends="STOPPED"),
        {"logs": "stream"},
    ),
    Situation(
        "A deployment ends with a status that nobody knows.",
        """
        Error: Deployment failed: ERROR Pipeline 'orders': data component 'dbt-warehouse' is not installed in this
          workspace. Job JOB ended with EVAPORATED after 40 s.
        """,
        failing(ends="EVAPORATED"),
        {"logs": "stream"},
    ),
    Situation(
        "The deployment is not to be waited for.",
        """
        Deployment submitted: Job JOB is QUEUED and is not waited for.
        """,
        inputs={"wait": "false"},
    ),
    Situation(
        "There is a deployment secret alone.",
        """
        Notice: The deployment is not followed: that takes a `token`, or a `client-id` and a `client-secret`, beside
          the `deployment-secret`.
        Deployment submitted: Job JOB is QUEUED and is not waited for.
        """,
        inputs=WEBHOOK,
    ),
    Situation(
        "A dry run finds nothing.",
        """
        Checked: Nothing was deployed, since this was a dry run.
        """,
        inputs={"dry_run": "true", "verify_source": "warn", "preflight": "warn"},
        arrange=files(workspace_yml="version: workspaces/v0.2\n"),
    ),
    Situation(
        "A dry run without credentials.",
        """
        Notice: Only inputs and files were checked: reading the workspace takes a `token`, or a `client-id` and a
          `client-secret`.
        Checked: Nothing was deployed, since this was a dry run.
        """,
        inputs={"dry_run": "true", "token": "", "preflight": "warn"},
        arrange=files(workspace_yml="version: workspaces/v0.2\n"),
    ),
    Situation(
        "A dry run for a pull request.",
        """
        Checked: Nothing was deployed, since this was a dry run.
        """,
        inputs={"dry_run": "true", "verify_source": "warn"},
        arrange=environ(GITHUB_REF="refs/pull/7/merge", GITHUB_BASE_REF="main", GITHUB_EVENT_NAME="pull_request"),
    ),
    Situation(
        "timeout: 30",
        """
        Error: Deployment timed out: Job JOB was not over within 30 s: it was withdrawn. `timeout: 30` means 30
          seconds: 30 minutes are written `30m`.
        """,
        RUNNING,
        {"timeout": "30"},
    ),
    Situation(
        "timeout: 2m",
        """
        Error: Deployment timed out: Job JOB was not over within 2 min: it was withdrawn. If deployments take that
          long, raise the input `timeout`.
        """,
        RUNNING,
        {"timeout": "2m"},
    ),
    Situation(
        "The timeout is over, and the job is to be left.",
        """
        Error: Deployment timed out: Job JOB was not over within 2 min: it runs on, as `on-timeout: leave` says. If
          deployments take that long, raise the input `timeout`.
        """,
        RUNNING,
        {"timeout": "2m", "on_timeout": "leave"},
    ),
    Situation(
        "The timeout is over, and the withdrawal is refused.",
        """
        Error: Deployment timed out: Job JOB was not over within 2 min: it could not be withdrawn, and may be
          running still: http://platform.example/api/jobs/JOB (403 Forbidden: Simulated fault). If it must not go
          on, stop it in the app: http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001
        """,
        {**RUNNING, "faults": [{"calls": "withdraw", "status": 403}]},
        {"timeout": "2m"},
    ),
    Situation(
        "The timeout is over while the platform is down.",
        """
        Error: Deployment timed out: Job JOB was not over within 2 min: it could not be withdrawn, and may be
          running still: http://platform.example/api/jobs/JOB (the platform did not answer in time). At the end, the
          step could not read the job (502 Bad Gateway). If it must not go on, stop it in the app:
          http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001
        """,
        {**RUNNING, "faults": [{"calls": "all", "requests": {"during": ["10s", "1h"]}, "status": 502, "body": "html"}]},
        {"timeout": "2m"},
    ),
    Situation(
        "The timeout is over while another deployment runs.",
        """
        Error: Deployment timed out: No deployment could be triggered within 2 min: another deployment, job JOB
          (created 2023-11-14T22:12:50Z), was RUNNING (409 Conflict: A deployment of this workspace is queued or
          running already). Let the workflow's deployments of one workspace wait for each other with `concurrency`,
          or raise the input `timeout`.
        """,
        {**RUNNING, "other-jobs": [{"at": "-30s", "runs": "forever"}]},
        {"timeout": "2m"},
    ),
    Situation(
        "The timeout is over before a connection.",
        """
        Error: Deployment timed out: No deployment could be triggered within 2 min: the step could not trigger the
          deployment (no connection to platform.example). Is the platform up, and are its addresses right?
        """,
        inputs={"timeout": "2m"},
        arrange=refuse,
    ),
    Situation(
        "The step is cancelled.",
        """
        Notice: Deployment cancelled: Job JOB was withdrawn (SIGINT).
        """,
        RUNNING,
        signals={8: signal.SIGINT},
    ),
    Situation(
        "The step is cancelled before the trigger.",
        """
        Notice: Deployment cancelled: Nothing was deployed (SIGTERM).
        """,
        {
            **RUNNING,
            "faults": [{"calls": "jobs", "requests": {"first": 2}, "status": 503, "headers": {"Retry-After": "5"}}],
        },
        signals={3: signal.SIGTERM},
    ),
    Situation(
        "The step is cancelled, and the job is to be left.",
        """
        Notice: Deployment cancelled: Job JOB runs on, as `on-cancel: leave` says (SIGINT).
        """,
        RUNNING,
        {"on_cancel": "leave"},
        signals={8: signal.SIGINT},
    ),
    Situation(
        "The step is cancelled, and the withdrawal is refused.",
        """
        Error: Deployment cancelled: Job JOB could not be withdrawn, and may be running still:
          http://platform.example/api/jobs/JOB (403 Forbidden: Simulated fault) (SIGINT). If it must not go on, stop
          it in the app: http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001
        """,
        {**RUNNING, "faults": [{"calls": "withdraw", "status": 403}]},
        signals={8: signal.SIGINT},
    ),
    Situation(
        "The step is cancelled while the job is queued.",
        """
        Notice: Deployment cancelled: Job JOB was still queued, and was deleted (SIGINT).
        """,
        {"job": {"queued": "forever"}, "withdrawal": {"queued": 409}},
        signals={8: signal.SIGINT},
    ),
    Situation(
        "A webhook's step is cancelled while its answer is awaited.",
        """
        Error: Deployment cancelled: A deployment may have been queued (SIGINT). Before you run the workflow again,
          look at the workspace: http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001
        """,
        RUNNING,
        WEBHOOK,
        on("webhook", silence(4)),
        {3: signal.SIGINT},
    ),
    Situation(
        "The token has expired.",
        """
        Error: Sign-in failed: Could not list the jobs: 401 Unauthorized: The access token is expired or invalid. A
          `token` lasts two hours, and ends when its owner signs out. Use an API key (`client-id`, `client-secret`)
          instead: its tokens renew themselves. More: "Sign-in failed" in the action's docs/troubleshooting.md
        """,
        inputs={"token": "expired-token-0123456789"},
    ),
    Situation(
        "The API key is refused.",
        """
        Error: Sign-in failed: Could not fetch an access token: 401 Unauthorized. Check `client-id` and
          `client-secret`: are they of one API key, whole, and of the cloud that `auth-url` and `audience` (by
          default `api-url`) belong to? More: "Sign-in failed" in the action's docs/troubleshooting.md
        """,
        inputs={**API_KEY, "client_secret": "some-other-secret-0123456789"},
    ),
    Situation(
        "A token that was just issued is not accepted.",
        """
        Error: Sign-in failed: Could not list the jobs: 401 Unauthorized. A token that was just issued is not
          accepted: check `audience` and `api-url`. More: "Sign-in failed" in the action's docs/troubleshooting.md
        """,
        inputs=API_KEY,
        arrange=on("jobs", answer(401, b'{"status": 401}')),
    ),
    Situation(
        "The credentials lack a permission.",
        """
        Error: No permission: Could not trigger the deployment: 403 Forbidden: Simulated fault. The credentials are
          valid, but lack the permission: an API key acts as the person who made it, who has to be an admin or owner
          of the workspace. More: "No permission" in the action's docs/troubleshooting.md
        """,
        fault(calls="trigger", status=403),
    ),
    Situation(
        "There is no such workspace.",
        """
        Error: Not found: Could not list the jobs: 404 Not Found: Workspace not found. Check `workspace-id` and
          `api-url`: is it the id of a workspace in this cloud, and one that the owner of the credentials can see?
          More: "Not found" in the action's docs/troubleshooting.md
        """,
        inputs={"workspace_id": "11111111-51a1-4000-8000-000000000001"},
    ),
    Situation(
        "The address of the API is that of a web site.",
        """
        Error: Not found: Could not list the jobs:
          http://platform.example/api/workspaces/00000000-51a1-4000-8000-000000000001/jobs answers with a web page,
          not as an API does. Check `api-url`: the API's address usually ends with `/api`. More: "Not found" in the
          action's docs/troubleshooting.md
        """,
        arrange=together(on("jobs", PAGE), on("trigger", PAGE)),
    ),
    Situation(
        "The address of the token endpoint is that of a web site.",
        """
        Error: Not found: Could not fetch an access token: http://platform.example/oauth/token answers with a web
          page, not as an API does. Check `auth-url`: a page issues no tokens. More: "Not found" in the action's
          docs/troubleshooting.md
        """,
        inputs=API_KEY,
        arrange=on("token", PAGE),
    ),
    Situation(
        "The webhook's secret is wrong.",
        """
        Error: Sign-in failed: Could not trigger the deployment: 401 Unauthorized: The signature does not match the
          body. Is `deployment-secret` the one in the workspace's settings? The platform compares signatures made
          with it. More: "Sign-in failed" in the action's docs/troubleshooting.md
        """,
        inputs={**WEBHOOK, "deployment_secret": "some-other-secret-0123456789"},
    ),
    Situation(
        "Another deployment runs, and a deployment secret cannot see it.",
        """
        Error: Another deployment is running: Could not trigger the deployment: 409 Conflict: A deployment of this
          workspace is queued or running already. A deployment may have been queued. The platform deploys a
          workspace once at a time: let the workflow's deployments wait for each other with `concurrency`. With a
          token or an API key as well, the step waits by itself. Before you run the workflow again, look at the
          workspace: http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001 More: "Another
          deployment is running" in the action's docs/troubleshooting.md
        """,
        {**RUNNING, "other-jobs": [{"at": "-30s", "runs": "forever"}]},
        WEBHOOK,
    ),
    Situation(
        "The platform refuses for two minutes, and no job is listed.",
        """
        Error: Another deployment is running: Could not trigger the deployment: 409 Conflict: Simulated fault. The
          platform deploys a workspace once at a time: let the workflow's deployments wait for each other with
          `concurrency`. More: "Another deployment is running" in the action's docs/troubleshooting.md
        """,
        fault(calls="trigger", status=409),
    ),
    Situation(
        "Another deployment runs for a while.",
        """
        Deployed: Job JOB is COMPLETE after 40 s.
        """,
        {"job": {"runs": "40s"}, "other-jobs": [{"at": "-30s", "runs": "60s"}]},
    ),
    Situation(
        "The platform refuses.",
        """
        Error: Request refused: Could not trigger the deployment: 400 Bad Request: Workspace is archived. The answer
          would be the same again: look at the workspace in the app. More: "Request refused" in the action's
          docs/troubleshooting.md
        """,
        fault(calls="trigger", status=400, body={"api": "Workspace is archived"}),
    ),
    Situation(
        "The API has moved.",
        """
        Error: Request refused: Could not trigger the deployment: the platform redirects to
          https://app.matatika.com/api/v2 (301 Moved Permanently), which is not followed. If that address is right,
          use it in `api-url`. More: "Request refused" in the action's docs/troubleshooting.md
        """,
        arrange=on("trigger", answer(301, headers={"Location": "https://app.matatika.com/api/v2"})),
    ),
    Situation(
        "A firewall refuses.",
        """
        Error: Request refused: Could not trigger the deployment: 403 Forbidden. Something in front of the platform
          refused the request: a firewall, a proxy or bot protection. Ask whoever runs it to let the runner through,
          or use a self-hosted runner. More: "Request refused" in the action's docs/troubleshooting.md
        """,
        arrange=on("trigger", HTML),
    ),
    Situation(
        "The platform is down.",
        """
        Error: Platform not reachable: Could not list the jobs: no good answer for 5 min from platform.example (at
          last: 502 Bad Gateway). A deployment may have been queued. Is the platform up, and `api-url` right? Before
          you run the workflow again, look at the workspace:
          http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001 More: "Platform not reachable" in
          the action's docs/troubleshooting.md
        """,
        fault(calls="all", status=502, body="html"),
    ),
    Situation(
        "Nothing listens there.",
        """
        Error: Platform not reachable: Could not trigger the deployment: no good answer for 5 min from
          platform.example (at last: no connection to platform.example). Is the platform up, and `api-url` right?
          More: "Platform not reachable" in the action's docs/troubleshooting.md
        """,
        arrange=refuse,
    ),
    Situation(
        "The host's name is wrong.",
        """
        Error: Platform not reachable: Could not trigger the deployment: no good answer for 1 min from
          api.matatika.invalid (at last: the name api.matatika.invalid could not be resolved). Is the platform up,
          and `api-url` right? More: "Platform not reachable" in the action's docs/troubleshooting.md
        """,
        inputs={"api_url": "https://api.matatika.invalid/api"},
    ),
    Situation(
        "The platform asks to wait too long.",
        """
        Error: Platform not reachable: Could not trigger the deployment (503 Service Unavailable: Maintenance): the
          platform asks to wait 1 h, longer than this step may take. Run the workflow again later. More: "Platform
          not reachable" in the action's docs/troubleshooting.md
        """,
        fault(calls="trigger", status=503, body={"api": "Maintenance"}, headers={"Retry-After": "3600"}),
    ),
    Situation(
        "The proxy wants a password.",
        """
        Error: Platform not reachable: Could not list the jobs: the proxy platform.example refuses the connection: 407
          Proxy Authentication Required. Check the user and password in `HTTPS_PROXY` or `HTTP_PROXY`. More: "Platform
          not reachable" in the action's docs/troubleshooting.md
        """,
        arrange=behind_a_proxy,
    ),
    Situation(
        "The proxy's address cannot be used.",
        """
        Error: Platform not reachable: Could not list the jobs: the proxy for platform.example has an address that
          cannot be used. Correct `HTTPS_PROXY`, `HTTP_PROXY` or `NO_PROXY`: a proxy's address is like
          `http://proxy.example.com:3128`. SOCKS proxies are not supported. More: "Platform not reachable" in the
          action's docs/troubleshooting.md
        """,
        arrange=environ(HTTP_PROXY="socks5://proxy.example.com:1080"),
    ),
    Situation(
        "The webhook's answer is lost.",
        """
        Error: Deployment unknown: The answer to the trigger was lost (connection lost before an answer). A
          deployment may have been queued. Before you run the workflow again, look at the workspace:
          http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001 More: "Deployment unknown" in the
          action's docs/troubleshooting.md
        """,
        inputs=WEBHOOK,
        arrange=on("webhook", LOST),
    ),
    Situation(
        "The trigger's answer is lost, and no list is to be had.",
        """
        Error: Platform not reachable: Could not list the jobs: no good answer for 5 min from platform.example (at
          last: 502 Bad Gateway). A deployment may have been queued. Is the platform up, and `api-url` right? Before
          you run the workflow again, look at the workspace:
          http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001 More: "Platform not reachable" in
          the action's docs/troubleshooting.md
        """,
        arrange=together(on("trigger", LOST), on("jobs", answer(502))),
    ),
    Situation(
        "The trigger's answer is lost, and the job is found.",
        """
        Deployed: Job JOB is COMPLETE after 40 s.
        """,
        arrange=on("trigger", LOST, numbers={1}),
    ),
    Situation(
        "The trigger's answer is lost, and nothing was queued.",
        """
        Warning: The answer to the trigger was lost (connection lost before an answer), and no list shows its job:
          the request is sent again. Two deployments of the same commit may run.
        Deployed: Job JOB is COMPLETE after 40 s.
        """,
        arrange=on("trigger", reset, numbers={1}),
    ),
    Situation(
        "The job is deleted while it is followed.",
        """
        Error: Not found: Could not read the job: 404 Not Found. Job JOB may be running still. Was the job deleted?
          Before you run the workflow again, look at the workspace:
          http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001 More: "Not found" in the action's
          docs/troubleshooting.md
        """,
        RUNNING,
        arrange=on("job", answer(404, b'{"status": 404, "message": "Not found"}'), numbers=range(3, 9999)),
    ),
    Situation(
        "The platform goes down for good while the job is followed.",
        """
        Error: Platform not reachable: Could not read the job: no good answer for 5 min from platform.example (at
          last: 502 Bad Gateway). Job JOB may be running still. Is the platform up, and `api-url` right? Before you
          run the workflow again, look at the workspace:
          http://platform.example/workspaces/00000000-51a1-4000-8000-000000000001 More: "Platform not reachable" in
          the action's docs/troubleshooting.md
        """,
        RUNNING,
        arrange=on("job", answer(502), numbers=range(3, 9999)),
    ),
    Situation(
        "The platform goes down for a while.",
        """
        Deployed: Job JOB is COMPLETE after 40 s.
        """,
        arrange=on("job", answer(502), numbers=range(3, 6)),
    ),
    Situation(
        "A check refuses.",
        """
        Error: pipelines/orders.yml:2:11: 'schedule' has 1 field; the platform's cron has 6, seconds first.
        Error: Checks failed: pipelines/orders.yml:2:11: 'schedule' has 1 field; the platform's cron has 6, seconds
          first. Nothing was deployed: one error was found before the trigger. Fix what the annotations name, or set
          the check to `warn`. More: "Checks failed" in the action's docs/troubleshooting.md
        """,
        inputs={"preflight": "error"},
        arrange=WORKSPACE,
    ),
    Situation(
        "A check warns.",
        """
        Warning: pipelines/orders.yml:2:11: 'schedule' has 1 field; the platform's cron has 6, seconds first.
        Deployed: Job JOB is COMPLETE after 40 s. It was deployed although the checks had found an error.
        """,
        inputs={"preflight": "warn"},
        arrange=WORKSPACE,
    ),
    Situation(
        "A check wants a checkout.",
        """
        Error: No checkout: there are no files to check. Run actions/checkout before this step. Nothing was checked.
        Error: Checks failed: No checkout: there are no files to check. Run actions/checkout before this step.
          Nothing was checked. Nothing was deployed: one error was found before the trigger. Fix what the
          annotations name, or set the check to `warn`. More: "Checks failed" in the action's
          docs/troubleshooting.md
        """,
        inputs={"preflight": "error"},
    ),
    Situation(
        "There is no checkout.",
        """
        Notice: No checkout: there are no files to check. Run actions/checkout before this step. Nothing was
          checked.
        Deployed: Job JOB is COMPLETE after 40 s.
        """,
        inputs={"preflight": "warn"},
    ),
    Situation(
        "The workspace deploys another branch.",
        """
        Error: The workspace deploys the branch 'main', but this workflow runs for the branch 'feature'.
        Error: Checks failed: The workspace deploys the branch 'main', but this workflow runs for the branch
          'feature'. Nothing was deployed: one error was found before the trigger. Fix what the annotations name, or
          set the check to `warn`. More: "Checks failed" in the action's docs/troubleshooting.md
        """,
        inputs={"verify_source": "error"},
        arrange=environ(GITHUB_REF="refs/heads/feature"),
    ),
    Situation(
        "The workspace deploys another repository.",
        """
        Warning: The workspace deploys simulated-org/simulated-workspace, but this workflow runs in acme/data.
        Deployed: Job JOB is COMPLETE after 40 s. It was deployed although the checks had found an error.
        """,
        inputs={"verify_source": "warn"},
        arrange=environ(GITHUB_REPOSITORY="acme/data"),
    ),
    Situation(
        "The workspace cannot be read.",
        """
        Warning: Could not read the workspace within 10 s. It is not known what it deploys.
        Deployed: Job JOB is COMPLETE after 40 s.
        """,
        inputs={"verify_source": "warn"},
        arrange=on("workspace", answer(502)),
    ),
    Situation(
        "Every input is wrong.",
        """
        Error: Bad input: 5 mistakes. (1) `workspace-id` must be a UUID, like 5e5c9a60-1f2e-4b3c-8d4e-5f6a7b8c9d0e:
          the end of the workspace's address in the app. (2) `api-url` must use https: http is for loopback
          addresses only. (3) `wait` must be `true` or `false`. (4) `timeout` must be a duration like `90s`, `15m`
          or `1h30m`: more than 0, at most 24h. (5) `logs` must be one of `stream`, `on-failure`, `none`. Correct
          the step's `with:` in the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={
            "workspace_id": "orders",
            "timeout": "soon",
            "wait": "maybe",
            "logs": "some",
            "api_url": "http://app.matatika.com/api",
        },
    ),
    Situation(
        "The workspace's address stands for its id.",
        """
        Error: Bad input: `workspace-id` must be the UUID alone, without the address around it:
          00000000-51a1-4000-8000-000000000001. Correct the step's `with:` in the workflow. More: "Bad input" in the
          action's docs/troubleshooting.md
        """,
        inputs={"workspace_id": f"https://app.matatika.com/workspaces/{constants.WORKSPACE_ID}/settings"},
    ),
    Situation(
        "An id in quotes.",
        """
        Error: Bad input: `workspace-id` must not have quotes around it: remove them. Correct the step's `with:` in
          the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"workspace_id": f'"{constants.WORKSPACE_ID}"'},
    ),
    Situation(
        "The id is missing.",
        """
        Error: Bad input: `workspace-id` is missing: give the UUID of the workspace. If the step gives it, it is
          empty: is there a variable of that name in this repository or environment? Correct the step's `with:` in
          the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"workspace_id": ""},
    ),
    Situation(
        "Bearer before the token.",
        """
        Error: Bad input: `token` must be the token alone: remove `Bearer` before it. Correct the step's `with:` in
          the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"token": "Bearer abcdefgh01234567"},
    ),
    Situation(
        "A variable of the shell.",
        """
        Error: Bad input: `token` must be a value, and is the name of one: write `${{ secrets.NAME }}`, or `${{
          vars.NAME }}`, in the workflow. Correct the step's `with:` in the workflow. More: "Bad input" in the
          action's docs/troubleshooting.md
        """,
        inputs={"token": "$MATATIKA_TOKEN"},
    ),
    Situation(
        "An expression without its braces.",
        """
        Error: Bad input: `token` must be a value, and is the name of one: write `${{ secrets.NAME }}`, or `${{
          vars.NAME }}`, in the workflow. Correct the step's `with:` in the workflow. More: "Bad input" in the
          action's docs/troubleshooting.md
        """,
        inputs={"token": "secrets.MATATIKA_TOKEN"},
    ),
    Situation(
        "https:// is missing.",
        """
        Error: Bad input: `api-url` must begin with `https://`: add it. Correct the step's `with:` in the workflow.
          More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"api_url": "app.matatika.com/api"},
    ),
    Situation(
        "The bare origin of a known cloud.",
        """
        Error: Bad input: `api-url` must be the root of the API: did you mean https://app.meltano.com/api? Correct
          the step's `with:` in the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"api_url": "https://app.meltano.com"},
    ),
    Situation(
        "An address that is none.",
        """
        Error: Bad input: `api-url` must be an https URL, like `https://app.matatika.com/api`. Correct the step's
          `with:` in the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"api_url": "matatika"},
    ),
    Situation(
        "No credentials.",
        """
        Error: Bad input: a credential is missing: `token`, or `client-id` and `client-secret`, or
          `deployment-secret`. If the step gives it, it is empty: is there a secret of that name in this repository
          or environment? Workflows of forks and Dependabot get none. Correct the step's `with:` in the workflow.
          More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"token": ""},
    ),
    Situation(
        "A client id without its secret.",
        """
        Error: Bad input: `client-secret` is missing: `client-id` needs it. If the step gives it, it is empty: is
          there a secret of that name in this repository or environment? Workflows of forks and Dependabot get none.
          Correct the step's `with:` in the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"token": "", "client_id": "abcdefgh"},
    ),
    Situation(
        "A token and an API key.",
        """
        Error: Bad input: `token` does not go together with `client-id` and `client-secret`: give one or the other.
          Correct the step's `with:` in the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"client_id": "abcdefgh", "client_secret": "abcdefgh01234567"},
    ),
    Situation(
        "verify-source: error with a deployment secret alone.",
        """
        Error: Bad input: `verify-source` as `error` needs a `token`, or a `client-id` and a `client-secret`.
          Correct the step's `with:` in the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={**WEBHOOK, "verify_source": "error"},
    ),
    Situation(
        "A certificate that is none.",
        """
        Error: Bad input: `ca-bundle` must be PEM text, or the path of a PEM file of at most 4 MiB in the checkout
          (or an absolute path below `GITHUB_WORKSPACE` or `RUNNER_TEMP`), and no link that leads elsewhere. Correct
          the step's `with:` in the workflow. More: "Bad input" in the action's docs/troubleshooting.md
        """,
        inputs={"ca_bundle": "certificates/ours.pem"},
    ),
    Situation(
        "A folder outside of the checkout.",
        """
        Error: Bad input: `workspace-directory` must be a folder inside the checkout, relative to its root, with `/`
          and without `..`. Correct the step's `with:` in the workflow. More: "Bad input" in the action's
          docs/troubleshooting.md
        """,
        inputs={"workspace_directory": "../other"},
    ),
]


def play(folder: Path, it: Situation) -> Result:
    with stage(folder, it.scenario, **it.inputs) as at:
        at.step.environ.pop("RUNNER_DEBUG")
        it.arrange(at)
        signals = Signals(at.clock.monotonic)
        for seconds, number in it.signals.items():
            at.clock.call_later(seconds, partial(signals.receive, number))
        return run_main(at.step, at.clock, PATIENT, signals)


def shown(result: Result) -> str:
    """What stands out in the log: annotations as the runner shows them, and the result."""
    reading = runner.read(result.printed)
    said = [command for command in reading.commands if command.name in ("error", "warning", "notice")]
    lines = [f"{command.name.capitalize()}: {command.data}" for command in said]
    if result.code == 0:
        lines.append(reading.shown[-1])
    text = re.sub(r"127\.0\.0\.1:\d+", "platform.example", "\n".join(lines))
    return re.sub(r"(?i)\b(job |jobs/)[0-9a-f-]{36}", r"\1JOB", text)


@pytest.mark.parametrize("situation", TABLE, ids=[it.what for it in TABLE])
def test_user_reads_what_happened_and_what_to_do(situation: Situation, tmp_path: Path) -> None:
    result = play(tmp_path / "step", situation)
    # Lines that are indented go on where the line before ends.
    assert shown(result) == re.sub(r"\n +", " ", textwrap.dedent(situation.reads).strip())
    assert_is_told_alike(result)


def assert_is_told_alike(result: Result) -> None:
    """Assert that the log, the output and the summary tell the same, each in its way, and in whole sentences."""
    reading = runner.read(result.printed)
    ends = [command for command in reading.commands if command.data.startswith(f"{command.properties.get('title')}: ")]
    end = reading.shown[-1] if result.code == 0 else ends[-1].data
    message = result.outputs["message"]
    assert end.startswith(message)
    hint = end.removeprefix(message).partition(" More: ")[0].strip()
    title, _, happened = message.partition(": ")
    summary = page.render(result.summary).text.replace("\u200b", "").strip()
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
