"""Access tokens: the fixed personal one, and those issued for the API key."""

import hmac
import uuid
from dataclasses import dataclass
from typing import Final

from matatika_simulator import constants, scenario

EXPIRES_IN: Final = 86_400
"""Seconds, as the answer tells the client."""


@dataclass
class _Issued:
    expires: float
    uses_left: float


class Tokens:
    """The tokens that are valid at the moment."""

    def __init__(self, policy: scenario.Tokens) -> None:
        self.policy = policy
        self.issued: list[str] = []
        self._valid = {constants.TOKEN: _Issued(float("inf"), float("inf"))}

    def knows(self, client_id: str, client_secret: str) -> bool:
        """Whether the API key is the right one."""
        given, right = (client_id, client_secret), (constants.CLIENT_ID, self.policy.client_secret)
        return all(hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, right, strict=True))

    def issue(self, now: float) -> str:
        """A new access token."""
        token = f"simulated-access-token-{len(self.issued) + 1}-{uuid.uuid4().hex}"
        uses = self.policy.expires_after_uses
        self._valid[token] = _Issued(now + self.policy.expires_after, float("inf") if uses is None else uses)
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
