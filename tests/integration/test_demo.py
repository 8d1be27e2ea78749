"""`make demo`, without make: a scenario from the step's log to its exit code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "matatika_simulator.demo", *arguments]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_shows_a_failure_and_fails() -> None:
    run = _demo("failure")
    assert run.returncode == 1
    log, post, outputs, summary, end = run.stdout.split("\n── ")[1:]
    assert "data component 'dbt-warehouse' is not installed" in log
    assert "::error file=pipelines/publish-reports.yml,line=5," in log
    assert post.startswith("Log of the post step")
    assert "outcome=failure" in outputs.splitlines()
    assert "data component 'dbt-warehouse' is not installed" in summary
    assert end.startswith("Exit code 1 ")


def test_names_the_scenarios() -> None:
    run = _demo("none-of-them")
    assert run.returncode == 2
    assert "queued-forever" in run.stderr
