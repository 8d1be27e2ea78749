"""Something that is read beside whatever else is done, and that a step can do without."""

from collections.abc import Callable
from typing import Generic, TypeVar

from matatika_deploy.errors import NotTheApi, PlatformError, RequestRejected
from matatika_deploy.platform.client import Client
from matatika_deploy.runtime.cancellation import CancelScope, DeadlineExceeded, TaskTimeout

T = TypeVar("T")

# So much later, it is not an answer that is waited for: one that is very large is being read (seconds).
_GRACE = 1.0


class Reading(Generic[T]):
    """One reading, on its way since it was made, within `seconds`."""

    def __init__(self, client: Client, action: str, read: Callable[[Client], T], seconds: float) -> None:
        """`client` is that of the thread that waits; `read` gets one of its own. `action` is as a request's."""
        self._client = client
        self._scope = client.scope
        self._action = action
        self._seconds = seconds
        self._end = client.scope.clock.monotonic() + seconds
        self._own = Client(client.platform, CancelScope(client.scope.clock, deadline=self._end))
        self._task = client.scope.start(lambda: read(self._own))

    def result(self) -> T:
        """Wait for what was read.

        Raises:
            PlatformError: if it could not be read.
            Cancelled, DeadlineExceeded: as the scope of the thread that waits does.
        """
        try:
            return self._scope.join(self._task, self._end + _GRACE - self._scope.clock.monotonic())
        except (DeadlineExceeded, TaskTimeout):
            # What was in the way is what a step that runs out of time has to tell.
            self._client.trouble = self._own.trouble or f"could not {self._action} (no answer yet)"
            self._scope.checkpoint()
            raise PlatformError(f"Could not {self._action} within {self._seconds:.0f} s.") from None

    def result_or_error(self) -> T | PlatformError:
        """Wait for what was read, or for the reason why it could not be.

        Raises:
            PlatformError: if nothing that the step could still do would succeed: the token, the workspace's id, the
                address or the connection is wrong.
            Cancelled, DeadlineExceeded: as `result` does.
        """
        try:
            return self.result()
        except NotTheApi:
            raise
        except RequestRejected as rejected:
            if rejected.status in (None, 401, 404, 407):
                raise
            return rejected
        except PlatformError as error:
            return error
