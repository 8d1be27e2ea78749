"""`make demo`, without make: a scenario from the step's log to its exit code."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matatika_simulator.scenario import names

ROOT = Path(__file__).parents[2]


def _demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "matatika_simulator.demo", *arguments]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_shows_a_failure_and_fails() -> None:
    run = _demo("failure")
    assert run.returncode == 1
    about, log, post, outputs, summary, end = run.stdout.split("\n── ")
    assert about.startswith("Scenario failure: A deployment that ends with ERROR and exit code 1")
    assert "data component 'dbt-warehouse' is not installed" in log
    assert "::warning file=pipelines/publish-reports.yml,line=5," in log
    assert post.startswith("Log of the post step")
    assert "outcome=failure" in outputs.splitlines()
    assert "data component 'dbt-warehouse' is not installed" in summary
    assert end.startswith("Exit code 1 ")
    following = re.findall(r"make demo SCENARIO=(\S+) +#", end)
    assert len(following) == 3
    assert set(following) < set(names()) - {"failure"}


@pytest.mark.parametrize(("scenario", "code"), [("pipelines", 0), ("pipelines-failure", 1)])
def test_shows_a_plan_of_three_signs_and_two_runs(scenario: str, code: int) -> None:
    began = time.monotonic()
    run = _demo(scenario)
    assert time.monotonic() - began < 20
    assert run.returncode == code
    log = run.stdout.split("\n── ")[1]
    assert re.findall(r"^([+~-]) (\S+): ", log, re.MULTILINE) == [
        ("+", "publish-reports"),
        ("~", "extract-orders"),
        ("-", "extract-returns"),
    ]
    assert "Pipeline 'extract-orders' succeeded after 2 s." in log
    assert ("Pipeline 'publish-reports' succeeded" in log) == (code == 0)
    assert ("::error title=Pipeline failed::Pipeline failed: 'publish-reports': " in log) == (code == 1)


def test_takes_further_inputs() -> None:
    run = _demo("success", "--input", "dry-run=true", "--input", "preflight=off")
    assert run.returncode == 0
    assert "outcome=checked" in run.stdout.splitlines()
    assert "::error" not in run.stdout


def test_names_the_scenarios() -> None:
    run = _demo("none-of-them")
    assert run.returncode == 2
    assert "queued-forever" in run.stderr
