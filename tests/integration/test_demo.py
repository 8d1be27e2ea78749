"""`make demo`, without make: every scenario, from the step's log to its exit code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from matatika_simulator import Simulator, demo
from matatika_simulator.scenario import names
from tests.support.clock import FakeClock
from tests.support.step import Step

# Exit code, outcome, and what the log says of it.
ENDS = {
    "conflict": (0, "success", "waiting"),
    "expired-token": (0, "success", ""),
    "failure": (1, "failure", "data component 'dbt-warehouse' is not installed"),
    "flaky": (0, "success", ""),
    "held-stream": (0, "success", ""),
    "outage": (0, "success", ""),
    "pipelines": (0, "success", "Pipeline 'publish-reports' succeeded after 2 s."),
    "pipelines-failure": (1, "failure", "::error title=Pipeline failed::Pipeline failed: 'publish-reports': "),
    "queued-forever": (4, "timed-out", ""),
    "slow": (0, "success", "layer 039: extracted"),
    "stopped": (1, "stopped", "Stopped on request"),
    "success": (0, "success", "Channel 'Sales': created"),
}


@pytest.mark.parametrize("scenario", names())
def test_each_scenario_ends_as_it_says(scenario: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with Simulator(scenario, clock=clock.now, held=clock.held) as simulator:
        step = Step(tmp_path, simulator, **demo.step_inputs(scenario, simulator))
        shutil.copytree(demo.WORKSPACE, step.workspace, dirs_exist_ok=True)
        result = step.run(clock)
        # The first is refused; the answer to the second is lost, and its job found in the list.
        assert scenario != "flaky" or len(simulator.calls("trigger")) == 2
    log = result.printed.decode()
    assert clock.passed < 40
    assert (result.code, result.outputs["outcome"]) == ENDS[scenario][:2]
    assert ENDS[scenario][2] in log
    assert "::warning file=pipelines/publish-reports.yml,line=5," in log
    if scenario.startswith("pipelines"):
        changes = {("+", "publish-reports"), ("~", "extract-orders"), ("-", "extract-returns")}
        assert set(re.findall(r"^([+~-]) (\S+): ", log, re.MULTILINE)) == changes
        assert "Pipeline 'extract-orders' succeeded after 2 s." in log


def test_the_demo_shows_log_post_step_outputs_summary_and_what_to_try_next() -> None:
    command = [sys.executable, "-m", "matatika_simulator.demo", "queued-forever", "--input", "timeout=2s"]
    run = subprocess.run(
        command, cwd=demo.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert run.returncode == 4
    about, log, post, outputs, summary, end = run.stdout.split("\n── ")
    assert about.startswith("Scenario queued-forever: A deployment that never gets its turn.")
    assert log.startswith("Log of the step (scenario queued-forever) ─")
    assert post.startswith("Log of the post step")
    assert "outcome=timed-out" in outputs.splitlines()
    assert summary.startswith("Summary ─")
    assert end.startswith("Exit code 4 ")
    following = set(re.findall(r"make demo SCENARIO=(\S+) +#", end))
    assert (len(following), following < set(names())) == (3, True)


def test_a_reader_of_the_demo_may_leave_early() -> None:
    script = '"$0" -m matatika_simulator.demo --input workspace-id= | head -n 1'
    run = subprocess.run(
        ["sh", "-c", script, sys.executable], cwd=demo.ROOT, capture_output=True, text=True, timeout=60
    )
    assert (run.stdout.count("\n"), run.stderr) == (1, "")
