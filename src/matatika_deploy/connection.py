"""Settings become connections: who calls which platform, as whom, and through what."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from matatika_deploy.github.commands import WorkflowCommands
from matatika_deploy.github.inputs import Settings
from matatika_deploy.platform.auth import AccessToken, token_request
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.http import Http
from matatika_deploy.platform.pace import Pace
from matatika_deploy.runtime.cancellation import Clock, Waiter
from matatika_deploy.runtime.limits import Tuning
from matatika_deploy.version import __version__

USER_AGENT = f"matatika-deploy-action/{__version__}"


def connect(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    workflow: WorkflowCommands,
    waiter: Waiter,
    tuning: Tuning,
    pace: Pace,
) -> Client:
    """Give the client that makes a step's calls, signed in or (with an API key) able to sign in."""
    key = settings.api_key
    return Client(
        new_http(settings, environ, workflow, tuning, waiter.clock),
        waiter,
        access=AccessToken(settings.token or ""),
        token_request=(
            token_request(settings.auth_url, settings.audience, key.client_id, key.client_secret) if key else None
        ),
        on_token=workflow.mask,
        policy=tuning.retry,
        say=workflow.info,
        slow_down=pace.slow_down,
    )


def new_http(
    settings: Settings, environ: Mapping[str, str], workflow: WorkflowCommands, tuning: Tuning, clock: Clock
) -> Http:
    """Give connections of their own for one thread."""

    def trace(method: str, path: str, result: str, seconds: float) -> None:
        workflow.debug(f"{method} {path}: {result} after {seconds:.2f} s")

    return Http(
        environ,
        user_agent=USER_AGENT,
        authorities=settings.ca_bundle,
        limits=tuning.limits,
        trace=trace,
        clock=clock.time,
        secrets=workflow.secrets,
    )


def workspace_url(settings: Settings) -> str:
    """Give the page on which a person sees the workspace."""
    parts = urlsplit(settings.api_url)
    default_port = {"https": ":443", "http": ":80"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.removesuffix(default_port)}/workspaces/{settings.workspace_id}"


def push_event(environ: Mapping[str, str]) -> bytes:
    """Give the body of the webhook: the event that started the workflow if that is a push, byte for byte, else `{}`."""
    path = environ.get("GITHUB_EVENT_PATH")
    if environ.get("GITHUB_EVENT_NAME") == "push" and path:
        try:
            return Path(path).read_bytes()
        except OSError:
            pass
    return b"{}"
