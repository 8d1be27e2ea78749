"""The platform's side of a step on its own: a client on a clock that tests move, and a network that tests script."""

from collections.abc import Callable, Mapping

from requests.structures import CaseInsensitiveDict

from matatika_deploy.platform.auth import AccessToken
from matatika_deploy.platform.client import Client, Contact, Platform
from matatika_deploy.platform.http import HttpConfig
from matatika_deploy.platform.polling import Pace
from matatika_deploy.platform.redaction import Redactor
from matatika_deploy.platform.responses import Request, Response
from matatika_deploy.runtime.cancellation import CancelScope
from matatika_deploy.runtime.limits import HttpLimits, RetryPolicy
from tests.support.clock import FakeClock

API_URL = "https://app.example/api"


class Reports:
    """What people were told, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def make_client(
    clock: FakeClock,
    answers: Callable[[Request], Response] | None = None,
    scope: CancelScope | None = None,
    reports: Reports | None = None,
    token: AccessToken | None = None,
) -> Client:
    """Make a client of one thread, whose pauses have no jitter.

    `answers` gives every answer in place of the network, or raises what the network would.
    """
    http = HttpConfig({}, "test/1", limits=HttpLimits(total=5), now=clock.now)
    told = reports or Reports()
    token = token or AccessToken("personal-t0ken")
    platform = Platform(API_URL, token, http, Redactor(), RetryPolicy(), Pace(longest=10, jitter=0), told, Contact())
    client = Client(platform, scope or CancelScope(clock))
    if answers:
        client.http.exchange = answers  # type: ignore[method-assign, assignment]
    return client


def respond(clock: FakeClock, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, CaseInsensitiveDict(headers or {}), body, clock.now(), clock.now())
