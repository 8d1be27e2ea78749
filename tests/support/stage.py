"""A step in this process with all that it takes: minutes of it take milliseconds."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matatika_deploy.runtime.limits import Limits
from matatika_deploy.runtime.signals import Signals
from matatika_simulator import JobState, Simulator
from tests.support import secrecy
from tests.support.clock import FakeClock
from tests.support.peer import Peer
from tests.support.repository import PIPELINE, write_files
from tests.support.result import Result
from tests.support.step import PATIENT, Step

# A property of a pipeline that is to show nowhere.
SECRET_PROPERTY = "pr0perty-0f-a-pipeline"


@dataclass(frozen=True)
class Stage:
    """All that a step in this process takes: time, the platform, what stands before it, and the step itself."""

    clock: FakeClock
    simulator: Simulator
    peer: Peer
    step: Step

    def run(self, limits: Limits = PATIENT, signals: Signals | None = None, *, hides_secrets: bool = True) -> Result:
        """Run the step to its end: see `Step.run`. Tokens that were fetched show nowhere, and none goes elsewhere."""
        result = self.step.run(self.clock, limits, signals, hides_secrets=hides_secrets)
        if hides_secrets:
            secrecy.check(result, (), self.peer.bearers())
        assert not self.peer.was_called_elsewhere()
        return result


@contextmanager
def stage(folder: Path, scenario: Mapping[str, Any] | str = "success", **inputs: str) -> Iterator[Stage]:
    """Set a stage in an empty folder, for one step with these inputs; by default it deploys and waits, no more."""
    clock = FakeClock()
    with Simulator(scenario, clock=clock.now, held=clock.held) as simulator, Peer(simulator, clock) as peer:
        given = {"verify_source": "off", "preflight": "off", "logs": "none", **inputs}
        step = Step(folder, simulator, **{"api_url": peer.api_url, "auth_url": peer.auth_url, **given})
        step.environ["RUNNER_DEBUG"] = "1"
        yield Stage(clock, simulator, peer, step)


def check_out(step: Step, pipelines: Mapping[str, str], folder: str = "") -> None:
    """Check a workspace out that has these pipeline files, each with its version."""
    files = {f"pipelines/{name}.yml": f"{PIPELINE}{content}" for name, content in pipelines.items()}
    write_files(step.workspace / folder, {"workspace.yml": "version: workspaces/v0.2\nname: Orders\n", **files})


@contextmanager
def stage_with_pipelines(
    folder: Path,
    pipelines: Sequence[Mapping[str, Any]] = (),
    files: Mapping[str, str] | None = None,
    scenario: Mapping[str, Any] | None = None,
    /,
    **inputs: str,
) -> Iterator[Stage]:
    """Set a stage for one step: `pipelines` are the platform's, as in a scenario, and `files` those of the checkout.

    Without `files` there is no checkout, and no preflight. `scenario` has what else the platform does.
    """
    whole = {"job": {"runs": "3s"}, "pipelines": list(pipelines), **(scenario or {})}
    with stage(folder, whole, **{"preflight": "off" if files is None else "warn", **inputs}) as here:
        if files is not None:
            check_out(here.step, files)
        yield here


@dataclass(frozen=True)
class EndedStep:
    """A step that has ended, and what the platform knows of it."""

    result: Result
    simulator: Simulator
    took: float = 0.0
    """Seconds, of the clock that it ran on."""

    @property
    def job(self) -> JobState:
        """The deployment that the step triggered."""
        (job,) = [job for job in self.simulator.jobs if job.triggered_by != "other"]
        return job

    @property
    def calls(self) -> list[str | None]:
        """The calls that were made, in order, each series of the same call as one."""
        names = [entry.call for entry in self.simulator.journal]
        return [name for name, before in zip(names, [None, *names], strict=False) if name != before]

    def times(self, call: str) -> list[float]:
        """When the requests of a call came, in seconds since the job was created."""
        return [entry.time - self.job.created for entry in self.simulator.calls(call)]


def follow(folder: Path, scenario: Mapping[str, Any], /, **inputs: str) -> EndedStep:
    """Run a step without checks to its end, with nothing between it and the platform: it keeps its connections."""
    random.seed(0)
    clock = FakeClock()
    with Simulator(scenario, clock=clock.now, held=clock.held) as simulator:
        step = Step(folder, simulator, **{"preflight": "off", "verify_source": "off", **inputs})
        return EndedStep(step.run(clock), simulator, clock.passed)
