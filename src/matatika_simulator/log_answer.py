"""The answer to a request for a job's log, whose stream is held open or not."""

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from matatika_simulator.clock import Clock
from matatika_simulator.jobs import Job
from matatika_simulator.scenario import Logs


def log_answer(job: Job, sequence: int, clock: Clock, logs: Logs) -> Response:
    """The log from the line numbered `sequence` on."""
    start, now = job.plan.writes.start_of_line(sequence), clock.now()
    is_held = logs.stream == "held" and job.ended(now) is None
    if not is_held and logs.empty == 204 and start >= job.log_written(now):
        return Response(status_code=204)
    return StreamingResponse(_written(job, start, clock, is_held), media_type="text/plain;charset=UTF-8")


async def _written(job: Job, position: int, clock: Clock, is_held: bool) -> AsyncIterator[bytes]:
    """The log's bytes from a position on, up to what is written by now; if held, until the job ends."""
    while True:
        now = clock.now()
        written = job.log_written(now)
        if position < written:
            for piece in job.plan.writes.read(position, written):
                yield piece
            position = written
        elif not is_held or job.ended(now) is not None:
            return
        else:
            await clock.wait(job.next_event(now))
