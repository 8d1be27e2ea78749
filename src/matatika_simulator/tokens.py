"""Access tokens: the fixed personal one, and those issued for the API key."""

import math
import uuid
from typing import Final

from matatika_simulator import constants, scenario

EXPIRES_IN: Final = 86_400
"""Seconds, as the answer tells the client."""


class Tokens:
    """The tokens that are valid at the moment."""

    def __init__(self, policy: scenario.Tokens) -> None:
        self.policy = policy
        self.issued: list[str] = []
        self._expires = {constants.TOKEN: math.inf}
        self._uses_left = {constants.TOKEN: math.inf}

    def issue(self, now: float) -> str:
        """A new access token."""
        token = f"simulated-access-token-{len(self.issued) + 1}-{uuid.uuid4().hex}"
        uses = self.policy.expires_after_uses
        self._expires[token] = now + self.policy.expires_after
        self._uses_left[token] = math.inf if uses is None else uses
        self.issued.append(token)
        return token

    def use(self, token: str, now: float) -> bool:
        """Whether a call with that token is let in; counts as a use."""
        is_valid = now < self._expires.get(token, 0) and self._uses_left[token] > 0
        if is_valid:
            self._uses_left[token] -= 1
        return is_valid

    def revoke(self, token: str) -> None:
        """Let no further call with that token in."""
        self._expires.pop(token, None)


def bearer(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer …` header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
