"""A platform that has too many requests to answer: what it asks for is kept to, and it is asked for less."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.stage import EndedStep, follow

BUSY = {"status": 429, "headers": {"Retry-After": "2"}}
LOG = {"lines": 30, "over": "30s", "text": "line {n}"}


def follow_with(folder: Path, fault: dict[str, Any], runs: int = 30, **inputs: str) -> EndedStep:
    """Follow a job of so many seconds and its log to the end."""
    ended = follow(folder, {"job": {"runs": runs, "log": [LOG]}, "faults": [{**BUSY, **fault}]}, **inputs)
    assert ended.result.code == 0
    assert ended.result.log.job_log.count(b"line ") == 30
    return ended


def test_a_platform_that_is_not_is_looked_at_often(tmp_path: Path) -> None:
    ended = follow_with(tmp_path, {"calls": "withdraw"})
    assert all(look - before < 1.7 for before, look in pairwise(ended.times("job")))


def test_is_looked_at_with_longer_pauses_each_time_that_it_asks(tmp_path: Path) -> None:
    ended = follow_with(tmp_path, {"calls": "job", "requests": {"numbers": [2, 4]}})
    looks = ended.times("job")
    assert 2 <= looks[2] - looks[1] <= 2.6
    assert 3.5 < looks[3] - looks[2] < 4.5
    assert 2 <= looks[4] - looks[3] <= 2.6
    assert all(8.9 < look - before < 11.1 for before, look in pairwise(looks[4:]))


def test_that_says_so_of_the_trigger_or_the_log_is_looked_at_less_often_for_that(tmp_path: Path) -> None:
    for call in ("trigger", "logs"):
        (tmp_path / call).mkdir()
        ended = follow_with(tmp_path / call, {"calls": call, "requests": {"numbers": [1]}})
        looks = ended.times("job")
        assert all(look - before > 3.5 for before, look in pairwise(looks[1:]))


def test_is_looked_at_as_before_when_it_asks_no_more(tmp_path: Path) -> None:
    fault = {"calls": "job", "requests": {"numbers": [2]}}
    ended = follow_with(tmp_path, fault, runs=300, poll_interval="1m", timeout="1h")
    looks = ended.times("job")
    assert looks[3] - looks[2] > 3.5
    assert looks[-1] - looks[-2] < 0.05 * looks[-2] * 1.11


def test_is_asked_for_the_log_no_more_often_than_for_the_job(tmp_path: Path) -> None:
    ended = follow_with(tmp_path, {"calls": "job", "requests": {"numbers": [2, 3, 4, 5]}})
    readings, looks = ended.times("logs"), ended.times("job")
    during = [time for time in readings if time < looks[-1]]
    assert len(during) <= len(looks)
    assert all(reading - before > 0.9 for before, reading in pairwise([looks[-1], *readings[len(during) :]]))


def test_is_asked_for_the_log_after_every_third_look(tmp_path: Path) -> None:
    ended = follow_with(tmp_path, {"calls": "trigger", "requests": {"numbers": [1]}}, runs=60)
    readings, looks = ended.times("logs"), ended.times("job")
    during = [0.0, *(reading for reading in readings if reading < looks[-1])]
    assert len(during) > 2
    for before, reading in pairwise(during):
        assert sum(before < look <= reading for look in looks) == 3


def test_has_its_wish_even_once_the_job_has_ended(tmp_path: Path) -> None:
    ended = follow_with(tmp_path, {"calls": "logs", "requests": {"during": ["30s", "36s"]}})
    answers = [(entry.time, entry.status) for entry in ended.simulator.calls("logs")]
    refused = [(time, again) for (time, status), (again, _) in pairwise(answers) if status == 429]
    assert len(refused) in (2, 3)
    assert all(2 <= again - time <= 2.6 for time, again in refused)


def test_that_asks_for_a_lifetime_is_asked_once_more_when_the_job_has_ended(tmp_path: Path) -> None:
    fault = {"calls": "logs", "requests": {"numbers": [2]}, "headers": {"Retry-After": "999999"}}
    ended = follow_with(tmp_path, fault)
    assert [entry.status for entry in ended.simulator.calls("logs")][1:3] == [429, 200]
    assert not ended.result.log.said("warning")
