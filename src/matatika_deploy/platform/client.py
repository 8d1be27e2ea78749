"""One call to the platform: tried until it is answered well, or until it is certain that it will not be."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from matatika_deploy.errors import NotTheApi, PlatformError, RequestRejected
from matatika_deploy.platform.auth import AccessToken, parse_token
from matatika_deploy.platform.http import Http, HttpConfig
from matatika_deploy.platform.polling import Pace
from matatika_deploy.platform.redaction import Redactor
from matatika_deploy.platform.responses import (
    LONGEST_MESSAGE,
    Failure,
    InvalidResponse,
    Kind,
    Request,
    Response,
    TransportError,
    Verdict,
    classify,
)
from matatika_deploy.platform.retry import TransientError, retry
from matatika_deploy.runtime.cancellation import Cancelled, CancelScope, DeadlineExceeded, Task, TaskTimeout
from matatika_deploy.runtime.limits import SAY_AGAIN_AFTER, RetryPolicy
from matatika_deploy.text import format_duration, one_line

T = TypeVar("T")

_HINTS: Mapping[int, str] = {
    401: "A `token` lasts two hours, and ends when its owner signs out. Use an API key (`client-id`, `client-secret`) "
    "instead: its tokens renew themselves.",
    403: "The credentials are valid, but lack the permission: an API key acts as the person who made it, who has to be "
    "an admin or owner of the workspace.",
    404: "Check `workspace-id` and `api-url`: is it the id of a workspace in this cloud, and one that the owner of the "
    "credentials can see?",
    405: "Check `api-url`: what answers there does not know this call.",
}
_OTHER_HINT = "The answer would be the same again: look at the workspace in the app."
_RENEWED_HINT = "A token that was just issued is not accepted: check `audience` and `api-url`."
_TITLES: Mapping[int, str] = {401: "Sign-in failed", 403: "No permission", 404: "Not found"}
_IN_FRONT = (
    "Something in front of the platform refused the request: a firewall, a proxy or bot protection. Ask whoever runs "
    "it to let the runner through, or use a self-hosted runner."
)
_TRANSPORT_HINTS: Mapping[Failure, str] = {
    Failure.CERTIFICATE_NOT_TRUSTED: "If the platform is behind an authority of your own, give its certificate as "
    "`ca-bundle`.",
    Failure.WRONG_HOST_NAME: "Check the host's name in `api-url` and `auth-url`.",
    Failure.PROXY_REFUSED: "Check the user and password in `HTTPS_PROXY` or `HTTP_PROXY`.",
    Failure.PROXY_INVALID: "Correct `HTTPS_PROXY`, `HTTP_PROXY` or `NO_PROXY`: a proxy's address is like "
    "`http://proxy.example.com:3128`. SOCKS proxies are not supported.",
}


class Reporter(Protocol):
    """Where the platform's side tells people what happens."""

    def info(self, text: str) -> None:
        """Print a line."""

    def warning(self, text: str) -> None:
        """Print a warning."""


class Contact:
    """What has been reached in this step so far, by any thread."""

    def __init__(self) -> None:
        self.answered: set[str] = set()
        """Inputs (`api-url`, `auth-url`) whose addresses are right, since they gave a good answer."""
        self.resolved: set[str] = set()
        """Hosts whose names have been resolved."""
        self.unresolved_since: dict[str, float] = {}
        """When a host's name could not be resolved for the first time, by the clock."""
        self.dead_links: set[str] = set()
        """Links of jobs at which nothing is found, though the documented address works."""
        self.renewed_after_403 = False


class Platform(NamedTuple):
    """The platform as one step uses it, shared by its threads. `api_url` has no final slash."""

    api_url: str
    token: AccessToken
    http: HttpConfig
    redactor: Redactor
    retry: RetryPolicy
    pace: Pace
    reporter: Reporter
    contact: Contact


class Exchange(NamedTuple):
    """How one exchange ended: `request` as it was sent, and the answer, if there was one."""

    request: Request
    verdict: Verdict
    response: Response | None = None
    has_renewed: bool = False
    """Whether the token was renewed for it."""


class Client:
    """Calls of one thread, within its scope: failures that may pass are retried, and a refused token is renewed."""

    def __init__(self, platform: Platform, scope: CancelScope) -> None:
        self.platform = platform
        self.scope = scope
        self.http = Http(platform.http)
        self.trouble = ""
        """What could not be done when it was last tried, as a clause; "" while all is well."""

    def sign_in(self) -> None:
        """Fetch an access token, unless there is one.

        Raises:
            PlatformError: if there is none to be had.
        """
        self._renew("")

    def call(
        self,
        request: Request,
        parse: Callable[[Response], T],
        *,
        missing_until: float = 0.0,
        is_following: bool = False,
    ) -> T:
        """Make a call that is safe to repeat, and parse its answer.

        Arguments:
            missing_until: until this moment of the scope's clock, a `404` may pass.
            is_following: whether a job is followed: then refusals of something in front of the platform may pass.

        Raises:
            RequestRejected: if the answer is no.
            PlatformError: if there was no good answer for too long.
            Cancelled, DeadlineExceeded: as the scope does.
        """
        # The first attempt is on its way before `retry` imports what it needs.
        first: Task[Response] | None = self.start(request)
        was_ambiguous = False
        may_renew = True

        def send(request: Request) -> Exchange:
            nonlocal first
            task, first = first or self.start(request), None
            return self.finish(task, request)

        def attempt() -> T:
            nonlocal request, was_ambiguous, may_renew
            request, verdict, response, has_renewed = self.perform(request, send, may_renew=may_renew)
            may_renew = may_renew and not has_renewed
            if response and verdict.kind is Kind.OK:
                try:
                    value = parse(response)
                    self.platform.contact.answered.add(self.service(request))
                    return value
                except InvalidResponse as error:
                    verdict = classify(error)
            if self.may_pass(verdict, request, missing_until, is_following=is_following):
                was_ambiguous = was_ambiguous or verdict.kind is Kind.AMBIGUOUS
                raise TransientError(verdict)
            rejected = self.rejected(verdict, request)
            rejected.is_repeated = was_ambiguous
            raise rejected

        return self.retry(attempt, request)

    def perform(self, request: Request, send: Callable[[Request], Exchange], *, may_renew: bool = True) -> Exchange:
        """Send a request; once more with a new token, or to its fallback address, if that is why it was refused."""
        used = self.platform.token.value
        exchange = send(request)
        has_renewed = may_renew and self._renew_after(exchange.verdict, request, used)
        if has_renewed:
            exchange = send(request)
        if exchange.verdict.status == 404 and request.fallback_url:
            self.platform.contact.dead_links.add(request.url)
            exchange = send(request._replace(url=request.fallback_url, fallback_url=""))
        return exchange._replace(has_renewed=has_renewed)

    def retry(self, attempt: Callable[[], T], request: Request) -> T:
        """Make attempts at `request` until one raises no `TransientError`, as long as an outage may take.

        Raises:
            PlatformError: when that time is over, or the platform asks to wait beyond it or the deadline.
        """
        patience = _Patience(self, request)
        try:
            result = retry(attempt, policy=self.platform.retry, sleep=patience.sleep, give_up=patience.is_over)
        except TransientError:
            raise patience.error() from None
        patience.end()
        return result

    def start(self, request: Request) -> Task[Response]:
        """Send a request in a task, to be finished later."""
        return self.scope.start(lambda: self.http.exchange(request))

    def finish(self, task: Task[Response], request: Request, within: float | None = None) -> Exchange:
        """Wait for the end of a request, for `within` seconds or as long as one may take, and say what it means.

        Raises:
            Cancelled, DeadlineExceeded: as the scope does. The connection is not used again.
        """
        response = None
        seconds = self.http.limits.total if within is None else within
        try:
            response = self.scope.join(task, seconds)
            verdict = classify(response)
        except TransportError as error:
            verdict = classify(error)
        except TaskTimeout:
            self.http.disconnect()
            verdict = classify(TransportError(Failure.TOTAL_TIMEOUT, f"{seconds:.0f} s"))
        except (Cancelled, DeadlineExceeded):
            self.trouble = self.trouble or f"could not {request.action} (no answer yet)"
            self.http.disconnect()
            raise
        return Exchange(request, self.learn(verdict, request), response)

    def learn(self, verdict: Verdict, request: Request) -> Verdict:
        """Note what a verdict tells of the way to the platform; returns it without credentials, on one line."""
        if verdict.failure is not Failure.NAME_NOT_RESOLVED:
            self.platform.contact.resolved.add(urlsplit(request.url).netloc)
        if verdict.retry_after is not None:
            self.platform.pace.slow_down()
        clean = self.platform.redactor.clean
        message = one_line(clean(verdict.message), LONGEST_MESSAGE)
        return verdict._replace(message=message, location=one_line(clean(verdict.location), LONGEST_MESSAGE))

    def _renew_after(self, verdict: Verdict, request: Request, used: str) -> bool:
        """Renew the token that was `used` if it may be why the request was refused; whether to send it again.

        A `403` may have other reasons, so that only the first of a step counts.
        """
        if request.auth is not self.platform.token or not self.platform.token.can_renew:
            return False
        contact = self.platform.contact
        if verdict.status == 403 and not verdict.is_web_page and not contact.renewed_after_403:
            contact.renewed_after_403 = True
        elif verdict.kind is not Kind.UNAUTHORIZED:
            return False
        self._renew(used)
        return True

    def rejected(self, verdict: Verdict, request: Request) -> RequestRejected:
        """Say what an answer means that refuses a request, or sends it elsewhere."""
        status = verdict.status
        could_not = f"Could not {request.action}: {verdict}."
        if verdict.failure:
            hint = _TRANSPORT_HINTS.get(verdict.failure, "")
            return RequestRejected(could_not, hint, PlatformError.title, status=status)
        if verdict.location or (status and 300 <= status < 400):
            return RequestRejected(
                f"Could not {request.action}: the platform redirects to {verdict.location or 'no address'} "
                f"({verdict.phrase}), which is not followed.",
                f"If that address is right, use it in `{self.service(request)}`.",
                status=status,
            )
        if not verdict.is_from_api and verdict.is_web_page:
            return RequestRejected(could_not, _IN_FRONT, status=status)
        is_key_refused = status in (401, 403) and self.service(request) == "auth-url"
        title = "Sign-in failed" if is_key_refused else _TITLES.get(status or 0, "")
        return RequestRejected(could_not, self._hint(request, status or 0), title, status=status)

    def service(self, request: Request) -> str:
        """The input that holds the address of the service that a request goes to."""
        return "auth-url" if request is self.platform.token.request else "api-url"

    def _hint(self, request: Request, status: int) -> str:
        if status == 401 and self.platform.token.can_renew and status not in request.hints:
            return _RENEWED_HINT
        return request.hints.get(status) or _HINTS.get(status, _OTHER_HINT)

    def _renew(self, refused: str) -> None:
        self.platform.token.renew(refused, lambda request: self.call(request, parse_token), self.scope)

    def may_pass(
        self, verdict: Verdict, request: Request, missing_until: float = 0.0, *, is_following: bool = False
    ) -> bool:
        """Whether a call that is safe to repeat may do better the next time; the arguments are those of `call`."""
        if verdict.kind in (Kind.NOT_EXECUTED, Kind.AMBIGUOUS):
            return True
        if verdict.failure:
            return False
        if verdict.status == 404 and self.scope.clock.monotonic() < missing_until:
            return True
        is_client_error = 400 <= (verdict.status or 0) < 500
        if is_following and is_client_error and not verdict.is_from_api:
            return True
        return verdict.may_be_web_app and self.service(request) not in self.platform.contact.answered


class _Patience:
    """How long one call may fail, and what is said meanwhile."""

    def __init__(self, client: Client, request: Request) -> None:
        self._client = client
        self._request = request
        self._policy = client.platform.retry
        self._began = self._now()
        self._say_again_at = self._began
        self._web_pages_since: float | None = None
        self._limit = self._policy.outage
        self._last: Verdict | None = None
        self._is_asked_too_much = False

    def is_over(self, verdict: Verdict) -> bool:
        """Note a failure; whether to give up."""
        self._last = verdict
        self._client.trouble = f"could not {self._request.action} ({verdict})"
        self._limit = self._limit_for(verdict)
        if self._now() >= self._say_again_at:
            self._say_again_at = self._now() + SAY_AGAIN_AFTER
            self._client.platform.reporter.info(f"Could not {self._request.action} ({verdict}): trying again.")
        asked = verdict.retry_after or 0.0
        # Blame Retry-After only if it alone exceeds the limit.
        self._is_asked_too_much = asked > min(self._policy.outage, self._client.scope.remaining)
        return asked >= self._left() or self._is_asked_too_much

    def sleep(self, seconds: float) -> None:
        """Make the pause between two attempts, at most until the time is over."""
        self._client.scope.sleep(min(seconds, max(self._left(), 0.0)))

    def end(self) -> None:
        """Say that the failures are over, if any were reported."""
        self._client.trouble = ""
        if self._last:
            spent = format_duration(self._now() - self._began)
            self._client.platform.reporter.info(f"Could {self._request.action}, after {spent} of trying.")

    def error(self) -> PlatformError:
        """Say why the call was given up."""
        action, verdict = self._request.action, self._last
        if verdict is None:
            raise RuntimeError("nothing has failed")
        if self._is_asked_too_much and verdict.retry_after:
            wait = format_duration(verdict.retry_after)
            asked = f"the platform asks to wait {wait}, longer than this step may take"
            return PlatformError(f"Could not {action} ({verdict}): {asked}.", "Run the workflow again later.")
        service = self._client.service(self._request)
        if self._web_pages_since is not None and self._limit < self._policy.outage:
            return web_page_error(action, self._request.url, service)
        is_outage = self._limit == self._policy.outage
        waited = format_duration(self._policy.outage if is_outage else self._policy.unresolved_name)
        hint = f"Is the platform up, and `{service}` right?"
        host = urlsplit(self._request.url).netloc
        return PlatformError(f"Could not {action}: no good answer for {waited} from {host} (at last: {verdict}).", hint)

    def _limit_for(self, verdict: Verdict) -> float:
        """The seconds, from the first failure on, after which a failure of this kind is given up."""
        contact = self._client.platform.contact
        if verdict.may_be_web_app and self._client.service(self._request) not in contact.answered:
            if self._web_pages_since is None:
                self._web_pages_since = self._now()
            return self._web_pages_since - self._began + self._policy.web_page
        self._web_pages_since = None
        host = urlsplit(self._request.url).netloc
        if verdict.failure is Failure.NAME_NOT_RESOLVED and host not in contact.resolved:
            since = contact.unresolved_since.setdefault(host, self._now())
            return since - self._began + self._policy.unresolved_name
        return self._policy.outage

    def _left(self) -> float:
        return self._began + self._limit - self._now()

    def _now(self) -> float:
        return self._client.scope.clock.monotonic()


def web_page_error(action: str, url: str, service: str) -> NotTheApi:
    """Say that the address in the input `service` leads to a web site instead of the API."""
    why = "the API's address usually ends with `/api`" if service == "api-url" else "a page issues no tokens"
    return NotTheApi(
        f"Could not {action}: {url.partition('?')[0]} answers with a web page, not as an API does.",
        f"Check `{service}`: {why}.",
    )
