"""A step that runs in this process, on a clock that tests move: minutes of it take milliseconds."""

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matatika_deploy.main import main
from matatika_deploy.runtime.cancellation import Clock
from matatika_deploy.runtime.limits import HttpLimits, Limits
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import Simulator
from tests.support import secrecy
from tests.support.clock import FakeClock
from tests.support.peer import Peer
from tests.support.step import EndedStep, Result, Step

# Bytes of a step's log that are shown with a test that fails.
_SHOWN = 20_000
_SECRETS = ("TOKEN", "CLIENT-SECRET", "DEPLOYMENT-SECRET")

# Limits on a peer's silence are real seconds even here. These are for peers that are never silent ...
PATIENT = Limits(http=HttpLimits(connect=5, read_timeout=10, total=20))
# ... and these for those that are.
IMPATIENT = Limits(http=HttpLimits(connect=1, read_timeout=0.15, total=0.3))


def run_main(step: Step, clock: Clock, limits: Limits = PATIENT, signals: Signals | None = None) -> Result:
    """Run the main step to its end, whatever its inputs are."""
    path = step.workspace.parent / "printed"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        started = clock.monotonic()
        code = main(
            step.environ,
            signals or Signals(clock.monotonic),
            started,
            clock=clock,
            limits=limits,
            descriptor=descriptor,
        )
    finally:
        os.close(descriptor)
    printed = path.read_bytes()
    print(printed[:_SHOWN].decode("utf-8", "replace"))  # noqa: T201
    return Result(code, printed, step.files.outputs, step.files.state, step.files.summary)


def run_here(step: Step, clock: Clock, limits: Limits = PATIENT, signals: Signals | None = None) -> Result:
    """Run the main step to its end, and check that none of its secrets shows anywhere.

    To signal it, pass `signals` and call its `receive`, for example by `clock.call_later`.
    """
    result = run_main(step, clock, limits, signals)
    given = [step.environ[f"INPUT_{name}"].strip() for name in _SECRETS]
    secrecy.check(result, [secret for secret in given if secret])
    return result


@dataclass(frozen=True)
class Stage:
    """All that a step in this process takes: time, the platform, what stands before it, and the step itself."""

    clock: FakeClock
    simulator: Simulator
    peer: Peer
    step: Step

    def run(self, limits: Limits = PATIENT, signals: Signals | None = None) -> Result:
        """Run the step to its end; see `run_here`. Tokens that were fetched on the way show nowhere either."""
        result = run_here(self.step, self.clock, limits, signals)
        secrecy.check(result, (), self.peer.bearers())
        return result


@contextmanager
def stage(folder: Path, scenario: Mapping[str, Any] | str = "success", **inputs: str) -> Iterator[Stage]:
    """Set a stage in an empty folder, for one step with these inputs; by default it deploys and waits, no more."""
    clock = FakeClock()
    with Simulator(scenario, clock=clock.now, held=clock.held) as simulator, Peer(simulator, clock) as peer:
        addresses = {"api-url": peer.api_url, "auth-url": peer.auth_url}
        aside = {"verify-source": "off", "preflight": "off", "logs": "none"}
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        step = Step(folder, simulator, **{**addresses, **aside, **given})
        step.environ["RUNNER_DEBUG"] = "1"
        yield Stage(clock, simulator, peer, step)


def follow(folder: Path, scenario: Mapping[str, Any], /, **inputs: str) -> EndedStep:
    """Run a step without checks to its end, on a clock of its own."""
    random.seed(0)
    clock = FakeClock()
    with Simulator(scenario, clock=clock.now, held=clock.held) as simulator:
        step = Step(folder, simulator, **{"preflight": "off", "verify_source": "off", **inputs})
        return EndedStep(run_here(step, clock), simulator, clock.passed)
