"""One call to the platform: tried until it is answered well, or until it is certain that it will not be."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from matatika_deploy.errors import PlatformError
from matatika_deploy.platform.auth import AccessToken, parse_token
from matatika_deploy.platform.http import Answer, Http, Request
from matatika_deploy.platform.job import Unreadable
from matatika_deploy.platform.retry import Fault, RetryPolicy, persist, retry_after
from matatika_deploy.runtime.cancellation import DeadlineExceeded, Errand, ErrandTimeout, Interrupted, Waiter

T = TypeVar("T")

_PASSING = frozenset({408, 425, 429})

# While faults last, a line at most so often (seconds).
_SAY_EVERY = 60.0

_HINTS: Mapping[int, str] = {
    401: "Is `token` still valid? The tokens of an API key (`client-id`, `client-secret`) renew themselves.",
    403: "The credentials are valid, but lack the permission: check their role in the workspace.",
    404: "Check `workspace-id` and `api-url`.",
}


_API_KEY_HINTS: Mapping[int, str] = {
    **_HINTS,
    401: "A token that was just issued is not taken: check `audience` and `api-url`.",
}


class Refusal(PlatformError):
    """An answer that says no, and would say no again.

    `is_repeated` says whether an earlier attempt was left without an answer: perhaps it was carried out, and is why
    this one was refused.
    """

    def __init__(self, status: int, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.status = status
        self.is_repeated = False


class Client:
    """Calls with patience: passing faults are met as the retry policy says, an expired token is renewed once per call.

    `access` is the token that goes with the calls; `token_request` fetches one for an API key, and `on_token` is told
    of each that was fetched, before its first use. `say` tells people of faults now and then, and `slow_down` is called
    when the platform asks to wait. All waits are `waiter`'s, and end with it.
    """

    def __init__(
        self,
        http: Http,
        waiter: Waiter,
        *,
        access: AccessToken,
        token_request: Request | None,
        on_token: Callable[[str], None],
        policy: RetryPolicy,
        say: Callable[[str], None],
        slow_down: Callable[[], None],
    ) -> None:
        self.access = access
        self.http = http
        self.waiter = waiter
        self._token_request = token_request
        self._on_token = on_token
        self._policy = policy
        self._say = say
        self._slow_down = slow_down
        self.hints = _API_KEY_HINTS if token_request else _HINTS
        """What to do about the statuses of refusals."""
        self.trouble = ""
        """What could not be done when it was last tried, as a clause; "" while all is well."""

    def sign_in(self) -> None:
        """Fetch an access token, if it takes one to be fetched.

        Raises:
            PlatformError: if there is none to be had.
        """
        if self._token_request is None:
            return
        token = self.call(self._token_request, parse_token)
        self._on_token(token)
        self.access.value = token

    def call(self, request: Request, parse: Callable[[Answer], T], *, missing_until: float = 0.0) -> T:
        """Make a call that is safe to repeat, and read its answer.

        Until the moment `missing_until` (of the waiter's clock) a `404` is a fault that may pass.

        Raises:
            PlatformError: if the platform refuses (`Refusal`), or gave no good answer for too long.
            Interrupted, DeadlineExceeded: as the waiter does.
        """
        may_renew = request.auth is self.access
        is_repeated = False

        def attempt() -> T:
            nonlocal may_renew, is_repeated
            try:
                answer = self.once(request)
                if answer.status == 401 and may_renew and self.renew():
                    may_renew = False
                    answer = self.once(request)
                return self._read(answer, request, parse, missing_until)
            except Fault:
                is_repeated = True
                raise
            except Refusal as refused:
                refused.is_repeated = is_repeated
                raise

        return self.persist(attempt, request)

    def call_once(self, request: Request, parse: Callable[[Answer], T], *, within: float) -> T:
        """Make a call that is not worth a second try, in `within` seconds.

        Raises:
            PlatformError: if there was no good answer.
            Interrupted, DeadlineExceeded: as the waiter does.
        """
        try:
            answer = self.finish(self.begin(request), request, within)
            return self._read(answer, request, parse, missing_until=0.0)
        except Fault as fault:
            raise PlatformError(f"Could not {request.deed}: {fault.message}.") from None

    def persist(self, attempt: Callable[[], T], request: Request) -> T:
        """Make attempts at `request` until one raises no `Fault`, as long as an outage may take.

        Raises:
            PlatformError: when that time is over, or the platform asks to wait beyond it or the deadline.
        """
        clock = self.waiter.clock
        outage_end = clock.monotonic() + self._policy.outage
        say_again_at = clock.monotonic()
        is_asked_too_much = False

        def give_up(fault: Fault) -> bool:
            nonlocal say_again_at, is_asked_too_much
            self.trouble = f"could not {request.deed} ({fault.message})"
            if fault.retry_after is not None:
                self._slow_down()
            if clock.monotonic() >= say_again_at:
                say_again_at = clock.monotonic() + _SAY_EVERY
                self._say(f"Could not {request.deed} ({fault.message}): trying again.")
            asked = fault.retry_after or 0.0
            # A short pause that leads beyond the end of a long outage is not what the outage was too long for.
            is_asked_too_much = asked > min(self._policy.outage, self.waiter.left)
            return clock.monotonic() + asked >= outage_end or is_asked_too_much

        try:
            result = persist(attempt, policy=self._policy, pause=self.waiter.rest, give_up=give_up)
        except Fault as fault:
            raise self._gave_up(fault, request, is_asked_too_much) from None
        self.trouble = ""
        return result

    def once(self, request: Request) -> Answer:
        """Make one exchange.

        Raises:
            Fault: as `Http.exchange` does, and if it takes too long altogether.
            Interrupted, DeadlineExceeded: as the waiter does.
        """
        return self.finish(self.begin(request), request)

    def renew(self) -> bool:
        """Fetch a new token, if there is one to be had; says whether."""
        if self._token_request is None:
            return False
        self.sign_in()
        return True

    def begin(self, request: Request) -> Errand[Answer]:
        """Begin an exchange, to be finished later."""
        return self.waiter.start(lambda: self.http.exchange(request))

    def finish(self, errand: Errand[Answer], request: Request, within: float | None = None) -> Answer:
        """Wait for the exchange of a request that was begun; one that is left keeps its connection to itself."""
        seconds = self.http.limits.total if within is None else within
        try:
            return self.waiter.join(errand, seconds)
        except ErrandTimeout:
            self.http.disconnect()
            raise Fault(f"no complete answer within {seconds:.0f} s") from None
        except (Interrupted, DeadlineExceeded):
            self.trouble = self.trouble or f"could not {request.deed} (no answer yet)"
            self.http.disconnect()
            raise

    def _read(self, answer: Answer, request: Request, parse: Callable[[Answer], T], missing_until: float) -> T:
        if 200 <= answer.status < 300:
            try:
                return parse(answer)
            except Unreadable as error:
                raise Fault(f"an answer that makes no sense ({error})") from None
        if fault := passing(answer, self.waiter.clock.time()):
            raise fault
        if answer.status == 404 and self.waiter.clock.monotonic() < missing_until:
            raise Fault(answer.phrase)
        raise refusal(answer, request, self.hints)

    def _gave_up(self, fault: Fault, request: Request, is_asked_too_much: bool) -> PlatformError:
        if is_asked_too_much and fault.retry_after:
            asked = f"the platform asks to wait {fault.retry_after:.0f} s, longer than this step may take"
            return PlatformError(
                f"Could not {request.deed} ({fault.message}): {asked}.", "Run the workflow again later."
            )
        minutes = self._policy.outage / 60
        return PlatformError(
            f"Could not {request.deed}: no good answer for {minutes:.0f} minutes, the last: {fault.message}.",
            "Is the platform up, and `api-url` right? If so, run the workflow again.",
        )


def passing(answer: Answer, now: float) -> Fault | None:
    """Say what fault an answer is that may pass; None if it is none. `now` serves where the answer has no date."""
    if answer.status not in _PASSING and answer.status < 500:
        return None
    asked = retry_after(answer.headers.get("Retry-After"), answer.date or now)
    return Fault(_saying(answer.phrase, answer.message), retry_after=asked)


def refusal(answer: Answer, request: Request, hints: Mapping[int, str]) -> Refusal:
    """Say what an answer means that refuses a request, or sends it elsewhere; `hints` serve where it has none."""
    if 300 <= answer.status < 400:
        address = answer.headers.get("Location", "an address that it does not name")
        return Refusal(
            answer.status,
            f"Could not {request.deed}: the platform redirects to {address} ({answer.phrase}), which is not followed.",
            "If that address is right, use it in `api-url` or `auth-url`.",
        )
    hint = request.hints.get(answer.status) or hints.get(answer.status, "")
    return Refusal(answer.status, f"{_saying(f'Could not {request.deed}: {answer.phrase}', answer.message)}.", hint)


def _saying(text: str, message: str) -> str:
    message = message.rstrip(". ")
    return f"{text}: {message}" if message else text
