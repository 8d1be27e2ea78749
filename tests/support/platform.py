"""The platform's side of a step on its own: a client on a clock that tests move, and a network that tests script."""

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from queue import SimpleQueue

import requests
from requests.structures import CaseInsensitiveDict

from matatika_deploy.platform.auth import AccessToken
from matatika_deploy.platform.client import Client, Contact, Platform
from matatika_deploy.platform.http import Http, HttpConfig
from matatika_deploy.platform.polling import Pace
from matatika_deploy.platform.redaction import Redactor
from matatika_deploy.platform.responses import Request, Response
from matatika_deploy.runtime.cancellation import CancelScope
from matatika_deploy.runtime.limits import HttpLimits, RetryPolicy
from tests.support.clock import FakeClock

API_URL = "https://app.example/api"
TOKEN = "personal-t0ken"

Answers = Callable[[Request], Response]


class Reports:
    """What people were told, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


class ScriptedHttp(Http):
    """A network on which `answers` gives every answer, or raises what the network would; and streams take `chunks`."""

    def __init__(self, config: HttpConfig, answers: Answers) -> None:
        super().__init__(config)
        self._answers = answers
        self.stream: SimpleQueue[bytes | None] = SimpleQueue()
        """The body of answers that are opened, chunk by chunk; None ends one of them."""
        self.asked = 0
        """How many chunks were asked for: with the next one, the reader is done with all before."""

    def exchange(self, request: Request) -> Response:
        return self._answers(request)

    def open(self, request: Request) -> requests.Response:
        answered = self._answers(request)
        opened = requests.Response()
        opened.raw = BytesIO()
        opened.status_code, opened.headers = answered.status, CaseInsensitiveDict(answered.headers)
        return opened

    def chunks(self, opened: requests.Response) -> Iterator[bytes]:
        self.asked += 1
        while (chunk := self.stream.get(timeout=10)) is not None:
            yield chunk
            self.asked += 1


def make_platform(clock: FakeClock, reports: Reports, token: AccessToken | None = None) -> Platform:
    """Make a platform whose pauses have no jitter."""
    return Platform(
        API_URL,
        token or AccessToken(TOKEN),
        HttpConfig({}, "test/1", limits=HttpLimits(total=5), now=clock.now),
        Redactor(),
        RetryPolicy(),
        Pace(longest=10, jitter=0),
        reports,
        Contact(),
    )


def make_client(platform: Platform, scope: CancelScope, answers: Answers) -> Client:
    """Make a client of one thread on a scripted network."""
    client = Client(platform, scope)
    client.http = ScriptedHttp(platform.http, answers)
    return client


def respond(clock: FakeClock, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Response:
    """Make an answer of this moment."""
    return Response(status, CaseInsensitiveDict(headers or {}), body, clock.now(), clock.now())
