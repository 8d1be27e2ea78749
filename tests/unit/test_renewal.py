"""A token that renews itself: once for all threads that were refused with it, and no wait outlasts its scope."""

import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

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
    fetched: list[int] = []
    token = AccessToken("old", TOKEN_REQUEST)
    are_refused = Barrier(2, timeout=10)

    def fetch(request: Request) -> str:
        assert request is TOKEN_REQUEST
        # As long as the other thread needs to come here as well, if nothing keeps it from that.
        Event().wait(0.05)
        fetched.append(threading.get_ident())
        return f"new-{len(fetched)}"

    def call() -> str:
        refused = token.value
        are_refused.wait()
        token.renew(refused, fetch, CancelScope(SYSTEM_CLOCK))
        return token.value

    with ThreadPoolExecutor(2) as pool:
        values = [pool.submit(call), pool.submit(call)]
        assert [value.result(timeout=10) for value in values] == ["new-1", "new-1"]


def test_token_that_was_renewed_meanwhile_and_that_of_a_user_are_not_renewed() -> None:
    for token in (AccessToken("new", TOKEN_REQUEST), AccessToken("old")):
        value = token.value
        token.renew("old", unexpected, CancelScope(FakeClock()))
        assert token.value == value


def test_new_token_is_told_of_before_its_first_use_and_a_failed_renewal_leaves_the_lock_to_others() -> None:
    """It is masked then."""
    seen: list[tuple[str, str]] = []
    token = AccessToken("old", TOKEN_REQUEST, lambda value: seen.append((value, token.value)))

    def fail(_: Request) -> str:
        raise PlatformError("No.")

    with pytest.raises(PlatformError):
        token.renew("old", fail, CancelScope(FakeClock()))
    token.renew("old", lambda _: "new", CancelScope(FakeClock()))
    assert (seen, token.value) == ([("new", "old")], "new")


@pytest.mark.parametrize(("deadline", "error"), [(5, DeadlineExceeded), (100, Cancelled)])
def test_waiting_for_the_renewal_of_another_thread_ends_with_the_scope(deadline: float, error: type[Exception]) -> None:
    token = AccessToken("old", TOKEN_REQUEST)
    is_fetching, may_end = Event(), Event()

    def fetch(_: Request) -> str:
        is_fetching.set()
        assert may_end.wait(10)
        return "new"

    other = Thread(target=lambda: token.renew("old", fetch, CancelScope(SYSTEM_CLOCK)), daemon=True)
    other.start()
    assert is_fetching.wait(10)
    clock = FakeClock()
    scope = CancelScope(clock, deadline=deadline)
    clock.call_later(6, scope.cancel)
    with pytest.raises(error):
        token.renew("old", unexpected, scope)
    assert clock.passed == pytest.approx(min(deadline, 6), abs=0.1)
    may_end.set()
    other.join(10)
    assert token.value == "new"


@pytest.mark.parametrize(
    ("statuses", "title", "tokens"),
    [
        ([401, 200], "", [0, 1]),
        ([401, 401], "Sign-in failed", [0, 1]),
        ([401, 503, 401], "Sign-in failed", [0, 1, 1]),
        # Only the first of a step can have to do with the token.
        ([403, 200, 403], "No permission", [0, 1, 1]),
    ],
)
def test_refusal_is_answered_with_a_new_token_once(statuses: list[int], title: str, tokens: list[int]) -> None:
    assert called(AccessToken("token-0", TOKEN_REQUEST), statuses) == (title, [f"token-{n}" for n in tokens])


@pytest.mark.parametrize(("status", "title"), [(401, "Sign-in failed"), (403, "No permission")])
def test_refusal_of_a_users_token_is_final_at_once(status: int, title: str) -> None:
    assert called(AccessToken("given"), [status]) == (title, ["given"])


def called(token: AccessToken, statuses: list[int]) -> tuple[str, list[str]]:
    """Call until all statuses were answered: the title of the last error, and the tokens that the calls came with."""
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
    title = ""
    while left:
        assert not title
        try:
            client.call(Request("read", "GET", f"{platform.API_URL}/x", token), lambda response: response.json())
        except RequestRejected as error:
            title = error.title
    return title, used
