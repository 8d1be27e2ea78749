"""The answer to a request for a job's log: plain or one JSON value a line, held open or not."""

import json
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response, StreamingResponse

from matatika_simulator.clock import Clock
from matatika_simulator.jobs import Job
from matatika_simulator.policies import Logs

_PLAIN: Final = "text/plain"
_NDJSON: Final = ("application/x-ndjson", "application/stream+json")


def media_type(accept: str | None) -> str | None:
    """The best media type that the log comes in, by an `Accept` header; None if the client wants none of them.

    https://www.rfc-editor.org/rfc/rfc9110#name-accept
    """
    wanted: list[tuple[float, str]] = []
    for item in (accept or "*/*").split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
        wanted.append((float(quality) if quality.replace(".", "", 1).isdigit() else 0.0, name))
    for weight, name in sorted(wanted, key=lambda pair: -pair[0]):
        if weight > 0 and name in ("*/*", "text/*", _PLAIN):
            return _PLAIN
        if weight > 0 and name in _NDJSON:
            return name
    return None


def log_answer(job: Job, sequence: int, media: str, clock: Clock, logs: Logs) -> Response:
    """The log from the line numbered `sequence` on."""
    start = job.plan.log.start_of_line(sequence)
    now = clock.now()
    held = logs.stream == "held" and not job.status(now).is_final
    is_empty = start is None or start >= job.log_written(now)
    if is_empty and not held and logs.empty == 204:
        return Response(status_code=204)
    body = _written(job, start, clock, held)
    if media == _PLAIN:
        return StreamingResponse(body, media_type=f"{_PLAIN};charset=UTF-8")
    return StreamingResponse(_as_json(body, sequence), media_type=media)


async def _written(job: Job, start: int | None, clock: Clock, held: bool) -> AsyncIterator[bytes]:
    """The log's bytes from a position on, up to what is written by now; if held, until the job ends."""
    position = start
    while True:
        now = clock.now()
        written = job.log_written(now)
        if position is not None and position < written:
            for piece in job.plan.log.read(position, written):
                yield piece
            position = written
        elif not held or job.status(now).is_final:
            return
        else:
            await clock.wait(job.next_event(now))


async def _as_json(body: AsyncIterator[bytes], sequence: int) -> AsyncIterator[bytes]:
    """One JSON object a line: its number and its text. What the objects look like is unknown of the real platform."""
    unfinished = b""
    async for piece in body:
        *lines, unfinished = (unfinished + piece).split(b"\n")
        yield b"".join(_json_line(sequence + n, line) for n, line in enumerate(lines))
        sequence += len(lines)
    if unfinished:
        yield _json_line(sequence, unfinished)


def _json_line(number: int, line: bytes) -> bytes:
    return json.dumps({"sequence": number, "text": line.decode("utf-8", "replace")}).encode() + b"\n"
