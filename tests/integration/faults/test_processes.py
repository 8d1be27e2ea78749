"""One fault of each call, met by the real program: a process, real time, real limits."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from matatika_simulator import Simulator
from tests.integration.faults.row_checks import break_as, check
from tests.integration.faults.table import STORIES, Row, When, rows
from tests.support import secrecy
from tests.support.peer import Peer
from tests.support.pipelines import check_out
from tests.support.step import Step

_CHOSEN: Final = {
    ("token", "reset before the answer", When.ONCE),
    ("known", "`502` with HTML", When.ONCE),
    ("trigger", "reset before the answer", When.ONCE_AFTER_EFFECT),
    ("webhook", "truncated JSON", When.ONCE_AFTER_EFFECT),
    ("jobs", "truncated JSON", When.ONCE),
    ("job", "`403` with a challenge page", When.ONCE),
    ("logs", "`502` with HTML", When.ONCE),
    ("withdraw", "`502` with HTML", When.ONCE_AFTER_EFFECT),
    ("delete", "reset before the answer", When.ONCE),
    ("plan", "`502` with HTML", When.ONCE),
    ("pipelines", "truncated JSON", When.ONCE),
    ("ready", "`502` with HTML", When.ONCE),
    ("earlier-runs", "truncated JSON", When.ONCE),
    ("run", "reset before the answer", When.ONCE_AFTER_EFFECT),
    ("runs", "`502` with HTML", When.ONCE),
}
_ROWS: Final = [row for row in rows() if (row.call, row.fault.name, row.when) in _CHOSEN]
_LOG: Final = [{"text": "Déployé: un"}, {"at": "1s", "text": "deux", "unfinished": True}]
_SCENARIOS: Final = {"logs": {"job": {"runs": "1.5s", "log": _LOG}}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    """All of them beside each other, since they mostly wait."""
    with ThreadPoolExecutor(len(_ROWS)) as pool:
        yield {str(row): pool.submit(_play, row, tmp_path_factory.mktemp(row.call)) for row in _ROWS}


@pytest.mark.parametrize("row", _ROWS, ids=str)
def test_fault_met_by_a_process(row: Row, runs: dict[str, Future[None]]) -> None:
    runs[str(row)].result()


def test_every_call_is_met_by_a_process() -> None:
    assert sorted(row.call for row in _ROWS) == sorted(STORIES)


def _play(row: Row, folder: Path) -> None:
    story = STORIES[row.call]
    scenario = {**story.scenario, **_SCENARIOS.get(row.call, {})}
    with Simulator(scenario) as simulator, Peer(simulator) as peer:
        break_as(row, peer)
        addresses = {"api-url": peer.api_url, "auth-url": peer.auth_url}
        timeout = {"timeout": "10s"} if "timeout" in story.inputs else {}
        aside = {"verify-source": "off", "preflight": "off", "logs": "none"}
        inputs = {**aside, **addresses, **story.inputs, **timeout}
        step = Step(folder, simulator, **inputs)
        if story.has_files:
            check_out(step, {"a": ""})
        result = step.run({"RUNNER_DEBUG": "1"})

        check(row, result, peer, simulator)
        given = (inputs.get(name, "") for name in ("client-secret", "deployment-secret"))
        secrecy.check(result, [secret for secret in given if secret])
    if row.call == "logs":
        assert result.log.job_log == "Déployé: un\ndeux\n".encode()
