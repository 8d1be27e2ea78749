"""A refusal of the log that repeats a credential shows no more of it than any other refusal does."""

from pathlib import Path

from matatika_simulator import Simulator, constants
from tests.support.clock import FakeClock
from tests.support.in_process import run_here
from tests.support.step import Step


def test_a_redirect_of_the_log_that_repeats_the_token_is_a_warning_without_it(tmp_path: Path) -> None:
    clock = FakeClock()
    address = f"https://elsewhere.example/{constants.TOKEN}/log"
    fault = {"calls": "logs", "status": 302, "headers": {"Location": address}}
    with Simulator({"based-on": "success", "faults": [fault]}, clock=clock.now, held=clock.held) as simulator:
        result = run_here(Step(tmp_path, simulator), clock)
    assert result.code == 0
    (warning,) = [text for text in result.log.said("warning") if "log" in str(text)]
    assert "https://elsewhere.example/***/log" in str(warning)
