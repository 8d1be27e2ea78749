"""The simulated platform hands out a job's log in each of the ways that the real one may."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from matatika_simulator import Simulator
from tests.support.api_client import BEARER, ApiClient, simulated

LINES = [
    {"at": 0, "text": "zero"},
    {"at": 1, "text": "one"},
    {"at": 2, "text": "é"},
    {"text": "50 %", "unfinished": True},
]
WHOLE = "zero\none\né\n50 %".encode()


@dataclass
class Deployment:
    """A job whose log is read."""

    api: ApiClient

    def __post_init__(self) -> None:
        self.links = self.api.trigger()["_links"]
        self.logs = self.links["logs"]["href"].partition("?")[0]

    def read(self, sequence: object = 0, accept: str = "text/plain") -> requests.Response:
        query = {} if sequence is None else {"sequence": str(sequence)}
        return self.api.call("GET", self.logs, params=query, headers={"Accept": accept})

    def open(self) -> requests.Response:
        return self.api.call("GET", self.logs, stream=True)


@contextmanager
def deployed(log: Any = LINES, *, queued: object = 0, runs: object = 3, **logs: Any) -> Iterator[Deployment]:
    with simulated(job={"queued": queued, "runs": runs, "log": log}, logs=logs) as api:
        yield Deployment(api)


class TestEndingStream:
    def test_gives_what_is_written_so_far(self) -> None:
        with deployed(queued=5) as job:
            read = []
            for pause in (0, 5, 1, 1):
                job.api.clock.now += pause
                read.append(job.read().content)
            assert read == [b"", b"zero\n", b"zero\none\n", WHOLE]

    @pytest.mark.parametrize(
        ("sequence", "content"),
        [(None, WHOLE), ("", WHOLE), (0, WHOLE), (1, WHOLE[5:]), (3, b"50 %"), (4, b""), (10**30, b"")],
    )
    def test_begins_with_the_line_asked_for(self, sequence: object, content: bytes) -> None:
        with deployed() as job:
            job.api.clock.now += 3
            answer = job.read(sequence)
            assert (answer.status_code, answer.content) == (200, content)

    @pytest.mark.parametrize("accept", ["*/*", "text/*", "text/plain, application/x-ndjson", "TEXT/PLAIN"])
    def test_is_chunked_plain_text(self, accept: str) -> None:
        with deployed() as job:
            answer = job.read(accept=accept)
            assert answer.headers["Content-Type"] == "text/plain;charset=UTF-8"
            assert answer.headers["Transfer-Encoding"] == "chunked"
            assert job.read(accept="application/json").status_code == 406

    @pytest.mark.parametrize("empty", [200, 204])
    def test_of_nothing(self, empty: int) -> None:
        with deployed(empty=empty) as job:
            assert job.read().status_code == 200
            answer = job.read(1)
            assert (answer.status_code, answer.content) == (empty, b"")

    @pytest.mark.parametrize("sequence", ["-1", "x", "1.5", "٣"])
    def test_from_nowhere(self, sequence: str) -> None:
        with deployed() as job:
            assert job.read(sequence).status_code == 400

    def test_what_comes_late_still_comes(self) -> None:
        with deployed([{"at": 5, "text": "late"}]) as job:
            job.api.clock.now += 4
            assert job.read().content == b""
            job.api.clock.now += 1
            assert job.read().content == b"late\n"

    def test_any_bytes_come_through(self) -> None:
        with deployed([{"base64": "AA3/Chtb"}]) as job:
            assert job.read().content == b"\x00\r\xff\n\x1b["

    def test_a_big_one_comes_whole_and_from_the_middle(self) -> None:
        with deployed([{"lines": 200_000, "text": "line {n}", "line-bytes": 50}]) as job:
            assert job.read().content == b"".join(b"line %06d" % n + b"." * 38 + b"\n" for n in range(200_000))
            assert job.read(199_999).content == b"line 199999" + b"." * 38 + b"\n"


class TestHeldStream:
    def test_stays_open_until_the_job_ends(self) -> None:
        with deployed(queued=5, stream="held") as job, job.open() as answer, ThreadPoolExecutor(1) as pool:
            seen = b""
            for pause, expected in [(5, b"zero\n"), (1, b"zero\none\n"), (1, WHOLE)]:
                job.api.clock.now += pause
                while seen != expected:
                    seen += answer.raw.read1()
            rest = pool.submit(answer.raw.read)
            time.sleep(0.05)
            assert not rest.done()
            job.api.clock.now += 1
            assert rest.result(timeout=10) == b""

    def test_is_open_before_there_is_anything_to_read(self) -> None:
        with deployed([{"at": 0.1, "text": "first"}], stream="held", empty=204) as job, job.open() as answer:
            assert answer.status_code == 200
            job.api.clock.now += 0.1
            assert answer.raw.read1() == b"first\n"

    @pytest.mark.parametrize(("relation", "method"), [("withdraw job", "PUT"), ("delete job", "DELETE")])
    def test_ends_with_a_job_that_is_stopped(self, relation: str, method: str) -> None:
        with deployed(runs="forever", stream="held") as job, job.open() as answer, ThreadPoolExecutor(1) as pool:
            rest: Future[bytes] = pool.submit(lambda: answer.content)
            assert job.api.call(method, job.links[relation]["href"]).ok
            assert rest.result(timeout=10) == b"zero\n"

    def test_is_not_held_once_the_job_has_ended(self) -> None:
        with deployed(stream="held", empty=204) as job:
            job.api.clock.now += 3
            assert job.read().content == WHOLE
            assert job.read(4).status_code == 204

    def test_ends_at_once_in_real_time(self) -> None:
        with Simulator({"job": {"runs": 0.3}, "logs": {"stream": "held"}}) as simulator:
            assert requests.get(Deployment(ApiClient(simulator)).logs, headers=BEARER, timeout=10).content == b""
            assert [state.status for state in simulator.jobs] == ["COMPLETE"]

    def test_follows_a_job_that_starts_over(self) -> None:
        plan = {"runs": 2, "restarts": [1], "log": [{"text": "start"}]}
        with simulated(job=plan, logs={"stream": "held"}) as api, Deployment(api).open() as answer:
            for _ in range(2):
                assert answer.raw.read1() == b"start\n"
                api.clock.now += 1
            assert answer.raw.read() == b""
