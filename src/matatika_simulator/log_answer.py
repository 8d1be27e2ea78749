"""The answer to a request for a job's log, whose stream is held open or not."""

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from matatika_simulator.clock import Clock
from matatika_simulator.jobs import Job
from matatika_simulator.scenario import Logs


def log_answer(job: Job, sequence: int, clock: Clock, logs: Logs) -> Response:
    """The log from the line numbered `sequence` on."""
    start = job.plan.writes.start_of_line(sequence)
    now = clock.now()
    held = logs.stream == "held" and job.ended(now) is None
    is_empty = start is None or start >= job.log_written(now)
    if is_empty and not held and logs.empty == 204:
        return Response(status_code=204)
    return StreamingResponse(_written(job, start, clock, held), media_type="text/plain;charset=UTF-8")


async def _written(job: Job, start: int | None, clock: Clock, held: bool) -> AsyncIterator[bytes]:
    """The log's bytes from a position on, up to what is written by now; if held, until the job ends."""
    position, attempt = start, job.attempt(clock.now())
    while True:
        now = clock.now()
        if attempt != job.attempt(now):
            position, attempt = 0, job.attempt(now)
        written = job.log_written(now)
        if position is not None and position < written:
            for piece in job.plan.writes.read(position, written):
                yield piece
            position = written
        elif not held or job.ended(now) is not None:
            return
        else:
            await clock.wait(job.next_event(now))
