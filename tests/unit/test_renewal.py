"""A token that renews itself: once for all threads that were refused with it, and no wait outlasts its scope."""

import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import pytest

from matatika_deploy.errors import PlatformError, RequestRejected
from matatika_deploy.platform.auth import AccessToken
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.responses import Request, Response
from matatika_deploy.runtime.cancellation import SYSTEM_CLOCK, Cancelled, CancelScope, DeadlineExceeded
from tests.support import platform
from tests.support.clock import FakeClock

TOKEN_REQUEST = Request("fetch an access token", "POST", "https://identity.example/oauth/token")


def renewing(value: str = "old") -> tuple[AccessToken, list[str]]:
    """A token, and those that it said were new."""
    new: list[str] = []
    return AccessToken(value, TOKEN_REQUEST, new.append), new


def test_two_threads_that_are_refused_at_once_fetch_one_token() -> None:
    token, new = renewing()
    are_refused, fetched = Barrier(2, timeout=10), []

    def fetch(request: Request) -> str:
        assert request is TOKEN_REQUEST
        # As long as the other thread needs to come here as well, if nothing keeps it from that.
        Event().wait(0.1)
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
    assert (len(fetched), new) == (1, ["new-1"])


def test_token_that_was_renewed_meanwhile_is_not_renewed_again() -> None:
    token, new = renewing("new")
    token.renew("old", lambda _: pytest.fail("another thread has renewed it"), CancelScope(FakeClock()))
    assert (token.value, new) == ("new", [])


def test_new_token_is_told_of_before_its_first_use() -> None:
    """It is masked then."""
    seen: list[tuple[str, str]] = []
    token = AccessToken("old", TOKEN_REQUEST, lambda value: seen.append((value, token.value)))
    token.renew("old", lambda _: "new", CancelScope(FakeClock()))
    assert (seen, token.value) == ([("new", "old")], "new")


def test_token_of_a_user_is_never_renewed() -> None:
    token = AccessToken("given")
    assert not token.can_renew
    token.renew("given", lambda _: pytest.fail("there is nothing to fetch it with"), CancelScope(FakeClock()))
    assert token.value == "given"


def test_failed_renewal_leaves_the_lock_to_others() -> None:
    token, _ = renewing()

    def fail(_: Request) -> str:
        raise PlatformError("No.")

    with pytest.raises(PlatformError):
        token.renew("old", fail, CancelScope(FakeClock()))
    token.renew("old", lambda _: "new", CancelScope(FakeClock()))
    assert token.value == "new"


@pytest.mark.parametrize("end", ["deadline", "cancellation"])
def test_waiting_for_the_renewal_of_another_thread_ends_with_the_scope(end: str) -> None:
    token, _ = renewing()
    is_fetching, may_end = Event(), Event()

    def fetch(_: Request) -> str:
        is_fetching.set()
        assert may_end.wait(10)
        return "new"

    other = Thread(target=lambda: token.renew("old", fetch, CancelScope(SYSTEM_CLOCK)), daemon=True)
    other.start()
    assert is_fetching.wait(10)
    clock = FakeClock()
    scope = CancelScope(clock, deadline=5 if end == "deadline" else 100)
    if end == "cancellation":
        clock.call_later(5, scope.cancel)
    with pytest.raises(DeadlineExceeded if end == "deadline" else Cancelled):
        token.renew("old", lambda _: pytest.fail("one renewal is under way"), scope)
    assert clock.passed == pytest.approx(5, abs=0.1)
    may_end.set()
    other.join(10)
    assert token.value == "new"


class TestCalls:
    """What a client makes of a refusal."""

    def make(self, *statuses: int, key: bool = True) -> tuple[list[str], Client]:
        """A client whose calls are answered with these statuses, and the tokens that they came with."""
        used: list[str] = []
        clock, left = FakeClock(), list(statuses)
        token = AccessToken("token-0", TOKEN_REQUEST) if key else AccessToken("token-0")

        def answer(request: Request) -> Response:
            if request.url == TOKEN_REQUEST.url:
                body = b'{"access_token": "token-%d"}' % len(used)
                return platform.respond(clock, 200, body, {"Content-Type": "application/json"})
            used.append(token.value)
            status = left.pop(0)
            body = b"{}" if status < 300 else b'{"status": %d, "message": "No"}' % status
            return platform.respond(clock, status, body, {"Content-Type": "application/json"})

        made = platform.make_platform(clock, platform.Reports(), token)
        return used, platform.make_client(made, CancelScope(clock), answer)

    def call(self, client: Client) -> object:
        request = Request("read", "GET", f"{platform.API_URL}/x", client.platform.token)
        return client.call(request, lambda response: response.json())

    def test_401_is_answered_with_a_new_token(self) -> None:
        used, client = self.make(401, 200)
        assert self.call(client) == {}
        assert used == ["token-0", "token-1"]

    def test_401_with_a_new_token_is_a_rejection(self) -> None:
        used, client = self.make(401, 401)
        with pytest.raises(RequestRejected) as caught:
            self.call(client)
        assert (caught.value.status, caught.value.title) == (401, "Sign-in failed")
        assert used == ["token-0", "token-1"]

    def test_401_of_a_users_token_is_a_rejection_at_once(self) -> None:
        used, client = self.make(401, key=False)
        with pytest.raises(RequestRejected):
            self.call(client)
        assert used == ["token-0"]

    def test_first_403_of_a_step_is_answered_with_a_new_token(self) -> None:
        used, client = self.make(403, 200, 403)
        assert self.call(client) == {}
        with pytest.raises(RequestRejected) as caught:
            self.call(client)
        assert caught.value.title == "No permission"
        assert used == ["token-0", "token-1", "token-1"]
