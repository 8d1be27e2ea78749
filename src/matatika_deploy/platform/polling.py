"""Following a job: looks at it at a pace, reports what changes, and shows its log as it is written."""

from collections.abc import Callable
from contextlib import suppress
from math import ceil

from matatika_deploy.errors import PlatformError
from matatika_deploy.github.console import Console
from matatika_deploy.platform.client import Client
from matatika_deploy.platform.job import Job
from matatika_deploy.platform.jobs import look
from matatika_deploy.platform.log import LogReader
from matatika_deploy.platform.pace import Pace
from matatika_deploy.runtime.cancellation import DeadlineExceeded, Errand, ErrandTimeout

# With nothing else in the log for so long (seconds), a line says that the step is alive.
_LONGEST_SILENCE = 60.0
# How often to see, while the rest of the log is read, whether the reader needs a new token.
_TOKEN_CHECK = 0.25


class LogFollower:
    """The job's log on its way to the console, in a thread beside the one that watches the job."""

    def __init__(self, reader: LogReader, console: Console, client: Client) -> None:
        self._reader = reader
        self._console = console
        self._client = client
        self._errand: Errand[bool] | None = None

    @property
    def tail(self) -> bytes:
        """The end of what was read."""
        return self._reader.tail

    def start(self) -> None:
        """Begin to read."""
        self._errand = self._client.waiter.start(self._reader.run)

    def job_was_seen(self) -> None:
        """Tell the reader that the platform answers, so that failures are the log's alone."""
        self._reader.job_was_seen()

    def finish(self, seconds: float) -> bool:
        """Read what is left, at most for `seconds`, and close the guard; says whether the log was read whole."""
        self._reader.finish()
        try:
            with self._client.waiter.within(seconds):
                return self._read_rest(ceil(seconds / _TOKEN_CHECK))
        except (DeadlineExceeded, PlatformError):
            return False
        finally:
            self._console.end_log(self._reader.leave())

    def warn(self, why: str) -> None:
        """Warn that the log is not shown whole, unless that was said already."""
        self._reader.warn_once(why)

    def _read_rest(self, checks: int) -> bool:
        """Wait for the reader, which may need a new token once; the job itself is not looked at any more."""
        may_renew = True
        errand = self._errand or self._client.waiter.start(self._reader.run)
        for _ in range(checks):
            with suppress(ErrandTimeout):
                return self._client.waiter.join(errand, _TOKEN_CHECK)
            if self._reader.needs_token:
                if not may_renew or not self._client.renew():
                    break
                may_renew = self._reader.needs_token = False
        return False


def watch(
    client: Client,
    api_url: str,
    job: Job,
    *,
    pace: Pace,
    triggered_at: float,
    missing_until: float,
    saw: Callable[[Job], None],
    still: Callable[[], None],
    activity: Callable[[], int],
) -> Job:
    """Look at a job until it is over, and give its end.

    `saw` gets each state, `still` is called when nothing was printed for a while, as `activity` counts it. The moments
    are those of the waiter's clock.

    Raises:
        PlatformError, Interrupted, DeadlineExceeded: as `Client.call` does.
    """
    waiter = client.waiter
    quiet_since, printed = waiter.clock.monotonic(), activity()
    while not job.is_final:
        waiter.pause(pace.pause(waiter.clock.monotonic() - triggered_at))
        job = look(client, api_url, job, missing_until=missing_until)
        saw(job)
        now = waiter.clock.monotonic()
        if activity() == printed and now - quiet_since >= _LONGEST_SILENCE:
            still()
        if activity() != printed:
            quiet_since, printed = now, activity()
    return job
