"""The ways to prove who is calling: each puts its header on a request, over whatever else would.

They are `AuthBase` objects because `requests` lets a `.netrc` replace an `Authorization` header that was set by hand.
"""

from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock
from urllib.parse import urlencode

from requests import PreparedRequest
from requests.auth import AuthBase

from matatika_deploy.platform.responses import InvalidResponse, Request, Response
from matatika_deploy.runtime.cancellation import CancelScope

_KEY_HINT = (
    "Check `client-id` and `client-secret`: are they of one API key, whole, and of the cloud that `auth-url` and "
    "`audience` (by default `api-url`) belong to?"
)


class AccessToken(AuthBase):
    """A bearer token (RFC 6750) that renews itself, for all threads that call with it.

    A token that a user gave has no `request`, and cannot be renewed.
    """

    def __init__(
        self, value: str = "", request: Request | None = None, on_new: Callable[[str], None] = lambda _: None
    ) -> None:
        """`request` fetches a token, and `on_new` is told of each before its first use."""
        self.value = value
        self.can_renew = request is not None
        self.request = request
        self._on_new = on_new
        self._lock = Lock()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:  # noqa: D102
        request.headers["Authorization"] = f"Bearer {self.value}"
        return request

    def renew(self, refused: str, fetch: Callable[[Request], str], scope: CancelScope) -> None:
        """Replace the token, unless another thread has done so since `refused` was used.

        Arguments:
            refused: the value that was not accepted; "" if there is none yet.
            fetch: makes the request and returns the new token.
            scope: the caller's; waiting for the other thread's renewal ends with it, and a shutdown does not wait.
        """
        if self.request is None:
            return
        # What holds the lock may be pausing, for an endpoint that is away.
        with nullcontext() if scope.is_shutting_down else scope.hold(self._lock):
            if self.value == refused:
                value = fetch(self.request)
                self._on_new(value)
                self.value = value


class WebhookSignature(AuthBase):
    """Signs the exact bytes of the body as GitHub's webhooks do, and sends what they send.

    See https://docs.github.com/webhooks/webhook-events-and-payloads#delivery-headers. The platform documents the SHA-1
    signature as the one that it checks.
    """

    def __init__(self, secret: str, user_agent: str) -> None:
        self._secret = secret.encode()
        self._user_agent = user_agent

    def __call__(self, request: PreparedRequest) -> PreparedRequest:  # noqa: D102
        # Imported only here: most steps sign nothing.
        import hmac
        from uuid import uuid4

        body = request.body if isinstance(request.body, bytes) else b""
        request.headers.update(
            {
                "Content-Type": "application/json",
                "User-Agent": f"GitHub-Hookshot/{self._user_agent.rpartition('/')[2]} {self._user_agent}",
                "X-GitHub-Delivery": str(uuid4()),
                "X-GitHub-Event": "push",
                "X-Hub-Signature": f"sha1={hmac.new(self._secret, body, 'sha1').hexdigest()}",
                "X-Hub-Signature-256": f"sha256={hmac.new(self._secret, body, 'sha256').hexdigest()}",
            }
        )
        return request


def token_request(auth_url: str, audience: str, client_id: str, client_secret: str) -> Request:
    """Ask for an access token with client credentials (RFC 6749, 4.4)."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "audience": audience,
    }
    return Request(
        action="fetch an access token",
        method="POST",
        url=auth_url,
        headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        body=urlencode(form).encode(),
        hints={**dict.fromkeys((401, 403), _KEY_HINT), 404: "Check `auth-url`: nothing is there that issues tokens."},
    )


def parse_token(response: Response) -> str:
    """Read the access token from the token endpoint's answer.

    Raises:
        InvalidResponse: if there is none that could go into a header.
    """
    body = response.json()
    token = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidResponse("expected an access token")
    return token
