"""A token that renews itself: once for all threads that were refused with it, and no wait outlasts its scope."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from matatika_deploy.errors import PlatformError, RequestRejected
from matatika_deploy.platform.auth import AccessToken
from matatika_deploy.platform.responses import Request, Response
from matatika_deploy.runtime.cancellation import SYSTEM_CLOCK, Cancelled, CancelScope, DeadlineExceeded
from tests.support import platform
from tests.support.clock import FakeClock

TOKEN_REQUEST = Request("fetch an access token", "POST", "https://identity.example/oauth/token")


def unexpected(_: Request) -> str:
    pytest.fail("nothing is to be fetched")


def test_two_threads_that_are_refused_at_once_fetch_one_token() -> None:
    fetched: list[Request] = []
    token = AccessToken("old", TOKEN_REQUEST)
    are_refused = Barrier(2, timeout=10)

    def fetch(request: Request) -> str:
        # As long as the other thread needs to come here as well, if nothing keeps it from that.
        Event().wait(0.05)
        fetched.append(request)
        return f"new-{len(fetched)}"

    def call() -> str:
        refused = token.value
        are_refused.wait()
        token.renew(refused, fetch, CancelScope(SYSTEM_CLOCK, deadline=SYSTEM_CLOCK.monotonic() + 10))
        return token.value

    with ThreadPoolExecutor(2) as pool:
        values = [pool.submit(call), pool.submit(call)]
        assert [value.result(timeout=10) for value in values] == ["new-1", "new-1"]
    assert fetched == [TOKEN_REQUEST]


def test_new_token_is_told_of_before_its_first_use_and_a_failed_renewal_leaves_the_lock_to_others() -> None:
    """It is masked then."""
    seen: list[tuple[str, str]] = []
    token = AccessToken("old", TOKEN_REQUEST, lambda value: seen.append((value, token.value)))

    def fail(_: Request) -> str:
        raise PlatformError("No.")

    with pytest.raises(PlatformError):
        token.renew("old", fail, CancelScope(FakeClock(), deadline=10))
    token.renew("old", lambda _: "new", CancelScope(FakeClock(), deadline=10))
    assert (seen, token.value) == ([("new", "old")], "new")


@pytest.mark.parametrize(("deadline", "error"), [(5, DeadlineExceeded), (100, Cancelled)])
def test_waiting_for_the_renewal_of_another_thread_ends_with_the_scope(deadline: float, error: type[Exception]) -> None:
    token = AccessToken("old", TOKEN_REQUEST)
    is_fetching, may_end = Event(), Event()

    def fetch(_: Request) -> str:
        is_fetching.set()
        assert may_end.wait(10)
        return "new"

    clock = FakeClock()
    scope = CancelScope(clock, deadline=deadline)
    clock.call_later(6, scope.cancel)
    with ThreadPoolExecutor(1) as other:
        renewal = other.submit(token.renew, "old", fetch, CancelScope(SYSTEM_CLOCK))
        assert is_fetching.wait(10)
        with pytest.raises(error):
            token.renew("old", unexpected, scope)
        in_shutdown = CancelScope(FakeClock(), deadline=10)
        in_shutdown.begin_shutdown(10, grace_after_signal=1, handled_signals=0)
        token.renew("old", lambda _: "own", in_shutdown)
        assert token.value == "own"
        may_end.set()
        renewal.result(10)
    assert clock.passed == pytest.approx(min(deadline, 6), abs=0.1)
    assert token.value == "new"


@pytest.mark.parametrize(
    ("can_renew", "statuses", "title", "tokens"),
    [
        (True, [401, 200], "", [0, 1]),
        (True, [401, 401], "Sign-in failed", [0, 1]),
        (True, [401, 503, 401], "Sign-in failed", [0, 1, 1]),
        # Only the first of a step can have to do with the token.
        (True, [403, 200, 403], "No permission", [0, 1, 1]),
        (False, [401], "Sign-in failed", [0]),
        (False, [403], "No permission", [0]),
    ],
)
def test_refusal_is_answered_with_a_new_token_once(
    can_renew: bool, statuses: list[int], title: str, tokens: list[int]
) -> None:
    token = AccessToken("token-0", TOKEN_REQUEST if can_renew else None)
    used: list[str] = []
    clock = FakeClock()
    left = [*statuses]

    def answer(request: Request) -> Response:
        if request.url == TOKEN_REQUEST.url:
            return platform.respond(clock, 200, b'{"access_token": "token-%d"}' % len(used))
        used.append(token.value)
        status = left.pop(0)
        return platform.respond(clock, status, b'{"status": %d, "message": "No"}' % status)

    client = platform.make_client(clock, answer, token=token)
    found = ""
    while left:
        assert not found
        try:
            client.call(Request("read", "GET", f"{platform.API_URL}/x", token), lambda response: response.json())
        except RequestRejected as error:
            found = error.title
    assert (found, used) == (title, [f"token-{number}" for number in tokens])
