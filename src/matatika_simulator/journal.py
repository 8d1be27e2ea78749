"""What was asked, and what was answered. Credentials are never written down, only how they were given."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Entry:
    """One request. `status` is None as long as no answer was begun, and for good if none ever was."""

    number: int
    time: float
    """Arrival, in simulated seconds since 1970."""
    client: str
    """Address and port, which tell connections apart."""
    call: str | None
    """The call's name, as in `scenario.CALLS`; None if there is no such call."""
    method: str
    path: str
    query: str
    authorization: str | None
    """The scheme, such as `Bearer`."""
    authorised: bool | None
    """Whether token, API key or signature was accepted; None if that was not looked at."""
    signed: bool
    """Whether there was an `X-Hub-Signature`."""
    user_agent: str | None
    accept: str | None
    content_type: str | None
    content_length: int
    body_sha256: str
    status: int | None = None


class Journal:
    """The entries in order of arrival. Written by the server's thread, read by any."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._grown = threading.Condition()

    def entries(self) -> list[Entry]:
        """All entries so far, also of requests that wait for their answer."""
        with self._grown:
            return list(self._entries)

    def arrived(self, **facts: Any) -> Entry:
        """A new entry, for a request that has come in."""
        with self._grown:
            entry = Entry(number=len(self._entries) + 1, **facts)
            self._entries.append(entry)
            self._grown.notify_all()
        return entry

    def wait_for(self, condition: Callable[[list[Entry]], bool], timeout: float) -> bool:
        """Block (in real seconds) until the requests that came in fulfil a condition; return whether they do."""
        with self._grown:
            return self._grown.wait_for(lambda: condition(self._entries), timeout)
