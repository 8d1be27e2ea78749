"""Access tokens: the fixed personal one, and those issued for the API key."""

import hmac
import uuid
from dataclasses import dataclass

from matatika_simulator import constants


@dataclass(frozen=True)
class TokenPolicy:
    """Who may sign in, and how long an issued token lasts."""

    personal: str = constants.TOKEN
    client_id: str = constants.CLIENT_ID
    client_secret: str = constants.CLIENT_SECRET
    audience: str | None = None
    """The only audience that is granted; None: the API root, as the request names it."""
    expires_in: int = 86_400
    """Seconds, as the answer tells the client."""
    expires_after: float | None = None
    """Seconds after which it really expires; None: `expires_in`."""
    expires_after_uses: int | None = None
    """Calls after which it really expires."""


@dataclass
class _Issued:
    expires: float
    uses_left: float


class Tokens:
    """The tokens that are valid at the moment."""

    def __init__(self, policy: TokenPolicy) -> None:
        self.policy = policy
        self.issued: list[str] = []
        self._valid: dict[str, _Issued] = {policy.personal: _Issued(float("inf"), float("inf"))}

    def knows(self, client_id: str, client_secret: str) -> bool:
        """Whether the API key is the right one."""
        given, right = (client_id, client_secret), (self.policy.client_id, self.policy.client_secret)
        return all(hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, right, strict=True))

    def issue(self, now: float) -> str:
        """A new access token."""
        token = f"simulated-access-token-{len(self.issued) + 1}-{uuid.uuid4().hex}"
        policy = self.policy
        lasts = policy.expires_in if policy.expires_after is None else policy.expires_after
        uses = float("inf") if policy.expires_after_uses is None else policy.expires_after_uses
        self._valid[token] = _Issued(now + lasts, uses)
        self.issued.append(token)
        return token

    def use(self, token: str, now: float) -> bool:
        """Whether a call with that token is let in; counts as a use."""
        issued = self._valid.get(token)
        if issued is None or now >= issued.expires or issued.uses_left <= 0:
            return False
        issued.uses_left -= 1
        return True

    def revoke(self, token: str) -> None:
        """Let no further call with that token in."""
        self._valid.pop(token, None)


def bearer(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer …` header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
