"""A platform that has too many requests to answer: what it asks for is kept to, and it is asked for less."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.stage import EndedStep, follow


def follow_with(folder: Path, runs: int = 30, **fault: Any) -> EndedStep:
    """Follow a job of so many seconds and its log to the end, while some requests are answered with 429."""
    log = {"lines": 30, "over": "30s", "text": "line {n}"}
    busy = {"status": 429, "headers": {"Retry-After": "2"}, **fault}
    ended = follow(folder, {"job": {"runs": runs, "log": [log]}, "faults": [busy]})
    assert ended.result.code == 0
    assert ended.result.log.job_log.count(b"line ") == 30
    return ended


def test_busy_platform_is_looked_at_with_longer_pauses_each_time_that_it_asks(tmp_path: Path) -> None:
    looks = follow_with(tmp_path, calls="job", requests={"numbers": [2, 4]}).times("job")
    assert 2 <= looks[2] - looks[1] <= 2.6
    assert 3.5 < looks[3] - looks[2] < 4.5
    assert 2 <= looks[4] - looks[3] <= 2.6
    assert all(8.9 < look - before < 11.1 for before, look in pairwise(looks[4:]))


@pytest.mark.parametrize(("call", "least", "most"), [("withdraw", 0, 1.7), ("trigger", 3.5, 9), ("logs", 3.5, 9)])
def test_platform_is_looked_at_often_unless_it_asked_to_wait(
    call: str, least: float, most: float, tmp_path: Path
) -> None:
    """No withdrawal is asked for."""
    looks = follow_with(tmp_path, calls=call, requests={"numbers": [1]}).times("job")
    assert all(least < look - before < most for before, look in pairwise(looks[1:]))


def test_busy_platform_is_asked_for_the_log_after_every_third_look_and_apart_from_it(tmp_path: Path) -> None:
    ended = follow_with(tmp_path, runs=60, calls="trigger", requests={"numbers": [1]})
    readings, looks = ended.times("logs"), ended.times("job")
    during = [0.0, *(reading for reading in readings if reading < looks[-1])]
    assert len(during) > 2
    for before, reading in pairwise(during):
        assert sum(before < look <= reading for look in looks) == 3
        assert min(abs(reading - look) for look in looks) > 0.9


def test_busy_platform_has_its_wish_even_once_the_job_has_ended(tmp_path: Path) -> None:
    ended = follow_with(tmp_path, calls="logs", requests={"during": ["30s", "36s"]})
    answers = [(entry.time, entry.status) for entry in ended.simulator.calls("logs")]
    refused = [(time, again) for (time, status), (again, _) in pairwise(answers) if status == 429]
    assert len(refused) in (2, 3)
    assert all(2 <= again - time <= 2.6 for time, again in refused)


def test_platform_that_asks_for_a_lifetime_is_asked_once_more_when_the_job_has_ended(tmp_path: Path) -> None:
    ended = follow_with(tmp_path, calls="logs", requests={"numbers": [2]}, headers={"Retry-After": "999999"})
    assert [entry.status for entry in ended.simulator.calls("logs")][1:3] == [429, 200]
    assert not ended.result.log.said("warning")
