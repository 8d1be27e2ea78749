"""The simulated platform hands out a job's log in each of the ways that the real one may."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests

from matatika_simulator import Simulator, constants

LINES = [
    {"at": 0, "text": "zero"},
    {"at": 1, "text": "one"},
    {"at": 2, "text": "é"},
    {"text": "50 %", "unfinished": True},
]
WHOLE = "zero\none\né\n50 %".encode()
HEADERS = {"Authorization": f"Bearer {constants.TOKEN}"}


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Deployment:
    """A job whose log is read."""

    def __init__(self, simulator: Simulator, clock: Time) -> None:
        url = f"{simulator.api_url}/workspaces/{constants.WORKSPACE_ID}/deployments"
        self.links = requests.post(url, headers=HEADERS, timeout=10).json()["_links"]
        self.logs = self.links["logs"]["href"].partition("?")[0]
        self.simulator = simulator
        self.clock = clock

    def read(self, sequence: object = 0, accept: str = "text/plain") -> requests.Response:
        query = {} if sequence is None else {"sequence": str(sequence)}
        return requests.get(self.logs, query, headers={**HEADERS, "Accept": accept}, timeout=10)

    def open(self, accept: str = "text/plain") -> requests.Response:
        return requests.get(self.logs, headers={**HEADERS, "Accept": accept}, stream=True, timeout=10)


Deploy = Callable[..., Deployment]


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def deploy(clock: Time) -> Iterator[Deploy]:
    """Trigger a job with a log, on a clock that stands still."""
    playing: list[Simulator] = []

    def start(log: Any = LINES, *, queued: object = 0, runs: object = 3, **logs: Any) -> Deployment:
        simulator = Simulator({"job": {"queued": queued, "runs": runs, "log": log}, "logs": logs}, clock=clock)
        playing.append(simulator.__enter__())
        return Deployment(simulator, clock)

    yield start
    for simulator in playing:
        simulator.__exit__(None, None, None)


class TestEndingStream:
    def test_gives_what_is_written_so_far(self, deploy: Deploy) -> None:
        job = deploy(queued=5)
        read = []
        for pause in (0, 5, 1, 1):
            job.clock.now += pause
            read.append(job.read().content)
        assert read == [b"", b"zero\n", b"zero\none\n", WHOLE]

    @pytest.mark.parametrize(
        ("sequence", "content"),
        [(None, WHOLE), ("", WHOLE), (0, WHOLE), (1, WHOLE[5:]), (3, b"50 %"), (4, b""), (10**30, b"")],
    )
    def test_begins_with_the_line_asked_for(self, deploy: Deploy, sequence: object, content: bytes) -> None:
        job = deploy()
        job.clock.now += 3
        answer = job.read(sequence)
        assert (answer.status_code, answer.content) == (200, content)

    def test_is_chunked_plain_text(self, deploy: Deploy) -> None:
        answer = deploy().read(accept="*/*")
        assert answer.headers["Content-Type"] == "text/plain;charset=UTF-8"
        assert answer.headers["Transfer-Encoding"] == "chunked"

    @pytest.mark.parametrize(("empty", "status"), [(200, 200), (204, 204)])
    def test_of_nothing(self, deploy: Deploy, empty: int, status: int) -> None:
        job = deploy(empty=empty)
        assert job.read().status_code == 200
        answer = job.read(1)
        assert (answer.status_code, answer.content) == (status, b"")

    @pytest.mark.parametrize("sequence", ["-1", "x", "1.5", "٣"])
    def test_from_nowhere(self, deploy: Deploy, sequence: str) -> None:
        assert deploy().read(sequence).status_code == 400

    def test_what_comes_late_still_comes(self, deploy: Deploy) -> None:
        job = deploy([{"at": 5, "text": "late"}])
        job.clock.now += 4
        assert job.read().content == b""
        job.clock.now += 1
        assert job.read().content == b"late\n"

    def test_any_bytes_come_through(self, deploy: Deploy) -> None:
        assert deploy([{"base64": "AA3/Chtb"}]).read().content == b"\x00\r\xff\n\x1b["


class TestHeldStream:
    def test_stays_open_until_the_job_ends(self, deploy: Deploy) -> None:
        job = deploy(queued=5, stream="held")
        with job.open() as answer, ThreadPoolExecutor(1) as pool:
            seen = b""
            for pause, expected in [(5, b"zero\n"), (1, b"zero\none\n"), (1, WHOLE)]:
                job.clock.now += pause
                while seen != expected:
                    seen += answer.raw.read1()
            rest = pool.submit(answer.raw.read)
            time.sleep(0.05)
            assert not rest.done()
            job.clock.now += 1
            assert rest.result(timeout=10) == b""

    def test_is_open_before_there_is_anything_to_read(self, deploy: Deploy) -> None:
        job = deploy([{"at": 0.1, "text": "first"}], stream="held", empty=204)
        with job.open() as answer:
            assert answer.status_code == 200
            time.sleep(0.05)  # so that the stream waits for the line, rather than finds it there
            job.clock.now += 0.1
            assert answer.raw.read1() == b"first\n"

    @pytest.mark.parametrize(("relation", "method"), [("withdraw job", "PUT"), ("delete job", "DELETE")])
    def test_ends_with_a_job_that_is_stopped(self, deploy: Deploy, relation: str, method: str) -> None:
        job = deploy(runs="forever", stream="held")
        with job.open() as answer, ThreadPoolExecutor(1) as pool:
            rest: Future[bytes] = pool.submit(lambda: answer.content)
            assert requests.request(method, job.links[relation]["href"], headers=HEADERS, timeout=10).ok
            assert rest.result(timeout=10) == b"zero\n"

    def test_is_not_held_once_the_job_has_ended(self, deploy: Deploy) -> None:
        job = deploy(stream="held", empty=204)
        job.clock.now += 3
        assert job.read().content == WHOLE
        assert job.read(4).status_code == 204

    def test_ends_at_once_in_real_time(self) -> None:
        with Simulator({"job": {"runs": 0.3}, "logs": {"stream": "held"}}) as simulator:
            job = Deployment(simulator, Time())
            assert job.read().content == b""
            (state,) = simulator.jobs
            assert state.status == "COMPLETE"

    def test_a_reader_who_leaves_leaves_nothing_behind(self, deploy: Deploy) -> None:
        job = deploy(runs="forever", stream="held")
        with job.open():
            pass
        assert job.simulator.calls("logs")[0].status == 200


class TestMediaTypes:
    @pytest.mark.parametrize("accept", ["application/x-ndjson", "application/stream+json"])
    def test_one_json_value_a_line(self, deploy: Deploy, accept: str) -> None:
        job = deploy()
        job.clock.now += 3
        answer = job.read(1, accept)
        assert answer.headers["Content-Type"] == accept
        values = [json.loads(line) for line in answer.text.splitlines()]
        assert values == [{"sequence": n, "text": text} for n, text in [(1, "one"), (2, "é"), (3, "50 %")]]

    def test_held_json(self, deploy: Deploy) -> None:
        job = deploy(stream="held")
        with job.open("application/x-ndjson") as answer:
            assert json.loads(answer.raw.read1()) == {"sequence": 0, "text": "zero"}
            job.clock.now += 3
            assert len(answer.raw.read().splitlines()) == 3

    @pytest.mark.parametrize(
        ("accept", "media"),
        [
            ("text/plain", "text/plain"),
            ("text/*", "text/plain"),
            ("*/*", "text/plain"),
            ("text/plain, application/x-ndjson", "text/plain"),
            ("text/plain;q=0.5, application/x-ndjson", "application/x-ndjson"),
            ("application/json, */*;q=0.1", "text/plain"),
            ("APPLICATION/X-NDJSON", "application/x-ndjson"),
        ],
    )
    def test_the_best_of_those_accepted(self, deploy: Deploy, accept: str, media: str) -> None:
        assert deploy().read(0, accept).headers["Content-Type"].partition(";")[0] == media

    @pytest.mark.parametrize("accept", ["application/json", "text/plain;q=0", "image/*"])
    def test_none_of_those_accepted(self, deploy: Deploy, accept: str) -> None:
        answer = deploy().read(0, accept)
        assert (answer.status_code, answer.json()["error"]) == (406, "Not Acceptable")


class TestBigLogs:
    def test_come_whole_and_in_large_pieces(self, deploy: Deploy) -> None:
        job = deploy([{"lines": 200_000, "text": "line {n}", "line-bytes": 50}])
        with job.open() as answer:
            content = b"".join(answer.raw.stream(1 << 20))
        assert content == b"".join(b"line %06d" % n + b"." * 38 + b"\n" for n in range(200_000))

    def test_can_be_read_from_the_middle(self, deploy: Deploy) -> None:
        job = deploy([{"lines": 200_000}])
        assert job.read(199_998).content == b"line 199998\nline 199999\n"
